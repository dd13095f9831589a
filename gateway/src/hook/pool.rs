//! Warm instances of one hook, each held by one call at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StageSet;
use super::error::FailureKind;
use super::module::{Instance, Module};
use super::state::Scope;
use super::terms::Terms;
use crate::config::{HookEntry, Isolation};

/// Warm instances kept while nobody needs them: about what the cores of a large
/// machine use at once. A burst of streams leaves no more behind.
const IDLE_MAX: usize = 64;

/// A hook in its place in the chain.
pub(super) struct Hook {
    pub(super) terms: Arc<Terms>,
    /// Where its bytes come from: `bundled`, or a path.
    pub(super) source: String,
    /// SHA-256 of its bytes, in hex.
    pub(super) digest: String,
    pub(super) stages: StageSet,
    pub(super) module: Arc<Module>,
    idle: Mutex<Vec<Instance>>,
    permits: Arc<Semaphore>,
}

/// An instance, for one call.
pub(super) struct Lease {
    pub(super) instance: Instance,
    permit: OwnedSemaphorePermit,
}

impl Hook {
    pub(super) fn new(terms: Terms, source: String, digest: String, module: Arc<Module>) -> Self {
        Self {
            stages: module.stages(),
            permits: Arc::new(Semaphore::new(terms.entry.limits.instances_max)),
            idle: Mutex::default(),
            terms: Arc::new(terms),
            source,
            digest,
            module,
        }
    }

    /// Its place in the chain.
    pub(super) fn entry(&self) -> &HookEntry {
        &self.terms.entry
    }

    /// A warm instance, or a fresh one. Waits for one no longer than the hook's
    /// own time.
    pub(super) async fn lease(&self) -> Result<Lease, FailureKind> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let wait = Duration::from_millis(self.entry().limits.time_ms);
                let acquired =
                    tokio::time::timeout(wait, self.permits.clone().acquire_owned()).await;
                acquired
                    .ok()
                    .and_then(Result::ok)
                    .ok_or(FailureKind::Busy)?
            }
        };
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let instance = match idle {
            Some(instance) => instance,
            None => self.module.instantiate(&self.terms).await?,
        };
        Ok(Lease { instance, permit })
    }

    /// Take a sound instance back. One that failed is dropped instead.
    pub(super) fn release(&self, mut lease: Lease) {
        lease.instance.calls += 1;
        lease.instance.store.data_mut().scope = Scope::default();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = self.entry().isolation == Isolation::Reuse;
        if is_kept
            && lease.instance.calls < self.entry().limits.calls_per_instance_max
            && idle.len() < IDLE_MAX
        {
            idle.push(lease.instance);
        }
        drop(lease.permit);
    }
}
