//! Cases of reasoning over turns: an answer of upstream `up` (`chunks`) comes
//! back as history, and the next request goes out. Each `history`, sent with the
//! vendor options in its argument, is the answer's message there; `foreign` is
//! the same at another upstream. Entries with `messages` are as in `requests.rs`.

use serde_json::{Value, json};
use sluice_codec::dialect::chat::{Accent, EncodeOptions, encode_request};
use sluice_codec::dialect::messages::{decode_request, encode_message};

use crate::answers::{Answer, assemble, decode};
use crate::requests::{accent, failures};
use crate::table::{Entry, running};

#[test]
fn turns() {
    let entries = running("Reasoning over turns");
    let failures: Vec<_> = entries.iter().flat_map(wrong).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

fn wrong(entry: &Entry) -> Vec<String> {
    if entry.text("messages").is_some() {
        return failures(entry);
    }
    let turn = next_turn(entry);
    let mut wrong = Vec::new();
    for (name, argument, text) in &entry.sections {
        let family = match *name {
            "history" => "up",
            "foreign" => "other",
            _ => continue,
        };
        let expected: Value = serde_json::from_str(text).expect("a message is JSON");
        let got = sent(&turn, &accent(argument), family);
        if got != expected {
            wrong.push(format!(
                "{} [{argument}]\nexpected\n{expected}\ngot\n{got}",
                entry.name()
            ));
        }
    }
    wrong
}

/// The client's next request: the answer, and results of its calls.
fn next_turn(entry: &Entry) -> String {
    let answer = Answer::of(entry);
    let stream = answer.stream.expect("a turn is given as chunks");
    let message = assemble(&decode(&[&stream], &answer.request));
    let body = encode_message(&message, "msg_1", "m");
    let body: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    let calls = body["content"].as_array().into_iter().flatten();
    let results = calls
        .filter(|block| block["type"] == "tool_use")
        .map(|call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "ok" }));
    let mut next: Vec<Value> = results.collect();
    next.push(json!({ "type": "text", "text": "go on" }));
    json!({ "model": "m", "max_tokens": 64, "messages": [
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": body["content"] },
        { "role": "user", "content": next },
    ] })
    .to_string()
}

fn sent(turn: &str, accent: &Accent, family: &str) -> Value {
    let request = decode_request(turn).expect("our own answers come back valid");
    let options = EncodeOptions {
        model: "up",
        accent,
        family,
    };
    let encoded = encode_request(&request, options).expect("our own answers can be sent");
    let body: Value = serde_json::from_slice(&encoded.body).expect("bodies are JSON");
    body["messages"][1].clone()
}
