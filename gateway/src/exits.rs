//! The ways out of a call: a reply, a stream, an error.
//!
//! Errors are rendered here and nowhere else, in the client's dialect.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::Answer;
use crate::call::Call;
use crate::codecs::{self, ClientFormat};
use crate::error::Error;
use crate::pipeline::streamed;

/// A comment, which every reader of events passes over: allowed before the first.
const LIFE_SIGN: &[u8] = b": waiting for the upstream\n\n";

/// What the server gives out.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, beside those that the body's kind implies.
    pub headers: HeaderMap,
    /// The body.
    pub body: ReplyBody,
}

/// The body of a reply.
pub enum ReplyBody {
    /// JSON, whole.
    Whole(Bytes),
    /// Server-sent events. Dropping it aborts the upstream's request.
    Stream(BoxStream<'static, Bytes>),
}

/// What a call amounts to when it goes well.
pub(crate) enum Served {
    Whole(Vec<u8>),
    Stream(Box<Answer>),
}

/// A call under way, and what it comes to.
pub(crate) type Serving = Pin<Box<dyn Future<Output = (Call, Result<Served, Error>)> + Send>>;

/// The reply of a call that went well.
pub(crate) fn reply(mut call: Call, served: Served) -> Reply {
    let mut headers = std::mem::take(&mut call.passed_back);
    insert(&mut headers, "request-id", Some(&call.id));
    insert_way(&mut headers, &call);
    insert(
        &mut headers,
        "sluice-losses",
        call.losses_header().as_deref(),
    );
    let failures = call.hooks_header();
    insert(&mut headers, "sluice-hook-failures", failures.as_deref());
    let body = match served {
        Served::Whole(body) if !call.stream => {
            call.first_byte();
            call.answered();
            ReplyBody::Whole(body.into())
        }
        served => ReplyBody::Stream(events(call, served)),
    };
    Reply {
        status: 200,
        headers,
        body,
    }
}

/// The answer's bytes for a client that wants a stream.
fn events(mut call: Call, served: Served) -> BoxStream<'static, Bytes> {
    match served {
        Served::Stream(answer) => streamed(answer, call),
        Served::Whole(body) => {
            call.first_byte();
            call.answered();
            stream::iter([Bytes::from(body)]).boxed()
        }
    }
}

/// A stream that began before its answer did.
enum Begun {
    Waiting(Serving),
    Answering(BoxStream<'static, Bytes>),
    Over,
}

/// The reply to a client that has waited long enough for a sign of life.
pub(crate) fn begun(
    request_id: &str,
    serving: Serving,
    pause: Duration,
    format: ClientFormat,
) -> Reply {
    let mut headers = HeaderMap::new();
    insert(&mut headers, "request-id", Some(request_id));
    let rest = stream::unfold(Begun::Waiting(serving), move |state| {
        state.next(pause, format)
    });
    // The head alone would be held back by some clients and proxies.
    let body = stream::iter([Bytes::from_static(LIFE_SIGN)])
        .chain(rest)
        .boxed();
    Reply {
        status: 200,
        headers,
        body: ReplyBody::Stream(body),
    }
}

impl Begun {
    /// The next bytes: a life sign every `pause`, then the answer, or its error.
    async fn next(self, pause: Duration, format: ClientFormat) -> Option<(Bytes, Self)> {
        let mut answer = match self {
            Self::Over => return None,
            Self::Answering(answer) => answer,
            Self::Waiting(mut serving) => match tokio::time::timeout(pause, &mut serving).await {
                Err(_) => return Some((LIFE_SIGN.into(), Self::Waiting(serving))),
                Ok((call, Ok(served))) => events(call, served),
                Ok((mut call, Err(error))) => {
                    call.failed(&error);
                    let mut frame = Vec::new();
                    format.error_event(&error.kind, &error.message, &mut frame);
                    return Some((frame.into(), Self::Over));
                }
            },
        };
        let bytes = answer.next().await?;
        Some((bytes, Self::Answering(answer)))
    }
}

/// Every error leaves here, in the client's dialect.
pub(crate) fn failed(mut call: Call, error: &Error, format: ClientFormat) -> Reply {
    call.failed(error);
    let mut reply = error_reply(&call.id, error, format);
    insert_way(&mut reply.headers, &call);
    reply
}

/// `error`, rendered for a client.
pub(crate) fn error_reply(request_id: &str, error: &Error, format: ClientFormat) -> Reply {
    let mut headers = error.headers.as_deref().cloned().unwrap_or_default();
    insert(&mut headers, "request-id", Some(request_id));
    if error.hopeless {
        insert(&mut headers, "x-should-retry", Some("false"));
    }
    Reply {
        status: error.status,
        headers,
        body: ReplyBody::Whole(format.error(request_id, error).into()),
    }
}

/// Which way the call went.
fn insert_way(headers: &mut HeaderMap, call: &Call) {
    let attempts = call.attempts_header();
    insert(headers, "sluice-route", call.route.as_deref());
    insert(headers, "sluice-target", call.target.as_deref());
    insert(headers, "sluice-attempts", attempts.as_deref());
}

/// Set a header, if there is a value and it can be one.
fn insert(headers: &mut HeaderMap, name: &'static str, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The headers of an upstream's answer that its clients read.
pub(crate) fn passed_back(headers: &HeaderMap) -> HeaderMap {
    let passed = headers
        .iter()
        .filter(|(name, _)| codecs::is_passed_back(name));
    let mut passed: HeaderMap = passed
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // Azure's is the finer one, which Claude Code does not read.
    if let Some(ms) = passed.get("retry-after-ms")
        && !passed.contains_key(RETRY_AFTER)
        && let Some(ms) = ms.to_str().ok().and_then(|ms| ms.parse::<f64>().ok())
    {
        passed.insert(RETRY_AFTER, HeaderValue::from((ms / 1_000.0).ceil() as u64));
    }
    passed
}
