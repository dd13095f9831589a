//! Messages errors: kinds, statuses, and the body, written and read.

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::ir::UpstreamError;
use crate::json::{ObjectWriter, as_count, as_str, write_str};
use crate::overflow::reworded;
use crate::reason;

/// The error kind that belongs to an HTTP status.
/// <https://docs.claude.com/en/api/errors> (seen 2026-11).
pub fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 | 408 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

/// The HTTP status that belongs to an error kind.
pub fn status_of_kind(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}

/// Decode the body of an upstream's error with this HTTP status. Anthropic's own
/// words are those that its clients act upon, so they stay as they are; servers
/// that imitate the dialect have others.
pub fn decode_upstream_error(status: u16, body: &[u8]) -> UpstreamError {
    let text = String::from_utf8_lossy(body);
    let body_fields = Fields::parse(reason::bare(&text), &Path::Root).ok();
    let error = body_fields.and_then(|mut fields| fields.take("error"));
    UpstreamError {
        status,
        kind: error.and_then(own_kind),
        message: reworded(reason::of_body(status, body)),
        details: error.and_then(details),
    }
}

/// Decode an error inside a stream or a 200 answer: `raw` is the error value.
pub(super) fn decode_embedded(raw: &RawValue) -> UpstreamError {
    let message = reworded(reason::of_value(raw));
    if let Some(kind) = own_kind(raw) {
        return UpstreamError {
            status: status_of_kind(&kind),
            kind: Some(kind),
            message,
            details: details(raw),
        };
    }
    let mut fields = Fields::of(raw, &Path::Root).unwrap_or_default();
    let code = fields.take("code").or_else(|| fields.take("status"));
    let status = code
        .and_then(as_count)
        .filter(|code| (400..600).contains(code));
    let word = code.or_else(|| fields.take("type")).and_then(as_str);
    let status = status.map_or_else(
        || reason::status_of_word(&word.unwrap_or_default().to_lowercase()),
        |status| status as u16,
    );
    UpstreamError {
        status,
        kind: None,
        message,
        details: details(raw),
    }
}

/// What the error says to programs: an object, whatever is in it.
fn details(error: &RawValue) -> Option<String> {
    let mut fields = Fields::of(error, &Path::Root).ok()?;
    let details = fields.take("details")?;
    let is_object = details.get().starts_with('{');
    is_object.then(|| details.get().to_owned())
}

/// The error's own kind, if it is of Anthropic's vocabulary.
fn own_kind(error: &RawValue) -> Option<String> {
    let mut fields = Fields::of(error, &Path::Root).ok()?;
    let kind = fields.take("type").and_then(as_str)?;
    // OpenAI's `server_error` and the like mean nothing to clients of Messages.
    let is_own = kind == "api_error" || status_of_kind(&kind) != 500;
    is_own.then(|| kind.into_owned())
}

/// An error as Messages clients read it.
#[derive(Debug)]
pub struct ErrorBody<'a> {
    /// `invalid_request_error` and the like.
    pub kind: &'a str,
    /// What the client's user reads.
    pub message: &'a str,
    /// The call's id, so that the log line can be found.
    pub request_id: &'a str,
    /// `error.details`, JSON text.
    pub details: Option<&'a str>,
}

impl ErrorBody<'_> {
    /// The JSON body.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = ObjectWriter::with_capacity(128 + self.message.len());
        body.string("type", "error");
        body.member("error", |out| {
            out.extend_from_slice(b"{\"type\":");
            write_str(out, self.kind);
            out.extend_from_slice(b",\"message\":");
            write_str(out, self.message);
            if let Some(details) = self.details {
                out.extend_from_slice(b",\"details\":");
                out.extend_from_slice(details.as_bytes());
            }
            out.push(b'}');
        });
        body.string("request_id", self.request_id);
        body.finish().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, kind: Option<&str>, message: &str) {
        let error = decode_upstream_error(400, body.as_bytes());
        assert_eq!((error.kind.as_deref(), &*error.message), (kind, message));
        assert_eq!(error.status, 400);
    }

    #[test]
    fn own_errors_keep_their_kind_and_words() {
        let long = "prompt is too long: 210000 tokens > 200000 maximum";
        let body = format!(
            r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"{long}"}},"request_id":"req_1"}}"#
        );
        check(&body, Some("invalid_request_error"), long);
        check(
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Some("overloaded_error"),
            "Overloaded",
        );
        check(
            r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#,
            Some("api_error"),
            "m",
        );
    }

    #[test]
    fn details_pass_as_they_came() {
        #[track_caller]
        fn check(details: &str, expected: Option<&str>) {
            let body = format!(
                r#"{{"type":"error","error":{{"type":"overloaded_error","message":"m","details":{details}}}}}"#
            );
            let error = decode_upstream_error(529, body.as_bytes());
            assert_eq!(error.details.as_deref(), expected);
            let again = ErrorBody {
                kind: "overloaded_error",
                message: "m",
                request_id: "r",
                details: expected,
            };
            let again = decode_upstream_error(529, &again.encode());
            assert_eq!(again.details.as_deref(), expected);
        }
        let code = r#"{ "error_code": "compaction_unavailable", "x":1.50 }"#;
        check(code, Some(code));
        check("null", None);
        check("\"text\"", None);
    }

    #[test]
    fn foreign_errors_are_read_as_well() {
        check(
            r#"{"error":{"message":"m","type":"server_error","code":"x"}}"#,
            None,
            "m",
        );
        check(r#"{"error":"m"}"#, None, "m");
        check(r#"{"detail":[{"msg":"m"}]}"#, None, "m");
        check("plain words", None, "plain words");
        check(
            "<html><title>502 Bad Gateway</title>",
            None,
            "the upstream sent a web page: 502 Bad Gateway",
        );
        check("", None, "the upstream gave no reason (HTTP 400)");
        check("[1,", None, "[1,");
    }

    #[test]
    fn every_kind_has_its_status_and_back() {
        for status in [400, 401, 402, 403, 404, 409, 413, 429, 504, 529, 500] {
            assert_eq!(status_of_kind(kind_of_status(status)), status);
        }
        for status in [422, 412, 431, 499] {
            assert_eq!(kind_of_status(status), "invalid_request_error");
        }
    }
}
