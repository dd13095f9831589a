//! Earlier reasoning of one message of the model's, on its way back.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::accent::{Accent, ReasoningBack};
use super::content::{Piece, escaped};
use super::envelope::Envelope;
use super::payload::Payload;
use crate::json::{Text, write_array, write_str};

/// Why reasoning that does not go back is reported.
pub(super) const FOREIGN: &str = "reasoning goes back only to the upstream it came from";

/// What goes back with one message.
#[derive(Debug)]
pub(super) struct Replay<'r, 'o> {
    accent: &'o Accent,
    /// Whose reasoning may go back.
    family: &'o str,
    /// Where `texts` go: where the first of them goes.
    place: Place,
    texts: Vec<Piece<'r>>,
    /// Items of `reasoning_details`.
    details: Vec<&'r RawValue>,
    /// `extra_content` of calls, by the client's ids, and of the message.
    calls: Vec<(Cow<'r, str>, &'r RawValue)>,
    message: Option<&'r RawValue>,
}

/// Where reasoning stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Member(&'static str),
    Parts,
    Tags,
}

impl<'r, 'o> Replay<'r, 'o> {
    pub(super) fn new(accent: &'o Accent, family: &'o str) -> Self {
        Self {
            accent,
            family,
            place: Place::Member("reasoning_content"),
            texts: Vec::new(),
            details: Vec::new(),
            calls: Vec::new(),
            message: None,
        }
    }

    /// Take in a thinking block; false if it does not go back.
    pub(super) fn add(&mut self, text: &'r Text<'r>, signature: &'r str) -> bool {
        let Some(envelope) = Envelope::open(signature).filter(|it| it.family == self.family) else {
            return false;
        };
        let payload = envelope.payload.map(Payload::read).unwrap_or_default();
        // Signatures go back whatever becomes of the text.
        self.calls.extend(payload.calls);
        self.message = payload.message.or(self.message);
        if envelope.field == "extra_content" && text.is_empty() {
            return true;
        }
        let text = match payload.text {
            Some(held) if text.is_empty() => Cow::Owned(held.escaped().to_owned()),
            _ => Cow::Borrowed(text.escaped()),
        };
        let place = match (self.accent.reasoning_back, envelope.field) {
            // Templates cut earlier reasoning out of the text themselves.
            (ReasoningBack::Never, _) | (ReasoningBack::Same, "tags") => return false,
            (ReasoningBack::Parts, _) | (ReasoningBack::Same, "content") => Place::Parts,
            (ReasoningBack::Tags, _) => Place::Tags,
            (ReasoningBack::Reasoning | ReasoningBack::Details, _)
            | (ReasoningBack::Same, "reasoning") => Place::Member("reasoning"),
            (ReasoningBack::Same, "reasoning_text") => Place::Member("reasoning_text"),
            _ => Place::Member("reasoning_content"),
        };
        let takes_details = matches!(
            self.accent.reasoning_back,
            ReasoningBack::Same | ReasoningBack::Details
        );
        if takes_details && !payload.details.is_empty() {
            self.details.extend(payload.details);
            return true;
        }
        if self.texts.is_empty() {
            self.place = place;
        }
        // An empty field says that there was reasoning; an empty part says nothing.
        let is_field = matches!(place, Place::Member(_))
            && self.accent.reasoning_back != ReasoningBack::Details;
        if is_field || !text.is_empty() {
            self.texts.push(text);
        }
        true
    }

    /// Whether nothing goes back.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.details.is_empty()
    }

    /// Whether it stands in the message's `content`.
    pub(super) fn is_in_content(&self) -> bool {
        matches!(self.place, Place::Parts | Place::Tags) && !self.texts.is_empty()
    }

    /// Write the message's `content`: `texts`, with reasoning ahead of them
    /// where that is its place. False if there is nothing to write.
    pub(super) fn write_content(&self, out: &mut Vec<u8>, texts: &[Piece<'r>]) -> bool {
        match self.place {
            Place::Parts if !self.texts.is_empty() => {
                out.extend_from_slice(
                    b"[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":",
                );
                write_joined(out, &self.texts, "\\n");
                out.extend_from_slice(b"}]}");
                if !texts.is_empty() {
                    out.extend_from_slice(b",{\"type\":\"text\",\"text\":");
                    write_joined(out, texts, "\\n");
                    out.push(b'}');
                }
                out.push(b']');
            }
            Place::Tags if !self.texts.is_empty() => {
                let text = [
                    Cow::Borrowed("<think>\\n"),
                    Cow::Owned(self.texts.join("\\n")),
                    Cow::Borrowed("\\n</think>\\n\\n"),
                    Cow::Owned(texts.join("\\n")),
                ];
                write_joined(out, &text, "");
            }
            _ if texts.is_empty() => return false,
            _ => write_joined(out, texts, "\\n"),
        }
        true
    }

    /// Write the members that hold the reasoning, if any do.
    pub(super) fn write_members(&self, out: &mut Vec<u8>) {
        if let Some(extra) = self.message {
            out.extend_from_slice(b",\"extra_content\":");
            out.extend_from_slice(extra.get().as_bytes());
        }
        if !self.details.is_empty() {
            out.extend_from_slice(b",\"reasoning_details\":");
            write_array(out, &self.details, |out, item| {
                out.extend_from_slice(item.get().as_bytes());
            });
        }
        match self.place {
            _ if self.accent.reasoning_back == ReasoningBack::Always && self.texts.is_empty() => {
                let placeholder = [escaped(&self.accent.reasoning_placeholder)];
                write_text(out, "reasoning_content", &placeholder);
            }
            Place::Member(field) if !self.texts.is_empty() => write_text(out, field, &self.texts),
            _ => {}
        }
    }

    /// Write what stands beside the call that the client knows as `id`. Of calls
    /// made at once the first has the signature: where none came back with it, it
    /// says so in the endpoint's own words.
    pub(super) fn write_call_member(&mut self, out: &mut Vec<u8>, id: &str, is_first: bool) {
        let at = self.calls.iter().position(|(known, _)| known == id);
        match (at, &self.accent.signature_placeholder) {
            (Some(at), _) => {
                let (_, extra) = self.calls.remove(at);
                out.extend_from_slice(b",\"extra_content\":");
                out.extend_from_slice(extra.get().as_bytes());
            }
            (None, Some(placeholder)) if is_first => write_placeholder(out, placeholder),
            _ => {}
        }
    }
}

/// Append `extra_content` with a signature that is none.
pub(super) fn write_placeholder(out: &mut Vec<u8>, signature: &str) {
    out.extend_from_slice(b",\"extra_content\":{\"google\":{\"thought_signature\":");
    write_str(out, signature);
    out.extend_from_slice(b"}}");
}

fn write_text(out: &mut Vec<u8>, field: &str, texts: &[Piece<'_>]) {
    out.push(b',');
    write_str(out, field);
    out.push(b':');
    write_joined(out, texts, "\\n");
}

/// A string literal of escaped pieces.
pub(super) fn write_joined(out: &mut Vec<u8>, pieces: &[Piece<'_>], separator: &str) {
    out.push(b'"');
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        out.extend_from_slice(piece.as_bytes());
    }
    out.push(b'"');
}
