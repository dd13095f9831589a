//! Thinking blocks of a Messages upstream, through a Chat client and back: each in
//! its place with its own signature, or reported.

use serde_json::{Value, json};

use sluice_codec::dialect::chat::{Completion, decode_client_request, encode_completion};
use sluice_codec::dialect::messages;
use sluice_codec::ir::{Kept, Message, MessageBlock, Stop, StopReason};

fn thinking(text: &str, signature: &str) -> MessageBlock {
    MessageBlock::Thinking {
        text: text.into(),
        signature: signature.into(),
        extras: Kept::new(),
    }
}

fn call(id: &str) -> MessageBlock {
    MessageBlock::ToolUse {
        id: id.into(),
        name: "f".into(),
        input: "{}".into(),
        extras: Kept::new(),
    }
}

/// The message as a client gets it.
fn given(blocks: Vec<MessageBlock>) -> Value {
    let message = Message {
        blocks,
        stop: Some(Stop::new(StopReason::EndTurn)),
        ..Message::default()
    };
    let Completion { body, .. } = encode_completion(&message, "i", "m", 7);
    let body: Value = serde_json::from_slice(&body).unwrap();
    body["choices"][0]["message"].clone()
}

/// What Anthropic gets where the client returns `message`: text or signature
/// or id of each block, and what is lost.
#[track_caller]
fn check(message: &Value, expected: &[&str], losses: &[&str]) {
    let body = json!({ "model": "m", "messages": [message] }).to_string();
    let request = decode_client_request(&body).unwrap().request;
    let accent = messages::Accent::default();
    let encoded = messages::encode_request(&request, "m", &accent).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let of_block = |block: &Value| {
        ["signature", "text", "id"]
            .iter()
            .find_map(|key| Some(block[key].as_str()?.to_owned()))
    };
    let blocks = body["messages"][1]["content"].as_array().unwrap().iter();
    assert_eq!(blocks.filter_map(of_block).collect::<Vec<_>>(), expected);
    let lost = encoded.losses.listed().iter().map(|loss| &*loss.path);
    assert_eq!(lost.collect::<Vec<_>>(), losses);
}

#[test]
fn blocks_stand_where_they_stood() {
    let text = MessageBlock::text;
    let all = || {
        vec![
            thinking("1", "s1"),
            text("a\n\nb"),
            thinking("", "s2"),
            thinking("3\n\n", "s3"),
            text("c"),
            call("x"),
            thinking("4", "s4"),
            call("y"),
        ]
    };
    let order = ["s1", "a\n\nb", "s2", "s3", "c", "x", "s4", "y"];
    check(&given(all()), &order, &[]);
    // A client that has parts for content: they are not told apart.
    let mut message = given(all());
    message["content"] =
        json!([{ "type": "text", "text": message["content"] }, { "type": "text", "text": "d" }]);
    let order = ["s1", "a\n\nb\n\nc", "d", "s2", "s3", "x", "s4", "y"];
    check(&message, &order, &[]);
    // One that changed it.
    let mut message = given(all());
    message["content"] = "A\n\nb".into();
    let order = ["s1", "A\n\nb", "s2", "s3", "x", "s4", "y"];
    check(&message, &order, &[]);
    message["content"] = Value::Null;
    check(&message, &["s1", "s2", "s3", "x", "s4", "y"], &[]);
}

/// OpenAI's TypeScript helper for streams keeps the last piece of members that
/// it does not know (openai 7.57, `ChatCompletionStream`, seen 2026-11).
#[test]
fn a_signature_goes_with_its_own_text_alone() {
    let mut message = given(vec![thinking("let me see", "s"), MessageBlock::text("a")]);
    check(&message, &["s", "a"], &[]);
    message["reasoning_content"] = "see".into();
    check(&message, &["a"], &["messages[0].content[0]"]);
    // A signature alone, of a text that the client left out.
    message["reasoning_content"] = Value::Null;
    check(&message, &["a"], &["messages[0].content[0]"]);
    // From before there were seals.
    message["reasoning_content"] = "see".into();
    message["reasoning_details"] = json!([{ "id": "sluice1.0", "signature": "s" }]);
    check(&message, &["s", "a"], &[]);
}

#[test]
fn two_signatures_of_one_text_fit_none_of_it() {
    let mut message = given(vec![thinking("1", "s1"), thinking("2", "s2")]);
    check(&message, &["s1", "s2"], &[]);
    message["reasoning_content"] = "2".into();
    message["content"] = "a".into();
    check(&message, &["a"], &["messages[0].content[0]"]);
    message["reasoning_content"] = "1\n\n2".into();
    for item in message["reasoning_details"].as_array_mut().unwrap() {
        item["id"] = "sluice1.0".into();
    }
    check(&message, &["a"], &["messages[0].content[0]"]);
}
