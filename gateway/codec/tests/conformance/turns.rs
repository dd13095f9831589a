//! Cases of reasoning over turns: an answer of upstream `up` (`chunks`, or
//! `message` of a Messages upstream) comes back as history, and the next request
//! goes out.
//!
//! ```text
//! history: OPTIONS    the answer's message at a Chat upstream `up`
//! foreign             the same at another Chat upstream
//! returned            the answer's message at a Messages upstream
//! ```
//! A Chat client returns the message as it got it; the reasoning must then go back
//! as it does for a Messages client. Entries with `messages` are as in `requests.rs`.

use serde_json::{Value, json};
use sluice_codec::dialect::messages::encode_message;
use sluice_codec::ir::Message;

use crate::answers::{Answer, assemble};
use crate::chat_client;
use crate::pairing::{Dialect, Pairing, UPSTREAM};
use crate::requests::{accent, failures};
use crate::table::{Entry, running};

#[test]
fn turns() {
    check_table("Reasoning over turns", Dialect::Chat);
}

#[test]
fn messages_upstreams() {
    check_table(
        "Reasoning of Messages upstreams over turns",
        Dialect::Messages,
    );
}

fn check_table(title: &str, first: Dialect) {
    let entries = running(title);
    let failures: Vec<_> = entries
        .iter()
        .flat_map(|entry| wrong(entry, first))
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// What is wrong with an entry, whose answer comes from the dialect `first`.
fn wrong(entry: &Entry, first: Dialect) -> Vec<String> {
    if entry.text("messages").is_some() {
        return failures(entry);
    }
    let mut wrong = Vec::new();
    for pairing in entry.pairings() {
        let came = Pairing {
            upstream: first,
            ..pairing
        };
        let turn = next_turn(entry, came);
        for (name, argument, text) in &entry.sections {
            let (upstream, family) = match *name {
                "history" => (Dialect::Chat, UPSTREAM),
                "foreign" => (Dialect::Chat, "other"),
                "returned" => (Dialect::Messages, UPSTREAM),
                _ => continue,
            };
            if upstream != pairing.upstream {
                continue;
            }
            let expected: Value = serde_json::from_str(text).expect("a message is JSON");
            let got = sent(pairing, &turn, argument, family);
            if got != without_nulls(expected.clone()) {
                wrong.push(format!(
                    "{} {pairing} [{argument}]\nexpected\n{expected}\ngot\n{got}",
                    entry.name()
                ));
            }
        }
    }
    wrong
}

/// The client's next request: the answer, and results of its calls.
fn next_turn(entry: &Entry, pairing: Pairing) -> String {
    let answer = Answer::of(entry, pairing);
    let stream = answer.stream.expect("a turn is given as a stream");
    let (events, _) = pairing.decode(&[&stream], &answer.request);
    let message = assemble(&events);
    match pairing.client {
        Dialect::Chat => chat_turn(&message),
        Dialect::Messages => messages_turn(&message),
    }
}

fn messages_turn(message: &Message) -> String {
    let body = encode_message(message, "msg_1", "m");
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

fn chat_turn(message: &Message) -> String {
    let (body, _) = chat_client::body(message);
    let body: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    let answer = &body["choices"][0]["message"];
    let mut messages = vec![json!({ "role": "user", "content": "hi" }), answer.clone()];
    let calls = answer["tool_calls"].as_array().into_iter().flatten();
    messages.extend(
        calls.map(|call| json!({ "role": "tool", "tool_call_id": call["id"], "content": "ok" })),
    );
    messages.push(json!({ "role": "user", "content": "go on" }));
    json!({ "model": "m", "messages": messages }).to_string()
}

/// The assistant's message, as the upstream gets it.
fn sent(pairing: Pairing, turn: &str, options: &str, family: &str) -> Value {
    let sent = pairing.send(turn, &accent(options), family);
    let sent = sent.expect("our own answers come back, and can be sent");
    let body: Value = serde_json::from_slice(&sent.body).expect("bodies are JSON");
    without_nulls(body["messages"][1].clone())
}

/// Without members that say nothing: Chat clients return them, and those of
/// Messages have none.
fn without_nulls(mut message: Value) -> Value {
    if let Some(members) = message.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    message
}
