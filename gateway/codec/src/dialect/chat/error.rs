//! Errors of Chat-Completions upstreams, in every shape they come.

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::ir::UpstreamError;
use crate::json::{as_count, as_str};
use crate::overflow::reworded;
use crate::reason;

/// Decode the body of an error with this HTTP status.
pub fn decode_error(status: u16, body: &[u8]) -> UpstreamError {
    UpstreamError {
        status,
        kind: None,
        message: reworded(reason::of_body(status, body)),
        details: None,
    }
}

/// Decode an error inside a stream or a 200 answer: `raw` is the error value.
pub(super) fn decode_embedded(raw: &RawValue, code: Option<&RawValue>) -> UpstreamError {
    let fields = Fields::of(raw, &Path::Root).ok();
    let (mut own_code, mut kind) = (None, None);
    if let Some(mut fields) = fields {
        own_code = fields.take("code").or_else(|| fields.take("status"));
        kind = fields.take("type").and_then(as_str);
    }
    let code = own_code.or(code);
    let status = code
        .and_then(as_count)
        .filter(|code| (400..600).contains(code));
    let word = code
        .and_then(as_str)
        .or(kind)
        .unwrap_or_default()
        .to_lowercase();
    let status = status.map_or_else(|| reason::status_of_word(&word), |status| status as u16);
    UpstreamError {
        status,
        kind: None,
        message: reworded(reason::of_value(raw)),
        details: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, message: &str) {
        assert_eq!(decode_error(400, body.as_bytes()).message, message);
    }

    #[test]
    fn the_message_is_found_in_every_shape() {
        check(r#"{"error":{"message":"m","type":"t","code":null}}"#, "m");
        check(r#"{"error":"m"}"#, "m");
        check(r#"{"object":"error","message":"m"}"#, "m");
        check(r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#, "m");
        check(r#"{"errors":[{"message":"m"}]}"#, "m");
        check(
            r#"{"base_resp":{"status_code":2013,"status_msg":"m"}}"#,
            "m",
        );
        check(r#"[{"error":{"message":"m"}}]"#, "m");
        check(r#"data: {"error":{"message":"m"}}"#, "m");
        check("plain words", "plain words");
        check(
            "<html><head><title>502 Bad Gateway</title>",
            "the upstream sent a web page: 502 Bad Gateway",
        );
        check("", "the upstream gave no reason (HTTP 400)");
        check("{}", "the upstream gave no reason (HTTP 400)");
    }

    #[test]
    fn overflow_and_output_limit_get_the_words_that_heal() {
        check(
            r#"{"error":{"message":"This model's maximum context length is 20000 tokens. However, your messages resulted in 30123 tokens."}}"#,
            "prompt is too long: 30123 tokens > 20000 maximum (This model's maximum context length is 20000 tokens. However, your messages resulted in 30123 tokens.)",
        );
        check(
            "max_tokens is too large: 32000. This model supports at most 8192 completion tokens, whereas you provided 32000.",
            "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for this model (max_tokens is too large: 32000. This model supports at most 8192 completion tokens, whereas you provided 32000.)",
        );
        check(
            "Requests with max_tokens > 4096 must have stream=true",
            "Requests with max_tokens > 4096 must have stream=true",
        );
    }
}
