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
    Trapped(Trap),
}

/// A trap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trap {
    /// What the engine says.
    pub cause: String,
    /// What the hook wrote to its standard output and error before, the last of
    /// it. For operators alone: it may quote a prompt.
    pub words: String,
}

impl FailureKind {
    /// What the hook wrote before it trapped; empty if that is unknown.
    pub fn words(&self) -> &str {
        match self {
            Self::Trapped(trap) => &trap.words,
            _ => "",
        }
    }

    /// The failure with the hook's own words: for whoever runs the hook, and for no
    /// client.
    pub fn in_full(&self) -> String {
        match self.words() {
            "" => self.to_string(),
            words => format!("{self}, and wrote: {words}"),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(seconds) => write!(f, "failed too often and is away for {seconds} s"),
            Self::Busy => f.write_str("had no free instance in time"),
            Self::Invalid(what) => write!(f, "broke the interface ({what})"),
            Self::Reported(what) => write!(f, "reported a failure ({what})"),
            Self::TimedOut(ms) => write!(f, "exceeded {ms} ms"),
            Self::Trapped(trap) => write!(f, "trapped ({})", trap.cause),
        }
    }
}

fn policy_name(policy: OnFailure) -> &'static str {
    match policy {
        OnFailure::Refuse => "refuse",
        OnFailure::Skip => "skip, the call continues",
    }
}
