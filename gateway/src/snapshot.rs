//! The immutable world that one call sees.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::accounts::Accounts;
use crate::closing::Closing;
use crate::config::Config;
use crate::gate::Gates;
use crate::health::Health;
use crate::hook::Chain;
use crate::lessons::Lessons;
use crate::tally::Tally;
use crate::telemetry::Telemetry;
use crate::upstream::{Client, Endpoint};

/// Configuration, hooks and connection pools, all of one generation.
#[derive(Debug)]
pub struct Snapshot {
    /// Counted from 1; a reload that changes something adds one.
    pub generation: u64,
    /// The configuration.
    pub config: Config,
    /// The hooks.
    pub hooks: Chain,
    /// The way to upstreams.
    pub client: Client,
    /// Where each of `config.upstreams` is, at the same position.
    pub endpoints: Vec<Endpoint>,
    /// How targets fare; what is known of one outlives the snapshot.
    pub health: Arc<Health>,
    /// What keys have used up.
    pub accounts: Accounts,
    /// What keeps load within bounds.
    pub gates: Gates,
    /// What upstreams have taught.
    pub lessons: Lessons,
    /// Whether the gateway is about to stop.
    pub closing: Closing,
    /// What is counted of calls.
    pub tally: Tally,
    /// Where calls are told of.
    pub telemetry: Telemetry,
}

/// What the last reload came to.
#[derive(Clone, Debug)]
pub struct ReloadState {
    /// Generation of the snapshot in use.
    pub generation: u64,
    /// Digest of its files; none of the embedded default.
    pub digest: Option<String>,
    /// When it was taken up.
    pub loaded: SystemTime,
    /// What changed with it, a line each.
    pub changes: Vec<String>,
    /// Why the latest change was refused; empty if it was not.
    pub refused: Vec<String>,
    /// The last change that was refused, even if another was taken up since.
    pub last_refusal: Option<Refusal>,
    /// Files that changed and whose writers have them open: they are waited for.
    pub being_written: Vec<PathBuf>,
}

impl ReloadState {
    /// That of a gateway which has just started.
    pub fn first(digest: Option<String>) -> Self {
        Self {
            generation: 1,
            digest,
            loaded: SystemTime::now(),
            changes: Vec::new(),
            refused: Vec::new(),
            last_refusal: None,
            being_written: Vec::new(),
        }
    }
}

/// A change that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// When.
    pub time: SystemTime,
    /// Why, a line each.
    pub findings: Vec<String>,
}

/// The snapshot that new calls get. A running call keeps the one it began with.
#[derive(Debug)]
pub struct Current(ArcSwap<Snapshot>);

impl Current {
    /// Begin with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The snapshot of now.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// From now on, new calls get `snapshot`.
    pub fn swap(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
