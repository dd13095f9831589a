//! A Messages upstream's stream, as tables write it.
//!
//! ```text
//! start {members over the smallest message}     message_start
//! block {content block}                         content_block_start, next index
//! delta {delta}                                 content_block_delta
//! stop                                          content_block_stop
//! end {delta} {usage}                           message_delta, and message_stop
//! event NAME {data}                             as it stands
//! ```

use serde_json::{Map, Value, json};

/// The stream that the lines of `text` stand for.
pub(crate) fn stream_of_events(text: &str) -> Vec<u8> {
    let mut stream = Stream::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        stream.line(line);
    }
    stream.out
}

#[derive(Default)]
struct Stream {
    out: Vec<u8>,
    /// How many blocks have begun.
    blocks: usize,
}

impl Stream {
    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let mut value = || values.next().map(|value| value.expect("lines hold JSON"));
        match word {
            "start" => self.start(value().unwrap_or_default()),
            "block" => {
                self.blocks += 1;
                self.of_block(
                    "content_block_start",
                    value().map(|it| ("content_block", it)),
                );
            }
            "delta" => self.of_block("content_block_delta", value().map(|it| ("delta", it))),
            "stop" => self.of_block("content_block_stop", None),
            "end" => {
                let (delta, usage) = (value(), value());
                self.end(delta.unwrap_or_default(), usage);
            }
            "event" => {
                let (name, data) = rest.split_once(' ').expect("an event has data");
                self.raw(name, data);
            }
            _ => panic!("no line begins with {word}"),
        }
    }

    fn start(&mut self, members: Value) {
        let mut message = json!({
            "id": "msg_up", "type": "message", "role": "assistant", "model": "up", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 3, "output_tokens": 1 },
        });
        for (key, value) in members.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        self.frame("message_start", [("message", message)]);
    }

    fn of_block(&mut self, event: &str, member: Option<(&str, Value)>) {
        let index = json!(self.blocks.saturating_sub(1));
        self.frame(event, [("index", index)].into_iter().chain(member));
    }

    fn end(&mut self, delta: Value, usage: Option<Value>) {
        let usage = usage.unwrap_or_else(|| json!({ "output_tokens": 2 }));
        self.frame("message_delta", [("delta", delta), ("usage", usage)]);
        self.frame("message_stop", []);
    }

    fn frame<'k>(&mut self, event: &str, members: impl IntoIterator<Item = (&'k str, Value)>) {
        let mut data = Map::from_iter([("type".to_owned(), json!(event))]);
        data.extend(
            members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        );
        self.raw(event, &Value::Object(data).to_string());
    }

    fn raw(&mut self, event: &str, data: &str) {
        let frame = format!("event: {event}\ndata: {data}\n\n");
        self.out.extend_from_slice(frame.as_bytes());
    }
}

/// A whole answer as Anthropic streams it: texts and arguments in halves, the
/// signature at its block's end, the counts first of the prompt and then of all.
pub(crate) fn stream_of_message(text: &str) -> Vec<u8> {
    let mut message: Value = serde_json::from_str(text).expect("a message is JSON");
    let members = message.as_object_mut().expect("a message is an object");
    let blocks = members.remove("content").unwrap_or_default();
    let usage = members.remove("usage");
    let mut delta = Map::new();
    for key in ["stop_reason", "stop_sequence", "stop_details", "container"] {
        delta.extend(members.remove(key).map(|value| (key.to_owned(), value)));
    }
    let mut stream = Stream::default();
    let early = usage.as_ref().map_or(json!({}), |usage| {
        let mut early = usage.clone();
        early["output_tokens"] = json!(1);
        json!({ "usage": early })
    });
    for (key, value) in early.as_object().into_iter().flatten() {
        members.insert(key.clone(), value.clone());
    }
    stream.start(message);
    for block in blocks.as_array().into_iter().flatten() {
        stream.blocks += 1;
        stream.block(block.clone());
    }
    stream.end(Value::Object(delta), usage);
    stream.out
}

impl Stream {
    fn block(&mut self, mut block: Value) {
        let mut deltas = Vec::new();
        for (key, kind) in [("text", "text_delta"), ("thinking", "thinking_delta")] {
            if block["type"] == key {
                let text = block[key].as_str().unwrap_or_default().to_owned();
                let (head, tail) = text.split_at(super::answers::middle(&text));
                deltas.push(json!({ "type": kind, key: head }));
                deltas.push(json!({ "type": kind, key: tail }));
                block[key] = json!("");
            }
        }
        if let Some(signature) = block["signature"].as_str() {
            deltas.push(json!({ "type": "signature_delta", "signature": signature }));
            block["signature"] = json!("");
        }
        if block["type"] == "tool_use" {
            let input = block["input"].to_string();
            let (head, tail) = input.split_at(super::answers::middle(&input));
            deltas.push(json!({ "type": "input_json_delta", "partial_json": head }));
            deltas.push(json!({ "type": "input_json_delta", "partial_json": tail }));
            block["input"] = json!({});
        }
        self.of_block("content_block_start", Some(("content_block", block)));
        for delta in deltas {
            self.of_block("content_block_delta", Some(("delta", delta)));
        }
        self.of_block("content_block_stop", None);
    }
}
