//! What only Chat Completions says of an answer (`ir/beside.rs`), put where the
//! upstream had it: in the completion, in its choice, in the message.

use serde_json::value::RawValue;

use crate::fields::{Extras, Fields, Path};
use crate::ir::{CHAT_MEMBERS, Kept, STANDING, STANDING_BYTES_MAX};
use crate::json::{write_line, write_str};

/// Names of ours: under these nothing else is written.
const COMPLETION: [&str; 7] = [
    "id", "object", "created", "model", "choices", "usage", "error",
];
const CHOICE: [&str; 5] = ["index", "delta", "message", "finish_reason", "stop_reason"];
const MESSAGE: [&str; 6] = [
    "role",
    "content",
    "refusal",
    "reasoning_content",
    "reasoning_details",
    "tool_calls",
];

/// The members that an answer has beside the gateway's own.
#[derive(Debug, Default)]
pub(super) struct Beside<'k> {
    pub(super) completion: Extras<'k>,
    pub(super) choice: Extras<'k>,
    pub(super) message: Extras<'k>,
    pub(super) logprobs: Option<&'k RawValue>,
}

impl<'k> Beside<'k> {
    /// Those among `extras`.
    pub(super) fn of(extras: &'k Kept) -> Self {
        let kept = extras.iter().rfind(|(key, _)| key == CHAT_MEMBERS);
        kept.map_or_else(Self::default, |(_, raw)| Self::read(raw))
    }

    /// Those in what a delta holds.
    pub(super) fn read(raw: &'k RawValue) -> Self {
        let at = &Path::Root;
        let members = |raw| Fields::of(raw, at).unwrap_or_default();
        let mut completion = members(raw);
        let mut choice = completion.take("choice").map(members).unwrap_or_default();
        let message = choice.take("delta").map(members).unwrap_or_default();
        let logprobs = choice.take("logprobs");
        let free = |fields: Fields<'k>, own: &[&str]| {
            let mut members = fields.rest();
            members.retain(|(key, _)| !own.contains(&&**key));
            members
        };
        Self {
            completion: free(completion, &COMPLETION),
            choice: free(choice, &CHOICE),
            message: free(message, &MESSAGE),
            logprobs,
        }
    }
}

/// Append members to an object that has some.
pub(super) fn write_members(out: &mut Vec<u8>, members: &Extras<'_>) {
    for (key, raw) in members {
        out.push(b',');
        write_str(out, key);
        out.push(b':');
        write_line(out, raw.get());
    }
}

/// Append `logprobs`, which every choice has.
pub(super) fn write_logprobs(out: &mut Vec<u8>, logprobs: Option<&RawValue>) {
    out.extend_from_slice(b",\"logprobs\":");
    write_line(out, logprobs.map_or("null", RawValue::get));
}

/// Members that stand in every chunk from the first that has them: OpenAI's SDKs take
/// them from the last one.
#[derive(Debug, Default)]
pub(super) struct Standing(Vec<(String, Box<RawValue>)>);

impl Standing {
    /// Append those of a chunk that says `news`.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, news: &Extras<'_>) {
        write_members(out, news);
        let is_said = |key: &str| news.iter().any(|(name, _)| name == key);
        for (key, raw) in self.0.iter().filter(|(key, _)| !is_said(key)) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            write_line(out, raw.get());
        }
        for (key, raw) in news {
            if STANDING.contains(&&**key) && raw.get().len() <= STANDING_BYTES_MAX {
                self.0.retain(|(known, _)| known != key);
                self.0.push((key.to_string(), (*raw).to_owned()));
            }
        }
    }
}
