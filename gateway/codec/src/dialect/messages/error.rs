//! Messages errors: kinds, statuses, and the body.

use crate::json::{ObjectWriter, write_str};

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
