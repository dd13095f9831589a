//! Whole sessions of an agent, as Claude Code leads them, before vendors that
//! insist on their rules.

use serde_json::{Value, json};
use sluice_tests::{Client, FakeUpstream, Script, TestGateway, chunk, finish};

/// One vendor: its row of the catalogue, what it demands of a request, and the
/// deltas in which it calls the tool, given the conversation's turn.
struct Vendor {
    provider: &'static str,
    demands: fn(&Value) -> Result<(), String>,
    calls: fn(usize) -> Vec<Value>,
}

/// Assistant messages of a request.
fn said(body: &Value) -> impl Iterator<Item = &Value> {
    let messages = body["messages"].as_array().expect("a conversation");
    messages
        .iter()
        .filter(|message| message["role"] == "assistant")
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// A call in the usual form, after `before`.
fn call(before: Vec<Value>, id: &str) -> Vec<Value> {
    let call = json!({ "tool_calls": [{ "index": 0, "id": id, "type": "function",
        "function": { "name": "Read", "arguments": "{\"path\":\"a\"}" } }] });
    [before, vec![call]].concat()
}

const VENDORS: [Vendor; 5] = [
    Vendor {
        provider: "deepseek",
        demands: |body| {
            let thought = |message: &Value| message["reasoning_content"].is_string();
            demand(said(body).all(thought), "Missing `reasoning_content` field")?;
            demand(body["max_completion_tokens"].is_null(), "an unknown limit")
        },
        calls: |turn| {
            call(
                vec![json!({ "reasoning_content": "look first" })],
                ["c0", "c1"][turn],
            )
        },
    },
    Vendor {
        provider: "moonshot",
        demands: |body| {
            let kept = said(body).enumerate().all(|(i, message)| {
                message["reasoning_content"] == "look first"
                    && message["tool_calls"][0]["id"] == format!("functions.Read:{i}")
            });
            demand(
                kept,
                "thinking is enabled but reasoning_content is missing in assistant tool call message",
            )
        },
        calls: |turn| {
            let id = format!("functions.Read:{turn}");
            call(vec![json!({ "reasoning_content": "look first" })], &id)
        },
    },
    Vendor {
        provider: "zai",
        demands: |body| {
            let choice = &body["tool_choice"];
            demand(
                choice.is_null() || choice == "auto",
                "Tool choice must be auto",
            )?;
            let kept = body["thinking"]["clear_thinking"] == false;
            demand(kept, "earlier reasoning would be discarded")
        },
        calls: |turn| {
            call(
                vec![json!({ "reasoning_content": "look" })],
                ["c0", "c1"][turn],
            )
        },
    },
    Vendor {
        provider: "openrouter",
        demands: |body| {
            let detail = json!([{ "type": "reasoning.encrypted", "id": "r", "index": 0, "format": "f", "data": "opaque" }]);
            demand(
                said(body).all(|message| message["reasoning_details"] == detail),
                "Reasoning details must be preserved",
            )
        },
        calls: |turn| {
            let details = json!({ "reasoning_details": [{ "type": "reasoning.encrypted", "id": "r", "index": 0, "format": "f", "data": "opaque" }] });
            call(vec![details], ["c0", "c1"][turn])
        },
    },
    Vendor {
        provider: "mistral",
        demands: |body| {
            let is_mistral = |id: &Value| {
                let id = id.as_str().unwrap_or("");
                id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric())
            };
            let messages = body["messages"].as_array().expect("a conversation");
            for message in messages {
                let answered = &message["tool_call_id"];
                demand(
                    answered.is_null() || is_mistral(answered),
                    "Tool call id must be a-z, A-Z, 0-9, with a length of 9",
                )?;
                demand(message["reasoning_content"].is_null(), "extra_forbidden")?;
            }
            demand(
                said(body).all(|message| is_mistral(&message["tool_calls"][0]["id"])),
                "Tool call id must be a-z, A-Z, 0-9, with a length of 9",
            )
        },
        calls: |turn| {
            let thought = json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "look" }] }] });
            call(vec![thought], ["Abcdefgh0", "Abcdefgh1"][turn])
        },
    },
];

/// Two calls, one after the other, and then the answer.
fn play(vendor: &Vendor, body: &Value) -> Script {
    if let Err(why) = (vendor.demands)(body) {
        let error = json!({ "error": { "message": why, "type": "invalid_request_error" } });
        return Script::Whole(400, vec![], error.to_string());
    }
    let turn = said(body).count();
    let deltas = match turn {
        0 | 1 => (vendor.calls)(turn),
        _ => vec![json!({ "content": "It says 42." })],
    };
    let reason = if turn < 2 { "tool_calls" } else { "stop" };
    let pieces = deltas.iter().map(chunk);
    Script::Pieces(pieces.chain([finish(reason)]).collect())
}

/// A configuration whose model `m` is at `upstream`, with this catalogue row.
fn config(provider: &str, upstream: &FakeUpstream) -> String {
    format!(
        "upstreams:\n  up: {{ provider: {provider}, base_url: \"{}\", api_key: sk-x }}\nmodels:\n  m: {{ upstream: up }}\n",
        upstream.url()
    )
}

/// What the agent asks, with this conversation so far.
fn request(messages: &[Value], stream: bool) -> Value {
    json!({
        "model": "m", "max_tokens": 32000, "stream": stream,
        "thinking": { "type": "adaptive" },
        "system": [{ "type": "text", "text": "You read files.", "cache_control": { "type": "ephemeral" } }],
        "tools": [{ "name": "Read", "description": "Read a file.", "input_schema":
            { "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
              "properties": { "path": { "type": "string" } }, "required": ["path"], "additionalProperties": false } }],
        "messages": messages,
    })
}

/// Lead the conversation until the model has no more calls: its last text, and
/// the inputs of its calls.
async fn converse(client: &Client, stream: bool) -> (String, Vec<Value>) {
    let mut messages = vec![json!({ "role": "user", "content": "What does the file say?" })];
    let mut inputs = Vec::new();
    loop {
        let answer = client.message(&request(&messages, stream)).await;
        let message = answer.message();
        let blocks = message["content"].as_array().expect("content").clone();
        messages.push(json!({ "role": "assistant", "content": blocks }));
        let calls: Vec<_> = blocks
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .collect();
        if calls.is_empty() {
            assert_eq!(message["stop_reason"], "end_turn");
            return (answer.text(), inputs);
        }
        assert_eq!(message["stop_reason"], "tool_use");
        let results: Vec<_> = calls
            .iter()
            .map(
                |call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "42" }),
            )
            .collect();
        inputs.extend(calls.iter().map(|call| call["input"].clone()));
        messages.push(json!({ "role": "user", "content": results }));
    }
}

#[tokio::test]
async fn a_tool_loop_ends_alike_at_every_vendor() {
    for vendor in &VENDORS {
        let upstream = FakeUpstream::start(move |request| play(vendor, &request.json())).await;
        let gateway = TestGateway::start(&config(vendor.provider, &upstream)).await;
        for stream in [true, false] {
            let (text, inputs) = converse(&gateway.client(), stream).await;
            assert_eq!(text, "It says 42.", "{}", vendor.provider);
            assert_eq!(inputs, [json!({ "path": "a" }), json!({ "path": "a" })]);
        }
    }
}

/// Claude Code asks again without a stream when one breaks: nothing may differ.
#[tokio::test]
async fn a_cut_stream_asked_for_again_whole_is_the_same_answer() {
    for provider in ["openai-compatible", "dashscope"] {
        let upstream = FakeUpstream::start(|request| {
            let said = [
                chunk(&json!({ "reasoning_content": "think" })),
                chunk(&json!({ "content": "one " })),
                chunk(&json!({ "content": "two" })),
            ];
            let body = request.json();
            if body["messages"][0]["content"] == "cut" {
                return Script::Pieces(said[..2].to_vec());
            }
            if body["stream"] != true {
                return Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
                    "message": { "role": "assistant", "reasoning_content": "think", "content": "one two" } }],
                    "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }));
            }
            Script::Pieces(said.into_iter().chain([finish("stop")]).collect())
        })
        .await;
        let gateway = TestGateway::start(&config(provider, &upstream)).await;
        let client = gateway.client();
        let ask = async |text: &str, stream: bool| {
            let body = json!({ "model": "m", "max_tokens": 9, "stream": stream,
                "messages": [{ "role": "user", "content": text }] });
            client.message(&body).await
        };
        let cut = ask("cut", true).await;
        let last = cut.events().pop().expect("events");
        assert_eq!(last["type"], "error", "{provider}");
        let streamed = ask("hi", true).await.message();
        let whole = ask("hi", false).await.message();
        for member in ["content", "stop_reason", "usage"] {
            assert_eq!(streamed[member], whole[member], "{provider}");
        }
        let seen = upstream.last_body()["stream"] == true;
        assert_eq!(seen, provider == "dashscope", "which only streams");
    }
}

/// Claude Code defers most of its tools, and finds them by a tool of its own.
#[tokio::test]
async fn a_deferred_tool_that_was_found_is_called() {
    let upstream = FakeUpstream::start(|request| {
        let body = request.json();
        let tools = body["tools"].as_array().expect("tools");
        let named = |name: &str| tools.iter().any(|tool| tool["function"]["name"] == name);
        let call = |name: &str, arguments: &str| {
            json!({ "tool_calls": [{ "index": 0, "id": format!("c-{name}"), "type": "function",
                "function": { "name": name, "arguments": arguments } }] })
        };
        let delta = match said(&body).count() {
            0 if named("Find") && !named("Weather") => call("Find", "{\"query\":\"weather\"}"),
            1 if named("Weather") => call("Weather", "{\"city\":\"Rome\"}"),
            2 => json!({ "content": "Sunny." }),
            turn => json!({ "content": format!("turn {turn}: wrong tools {tools:?}") }),
        };
        let is_call = delta["tool_calls"].is_array();
        let reason = if is_call { "tool_calls" } else { "stop" };
        Script::Pieces(vec![chunk(&delta), finish(reason)])
    })
    .await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let tools = json!([
        { "name": "Find", "description": "Find tools.", "input_schema": { "type": "object", "properties": { "query": { "type": "string" } } } },
        { "name": "Weather", "description": "Tell the weather.", "defer_loading": true,
          "input_schema": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } },
    ]);
    let mut messages = vec![json!({ "role": "user", "content": "How is it in Rome?" })];
    let results = [
        json!([{ "type": "tool_reference", "tool_name": "Weather" }]),
        json!([{ "type": "text", "text": "sun" }]),
    ];
    for (name, result) in ["Find", "Weather"].into_iter().zip(results) {
        let body = json!({ "model": "m", "max_tokens": 9, "stream": true, "tools": tools, "messages": messages });
        let message = gateway.client().message(&body).await.message();
        let call = message["content"][0].clone();
        assert_eq!(call["name"], name, "{message}");
        messages.push(json!({ "role": "assistant", "content": [call.clone()] }));
        messages.push(json!({ "role": "user", "content":
            [{ "type": "tool_result", "tool_use_id": call["id"], "content": result }] }));
        if name == "Weather" {
            assert_eq!(call["input"], json!({ "city": "Rome" }));
        }
    }
    let body = json!({ "model": "m", "max_tokens": 9, "tools": tools, "messages": messages });
    assert_eq!(gateway.client().message(&body).await.text(), "Sunny.");
}

/// A web search is a request of its own with Anthropic's tool alone, which no
/// other upstream has: the model answers as it can, and the loss is told.
#[tokio::test]
async fn a_web_search_without_its_tool_is_answered_and_reported() {
    let upstream = FakeUpstream::saying("I know of none.").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let body = json!({ "model": "m", "max_tokens": 9, "stream": true,
        "tools": [{ "type": "web_search_20250305", "name": "web_search", "max_uses": 8 }],
        "tool_choice": { "type": "tool", "name": "web_search" },
        "messages": [{ "role": "user", "content": "Perform a web search for the query: rust" }] });
    let answer = gateway.client().message(&body).await;
    assert_eq!(answer.text(), "I know of none.");
    let losses = answer.header("sluice-losses");
    assert!(losses.contains("tools[0]"), "{losses}");
    let sent = upstream.last_body();
    assert!(
        sent["tools"].is_null() && sent["tool_choice"].is_null(),
        "{sent}"
    );
}

/// A model deviates from what its vendor's row says: the refusal is heeded once,
/// and remembered.
#[tokio::test]
async fn a_refusal_that_names_the_reasoning_is_heeded_and_remembered() {
    let upstream = FakeUpstream::start(|request| {
        let body = request.json();
        let has = |message: &Value| message["reasoning_content"].is_string();
        let refusal = match body["model"].as_str() {
            Some("demanding") if !said(&body).all(has) => {
                "reasoning_content is missing in assistant tool call message at index 1"
            }
            Some("refusing") if said(&body).any(has) => {
                "property 'messages.1.reasoning_content' is unsupported"
            }
            Some("stubborn") => "property 'messages.1.reasoning_content' is unsupported",
            _ => "",
        };
        if !refusal.is_empty() {
            let error = json!({ "error": { "message": refusal } });
            return Script::Whole(400, vec![], error.to_string());
        }
        Script::Pieces(vec![
            chunk(&json!({ "reasoning_content": "hm" })),
            chunk(&json!({ "content": "ok" })),
            finish("stop"),
        ])
    })
    .await;
    let config = format!(
        "upstreams:\n  up: {{ base_url: \"{}\" }}\nmodels:\n  \"*\": {{ upstream: up, model: \"*\" }}\n",
        upstream.url()
    );
    let gateway = TestGateway::start(&config).await;
    let ask = async |model: &str, history: Value| {
        let body = json!({ "model": model, "max_tokens": 9, "messages": [
            { "role": "user", "content": "a" }, { "role": "assistant", "content": history },
            { "role": "user", "content": "b" } ] });
        gateway.client().message(&body).await
    };
    let first = ask("any", json!("plain")).await.message();
    let reasoned = first["content"].clone();
    for (model, history, asked) in [
        ("demanding", json!("plain"), [2, 1]),
        ("refusing", reasoned.clone(), [2, 1]),
        ("stubborn", reasoned, [2, 2]),
    ] {
        for asked in asked {
            let before = upstream.requests().len();
            let answer = ask(model, history.clone()).await;
            let expected = if model == "stubborn" { 400 } else { 200 };
            assert_eq!(answer.status, expected, "{model}: {:?}", answer.body);
            assert_eq!(upstream.requests().len() - before, asked, "{model}");
        }
    }
}
