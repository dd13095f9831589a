//! Cases of requests: a Messages body in, a Chat Completions body out; and the same
//! for a Messages upstream, which gets the client's bytes but for the model's name
//! and reasoning of others.
//!
//! `request` adds members to the smallest request (`messages` alone is the
//! conversation). Each `body`, sent with the vendor options in its argument,
//! lists members that must be equal, `null` for those that must be absent;
//! `only` lists all keys. `losses` lists the paths of what could not be carried.
//! Each entry runs with `stream` false and true.

use serde_json::{Value, json};
use sluice_codec::dialect::chat::{Accent, EncodeOptions, Encoded, encode_request};
use sluice_codec::dialect::messages::decode_request;
use sluice_codec::ir::is_own_signature;

use crate::answers::request;
use crate::pairing::{MC, MM, UPSTREAM, paths};
use crate::table::{Entry, running};

#[test]
fn requests() {
    let failures: Vec<_> = running("Requests").iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// What is wrong with an entry that is a request.
pub(crate) fn failures(entry: &Entry) -> Vec<String> {
    let mut wrong = Vec::new();
    for stream in [false, true] {
        let body = whole_request(entry, stream);
        if entry.pairings().contains(&MM) {
            wrong.extend(changed(&body).map(|what| format!("{} {MM}\n{what}", entry.name())));
        }
        if !entry.pairings().contains(&MC) {
            continue;
        }
        for (name, argument, text) in &entry.sections {
            let is_sent_so = matches!(*name, "body" | "only" | "losses");
            let options = if is_sent_so { argument } else { "" };
            let encoded = encode(&body, &accent(options));
            let sent: Value = serde_json::from_slice(&encoded.body).expect("bodies are JSON");
            let complaint = match *name {
                "body" => different_member(&sent, text),
                "only" => different(keys(&sent), words(text)),
                "typed" => different(typed(&sent), words(argument)),
                "losses" => different(paths(&encoded.losses), words(text)),
                _ => None,
            };
            wrong.extend(complaint.map(|what| format!("{} [{argument}]\n{what}", entry.name())));
        }
    }
    wrong.dedup();
    wrong
}

/// What differs from the client's bytes for a Messages upstream, and should not:
/// the model is another, thinking blocks that the gateway signed are gone and
/// reported, and so are messages with nothing else in them.
fn changed(body: &str) -> Option<String> {
    let sent = MM
        .send(body, &Accent::default(), UPSTREAM)
        .expect("fixtures can be sent");
    let mut expected: Value = serde_json::from_str(body).expect("requests are JSON");
    let mut lost = Vec::new();
    let messages = expected["messages"].as_array_mut();
    for (i, message) in messages.into_iter().flatten().enumerate() {
        let Some(blocks) = message["content"].as_array_mut() else {
            continue;
        };
        let own = blocks.iter().map(is_own_thinking).collect::<Vec<_>>();
        let at = own.iter().enumerate().filter(|(_, own)| **own);
        lost.extend(at.map(|(j, _)| format!("messages[{i}].content[{j}]")));
        blocks.retain(|block| !is_own_thinking(block));
        if blocks.is_empty() && !own.is_empty() {
            *message = Value::Null;
        }
    }
    if let Some(messages) = expected["messages"].as_array_mut() {
        messages.retain(|message| !message.is_null());
    }
    expected["model"] = UPSTREAM.into();
    // Bodies are written without white space, in the order of their members.
    let got = String::from_utf8_lossy(&sent.body);
    if got != expected.to_string() {
        return Some(format!("expected\n{expected}\ngot\n{got}"));
    }
    different(paths(&sent.losses), lost).map(|what| format!("losses: {what}"))
}

fn is_own_thinking(block: &Value) -> bool {
    let signature = block["signature"].as_str().unwrap_or_default();
    block["type"] == "thinking" && is_own_signature(signature)
}

/// The whole Messages body of an entry.
pub(crate) fn whole_request(entry: &Entry, stream: bool) -> String {
    let text = match (entry.text("request"), entry.text("messages")) {
        (Some(members), _) => request(members),
        (None, Some(messages)) => request(&format!("{{\"messages\":{messages}}}")),
        (None, None) => panic!("{}: nothing is given", entry.name()),
    };
    let text = text.replace("<300 KB>", &"A".repeat(300 << 10));
    let mut body: Value = serde_json::from_str(&text).expect("requests are JSON");
    body["stream"] = stream.into();
    body.to_string()
}

/// Vendor options, as in `config/providers.yaml`; the default for none.
pub(crate) fn accent(text: &str) -> Accent {
    let text = if text.is_empty() { "{}" } else { text };
    serde_json::from_str(text).expect("vendor options are JSON")
}

pub(crate) fn encode(body: &str, accent: &Accent) -> Encoded {
    let request = decode_request(body).expect("fixtures are valid requests");
    let options = EncodeOptions {
        model: "up",
        accent,
        family: "up",
    };
    encode_request(&request, options).expect("fixtures can be sent")
}

pub(crate) fn different_member(sent: &Value, expected: &str) -> Option<String> {
    let expected: Value = serde_json::from_str(expected).expect("expected members are JSON");
    expected
        .as_object()
        .expect("members are an object")
        .iter()
        .find(|(key, value)| sent.get(key).unwrap_or(&Value::Null) != *value)
        .map(|(key, value)| {
            format!(
                "{key}: expected\n{value}\ngot\n{}",
                sent.get(key).unwrap_or(&json!(null))
            )
        })
}

pub(crate) fn different(got: Vec<String>, mut expected: Vec<String>) -> Option<String> {
    let mut sorted = got;
    sorted.sort();
    expected.sort();
    (sorted != expected).then(|| format!("expected {expected:?}, got {sorted:?}"))
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn keys(sent: &Value) -> Vec<String> {
    let members = sent.as_object().expect("a body is an object");
    let streaming = ["stream", "stream_options"];
    let keys = members
        .keys()
        .filter(|key| !streaming.contains(&key.as_str()));
    keys.cloned().collect()
}

/// Names of the tools that have a description and a schema.
fn typed(sent: &Value) -> Vec<String> {
    let tools = sent["tools"].as_array().into_iter().flatten();
    let functions = tools.map(|tool| &tool["function"]).filter(|function| {
        function["description"].is_string() && function["parameters"]["properties"].is_object()
    });
    let names = functions.filter_map(|function| function["name"].as_str());
    names.map(str::to_owned).collect()
}

/// What goes upstream for turn n begins what goes for turn n+1: RQ28, and every
/// other conversation that does not say why it is `unstable`. A request for an
/// answer ends before an assistant message, or at the end.
#[test]
fn each_turn_begins_the_next() {
    for entry in running("Requests") {
        let sent = |(name, ..): &&(&str, &str, &str)| matches!(*name, "turns" | "body");
        for (_, argument, _) in entry.sections.iter().filter(sent) {
            if entry.argument("unstable").is_none() {
                check_turns(&entry, &accent(argument));
            }
        }
    }
}

fn check_turns(entry: &Entry, accent: &Accent) {
    let body: Value = serde_json::from_str(&whole_request(entry, true)).expect("requests are JSON");
    let messages = body["messages"].as_array().expect("messages are an array");
    let ends = (1..=messages.len()).filter(|at| {
        messages
            .get(*at)
            .is_none_or(|next| next["role"] == "assistant")
    });
    let mut earlier: Option<Vec<u8>> = None;
    for end in ends {
        let mut turn = body.clone();
        turn["messages"] = messages[..end].into();
        let encoded = encode(&turn.to_string(), accent);
        let sent = member(&encoded, "messages");
        let sent = sent.strip_suffix(b"]").expect("messages are an array");
        if let Some(earlier) = earlier {
            assert!(
                sent.starts_with(&earlier),
                "{}, {end} messages:\n{}\ndoes not begin with\n{}",
                entry.name(),
                String::from_utf8_lossy(sent),
                String::from_utf8_lossy(&earlier)
            );
        }
        earlier = Some(sent.to_vec());
    }
}

fn member<'e>(encoded: &'e Encoded, key: &str) -> &'e [u8] {
    let member = encoded
        .members
        .iter()
        .find(|member| encoded.body[member.key.clone()] == *key.as_bytes());
    &encoded.body[member.expect("the member was sent").value.clone()]
}
