//! Calls of tools, and what they answered.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Encoder;
use crate::dialect::chat::accent::EmptyContent;
use crate::dialect::chat::content::{Media, TurnContent, escaped, is_pdf};
use crate::dialect::chat::marks;
use crate::dialect::chat::replay::Replay;
use crate::fields::Path;
use crate::ir::{Block, Role};
use crate::json::write_str;

/// What stands in for a tool result that the conversation lacks.
const NO_RESULT: &str = "[no result was recorded for this call]";

/// A tool call that still waits for its result.
pub(super) struct Pending<'r> {
    pub(super) id: &'r str,
    sent_id: String,
    pub(super) result: Option<(&'r [Block<'r>], bool, String)>,
    /// The cache mark of that result.
    pub(super) mark: Option<&'r RawValue>,
    /// The message of its own that the call stands in, with the comma ahead of it:
    /// where an upstream takes one call a message.
    message: Vec<u8>,
}

/// A call: its id, its tool's name, and its input.
pub(super) type Call<'r> = (&'r str, &'r str, &'r RawValue);

impl<'r> Encoder<'r, '_> {
    pub(super) fn tool_message(&mut self, call: Pending<'r>, media: &mut TurnContent<'r>) {
        let mut result = TurnContent::new(Media::default());
        if let Some((blocks, is_error, at)) = call.result {
            for (k, block) in blocks.iter().enumerate() {
                let parent = Path::Key(&Path::Root, &at);
                let parent = parent.key("content");
                self.result_block(block, call.id, &parent.index(k), &mut result, media);
            }
            if is_error {
                result.mark_error();
            }
        } else {
            result.text(escaped(NO_RESULT));
        }
        if result.is_empty() {
            result.text(escaped(&self.accent.empty_result));
        }
        let mark = call.mark.or(self.mark.take());
        self.out.extend_from_slice(&call.message);
        self.begin_message("tool");
        marks::write_text(&mut self.out, result.texts(), "\\n", mark);
        self.out.extend_from_slice(b",\"tool_call_id\":");
        write_str(&mut self.out, &call.sent_id);
        self.end_message();
    }

    /// A block of a tool's result: a `tool` message holds only text, so media
    /// follow in the user message.
    fn result_block(
        &mut self,
        block: &'r Block<'r>,
        call: &str,
        at: &Path<'_>,
        result: &mut TurnContent<'r>,
        media: &mut TurnContent<'r>,
    ) {
        match block {
            Block::Image { source, extras } => {
                self.block_extras(extras, at);
                result.text(Cow::Borrowed("[image follows]"));
                media.text(escaped(&format!("[image of the result of call {call}]")));
                media.image(source, at, &mut self.losses);
            }
            Block::Document(raw) if media.takes_files() && is_pdf(raw) => {
                result.text(Cow::Borrowed("[document follows]"));
                media.text(escaped(&format!("[document of the result of call {call}]")));
                media.document(raw, at, &mut self.losses);
            }
            Block::Document(raw) => result.document(raw, at, &mut self.losses),
            _ => self.user_block(block, Role::User, at, result),
        }
    }

    /// Write `tool_calls` of the message that is open. Where an upstream takes one
    /// call a message, the others wait, each in a message of its own, for the result
    /// of the one before.
    pub(super) fn tool_calls(
        &mut self,
        calls: &[Call<'r>],
        replay: &mut Replay<'r, '_>,
    ) -> Vec<Pending<'r>> {
        let mut pending = Vec::with_capacity(calls.len());
        for (i, call) in calls.iter().enumerate() {
            let (mut json, sent_id) = (Vec::new(), self.sent_id(call));
            let is_apart = i > 0 && self.accent.split_calls;
            self.call(&mut json, call, &sent_id);
            replay.write_call_member(&mut json, call.0, i == 0 || is_apart);
            json.push(b'}');
            let mut message = Vec::new();
            if is_apart {
                message = self.message_of_call(&json);
            } else {
                self.out.extend_from_slice(match i {
                    0 => b",\"tool_calls\":[",
                    _ => b",",
                });
                self.out.extend_from_slice(&json);
            }
            pending.push(Pending {
                id: call.0,
                sent_id,
                result: None,
                mark: None,
                message,
            });
        }
        if !calls.is_empty() {
            self.out.push(b']');
        }
        pending
    }

    fn sent_id(&mut self, call: &Call<'r>) -> String {
        self.ids.unused(call.0, self.accent.tool_ids)
    }

    /// Append a call, but for the brace that closes it.
    fn call(&mut self, out: &mut Vec<u8>, (_, name, input): &Call<'r>, sent_id: &str) {
        out.extend_from_slice(b"{\"id\":");
        write_str(out, sent_id);
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        write_str(out, &self.names.legal(name));
        out.extend_from_slice(b",\"arguments\":");
        write_str(out, arguments(input));
        out.push(b'}');
    }

    /// A message of the model's that makes one call and says nothing.
    fn message_of_call(&self, call: &[u8]) -> Vec<u8> {
        let mut out = b",{\"role\":\"assistant\",\"content\":".to_vec();
        out.extend_from_slice(empty_content(self.accent.empty_content));
        Replay::new(self.accent, self.options.family).write_members(&mut out);
        out.extend_from_slice(b",\"tool_calls\":[");
        out.extend_from_slice(call);
        out.extend_from_slice(b"]}");
        out
    }
}

/// `content` of a message that only calls.
pub(super) fn empty_content(form: EmptyContent) -> &'static [u8] {
    match form {
        EmptyContent::Null => b"null",
        EmptyContent::Empty => b"\"\"",
        EmptyContent::Space => b"\" \"",
    }
}

/// The arguments of a call as the model wrote them: Claude Code returns what it
/// could not parse as `{"__unparsedToolInput":{"raw":...}}`, which stays an
/// object, since strict vendors refuse any other text here.
fn arguments(input: &RawValue) -> &str {
    match input.get() {
        text if text.starts_with('{') => text,
        _ => "{}",
    }
}
