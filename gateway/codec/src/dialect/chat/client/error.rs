//! Errors as Chat Completions clients read them.
//!
//! <https://platform.openai.com/docs/guides/error-codes> lists them.

use crate::json::{ObjectWriter, write_str};

/// The body of an error: `kind` is a word of the inner form
/// (`rate_limit_error`, ...), `status` decides where that says nothing.
pub fn encode_error(status: u16, kind: &str, message: &str, request_id: &str) -> Vec<u8> {
    let mut body = ObjectWriter::with_capacity(128 + message.len());
    body.member("error", |out| write_error(out, status, kind, message));
    // OpenAI sends it as a header alone; clients ignore the member.
    body.string("request_id", request_id);
    body.finish().0
}

/// Append the value of `error`.
pub(super) fn write_error(out: &mut Vec<u8>, status: u16, kind: &str, message: &str) {
    let (kind, code) = kind_and_code(status, kind, message);
    out.extend_from_slice(b"{\"message\":");
    write_str(out, message);
    out.extend_from_slice(b",\"type\":");
    write_str(out, kind);
    out.extend_from_slice(b",\"param\":null,\"code\":");
    match code {
        Some(code) => write_str(out, code),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// The words that every error decoder of ours puts there where a prompt does not
/// fit, and Anthropic's where prompt and answer together do not.
const OVERFLOW: [&str; 2] = ["prompt is too long", "exceed context limit"];

/// OpenAI's `type` and `code`.
fn kind_and_code(status: u16, kind: &str, message: &str) -> (&'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match (kind, status) {
        ("invalid_request_error" | "request_too_large", _)
            if OVERFLOW.iter().any(|words| message.contains(words)) =>
        {
            (INVALID, Some("context_length_exceeded"))
        }
        ("invalid_request_error" | "request_too_large" | "conflict_error", _) => (INVALID, None),
        ("authentication_error", _) => (INVALID, Some("invalid_api_key")),
        ("permission_error", _) => (INVALID, None),
        ("not_found_error", _) if message.contains("model") => (INVALID, Some("model_not_found")),
        ("not_found_error", _) => (INVALID, None),
        ("billing_error", _) => ("insufficient_quota", Some("insufficient_quota")),
        ("rate_limit_error", _) | (_, 429) => ("rate_limit_error", Some("rate_limit_exceeded")),
        ("api_error" | "overloaded_error" | "timeout_error", _) => ("server_error", None),
        (_, 401) => (INVALID, Some("invalid_api_key")),
        (_, 400..500) => (INVALID, None),
        _ => ("server_error", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, kind: &str, message: &str, expected: &str) {
        let body = encode_error(status, kind, message, "req_1");
        let expected = format!(
            r#"{{"error":{{"message":"{message}","type":{expected}}},"request_id":"req_1"}}"#
        );
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }

    #[test]
    fn speaks_in_openais_types_and_codes() {
        check(
            400,
            "invalid_request_error",
            "m",
            r#""invalid_request_error","param":null,"code":null"#,
        );
        check(
            400,
            "invalid_request_error",
            "prompt is too long: 2 tokens > 1 maximum",
            r#""invalid_request_error","param":null,"code":"context_length_exceeded""#,
        );
        check(
            401,
            "authentication_error",
            "m",
            r#""invalid_request_error","param":null,"code":"invalid_api_key""#,
        );
        check(
            402,
            "billing_error",
            "m",
            r#""insufficient_quota","param":null,"code":"insufficient_quota""#,
        );
        check(
            404,
            "not_found_error",
            "no model `x`",
            r#""invalid_request_error","param":null,"code":"model_not_found""#,
        );
        check(
            429,
            "rate_limit_error",
            "m",
            r#""rate_limit_error","param":null,"code":"rate_limit_exceeded""#,
        );
        check(
            529,
            "overloaded_error",
            "m",
            r#""server_error","param":null,"code":null"#,
        );
        check(
            429,
            "odd",
            "m",
            r#""rate_limit_error","param":null,"code":"rate_limit_exceeded""#,
        );
        check(
            422,
            "odd",
            "m",
            r#""invalid_request_error","param":null,"code":null"#,
        );
        check(
            500,
            "odd",
            "m",
            r#""server_error","param":null,"code":null"#,
        );
    }
}
