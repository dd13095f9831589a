//! Each axis of an accent: what a request becomes with it, and without.

use serde_json::{Value, json};
use sluice_codec::dialect::chat::{
    Accent, DecodeOptions, EncodeOptions, Names, StreamDecoder, encode_request,
};
use sluice_codec::dialect::messages::decode_request;
use sluice_codec::ir::{BlockStart, Delta, Event};

/// The body of `request` under `accent`, and the paths of what was lost.
#[track_caller]
fn encoded(accent: &Value, request: &Value) -> (Value, Vec<String>) {
    let accent: Accent = serde_json::from_value(accent.clone()).expect("an accent");
    let text = request.to_string();
    let request = decode_request(&text).expect("a request");
    let options = EncodeOptions {
        model: "m",
        accent: &accent,
        family: "up",
    };
    let encoded = encode_request(&request, options).expect("no refusal");
    let body = serde_json::from_slice(&encoded.body).expect("JSON");
    let losses = encoded.losses.listed().iter();
    (body, losses.map(|loss| loss.path.clone()).collect())
}

/// With `accent`, the members `extra` of a request lead to the members `expected`
/// of a body (`null`: absent), and to losses at the paths `lost`.
#[track_caller]
fn check(accent: Value, extra: Value, expected: Value, lost: &[&str]) {
    let mut request = json!({
        "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }]
    });
    for (key, value) in extra.as_object().expect("an object") {
        request[key] = value.clone();
    }
    let (body, losses) = encoded(&accent, &request);
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&body[key], value, "{key} of {body}");
    }
    assert_eq!(losses, lost, "{body}");
}

fn tools(names: &[&str]) -> Value {
    let tool = |name: &&str| json!({ "name": name, "input_schema": { "type": "object" } });
    names.iter().map(tool).collect()
}

fn sent_tools(names: &[&str]) -> Value {
    let tool = |name: &&str| json!({ "type": "function", "function": { "name": name, "parameters": { "type": "object" } } });
    names.iter().map(tool).collect()
}

fn reminder(text: &str) -> Value {
    json!([{ "role": "user", "content": format!("hi\n<system-reminder>\n{text}\n</system-reminder>") }])
}

/// A conversation with one call, `id`, that `thinking` came before.
fn called(id: &str, thinking: Option<Value>) -> Value {
    let call = json!({ "type": "tool_use", "id": id, "name": "f", "input": {} });
    let said: Vec<_> = thinking.into_iter().chain([call]).collect();
    json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": said },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": id, "content": "r" }] },
        { "role": "assistant", "content": "done" },
    ])
}

fn thought(signature: &str) -> Option<Value> {
    Some(json!({ "type": "thinking", "thinking": "hm\n", "signature": signature }))
}

#[test]
fn mid_system() {
    let extra = json!({ "system": "a", "messages": [
        { "role": "user", "content": "hi" }, { "role": "system", "content": "b" },
    ] });
    let system = |text: &str| json!({ "role": "system", "content": text });
    let user = |text: &str| json!({ "role": "user", "content": text });
    for (mode, expected) in [
        (
            "fold",
            json!([
                system("a"),
                user("hi\n<system-reminder>\nb\n</system-reminder>")
            ]),
        ),
        ("native", json!([system("a"), user("hi"), system("b")])),
        ("hoist", json!([system("a\n\nb"), user("hi")])),
    ] {
        check(
            json!({ "mid_system": mode }),
            extra.clone(),
            json!({ "messages": expected }),
            &[],
        );
    }
}

#[test]
fn tool_choice_that_is_taken() {
    for (choice, sent) in [
        (json!({ "type": "auto" }), json!("auto")),
        (json!({ "type": "any" }), json!("required")),
        (json!({ "type": "none" }), json!("none")),
        (
            json!({ "type": "tool", "name": "g" }),
            json!({ "type": "function", "function": { "name": "g" } }),
        ),
    ] {
        check(
            json!({}),
            json!({ "tools": tools(&["f", "g"]), "tool_choice": choice }),
            json!({ "tools": sent_tools(&["f", "g"]), "tool_choice": sent }),
            &[],
        );
    }
}

#[test]
fn tool_choice_as_words() {
    let accent = json!({ "tool_choice": ["auto", "none", "required"] });
    check(
        accent,
        json!({ "tools": tools(&["f", "g"]), "tool_choice": { "type": "tool", "name": "g" } }),
        json!({ "tools": sent_tools(&["g"]), "tool_choice": "required" }),
        &[],
    );
}

#[test]
fn tool_choice_without_required() {
    let accent = json!({ "tool_choice": ["auto", "none", "named"] });
    let any = json!({ "type": "any" });
    check(
        accent.clone(),
        json!({ "tools": tools(&["f"]), "tool_choice": any }),
        json!({ "tool_choice": { "type": "function", "function": { "name": "f" } } }),
        &[],
    );
    check(
        accent,
        json!({ "tools": tools(&["f", "g"]), "tool_choice": any }),
        json!({ "tool_choice": "auto", "messages": reminder("Call one of your tools now.") }),
        &["tool_choice"],
    );
}

#[test]
fn tool_choice_that_is_only_auto() {
    let accent = json!({ "tool_choice": ["auto"] });
    check(
        accent.clone(),
        json!({ "tools": tools(&["f", "g"]), "tool_choice": { "type": "tool", "name": "g" } }),
        json!({ "tools": sent_tools(&["g"]), "tool_choice": "auto", "messages": reminder("Call the tool g now.") }),
        &["tool_choice"],
    );
    let none = json!({ "tools": tools(&["f"]), "tool_choice": { "type": "none" } });
    check(
        accent.clone(),
        none.clone(),
        json!({ "tools": null, "tool_choice": null }),
        &[],
    );
    let mut request = none;
    request["model"] = json!("m");
    request["messages"] = called("t", None);
    request["messages"].as_array_mut().unwrap().truncate(3);
    let (body, losses) = encoded(&accent, &request);
    assert_eq!(body["tool_choice"], "auto");
    assert_eq!(losses, ["tool_choice"]);
    let last = body["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(
        last["content"],
        "<system-reminder>\nAnswer in text now; do not call a tool.\n</system-reminder>"
    );
}

#[test]
fn tool_choice_thinking() {
    let accent = json!({ "tool_choice": ["auto", "named"], "tool_choice_thinking": ["auto"] });
    let extra = |thinking: Value| json!({ "tools": tools(&["f"]), "tool_choice": { "type": "any" }, "thinking": thinking });
    let named = json!({ "type": "function", "function": { "name": "f" } });
    let said =
        json!({ "tool_choice": "auto", "messages": reminder("Call one of your tools now.") });
    for thinking in [json!(null), json!({ "type": "adaptive" })] {
        check(
            accent.clone(),
            extra(thinking),
            said.clone(),
            &["tool_choice"],
        );
    }
    check(
        accent,
        extra(json!({ "type": "disabled" })),
        json!({ "tool_choice": named }),
        &[],
    );
}

#[test]
fn empty_result() {
    let mut messages = called("t", None);
    messages[2]["content"][0]["content"] = json!("");
    let request = json!({ "model": "m", "messages": messages });
    for (accent, expected) in [(json!({}), ""), (json!({ "empty_result": "none" }), "none")] {
        let (body, _) = encoded(&accent, &request);
        assert_eq!(body["messages"][2]["content"], expected);
    }
}

#[test]
fn prefill() {
    let messages =
        json!([{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "a" }]);
    let sent = |member: &str| {
        let mut sent = messages.clone();
        if !member.is_empty() {
            sent[1][member] = json!(true);
        }
        json!({ "messages": sent })
    };
    let extra = json!({ "messages": messages });
    for (prefill, member) in [
        ("turn", ""),
        ("prefix", "prefix"),
        ("prefix_echoed", "prefix"),
        ("partial", "partial"),
        ("continue", ""),
    ] {
        check(
            json!({ "prefill": prefill }),
            extra.clone(),
            sent(member),
            &[],
        );
    }
    let (body, lost) = encoded(&json!({}), &json!({ "model": "m", "messages": messages }));
    assert_eq!(body["messages"][2]["role"], "user");
    assert_eq!(lost, ["messages[1]"]);
}

#[test]
fn tool_choice_that_is_never_auto() {
    check(
        json!({ "tool_choice": ["required", "none"] }),
        json!({ "tools": tools(&["f"]), "tool_choice": { "type": "auto" } }),
        json!({ "tools": sent_tools(&["f"]), "tool_choice": null }),
        &[],
    );
}

#[test]
fn tool_ids() {
    let long = "x".repeat(41);
    for (form, id, is_kept) in [
        ("any", &*long, true),
        ("max40", "functions.f:0", true),
        ("max40", &*long, false),
        ("alphanumeric9", "D681PevKs", true),
        ("alphanumeric9", "toolu_01", false),
    ] {
        let request = json!({ "model": "m", "messages": called(id, None) });
        let (body, _) = encoded(&json!({ "tool_ids": form }), &request);
        let sent = &body["messages"][1]["tool_calls"][0]["id"];
        assert_eq!(
            sent, &body["messages"][2]["tool_call_id"],
            "call and result"
        );
        assert_eq!(sent == id, is_kept, "{form}: {sent}");
    }
}

#[test]
fn schema() {
    let tool = json!([{ "name": "f", "input_schema": {
        "$schema": "s", "type": "object", "properties": { "a": { "type": "string", "pattern": "^x" } } } }]);
    let sent = |parameters: Value| json!({ "tools": [{ "type": "function", "function": { "name": "f", "parameters": parameters } }] });
    check(
        json!({}),
        json!({ "tools": tool }),
        sent(tool[0]["input_schema"].clone()),
        &[],
    );
    let plain = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let with_pattern =
        json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "^x" } } });
    for (dialect, expected, lost) in [
        ("minimal", &plain, &["tools.f.input_schema.pattern"][..]),
        ("cerebras", &plain, &["tools.f.input_schema.pattern"]),
        ("gemini", &with_pattern, &[]),
        ("moonshot", &with_pattern, &[]),
    ] {
        check(
            json!({ "schema": dialect }),
            json!({ "tools": tool }),
            sent(expected.clone()),
            lost,
        );
    }
}

#[test]
fn output_schema() {
    let extra = json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } } });
    let said = reminder(
        "Answer with one JSON object and nothing else. It must fit this JSON schema:\n{\"type\":\"object\"}",
    );
    let lost = ["output_config.format"];
    check(
        json!({}),
        extra.clone(),
        json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "answer", "schema": { "type": "object" } } } }),
        &[],
    );
    check(
        json!({ "output_schema": "json_object" }),
        extra.clone(),
        json!({ "response_format": { "type": "json_object" }, "messages": said }),
        &lost,
    );
    check(
        json!({ "output_schema": "instruction" }),
        extra,
        json!({ "response_format": null, "messages": said }),
        &lost,
    );
}

#[test]
fn strict_tools() {
    let extra =
        json!({ "tools": [{ "name": "f", "strict": true, "input_schema": { "type": "object" } }] });
    let function = |body: Value| body["tools"][0]["function"]["strict"].clone();
    let request = |extra: &Value| {
        let mut request =
            json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
        request["tools"] = extra["tools"].clone();
        request
    };
    let (body, losses) = encoded(&json!({}), &request(&extra));
    assert_eq!(
        (function(body), losses),
        (Value::Null, vec!["tools.f.strict".to_owned()])
    );
    let (body, losses) = encoded(&json!({ "strict_tools": true }), &request(&extra));
    assert_eq!((function(body), losses), (json!(true), vec![]));
}

#[test]
fn content_images_and_files() {
    let image = json!({ "type": "image", "source": { "type": "url", "url": "http://i" } });
    let pdf = json!({ "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": "JVBE" } });
    let extra = json!({ "messages": [{ "role": "user", "content": [image, pdf] }] });
    let types = |accent: Value| -> Value {
        let mut request = extra.clone();
        request["model"] = json!("m");
        let (body, _) = encoded(&accent, &request);
        let content = &body["messages"][0]["content"];
        match content.as_array() {
            Some(parts) => parts.iter().map(|part| part["type"].clone()).collect(),
            None => content.clone(),
        }
    };
    let omitted = "[image omitted: this model takes no images]\n[document omitted: it cannot be sent to this model]";
    assert_eq!(types(json!({})), json!(["image_url", "file"]));
    assert_eq!(
        types(json!({ "files": false })),
        json!(["image_url", "text"])
    );
    assert_eq!(types(json!({ "images": false })), json!(["text", "file"]));
    assert_eq!(types(json!({ "content": "strings" })), omitted);
}

#[test]
fn reasoning_back() {
    let own = thought("sluice1.reasoning.up");
    let foreign = thought("sluice1.reasoning.other");
    let details = thought(r#"sluice2.reasoning.2.up[{"type":"reasoning.text","signature":"s"}]"#);
    let broken = thought("sluice2.reasoning.2.up[}");
    for (mode, thinking, first, second) in [
        (
            "same",
            &own,
            json!({ "content": null, "reasoning": "hm\n" }),
            json!({}),
        ),
        (
            "same",
            &details,
            json!({ "reasoning_details": [{ "type": "reasoning.text", "signature": "s" }] }),
            json!({}),
        ),
        ("same", &broken, json!({ "reasoning": "hm\n" }), json!({})),
        ("never", &own, json!({ "content": null }), json!({})),
        ("reasoning", &own, json!({ "reasoning": "hm\n" }), json!({})),
        (
            "reasoning_content",
            &own,
            json!({ "reasoning_content": "hm\n" }),
            json!({}),
        ),
        ("reasoning_content", &foreign, json!({}), json!({})),
        (
            "always",
            &own,
            json!({ "reasoning_content": "hm\n" }),
            json!({ "reasoning_content": "-" }),
        ),
        (
            "always",
            &foreign,
            json!({ "reasoning_content": "-" }),
            json!({ "reasoning_content": "-" }),
        ),
        ("details", &own, json!({ "reasoning": "hm\n" }), json!({})),
        (
            "details",
            &broken,
            json!({ "reasoning": "hm\n" }),
            json!({}),
        ),
        (
            "details",
            &details,
            json!({ "reasoning_details": [{ "type": "reasoning.text", "signature": "s" }] }),
            json!({}),
        ),
        (
            "parts",
            &own,
            json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "hm\n" }] }] }),
            json!({ "content": "done" }),
        ),
        (
            "tags",
            &own,
            json!({ "content": "<think>\nhm\n\n</think>\n\n" }),
            json!({ "content": "done" }),
        ),
    ] {
        let accent = json!({ "reasoning_back": mode, "reasoning_placeholder": "-" });
        let request = json!({ "model": "m", "messages": called("t", thinking.clone()) });
        let (body, _) = encoded(&accent, &request);
        for (at, expected) in [(1, first), (3, second)] {
            let message = &body["messages"][at];
            for field in [
                "content",
                "reasoning",
                "reasoning_content",
                "reasoning_details",
            ] {
                if field != "content" || expected.get(field).is_some() {
                    assert_eq!(
                        message[field], expected[field],
                        "{mode}: {field} of {message}"
                    );
                }
            }
        }
    }
}

#[test]
fn signature_placeholder() {
    let call = |accent: Value, thinking: Option<Value>| {
        let request = json!({ "model": "m", "messages": called("t", thinking) });
        let (body, _) = encoded(&accent, &request);
        body["messages"][1]["tool_calls"][0]["extra_content"].clone()
    };
    let signed = |text: &str| json!({ "google": { "thought_signature": text } });
    let gemini = json!({ "reasoning_back": "never", "signature_placeholder": "skip" });
    let own = thought(r#"sluice2.tags.2.up{"calls":{"t":{"google":{"thought_signature":"s"}}}}"#);
    let other = thought(r#"sluice2.tags.1.x{"calls":{"t":{"google":{"thought_signature":"s"}}}}"#);
    assert_eq!(call(gemini.clone(), own.clone()), signed("s"));
    assert_eq!(call(gemini.clone(), other), signed("skip"));
    assert_eq!(call(gemini, None), signed("skip"));
    assert_eq!(call(json!({}), own), signed("s"));
    assert_eq!(call(json!({}), None), Value::Null);
}

#[test]
fn reasoning_ask() {
    let adaptive =
        json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "max" } });
    let budget = json!({ "thinking": { "type": "enabled", "budget_tokens": 5000 } });
    let off = json!({ "thinking": { "type": "disabled" } });
    let levels = ["output_config.effort"];
    for (ask, asked, expected, lost) in [
        (
            "effort",
            &adaptive,
            json!({ "reasoning_effort": "high" }),
            &[][..],
        ),
        ("effort", &off, json!({ "reasoning_effort": null }), &[]),
        (
            "thinking",
            &budget,
            json!({ "thinking": { "type": "enabled" } }),
            &[],
        ),
        (
            "thinking",
            &adaptive,
            json!({ "thinking": { "type": "enabled" } }),
            &levels,
        ),
        (
            "thinking",
            &off,
            json!({ "thinking": { "type": "disabled" } }),
            &[],
        ),
        (
            "thinking_kept",
            &budget,
            json!({ "thinking": { "type": "enabled", "clear_thinking": false } }),
            &[],
        ),
        (
            "thinking_kept_effort",
            &adaptive,
            json!({ "thinking": { "type": "enabled", "clear_thinking": false }, "reasoning_effort": "high" }),
            &[],
        ),
        (
            "thinking_kept_effort",
            &off,
            json!({ "thinking": { "type": "disabled" }, "reasoning_effort": null }),
            &[],
        ),
        (
            "thinking_effort",
            &adaptive,
            json!({ "thinking": { "type": "enabled" }, "reasoning_effort": "high" }),
            &[],
        ),
        (
            "thinking_effort",
            &off,
            json!({ "thinking": { "type": "disabled" }, "reasoning_effort": null }),
            &[],
        ),
        (
            "enable_thinking",
            &budget,
            json!({ "enable_thinking": true, "thinking_budget": 5000 }),
            &[],
        ),
        (
            "enable_thinking",
            &off,
            json!({ "enable_thinking": false, "thinking_budget": null }),
            &[],
        ),
        (
            "chat_template",
            &off,
            json!({ "chat_template_kwargs": { "enable_thinking": false, "thinking": false } }),
            &[],
        ),
        (
            "reasoning",
            &adaptive,
            json!({ "reasoning": { "effort": "high" } }),
            &[],
        ),
        (
            "reasoning",
            &budget,
            json!({ "reasoning": { "max_tokens": 5000 } }),
            &[],
        ),
        (
            "reasoning",
            &off,
            json!({ "reasoning": { "enabled": false } }),
            &[],
        ),
        (
            "none",
            &adaptive,
            json!({ "reasoning_effort": null, "thinking": null }),
            &["thinking"],
        ),
    ] {
        check(
            json!({ "reasoning_ask": ask }),
            asked.clone(),
            expected,
            lost,
        );
    }
}

#[test]
fn streams() {
    check(json!({}), json!({}), json!({ "stream": null }), &[]);
    check(
        json!({ "stream_only": true }),
        json!({ "stream": false }),
        json!({ "stream": true, "stream_options": { "include_usage": true } }),
        &[],
    );
    check(
        json!({ "stream_usage": false }),
        json!({ "stream": true }),
        json!({ "stream": true, "stream_options": null }),
        &[],
    );
}

#[test]
fn params_drop_and_add() {
    let extra = json!({ "temperature": 0.5, "top_p": 0.9, "stream": true });
    check(
        json!({ "params": ["max_tokens", "top_p"] }),
        extra.clone(),
        json!({ "model": "m", "max_tokens": 9, "top_p": 0.9, "temperature": null, "stream": true }),
        &["temperature", "stream_options"],
    );
    check(
        json!({ "drop": ["temperature", "model"] }),
        extra.clone(),
        json!({ "model": "m", "top_p": 0.9, "temperature": null }),
        &["temperature"],
    );
    check(
        json!({ "add": { "tool_stream": true, "top_p": 1 } }),
        extra,
        json!({ "tool_stream": true, "top_p": 0.9 }),
        &[],
    );
}

#[test]
fn temperature_bounds() {
    let accent = json!({ "temperature_min": 0.01, "temperature_max": 1 });
    for (wanted, sent, lost) in [
        (json!(0), json!(0.01), &["temperature"][..]),
        (json!(1.5), json!(1), &["temperature"]),
        (json!(1.0), json!(1.0), &[]),
        (json!(0.5), json!(0.5), &[]),
    ] {
        check(
            accent.clone(),
            json!({ "temperature": wanted }),
            json!({ "temperature": sent }),
            lost,
        );
    }
}

#[test]
fn unstreamed_tools() {
    let accent = json!({ "unstreamed_tools": true });
    let whole = json!({ "stream": null, "stream_options": null });
    let extra = json!({ "stream": true, "tools": tools(&["f"]) });
    check(accent.clone(), extra, whole, &[]);
    check(
        accent,
        json!({ "stream": true }),
        json!({ "stream": true }),
        &[],
    );
}

#[test]
fn split_calls() {
    let mut messages = called("t", None);
    let call = json!({ "type": "tool_use", "id": "u", "name": "g", "input": {} });
    messages[1]["content"].as_array_mut().unwrap().push(call);
    let request = json!({ "model": "m", "messages": messages });
    let roles = |accent: Value| -> Vec<String> {
        let (body, _) = encoded(&accent, &request);
        let messages = body["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["role"].as_str().unwrap()[..1].to_owned())
            .collect()
    };
    assert_eq!(roles(json!({})).concat(), "uattau");
    assert_eq!(roles(json!({ "split_calls": true })).concat(), "uatatau");
}

#[test]
fn cache_marks_and_key() {
    let mark = json!({ "type": "ephemeral" });
    let text = json!({ "type": "text", "text": "a", "cache_control": mark });
    let extra = json!({ "messages": [{ "role": "user", "content": [text] }], "metadata": { "user_id": "u" } });
    let sent = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    let pass = json!({ "cache_marks": "pass" });
    check(pass, extra.clone(), sent(json!([text])), &[]);
    let lost = ["messages[0].content[0].cache_control"];
    check(json!({}), extra.clone(), sent(json!("a")), &lost);
    let (body, _) = encoded(
        &json!({ "cache_key": true, "user": false }),
        &json!({ "model": "m", "messages": extra["messages"], "metadata": extra["metadata"] }),
    );
    assert_eq!(body["prompt_cache_key"].as_str().map(str::len), Some(16));
}

#[test]
fn limits_and_names() {
    check(
        json!({ "output_limit": "max_completion_tokens", "output_limit_max": 5 }),
        json!({}),
        json!({ "max_completion_tokens": 5, "max_tokens": null }),
        &["max_tokens"],
    );
    check(
        json!({ "top_k": true, "stop_max": 1 }),
        json!({ "top_k": 4, "stop_sequences": ["a", "b"] }),
        json!({ "top_k": 4, "stop": ["a"] }),
        // The answer is cut at the other one here.
        &[],
    );
    check(
        json!({ "user": false, "parallel_tool_calls": false }),
        json!({ "metadata": { "user_id": "u" }, "tools": tools(&["f"]), "tool_choice": { "type": "auto", "disable_parallel_tool_use": true } }),
        json!({ "user": null, "parallel_tool_calls": null }),
        &["tool_choice.disable_parallel_tool_use"],
    );
    let request = json!({ "model": "m", "messages": called("t", None) });
    let (body, _) = encoded(&json!({ "empty_content": "space" }), &request);
    assert_eq!(body["messages"][1]["content"], " ");
    let (body, _) = encoded(&json!({ "empty_content": "empty" }), &request);
    assert_eq!(body["messages"][1]["content"], "");
}

#[test]
fn user_after_tool() {
    let mut messages = called("t", None);
    let roles = |accent: Value, messages: &Value| -> Vec<String> {
        let request = json!({ "model": "m", "messages": messages });
        let (body, _) = encoded(&accent, &request);
        let messages = body["messages"].as_array().unwrap();
        let role = |message: &Value| message["role"].as_str().unwrap().to_owned();
        messages.iter().map(role).collect()
    };
    let strict = || json!({ "user_after_tool": false, "prefill": "turn" });
    let plain = ["user", "assistant", "tool", "assistant"];
    assert_eq!(roles(strict(), &messages), plain);
    // A word beside the result, and one after it.
    messages[3] = json!({ "role": "system", "content": "b" });
    for accent in [
        strict(),
        json!({ "user_after_tool": false, "mid_system": "native" }),
    ] {
        let last = if accent["mid_system"] == "native" {
            "system"
        } else {
            "user"
        };
        let expected = ["user", "assistant", "tool", "assistant", last];
        assert_eq!(roles(accent, &messages), expected);
    }
    let usual = ["user", "assistant", "tool", "user"];
    assert_eq!(roles(json!({}), &messages), usual);
    let content = messages[2]["content"].as_array_mut().unwrap();
    content.push(json!({ "type": "text", "text": "go on" }));
    messages.as_array_mut().unwrap().pop();
    assert_eq!(
        roles(strict(), &messages),
        ["user", "assistant", "tool", "assistant", "user"]
    );
}

/// What is written for a message depends on it and earlier ones alone.
#[test]
fn the_next_turn_begins_with_this_one() {
    let history = called("toolu_01", thought("sluice1.reasoning.up"));
    for accent in [
        json!({}),
        json!({ "reasoning_back": "always", "tool_ids": "alphanumeric9", "schema": "gemini" }),
        json!({ "reasoning_back": "parts", "content": "strings", "mid_system": "native" }),
        json!({ "reasoning_back": "tags", "tool_ids": "max40", "empty_content": "empty" }),
        json!({ "user_after_tool": false, "tool_choice": ["auto"] }),
        json!({ "signature_placeholder": "skip", "split_calls": true, "empty_result": "-" }),
        json!({ "prefill": "prefix", "cache_marks": "pass" }),
        json!({ "prefill": "turn", "tool_choice_thinking": ["auto"], "cache_key": true }),
    ] {
        let messages = |count: usize| {
            let turns = &history.as_array().unwrap()[..count];
            let request = json!({ "model": "m", "tools": tools(&["f"]), "messages": turns });
            encoded(&accent, &request).0["messages"].to_string()
        };
        let (now, next) = (messages(3), messages(4));
        assert!(next.starts_with(now.trim_end_matches(']')), "{now}\n{next}");
    }
}

// === answers ===

#[test]
fn think_tags() {
    let chunks = [
        delta(json!({ "content": "<a>b</a>c" })),
        json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
    ];
    let (seen, _) = decoded(&json!({ "think_tags": ["b", "a"] }), &chunks);
    assert_eq!(seen, ["thinking", "sluice1.tags.up", "text"]);
    for accent in [json!({}), json!({ "think_tags": [] })] {
        assert_eq!(decoded(&accent, &chunks).0, ["text"]);
    }
}

#[test]
fn an_estimate_is_reported() {
    let request = decode_request(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#)
        .expect("a request");
    for (estimate, lost) in [(Some(3), &["answer.usage"][..]), (None, &[])] {
        let options = DecodeOptions::new(&request, Names::default(), "up", 1);
        let options = match estimate {
            Some(tokens) => options.with_input_estimate(tokens),
            None => options,
        };
        let mut decoder = StreamDecoder::new(options);
        let chunk =
            json!({ "choices": [{ "delta": { "content": "a" }, "finish_reason": "stop" }] });
        decoder.frame(chunk.to_string().as_bytes(), &mut |_| {});
        decoder.frame(b"[DONE]", &mut |_| {});
        let losses = decoder.take_losses();
        let paths: Vec<_> = losses.listed().iter().map(|loss| &*loss.path).collect();
        assert_eq!(paths, lost);
    }
}

#[test]
fn omitted_reasoning() {
    let chunks = [
        delta(json!({ "reasoning": "hm" })),
        json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
    ];
    let held = json!({ "omitted_reasoning": "hold" });
    // The client did not ask for that.
    let (seen, _) = decoded(&held, &chunks);
    assert_eq!(seen, ["thinking", "sluice1.reasoning.up"]);
}

/// The signatures and the output tokens that `chunks` lead to.
fn decoded(accent: &Value, chunks: &[Value]) -> (Vec<String>, u64) {
    let accent: Accent = serde_json::from_value(accent.clone()).expect("an accent");
    let request = decode_request(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#)
        .expect("a request");
    let options = DecodeOptions::new(&request, Names::default(), "up", 1).with_accent(&accent);
    let mut decoder = StreamDecoder::new(options);
    let (mut seen, mut output) = (Vec::new(), 0);
    let mut sink = |event: Event<'_>| match event {
        Event::BlockStart { block, .. } => seen.push(
            match block {
                BlockStart::Thinking => "thinking",
                BlockStart::Text => "text",
                _ => "other",
            }
            .to_owned(),
        ),
        Event::Delta {
            delta: Delta::Signature(signature),
            ..
        } => seen.push(signature.into_owned()),
        Event::Usage(usage) => output = usage.output,
        _ => {}
    };
    for chunk in chunks {
        decoder.frame(chunk.to_string().as_bytes(), &mut sink);
    }
    decoder.frame(b"[DONE]", &mut sink);
    (seen, output)
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "delta": delta, "finish_reason": null }] })
}

#[test]
fn details_are_kept_for_the_way_back() {
    let item = |text: &str| json!({ "type": "reasoning.text", "text": text, "index": 0 });
    let sealed = json!({ "type": "reasoning.encrypted", "data": "x", "index": 1 });
    let chunks = [
        delta(json!({ "reasoning": "a", "reasoning_details": [item("a")] })),
        delta(json!({ "reasoning": "b", "reasoning_details": [item("b")] })),
        delta(json!({ "content": "c" })),
        delta(json!({ "reasoning_details": [sealed] })),
        json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
    ];
    let first = format!("sluice2.reasoning.2.up[{}]", item("ab"));
    let second = format!("sluice2.reasoning_details.2.up[{sealed}]");
    for mode in ["details", "same"] {
        let (seen, _) = decoded(&json!({ "reasoning_back": mode }), &chunks);
        assert_eq!(seen, ["thinking", &first, "text", "thinking", &second]);
    }
    let (seen, _) = decoded(&json!({ "reasoning_back": "reasoning" }), &chunks);
    assert_eq!(seen, ["thinking", "sluice1.reasoning.up", "text"]);
}

#[test]
fn reasoning_outside_is_added() {
    let chunks = [
        delta(json!({ "content": "c" })),
        json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": {
            "prompt_tokens": 1, "completion_tokens": 3, "completion_tokens_details": { "reasoning_tokens": 5 } } }),
    ];
    assert_eq!(decoded(&json!({}), &chunks).1, 3);
    assert_eq!(decoded(&json!({ "reasoning_outside": true }), &chunks).1, 8);
}
