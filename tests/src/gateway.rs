//! A gateway on a free port, with a folder of its own.

use std::path::{Path, PathBuf};

use sluice::app::{App, Overrides, ReloadState, Source, StartError};
use tempfile::TempDir;

use crate::{Client, PATIENCE};

fn on_any_port() -> Overrides {
    Overrides {
        listen: Some(([127, 0, 0, 1], 0).into()),
        hooks: None,
    }
}

/// A running gateway; dropping it stops it.
#[derive(Debug)]
pub struct TestGateway {
    app: App,
    folder: TempDir,
}

impl TestGateway {
    /// Start with this `sluice.yaml` and no hooks but the bundled ones.
    pub async fn start(config: &str) -> Self {
        Self::with_hooks(config, &[]).await
    }

    /// Start with this `sluice.yaml` and these components in the hook folder.
    pub async fn with_hooks(config: &str, hooks: &[(&str, &str)]) -> Self {
        let started = Self::try_start(config, hooks).await;
        started.unwrap_or_else(|error| panic!("the gateway did not start: {error}"))
    }

    /// Start, or say why not.
    ///
    /// # Errors
    /// Whatever `sluice serve` would end with.
    pub async fn try_start(config: &str, hooks: &[(&str, &str)]) -> Result<Self, StartError> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("hooks")).expect("it takes a folder");
        for (name, wasm) in hooks {
            let to = folder.path().join("hooks").join(format!("{name}.wasm"));
            std::fs::copy(wasm, to).expect("the component was built");
        }
        std::fs::write(folder.path().join("sluice.yaml"), config).expect("it takes a file");
        Self::in_folder(folder, "sluice.yaml").await
    }

    /// Start on the file `config` of a prepared folder.
    ///
    /// # Errors
    /// Whatever `sluice serve` would end with.
    pub async fn in_folder(folder: TempDir, config: &str) -> Result<Self, StartError> {
        let source = Source::File(folder.path().join(config));
        let app = App::start(source, on_any_port()).await?;
        Ok(Self { app, folder })
    }

    /// Start with this `sluice.yaml`, which says where to listen.
    ///
    /// # Errors
    /// Whatever `sluice serve` would end with.
    pub async fn listening(config: &str) -> Result<Self, StartError> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("sluice.yaml"), config).expect("it takes a file");
        let source = Source::File(folder.path().join("sluice.yaml"));
        let app = App::start(source, Overrides::default()).await?;
        Ok(Self { app, folder })
    }

    /// Start the embedded default.
    pub async fn embedded() -> Self {
        let app = App::start(Source::Embedded, on_any_port()).await;
        Self {
            app: app.unwrap_or_else(|error| panic!("the gateway did not start: {error}")),
            folder: TempDir::new().expect("a temporary folder can be made"),
        }
    }

    /// Where it listens, as a URL without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.app.addr())
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.url())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a hook in its folder.
    pub fn hook(&self, name: &str) -> PathBuf {
        self.folder().join("hooks").join(format!("{name}.wasm"))
    }

    /// Stop as on a signal.
    pub async fn shut_down(self) {
        self.app.shut_down().await;
    }

    /// Do `change`, and wait until the gateway has taken it up or refused it.
    pub async fn reload(&mut self, change: impl FnOnce(&Path)) -> ReloadState {
        self.app.reloads.mark_unchanged();
        change(self.folder.path());
        self.reloaded().await
    }

    /// Ask for a reload, as SIGHUP does, and wait for it.
    pub async fn reload_on_demand(&mut self) -> ReloadState {
        self.app.reloads.mark_unchanged();
        self.app.reload();
        self.reloaded().await
    }

    /// Do `change`, and wait until the gateway has seen that somebody is still writing.
    pub async fn waits(&mut self, change: impl FnOnce(&Path)) -> ReloadState {
        self.app.reloads.mark_unchanged();
        change(self.folder.path());
        self.told(|state| !state.being_written.is_empty()).await
    }

    async fn reloaded(&mut self) -> ReloadState {
        self.told(|state| state.being_written.is_empty()).await
    }

    /// The next state that is one of `those`.
    async fn told(&mut self, those: impl Fn(&ReloadState) -> bool) -> ReloadState {
        loop {
            let changed = tokio::time::timeout(PATIENCE, self.app.reloads.changed()).await;
            changed
                .expect("the gateway looks again")
                .expect("the gateway runs");
            let state = self.app.reloads.borrow_and_update().clone();
            if those(&state) {
                return state;
            }
        }
    }
}
