//! The reason in an upstream's error, in every shape that vendors give it.
//!
//! Finds words for the client's user in JSON of any shape, in plain text and in
//! web pages, and always finds some. Never changes them but for their length:
//! what they mean is the business of a dialect.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::json::as_str;

/// Longest message passed on, in bytes: an upstream's whole HTML page helps no one.
const MESSAGE_BYTES_MAX: usize = 2_048;

/// The message in the body of an error with this HTTP status.
pub(crate) fn of_body(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = bare(&text);
    let message = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => find_message(raw, 0).map(Cow::into_owned),
        Err(_) => plain_text(text),
    };
    cut(message.unwrap_or_else(|| format!("the upstream gave no reason (HTTP {status})")))
}

/// The message in an error value that stands inside an answer.
pub(crate) fn of_value(raw: &RawValue) -> String {
    cut(find_message(raw, 0).map_or_else(
        || "the upstream failed without a reason".into(),
        Cow::into_owned,
    ))
}

/// A body without what stands around its JSON: Xiaomi MiMo begins error bodies
/// with `data:` (seen 2026-11).
pub(crate) fn bare(text: &str) -> &str {
    text.trim().trim_start_matches("data:").trim_start()
}

/// The HTTP status that an error's lower-case code or type speaks of.
pub(crate) fn status_of_word(word: &str) -> u16 {
    let has = |part: &str| word.contains(part);
    match () {
        () if has("rate") || has("quota") => 429,
        () if has("overload") || has("unavailable") || has("capacity") => 529,
        () if has("timeout") => 504,
        () if has("auth") || has("api_key") => 401,
        () if has("invalid") || has("context_length") || has("bad_request") => 400,
        () => 502,
    }
}

/// The message in an error value: `error.message`, `message`, `detail`, `msg`,
/// `errors[0]`, `base_resp.status_msg`, a string, nested as they like.
fn find_message(raw: &RawValue, depth: usize) -> Option<Cow<'_, str>> {
    if depth > 4 {
        return None;
    }
    if let Some(text) = as_str(raw) {
        return (!text.trim().is_empty()).then_some(text);
    }
    if raw.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
        return items
            .into_iter()
            .find_map(|item| find_message(item, depth + 1));
    }
    let mut fields = Fields::of(raw, &Path::Root).ok()?;
    [
        "error",
        "message",
        "detail",
        "msg",
        "status_msg",
        "errors",
        "base_resp",
    ]
    .into_iter()
    .find_map(|key| find_message(fields.take(key)?, depth + 1))
}

/// The first words of a body that is no JSON; a page's title where it is one.
fn plain_text(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("<title>") {
        return rest
            .split_once("</title>")
            .map(|(title, _)| format!("the upstream sent a web page: {}", title.trim()));
    }
    if text.starts_with('<') {
        return Some("the upstream sent a web page".into());
    }
    (!text.is_empty()).then(|| text.to_owned())
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX)
            .rev()
            .find(|at| message.is_char_boundary(*at))
            .unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}
