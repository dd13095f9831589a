//! Hooks in the shadow: what one that is tried out would have done.

use std::fmt;

use super::Stage;
use super::error::FailureKind;
use super::session::Edit;

/// Most of it that is kept for one call: a line of the log, not a transcript.
pub(super) const SHADOWS_MAX: usize = 64;

/// What a hook in the shadow would have done.
#[derive(Clone, Debug)]
pub enum Shadow {
    /// Changed a body or headers.
    Edited(Edit),
    /// Decided something but to go on.
    Decided {
        /// The hook's name.
        hook: String,
        /// Where.
        stage: Stage,
        /// What, without a word of the conversation.
        what: String,
    },
    /// It failed.
    Failed {
        /// The hook's name.
        hook: String,
        /// Where.
        stage: Stage,
        /// How.
        kind: FailureKind,
    },
}

impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited(edit) => write!(f, "{edit}"),
            Self::Decided { hook, stage, what } => write!(f, "{hook}: {what} in {stage}"),
            Self::Failed { hook, stage, kind } => write!(f, "{hook}: {kind} in {stage}"),
        }
    }
}
