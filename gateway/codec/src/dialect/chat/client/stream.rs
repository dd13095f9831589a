//! An answer, encoded as `chat.completion.chunk`s.
//!
//! ```text
//! role ( content | reasoning_content | reasoning_details | tool_calls )*
//! finish_reason [usage, if asked for] [DONE]
//! ```
//! Each frame is one `data:` line of JSON. An error ends the stream without
//! `[DONE]`, so that no client takes half an answer for a whole one. The events
//! must come in lawful order (`ir::Order`).

use super::carrier;
use super::completion::{GAP, NO_BLOCK, write_finish, write_usage};
use super::error::write_error;
use crate::ir::{BlockStart, Delta, Event, Losses, Order, Stop, Usage};
use crate::json::{write_count, write_str};

/// Encodes one answer.
#[derive(Debug)]
pub struct CompletionStreamEncoder {
    /// `data: {...,"choices":`, the same in every chunk.
    head: Vec<u8>,
    include_usage: bool,
    usage: Option<Usage>,
    order: Order,
    /// Tool calls so far.
    calls: u64,
    /// Thinking blocks that have begun.
    thoughts: u64,
    open: Open,
    content: Apart,
    reasoning: Apart,
    losses: Losses,
}

/// The open block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Plain,
    ToolUse { has_input: bool },
    Other,
}

/// Whether the next piece is to be set apart from what came.
#[derive(Debug, Default)]
struct Apart {
    written: bool,
    apart: bool,
}

impl Apart {
    /// What goes before a piece that is not empty.
    fn gap(&mut self) -> &'static str {
        let apart = std::mem::take(&mut self.apart);
        if std::mem::replace(&mut self.written, true) && apart {
            GAP
        } else {
            ""
        }
    }
}

impl CompletionStreamEncoder {
    /// An encoder for an answer with this fresh `id` (`chatcmpl-...`), under the
    /// model name that the client asked for; `created` in seconds since 1970.
    /// Token counts are sent only to a client that asked for them.
    pub fn new(id: &str, model: &str, created: u64, include_usage: bool) -> Self {
        let mut head = b"data: {\"id\":".to_vec();
        write_str(&mut head, id);
        head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        write_count(&mut head, created);
        head.extend_from_slice(b",\"model\":");
        write_str(&mut head, model);
        head.extend_from_slice(b",\"choices\":");
        Self {
            head,
            include_usage,
            usage: None,
            order: Order::default(),
            calls: 0,
            thoughts: 0,
            open: Open::Plain,
            content: Apart::default(),
            reasoning: Apart::default(),
            losses: Losses::default(),
        }
    }

    /// Whether the answer has ended: nothing may follow.
    pub fn is_ended(&self) -> bool {
        self.order.is_ended()
    }

    /// What could not be carried.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Append the frames for `event`.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let lawful = self.order.check(event);
        debug_assert_eq!(lawful, Ok(()), "unlawful event {event:?}");
        match event {
            Event::Start { .. } => self.chunk(out, |out| {
                out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            }),
            Event::BlockStart { index, block } => self.block_start(*index, block, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockStop { .. } => self.block_stop(out),
            // Held until the stop, where OpenAI sends it.
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Stop(stop) => self.stop(stop, out),
            Event::Error { kind, message } => Self::error(kind, message, out),
        }
    }

    /// Append a keep-alive: a comment, which every reader of server-sent events
    /// skips; allowed anywhere between frames.
    pub fn ping(out: &mut Vec<u8>) {
        out.extend_from_slice(b": ping\n\n");
    }

    /// Append the frame of an error: it ends the stream wherever it stands.
    pub fn error(kind: &str, message: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: {\"error\":");
        write_error(out, 500, kind, message);
        out.extend_from_slice(b"}\n\n");
    }

    fn block_start(&mut self, index: u32, block: &BlockStart<'_>, out: &mut Vec<u8>) {
        self.open = Open::Plain;
        // Neighbouring texts are one text that its citations had split.
        if !matches!(block, BlockStart::Text) {
            self.content.apart = true;
        }
        match block {
            BlockStart::Text => {}
            BlockStart::Thinking => {
                self.thoughts += 1;
                self.reasoning.apart = true;
            }
            BlockStart::ToolUse { id, name } => {
                self.open = Open::ToolUse { has_input: false };
                self.call(out, |out| {
                    out.extend_from_slice(b",\"id\":");
                    write_str(out, id);
                    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                    write_str(out, name);
                    out.extend_from_slice(b",\"arguments\":\"\"}");
                });
            }
            BlockStart::Other(_) => {
                self.open = Open::Other;
                let at = format_args!("answer.content[{index}]");
                self.losses.report(at, NO_BLOCK);
            }
        }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        // Reported as a whole when it began; an empty piece says nothing.
        if self.open == Open::Other || delta.is_empty() {
            return;
        }
        match delta {
            Delta::Text(text) => {
                let gap = self.content.gap();
                self.piece(b"\"content\":", gap, text, out);
            }
            Delta::Thinking(text) => {
                let gap = self.reasoning.gap();
                self.piece(b"\"reasoning_content\":", gap, text, out);
            }
            Delta::Signature(signature) => {
                let index = self.thoughts.saturating_sub(1);
                self.chunk(out, |out| {
                    out.extend_from_slice(b"\"reasoning_details\":[");
                    carrier::write(out, index, signature);
                    out.push(b']');
                });
            }
            Delta::ToolInput(fragment) => self.arguments(fragment, out),
            Delta::Other(_) => self.losses.report(
                format_args!("answer.content[{index}]"),
                "a piece that has no place in Chat Completions",
            ),
        }
    }

    fn block_stop(&mut self, out: &mut Vec<u8>) {
        if let Open::ToolUse { has_input } = self.open {
            if !has_input {
                self.arguments("{}", out);
            }
            self.calls += 1;
        }
        self.open = Open::Plain;
    }

    fn stop(&mut self, stop: &Stop<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":");
        write_finish(out, Some(stop), &mut self.losses);
        out.extend_from_slice(b"}]");
        self.end_chunk(out);
        // Written in any case, to report what it cannot carry.
        let mut usage = Vec::new();
        if let Some(counts) = &self.usage {
            write_usage(&mut usage, counts, &mut self.losses);
        }
        if self.include_usage && !usage.is_empty() {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"[],\"usage\":");
            out.extend_from_slice(&usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn piece(&self, key: &[u8], gap: &str, text: &str, out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            out.extend_from_slice(key);
            match gap {
                "" => write_str(out, text),
                gap => write_str(out, &format!("{gap}{text}")),
            }
        });
    }

    fn arguments(&mut self, fragment: &str, out: &mut Vec<u8>) {
        self.open = Open::ToolUse { has_input: true };
        self.call(out, |out| {
            out.extend_from_slice(b",\"function\":{\"arguments\":");
            write_str(out, fragment);
            out.push(b'}');
        });
    }

    /// A piece of the open tool call, with the members that `members` appends.
    fn call(&self, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
        self.chunk(out, |out| {
            out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            write_count(out, self.calls);
            members(out);
            out.extend_from_slice(b"}]");
        });
    }

    /// A chunk whose delta has the members that `delta` appends.
    fn chunk(&self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"[{\"index\":0,\"delta\":{");
        delta(out);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null}]");
        self.end_chunk(out);
    }

    fn end_chunk(&self, out: &mut Vec<u8>) {
        if self.include_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }
}
