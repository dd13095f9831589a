//! Hooks: WebAssembly components that see and change calls.
//!
//! ```text
//!  Engine ── one a process: compiler, instance pool, deadlines
//!  Chain ─── one a snapshot: hooks in order, each with its terms
//!    Hook ── Module (compiled, by digest) + warm instances
//!  Session ─ one a call: runs the stages, keeps to the terms, records edits
//! ```
//! Hooks see bodies as JSON ([`Document`]) and answers as events; never a
//! dialect, never HTTP. What a hook may do is granted by the operator; what it
//! does wrong costs its own time and memory, and at worst its call.

mod bindings;
mod bundled;
mod chain;
mod document;
mod engine;
mod error;
mod events;
mod module;
mod pool;
mod session;
mod state;

use std::fmt;

pub use bundled::{Bundled, bundled};
pub use chain::{Chain, HookInfo};
pub use document::{Document, EditNote, PointerError};
pub use engine::Engine;
pub use error::{FailureKind, HookError};
pub use session::{
    AttemptFacts, Edit, Ending, Facts, Flow, HookFailure, Refusal, Reply, Session, Verdict,
};

/// A point in a call where hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before routing.
    Request,
    /// Before sending, once an attempt.
    UpstreamRequest,
    /// After a whole answer.
    Response,
    /// During an answer, streamed or not.
    Stream,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "on-request",
            Self::UpstreamRequest => "on-upstream-request",
            Self::Response => "on-response",
            Self::Stream => "on-stream",
        })
    }
}

/// Some of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageSet(u8);

impl StageSet {
    /// Whether `stage` is one of them.
    pub fn has(self, stage: Stage) -> bool {
        self.0 & (1 << stage as u8) != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Stage> for StageSet {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        Self(
            stages
                .into_iter()
                .fold(0, |set, stage| set | 1 << stage as u8),
        )
    }
}

impl fmt::Display for StageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            Stage::Request,
            Stage::UpstreamRequest,
            Stage::Response,
            Stage::Stream,
        ];
        let names: Vec<_> = all
            .into_iter()
            .filter(|stage| self.has(*stage))
            .map(|s| s.to_string())
            .collect();
        f.write_str(&names.join(", "))
    }
}
