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

mod about;
mod addresses;
mod bindings;
mod bundled;
mod cache;
mod chain;
mod clock;
mod document;
mod engine;
mod error;
mod events;
mod inspect;
mod keys;
mod ledger;
mod limits;
mod lines;
mod lock;
mod module;
mod outbound;
mod pool;
mod probation;
mod quarantine;
mod rehearsal;
mod session;
mod shadow;
mod state;
mod terms;
mod verdict;
mod watch;
mod words;

use std::fmt;

use crate::config::OnFailure;

pub use about::{About, Needs};
pub use bundled::{Bundled, bundled};
pub use chain::{Chain, HookInfo, HookReport};
pub use document::{Document, EditNote, PointerError};
pub use engine::Engine;
pub use error::{FailureKind, HookError, Trap};
pub use inspect::Inspection;
pub use ledger::StageReport;
pub use lines::{event_from_line, event_to_line};
pub use lock::Lock;
pub(crate) use lock::written;
pub use session::{AttemptFacts, Edit, Facts, FailureFacts, HookFailure, Session, TargetFacts};
pub use shadow::Shadow;
pub use terms::Services;
pub use verdict::{Refusal, Reply, Verdict};
pub use watch::{Ending, Flow};

/// A point in a call where hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before routing.
    Request,
    /// After routing: which targets, in which order.
    Route,
    /// Before sending, once an attempt.
    UpstreamRequest,
    /// After an upstream's status and headers, before its body.
    UpstreamResponse,
    /// During an answer, streamed or not.
    Stream,
    /// After a whole answer.
    Response,
    /// When an attempt, or the call, has failed.
    Error,
    /// After the last byte.
    Complete,
    /// When a request's tokens are counted.
    CountTokens,
    /// When the models are listed.
    ListModels,
}

impl Stage {
    /// Every stage, in the order of a call.
    pub const ALL: [Self; 10] = [
        Self::Request,
        Self::Route,
        Self::UpstreamRequest,
        Self::UpstreamResponse,
        Self::Stream,
        Self::Response,
        Self::Error,
        Self::Complete,
        Self::CountTokens,
        Self::ListModels,
    ];

    /// The name of its interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "on-request",
            Self::Route => "on-route",
            Self::UpstreamRequest => "on-upstream-request",
            Self::UpstreamResponse => "on-upstream-response",
            Self::Stream => "on-stream",
            Self::Response => "on-response",
            Self::Error => "on-error",
            Self::Complete => "on-complete",
            Self::CountTokens => "on-count-tokens",
            Self::ListModels => "on-list-models",
        }
    }

    /// Whether it comes after a request is sent: its hooks run from last to first.
    fn is_after_sending(self) -> bool {
        matches!(
            self,
            Self::UpstreamResponse | Self::Stream | Self::Response | Self::Error | Self::Complete
        )
    }

    /// What becomes of a call on which a hook fails here, unless the operator
    /// says otherwise. Before an answer exists, a hook that failed may have been
    /// a guard.
    fn on_failure(self) -> OnFailure {
        match self {
            Self::Request | Self::Route | Self::UpstreamRequest => OnFailure::Refuse,
            _ => OnFailure::Skip,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageSet(u16);

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
        let names: Vec<_> = Stage::ALL
            .into_iter()
            .filter(|stage| self.has(*stage))
            .map(Stage::name)
            .collect();
        f.write_str(&names.join(", "))
    }
}
