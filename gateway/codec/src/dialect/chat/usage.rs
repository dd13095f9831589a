//! Token counts in the spellings of the field.

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::ir::{CHAT_MEMBERS, Usage};
use crate::json::as_count;

/// The counts in a `usage` object; none if it holds no usable ones.
///
/// OpenAI counts cached tokens into the prompt, Anthropic does not:
/// `input = prompt - read - written`, never below 0. Reasoning is counted into
/// the completion, unless the vendor leaves it `outside`. What else is counted is
/// `kept` with it.
pub(super) fn decode_usage(raw: &RawValue, outside: bool, kept: bool) -> Option<Usage> {
    let mut usage = Fields::of(raw, &Path::Root).ok()?;
    let mut prompt_details = details(&mut usage, "prompt_tokens_details");
    let mut completion_details = details(&mut usage, "completion_tokens_details");
    let prompt = count(&mut usage, "prompt_tokens");
    let completion = count(&mut usage, "completion_tokens");
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    // OpenAI; DeepSeek <https://api-docs.deepseek.com/guides/kv_cache>; Moonshot
    // (seen 2026-11).
    let cache_read = count(&mut prompt_details, "cached_tokens")
        .or_else(|| count(&mut usage, "prompt_cache_hit_tokens"))
        .or_else(|| count(&mut usage, "cached_tokens"))
        .unwrap_or(0);
    let cache_write = count(&mut prompt_details, "cache_write_tokens").unwrap_or(0);
    let total = count(&mut usage, "total_tokens");
    let reasoning = count(&mut completion_details, "reasoning_tokens").unwrap_or(0);
    let prompt = prompt.unwrap_or(0);
    let mut output = completion.unwrap_or(0);
    // xAI and Perplexity count reasoning beside the completion, and the total
    // tells (seen 2026-11).
    if outside || total == Some(prompt.saturating_add(output).saturating_add(reasoning)) {
        output = output.saturating_add(reasoning);
    }
    let mut decoded = Usage {
        input: prompt
            .saturating_sub(cache_read)
            .saturating_sub(cache_write),
        output,
        cache_read: cache_read.min(prompt),
        cache_write,
        extras: Vec::new(),
    };
    if reasoning > 0 {
        // Some vendors count more reasoning than answer; the part is never more than the whole.
        let thinking = reasoning.min(decoded.output);
        if let Ok(details) = RawValue::from_string(format!("{{\"thinking_tokens\":{thinking}}}")) {
            decoded
                .extras
                .push(("output_tokens_details".into(), details));
        }
    }
    if kept {
        let kept = (CHAT_MEMBERS.to_owned(), raw.to_owned());
        decoded.extras.push(kept);
    }
    Some(decoded)
}

fn details<'a>(usage: &mut Fields<'a>, key: &str) -> Fields<'a> {
    usage
        .take_object(key, &Path::Root)
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn count(fields: &mut Fields<'_>, key: &str) -> Option<u64> {
    fields.take(key).and_then(as_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<(u64, u64, u64, u64)>) {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let got = decode_usage(raw, false, false)
            .map(|u| (u.input, u.cache_read, u.cache_write, u.output));
        assert_eq!(got, expected, "{json}");
    }

    #[test]
    fn cached_tokens_leave_the_input() {
        check(
            r#"{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}"#,
            Some((10, 0, 0, 3)),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2}}"#,
            Some((4, 4, 2, 3)),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":3,"prompt_cache_hit_tokens":8}"#,
            Some((2, 8, 0, 3)),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":3,"cached_tokens":12}"#,
            Some((0, 10, 0, 3)),
        );
    }

    #[test]
    fn reasoning_outside_is_added() {
        let json = r#"{"prompt_tokens":1,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":5}}"#;
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let output = |outside| decode_usage(raw, outside, false).map(|usage| usage.output);
        assert_eq!((output(false), output(true)), (Some(3), Some(8)));
    }

    #[test]
    fn malformed_counts_are_no_counts() {
        check("{}", None);
        check(r#"{"prompt_tokens":null,"completion_tokens":-3}"#, None);
        check(
            r#"{"prompt_tokens":"7","completion_tokens":2.0}"#,
            Some((7, 0, 0, 2)),
        );
        check(
            r#"{"prompt_tokens":[],"completion_tokens":2}"#,
            Some((0, 0, 0, 2)),
        );
        check("3", None);
    }
}
