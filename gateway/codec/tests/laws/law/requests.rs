//! Requests of clients, on their way to an upstream of either dialect.

use serde_json::value::RawValue;
use sluice_codec::dialect::chat::{self, EncodeOptions};
use sluice_codec::dialect::messages;
use sluice_codec::fields::{Fields, Path};
use sluice_codec::ir::{Request, is_own_signature};
use sluice_codec::json::Member;

use super::accents;

/// A Messages request that can be read is written for any Chat upstream and for
/// any Messages upstream as JSON whose members stand where they are said to; what
/// was written is read again. Forwarded to Anthropic, it is the client's own
/// bytes; to others, nothing is left in it that they refuse.
pub(crate) fn messages(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(request) = messages::decode_request(body) else {
        return;
    };
    to_chat(&request, body.len());
    to_messages(&request, body.len());
    for accent in accents::MESSAGES.iter() {
        let forwarded = messages::forward_request(body, &request, MODEL, accent);
        let forwarded = forwarded.expect("the body it is of");
        if *accent == messages::Accent::default() {
            check_forwarded(body, &forwarded.body, &forwarded.members);
        } else {
            check_adapted(&forwarded, accent, body.len());
        }
    }
}

/// The same for a Chat Completions request.
pub(crate) fn chat(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(decoded) = chat::decode_client_request(body) else {
        return;
    };
    let request = &decoded.request;
    if chat::check_translatable(request).is_ok() {
        to_messages(request, body.len());
    }
    for accent in accents::CHAT.iter() {
        let options = EncodeOptions {
            model: MODEL,
            accent,
            family: FAMILY,
        };
        let forward = || chat::forward_request(body, request, options);
        let Ok(forwarded) = forward() else {
            continue;
        };
        check_members(&forwarded.body, &forwarded.members);
        assert_eq!(forwarded.body, forward().expect("it was, before").body);
        bounded(&forwarded.body, body.len());
        let text = text(&forwarded.body);
        if is_tree(body) {
            chat::decode_client_request(text).expect("what was forwarded can be read");
        }
        check_untouched(body, text);
    }
}

const MODEL: &str = "up/\"stream\"";
const FAMILY: &str = "f";

/// Members that an accent can change, drop or add; all others pass as they are.
const CHANGED: [&str; 14] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "top_k",
    "user",
    "parallel_tool_calls",
    "reasoning_effort",
    "temperature",
    "x",
    "tools",
    "thinking",
];

fn to_chat(request: &Request<'_>, length: usize) {
    for accent in accents::CHAT.iter() {
        let options = EncodeOptions {
            model: MODEL,
            accent,
            family: FAMILY,
        };
        let Ok(encoded) = chat::encode_request(request, options) else {
            continue;
        };
        check_members(&encoded.body, &encoded.members);
        let again = chat::encode_request(request, options).expect("it was, before");
        assert_eq!(encoded.body, again.body);
        bounded(&encoded.body, length);
        let text = text(&encoded.body);
        if !is_tree(text) {
            continue;
        }
        match chat::decode_client_request(text) {
            Ok(_) => {}
            // Nothing was said that Chat Completions could say.
            Err(error) if error.to_string() == "messages: at least one message is required" => {}
            Err(error) => panic!("what was written cannot be read: {error}: {text}"),
        }
    }
}

fn to_messages(request: &Request<'_>, length: usize) {
    for accent in accents::MESSAGES.iter() {
        let Ok(encoded) = messages::encode_request(request, MODEL, accent) else {
            continue;
        };
        check_members(&encoded.body, &encoded.members);
        bounded(&encoded.body, length);
        let written = text(&encoded.body);
        if !is_tree(written) {
            continue;
        }
        // Written once more, strings may become blocks; then nothing changes.
        let second = rewritten(written, accent);
        assert_eq!(rewritten(&second, accent), second);
    }
}

/// A Messages request, read and written.
fn rewritten(text: &str, accent: &messages::Accent) -> String {
    let request = messages::decode_request(text)
        .unwrap_or_else(|error| panic!("what was written cannot be read: {error}: {text}"));
    let encoded = messages::encode_request(&request, MODEL, accent).expect("it was, before");
    self::text(&encoded.body).to_owned()
}

/// What was forwarded under `accent` can be read, and has nothing left in it that
/// the accent would change.
fn check_adapted(forwarded: &messages::Encoded, accent: &messages::Accent, length: usize) {
    check_members(&forwarded.body, &forwarded.members);
    bounded(&forwarded.body, length);
    let body = text(&forwarded.body);
    let request = messages::decode_request(body)
        .unwrap_or_else(|error| panic!("what was forwarded cannot be read: {error}: {body}"));
    let again = messages::forward_request(body, &request, MODEL, accent).expect("its body");
    assert_eq!(text(&again.body), body);
}

/// Whether JSON text is more than valid: what passes through unread may be nested
/// too deep for a tree, or hold half a surrogate pair.
fn is_tree(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// `body` is an object with `members` where they are said to stand.
fn check_members(body: &[u8], members: &[Member]) {
    let text = text(body);
    let fields = Fields::parse(text, &Path::Root).expect("an object").rest();
    assert_eq!(fields.len(), members.len(), "{text}");
    for ((name, value), member) in fields.iter().zip(members) {
        let key = format!("\"{}\"", &text[member.key.clone()]);
        let key: String = serde_json::from_str(&key).expect("a key");
        assert_eq!(key, *name);
        assert_eq!(&text[member.value.clone()], value.get());
    }
}

fn bounded(body: &[u8], length: usize) {
    assert!(
        body.len() <= 64 * length + 65_536,
        "grew from {length} to {}",
        body.len()
    );
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).expect("UTF-8")
}

// === forwarding ===

/// All of `body` but the model's name and thinking blocks of ours is in `sent`.
fn check_forwarded(body: &str, sent: &[u8], members: &[Member]) {
    check_members(sent, members);
    let sent = text(sent);
    let model = serde_json::to_string(MODEL).expect("a string");
    let before = Fields::parse(body, &Path::Root).expect("an object").rest();
    let last = before.iter().rposition(|(name, _)| name == "messages");
    assert_eq!(before.len(), members.len());
    // The members that may differ, put back, give the body.
    let mut restored = String::with_capacity(body.len());
    let mut at = 0;
    for (i, ((name, raw), Member { value, .. })) in before.iter().zip(members).enumerate() {
        restored.push_str(&sent[at..value.start]);
        at = value.end;
        let written = &sent[value.clone()];
        if name == "model" {
            assert_eq!(written, model);
        } else if Some(i) == last {
            check_messages(raw.get(), written);
        } else {
            assert_eq!(written, raw.get());
        }
        restored.push_str(raw.get());
    }
    restored.push_str(&sent[at..]);
    assert_eq!(restored, body);
}

/// Messages without thinking blocks of ours, item by item as they came.
fn check_messages(before: &str, sent: &str) {
    let mut expected = Vec::new();
    for raw in items(before) {
        let mut message = Fields::of(raw, &Path::Root).expect("an object");
        let content = message.take("content").map_or("", RawValue::get);
        let blocks = items(content);
        let kept: Vec<_> = blocks.iter().filter(|block| !is_own(block)).collect();
        if kept.len() == blocks.len() {
            expected.push(raw.get().to_owned());
        } else if !kept.is_empty() {
            let kept: Vec<_> = kept.iter().map(|block| block.get()).collect();
            expected.push(kept.join("\n"));
        }
    }
    let sent: Vec<_> = items(sent)
        .into_iter()
        .zip(&expected)
        .map(|(raw, expected)| {
            if raw.get() == expected {
                return expected.clone();
            }
            let mut message = Fields::of(raw, &Path::Root).expect("an object");
            let content = message.take("content").map_or("", RawValue::get);
            let blocks: Vec<_> = items(content).into_iter().map(RawValue::get).collect();
            blocks.join("\n")
        })
        .collect();
    assert_eq!(sent, expected);
}

fn items(text: &str) -> Vec<&RawValue> {
    serde_json::from_str(text).unwrap_or_default()
}

fn is_own(block: &RawValue) -> bool {
    let Ok(mut fields) = Fields::of(block, &Path::Root) else {
        return false;
    };
    let mut text = |key| fields.take_str(key, &Path::Root).ok().flatten();
    let (kind, signature) = (text("type"), text("signature"));
    kind.as_deref() == Some("thinking") && signature.is_some_and(|it| is_own_signature(&it))
}

/// Members of a Chat request that no accent changes are there in their bytes, or
/// gone as a whole.
fn check_untouched(body: &str, sent: &str) {
    let before = Fields::parse(body, &Path::Root).expect("an object");
    for (name, value) in Fields::parse(sent, &Path::Root).expect("an object").rest() {
        if !CHANGED.contains(&&*name) {
            let raw = before.peek(&name).expect("a member that came");
            assert_eq!(raw.get(), value.get(), "{name}");
        }
    }
}
