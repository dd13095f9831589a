//! A Messages answer, whole: encoded for clients, decoded from hooks.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::fields::{DecodeError, Fields, Path, required};
use crate::ir::{Kept, Message, MessageBlock, STOP_MEMBERS, Stop, StopReason, Usage};
use crate::json::{
    ObjectWriter, as_str, trimmed, write_array, write_count, write_line, write_object, write_str,
};

/// Members of an answer that a stream gives at its end, with the stop reason.
pub(super) const KNOWN_AT_END: [&str; 3] = ["stop_details", "container", "context_management"];

/// Members that stand beside `delta` in `message_delta`, not in it.
pub(super) const BESIDE_DELTA: [&str; 1] = ["context_management"];

/// The body of a whole answer, with this fresh `id`, under the model name that
/// the client asked for. Usage is always a full object.
pub fn encode_message(message: &Message, id: &str, model: &str) -> Vec<u8> {
    let mut out = ObjectWriter::with_capacity(1024);
    out.string("id", id);
    out.string("type", "message");
    out.string("role", "assistant");
    out.string("model", model);
    out.member("content", |out| {
        write_array(out, &message.blocks, write_block)
    });
    let stop = message.stop.as_ref();
    out.member("stop_reason", |out| match stop {
        Some(stop) if stop.reason == StopReason::ToolUse => {
            write_str(out, reason_of_calls(&message.blocks));
        }
        Some(stop) => write_str(out, stop.reason.word()),
        None => out.extend_from_slice(b"null"),
    });
    out.member("stop_sequence", |out| {
        match stop.and_then(|stop| stop.sequence.as_deref()) {
            Some(text) => write_str(out, text),
            None => out.extend_from_slice(b"null"),
        }
    });
    let usage = message.usage.clone().unwrap_or_default();
    out.member("usage", |out| write_usage(out, &usage));
    let at_end = stop.map(said_at_end).unwrap_or_default();
    for (key, value) in &message.extras {
        // What is said at the end overrides, unless it says nothing.
        let later = at_end.iter().find(|(name, _)| name == key);
        if later.is_none_or(|(_, later)| later.get() == "null") {
            out.raw(key, value.get());
        }
    }
    for (key, value) in &at_end {
        let earlier = message.extras.iter().any(|(name, _)| name == key);
        if !earlier || value.get() != "null" {
            out.raw(key, value.get());
        }
    }
    if let Some(details) = stop.and_then(refusal_details)
        && !out.has("stop_details")
    {
        out.raw("stop_details", details);
    }
    out.finish().0
}

/// All members that a stop has, wherever a stream has them.
fn said_at_end(stop: &Stop<'_>) -> Kept {
    let others = stop.extras.iter().filter(|(key, _)| key != STOP_MEMBERS);
    let mut said: Kept = others.cloned().collect();
    for (key, raw) in stop_members(stop) {
        if !said.iter().any(|(known, _)| *known == key) {
            said.push((key, raw));
        }
    }
    said
}

/// Members that a stream has beside its last `delta`.
pub(super) fn stop_members(stop: &Stop<'_>) -> Kept {
    let mut holds = stop.extras.iter().filter(|(key, _)| key == STOP_MEMBERS);
    let raw = holds.next().map(|(_, raw)| raw);
    raw.and_then(|raw| Fields::of(raw, &Path::Root).ok())
        .map(kept)
        .unwrap_or_default()
}

/// What clients read beside the stop reason `refusal`, where the upstream does
/// not say it: those of other dialects give no category.
/// <https://docs.claude.com/en/api/messages> (seen 2026-11)
pub(super) fn refusal_details(stop: &Stop<'_>) -> Option<&'static str> {
    let says = stop.extras.iter().any(|(key, _)| key == "stop_details");
    (stop.reason == StopReason::Refusal && !says)
        .then_some(r#"{"type":"refusal","category":null,"explanation":null}"#)
}

/// Append `usage` as an object in which every count is a number.
pub(super) fn write_usage(out: &mut Vec<u8>, usage: &Usage) {
    let counts = [
        ("{\"input_tokens\":", usage.input),
        (",\"cache_creation_input_tokens\":", usage.cache_write),
        (",\"cache_read_input_tokens\":", usage.cache_read),
        (",\"output_tokens\":", usage.output),
    ];
    for (key, count) in counts {
        out.extend_from_slice(key.as_bytes());
        write_count(out, count);
    }
    write_kept(out, &usage.extras);
    out.push(b'}');
}

/// Append further members to an object that has some.
pub(super) fn write_kept(out: &mut Vec<u8>, members: &Kept) {
    for (key, value) in members {
        out.push(b',');
        write_str(out, key);
        out.push(b':');
        write_line(out, value.get());
    }
}

fn write_block(out: &mut Vec<u8>, block: &MessageBlock) {
    match block {
        MessageBlock::Text {
            text,
            citations,
            extras,
        } => {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            write_str(out, text);
            if citations.is_empty() {
                write_kept(out, extras);
            } else {
                out.extend_from_slice(b",\"citations\":");
                write_array(out, citations, |out, raw| write_line(out, raw.get()));
                let others = extras.iter().filter(|(key, _)| key != "citations");
                write_kept(out, &others.cloned().collect());
            }
            out.push(b'}');
        }
        MessageBlock::Thinking {
            text,
            signature,
            extras,
        } => {
            out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
            write_str(out, text);
            out.extend_from_slice(b",\"signature\":");
            write_str(out, signature);
            write_kept(out, extras);
            out.push(b'}');
        }
        MessageBlock::ToolUse {
            id,
            name,
            input,
            extras,
        } => match Input::of(input) {
            Input::Whole(input) => {
                out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
                write_str(out, id);
                out.extend_from_slice(b",\"name\":");
                write_str(out, name);
                out.extend_from_slice(b",\"input\":");
                out.extend_from_slice(input.as_bytes());
                write_kept(out, extras);
                out.push(b'}');
            }
            // The truth, not an invented input: what the model wrote, as text.
            Input::Cut => {
                write_text_block(out, &format!("[incomplete call of tool {name}] {input}"));
            }
            Input::Unreadable => {
                write_text_block(out, &format!("[unreadable call of tool {name}] {input}"));
            }
        },
        MessageBlock::Other { block, deltas } if deltas.is_empty() => {
            out.extend_from_slice(block.get().as_bytes());
        }
        MessageBlock::Other { block, deltas } => write_folded(out, block, deltas),
    }
}

/// A block of another kind with its deltas in it: arguments become `input`,
/// citations join theirs, any other member continues the string of its name or
/// takes its place.
fn write_folded(out: &mut Vec<u8>, block: &RawValue, deltas: &[Box<RawValue>]) {
    let at = &Path::Root;
    let mut folded = Folded::default();
    for (key, raw) in Fields::of(block, at).unwrap_or_default().rest() {
        folded.put(key, Value::Whole(Cow::Borrowed(raw.get())));
    }
    let mut input = String::new();
    let mut citations = Vec::new();
    for delta in deltas {
        let mut fields = Fields::of(delta, at).unwrap_or_default();
        match fields.take("type").and_then(as_str).as_deref() {
            Some("input_json_delta") => {
                input.extend(fields.take("partial_json").and_then(as_str).as_deref());
            }
            Some("citations_delta") => citations.extend(fields.take("citation")),
            _ => {
                for (key, raw) in fields.rest() {
                    folded.go_on(key, raw);
                }
            }
        }
    }
    match Input::of(&input) {
        Input::Whole(whole) if !input.is_empty() => {
            folded.put("input".into(), Value::Whole(Cow::Borrowed(whole)));
        }
        _ => {}
    }
    if !citations.is_empty() {
        let mut list = Vec::new();
        write_array(&mut list, citations, |out, raw| {
            out.extend_from_slice(raw.get().as_bytes());
        });
        let list = String::from_utf8_lossy(&list).into_owned();
        folded.put("citations".into(), Value::Whole(Cow::Owned(list)));
    }
    folded.write(out);
}

/// The members of a block that grows; of a repeated one the last counts, where the
/// first stood.
#[derive(Default)]
struct Folded<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
    at: HashMap<Cow<'a, str>, usize>,
}

/// A member's value.
enum Value<'a> {
    /// JSON text.
    Whole(Cow<'a, str>),
    /// A string that has grown: literals without their quotes.
    Pieces(Vec<&'a str>),
}

impl<'a> Folded<'a> {
    fn put(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        match self.at.get(&key) {
            Some(at) => self.members[*at].1 = value,
            None => {
                self.at.insert(key.clone(), self.members.len());
                self.members.push((key, value));
            }
        }
    }

    /// More of a string, or another value.
    fn go_on(&mut self, key: Cow<'a, str>, raw: &'a RawValue) {
        let inside = |text: &'a str| text.strip_prefix('"')?.strip_suffix('"');
        let known = self.at.get(&key).map(|at| &mut self.members[*at].1);
        match (known, inside(raw.get())) {
            (Some(Value::Pieces(pieces)), Some(more)) => return pieces.push(more),
            (Some(value), Some(more)) => {
                if let Value::Whole(Cow::Borrowed(text)) = value
                    && let Some(first) = inside(text)
                {
                    *value = Value::Pieces(vec![first, more]);
                    return;
                }
            }
            _ => {}
        }
        self.put(key, Value::Whole(Cow::Borrowed(raw.get())));
    }

    fn write(&self, out: &mut Vec<u8>) {
        let members = self.members.iter().map(|(key, value)| (key, value));
        write_object(out, members, |out, value| match value {
            Value::Whole(text) => out.extend_from_slice(text.as_bytes()),
            Value::Pieces(pieces) => {
                out.push(b'"');
                out.extend(pieces.iter().flat_map(|piece| piece.bytes()));
                out.push(b'"');
            }
        });
    }
}

fn write_text_block(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    write_str(out, text);
    out.push(b'}');
}

/// The arguments of a call.
enum Input<'a> {
    /// A whole JSON object; none given means `{}`.
    Whole(&'a str),
    /// The beginning of one.
    Cut,
    /// Something else.
    Unreadable,
}

impl<'a> Input<'a> {
    fn of(text: &'a str) -> Self {
        match trimmed(text) {
            "" => Self::Whole("{}"),
            text if text.starts_with('{') => match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => Self::Whole(text),
                Err(error) if error.is_eof() => Self::Cut,
                Err(_) => Self::Unreadable,
            },
            _ => Self::Unreadable,
        }
    }
}

/// The stop reason of an answer that ended in order to call: a call that is
/// shown as text cannot be waited for.
fn reason_of_calls(blocks: &[MessageBlock]) -> &'static str {
    let inputs = || {
        blocks.iter().filter_map(|block| match block {
            MessageBlock::ToolUse { input, .. } => Some(Input::of(input)),
            _ => None,
        })
    };
    let any = |is: fn(&Input<'_>) -> bool| inputs().any(|input| is(&input));
    if any(|input| matches!(input, Input::Cut)) {
        "max_tokens"
    } else if any(|input| matches!(input, Input::Unreadable))
        && !any(|input| matches!(input, Input::Whole(_)))
    {
        "end_turn"
    } else {
        "tool_use"
    }
}

/// Decode a whole answer in the inner form: what hooks read and write.
pub fn decode_message(body: &str) -> Result<Message, DecodeError> {
    let at = &Path::Root;
    let mut fields = Fields::parse(body, at)?;
    let blocks = fields.take_array("content", at)?.unwrap_or_default();
    let at_content = at.key("content");
    let blocks = blocks
        .into_iter()
        .enumerate()
        .map(|(i, raw)| block(raw, &at_content.index(i)));
    let reason = fields.take_str("stop_reason", at)?;
    let sequence = fields.take_str("stop_sequence", at)?;
    let model = fields.take_str("model", at)?.map(Into::into);
    let usage = fields.take_object("usage", at)?.map(usage).transpose()?;
    for key in ["id", "type", "role"] {
        fields.take(key);
    }
    let (at_end, extras) = kept_apart(fields);
    Ok(Message {
        model,
        blocks: blocks.collect::<Result<_, _>>()?,
        usage,
        extras,
        stop: reason.map(|word| {
            Stop {
                reason: StopReason::from_word(word),
                sequence,
                extras: at_end,
            }
            .into_owned()
        }),
        ..Message::default()
    })
}

/// The other members of an answer: those that a stream gives at its end, and
/// those that it gives at its start.
pub(super) fn kept_apart(fields: Fields<'_>) -> (Kept, Kept) {
    kept(fields)
        .into_iter()
        .partition(|(key, _)| KNOWN_AT_END.contains(&key.as_str()))
}

/// What nobody took, owned.
pub(super) fn kept(fields: Fields<'_>) -> Kept {
    let own = |(key, raw): (Cow<'_, str>, &RawValue)| (key.into_owned(), raw.to_owned());
    fields.rest().into_iter().map(own).collect()
}

fn block(raw: &RawValue, at: &Path<'_>) -> Result<MessageBlock, DecodeError> {
    let mut fields = Fields::of(raw, at)?;
    Ok(
        match &*required(fields.take_str("type", at)?, at, "type")? {
            "text" => MessageBlock::Text {
                text: required(fields.take_str("text", at)?, at, "text")?.into(),
                citations: take_citations(&mut fields),
                extras: kept(fields),
            },
            "thinking" => MessageBlock::Thinking {
                text: fields.take_str("thinking", at)?.unwrap_or_default().into(),
                signature: fields.take_str("signature", at)?.unwrap_or_default().into(),
                extras: kept(fields),
            },
            "tool_use" => MessageBlock::ToolUse {
                id: required(fields.take_str("id", at)?, at, "id")?.into(),
                name: required(fields.take_str("name", at)?, at, "name")?.into(),
                input: required(fields.take("input"), at, "input")?.get().into(),
                extras: kept(fields),
            },
            _ => MessageBlock::Other {
                block: raw.to_owned(),
                deltas: Vec::new(),
            },
        },
    )
}

/// The citations of a text block, if it has any; an empty list stays where it is.
pub(super) fn take_citations(fields: &mut Fields<'_>) -> Vec<Box<RawValue>> {
    let has_some = fields
        .peek("citations")
        .is_some_and(|raw| raw.get().starts_with('[') && !is_empty_array(raw));
    if !has_some {
        return Vec::new();
    }
    let items = fields.take_array("citations", &Path::Root).ok().flatten();
    let items = items.unwrap_or_default();
    items.into_iter().map(ToOwned::to_owned).collect()
}

fn is_empty_array(raw: &RawValue) -> bool {
    raw.get()[1..].trim_start().starts_with(']')
}

fn usage(mut fields: Fields<'_>) -> Result<Usage, DecodeError> {
    let at = Path::Root;
    let at = &at.key("usage");
    Ok(Usage {
        input: fields.take_count("input_tokens", at)?.unwrap_or(0),
        output: fields.take_count("output_tokens", at)?.unwrap_or(0),
        cache_read: fields
            .take_count("cache_read_input_tokens", at)?
            .unwrap_or(0),
        cache_write: fields
            .take_count("cache_creation_input_tokens", at)?
            .unwrap_or(0),
        extras: kept(fields),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str) {
        let message = decode_message(body).unwrap();
        let mut again = Message::default();
        message.split(&mut |event| again.push(event));
        let encoded = encode_message(&again, "msg_1", again.model.as_deref().unwrap_or(""));
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&encoded), value(body.as_bytes()));
    }

    fn whole(content: &str, stop: &str) -> String {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":{content},
                "stop_reason":{stop},"stop_sequence":null,
                "usage":{{"input_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":3,"estimated":true}}}}"#
        )
    }

    #[test]
    fn split_and_assembled_is_the_same() {
        check(&whole("[]", "\"end_turn\""));
        check(&whole(
            r#"[{"type":"text","text":"a\nb"}]"#,
            "\"pause_turn\"",
        ));
        check(&whole(
            r#"[{"type":"thinking","thinking":"","signature":"s"},{"type":"thinking","thinking":"t","signature":""},
                {"type":"tool_use","id":"1","name":"n","input":{"a":[1, 2]}},{"type":"server_tool_use","x":{}}]"#,
            "\"tool_use\"",
        ));
    }

    #[test]
    fn half_a_call_is_no_call() {
        let call = |input: &str| MessageBlock::ToolUse {
            id: "1".into(),
            name: "Bash".into(),
            input: input.into(),
            extras: Kept::new(),
        };
        let message = |block| Message {
            blocks: vec![block],
            stop: Some(Stop::new(StopReason::ToolUse)),
            ..Message::default()
        };
        let encoded =
            String::from_utf8(encode_message(&message(call("{\"a\":")), "i", "m")).unwrap();
        assert!(
            encoded.contains("\"stop_reason\":\"max_tokens\""),
            "{encoded}"
        );
        assert!(!encoded.contains("tool_use"), "{encoded}");
        // Only JSON's white space may stand around an object.
        for input in ["{]", "\u{a0}{}", "7"] {
            let encoded = encode_message(&message(call(input)), "i", "m");
            let encoded = String::from_utf8(encoded).unwrap();
            assert!(
                encoded.contains("\"stop_reason\":\"end_turn\"") && !encoded.contains("tool_use"),
                "{encoded}"
            );
        }
        let encoded = String::from_utf8(encode_message(&message(call("")), "i", "m")).unwrap();
        assert!(
            encoded.contains("\"input\":{}") && encoded.contains("\"stop_reason\":\"tool_use\""),
            "{encoded}"
        );
    }
}
