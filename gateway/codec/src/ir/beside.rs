//! What only Chat Completions says of an answer: `logprobs`, `annotations`,
//! `service_tier`, members of a vendor's own.
//!
//! ```text
//! {"service_tier": ..,                   members of the completion
//!  "choice": {"logprobs": ..,            members of its choice
//!             "delta": {"audio": ..}}}   members of the message
//! ```
//! It belongs to no block. A stream brings it piece by piece, as a delta of
//! whichever block is open, since much of it is what was said; the few members that
//! stand in every chunk, and say nothing of the conversation, are extras of the start
//! or the stop. Of a whole answer all of it is one member of the extras. A decoder
//! gives it out only for clients of the same dialect.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{Delta, Kept};
use crate::fields::{Fields, Path};
use crate::json::{as_str, write_array, write_object};

/// The member of extras that holds it.
pub const CHAT_MEMBERS: &str = "chat_completion";

/// The member of a stop's extras that holds what a Messages upstream says beside the
/// `delta` of its `message_delta`, rather than in it: an object.
pub const STOP_MEMBERS: &str = "message_delta";

/// Members that stand in every chunk where they stand in one, and say nothing of the
/// conversation. <https://platform.openai.com/docs/api-reference/chat-streaming>;
/// `provider` is OpenRouter's (seen 2026-11).
pub(crate) const STANDING: [&str; 3] = ["service_tier", "system_fingerprint", "provider"];

/// Longest value that is one of those.
pub(crate) const STANDING_BYTES_MAX: usize = 256;

/// `type` of a delta that holds it.
pub(crate) const CHAT_DELTA: &str = "chat_completion_delta";

/// The delta that holds `members`, an object's JSON text.
pub(crate) fn chat_delta(members: &str) -> Option<Delta<'static>> {
    let json = format!(r#"{{"type":"{CHAT_DELTA}","{CHAT_MEMBERS}":{members}}}"#);
    let raw = RawValue::from_string(json).ok()?;
    Some(Delta::Other(Cow::Owned(raw)))
}

/// What a delta holds of it; none if it is another delta.
pub(crate) fn chat_members(delta: &RawValue) -> Option<&RawValue> {
    memchr::memmem::find(delta.get().as_bytes(), CHAT_DELTA.as_bytes())?;
    let mut fields = Fields::of(delta, &Path::Root).ok()?;
    let kind = fields.take("type").and_then(as_str)?;
    fields.take(CHAT_MEMBERS).filter(|_| kind == CHAT_DELTA)
}

/// Take it out of `extras`.
pub(crate) fn take_chat_members(extras: &mut Kept) -> Vec<Box<RawValue>> {
    let mut taken = Vec::new();
    if extras.iter().any(|(key, _)| key == CHAT_MEMBERS) {
        let is_ours = |(key, _): &mut (String, _)| key == CHAT_MEMBERS;
        taken.extend(extras.extract_if(.., is_ours).map(|(_, raw)| raw));
    }
    taken
}

/// The member that `pieces` amount to, in their order.
pub(crate) fn merged(pieces: &[Box<RawValue>]) -> Option<(String, Box<RawValue>)> {
    let raw = match pieces {
        [] => return None,
        [only] => only.clone(),
        pieces => {
            let mut whole = Node::Object(Members::default());
            for piece in pieces {
                whole.add(piece, Growth::Completion, 0);
            }
            let mut out = Vec::new();
            whole.write(&mut out);
            RawValue::from_string(String::from_utf8(out).ok()?).ok()?
        }
    };
    Some((CHAT_MEMBERS.to_owned(), raw))
}

/// Objects within objects that are merged; deeper ones replace each other.
const DEPTH_MAX: usize = 8;

/// How what comes later joins what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// It takes its place; but for the choice.
    Completion,
    /// Lists go on, objects gain members, all else takes its place.
    Choice,
    /// Texts go on as well, as in every delta.
    Delta,
    /// It takes its place.
    Never,
}

impl Growth {
    fn of_member(self, key: &str) -> Self {
        // Said once, or once more in every piece.
        const NAMES: [&str; 5] = ["id", "type", "role", "name", "format"];
        match (self, key) {
            (Self::Completion, "choice") => Self::Choice,
            (Self::Completion, _) => Self::Never,
            (Self::Choice, "delta") => Self::Delta,
            (Self::Delta, name) if NAMES.contains(&name) => Self::Choice,
            (growth, _) => growth,
        }
    }
}

enum Node<'a> {
    Object(Members<'a>),
    Array(Vec<&'a RawValue>),
    /// String literals without their quotes.
    Text(Vec<&'a str>),
    Other(&'a RawValue),
}

#[derive(Default)]
struct Members<'a> {
    members: Vec<(Cow<'a, str>, Node<'a>)>,
    at: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Node<'a> {
    fn new(raw: &'a RawValue, growth: Growth, depth: usize) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            _ if growth == Growth::Never => Self::Other(raw),
            Some(b'{') if depth < DEPTH_MAX => {
                let mut object = Self::Object(Members::default());
                object.add(raw, growth, depth);
                object
            }
            Some(b'[') => match serde_json::from_str(text) {
                Ok(items) => Self::Array(items),
                Err(_) => Self::Other(raw),
            },
            Some(b'"') if growth == Growth::Delta => Self::Text(vec![inside(text)]),
            _ => Self::Other(raw),
        }
    }

    fn add(&mut self, raw: &'a RawValue, growth: Growth, depth: usize) {
        match self {
            Self::Object(object) if raw.get().starts_with('{') => {
                let fields = Fields::of(raw, &Path::Root).unwrap_or_default();
                for (key, raw) in fields.rest() {
                    object.add(key, raw, growth, depth);
                }
            }
            Self::Array(items) if raw.get().starts_with('[') => {
                let more: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
                items.extend(more);
            }
            Self::Text(pieces) if raw.get().starts_with('"') => pieces.push(inside(raw.get())),
            _ => *self = Self::new(raw, growth, depth),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Object(object) => {
                let members = object.members.iter().map(|(key, node)| (key, node));
                write_object(out, members, |out, node| node.write(out));
            }
            Self::Array(items) => write_array(out, items, |out, item| {
                out.extend_from_slice(item.get().as_bytes());
            }),
            Self::Text(pieces) => {
                out.push(b'"');
                out.extend(pieces.iter().flat_map(|piece| piece.bytes()));
                out.push(b'"');
            }
            Self::Other(raw) => out.extend_from_slice(raw.get().as_bytes()),
        }
    }
}

impl<'a> Members<'a> {
    fn add(&mut self, key: Cow<'a, str>, raw: &'a RawValue, growth: Growth, depth: usize) {
        let growth = growth.of_member(&key);
        if let Some(at) = self.at.get(&key) {
            return self.members[*at].1.add(raw, growth, depth + 1);
        }
        self.at.insert(key.clone(), self.members.len());
        let node = Node::new(raw, growth, depth + 1);
        self.members.push((key, node));
    }
}

/// What stands between the quotes of a literal.
fn inside(literal: &str) -> &str {
    let inner = literal.strip_prefix('"');
    inner
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: &str) {
        let pieces: Vec<Box<RawValue>> = pieces
            .iter()
            .map(|piece| serde_json::from_str(piece).unwrap())
            .collect();
        let (key, raw) = merged(&pieces).unwrap();
        assert_eq!((&*key, raw.get()), (CHAT_MEMBERS, expected));
    }

    #[test]
    fn pieces_become_one() {
        check(&[r#"{"a": 1}"#], r#"{"a": 1}"#);
        check(
            &[r#"{"a":[1],"b":{"x":1}}"#, r#"{"a":[2],"b":{"y":1}}"#],
            r#"{"a":[2],"b":{"y":1}}"#,
        );
        check(
            &[
                r#"{"choice":{"logprobs":{"content":[1.50],"refusal":null},"w":"a"}}"#,
                r#"{"choice":{"logprobs":{"content":[2]},"w":"b"},"t":1}"#,
                r#"{"choice":{"logprobs":{"content":[]}}}"#,
            ],
            r#"{"choice":{"logprobs":{"content":[1.50,2],"refusal":null},"w":"b"},"t":1}"#,
        );
        check(
            &[
                r#"{"choice":{"delta":{"audio":{"id":"i","transcript":"a\n"},"list":[1]}}}"#,
                r#"{"choice":{"delta":{"audio":{"id":"i","transcript":"\u00e9"},"list":[2]}}}"#,
            ],
            r#"{"choice":{"delta":{"audio":{"id":"i","transcript":"a\n\u00e9"},"list":[1,2]}}}"#,
        );
        check(
            &[r#"{"choice":{"a":1}}"#, r#"{"choice":7}"#],
            r#"{"choice":7}"#,
        );
    }

    #[test]
    fn deltas_hold_it() {
        let Some(Delta::Other(raw)) = chat_delta(r#"{"x":1}"#) else {
            panic!("a delta");
        };
        assert_eq!(chat_members(&raw).unwrap().get(), r#"{"x":1}"#);
        let other = r#"{"type":"citations_delta","chat_completion":{"x":"chat_completion_delta"}}"#;
        assert!(chat_members(serde_json::from_str(other).unwrap()).is_none());
    }
}
