//! A whole answer, encoded as a `chat.completion`.
//!
//! Says the same as the stream does: the texts that stand side by side are one
//! text, those with something between them are set apart by a blank line, and
//! likewise reasoning. `refusal` stays null, since an answer that was refused is
//! known by its `finish_reason` alone: only at its end does a stream know it.

use super::carrier;
use crate::fields::{Fields, Path};
use crate::ir::{Losses, Message, MessageBlock, Stop, StopReason, Usage};
use crate::json::{ObjectWriter, as_count, write_array, write_count, write_str};

/// What sets texts apart.
pub(super) const GAP: &str = "\n\n";

/// A whole answer in Chat Completions.
#[derive(Debug)]
pub struct Completion {
    /// The JSON body.
    pub body: Vec<u8>,
    /// What it could not carry.
    pub losses: Losses,
}

/// The body of a whole answer, with this fresh `id` (`chatcmpl-...`), under the
/// model name that the client asked for; `created` in seconds since 1970.
pub fn encode_completion(message: &Message, id: &str, model: &str, created: u64) -> Completion {
    let mut losses = Losses::default();
    let mut out = ObjectWriter::with_capacity(1024);
    out.string("id", id);
    out.string("object", "chat.completion");
    out.member("created", |out| write_count(out, created));
    out.string("model", model);
    out.member("choices", |out| {
        out.extend_from_slice(b"[{\"index\":0,\"message\":");
        write_message(out, &Parts::of(message, &mut losses));
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        write_finish(out, message.stop.as_ref(), &mut losses);
        out.extend_from_slice(b"}]");
    });
    if let Some(usage) = &message.usage {
        out.member("usage", |out| write_usage(out, usage, &mut losses));
    }
    let (body, _) = out.finish();
    Completion { body, losses }
}

/// An answer sorted by where its blocks go.
#[derive(Default)]
struct Parts<'m> {
    content: Joined,
    reasoning: Joined,
    signatures: Vec<(u64, &'m str)>,
    /// Id, name, arguments.
    calls: Vec<[&'m str; 3]>,
}

impl<'m> Parts<'m> {
    fn of(message: &'m Message, losses: &mut Losses) -> Self {
        let mut parts = Self::default();
        let mut thoughts = 0;
        for (i, block) in message.blocks.iter().enumerate() {
            match block {
                MessageBlock::Text(text) => parts.content.add(text),
                MessageBlock::Thinking { text, signature } => {
                    parts.reasoning.set_apart();
                    parts.reasoning.add(text);
                    if !signature.is_empty() {
                        parts.signatures.push((thoughts, signature));
                    }
                    thoughts += 1;
                }
                MessageBlock::ToolUse { id, name, input } => parts.calls.push([
                    id,
                    name,
                    match &**input {
                        "" => "{}",
                        input => input,
                    },
                ]),
                MessageBlock::Other { .. } => {
                    losses.report(format_args!("answer.content[{i}]"), NO_BLOCK);
                }
            }
            if !matches!(block, MessageBlock::Text(_)) {
                parts.content.set_apart();
            }
        }
        parts
    }
}

/// Why a block of another kind is lost.
pub(super) const NO_BLOCK: &str = "a block that has no place in Chat Completions";

/// Texts that become one.
#[derive(Debug, Default)]
struct Joined {
    text: String,
    apart: bool,
}

impl Joined {
    fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.apart) && !self.text.is_empty() {
            self.text.push_str(GAP);
        }
        self.text.push_str(text);
    }

    /// Something stands between what came and what comes.
    fn set_apart(&mut self) {
        self.apart = true;
    }
}

fn write_message(out: &mut Vec<u8>, parts: &Parts<'_>) {
    out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
    match parts.content.text.as_str() {
        "" if !parts.calls.is_empty() => out.extend_from_slice(b"null"),
        text => write_str(out, text),
    }
    out.extend_from_slice(b",\"refusal\":null");
    if !parts.reasoning.text.is_empty() {
        out.extend_from_slice(b",\"reasoning_content\":");
        write_str(out, &parts.reasoning.text);
    }
    if !parts.signatures.is_empty() {
        out.extend_from_slice(b",\"reasoning_details\":");
        write_array(out, &parts.signatures, |out, (index, signature)| {
            carrier::write(out, *index, signature);
        });
    }
    if !parts.calls.is_empty() {
        out.extend_from_slice(b",\"tool_calls\":");
        write_array(out, &parts.calls, |out, [id, name, arguments]| {
            out.extend_from_slice(b"{\"id\":");
            write_str(out, id);
            out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
            write_str(out, name);
            out.extend_from_slice(b",\"arguments\":");
            write_str(out, arguments);
            out.extend_from_slice(b"}}");
        });
    }
    out.push(b'}');
}

/// Append the value of `finish_reason`, and the stop sequence that was met, as
/// vLLM names it: <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>
/// (seen 2026-11).
pub(super) fn write_finish(out: &mut Vec<u8>, stop: Option<&Stop<'_>>, losses: &mut Losses) {
    let Some(stop) = stop else {
        out.extend_from_slice(b"null");
        return;
    };
    let word = match &stop.reason {
        StopReason::EndTurn | StopReason::StopSequence => "stop",
        StopReason::MaxTokens | StopReason::ContextWindowExceeded => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal => "content_filter",
        StopReason::Other(_) => {
            losses.report(
                "answer.stop_reason",
                "a reason that Chat Completions has no word for",
            );
            "stop"
        }
    };
    write_str(out, word);
    if let Some(sequence) = &stop.sequence {
        out.extend_from_slice(b",\"stop_reason\":");
        write_str(out, sequence);
    }
}

/// Append `usage` in OpenAI's arithmetic: the prompt includes what a cache held.
pub(super) fn write_usage(out: &mut Vec<u8>, usage: &Usage, losses: &mut Losses) {
    let prompt = usage
        .input
        .saturating_add(usage.cache_read)
        .saturating_add(usage.cache_write);
    let mut reasoning = 0;
    for (key, raw) in &usage.extras {
        let thinking = (key == "output_tokens_details")
            .then(|| Fields::of(raw, &Path::Root).ok()?.take("thinking_tokens"))
            .flatten()
            .and_then(as_count);
        match thinking {
            Some(count) => reasoning = count,
            None if matches!(raw.get(), "null" | "[]" | "{}") => {}
            None => losses.report(
                format_args!("answer.usage.{key}"),
                "no equivalent in Chat Completions",
            ),
        }
    }
    let counts = [
        ("{\"prompt_tokens\":", prompt),
        (",\"completion_tokens\":", usage.output),
        (",\"total_tokens\":", prompt.saturating_add(usage.output)),
        (
            ",\"prompt_tokens_details\":{\"cached_tokens\":",
            usage.cache_read,
        ),
        (",\"cache_write_tokens\":", usage.cache_write),
        (
            "},\"completion_tokens_details\":{\"reasoning_tokens\":",
            reasoning,
        ),
    ];
    for (key, count) in counts {
        out.extend_from_slice(key.as_bytes());
        write_count(out, count);
    }
    out.extend_from_slice(b"}}");
}
