//! A Messages answer, whole: encoded for clients, decoded from hooks.

use serde_json::value::RawValue;

use crate::fields::{DecodeError, Fields, Path, required};
use crate::ir::{Message, MessageBlock, Stop, StopReason, Usage};
use crate::json::{ObjectWriter, write_array, write_count, write_str};

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
    if stop.is_some_and(|stop| stop.reason == StopReason::Refusal) {
        out.raw("stop_details", STOP_DETAILS);
    }
    let usage = message.usage.clone().unwrap_or_default();
    out.member("usage", |out| write_usage(out, &usage));
    out.finish().0
}

/// What clients read beside the stop reason `refusal`; upstreams of other
/// dialects give no category.
/// <https://docs.claude.com/en/api/messages> (seen 2026-11)
pub(super) const STOP_DETAILS: &str = r#"{"type":"refusal","category":null,"explanation":null}"#;

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
    for (key, value) in &usage.extras {
        out.push(b',');
        write_str(out, key);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
}

fn write_block(out: &mut Vec<u8>, block: &MessageBlock) {
    match block {
        MessageBlock::Text(text) => write_text_block(out, text),
        MessageBlock::Thinking { text, signature } => {
            out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
            write_str(out, text);
            out.extend_from_slice(b",\"signature\":");
            write_str(out, signature);
            out.push(b'}');
        }
        MessageBlock::ToolUse { id, name, input } => match Input::of(input) {
            Input::Whole(input) => {
                out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
                write_str(out, id);
                out.extend_from_slice(b",\"name\":");
                write_str(out, name);
                out.extend_from_slice(b",\"input\":");
                out.extend_from_slice(input.as_bytes());
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
        MessageBlock::Other { block, .. } => out.extend_from_slice(block.get().as_bytes()),
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
        match text.trim() {
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
    Ok(Message {
        model: fields.take_str("model", at)?.map(Into::into),
        blocks: blocks.collect::<Result<_, _>>()?,
        usage: fields.take_object("usage", at)?.map(usage).transpose()?,
        stop: reason.map(|word| {
            Stop {
                reason: StopReason::from_word(word),
                sequence,
            }
            .into_owned()
        }),
        error: None,
    })
}

fn block(raw: &RawValue, at: &Path<'_>) -> Result<MessageBlock, DecodeError> {
    let mut fields = Fields::of(raw, at)?;
    Ok(
        match &*required(fields.take_str("type", at)?, at, "type")? {
            "text" => {
                MessageBlock::Text(required(fields.take_str("text", at)?, at, "text")?.into())
            }
            "thinking" => MessageBlock::Thinking {
                text: fields.take_str("thinking", at)?.unwrap_or_default().into(),
                signature: fields.take_str("signature", at)?.unwrap_or_default().into(),
            },
            "tool_use" => MessageBlock::ToolUse {
                id: required(fields.take_str("id", at)?, at, "id")?.into(),
                name: required(fields.take_str("name", at)?, at, "name")?.into(),
                input: required(fields.take("input"), at, "input")?.get().into(),
            },
            _ => MessageBlock::Other {
                block: raw.to_owned(),
                deltas: Vec::new(),
            },
        },
    )
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
        extras: fields
            .rest()
            .into_iter()
            .map(|(key, raw)| (key.into(), raw.to_owned()))
            .collect(),
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
        };
        let message = |block| Message {
            blocks: vec![block],
            stop: Some(Stop {
                reason: StopReason::ToolUse,
                sequence: None,
            }),
            ..Message::default()
        };
        let encoded =
            String::from_utf8(encode_message(&message(call("{\"a\":")), "i", "m")).unwrap();
        assert!(
            encoded.contains("\"stop_reason\":\"max_tokens\""),
            "{encoded}"
        );
        assert!(!encoded.contains("tool_use"), "{encoded}");
        let encoded = String::from_utf8(encode_message(&message(call("")), "i", "m")).unwrap();
        assert!(
            encoded.contains("\"input\":{}") && encoded.contains("\"stop_reason\":\"tool_use\""),
            "{encoded}"
        );
    }
}
