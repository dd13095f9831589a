//! What a signature of ours carries beside its thinking block's text: what the
//! upstream wants back and no other place of the client's would hold.
//!
//! ```text
//! [ITEM, ...]                      `reasoning_details`, as they came
//! {"text": "...",                  reasoning that the client was not shown
//!  "details": [ITEM, ...],
//!  "calls": {"ID": EXTRA, ...},    `extra_content` of calls, by the client's ids
//!  "message": EXTRA}               `extra_content` of the message
//! ```
//! Gemini's compatible endpoint keeps signatures in `extra_content`, and refuses
//! a call that comes back without its own:
//! <https://ai.google.dev/gemini-api/docs/thought-signatures> (seen 2026-11).

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::details::Details;
use crate::fields::{Fields, Path};
use crate::json::{ObjectWriter, Text, as_str};

/// Most bytes of reasoning, and of `extra_content`, that one signature carries:
/// it lies in the client's transcript, and comes back with every request.
const BYTES_MAX: usize = 256 << 10;

/// Why what is beyond that bound does not go back.
pub(super) const TOO_LARGE: &str = "too large to go back with the conversation";

// === out: from an answer to the client ===

/// What the next signature of an answer has to carry.
#[derive(Debug, Default)]
pub(super) struct Cargo {
    details: Details,
    text: String,
    text_bytes: usize,
    /// Ids and `extra_content`.
    calls: Vec<(String, String)>,
    message: Option<String>,
    extra_bytes: usize,
}

impl Cargo {
    /// An item of `reasoning_details`; false if there is no more room.
    pub(super) fn detail(&mut self, raw: &RawValue) -> bool {
        self.details.add(raw)
    }

    /// Reasoning that the client is not shown; false if there is no more room. A
    /// part of it would be no reasoning of the model's: then none goes back.
    pub(super) fn hold(&mut self, text: &str) -> bool {
        self.text_bytes += text.len();
        let fits = self.text_bytes <= BYTES_MAX;
        match fits {
            true => self.text.push_str(text),
            false => self.text.clear(),
        }
        fits
    }

    /// What stands beside the call that the client knows as `id`; false if there
    /// is no more room.
    pub(super) fn call(&mut self, id: &str, extra: &str) -> bool {
        let fits = self.has_room(id.len() + extra.len());
        if fits {
            self.calls.push((id.to_owned(), extra.to_owned()));
        }
        fits
    }

    /// What stands beside the message's text; false if there is no more room.
    pub(super) fn message(&mut self, extra: &str) -> bool {
        let fits = self.has_room(extra.len());
        if fits {
            self.message = Some(extra.to_owned());
        }
        fits
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.extra_bytes += bytes;
        self.extra_bytes <= BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.details.is_empty()
            && self.text.is_empty()
            && self.calls.is_empty()
            && self.message.is_none()
    }

    /// The field that a block is said to have come in which holds only this.
    pub(super) fn field(&self) -> &'static str {
        match self.details.is_empty() {
            true => "extra_content",
            false => "reasoning_details",
        }
    }

    /// All of it as JSON, and begin anew; none if there is nothing.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let Self {
            mut details,
            text,
            calls,
            message,
            ..
        } = std::mem::take(self);
        let details = details.take();
        if text.is_empty() && calls.is_empty() && message.is_none() {
            return details;
        }
        let mut payload = ObjectWriter::with_capacity(text.len() + 64);
        if !text.is_empty() {
            payload.string("text", &text);
        }
        if let Some(details) = details {
            payload.raw("details", &details);
        }
        if !calls.is_empty() {
            let mut members = ObjectWriter::with_capacity(64);
            for (id, extra) in &calls {
                members.raw(id, extra);
            }
            let (members, _) = members.finish();
            payload.member("calls", |out| out.extend_from_slice(&members));
        }
        if let Some(message) = message {
            payload.raw("message", &message);
        }
        String::from_utf8(payload.finish().0).ok()
    }
}

/// Whether `extra_content` holds a signature: `{"google": {"thought_signature":
/// "..."}}`, and `vertex` in the place of `google`.
pub(super) fn is_signed(extra: &RawValue) -> bool {
    let at = &Path::Root;
    let vendors = Fields::of(extra, at).map(Fields::rest).unwrap_or_default();
    vendors.into_iter().any(|(_, vendor)| {
        let signature = Fields::of(vendor, at)
            .ok()
            .and_then(|mut fields| as_str(fields.take("thought_signature")?));
        signature.is_some_and(|text| !text.is_empty())
    })
}

// === back: from the client to its upstream ===

/// What a signature carried.
#[derive(Debug, Default)]
pub(super) struct Payload<'a> {
    pub(super) details: Vec<&'a RawValue>,
    pub(super) text: Option<Text<'a>>,
    pub(super) calls: Vec<(Cow<'a, str>, &'a RawValue)>,
    pub(super) message: Option<&'a RawValue>,
}

impl<'a> Payload<'a> {
    /// Read one. The client had it in its hands: what is not as it should be
    /// counts as absent.
    pub(super) fn read(json: &'a str) -> Self {
        let at = &Path::Root;
        if let Ok(details) = serde_json::from_str(json) {
            return Self {
                details,
                ..Self::default()
            };
        }
        let Ok(mut fields) = Fields::parse(json, at) else {
            return Self::default();
        };
        let is_object = |raw: &&RawValue| raw.get().starts_with('{');
        let details = fields.take("details").map(RawValue::get);
        let calls = fields.take_object("calls", at).ok().flatten();
        let mut calls = calls.map(Fields::rest).unwrap_or_default();
        calls.retain(|(_, raw)| is_object(raw));
        Self {
            details: details
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
            text: fields.take("text").and_then(Text::from_raw),
            calls,
            message: fields.take("message").filter(is_object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_was_carried_can_be_read() {
        let mut cargo = Cargo::default();
        assert!(cargo.take().is_none());
        assert!(cargo.detail(raw(r#"{"data":"x"}"#)));
        assert_eq!(cargo.take().unwrap(), r#"[{"data":"x"}]"#);

        assert!(cargo.detail(raw(r#"{"data":"x"}"#)) && cargo.hold("a\n") && cargo.hold("b"));
        assert!(cargo.call("t\"1", r#"{"g":1}"#) && cargo.message(r#"{"g":2}"#));
        let json = cargo.take().unwrap();
        assert!(cargo.is_empty());
        let payload = Payload::read(&json);
        assert_eq!(payload.details[0].get(), r#"{"data":"x"}"#);
        assert_eq!(payload.text.unwrap().decoded(), "a\nb");
        let (id, extra) = &payload.calls[0];
        assert_eq!((&**id, extra.get()), ("t\"1", r#"{"g":1}"#));
        assert_eq!(payload.message.unwrap().get(), r#"{"g":2}"#);
    }

    #[test]
    fn what_is_malformed_is_absent() {
        for json in [
            "",
            "7",
            "{",
            r#"{"text":3,"details":{},"calls":{"a":"b"},"message":[]}"#,
            r#"{"calls":[1]}"#,
        ] {
            let payload = Payload::read(json);
            assert!(
                payload.details.is_empty() && payload.text.is_none(),
                "{json}"
            );
            assert!(
                payload.calls.is_empty() && payload.message.is_none(),
                "{json}"
            );
        }
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let (mut cargo, long) = (Cargo::default(), "x".repeat(BYTES_MAX));
        assert!(cargo.hold(&long) && !cargo.hold("y") && !cargo.hold("z"));
        assert!(!cargo.call("a", &long) && !cargo.message(&long));
        assert!(cargo.is_empty(), "half of it is not the model's reasoning");
    }

    #[test]
    fn signatures_are_told_from_other_extras() {
        assert!(is_signed(raw(r#"{"google":{"thought_signature":"s"}}"#)));
        assert!(is_signed(raw(r#"{"vertex":{"thought_signature":"s"}}"#)));
        for other in [
            r#"{"google":{"thought":true}}"#,
            r#"{"google":{"thought_signature":""}}"#,
            r#"{"thought_signature":"s"}"#,
            "3",
        ] {
            assert!(!is_signed(raw(other)), "{other}");
        }
    }
}
