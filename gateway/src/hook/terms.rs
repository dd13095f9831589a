//! The terms on which a hook runs, and what the gateway lends it. All its
//! instances share them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::module::START_MS;
use super::outbound::Outbound;
use crate::config::{HookEntry, KV_MEMORY_BYTES_MAX, Mode};
use crate::kv::{Memory, Store};
use crate::metrics::Metrics;

/// Lines a second that one hook may write into the log: enough for one a call of
/// a busy gateway, and no flood.
const LINES_PER_SECOND_MAX: u32 = 100;

/// Records of ended calls that may wait for their hooks.
const COMPLETIONS_MAX: usize = 256;

/// What the gateway lends to hooks.
#[derive(Clone, Debug)]
pub struct Services {
    /// Numbers of all hooks, and of the gateway.
    pub metrics: Metrics,
    /// Calls whose records are shown to hooks at once, or wait for it.
    pub completions: Arc<Semaphore>,
    /// What outlasts the calls that it is of: awaited when the gateway stops.
    pub afterwards: TaskTracker,
    /// Where connections of hooks live; without one they make none.
    pub runtime: Option<Handle>,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            metrics: Metrics::default(),
            completions: Arc::new(Semaphore::new(COMPLETIONS_MAX)),
            afterwards: TaskTracker::new(),
            runtime: Handle::try_current().ok(),
        }
    }
}

/// A hook's entry in the chain, and its means.
pub(super) struct Terms {
    pub(super) entry: HookEntry,
    /// The hook's configuration, JSON text.
    pub(super) config: String,
    pub(super) services: Services,
    /// Keys and values of all hooks.
    pub(super) kv: Arc<dyn Store>,
    /// Where its requests go.
    pub(super) outbound: Outbound,
    lines: Mutex<Lines>,
}

/// Log lines of the second at hand.
struct Lines {
    since: Instant,
    written: u32,
    dropped: u32,
}

impl Terms {
    /// Terms for a trial call: what the hook keeps, counts, sends and writes goes
    /// nowhere, and it has the time of a start.
    pub(super) fn of_trial(entry: &HookEntry) -> Self {
        let mut entry = entry.clone();
        entry.mode = Mode::Trial;
        entry.limits.time_ms = entry.limits.time_ms.max(START_MS);
        entry.grants.http.clear();
        let services = Services {
            runtime: None,
            ..Services::default()
        };
        let kv = Memory::new(KV_MEMORY_BYTES_MAX as usize);
        Self::new(entry, services, Arc::new(kv))
    }

    pub(super) fn new(entry: HookEntry, services: Services, kv: Arc<dyn Store>) -> Self {
        let config = if entry.config.is_null() {
            "{}".to_owned()
        } else {
            entry.config.to_string()
        };
        Self {
            outbound: Outbound::new(&entry.grants.http, services.runtime.clone()),
            entry,
            config,
            services,
            kv,
            lines: Mutex::new(Lines {
                since: Instant::now(),
                written: 0,
                dropped: 0,
            }),
        }
    }

    /// Whether one more line may be written now. What was dropped is told once
    /// there is room again.
    pub(super) fn may_write_line(&self) -> bool {
        if self.entry.mode == Mode::Trial {
            return false;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.elapsed() >= Duration::from_secs(1) {
            if lines.dropped > 0 {
                tracing::warn!(
                    hook = %self.entry.name,
                    lines = lines.dropped,
                    "A hook wrote too many lines; some were dropped."
                );
            }
            *lines = Lines {
                since: Instant::now(),
                written: 0,
                dropped: 0,
            };
        }
        let may = lines.written < LINES_PER_SECOND_MAX;
        if may {
            lines.written += 1;
        } else {
            lines.dropped += 1;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_dammed() {
        let entry = HookEntry::named("h", "here");
        let terms = Terms::new(entry, Services::default(), Arc::new(Memory::new(0)));
        let written = (0..10_000).filter(|_| terms.may_write_line()).count();
        // The clock may turn to the next second in between.
        assert!((100..=300).contains(&written), "{written}");
    }
}
