//! What stages decide, of all stages in one type.

use std::fmt;

use super::Stage;
use super::bindings::exports::sluice::hooks as exports;
use super::bindings::sluice::hooks::types;
use super::error::FailureKind;
use super::module::{Instance, guard};

/// What a stage decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on.
    Next,
    /// Answer the client with this.
    Reply(Reply),
    /// Refuse the call.
    Refuse(Refusal),
    /// Try the next target, for this reason.
    SkipTarget(String),
    /// Send the same again, after so many ms.
    Retry(u32),
    /// Try these of the targets, by their position, in this order.
    Choose(Vec<u32>),
    /// Try the targets of this model.
    Reroute(String),
    /// The request has so many tokens.
    Count(u64),
}

impl fmt::Display for Verdict {
    /// In short, without a word of the conversation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.write_str("next"),
            Self::Reply(_) => f.write_str("reply"),
            Self::Refuse(Refusal { status, code, .. }) => write!(f, "refuse {status} `{code}`"),
            Self::SkipTarget(_) => f.write_str("skip-target"),
            Self::Retry(ms) => write!(f, "retry after {ms} ms"),
            Self::Choose(targets) => write!(f, "choose {targets:?}"),
            Self::Reroute(model) => write!(f, "reroute to `{model}`"),
            Self::Count(tokens) => write!(f, "count {tokens}"),
        }
    }
}

/// An answer in the model's place.
#[derive(Debug)]
pub enum Reply {
    /// A message of one text.
    Text(String),
    /// A whole message in the inner form, JSON text.
    Message(String),
}

/// A refusal by a hook.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error's kind.
    pub code: String,
    /// What the client's user reads.
    pub message: String,
    /// When trying again makes sense.
    pub retry_after_ms: Option<u32>,
}

/// Call the one function of a stage; `on-stream` has several, and its own way.
pub(super) async fn call(stage: Stage, instance: &mut Instance) -> Result<Verdict, FailureKind> {
    let deadline = instance.arm();
    let Instance { store, stages, .. } = instance;
    macro_rules! handle {
        ($interface:ident) => {{
            let guest = stages.$interface.as_ref();
            let guest = guest.ok_or_else(|| FailureKind::Invalid("no such stage".into()))?;
            guard(deadline, guest.call_handle(store)).await?.into()
        }};
    }
    Ok(match stage {
        Stage::Request => handle!(on_request),
        Stage::Route => handle!(on_route),
        Stage::UpstreamRequest => handle!(on_upstream_request),
        Stage::UpstreamResponse => handle!(on_upstream_response),
        Stage::Response => handle!(on_response),
        Stage::Error => handle!(on_error),
        Stage::Complete => handle!(on_complete),
        Stage::CountTokens => handle!(on_count_tokens),
        Stage::ListModels => handle!(on_list_models),
        Stage::Stream => return Err(FailureKind::Invalid("a stream has no verdict".into())),
    })
}

/// A stage's own verdict type, case by case.
macro_rules! verdict {
    ($interface:ident: $($case:ident $(($value:ident))?),*) => {
        impl From<exports::$interface::Verdict> for Verdict {
            fn from(verdict: exports::$interface::Verdict) -> Self {
                match verdict {
                    $(exports::$interface::Verdict::$case $(($value))? => Self::$case $(($value.into()))?,)*
                }
            }
        }
    };
}

verdict!(on_request: Next, Reply(it), Refuse(it));
verdict!(on_route: Next, Choose(it), Reroute(it), Reply(it), Refuse(it));
verdict!(on_upstream_request: Next, SkipTarget(it), Reply(it), Refuse(it));
verdict!(on_upstream_response: Next, Retry(it), SkipTarget(it), Refuse(it));
verdict!(on_response: Next, Refuse(it));
verdict!(on_error: Next, Retry(it), SkipTarget(it), Reply(it), Refuse(it));
verdict!(on_count_tokens: Next, Count(it), Refuse(it));
verdict!(on_list_models: Next, Refuse(it));

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Next
    }
}

impl From<types::Reply> for Reply {
    fn from(reply: types::Reply) -> Self {
        match reply {
            types::Reply::Text(text) => Self::Text(text),
            types::Reply::Message(json) => Self::Message(json),
        }
    }
}

impl From<types::Refusal> for Refusal {
    fn from(refusal: types::Refusal) -> Self {
        let types::Refusal {
            status,
            code,
            message,
            retry_after_ms,
        } = refusal;
        Self {
            status,
            code,
            message,
            retry_after_ms,
        }
    }
}
