//! `sluice serve`

use std::path::PathBuf;
use std::process::ExitCode;

use super::{log, memory};
use crate::app::{App, Overrides, Source};

/// Run until a signal comes.
pub(super) fn run(config: Option<PathBuf>, overrides: Overrides, format: log::Format) -> ExitCode {
    memory::give_back();
    log::start(format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "The runtime did not start.");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        // Whoever reads that it listens may send either.
        let (mut signals, hangups) = match (Signals::listen(), Hangups::listen()) {
            (Ok(signals), Ok(hangups)) => (signals, hangups),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "Signals cannot be received.");
                return ExitCode::FAILURE;
            }
        };
        let source = config.map_or(Source::Embedded, Source::File);
        let started = tokio::select! {
            started = App::start(source, overrides) => started,
            // Nobody was served yet.
            () = signals.next() => return ExitCode::SUCCESS,
        };
        match started {
            Ok(app) => run_until_told(app, signals, hangups).await,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    });
    // A compiler that still runs is not waited for.
    runtime.shutdown_background();
    code
}

/// A first signal lets calls end, a second one does not.
async fn run_until_told(app: App, mut signals: Signals, mut hangups: Hangups) -> ExitCode {
    tokio::select! {
        () = signals.next() => {}
        () = reload(&app, &mut hangups) => {}
    }
    tokio::select! {
        () = app.shut_down() => ExitCode::SUCCESS,
        () = signals.next() => {
            tracing::warn!("A second signal: calls that still run are cut off.");
            ExitCode::FAILURE
        }
    }
}

/// Reload at every SIGHUP, for ever.
async fn reload(app: &App, hangups: &mut Hangups) {
    loop {
        hangups.next().await;
        tracing::info!("Reloading, as SIGHUP asks.");
        app.reload();
    }
}

/// SIGHUP.
#[cfg(unix)]
struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    /// From now on it does not end the process.
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup()).map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Nothing: there is no such signal.
#[cfg(windows)]
struct Hangups;

#[cfg(windows)]
impl Hangups {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Ctrl-C, and the service manager's SIGTERM.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    /// From now on they do not end the process.
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self([signal(kinds.0)?, signal(kinds.1)?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
