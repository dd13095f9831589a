//! What was said, by user and model, as the conventions' JSON: for operators who
//! granted it.
//!
//! Of a long conversation the latest messages are kept, since those say what the call
//! was about; no attribute is longer than [`CONTENT_BYTES_MAX`]. Pictures and documents
//! are named, never kept.
//!
//! <https://github.com/open-telemetry/semantic-conventions-genai>
//! (`docs/gen-ai/gen-ai-input-messages.json` and its neighbours, seen 2026-11-25). An
//! attribute is text here, as the conventions allow where values have no structure.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_codec::ir::{Block, BlockStart, Delta, Event, ImageSource, Request, Role};

/// Longest attribute, in bytes: some stores refuse more than 64 KiB of one.
pub(super) const CONTENT_BYTES_MAX: usize = 64 << 10;

/// Longest text of one part, in bytes: a file that a tool read leaves room for others.
const PART_BYTES_MAX: usize = 16 << 10;

/// Stands behind a text that was cut.
const CUT: &str = "…";

/// What a call asks.
#[derive(Debug)]
pub(super) struct Prompt {
    /// `gen_ai.system_instructions`
    pub(super) system: Arc<str>,
    /// `gen_ai.input.messages`
    pub(super) messages: Arc<str>,
}

impl Prompt {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let system = request.system.iter().map(part);
        let messages = request.messages.iter().rev().map(|message| {
            let role = match message.role {
                Role::Assistant => "assistant",
                Role::System => "system",
                Role::User => "user",
            };
            let parts: Vec<_> = message.content.iter().map(part).collect();
            json!({ "role": role, "parts": parts })
        });
        let mut latest = fitting(messages);
        latest.reverse();
        Self {
            system: list(&fitting(system)).into(),
            messages: list(&latest).into(),
        }
    }
}

/// What an answer says, as it comes.
#[derive(Debug, Default)]
pub(super) struct Words {
    parts: Vec<Part>,
    bytes: usize,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Reasoning(String),
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    Other(String),
}

impl Words {
    pub(super) fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::BlockStart { block, .. } if self.bytes < CONTENT_BYTES_MAX => {
                self.bytes += PART_OVERHEAD;
                self.parts.push(match block {
                    BlockStart::Text => Part::Text(String::new()),
                    BlockStart::Thinking => Part::Reasoning(String::new()),
                    BlockStart::ToolUse { id, name } => Part::ToolCall {
                        id: cut(id, PART_BYTES_MAX).into(),
                        name: cut(name, PART_BYTES_MAX).into(),
                        arguments: String::new(),
                    },
                    BlockStart::Other(raw) => Part::Other(kind(raw.get())),
                });
            }
            Event::Delta { delta, .. } => {
                let room = CONTENT_BYTES_MAX.saturating_sub(self.bytes);
                let (kept, more) = match (self.parts.last_mut(), delta) {
                    (Some(Part::Text(kept)), Delta::Text(more))
                    | (Some(Part::Reasoning(kept)), Delta::Thinking(more))
                    | (
                        Some(Part::ToolCall {
                            arguments: kept, ..
                        }),
                        Delta::ToolInput(more),
                    ) => (kept, more),
                    _ => return,
                };
                let more = &more[..more.floor_char_boundary(room)];
                kept.push_str(more);
                self.bytes += more.len();
            }
            _ => {}
        }
    }

    /// `gen_ai.output.messages`, of an answer that ended for this reason.
    pub(super) fn message(&self, reason: Option<&str>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => json!({ "type": "text", "content": text }),
            Part::Reasoning(text) => json!({ "type": "reasoning", "content": text }),
            Part::ToolCall {
                id,
                name,
                arguments,
            } => {
                // What was cut is no JSON any more.
                let arguments = serde_json::from_str(arguments)
                    .unwrap_or_else(|_| Value::String(arguments.clone()));
                json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments })
            }
            Part::Other(kind) => json!({ "type": kind }),
        };
        let parts: Vec<_> = self.parts.iter().map(part).collect();
        let message = json!({ "role": "assistant", "parts": parts, "finish_reason": reason });
        list(&[message.to_string()])
    }
}

/// About what a part takes beside its text, in bytes.
const PART_OVERHEAD: usize = 64;

fn part(block: &Block<'_>) -> Value {
    match block {
        Block::Text { text, .. } => json!({ "type": "text", "content": short(&text.decoded()) }),
        Block::Thinking { text, .. } => {
            json!({ "type": "reasoning", "content": short(&text.decoded()) })
        }
        Block::ToolUse {
            id, name, input, ..
        } => {
            let arguments = match input.get().len() > PART_BYTES_MAX {
                true => Value::String(short(input.get()).into_owned()),
                false => serde_json::from_str(input.get()).unwrap_or_default(),
            };
            json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments })
        }
        Block::ToolResult { id, content, .. } => {
            let response = match content.as_slice() {
                [Block::Text { text, .. }] => Value::String(short(&text.decoded()).into_owned()),
                several => several.iter().map(part).collect(),
            };
            json!({ "type": "tool_call_response", "id": id, "response": response })
        }
        Block::Image {
            source: ImageSource::Url(url),
            ..
        } => json!({ "type": "uri", "modality": "image", "uri": short(&url.decoded()) }),
        Block::Image { .. } => json!({ "type": "image" }),
        Block::Document(_) => json!({ "type": "document" }),
        Block::ToolReference { name } => json!({ "type": "tool_reference", "name": name }),
        Block::Other { kind, .. } => json!({ "type": kind }),
    }
}

/// The `type` of a block that only its own dialect knows.
fn kind(raw: &str) -> String {
    let block: Value = serde_json::from_str(raw).unwrap_or_default();
    let kind = block["type"].as_str().unwrap_or("other");
    cut(kind, PART_OVERHEAD).to_owned()
}

/// The first of `items`, as JSON, that fit into one attribute.
fn fitting(items: impl Iterator<Item = Value>) -> Vec<String> {
    let mut room = CONTENT_BYTES_MAX - 2;
    let texts = items.map(|item| item.to_string());
    texts
        .take_while(|text| {
            let fits = text.len() < room;
            room = room.saturating_sub(text.len() + 1);
            fits
        })
        .collect()
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// `text`, cut if it is long.
fn short(text: &str) -> Cow<'_, str> {
    match cut(text, PART_BYTES_MAX) {
        whole if whole.len() == text.len() => Cow::Borrowed(whole),
        beginning => Cow::Owned(format!("{beginning}{CUT}")),
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use sluice_codec::ir::Kept;

    use super::*;
    use crate::codecs::{Decoded, decode_request};
    use crate::provider::Dialect;

    fn prompt(body: &Value) -> Prompt {
        let body = body.to_string();
        let decoded = decode_request(Dialect::AnthropicMessages, body.as_bytes());
        let Decoded { request, .. } = decoded.expect("a sound request");
        Prompt::of(&request)
    }

    #[track_caller]
    fn check(content: &Value, parts: &Value) {
        let message = json!({ "role": "user", "content": content });
        let prompt = prompt(&json!({ "model": "m", "max_tokens": 9, "messages": [message] }));
        let messages: Value = serde_json::from_str(&prompt.messages).expect("JSON");
        assert_eq!(messages, json!([{ "role": "user", "parts": parts }]));
    }

    #[test]
    fn blocks_become_parts() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        check(
            &json!("hi \"you\""),
            &json!([{ "type": "text", "content": "hi \"you\"" }]),
        );
        check(
            &json!([{ "type": "tool_result", "tool_use_id": "t", "content": "42" }]),
            &json!([{ "type": "tool_call_response", "id": "t", "response": "42" }]),
        );
        check(
            &json!([{ "type": "tool_result", "tool_use_id": "t", "content": [text("a"), text("b")] }]),
            &json!([{ "type": "tool_call_response", "id": "t", "response":
                [{ "type": "text", "content": "a" }, { "type": "text", "content": "b" }] }]),
        );
        let source = json!({ "type": "base64", "media_type": "image/png", "data": "AAAA" });
        check(
            &json!([{ "type": "image", "source": source }]),
            &json!([{ "type": "image" }]),
        );
        let source = json!({ "type": "url", "url": "https://h/p.png" });
        check(
            &json!([{ "type": "image", "source": source }]),
            &json!([{ "type": "uri", "modality": "image", "uri": "https://h/p.png" }]),
        );
    }

    #[test]
    fn the_whole_conversation_is_there_in_order() {
        let prompt = prompt(
            &json!({ "model": "m", "max_tokens": 9, "system": "be brief", "messages": [
            { "role": "user", "content": "weather?" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "look", "input": { "at": "x" } }] },
            { "role": "user", "content": "so?" },
        ] }),
        );
        assert_eq!(&*prompt.system, r#"[{"type":"text","content":"be brief"}]"#);
        assert_eq!(
            &*prompt.messages,
            r#"[{"role":"user","parts":[{"type":"text","content":"weather?"}]},{"role":"assistant","parts":[{"type":"tool_call","id":"t","name":"look","arguments":{"at":"x"}}]},{"role":"user","parts":[{"type":"text","content":"so?"}]}]"#
        );
    }

    #[test]
    fn the_latest_messages_fit_and_stay_json() {
        let long = "é\"".repeat(PART_BYTES_MAX);
        let messages: Vec<_> = (0..20)
            .map(|i| json!({ "role": "user", "content": format!("{i} {long}") }))
            .collect();
        let prompt =
            prompt(&json!({ "model": "m", "max_tokens": 9, "system": long, "messages": messages }));
        assert!(prompt.messages.len() <= CONTENT_BYTES_MAX && prompt.system.len() > PART_BYTES_MAX);
        let kept: Vec<Value> = serde_json::from_str(&prompt.messages).expect("JSON");
        let texts = kept.iter().map(|it| it["parts"][0]["content"].as_str());
        let texts: Vec<_> = texts.map(|text| text.expect("a text")).collect();
        assert!(texts.len() > 1 && texts.iter().all(|text| text.ends_with(CUT)));
        assert!(
            texts[texts.len() - 1].starts_with("19 "),
            "the last is there"
        );
    }

    fn heard(events: impl IntoIterator<Item = Event<'static>>) -> Value {
        let mut words = Words::default();
        events.into_iter().for_each(|event| words.hear(&event));
        let message = words.message(Some("stop"));
        assert!(message.len() < 2 * CONTENT_BYTES_MAX);
        serde_json::from_str(&message).expect("JSON")
    }

    fn delta(delta: Delta<'static>) -> Event<'static> {
        Event::Delta { index: 0, delta }
    }

    #[test]
    fn an_answer_is_one_message() {
        let raw = RawValue::from_string(r#"{"type":"web_search","q":"x"}"#.into());
        let call = BlockStart::ToolUse {
            id: "t".into(),
            name: "look".into(),
        };
        let events = [
            Event::block_start(0, BlockStart::Thinking),
            delta(Delta::Thinking("hm".into())),
            delta(Delta::Signature("secret".into())),
            Event::block_start(1, BlockStart::Text),
            delta(Delta::Text("so ".into())),
            delta(Delta::Text("be it".into())),
            Event::block_start(2, call),
            delta(Delta::ToolInput("{\"at\":".into())),
            delta(Delta::ToolInput("1}".into())),
            Event::BlockStart {
                index: 3,
                block: BlockStart::Other(Cow::Owned(raw.expect("JSON"))),
                extras: Kept::new(),
            },
        ];
        let parts = json!([
            { "type": "reasoning", "content": "hm" }, { "type": "text", "content": "so be it" },
            { "type": "tool_call", "id": "t", "name": "look", "arguments": { "at": 1 } },
            { "type": "web_search" },
        ]);
        let expected = json!([{ "role": "assistant", "parts": parts, "finish_reason": "stop" }]);
        assert_eq!(heard(events), expected);
    }

    #[test]
    fn an_endless_answer_is_cut() {
        let text = "é".repeat(1_000);
        let begin = Event::block_start(0, BlockStart::Text);
        let more = (0..100).map(|_| delta(Delta::Text(text.clone().into())));
        let message = heard([begin].into_iter().chain(more));
        let kept = message[0]["parts"][0]["content"].as_str().expect("a text");
        assert!(kept.len() <= CONTENT_BYTES_MAX && kept.len() > CONTENT_BYTES_MAX / 2);
        let blocks = (0..5_000).map(|i| Event::block_start(i, BlockStart::Text));
        let message = heard(blocks);
        assert_eq!(
            message[0]["parts"].as_array().map(Vec::len),
            Some(CONTENT_BYTES_MAX / PART_OVERHEAD)
        );
    }
}
