//! How hooks fail.

use std::fmt;

use super::Stage;
use crate::config::OnFailure;

/// A hook failed; `policy` says what became of the call.
#[derive(Clone, Debug, thiserror::Error)]
#[error("hook `{hook}` {kind} in {stage}; policy `{}`", policy_name(*.policy))]
pub struct HookError {
    /// The hook's name.
    pub hook: String,
    /// Where.
    pub stage: Stage,
    /// What happened.
    pub kind: FailureKind,
    /// What became of the call.
    pub policy: OnFailure,
}

/// What a hook did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It failed again and again, and is left alone for so many seconds more.
    Away(u64),
    /// Every instance was busy for the whole of the hook's time.
    Busy,
    /// It emitted or returned what the interface does not allow.
    Invalid(String),
    /// It reported a failure of its own.
    Reported(String),
    /// It ran longer than its time, in ms.
    TimedOut(u64),
    /// It trapped: a panic, a bad access, memory or stack beyond the limit.
    Trapped(String),
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(seconds) => write!(f, "failed too often and is away for {seconds} s"),
            Self::Busy => f.write_str("had no free instance in time"),
            Self::Invalid(what) => write!(f, "broke the interface ({what})"),
            Self::Reported(what) => write!(f, "reported a failure ({what})"),
            Self::TimedOut(ms) => write!(f, "exceeded {ms} ms"),
            Self::Trapped(what) => write!(f, "trapped ({what})"),
        }
    }
}

fn policy_name(policy: OnFailure) -> &'static str {
    match policy {
        OnFailure::Refuse => "refuse",
        OnFailure::Skip => "skip, the call continues",
    }
}
