//! Every pairing of client and upstream, beside Messages over Chat Completions,
//! which the other files are about.

use serde_json::{Value, json};
use sluice_tests::{Answer, FakeUpstream, Script, TestGateway, sse};

/// A gateway before `upstream`, which speaks Messages.
async fn before_messages(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::start(&format!(
        "upstreams:\n  up: {{ base_url: \"{}\", dialect: anthropic-messages, api_key: sk-upstream-secret }}\nmodels:\n  m: {{ upstream: up, model: claude-x }}\n",
        upstream.url()
    ))
    .await
}

/// What Anthropic answers, whole.
fn anthropic_message() -> Value {
    json!({
        "id": "msg_upstream", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [
            { "type": "thinking", "thinking": "hm", "signature": "EqQBCk" },
            { "type": "text", "text": "Yes.", "citations": [{ "type": "char_location", "cited_text": "y" }] },
            { "type": "tool_use", "id": "toolu_1", "name": "look", "input": { "at": "x" } },
            { "type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": { "query": "q" } },
        ],
        "stop_reason": "tool_use", "stop_sequence": null, "container": { "id": "c" },
        "usage": { "input_tokens": 5, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2,
            "output_tokens": 9, "service_tier": "standard" },
    })
}

/// The same as Anthropic streams it.
fn anthropic_stream() -> Vec<String> {
    let message = anthropic_message();
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let block = |index: usize, block: Value, delta: Value| {
        vec![
            json!({ "type": "content_block_start", "index": index, "content_block": block }),
            json!({ "type": "content_block_delta", "index": index, "delta": delta }),
            json!({ "type": "content_block_stop", "index": index }),
        ]
    };
    let mut events = vec![json!({ "type": "message_start", "message": start })];
    let mut thinking = block(
        0,
        json!({ "type": "thinking", "thinking": "", "signature": "" }),
        json!({ "type": "thinking_delta", "thinking": "hm" }),
    );
    let signature = json!({ "type": "signature_delta", "signature": "EqQBCk" });
    thinking.insert(
        2,
        json!({ "type": "content_block_delta", "index": 0, "delta": signature }),
    );
    let mut text = block(
        1,
        json!({ "type": "text", "text": "" }),
        json!({ "type": "text_delta", "text": "Yes." }),
    );
    let citation = message["content"][1]["citations"][0].clone();
    text.insert(
        2,
        json!({ "type": "content_block_delta", "index": 1,
            "delta": { "type": "citations_delta", "citation": citation } }),
    );
    events.extend(thinking);
    events.extend(text);
    events.extend(block(
        2,
        json!({ "type": "tool_use", "id": "toolu_1", "name": "look", "input": {} }),
        json!({ "type": "input_json_delta", "partial_json": "{\"at\": \"x\"}" }),
    ));
    events.extend(block(
        3,
        json!({ "type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {} }),
        json!({ "type": "input_json_delta", "partial_json": "{\"query\": \"q\"}" }),
    ));
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null },
        "usage": { "output_tokens": 9 } }));
    events.push(json!({ "type": "message_stop" }));
    let frame = |event: Value| {
        let kind = event["type"].as_str().unwrap_or("").to_owned();
        format!("event: {kind}\ndata: {event}\n\n")
    };
    events.into_iter().map(frame).collect()
}

async fn anthropic() -> FakeUpstream {
    FakeUpstream::start(|request| {
        if request.json()["stream"] == true {
            Script::Pieces(anthropic_stream())
        } else {
            Script::Whole(
                200,
                vec![("anthropic-ratelimit-requests-remaining", "41")],
                anthropic_message().to_string(),
            )
        }
    })
    .await
}

#[tokio::test]
async fn messages_over_messages_passes_untouched() {
    let upstream = anthropic().await;
    let gateway = before_messages(&upstream).await;
    // Odd spacing, unknown members and blocks: all of it must arrive as it is.
    let body = |stream: bool| {
        format!(
            "{{\"model\" : \"m\", \"max_tokens\":9 ,\"stream\":{stream},\"unknown\": {{\"z\":1,\"a\":[ 2 ]}},\n\"messages\":[{{\"role\":\"assistant\",\"content\":[{{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"EqQBCk\"}},{{\"type\":\"new_kind\",\"x\":  1}}]}},{{\"role\":\"user\",\"content\":\"h\\u00e4\"}}]}}"
        )
    };
    let headers = [
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "a-1,b-2"),
        ("x-api-key", "the-clients"),
    ];
    for stream in [false, true] {
        let answer = gateway
            .client()
            .post("/v1/messages?beta=true", &headers, body(stream))
            .await;
        let seen = upstream.requests().pop().expect("it was asked");
        let sent = String::from_utf8(seen.body.to_vec()).expect("text");
        assert_eq!(sent, body(stream).replace("\"m\"", "\"claude-x\""));
        assert_eq!(seen.path, "/v1/messages");
        assert_eq!(seen.headers["x-api-key"], "sk-upstream-secret");
        assert_eq!(seen.headers["anthropic-version"], "2026-10-21");
        assert_eq!(seen.headers["anthropic-beta"], "a-1,b-2");
        assert!(!format!("{:?}", seen.headers).contains("the-clients"));
        if stream {
            let sent = sse(anthropic_stream().concat().as_bytes());
            let mut got = answer.events();
            assert_eq!(got[0]["message"]["model"], "m");
            got[0]["message"]["id"] = json!("msg_upstream");
            got[0]["message"]["model"] = json!("claude-x");
            let last_but_one = got.len() - 2;
            // The final counts repeat what the first ones said.
            assert_eq!(got[last_but_one]["usage"]["output_tokens"], 9);
            got[last_but_one]["usage"] = json!({ "output_tokens": 9 });
            assert_eq!(got, sent);
        } else {
            let mut got = answer.json();
            assert_eq!(got["model"], "m");
            (got["id"], got["model"]) = (json!("msg_upstream"), json!("claude-x"));
            assert_eq!(got, anthropic_message());
            assert_eq!(
                answer.header("anthropic-ratelimit-requests-remaining"),
                "41"
            );
        }
        assert_eq!(answer.header("sluice-losses"), "");
    }
}

#[tokio::test]
async fn an_accent_of_messages_is_heeded() {
    let upstream = anthropic().await;
    let gateway = TestGateway::start(&format!(
        "upstreams:\n  up: {{ base_url: \"{}\", provider: vllm-messages }}\nmodels:\n  m: {{ upstream: up, model: x }}\n",
        upstream.url()
    ))
    .await;
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"h"},{"role":"system","content":"now"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#;
    let headers = [("anthropic-beta", "a-1")];
    let answer = gateway
        .client()
        .post("/v1/messages", &headers, body.to_owned())
        .await;
    let seen = upstream.requests().pop().expect("it was asked");
    assert!(!seen.headers.contains_key("anthropic-beta"));
    let said = |text: &str| json!({ "type": "text", "text": text });
    let content = [
        said("h"),
        said("<system-reminder>\nnow\n</system-reminder>"),
    ];
    assert_eq!(
        seen.json(),
        json!({ "model": "x", "max_tokens": 9, "messages": [{ "role": "user", "content": content }] })
    );
    assert!(answer.header("sluice-losses").contains("tools[0]"));
}

#[tokio::test]
async fn errors_of_messages_upstreams_keep_their_kind() {
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy",
        "details": { "error_code": "compaction_unavailable" } }, "request_id": "r" });
    let upstream = FakeUpstream::start(move |_| {
        Script::Whole(529, vec![("retry-after", "3")], error.to_string())
    })
    .await;
    let gateway = before_messages(&upstream).await;
    let answer = gateway.client().ask("m", true).await;
    assert_eq!((answer.status, answer.header("retry-after")), (529, "3"));
    let error = answer.json()["error"].clone();
    assert_eq!(error["type"], "overloaded_error");
    assert_eq!(error["details"]["error_code"], "compaction_unavailable");
}

// === clients of Chat Completions ===

fn chat_request(stream: bool) -> Value {
    json!({
        "model": "m", "stream": stream, "max_completion_tokens": 50, "temperature": 0.5,
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "look" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function",
                "function": { "name": "look", "arguments": "{\"at\":\"x\"}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": "seen" },
        ],
        "tools": [{ "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } }],
    })
}

async fn complete(gateway: &TestGateway, body: &Value) -> Answer {
    let path = "/v1/chat/completions";
    gateway.client().post(path, &[], body.to_string()).await
}

/// The deltas of a stream of chunks, joined; and the finish reason.
fn joined(answer: &Answer) -> (String, Vec<Value>, Value) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let chunks = sse(text.replace("data: [DONE]\n\n", "").as_bytes());
    let (mut content, mut calls, mut finish) = (String::new(), Vec::new(), Value::Null);
    for choice in chunks.iter().filter_map(|chunk| chunk["choices"].get(0)) {
        content += choice["delta"]["content"].as_str().unwrap_or("");
        calls.extend(
            choice["delta"]["tool_calls"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
        );
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
    }
    (content, calls, finish)
}

#[tokio::test]
async fn chat_over_messages() {
    let upstream = anthropic().await;
    let gateway = before_messages(&upstream).await;
    let answer = complete(&gateway, &chat_request(false)).await;
    let sent = upstream.last_body();
    assert_eq!(sent["model"], "claude-x");
    assert_eq!(sent["max_tokens"], 50);
    assert_eq!(
        sent["system"][0]["text"]
            .as_str()
            .or(sent["system"].as_str()),
        Some("Be brief.")
    );
    assert_eq!(sent["messages"][1]["content"][0]["type"], "tool_use");
    assert_eq!(sent["messages"][2]["content"][0]["tool_use_id"], "c1");
    let completion = answer.json();
    let message = &completion["choices"][0]["message"];
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["model"], "m");
    assert_eq!(message["content"], "Yes.");
    assert_eq!(message["tool_calls"][0]["function"]["name"], "look");
    assert_eq!(completion["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(completion["usage"]["prompt_tokens"], 8);
    assert_eq!(completion["usage"]["completion_tokens"], 9);
    // What only Anthropic has is reported.
    let losses = answer.header("sluice-losses");
    assert!(losses.contains("answer.content[3]"), "{losses}");

    let answer = complete(&gateway, &chat_request(true)).await;
    let (content, calls, finish) = joined(&answer);
    assert_eq!((content.as_str(), finish), ("Yes.", json!("tool_calls")));
    assert_eq!(calls[0]["function"]["name"], "look");
}

#[tokio::test]
async fn chat_over_chat_passes_untouched() {
    let upstream = FakeUpstream::saying("one two").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let body = "{\"model\":\"m\",\"n\":1, \"seed\" : 7,\"logit_bias\":{\"5\":1},\"messages\":[{\"role\":\"user\", \"content\":\"hi\"}]}";
    let path = "/v1/chat/completions";
    let answer = gateway.client().post(path, &[], body).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "one two");
    let sent = upstream.last_body();
    let mut expected: Value = serde_json::from_str(body).expect("JSON");
    expected["model"] = json!("up-m");
    assert_eq!(sent, expected);

    let streamed = complete(
        &gateway,
        &json!({ "model": "m", "stream": true,
        "messages": [{ "role": "user", "content": "hi" }] }),
    )
    .await;
    let (content, _, finish) = joined(&streamed);
    assert_eq!((content.as_str(), finish), ("one two", json!("stop")));
    let text = String::from_utf8_lossy(&streamed.body);
    assert!(!text.contains("\"usage\""), "nobody asked for it: {text}");

    let with_usage = complete(&gateway, &json!({ "model": "m", "stream": true,
        "stream_options": { "include_usage": true }, "messages": [{ "role": "user", "content": "hi" }] }))
    .await;
    let text = String::from_utf8_lossy(&with_usage.body);
    assert!(text.contains("\"prompt_tokens\":7"), "{text}");
}

/// Whole and streamed, from an upstream that does not stream.
#[tokio::test]
async fn what_only_their_dialect_says_reaches_chat_clients() {
    let body = json!({ "service_tier": "flex", "choices": [{ "index": 0, "finish_reason": "stop",
        "logprobs": { "content": [{ "token": "a" }] },
        "message": { "role": "assistant", "content": "a", "annotations": [{ "type": "url_citation" }] } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "cost": 0.5 } });
    let upstream = FakeUpstream::start(move |_| Script::Whole(200, vec![], body.to_string())).await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let ask = |stream: bool| {
        json!({ "model": "m", "stream": stream,
        "messages": [{ "role": "user", "content": "hi" }] })
    };
    let answer = complete(&gateway, &ask(false)).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(answer["service_tier"], "flex");
    assert_eq!(answer["usage"]["cost"], 0.5);
    assert_eq!(choice["logprobs"]["content"][0]["token"], "a");
    assert_eq!(choice["message"]["annotations"][0]["type"], "url_citation");
    let streamed = complete(&gateway, &ask(true)).await;
    let text = String::from_utf8_lossy(&streamed.body);
    for said in ["\"flex\"", "\"token\":\"a\"", "url_citation"] {
        assert!(text.contains(said), "no {said} in {text}");
    }
}

#[tokio::test]
async fn chat_clients_get_errors_in_their_own_shape() {
    let upstream = anthropic().await;
    let gateway = before_messages(&upstream).await;
    let two = json!({ "model": "m", "n": 2, "messages": [{ "role": "user", "content": "hi" }] });
    let audio = json!({ "model": "m", "modalities": ["audio"], "audio": {}, "messages": [{ "role": "user", "content": "hi" }] });
    let unknown = json!({ "model": "gone", "messages": [{ "role": "user", "content": "hi" }] });
    let wrong = json!({ "model": "m", "messages": [{ "role": 7 }] });
    for (body, status, said) in [
        (two, 400, "n"),
        (audio, 400, "audio"),
        (unknown, 404, "did you mean `m`?"),
        (wrong, 400, "messages[0].role"),
    ] {
        let answer = complete(&gateway, &body).await;
        let json = answer.json();
        assert_eq!(answer.status, status, "{json}");
        assert!(json.get("type").is_none(), "Anthropic's shape: {json}");
        let message = json["error"]["message"].as_str().expect("a message");
        assert!(message.contains(said), "{message}");
    }
    assert!(upstream.requests().is_empty());
    let keyed = TestGateway::start(&upstream.config("keys: [sk-own]\n")).await;
    let answer = complete(&keyed, &chat_request(false)).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.json()["error"]["code"].is_string(),
        "{:?}",
        answer.body
    );
}

#[tokio::test]
async fn hooks_act_alike_for_every_client() {
    use sluice_tests::guests::GUEST_SCRIPTED;
    let upstream = FakeUpstream::saying("one two three").await;
    let config = |config: Value| {
        upstream.config(&format!(
            "hooks: {{ chain: [ {{ hook: scripted, grants: {{ prompt: write }}, config: {config} }} ] }}\n"
        ))
    };
    let hooks = [("scripted", GUEST_SCRIPTED)];
    let loud = TestGateway::with_hooks(&config(json!({ "stream": "uppercase" })), &hooks).await;
    let whole = complete(&loud, &chat_request(false)).await;
    assert_eq!(
        whole.json()["choices"][0]["message"]["content"],
        "ONE TWO THREE"
    );
    let streamed = complete(&loud, &chat_request(true)).await;
    assert_eq!(joined(&streamed).0, "ONE TWO THREE");

    let edit = json!({ "stage": "on-request", "set": { "/max_tokens": 5 } });
    let capped = TestGateway::with_hooks(&config(edit), &hooks).await;
    let mut request = chat_request(false);
    request["seed"] = json!(7);
    let answer = complete(&capped, &request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let sent = upstream.last_body();
    assert_eq!(sent["max_tokens"], 5);
    assert_eq!(sent["messages"][3]["content"], "seen");
    // An edited request goes through the hooks' vocabulary; what that lacks is reported.
    assert!(
        answer.header("sluice-losses").contains("seed"),
        "{:?}",
        answer.headers
    );

    let reply = json!({ "stage": "on-request", "reply": "from the cache" });
    let cached = TestGateway::with_hooks(&config(reply), &hooks).await;
    let answer = complete(&cached, &chat_request(true)).await;
    assert_eq!(joined(&answer).0, "from the cache");
}
