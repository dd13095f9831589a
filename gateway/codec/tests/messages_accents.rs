//! Each axis of an accent of Messages on both ways there: the client's own bytes,
//! and a request of another dialect.

use serde_json::{Value, json};
use sluice_codec::dialect::messages::{Accent, decode_request, encode_request, forward_request};

/// The bodies of `request` under `accent`, forwarded and encoded, and the paths of
/// what was lost.
#[track_caller]
fn sent(accent: &Value, request: &Value) -> [(Value, Vec<String>); 2] {
    let accent: Accent = serde_json::from_value(accent.clone()).expect("an accent");
    let text = request.to_string();
    let request = decode_request(&text).expect("a request");
    let forwarded = forward_request(&text, &request, "m", &accent).expect("its body");
    let encoded = encode_request(&request, "m", &accent).expect("no refusal");
    [forwarded, encoded].map(|sent| {
        let losses = sent.losses.listed().iter();
        (
            serde_json::from_slice(&sent.body).expect("JSON"),
            losses.map(|loss| loss.path.clone()).collect(),
        )
    })
}

/// With `accent`, the members `extra` of a request lead on both ways to the members
/// `expected` of a body (`null`: absent), and to losses at the paths `lost`.
#[track_caller]
fn check(accent: Value, extra: Value, expected: Value, lost: &[&str]) {
    let mut request = json!({
        "model": "m", "max_tokens": 4000,
        "messages": [{ "role": "user", "content": [text("hi")] }]
    });
    for (key, value) in extra.as_object().expect("an object") {
        request[key] = value.clone();
    }
    for (body, mut losses) in sent(&accent, &request) {
        for (key, value) in expected.as_object().expect("an object") {
            assert_eq!(&body[key], value, "{key} of {body}");
        }
        losses.sort();
        assert_eq!(losses, lost, "{body}");
    }
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn user(blocks: &[Value]) -> Value {
    json!({ "role": "user", "content": blocks })
}

fn assistant(blocks: &[Value]) -> Value {
    json!({ "role": "assistant", "content": blocks })
}

fn image() -> Value {
    json!({ "type": "image", "source": { "type": "url", "url": "http://i" } })
}

fn call() -> Value {
    json!({ "type": "tool_use", "id": "t", "name": "f", "input": {} })
}

fn result(content: Value) -> Value {
    json!({ "type": "tool_result", "tool_use_id": "t", "content": content })
}

#[test]
fn mid_system() {
    let hi = user(&[text("hi")]);
    let messages = json!([hi, { "role": "system", "content": "b" }]);
    let extra = json!({ "system": [text("a")], "messages": messages });
    let reminder = text("<system-reminder>\nb\n</system-reminder>");
    check(
        json!({ "mid_system": "fold" }),
        extra.clone(),
        json!({ "system": [text("a")], "messages": [user(&[text("hi"), reminder.clone()])] }),
        &[],
    );
    check(
        json!({ "mid_system": "hoist" }),
        extra.clone(),
        json!({ "system": [text("a"), text("b")], "messages": [hi] }),
        &[],
    );
    // Of another dialect's clients they are folded even so.
    let mut request = extra;
    request["model"] = json!("m");
    let [(forwarded, _), (encoded, _)] = sent(&json!({}), &request);
    assert_eq!(forwarded["messages"], messages);
    assert_eq!(encoded["messages"], json!([user(&[text("hi"), reminder])]));
}

#[test]
fn blocks() {
    let pdf = json!({ "type": "document", "source": { "type": "url", "url": "u" } });
    let plain = json!({ "type": "document", "source": { "type": "text", "data": "d" } });
    let sealed = json!({ "type": "redacted_thinking", "data": "d" });
    check(
        json!({ "blocks": ["thinking"] }),
        json!({ "messages": [user(&[image(), pdf, plain]), assistant(&[sealed, text("a")])] }),
        json!({ "messages": [
            user(&[
                text("[image omitted: this model takes no images]"),
                text("[document omitted: it cannot be sent to this model]"),
                text("d"),
            ]),
            assistant(&[text("a")]),
        ] }),
        &[
            "messages[0].content[0]",
            "messages[0].content[1]",
            "messages[1].content[0]",
        ],
    );
}

#[test]
fn result_blocks() {
    let messages =
        |blocks: &[Value]| json!([user(&[text("hi")]), assistant(&[call()]), user(blocks)]);
    let reference = json!({ "type": "tool_reference", "tool_name": "g" });
    check(
        json!({ "result_blocks": ["text"] }),
        json!({ "messages": messages(&[result(json!([image(), reference]))]) }),
        json!({ "messages": messages(&[
            result(json!([text("[image: it follows the results]"), text("Tool g is loaded and can be called now.")])),
            image(),
        ]) }),
        &[],
    );
}

#[test]
fn anthropic_tools() {
    let search = json!({ "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} });
    let found = json!({ "type": "web_search_tool_result", "tool_use_id": "s", "content": [] });
    let said =
        |blocks: &[Value]| json!([user(&[text("hi")]), assistant(blocks), user(&[text("b")])]);
    let messages = said(&[search.clone(), found.clone(), text("a")]);
    for (known, kept, lost) in [
        (json!(["web_search"]), messages.clone(), &[][..]),
        (
            json!([]),
            said(&[text("a")]),
            &["messages[1].content[0]", "messages[1].content[1]"],
        ),
    ] {
        check(
            json!({ "anthropic_tools": known }),
            json!({ "messages": messages }),
            json!({ "messages": kept }),
            lost,
        );
    }
    check(
        json!({ "anthropic_tools": [] }),
        json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }], "tool_choice": { "type": "auto" } }),
        json!({ "tools": null, "tool_choice": null }),
        &["tools[0]"],
    );
}

#[test]
fn tool_fields() {
    let tool = |more: Value| {
        let mut tool = json!({ "name": "f", "input_schema": { "type": "object" } });
        for (key, value) in more.as_object().expect("an object") {
            tool[key] = value.clone();
        }
        json!([tool])
    };
    let marked =
        json!({ "strict": true, "defer_loading": true, "cache_control": { "type": "ephemeral" } });
    check(
        json!({ "tool_fields": ["strict"] }),
        json!({ "tools": tool(marked.clone()) }),
        json!({ "tools": tool(json!({ "strict": true })) }),
        &["tools[0].cache_control", "tools[0].defer_loading"],
    );
    check(
        json!({ "betas": false }),
        json!({ "tools": tool(marked.clone()) }),
        json!({ "tools": tool(marked) }),
        &[],
    );
}

#[test]
fn thinking() {
    let adaptive = json!({ "type": "adaptive" });
    let budget = json!({ "type": "enabled", "budget_tokens": 2000 });
    for (taken, wanted, sent, lost) in [
        (
            json!(["enabled"]),
            &adaptive,
            json!({ "type": "enabled", "budget_tokens": 3999 }),
            &[][..],
        ),
        (
            json!(["adaptive"]),
            &budget,
            adaptive.clone(),
            &["thinking.budget_tokens"],
        ),
        (json!(["enabled"]), &budget, budget.clone(), &[]),
        (json!([]), &budget, Value::Null, &["thinking"]),
    ] {
        check(
            json!({ "thinking": taken }),
            json!({ "thinking": wanted }),
            json!({ "thinking": sent }),
            lost,
        );
    }
}

#[test]
fn thinking_back() {
    let blank = json!({ "type": "thinking", "thinking": " ", "signature": "" });
    let real = json!({ "type": "thinking", "thinking": "t", "signature": "EqQB" });
    for (said, sent) in [
        (vec![call()], vec![blank, call()]),
        (vec![real.clone(), call()], vec![real, call()]),
        (vec![text("a")], vec![text("a")]),
    ] {
        let answer = match said.len() {
            1 if said[0]["type"] == "text" => text("b"),
            _ => result(json!([text("r")])),
        };
        let messages = |said: &[Value]| {
            json!([
                user(&[text("hi")]),
                assistant(said),
                user(std::slice::from_ref(&answer))
            ])
        };
        check(
            json!({ "thinking_back": "always" }),
            json!({ "messages": messages(&said) }),
            json!({ "messages": messages(&sent) }),
            &[],
        );
    }
}

#[test]
fn output_schema() {
    let format = json!({ "type": "json_schema", "schema": { "type": "object" } });
    let said = "Answer with one JSON object and nothing else. It must fit this JSON schema:\n{\"type\":\"object\"}";
    check(
        json!({ "output_schema": "instruction" }),
        json!({ "output_config": { "effort": "low", "format": format } }),
        json!({ "output_config": { "effort": "low" }, "system": [text(said)] }),
        &["output_config.format"],
    );
}

#[test]
fn limits_and_members() {
    check(
        json!({ "output_limit_max": 3000 }),
        json!({ "thinking": { "type": "enabled", "budget_tokens": 3500 } }),
        json!({ "max_tokens": 3000, "thinking": { "type": "enabled", "budget_tokens": 2999 } }),
        &["max_tokens", "thinking.budget_tokens"],
    );
    check(
        json!({ "billing_line": false }),
        json!({ "system": [text("x-anthropic-billing-header: v"), text("s")] }),
        json!({ "system": [text("s")] }),
        &[],
    );
    check(
        json!({ "drop": ["top_k"], "add": { "x": 1 } }),
        json!({ "top_k": 4, "top_p": 0.5 }),
        json!({ "top_k": null, "top_p": 0.5, "x": 1 }),
        &["top_k"],
    );
    check(
        json!({ "params": ["top_k"] }),
        json!({ "top_k": 4, "top_p": 0.5 }),
        json!({ "top_k": 4, "top_p": null, "max_tokens": 4000 }),
        &["top_p"],
    );
}
