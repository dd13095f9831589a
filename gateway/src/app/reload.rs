//! Follows the files: builds, then swaps, or keeps what runs and says why.
//!
//! Nothing is built of files that are being written ([`Rest`]), and nothing is taken up
//! that changed while it was read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{Mutex, Notify, watch};

use super::listeners::Listeners;
use super::{Builder, changes, log_diagnostics, on_thread, unbound};
use crate::config::Diagnostic;
use crate::config::watch::{Fingerprints, Pace, Readiness, Rest, Watcher, Writers};
use crate::snapshot::{Current, Refusal, ReloadState, Snapshot};

/// How often in a row a build is repeated because its files changed meanwhile.
const REBUILDS_MAX: usize = 5;

pub(super) struct Reloader {
    /// The files as they were last taken up or refused.
    pub(super) seen: Fingerprints,
    /// Since when they are as they are now.
    pub(super) rest: Rest,
    pub(super) pace: Pace,
    /// They are to be read even if they are as `seen`.
    pub(super) is_demanded: bool,
    pub(super) watcher: Watcher,
    pub(super) writers: Writers,
    pub(super) demand: Arc<Notify>,
    pub(super) current: Arc<Current>,
    pub(super) listeners: Arc<Mutex<Listeners>>,
    pub(super) report: watch::Sender<ReloadState>,
}

impl Reloader {
    pub(super) async fn run(mut self, mut builder: Builder) {
        loop {
            tokio::select! {
                () = self.watcher.changed(self.pace) => {}
                () = self.demand.notified() => self.is_demanded = true,
            }
            // It looks every few seconds in any case.
            builder.engine.services.metrics.sum_up();
            let look = Look {
                builder,
                old: self.current.load(),
                seen: std::mem::take(&mut self.seen),
                is_demanded: self.is_demanded,
                rest: std::mem::take(&mut self.rest),
                writers: self.writers.clone(),
            };
            let (look, found) = on_thread(move || look.run()).await;
            (builder, self.seen, self.rest) = (look.builder, look.seen, look.rest);
            self.take(&look.old, found).await;
        }
    }

    /// Do what the look demands.
    async fn take(&mut self, old: &Snapshot, found: Found) {
        let (pace, being_written) = match found {
            Found::Nothing => (Pace::Usual, Vec::new()),
            Found::Unfinished(files) => (Pace::Soon, files),
            Found::Change(change) => {
                let apart = match &change.built {
                    Ok((snapshot, _)) => &snapshot.config,
                    Err(_) => &old.config,
                };
                // The old watcher lives until the new one does, so that no event is lost.
                self.watcher = Watcher::new(&change.watched, &apart.store_files(), &self.writers);
                self.is_demanded = false;
                self.settle(old, *change).await;
                (Pace::Usual, Vec::new())
            }
        };
        self.pace = pace;
        self.report.send_if_modified(|state| {
            let is_news = state.being_written != being_written;
            if is_news && !being_written.is_empty() {
                tracing::info!(files = ?being_written, "Being written; taken up when that is done.");
            }
            state.being_written = being_written;
            is_news
        });
    }

    /// Take up what was built, or say why not.
    async fn settle(&self, old: &Snapshot, change: Change) {
        let mut listeners = self.listeners.lock().await;
        let ready = match change.built {
            Ok((snapshot, notes)) => match listeners.bind(snapshot.config.listen).await {
                Ok(bound) => Ok((snapshot, notes, bound)),
                Err(error) => Err(vec![unbound(&snapshot.config, &error)]),
            },
            Err(diagnostics) => Err(diagnostics),
        };
        match ready {
            Ok((snapshot, notes, bound)) => {
                log_diagnostics(&notes);
                let (generation, changes) = (snapshot.generation, changes::between(old, &snapshot));
                tracing::info!(generation, changes = changes.join("; "), "Reloaded.");
                old.tally.reload("good");
                snapshot.telemetry.start();
                self.current.swap(snapshot);
                if let Some(bound) = bound {
                    listeners.serve(bound).await;
                }
                self.report.send_modify(|state| {
                    *state = ReloadState {
                        generation,
                        digest: change.digest,
                        loaded: SystemTime::now(),
                        changes,
                        refused: Vec::new(),
                        last_refusal: state.last_refusal.take(),
                        being_written: Vec::new(),
                    };
                });
            }
            Err(diagnostics) => {
                log_diagnostics(&diagnostics);
                tracing::error!("The change was refused; what ran before runs on.");
                old.tally.reload("refused");
                let refused: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
                self.report.send_modify(|state| {
                    state.refused.clone_from(&refused);
                    state.being_written.clear();
                    state.last_refusal = Some(Refusal {
                        time: SystemTime::now(),
                        findings: refused,
                    });
                });
            }
        }
    }
}

// === Look ===

/// A look at the files, off the runtime's threads.
struct Look {
    builder: Builder,
    old: Arc<Snapshot>,
    seen: Fingerprints,
    is_demanded: bool,
    rest: Rest,
    writers: Writers,
}

/// What it came to.
enum Found {
    /// They are as they were.
    Nothing,
    /// Some changed and are not whole yet; of these it is known.
    Unfinished(Vec<PathBuf>),
    Change(Box<Change>),
}

/// Files that changed and are whole.
struct Change {
    digest: Option<String>,
    watched: Vec<PathBuf>,
    built: Result<(Snapshot, Vec<Diagnostic>), Vec<Diagnostic>>,
}

impl Look {
    fn run(mut self) -> (Self, Found) {
        let found = self.find();
        if !matches!(found, Found::Unfinished(_)) {
            self.writers.forget_those_done();
        }
        (self, found)
    }

    fn find(&mut self) -> Found {
        let watched = self.builder.watched(&self.old);
        let mut now = Fingerprints::of(&watched);
        let mut built = None;
        for _ in 0..REBUILDS_MAX {
            let changed = now.differing(&self.seen);
            if changed.is_empty() && !self.is_demanded && built.is_none() {
                return Found::Nothing;
            }
            let (rest, writers) = (&mut self.rest, &self.writers);
            match rest.readiness(&now, &changed, writers, Instant::now()) {
                Readiness::Whole => {}
                Readiness::Settling => return Found::Unfinished(Vec::new()),
                Readiness::BeingWritten(files) => return Found::Unfinished(files),
            }
            built = Some(self.builder.build(Some(&self.old)));
            // Files that changed while they were read may have been read by halves.
            let after = Fingerprints::of(&watched);
            if after == now {
                break;
            }
            now = after;
        }
        let Some(built) = built else {
            return Found::Nothing;
        };
        let watched = built
            .as_ref()
            .map_or(watched, |(snapshot, _)| self.builder.watched(snapshot));
        // What a new file held before it was first looked at is nobody's to say.
        self.seen = now.extended_to(&watched);
        Found::Change(Box::new(Change {
            digest: self.builder.digest(),
            watched,
            built,
        }))
    }
}
