//! Answers as events and back, as the gateway splits and gathers them.

use serde_json::{Value, json};

use crate::{Event, Kind};

/// The events of an answer, what is said in pieces of `size` characters; of 0
/// for whole.
pub(super) fn split(answer: &Value, size: usize) -> Vec<Event> {
    let start = json!({ "model": answer["model"] });
    let mut events = vec![Event::with(Kind::Start, 0, None, Some(&start))];
    for (at, block) in (0..).zip(answer["content"].as_array().into_iter().flatten()) {
        split_block(at, block, size, &mut events);
    }
    if !answer["usage"].is_null() {
        events.push(Event::usage(&answer["usage"]));
    }
    let reason = answer["stop_reason"].as_str().unwrap_or("end_turn");
    let data = json!({ "stop_reason": reason, "stop_sequence": answer["stop_sequence"] });
    events.push(Event::with(Kind::Stop, 0, None, Some(&data)));
    events
}

fn split_block(at: u32, block: &Value, size: usize, events: &mut Vec<Event>) {
    let said = |member: &str| pieces(block[member].as_str().unwrap_or(""), size);
    let mut start = block.clone();
    let deltas: Vec<Event> = match block["type"].as_str() {
        Some("text") => {
            start = json!({ "type": "text" });
            said("text").map(|text| Event::text(at, text)).collect()
        }
        Some("thinking") => {
            start = json!({ "type": "thinking" });
            let signature = block["signature"].as_str().map(|signature| {
                let data = json!({ "type": "signature_delta", "signature": signature });
                Event::with(Kind::Other, at, None, Some(&data))
            });
            let text = said("thinking").map(|text| Event::reasoning(at, text));
            text.chain(signature).collect()
        }
        Some("tool_use") => {
            start = json!({ "type": "tool_use", "id": block["id"], "name": block["name"] });
            let input = block["input"].to_string();
            pieces(&input, size)
                .map(|json| Event::tool_input(at, json))
                .collect()
        }
        _ => Vec::new(),
    };
    events.push(Event::block_start(at, &start));
    events.extend(deltas);
    events.push(Event::block_stop(at));
}

fn pieces(text: &str, size: usize) -> std::vec::IntoIter<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = if size == 0 {
        characters.len().max(1)
    } else {
        size
    };
    let pieces = characters
        .chunks(size)
        .map(|piece| piece.iter().collect::<String>());
    pieces.collect::<Vec<_>>().into_iter()
}

/// The answer that events amount to, put in lawful order as the gateway does.
pub(super) fn gather(events: &[Event]) -> Value {
    let mut answer = json!({ "content": [] });
    let mut open = None;
    let mut blocks: Vec<Value> = Vec::new();
    for event in events {
        let text = event.text.as_deref().unwrap_or("");
        let fits = |kind: &str| {
            open == Some(event.block) && blocks.last().is_some_and(|last| last["type"] == kind)
        };
        match event.kind {
            Kind::BlockStart => {
                open = Some(event.block);
                blocks.push(event.data());
            }
            Kind::Text | Kind::Reasoning => {
                let (kind, member) = match event.kind {
                    Kind::Text => ("text", "text"),
                    _ => ("thinking", "thinking"),
                };
                if !fits(kind) {
                    open = Some(event.block);
                    blocks.push(json!({ "type": kind }));
                }
                grow(blocks.last_mut(), member, text);
            }
            Kind::ToolInput if fits("tool_use") => grow(blocks.last_mut(), "input", text),
            Kind::Other if fits("thinking") => {
                if let Some(last) = blocks.last_mut() {
                    last["signature"] = event.data()["signature"].clone();
                }
            }
            Kind::BlockStop if open == Some(event.block) => open = None,
            Kind::Usage => answer["usage"] = event.data(),
            Kind::Stop => {
                answer["stop_reason"] = event.data()["stop_reason"].clone();
                break;
            }
            Kind::Error => {
                answer["error"] = event.data();
                break;
            }
            _ => {}
        }
    }
    answer["content"] = blocks.into_iter().map(whole).collect();
    answer
}

fn grow(block: Option<&mut Value>, member: &str, piece: &str) {
    if let Some(block) = block {
        let so_far = block[member].as_str().unwrap_or("").to_owned();
        block[member] = json!(so_far + piece);
    }
}

/// A block with all its members: a tool's input as the value that it is.
fn whole(mut block: Value) -> Value {
    match block["type"].as_str() {
        Some("tool_use") => {
            let input = block["input"].as_str().unwrap_or("{}");
            block["input"] = serde_json::from_str(input).unwrap_or_else(|_| json!(input));
        }
        Some("text") if block["text"].is_null() => block["text"] = json!(""),
        Some("thinking") if block["thinking"].is_null() => block["thinking"] = json!(""),
        _ => {}
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_split_and_gathered_is_the_same() {
        let answer = json!({ "content": [
            { "type": "thinking", "thinking": "h\u{e4}", "signature": "s" },
            { "type": "text", "text": "one two" },
            { "type": "tool_use", "id": "t", "name": "look", "input": { "at": [1, "x"] } },
            { "type": "server_tool_use", "id": "u" },
            { "type": "text", "text": "" },
        ], "usage": { "output_tokens": 3 }, "stop_reason": "tool_use" });
        for size in 0..9 {
            assert_eq!(gather(&split(&answer, size)), answer);
        }
    }

    #[test]
    fn loose_pieces_find_their_block_or_open_one() {
        let events = [
            Event::block_start(4, &json!({ "type": "text" })),
            Event::text(4, "a"),
            Event::reasoning(4, "b"),
            Event::text(7, "c"),
            Event::block_stop(4),
            Event::text(7, "d"),
            Event::stop("end_turn"),
            Event::text(7, "late"),
        ];
        let expected = json!([{ "type": "text", "text": "a" },
            { "type": "thinking", "thinking": "b" }, { "type": "text", "text": "cd" }]);
        assert_eq!(gather(&events)["content"], expected);
    }
}
