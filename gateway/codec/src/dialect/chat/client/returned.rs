//! What a message of a Chat client brings back inside the gateway's own items of
//! `reasoning_details`, put where the upstream had it.
//!
//! ```text
//! `extra_content` of calls         -> on the calls with those ids
//! `extra_content` of the message   -> in the message
//! ```
//! Only what this very upstream gave comes out of its envelope.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::carrier;
use crate::dialect::chat::envelope::Envelope;
use crate::dialect::chat::payload::Payload;
use crate::dialect::chat::replay::write_placeholder;
use crate::fields::{Extras, Fields, Path};
use crate::json::{as_str, write_array};

/// What one message brings back.
#[derive(Debug, Default)]
pub(super) struct Returned {
    /// `extra_content` of the message.
    pub(super) message: Option<String>,
    calls: Vec<(String, String)>,
    /// Whether some signature is another upstream's.
    pub(super) is_foreign: bool,
}

impl Returned {
    /// What the message of these members brings back to `family`.
    pub(super) fn of(members: &Extras<'_>, family: &str) -> Self {
        let mut returned = Self::default();
        let details = members.iter().find(|(key, _)| key == "reasoning_details");
        let items: Vec<&RawValue> = details
            .and_then(|(_, raw)| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        for carrier in items.into_iter().filter_map(carrier::read) {
            match Envelope::open(&carrier.signature).filter(|envelope| envelope.family == family) {
                Some(envelope) => returned.unpack(&envelope),
                None => returned.is_foreign = true,
            }
        }
        returned
    }

    fn unpack(&mut self, envelope: &Envelope<'_>) {
        let payload = envelope.payload.map(Payload::read).unwrap_or_default();
        let text = |raw: &RawValue| raw.get().to_owned();
        self.message = payload.message.map(text).or(self.message.take());
        let calls = payload.calls.into_iter();
        self.calls
            .extend(calls.map(|(id, raw)| (id.into_owned(), text(raw))));
    }

    /// `tool_calls` with what stands beside each call; the first one has the
    /// `placeholder` where nothing else does.
    pub(super) fn tool_calls<'a>(
        &self,
        raw: &'a RawValue,
        placeholder: Option<&str>,
    ) -> Cow<'a, str> {
        let calls = match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
            Ok(calls) if !self.calls.is_empty() || placeholder.is_some() => calls,
            _ => return Cow::Borrowed(raw.get()),
        };
        let mut out = Vec::with_capacity(raw.get().len() + 64);
        write_array(&mut out, calls.into_iter().enumerate(), |out, (i, call)| {
            self.tool_call(out, call, placeholder.filter(|_| i == 0));
        });
        String::from_utf8(out).map_or(Cow::Borrowed(raw.get()), Cow::Owned)
    }

    fn tool_call(&self, out: &mut Vec<u8>, raw: &RawValue, placeholder: Option<&str>) {
        let id = Fields::of(raw, &Path::Root).ok().and_then(|mut call| {
            let is_plain = call.take("extra_content").is_none();
            call.take("id").and_then(as_str).filter(|_| is_plain)
        });
        let open = raw.get().strip_suffix('}');
        let (Some(id), Some(open)) = (id, open) else {
            return out.extend_from_slice(raw.get().as_bytes());
        };
        out.extend_from_slice(open.as_bytes());
        match (
            self.calls.iter().find(|(known, _)| *known == id),
            placeholder,
        ) {
            (Some((_, extra)), _) => {
                out.extend_from_slice(b",\"extra_content\":");
                out.extend_from_slice(extra.as_bytes());
            }
            (None, Some(placeholder)) => write_placeholder(out, placeholder),
            (None, None) => {}
        }
        out.push(b'}');
    }
}
