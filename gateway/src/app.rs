//! The composition root: builds snapshots, listens, reloads, shuts down. The
//! only place that starts long-lived tasks.

mod changes;
mod connections;
mod listeners;
mod reload;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::closing::{Closing, Phase};
use crate::config::watch::{Fingerprints, Pace, Rest, Watcher, Writers};
use crate::config::{self, Client, Config, Diagnostic, FOREVER, Loaded, Severity, State};
use crate::gate::Gates;
use crate::hook::{Chain, Engine};
use crate::kv::Stores;
use crate::lessons::Lessons;
pub use crate::snapshot::ReloadState;
use crate::snapshot::{Current, Snapshot};
use crate::tally::Tally;
use crate::telemetry::Telemetry;
use crate::upstream::{self, Endpoint};
use crate::{demo, server};

use listeners::{Bound, Listeners};
use reload::Reloader;

/// Time for a local server to accept a connection, in ms.
const PROBE_MS: u64 = 100;

/// Time for the last words of calls that were ended, in ms: who reads slower than that
/// is not heard of again.
const LAST_WORDS_MS: u64 = 1_500;

/// Time for the last traces and metrics to reach the collector, in ms: with all times
/// before it no more than the 30 s after which Kubernetes kills.
const FLUSH_MS: u64 = 1_000;

/// Time for what calls leave behind, in ms, where those have used all of theirs: what they
/// took is written to the store of `state`, and `on-complete` hooks run.
const AFTERWARDS_MS: u64 = 500;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, native or LiteLLM's.
    File(PathBuf),
    /// The embedded default.
    Embedded,
}

/// What the command line says over the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Where clients connect.
    pub listen: Option<SocketAddr>,
    /// The watched folder of hooks.
    pub hooks: Option<PathBuf>,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or a hook is wrong: every finding.
    #[error("{}", list(.0))]
    Wrong(Vec<Diagnostic>),
    /// The WebAssembly engine did not start.
    #[error("the WebAssembly engine did not start: {0}")]
    Engine(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The embedded upstream did not start.
    #[error("the demo upstream did not start: {0}")]
    Demo(std::io::Error),
}

/// A running gateway. Dropping it stops it without waiting for streams.
#[derive(Debug)]
pub struct App {
    /// What the last reload came to; changes with every attempt.
    pub reloads: watch::Receiver<ReloadState>,
    demand: Arc<Notify>,
    current: Arc<Current>,
    listeners: Arc<Mutex<Listeners>>,
    addr: watch::Receiver<SocketAddr>,
    afterwards: TaskTracker,
    reloader: JoinHandle<()>,
}

impl App {
    /// Start from `source`, with `overrides`.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, a hook or the address.
    pub async fn start(source: Source, overrides: Overrides) -> Result<Self, StartError> {
        let builder = Builder::new(source, overrides).await?;
        let built = on_thread(move || {
            let (snapshot, notes) = builder.build(None)?;
            let watched = builder.watched(&snapshot);
            let seen = Fingerprints::of(&watched);
            Ok((builder, snapshot, notes, watched, seen))
        });
        let built = built.await.map_err(StartError::Wrong)?;
        let (builder, snapshot, notes, watched, seen) = built;
        log_diagnostics(&notes);

        let listen = snapshot.config.listen;
        let bound = Bound::to(listen).await;
        let bound = bound.map_err(|error| StartError::Listen(listen, error))?;
        for line in describe(&snapshot) {
            tracing::info!("{line}");
        }
        let first = ReloadState::first(builder.digest());
        let (report, reloads) = watch::channel(first);
        let demand = Arc::new(Notify::new());
        let writers = Writers::default();
        let watcher = Watcher::new(&watched, &snapshot.config.store_files(), &writers);
        snapshot.telemetry.start();
        let current = Arc::new(Current::new(snapshot));

        let router = {
            let (current, reloads) = (current.clone(), reloads.clone());
            let metrics = builder.engine.services.metrics.clone();
            move |addr| server::router(current.clone(), metrics.clone(), reloads.clone(), addr)
        };
        let listeners = Listeners::new(router, bound).await;
        let addr = listeners.addr();
        let listeners = Arc::new(Mutex::new(listeners));
        let reloader = Reloader {
            seen,
            rest: Rest::default(),
            pace: Pace::default(),
            is_demanded: false,
            watcher,
            writers,
            demand: demand.clone(),
            current: current.clone(),
            listeners: listeners.clone(),
            report,
        };
        let afterwards = builder.engine.services.afterwards.clone();
        let reloader = tokio::spawn(reloader.run(builder));
        Ok(Self {
            reloads,
            demand,
            current,
            listeners,
            addr,
            afterwards,
            reloader,
        })
    }

    /// Where it listens; a reload may change it.
    pub fn addr(&self) -> SocketAddr {
        *self.addr.borrow()
    }

    /// Build everything anew, even if no file has changed.
    pub fn reload(&self) {
        self.demand.notify_one();
    }

    /// Say that it stops, take no more calls, and wait for the running ones; those that
    /// last too long are ended with an error.
    pub async fn shut_down(mut self) {
        let world = self.current.load();
        let (terms, closing) = (world.config.drain, &world.closing);
        closing.enter(Phase::Announced);
        let ms = terms.announce_ms;
        tracing::info!(ms, "Stopping: `/readyz` fails, calls are still taken.");
        tokio::time::sleep(Duration::from_millis(ms)).await;
        // From here on nothing may listen anew.
        self.reloader.abort();
        let _ = (&mut self.reloader).await;
        self.listeners.lock().await.close().await;
        let ms = terms.streams_ms;
        tracing::info!(ms, "No more calls are taken; running ones may end.");
        let until = Instant::now() + Duration::from_millis(ms).min(FOREVER);
        if !self.ends_within(ms).await {
            tracing::warn!("Calls that still run are ended with an error.");
            closing.enter(Phase::Over);
            self.ends_within(LAST_WORDS_MS).await;
        }
        self.finish_afterwards(until).await;
        let telemetry = &self.current.load().telemetry;
        telemetry.flush(Duration::from_millis(FLUSH_MS)).await;
        tracing::info!("Stopped.");
    }

    /// Wait for what calls left behind: their settlement, and their `on-complete` hooks.
    async fn finish_afterwards(&self, until: Instant) {
        self.afterwards.close();
        let until = until.max(Instant::now() + Duration::from_millis(AFTERWARDS_MS));
        let left = tokio::time::timeout_at(until, self.afterwards.wait());
        if left.await.is_err() {
            let left = self.afterwards.len();
            tracing::warn!(
                left,
                "What calls left behind is given up: settlements, and `on-complete` hooks that still run."
            );
        }
    }

    /// Whether the last connection is gone in time.
    async fn ends_within(&self, ms: u64) -> bool {
        let ended = async { self.listeners.lock().await.ended().await };
        let ended = tokio::time::timeout(Duration::from_millis(ms), ended);
        ended.await.is_ok()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.reloader.abort();
    }
}

// === snapshots ===

/// Builds snapshots: at the start and at every reload, by the same code.
pub(crate) struct Builder {
    source: Source,
    overrides: Overrides,
    engine: Arc<Engine>,
    /// Those of the gateway itself: what hooks fill must not be what keys are counted in.
    stores: Stores,
    demo: Option<SocketAddr>,
    closing: Closing,
}

impl Builder {
    /// What builds from `source`. The embedded default brings its upstream.
    pub(crate) async fn new(source: Source, overrides: Overrides) -> Result<Self, StartError> {
        let demo = match source {
            Source::Embedded => Some(demo::start().await.map_err(StartError::Demo)?),
            Source::File(_) => None,
        };
        let engine = Engine::new(Stores::default())
            .map_err(|error| StartError::Engine(error.to_string()))?;
        Ok(Self {
            source,
            overrides,
            engine,
            stores: Stores::default(),
            demo,
            closing: Closing::default(),
        })
    }

    /// What builds from `source` for nobody to call.
    fn uncalled(source: Source, overrides: Overrides) -> Result<Self, StartError> {
        // A store may be in use by the gateway that runs.
        let engine = Engine::new(Stores::rehearsal())
            .map_err(|error| StartError::Engine(error.to_string()))?;
        // Nobody calls the demo's upstream; any address will do.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let demo = matches!(source, Source::Embedded).then_some(nowhere);
        Ok(Self {
            source,
            overrides,
            engine,
            stores: Stores::rehearsal(),
            demo,
            closing: Closing::default(),
        })
    }

    /// Read everything and build the snapshot that follows `previous`. Compiles
    /// hooks: not for a thread of the runtime.
    pub(crate) fn build(
        &self,
        previous: Option<&Snapshot>,
    ) -> Result<(Snapshot, Vec<Diagnostic>), Vec<Diagnostic>> {
        let Loaded {
            config,
            diagnostics,
        } = self.load()?;
        let exposed = config.exposure();
        let opened = || config.opening(&previous?.config);
        if let Some(open) = exposed.or_else(opened) {
            return Err(vec![open]);
        }
        let (hooks, notes) =
            Chain::load(&self.engine, &config.hooks, previous.map(|old| &old.hooks))?;
        let reusable = previous
            .filter(|old| old.config.limits.connect_timeout_ms == config.limits.connect_timeout_ms);
        let client = match reusable {
            Some(old) => old.client.clone(),
            None => upstream::Client::new(&config.limits).map_err(|why| vec![no_client(&why)])?,
        };
        let endpoints = config.upstreams.iter().map(|upstream| {
            let endpoint = Endpoint::new(upstream);
            endpoint.ok_or_else(|| vec![no_endpoint(&upstream.name, &upstream.base_url)])
        });
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        let accounts = self.accounts(&config)?;
        let tally = Tally::new(self.engine.services.metrics.clone());
        let telemetry = Telemetry::new(
            config.telemetry.as_ref(),
            previous.map(|old| &old.telemetry),
            &client,
            &tally,
        );
        let generation = previous.map_or(1, |old| old.generation + 1);
        let notes = diagnostics.into_iter().chain(notes).collect();
        Ok((
            Snapshot {
                generation,
                accounts,
                gates: Gates::new(&config, previous.map(|old| &old.gates)),
                config,
                hooks,
                client,
                endpoints,
                health: previous.map(|old| old.health.clone()).unwrap_or_default(),
                lessons: Lessons::default(),
                closing: self.closing.clone(),
                tally,
                telemetry,
            },
            notes,
        ))
    }

    /// The books of what keys use up. Where no key has a limit there is no store to open.
    fn accounts(&self, config: &Config) -> Result<Accounts, Vec<Diagnostic>> {
        let has_limits = |client: &Arc<Client>| client.has_limits();
        if !config.keys.list().iter().any(has_limits) {
            return Ok(Accounts::default());
        }
        let state = &config.state;
        let store = self.stores.open(&state.store);
        let store = store.map_err(|why| vec![no_store(state, why)])?;
        let services = &self.engine.services;
        let (metrics, afterwards) = (services.metrics.clone(), services.afterwards.clone());
        Ok(Accounts::new(store, state.on_failure, metrics, afterwards))
    }

    /// The configuration, with what the command line says over it.
    fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let env = |name: &str| std::env::var(name).ok();
        let mut loaded = match (&self.source, self.demo) {
            (Source::File(path), _) => config::load(path, &env).map_err(|mut findings| {
                findings.extend(self.missing_hooks(path, &env));
                findings
            }),
            (Source::Embedded, demo) => {
                let url = demo.map_or_else(String::new, |addr| format!("http://{addr}/v1"));
                config::embedded_default(&url, &env, &is_up)
            }
        }?;
        if let Some(listen) = self.overrides.listen {
            let config = &mut loaded.config;
            let written = config.listen_place.take();
            if let Some(place) = written.filter(|_| config.listen != listen) {
                let written = config.listen;
                loaded.diagnostics.push(Diagnostic {
                    severity: Severity::Note,
                    ..unplaced(
                        &place,
                        format!("`{written}` is not used: `--listen {listen}` says otherwise"),
                    )
                });
            }
            loaded.config.listen = listen;
        }
        if let Some(hooks) = &self.overrides.hooks {
            loaded.config.hooks.folder = Some(hooks.clone());
        }
        Ok(loaded)
    }

    /// The hooks that a wrong file names and that there are not, so that one run tells
    /// of these, too.
    fn missing_hooks(
        &self,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<Diagnostic> {
        let Some(mut hooks) = config::hooks_of(path, environment) else {
            return Vec::new();
        };
        if let Some(folder) = &self.overrides.hooks {
            hooks.folder = Some(folder.clone());
        }
        Chain::missing(&self.engine, &hooks)
    }

    /// A number that two gateways have in common if their files are the same.
    fn digest(&self) -> Option<String> {
        match &self.source {
            Source::File(path) => Some(config::digest(path)),
            Source::Embedded => None,
        }
    }

    /// The paths whose change may mean another snapshot.
    fn watched(&self, snapshot: &Snapshot) -> Vec<PathBuf> {
        let files = match &self.source {
            Source::File(path) => {
                let included = config::included(path).into_iter();
                included.chain([path.clone()]).collect()
            }
            Source::Embedded => Vec::new(),
        };
        files
            .into_iter()
            .chain(snapshot.config.hooks.folder.clone())
            .chain(snapshot.config.providers.clone())
            .chain(snapshot.config.keys_file.clone())
            .chain(snapshot.config.hooks.lock.clone())
            .collect()
    }
}

/// Whether something listens at `address`.
fn is_up(address: SocketAddr) -> bool {
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(PROBE_MS)).is_ok()
}

fn no_client(why: &str) -> Diagnostic {
    Diagnostic {
        help: Some(
            "install the system's certificates (`ca-certificates`), or name a file of them in `SSL_CERT_FILE`".into(),
        ),
        ..unplaced("sluice", format!("the HTTP client cannot be built: {why}"))
    }
}

fn no_endpoint(name: &str, base_url: &str) -> Diagnostic {
    let path = format!("upstreams.{name}.base_url");
    unplaced(&path, format!("`{base_url}` is no URL that can be called"))
}

fn unbound(config: &Config, error: &std::io::Error) -> Diagnostic {
    let place = config.listen_place.as_deref().unwrap_or("listen");
    Diagnostic {
        help: Some("free it or name another one, then reload (SIGHUP)".into()),
        ..unplaced(
            place,
            format!("cannot listen on `{}`: {error}", config.listen),
        )
    }
}

fn no_store(state: &State, why: String) -> Diagnostic {
    let help = "name a folder that can be written in `SLUICE_STATE`, or a file in `state.path`";
    Diagnostic {
        help: state.store.path().map(|_| help.into()),
        ..unplaced(&state.place, why)
    }
}

/// An error that no line of a file is to blame for.
fn unplaced(what: &str, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: what.to_owned(),
        line: None,
        path: String::new(),
        message,
        help: None,
    }
}

/// Run `work` off the runtime's threads; nothing in it may be cancelled half-way.
async fn on_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let done = tokio::task::spawn_blocking(work);
    done.await.expect("building a snapshot does not panic")
}

/// Build what `source` says without serving it, and describe it.
///
/// # Errors
/// Whatever [`App::start`] would report, but for an address in use.
pub fn check(source: Source, overrides: Overrides) -> Result<Vec<String>, StartError> {
    let builder = Builder::uncalled(source, overrides)?;
    let (snapshot, notes) = builder.build(None).map_err(StartError::Wrong)?;
    let verdict = match notes.as_slice() {
        [] => "No mistakes.".to_owned(),
        notes => format!("No mistakes; {}.", config::counted(notes)),
    };
    let notes = notes.iter().map(ToString::to_string);
    Ok(notes.chain(describe(&snapshot)).chain([verdict]).collect())
}

/// Whether the lock file of hooks counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// As for `serve`.
    Kept,
    /// As if it were not there.
    Ignored,
}

/// Load the hooks of `source` without serving them, and what there is to say.
///
/// # Errors
/// Whatever [`App::start`] would report of the file and the hooks.
pub fn hooks(
    source: Source,
    overrides: Overrides,
    locking: Locking,
) -> Result<(Chain, Vec<Diagnostic>), StartError> {
    let builder = Builder::uncalled(source, overrides)?;
    let load = || {
        let mut loaded = builder.load()?;
        if locking == Locking::Ignored {
            loaded.config.hooks.lock = None;
        }
        let (chain, notes) = Chain::load(&builder.engine, &loaded.config.hooks, None)?;
        Ok((chain, loaded.diagnostics.into_iter().chain(notes).collect()))
    };
    load().map_err(StartError::Wrong)
}

fn describe(snapshot: &Snapshot) -> Vec<String> {
    let routes = snapshot.config.models.every_route();
    let names: Vec<_> = routes.map(|route| route.pattern.as_str()).collect();
    let hooks = snapshot.hooks.describe();
    let hooks: Vec<_> = hooks
        .iter()
        .map(|info| format!("{} ({})", info.name, info.source))
        .collect();
    vec![
        format!("Models: {}.", names.join(", ")),
        format!(
            "Hooks: {}.",
            if hooks.is_empty() {
                "none".into()
            } else {
                hooks.join(", ")
            }
        ),
    ]
}

fn log_diagnostics(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let statement = diagnostic.statement();
        match diagnostic.severity {
            Severity::Error => tracing::error!("{statement}"),
            Severity::Warning => tracing::warn!("{statement}"),
            Severity::Note => tracing::info!("{statement}"),
        }
    }
}

/// A line each, and how many there are.
fn list(diagnostics: &[Diagnostic]) -> String {
    config::lines(diagnostics) + &config::counted(diagnostics)
}
