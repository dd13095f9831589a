//! A Messages stream, encoded: events in, server-sent events out.
//!
//! ```text
//! message_start ( content_block_start delta* content_block_stop )*
//! message_delta{stop_reason, full usage} message_stop
//! ```
//! Every frame has an `event:` line equal to its `type`: clients drop frames
//! without. The events must come in lawful order (`ir::Order`).

use crate::ir::{BlockStart, Delta, Event, Kept, Order, STOP_MEMBERS, Stop, Usage};
use crate::json::{write_count, write_line, write_str};

use super::response::{BESIDE_DELTA, refusal_details, stop_members, write_kept, write_usage};

/// Encodes one answer.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    model: String,
    /// Shown in `message_start`, until the upstream's own count comes.
    input_estimate: u64,
    usage: Usage,
    /// The start had them, if only as `null`: the end adds none.
    has_details: bool,
    order: Order,
}

impl StreamEncoder {
    /// An encoder for an answer with this fresh `id`, under the model name that
    /// the client asked for.
    pub fn new(id: String, model: String, input_estimate: u64) -> Self {
        Self {
            id,
            model,
            input_estimate,
            usage: Usage::default(),
            has_details: false,
            order: Order::default(),
        }
    }

    /// Whether the answer has ended: nothing may follow.
    pub fn is_ended(&self) -> bool {
        self.order.is_ended()
    }

    /// Append the frames for `event`.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let lawful = self.order.check(event);
        debug_assert_eq!(lawful, Ok(()), "unlawful event {event:?}");
        match event {
            Event::Start { usage, extras, .. } => self.start(usage.as_ref(), extras, out),
            Event::BlockStart {
                index,
                block,
                extras,
            } => block_start(*index, block, extras, out),
            Event::Delta { index, delta } => block_delta(*index, delta, out),
            Event::BlockStop { index } => {
                out.extend_from_slice(
                    b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":",
                );
                write_count(out, (*index).into());
                out.extend_from_slice(b"}\n\n");
            }
            // Held until the stop: clients read the final counts there.
            Event::Usage(usage) => self.usage = usage.clone(),
            Event::Stop(stop) => self.stop(stop, out),
            Event::Error { kind, message } => error(kind, message, out),
        }
    }

    /// Append a keep-alive: allowed anywhere, before the answer begins as well.
    pub fn ping(out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
    }

    /// Append the frame of an error: it ends the stream wherever it stands.
    pub fn error(kind: &str, message: &str, out: &mut Vec<u8>) {
        error(kind, message, out);
    }

    fn start(&mut self, usage: Option<&Usage>, extras: &Kept, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":",
        );
        write_str(out, &self.id);
        out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
        write_str(out, &self.model);
        out.extend_from_slice(
            b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":",
        );
        match usage {
            Some(usage) => {
                write_usage(out, usage);
                self.usage = usage.clone();
            }
            None => {
                let input = self.input_estimate;
                write_usage(
                    out,
                    &Usage {
                        input,
                        ..Usage::default()
                    },
                );
            }
        }
        write_kept(out, extras);
        self.has_details = extras.iter().any(|(key, _)| key == "stop_details");
        out.extend_from_slice(b"}}\n\n");
    }

    fn stop(&self, stop: &Stop<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":",
        );
        write_str(out, stop.reason.word());
        out.extend_from_slice(b",\"stop_sequence\":");
        match &stop.sequence {
            Some(text) => write_str(out, text),
            None => out.extend_from_slice(b"null"),
        }
        let others = stop.extras.iter().filter(|(key, _)| key != STOP_MEMBERS);
        let (mut beside, inside): (Kept, Kept) = others
            .cloned()
            .partition(|(key, _)| BESIDE_DELTA.contains(&key.as_str()));
        beside.extend(stop_members(stop));
        write_kept(out, &inside);
        if let Some(details) = refusal_details(stop).filter(|_| !self.has_details) {
            out.extend_from_slice(b",\"stop_details\":");
            out.extend_from_slice(details.as_bytes());
        }
        out.extend_from_slice(b"},\"usage\":");
        write_usage(out, &self.usage);
        write_kept(out, &beside);
        out.extend_from_slice(b"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }
}

fn block_start(index: u32, block: &BlockStart<'_>, extras: &Kept, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":",
    );
    write_count(out, index.into());
    out.extend_from_slice(b",\"content_block\":");
    match block {
        BlockStart::Text => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\""),
        BlockStart::Thinking => {
            out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"");
        }
        BlockStart::ToolUse { id, name } => {
            out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
            write_str(out, id);
            out.extend_from_slice(b",\"name\":");
            write_str(out, name);
            // Clients take the arguments from deltas alone.
            out.extend_from_slice(b",\"input\":{}");
        }
        BlockStart::Other(raw) => {
            write_line(out, raw.get());
            out.extend_from_slice(b"}\n\n");
            return;
        }
    }
    write_kept(out, extras);
    out.extend_from_slice(b"}}\n\n");
}

fn block_delta(index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
    );
    write_count(out, index.into());
    out.extend_from_slice(b",\"delta\":");
    let (head, text): (&[u8], &str) = match delta {
        Delta::Text(text) => (b"{\"type\":\"text_delta\",\"text\":", text),
        Delta::Thinking(text) => (b"{\"type\":\"thinking_delta\",\"thinking\":", text),
        Delta::Signature(text) => (b"{\"type\":\"signature_delta\",\"signature\":", text),
        Delta::ToolInput(text) => (b"{\"type\":\"input_json_delta\",\"partial_json\":", text),
        Delta::Other(raw) => {
            write_line(out, raw.get());
            out.extend_from_slice(b"}\n\n");
            return;
        }
    };
    out.extend_from_slice(head);
    write_str(out, text);
    out.extend_from_slice(b"}}\n\n");
}

fn error(kind: &str, message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":");
    write_str(out, kind);
    out.extend_from_slice(b",\"message\":");
    write_str(out, message);
    out.extend_from_slice(b"}}\n\n");
}
