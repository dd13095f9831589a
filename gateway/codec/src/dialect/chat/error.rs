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

/// Words by which vendors say that the prompt does not fit: OpenAI and whoever
/// copies it, llama.cpp, xAI, Moonshot, Gemini, Copilot, DashScope, Groq, Ollama,
/// Z.ai (seen 2026-11).
const OVERFLOW: [&str; 14] = [
    "context length",
    "context_length",
    "context window",
    "context size",
    "maximum context",
    "maximum prompt length",
    "model token limit",
    "input token count",
    "prompt token count",
    "range of input length",
    "reduce the length of the messages",
    "too many tokens",
    "prompt is too long",
    "prompt exceeds max length",
];

/// Smallest number that is taken for a prompt's limit: smaller ones are output
/// limits or error codes (MiniMax's 2013).
const CONTEXT_TOKENS_MIN: u64 = 2_048;

/// Two failures in the words upon which Claude Code compacts the conversation,
/// or lowers its `max_tokens`; the upstream's own words follow.
fn reworded(message: String) -> String {
    let lower = message.to_lowercase();
    if lower.contains("prompt is too long:") {
        return message;
    }
    if let Some((asked, limit)) = output_limit(&lower) {
        return format!(
            "max_tokens: {asked} > {limit}, which is the maximum allowed number of output tokens for this model ({message})"
        );
    }
    if !OVERFLOW.iter().any(|words| lower.contains(words)) {
        return message;
    }
    match context_limit(&lower) {
        Some((tokens, limit)) => {
            format!("prompt is too long: {tokens} tokens > {limit} maximum ({message})")
        }
        None => format!("prompt is too long ({message})"),
    }
}

/// The output tokens asked for and allowed, if an error is about them.
fn output_limit(lower: &str) -> Option<(u64, u64)> {
    if !lower.contains("max_tokens") && !lower.contains("max_completion_tokens") {
        return None;
    }
    let numbers: Vec<u64> = numbers(lower).map(|(_, number)| number).collect();
    // vLLM: the context's length, less the prompt's.
    if let [asked, context, prompt, ..] = numbers[..]
        && lower.contains("is too large:")
        && lower.contains("context length")
        && asked > context.saturating_sub(prompt)
    {
        return Some((asked, context.saturating_sub(prompt)));
    }
    let about_output = ["too large", "at most", "maximum", "less than", "exceed"]
        .iter()
        .any(|words| lower.contains(words));
    let is_overflow = OVERFLOW.iter().any(|words| lower.contains(words));
    let (asked, limit) = (*numbers.iter().max()?, *numbers.iter().min()?);
    (about_output && !is_overflow && asked > limit).then_some((asked, limit))
}

/// The prompt's tokens and the most allowed. Where the prompt's are not told,
/// one more than allowed.
fn context_limit(lower: &str) -> Option<(u64, u64)> {
    let numbers: Vec<_> = numbers(lower)
        .filter(|(_, number)| *number >= CONTEXT_TOKENS_MIN)
        .collect();
    let is_limit = |(at, number): &&(usize, u64)| {
        let before = &lower[..*at];
        let sentence = before
            .rfind(|c: char| c.is_ascii_digit())
            .map_or(0, |at| at + 1);
        let about = [
            "maximum",
            "limit",
            "context",
            "allowed",
            "input length",
            "at most",
        ];
        about.iter().any(|words| before[sentence..].contains(words))
            || lower[*at..].starts_with(&format!("{number} maximum"))
    };
    let (_, limit) = numbers.iter().find(is_limit).copied().or_else(|| {
        let smallest = numbers.iter().min_by_key(|(_, number)| *number);
        smallest.copied()
    })?;
    let most = numbers.iter().map(|(_, number)| *number).max()?;
    Some((most.max(limit.saturating_add(1)), limit))
}

/// The whole numbers in a text and where they begin, `1,234` included.
fn numbers(text: &str) -> impl Iterator<Item = (usize, u64)> {
    let is_part = |c: char| c.is_ascii_digit() || c == ',';
    let mut next = 0;
    text.split_inclusive(move |c| !is_part(c))
        .filter_map(move |piece| {
            let at = next;
            next += piece.len();
            let digits = piece.trim_end_matches(|c| !is_part(c)).replace(',', "");
            Some((at, digits.parse().ok()?))
        })
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
