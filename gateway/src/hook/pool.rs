//! Warm instances of one hook, each held by one call at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::FailureKind;
use super::ledger::{Ledger, Run};
use super::module::{Instance, Module};
use super::probation::Probation;
use super::quarantine::Quarantine;
use super::state::Scope;
use super::terms::Terms;
use super::{Stage, StageSet};
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
    pub(super) ledger: Ledger,
    /// By stage: a hook that fails at one may be well at the others.
    pub(super) quarantine: [Quarantine; Stage::ALL.len()],
    pub(super) probation: Probation,
    idle: Mutex<Vec<Instance>>,
    permits: Arc<Semaphore>,
}

/// An instance, for one call.
pub(super) struct Lease {
    pub(super) instance: Instance,
    permit: OwnedSemaphorePermit,
}

impl Hook {
    pub(super) fn new(
        terms: Terms,
        source: String,
        digest: String,
        module: Arc<Module>,
        previous: Option<Arc<Self>>,
    ) -> Self {
        let stages = module.stages();
        Self {
            stages,
            ledger: Ledger::new(&terms.entry.name, stages, &terms.services.metrics),
            quarantine: Default::default(),
            probation: Probation::new(previous),
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

    /// The version of it that runs: this one, or the one before if this one was
    /// rolled back.
    pub(super) fn effective(self: &Arc<Self>) -> Arc<Self> {
        self.probation
            .previous_instead()
            .unwrap_or_else(|| self.clone())
    }

    /// Write down one run, and judge the hook by it.
    pub(super) fn book(&self, stage: Stage, run: &Run<'_>) {
        self.ledger.note(stage, run);
        let is_harm = match run.failure {
            None | Some(FailureKind::Reported(_)) => false,
            Some(FailureKind::Busy | FailureKind::Away(_)) => return,
            Some(_) => true,
        };
        let name = &self.entry().name;
        if !is_harm {
            self.quarantine[stage as usize].did_well();
            self.probation.did_well();
            return;
        }
        if self.probation.did_harm() {
            tracing::error!(
                hook = %name, digest = %self.digest,
                "A new version of a hook crashed on its first calls; the version before it runs again."
            );
        } else if self.quarantine[stage as usize].did_harm(Instant::now()) {
            tracing::error!(
                hook = %name, %stage,
                "A hook failed again and again; it is left alone for a while."
            );
        }
    }

    /// A warm instance for a stage, at which the hook is not to be left alone. Waits
    /// for one no longer than its limits say.
    pub(super) async fn lease_for(&self, stage: Stage) -> Result<Lease, FailureKind> {
        match self.quarantine[stage as usize].left(Instant::now()) {
            Some(left) => Err(FailureKind::Away(left.as_secs() + 1)),
            None => self.lease().await,
        }
    }

    /// A warm instance, or a fresh one. Waits for one no longer than the hook's
    /// limits say.
    pub(super) async fn lease(&self) -> Result<Lease, FailureKind> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let wait = Duration::from_millis(self.entry().limits.wait_ms);
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

    /// Fuel that the instances which are free have used; none if they are not counted.
    pub(super) fn fuel(&self) -> Option<u64> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().map(Instance::fuel).sum()
    }

    /// Take a sound instance back. One that failed is dropped instead.
    pub(super) fn release(&self, mut lease: Lease) {
        lease.instance.calls += 1;
        let memory = lease.instance.store.data().limits.memory_bytes;
        self.ledger.note_memory(memory);
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
