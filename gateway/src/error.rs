//! Why a call failed, in terms that every dialect can render: who is at fault,
//! the status, and what to do.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use sluice_codec::content_policy::is_refusal;
use sluice_codec::dialect::messages::{kind_of_status, status_of_kind};
use sluice_codec::fields::DecodeError;
use sluice_codec::ir::{Losses, Refused};
use sluice_codec::overflow::is_overflow;

use crate::calendar::Day;
use crate::config::Failure;
use crate::hook::{HookError, Refusal};
use crate::provider::Accent;

/// The longest time that a client is told to wait with its request in hand, in s: SDKs
/// wait as long as they are told up to this, and then try at shorter intervals.
/// <https://github.com/anthropics/anthropic-sdk-python> (`_calculate_retry_timeout`, seen 2026-11).
const WAIT_SECONDS_MAX: u64 = 60;

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client sent what cannot be served.
    Client,
    /// A hook refused, or failed under the policy `refuse`.
    Hook,
    /// The upstream refused, failed or was silent.
    Upstream,
    /// The gateway has no room or no time left.
    Gateway,
}

impl Origin {
    /// Its name, for hooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Hook => "hook",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// What an attempt failed of, as far as it decides whether there is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Of something that no other attempt would mend.
    Own,
    /// Its target was passed over: another may be had.
    Skipped,
    /// The upstream failed; the policy knows what is done about it.
    Failed(Failure),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("refused"),
            Self::Skipped => f.write_str("skipped"),
            Self::Failed(Failure::Connect) => f.write_str("connect"),
            Self::Failed(Failure::Timeout) => f.write_str("timeout"),
            Self::Failed(Failure::Overflow) => f.write_str("overflow"),
            Self::Failed(Failure::ContentPolicy) => f.write_str("content_policy"),
            Self::Failed(Failure::Status(status)) => write!(f, "{status}"),
        }
    }
}

/// What an upstream's error with this status and these words is.
fn failure(status: u16, message: &str) -> Failure {
    match status {
        400 | 413 | 422 if is_overflow(message) => Failure::Overflow,
        400 | 403 | 422 | 451 if is_refusal(message) => Failure::ContentPolicy,
        _ => Failure::Status(status),
    }
}

/// A failed call.
#[derive(Clone, Debug)]
pub struct Error {
    /// Who is at fault.
    pub origin: Origin,
    /// HTTP status for the client.
    pub status: u16,
    /// Error kind in Anthropic's vocabulary.
    pub kind: Cow<'static, str>,
    /// What the client's user reads.
    pub message: String,
    /// Machine-readable details, JSON text.
    pub details: Option<Cow<'static, str>>,
    /// Headers for the client: when to try again, what is left of a quota. Boxed,
    /// since most errors have none.
    pub headers: Option<Box<HeaderMap>>,
    /// Whether the same request can ever succeed: clients retry for minutes
    /// unless they are told that it cannot.
    pub hopeless: bool,
    /// What an attempt failed of, which decides whether there is another.
    pub cause: Cause,
}

impl Error {
    fn new(origin: Origin, status: u16, message: impl Into<String>) -> Self {
        Self {
            origin,
            status,
            kind: Cow::Borrowed(kind_of_status(status)),
            message: message.into(),
            details: None,
            headers: None,
            hopeless: false,
            cause: Cause::Own,
        }
    }

    /// The client's request cannot be served with this status.
    pub fn client(status: u16, message: impl Into<String>) -> Self {
        Self {
            hopeless: true,
            ..Self::new(Origin::Client, status, message)
        }
    }

    /// The client showed no key, or an unknown one.
    pub fn unauthorised() -> Self {
        // Claude Code shows "Not logged in, please run /login" instead of any
        // message that names the header `x-api-key` (2.1.330, seen 2026-11).
        Self::client(
            401,
            "no valid API key: send one of the gateway's keys as bearer token",
        )
    }

    /// The client's key was good until the end of `day`.
    pub fn expired(client: &str, day: Day) -> Self {
        Self::client(
            401,
            format!("the API key of `{client}` has expired, after {day}"),
        )
    }

    /// A body larger than the limit, in bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::client(
            413,
            format!("request body exceeds {limit} bytes (`limits.body_bytes_max`)"),
        )
    }

    /// A model name that no route matches.
    pub fn unknown_model(model: &str, nearest: &[String]) -> Self {
        let nearest: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
        let hint = match nearest.as_slice() {
            [] => "`models` has no names".to_owned(),
            names => format!("did you mean {}?", names.join(", ")),
        };
        Self::client(404, format!("model `{model}` is not configured; {hint}"))
    }

    /// The request cannot be carried whole, and its route demands that it is.
    pub fn lossy(losses: &Losses, upstream: &str) -> Self {
        let listed: Vec<_> = losses.listed().iter().map(ToString::to_string).collect();
        Self {
            cause: Cause::Skipped,
            ..Self::client(
                400,
                format!(
                    "upstream `{upstream}` cannot take the whole request, and the model's `on_loss` is `refuse`: {}",
                    listed.join("; ")
                ),
            )
        }
    }

    /// The upstream answered with an error.
    pub fn upstream(name: &str, status: u16, message: &str) -> Self {
        // The gateway's key failed, not the client's: trying again cannot help.
        let hopeless = matches!(status, 401..=404);
        // The words upon which clients act must stay at the front.
        let message = if matches!(status, 400 | 413 | 422) {
            message.to_owned()
        } else {
            format!("upstream `{name}`: {message}")
        };
        let status = match status {
            400..600 => status,
            _ => 502,
        };
        Self {
            hopeless,
            cause: Cause::Failed(failure(status, &message)),
            ..Self::new(Origin::Upstream, status, message)
        }
    }

    /// The upstream failed inside an answer, with an error of this kind.
    pub fn upstream_kind(name: &str, kind: &str, message: &str) -> Self {
        let status = match status_of_kind(kind) {
            500 => 502,
            status => status,
        };
        Self::upstream(name, status, message)
    }

    /// The same, known to be `failure`.
    pub fn caused_by(self, failure: Failure) -> Self {
        Self {
            cause: Cause::Failed(failure),
            ..self
        }
    }

    /// The upstream ended its answer before it began, since a policy forbade it.
    pub fn forbidden(name: &str) -> Self {
        let message = format!("upstream `{name}` must not answer this, by its policy on content");
        Self::new(Origin::Upstream, 400, message).caused_by(Failure::ContentPolicy)
    }

    /// The upstream could not be reached, or was silent for too long.
    pub fn unreachable(name: &str, failure: Failure, what: &str) -> Self {
        let (status, help) = match failure {
            Failure::Timeout => (504, ""),
            Failure::Connect => (502, "; check that it runs, and its `base_url`"),
            _ => (502, ""),
        };
        let message = format!("upstream `{name}` {what}{help}");
        Self {
            cause: Cause::Failed(failure),
            ..Self::new(Origin::Upstream, status, message)
        }
    }

    /// The upstream was not asked.
    pub fn skipped(name: &str, why: &str) -> Self {
        Self {
            cause: Cause::Skipped,
            ..Self::new(
                Origin::Upstream,
                503,
                format!("upstream `{name}` was skipped {why}"),
            )
        }
    }

    /// There is no room for the call, at the gateway or at an upstream.
    pub fn busy(what: &str, retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
        let headers = [(RETRY_AFTER, HeaderValue::from(seconds))];
        Self {
            cause: Cause::Skipped,
            headers: Some(Box::new(HeaderMap::from_iter(headers))),
            ..Self::new(
                Origin::Gateway,
                503,
                format!("{what} has all the calls that it takes; try again in {seconds} s"),
            )
        }
    }

    /// A model that the client's key is not for. As vendors do, it is not there.
    pub fn forbidden_model(model: &str, client: &str, allowed: &[String]) -> Self {
        let allowed: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "model `{model}` is not for key `{client}`; it may ask for {}",
            allowed.join(", ")
        );
        Self::client(404, message)
    }

    /// A limit of the client's key is reached, for so long; none if it will not change.
    /// `message` says until when.
    pub fn limited(message: String, wait: Option<Duration>) -> Self {
        let seconds = wait.map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64);
        let headers = seconds.map(|seconds| {
            let headers = [(RETRY_AFTER, HeaderValue::from(seconds))];
            Box::new(HeaderMap::from_iter(headers))
        });
        Self {
            hopeless: seconds.is_none_or(|seconds| seconds > WAIT_SECONDS_MAX),
            headers,
            ..Self::new(Origin::Gateway, 429, message)
        }
    }

    /// The client's budget is one of money, and what the target costs is not known.
    pub fn unpriced(target: &str, client: &str) -> Self {
        let message = format!(
            "target `{target}` has no price, and key `{client}` has a budget in dollars; the operator adds it to `prices`, or allows it (`unpriced: allow`)"
        );
        Self {
            cause: Cause::Skipped,
            ..Self::client(403, message)
        }
    }

    /// All the calls that the client's key may have at once are running.
    pub fn too_many(client: &str, retry_after: Duration) -> Self {
        let what = format!("key `{client}`");
        Self {
            status: 429,
            ..Self::busy(&what, retry_after)
        }
    }

    /// The store that counts what keys use up fails, and nobody can tell what is left.
    pub fn uncounted() -> Self {
        let message = "the gateway cannot count calls at the moment, and refuses them (`state.on_store_failure`)";
        Self::new(Origin::Gateway, 503, message)
    }

    /// A prompt of about `tokens` fits into no target's window.
    pub fn too_long(tokens: u64, limit: u64, model: &str) -> Self {
        // The words upon which Claude Code compacts the conversation.
        let message = format!(
            "prompt is too long: {tokens} tokens > {limit} maximum (estimated by the gateway from `context_window` of the model `{model}`)"
        );
        Self::client(400, message)
    }

    /// The call has lasted as long as any may.
    pub fn overdue(total_ms: u64) -> Self {
        let message =
            format!("the call took longer than {total_ms} ms (`limits.total_timeout_ms`)");
        Self::new(Origin::Gateway, 504, message)
    }

    /// The gateway stops, and the call has had its time to end.
    pub fn stopping(streams_ms: u64) -> Self {
        let message = format!(
            "the gateway is stopping, and the call did not end within {streams_ms} ms (`drain.streams_ms`); try again"
        );
        Self::new(Origin::Gateway, 503, message)
    }

    /// How long the upstream wants to be left alone, as seen at `now`.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let headers = self.headers.as_deref()?;
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let number = |text: &str, unit: f64| {
            let number: f64 = text.trim().parse().ok()?;
            Duration::try_from_secs_f64(number * unit).ok()
        };
        let ms = text("retry-after-ms").and_then(|ms| number(ms, 0.001));
        ms.or_else(|| {
            let seconds = text("retry-after")?;
            let date = || httpdate::parse_http_date(seconds).ok();
            let until = || Some(date()?.duration_since(now).unwrap_or_default());
            number(seconds, 1.0).or_else(until)
        })
    }

    /// The accent that an upstream with `accent` should have been spoken to with,
    /// if its refusal tells.
    pub fn lesson(&self, accent: &Accent) -> Option<Accent> {
        let is_refusal = self.origin == Origin::Upstream && matches!(self.status, 400 | 422);
        let message = is_refusal.then_some(&self.message)?;
        accent.corrected(message)
    }

    /// With the kind and message of `body`, an error of Anthropic's that hooks
    /// edited; what is no text there stays as it was.
    pub fn reworded(mut self, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
        if let Some(kind) = text("type") {
            self.kind = Cow::Owned(kind);
        }
        if let Some(message) = text("message") {
            self.message = message;
        }
        self
    }

    /// The same with what the upstream says to programs, if that is still JSON: what
    /// was scrubbed out of it need not have stood inside of a text.
    pub fn with_details(self, details: Option<Cow<'static, str>>) -> Self {
        let is_json = |json: &Cow<'_, str>| serde_json::from_str::<Value>(json).is_ok();
        Self {
            details: details.filter(is_json),
            ..self
        }
    }

    /// A hook broke the call.
    pub fn hook(message: impl Into<String>) -> Self {
        Self::new(Origin::Hook, 500, message)
    }

    /// A hook said no.
    pub fn refused(refusal: Refusal) -> Self {
        let status = if (400..600).contains(&refusal.status) {
            refusal.status
        } else {
            403
        };
        let retry_after = refusal.retry_after_ms.map(|ms| ms.div_ceil(1_000));
        Self {
            kind: if refusal.code.is_empty() {
                Cow::Borrowed(kind_of_status(status))
            } else {
                Cow::Owned(refusal.code)
            },
            hopeless: retry_after.is_none(),
            headers: retry_after.map(|value| {
                let headers = [(RETRY_AFTER, HeaderValue::from(value))];
                Box::new(HeaderMap::from_iter(headers))
            }),
            ..Self::new(Origin::Hook, status, refusal.message)
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::client(400, error.to_string())
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let message = format!("{}: {}", refused.path, refused.message);
        Self {
            details: refused.details.map(Cow::Borrowed),
            ..Self::client(400, message)
        }
    }
}

impl From<HookError> for Error {
    fn from(error: HookError) -> Self {
        Self::hook(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_by_status_and_words() {
        let status = Failure::Status;
        for (code, message, expected) in [
            (
                400,
                "prompt is too long: 9 tokens > 8 maximum",
                Failure::Overflow,
            ),
            (
                400,
                "input length and `max_tokens` exceed context limit: 9",
                Failure::Overflow,
            ),
            (413, "request too large", status(413)),
            (400, "Content Exists Risk", Failure::ContentPolicy),
            (403, "blocked by our content filter", Failure::ContentPolicy),
            (500, "the content filter is down", status(500)),
            (429, "slow down", status(429)),
        ] {
            let error = Error::upstream("up", code, message);
            assert_eq!(error.cause, Cause::Failed(expected), "{code} {message}");
        }
    }

    #[test]
    fn upstreams_ask_for_time_in_three_ways() {
        // <https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (name, value, expected) in [
            ("retry-after", "3", Some(3_000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after-ms", "1200.5", Some(1_200)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT", Some(3_000)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("retry-after", "-1", None),
            ("retry-after", "soon", None),
            ("x-other", "3", None),
        ] {
            let mut error = Error::upstream("up", 429, "slow down");
            let name = http::HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            error.headers = Some(Box::new(headers));
            let got = error.retry_after(now).map(|time| time.as_millis());
            assert_eq!(got, expected, "{value}");
        }
    }
}
