//! Events of the inner form, as hooks see them and back.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sluice_codec::ir::{BlockStart, Delta, Event, Kept, Stop, StopReason, Usage};

use super::bindings::exports::sluice::hooks::on_stream as wit;
use crate::config::Prompt;

/// The flag of an event's kind.
pub(super) fn kind_of(event: &Event<'_>) -> wit::Kinds {
    match event {
        Event::Start { .. } => wit::Kinds::START,
        Event::BlockStart { .. } => wit::Kinds::BLOCK_START,
        Event::Delta {
            delta: Delta::Text(_),
            ..
        } => wit::Kinds::TEXT,
        Event::Delta {
            delta: Delta::Thinking(_),
            ..
        } => wit::Kinds::REASONING,
        Event::Delta {
            delta: Delta::ToolInput(_),
            ..
        } => wit::Kinds::TOOL_INPUT,
        Event::Delta { .. } => wit::Kinds::OTHER,
        Event::BlockStop { .. } => wit::Kinds::BLOCK_STOP,
        Event::Usage(_) => wit::Kinds::USAGE,
        Event::Stop(_) => wit::Kinds::STOP,
        Event::Error { .. } => wit::Kinds::ERROR,
    }
}

/// The kinds that a hook may see at all.
pub(super) fn visible(prompt: Prompt) -> wit::Kinds {
    match prompt {
        Prompt::None => wit::Kinds::all() & !said(),
        Prompt::Read | Prompt::Write => wit::Kinds::all(),
    }
}

/// The kinds that hold what was said.
fn said() -> wit::Kinds {
    wit::Kinds::TEXT | wit::Kinds::REASONING | wit::Kinds::TOOL_INPUT | wit::Kinds::OTHER
}

/// Bytes of what was said in an event.
pub(super) fn said_bytes(event: &Event<'_>) -> usize {
    match event {
        Event::Delta {
            delta: Delta::Text(text) | Delta::Thinking(text) | Delta::ToolInput(text),
            ..
        } => text.len(),
        _ => 0,
    }
}

/// An event as hooks see it.
pub(super) fn to_wit(event: &Event<'_>) -> wit::Event {
    let with = |kind, block: u32, text: Option<&str>, data: Option<String>| wit::Event {
        kind,
        block,
        text: text.map(str::to_owned),
        data,
    };
    match event {
        Event::Start {
            model,
            usage,
            extras,
        } => {
            let mut data = json!({ "model": model });
            if let Some(usage) = usage {
                data["usage"] = usage_data(usage);
            }
            with(wit::Kind::Start, 0, None, Some(with_kept(data, extras)))
        }
        Event::BlockStart {
            index,
            block,
            extras,
        } => {
            let data = block_data(block, extras);
            with(wit::Kind::BlockStart, *index, None, Some(data))
        }
        Event::Delta { index, delta } => match delta {
            Delta::Text(text) => with(wit::Kind::Text, *index, Some(text), None),
            Delta::Thinking(text) => with(wit::Kind::Reasoning, *index, Some(text), None),
            Delta::ToolInput(text) => with(wit::Kind::ToolInput, *index, Some(text), None),
            Delta::Signature(text) => {
                let data = json!({ "type": "signature_delta", "signature": text });
                with(wit::Kind::Other, *index, None, Some(data.to_string()))
            }
            Delta::Other(raw) => with(wit::Kind::Other, *index, None, Some(raw.get().to_owned())),
        },
        Event::BlockStop { index } => with(wit::Kind::BlockStop, *index, None, None),
        Event::Usage(usage) => with(
            wit::Kind::Usage,
            0,
            None,
            Some(usage_data(usage).to_string()),
        ),
        Event::Stop(stop) => {
            let data = json!({ "stop_reason": stop.reason.word(), "stop_sequence": stop.sequence });
            let data = with_kept(data, &stop.extras);
            with(wit::Kind::Stop, 0, None, Some(data))
        }
        Event::Error { kind, message } => {
            let data = json!({ "type": kind, "message": message });
            with(wit::Kind::Error, 0, None, Some(data.to_string()))
        }
    }
}

fn block_data(block: &BlockStart<'_>, extras: &Kept) -> String {
    let data = match block {
        BlockStart::Text => json!({ "type": "text" }),
        BlockStart::Thinking => json!({ "type": "thinking" }),
        BlockStart::ToolUse { id, name } => json!({ "type": "tool_use", "id": id, "name": name }),
        BlockStart::Other(raw) => return raw.get().to_owned(),
    };
    with_kept(data, extras)
}

/// The JSON text of `data` and what only the upstream's dialect knows.
fn with_kept(mut data: Value, extras: &Kept) -> String {
    for (key, raw) in extras {
        data[key] = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    }
    data.to_string()
}

/// What is left of `data` once the members that the inner form knows are taken.
fn kept(mut data: Value, known: &[&str]) -> Result<Kept, String> {
    let Some(members) = data.as_object_mut() else {
        return Ok(Kept::new());
    };
    std::mem::take(members)
        .into_iter()
        .filter(|(key, _)| !known.contains(&key.as_str()))
        .map(|(key, value)| Ok((key, raw(value)?)))
        .collect()
}

fn usage_data(usage: &Usage) -> Value {
    let mut data = json!({
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
    });
    for (key, raw) in &usage.extras {
        data[key] = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    }
    data
}

/// An event that a hook emitted, checked.
pub(super) fn from_wit(event: wit::Event, prompt: Prompt) -> Result<Event<'static>, String> {
    let index = event.block;
    let kind = event.kind;
    let what = format!("{kind:?}");
    let is_said = matches!(
        kind,
        wit::Kind::Text | wit::Kind::Reasoning | wit::Kind::ToolInput | wit::Kind::Other
    );
    if is_said && prompt < Prompt::Write {
        return Err(format!("emitting {what} needs the grant `prompt: write`"));
    }
    let text = || {
        event
            .text
            .clone()
            .map(Cow::Owned)
            .ok_or_else(|| format!("{what} without `text`"))
    };
    let data = || -> Result<Value, String> {
        let data = event
            .data
            .as_deref()
            .ok_or_else(|| format!("{what} without `data`"))?;
        serde_json::from_str(data).map_err(|_| format!("the `data` of {what} is not JSON"))
    };
    let delta = |delta| Event::Delta { index, delta };
    Ok(match kind {
        wit::Kind::Start => {
            let data = data()?;
            Event::Start {
                model: owned(&data["model"]),
                usage: match &data["usage"] {
                    Value::Null => None,
                    usage => Some(usage_from(usage.clone())?),
                },
                extras: kept(data, &["model", "usage"])?,
            }
        }
        wit::Kind::BlockStart => {
            let data = data()?;
            let block = block_from(&data)?;
            let extras = match &block {
                BlockStart::Other(_) => Kept::new(),
                _ => kept(data, &["type", "id", "name"])?,
            };
            Event::BlockStart {
                index,
                block,
                extras,
            }
        }
        wit::Kind::Text => delta(Delta::Text(text()?)),
        wit::Kind::Reasoning => delta(Delta::Thinking(text()?)),
        wit::Kind::ToolInput => delta(Delta::ToolInput(text()?)),
        wit::Kind::BlockStop => Event::BlockStop { index },
        wit::Kind::Usage => Event::Usage(usage_from(data()?)?),
        wit::Kind::Stop => {
            let data = data()?;
            let reason = owned(&data["stop_reason"]).ok_or("Kind::Stop without `stop_reason`")?;
            Event::Stop(Stop {
                reason: StopReason::from_word(reason),
                sequence: owned(&data["stop_sequence"]),
                extras: kept(data, &["stop_reason", "stop_sequence"])?,
            })
        }
        wit::Kind::Error => {
            let data = data()?;
            Event::Error {
                kind: owned(&data["type"]).unwrap_or(Cow::Borrowed("api_error")),
                message: owned(&data["message"]).unwrap_or_default(),
            }
        }
        wit::Kind::Other => {
            let data = data()?;
            match owned(&data["signature"]) {
                Some(signature) if data["type"] == "signature_delta" => {
                    delta(Delta::Signature(signature))
                }
                _ => delta(Delta::Other(Cow::Owned(raw(data)?))),
            }
        }
    })
}

fn block_from(data: &Value) -> Result<BlockStart<'static>, String> {
    let needed =
        |key: &str| owned(&data[key]).ok_or_else(|| format!("a tool_use block without `{key}`"));
    Ok(match data["type"].as_str() {
        Some("text") => BlockStart::Text,
        Some("thinking") => BlockStart::Thinking,
        Some("tool_use") => BlockStart::ToolUse {
            id: needed("id")?,
            name: needed("name")?,
        },
        Some(_) => BlockStart::Other(Cow::Owned(raw(data.clone())?)),
        None => return Err("a block without `type`".into()),
    })
}

fn usage_from(mut data: Value) -> Result<Usage, String> {
    let members = data.as_object_mut().ok_or("usage that is no object")?;
    let mut count = |key: &str| match members.shift_remove(key) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_u64()
            .ok_or_else(|| format!("`{key}` of usage is no count")),
    };
    let mut usage = Usage {
        input: count("input_tokens")?,
        output: count("output_tokens")?,
        cache_read: count("cache_read_input_tokens")?,
        cache_write: count("cache_creation_input_tokens")?,
        extras: Vec::new(),
    };
    for (key, value) in std::mem::take(members) {
        usage.extras.push((key, raw(value)?));
    }
    Ok(usage)
}

fn owned(value: &Value) -> Option<Cow<'static, str>> {
    value.as_str().map(|text| Cow::Owned(text.to_owned()))
}

fn raw(value: Value) -> Result<Box<RawValue>, String> {
    serde_json::value::to_raw_value(&value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: Event<'static>) {
        let back = from_wit(to_wit(&event), Prompt::Write).unwrap();
        assert_eq!(format!("{back:?}"), format!("{event:?}"));
    }

    #[test]
    fn there_and_back() {
        check(Event::start(Some("m".into())));
        check(Event::Start {
            model: None,
            usage: Some(Usage::default()),
            extras: vec![("container".into(), raw(json!(null)).unwrap())],
        });
        check(Event::block_start(1, BlockStart::Thinking));
        check(Event::BlockStart {
            index: 2,
            block: BlockStart::ToolUse {
                id: "i".into(),
                name: "n".into(),
            },
            extras: vec![("caller".into(), raw(json!({ "type": "direct" })).unwrap())],
        });
        check(Event::Delta {
            index: 1,
            delta: Delta::Text("ä\n".into()),
        });
        check(Event::Delta {
            index: 1,
            delta: Delta::Signature("s".into()),
        });
        check(Event::Usage(Usage {
            input: 3,
            output: 4,
            extras: vec![("estimated".into(), raw(json!(true)).unwrap())],
            ..Usage::default()
        }));
        check(Event::Stop(Stop {
            sequence: Some("x".into()),
            ..Stop::new(StopReason::StopSequence)
        }));
        check(Event::Error {
            kind: "api_error".into(),
            message: "m".into(),
        });
    }

    #[test]
    fn what_was_said_needs_the_grant() {
        let text = to_wit(&Event::Delta {
            index: 0,
            delta: Delta::Text("x".into()),
        });
        assert!(
            from_wit(text, Prompt::Read)
                .unwrap_err()
                .contains("prompt: write")
        );
        assert!(!visible(Prompt::None).contains(wit::Kinds::TEXT));
        assert!(visible(Prompt::None).contains(wit::Kinds::USAGE));
    }
}
