//! Errors of Chat-Completions upstreams, in every shape they come.

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::ir::UpstreamError;
use crate::json::{as_count, as_str};
use crate::reason;

/// Decode the body of an error with this HTTP status.
pub fn decode_error(status: u16, body: &[u8]) -> UpstreamError {
    UpstreamError {
        status,
        kind: None,
        message: reworded(reason::of_body(status, body)),
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
    }
}

/// Two failures in the words upon which Claude Code compacts the conversation,
/// or lowers its `max_tokens`; the upstream's own words follow.
fn reworded(message: String) -> String {
    let lower = message.to_lowercase();
    let numbers = numbers(&message);
    let overflow = [
        "context length",
        "context window",
        "maximum context",
        "too many tokens",
        "prompt is too long",
        "context_length",
    ];
    if lower.contains("prompt is too long:") {
        return message;
    }
    if overflow.iter().any(|words| lower.contains(words)) {
        let most = numbers.iter().max().copied();
        let least = numbers
            .iter()
            .filter(|number| **number >= 1_000)
            .min()
            .copied();
        return match (most, least) {
            (Some(tokens), Some(limit)) if tokens > limit => {
                format!("prompt is too long: {tokens} tokens > {limit} maximum ({message})")
            }
            (Some(limit), _) => {
                format!(
                    "prompt is too long: {} tokens > {limit} maximum ({message})",
                    limit.saturating_add(1)
                )
            }
            _ => format!("prompt is too long ({message})"),
        };
    }
    if lower.contains("max_tokens") || lower.contains("max_completion_tokens") {
        let (most, least) = (numbers.iter().max(), numbers.iter().min());
        if let (Some(asked), Some(limit)) = (most, least)
            && asked > limit
            && ["too large", "at most", "maximum", "less than", "exceed"]
                .iter()
                .any(|words| lower.contains(words))
        {
            return format!(
                "max_tokens: {asked} > {limit}, which is the maximum allowed number of output tokens for this model ({message})"
            );
        }
    }
    message
}

/// The whole numbers in a text, `1,234` included.
fn numbers(text: &str) -> Vec<u64> {
    let is_part = |c: char| c.is_ascii_digit() || c == ',';
    text.split(|c: char| !is_part(c))
        .filter_map(|part| part.replace(',', "").parse().ok())
        .collect()
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
            r#"{"error":{"message":"the context length is 18446744073709551615"}}"#,
            "prompt is too long: 18446744073709551615 tokens > 18446744073709551615 maximum (the context length is 18446744073709551615)",
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
