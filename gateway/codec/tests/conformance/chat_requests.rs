//! Cases of Chat clients' requests.
//!
//! `request` adds members to the smallest request (`messages` alone is the
//! conversation). `sent` lists members of the body for a Messages upstream that
//! must be equal, `null` for those that must be absent; `forwarded`, with the
//! vendor options in its argument, the same of the body for a Chat upstream.
//! `losses`, with a pairing and vendor options, lists the paths of what could not
//! be carried: none unless it says so. `refused`, with a pairing, says why the
//! request cannot be sent. Each entry runs with `stream` false and true, and
//! forwarded without vendor options it keeps its bytes.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::pairing::{CC, CM, Pairing, Sent, UPSTREAM, paths};
use crate::requests::{accent, different, different_member, words};
use crate::table::{Entry, running};

#[test]
fn chat_requests() {
    let entries = running("Requests of Chat clients");
    let failures: Vec<_> = entries.iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

fn failures(entry: &Entry) -> Vec<String> {
    let mut wrong = Vec::new();
    for stream in [false, true] {
        let body = whole_request(entry, stream);
        for (pairing, options) in ways(entry) {
            let complaint = match pairing.send(&body, &accent(options), UPSTREAM) {
                Ok(sent) => wrongly_sent(entry, pairing, options, &body, &sent),
                Err(why) => {
                    let expected = entry.text_for("refused", &pairing.to_string());
                    (expected.map(str::trim) != Some(&why)).then_some(why)
                }
            };
            let name = entry.name();
            wrong.extend(complaint.map(|what| format!("{name} {pairing} [{options}]\n{what}")));
        }
    }
    wrong.dedup();
    wrong
}

/// Where an entry's request goes: to both upstreams, to the one with each of the
/// vendor options that it names.
fn ways(entry: &Entry) -> Vec<(Pairing, &'static str)> {
    let mut ways: Vec<_> = entry.pairings().into_iter().map(|it| (it, "")).collect();
    for (name, argument, _) in &entry.sections {
        let options = match *name {
            "forwarded" => Some(*argument),
            "losses" => argument.split_once(' ').map(|(_, options)| options),
            _ => None,
        };
        ways.extend(options.map(|options| (CC, options)));
    }
    ways.dedup();
    ways
}

fn wrongly_sent(
    entry: &Entry,
    pairing: Pairing,
    options: &str,
    body: &str,
    sent: &Sent,
) -> Option<String> {
    if entry.text_for("refused", &pairing.to_string()).is_some() {
        return Some("was not refused".into());
    }
    let of = format!("{pairing} {options}");
    let expected = entry.exact("losses", of.trim()).unwrap_or_default();
    if let Some(what) = different(paths(&sent.losses), words(expected)) {
        return Some(format!("losses: {what}"));
    }
    let value: Value = serde_json::from_slice(&sent.body).expect("bodies are JSON");
    match pairing {
        CM => different_member(&value, entry.text("sent").expect("what is sent")),
        _ => {
            let golden = entry.exact("forwarded", options).unwrap_or("{}");
            let different = different_member(&value, golden);
            different.or_else(|| options.is_empty().then(|| changed(body, sent, golden))?)
        }
    }
}

/// The whole Chat Completions body of an entry.
fn whole_request(entry: &Entry, stream: bool) -> String {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }], "stream": stream });
    if let Some(messages) = entry.text("messages") {
        body["messages"] = serde_json::from_str(messages).expect("messages are JSON");
    }
    let members = entry.text("request").unwrap_or("{}");
    let members: Map<String, Value> = serde_json::from_str(members).expect("members are JSON");
    for (key, value) in members {
        body[key] = value;
    }
    body.to_string()
}

/// Members that the gateway or its vendor options have a say in.
const NOT_ITS_OWN: [&str; 5] = [
    "model",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "top_k",
];

/// A member that was forwarded other than it came, if there is one; `golden` says
/// of some what they become.
fn changed(body: &str, sent: &Sent, golden: &str) -> Option<String> {
    let given: Map<String, Value> = serde_json::from_str(body).expect("bodies are JSON");
    let golden: Map<String, Value> = serde_json::from_str(golden).expect("members are JSON");
    let is_its_own = |key: &str| !NOT_ITS_OWN.contains(&key) && !golden.contains_key(key);
    let given: Vec<_> = given
        .keys()
        .filter(|key| is_its_own(key))
        .map(|key| (key.clone(), raw_member(body.as_bytes(), key)))
        .collect();
    let body = &sent.body;
    let members = sent.members.iter().map(|member| {
        let key = String::from_utf8_lossy(&body[member.key.clone()]).into_owned();
        let value = String::from_utf8_lossy(&body[member.value.clone()]).into_owned();
        (key, value)
    });
    let sent: Vec<_> = members.filter(|(key, _)| is_its_own(key)).collect();
    (given != sent).then(|| format!("given {given:?}\nforwarded {sent:?}"))
}

fn raw_member(body: &[u8], key: &str) -> String {
    let members: std::collections::HashMap<String, &RawValue> =
        serde_json::from_slice(body).expect("bodies are JSON");
    members[key].get().to_owned()
}

/// What goes upstream for turn n begins what goes for turn n+1, for a Chat client
/// as well. Each answer of the assistant's begins a turn.
#[test]
fn each_turn_begins_the_next() {
    for entry in running("Requests of Chat clients") {
        if entry.argument("unstable").is_some() || entry.text("refused").is_some() {
            continue;
        }
        for pairing in [CM, CC] {
            check_turns(&entry, pairing);
        }
    }
}

fn check_turns(entry: &Entry, pairing: Pairing) {
    let body: Value = serde_json::from_str(&whole_request(entry, true)).expect("bodies are JSON");
    let messages = body["messages"].as_array().expect("messages are an array");
    let begins_turn = |at: &usize| {
        let next = messages.get(*at);
        next.is_none_or(|next| next["role"] == "assistant")
    };
    let mut earlier: Option<String> = None;
    for end in (1..=messages.len()).filter(begins_turn) {
        let mut turn = body.clone();
        turn["messages"] = messages[..end].into();
        let sent = pairing.send(&turn.to_string(), &accent(""), UPSTREAM);
        let sent = raw_member(&sent.expect("fixtures can be sent").body, "messages");
        let sent = sent.strip_suffix(']').expect("messages are an array");
        if let Some(earlier) = &earlier {
            assert!(
                sent.starts_with(earlier),
                "{} {pairing}, {end} messages:\n{sent}\ndoes not begin with\n{earlier}",
                entry.name()
            );
        }
        earlier = Some(sent.to_owned());
    }
}
