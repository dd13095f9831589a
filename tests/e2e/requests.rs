//! What reaches the upstream.

use serde_json::{Value, json};
use sluice_tests::{FakeUpstream, TestGateway};

/// The Messages request `given` reaches the upstream as `expected`.
async fn check(given: Value, expected: Value) {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let answer = gateway.client().message(&given).await;
    assert_eq!(answer.status, 200, "{given} {:?}", answer.body);
    assert_eq!(upstream.last_body(), expected);
}

#[tokio::test]
async fn the_smallest_request() {
    check(
        json!({ "model": "m", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] }),
        json!({ "model": "up-m", "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 5 }),
    )
    .await;
}

#[tokio::test]
async fn a_whole_tool_conversation() {
    let pixel = "iVBORw0KGgo=";
    check(
        json!({
            "model": "m", "max_tokens": 5, "stream": true, "temperature": 0.5, "top_p": 0.9,
            "stop_sequences": ["END"], "metadata": { "user_id": "u" },
            "system": [
                { "type": "text", "text": "x-anthropic-billing-header: cc_version=2.1" },
                { "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } },
            ],
            "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
            "tools": [{ "name": "look", "description": "Look.", "input_schema":
                { "type": "object", "properties": { "zebra": {}, "apple": { "type": "string" } } } }],
            "messages": [
                { "role": "user", "content": [
                    { "type": "text", "text": "what is this?" },
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": pixel } },
                ] },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "Looking." },
                    { "type": "tool_use", "id": "t1", "name": "look", "input": { "zebra": 1, "apple": "a" } },
                    { "type": "tool_use", "id": "t2", "name": "look", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "t2", "is_error": true, "content": "broken" },
                    { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "text", "text": "a pixel" }] },
                    { "type": "text", "text": "go on" },
                ] },
            ],
        }),
        json!({
            "model": "up-m",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": [
                    { "type": "text", "text": "what is this?" },
                    { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{pixel}") } },
                ] },
                { "role": "assistant", "content": "Looking.", "tool_calls": [
                    { "id": "t1", "type": "function", "function":
                        { "name": "look", "arguments": "{\"zebra\":1,\"apple\":\"a\"}" } },
                    { "id": "t2", "type": "function", "function": { "name": "look", "arguments": "{}" } },
                ] },
                { "role": "tool", "tool_call_id": "t1", "content": "a pixel" },
                { "role": "tool", "tool_call_id": "t2", "content": "Error: broken" },
                { "role": "user", "content": "go on" },
            ],
            "tools": [{ "type": "function", "function": { "name": "look", "description": "Look.",
                "parameters": { "type": "object", "properties": { "zebra": {}, "apple": { "type": "string" } } } } }],
            "tool_choice": "required",
            "parallel_tool_calls": false,
            "max_tokens": 5,
            "stop": ["END"],
            "temperature": 0.5,
            "top_p": 0.9,
            "user": "af63e84c860200f0",
            "stream": true,
            "stream_options": { "include_usage": true },
        }),
    )
    .await;
}

#[tokio::test]
async fn it_goes_to_chat_completions_with_the_upstreams_key() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let answer = gateway
        .client()
        .post(
            "/v1/messages?beta=true",
            &[("x-api-key", "the-clients")],
            json!({
        "model": "m", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] })
            .to_string(),
        )
        .await;
    assert_eq!(answer.header("sluice-target"), "up/up-m");
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.headers["authorization"], "Bearer sk-upstream-secret");
    assert!(
        !format!("{:?}", seen.headers).contains("the-clients"),
        "the client's key goes nowhere"
    );
}

#[tokio::test]
async fn what_cannot_be_carried_is_reported() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let answer = gateway
        .client()
        .message(&json!({ "model": "m", "max_tokens": 5, "top_k": 40,
        "messages": [{ "role": "user", "content": "hi" }] }))
        .await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.header("sluice-losses").contains("top_k"),
        "{:?}",
        answer.headers
    );
}

#[tokio::test]
async fn targets_are_tried_in_order() {
    let upstream = FakeUpstream::saying("second").await;
    // Port 1 of loopback refuses connections.
    let gateway = TestGateway::start(&format!(
        "upstreams:\n  gone: {{ base_url: \"http://127.0.0.1:1/v1\" }}\n  up: {{ base_url: \"{}\" }}\nmodels:\n  m: [ {{ upstream: gone, model: x }}, {{ upstream: up, model: y }} ]\n",
        upstream.url()
    ))
    .await;
    let answer = gateway.client().ask("m", false).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("sluice-target")),
        ("second", "up/y")
    );
}

#[tokio::test]
async fn a_route_refuses_what_cannot_be_carried_if_it_is_told_to() {
    let upstream = FakeUpstream::saying("ok").await;
    let exact = "  exact: { targets: [{ upstream: up, model: x }], on_loss: refuse }\n";
    let gateway = TestGateway::start(&upstream.config(exact)).await;
    let request = |top_k: Value| {
        json!({ "model": "exact", "max_tokens": 5, "top_k": top_k,
        "messages": [{ "role": "user", "content": "hi" }] })
    };
    let refused = gateway.client().message(&request(json!(40))).await;
    let said = refused.json()["error"]["message"].to_string();
    assert_eq!(refused.status, 400, "{said}");
    assert!(
        said.contains("top_k: the upstream has no such parameter"),
        "{said}"
    );
    assert!(upstream.requests().is_empty());
    let whole = gateway.client().message(&request(Value::Null)).await;
    assert_eq!(whole.status, 200, "{:?}", whole.body);
}

/// The environment is the process's, so the test runs itself again with another.
#[tokio::test]
async fn proxies_of_the_environment_are_used_but_not_towards_this_machine() {
    const AGAIN: &str = "SLUICE_TEST_PROXIED";
    const NAME: &str = "requests::proxies_of_the_environment_are_used_but_not_towards_this_machine";
    if std::env::var(AGAIN).is_err() {
        let proxy = FakeUpstream::saying("by proxy").await;
        let url = proxy.url().replace("/v1", "");
        let again = std::env::current_exe().expect("it runs");
        let child = tokio::task::spawn_blocking(move || {
            std::process::Command::new(again)
                .args([NAME, "--exact", "--nocapture"])
                .env(AGAIN, "yes")
                .env("HTTP_PROXY", &url)
                .env("http_proxy", &url)
                .env_remove("NO_PROXY")
                .env_remove("no_proxy")
                .output()
        });
        let output = child.await.expect("no panic").expect("it starts");
        assert!(output.status.success(), "{output:?}");
        let paths: Vec<_> = proxy.requests().into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["http://outside.example/v1/chat/completions"]);
        return;
    }
    let upstream = FakeUpstream::saying("directly").await;
    let gateway = TestGateway::start(&format!(
        "\
upstreams:
  near: {{ base_url: \"{}\" }}
  far: {{ base_url: http://outside.example/v1 }}
models: {{ near: {{ upstream: near }}, far: {{ upstream: far }} }}
",
        upstream.url()
    ))
    .await;
    assert_eq!(gateway.client().ask("near", true).await.text(), "directly");
    assert_eq!(gateway.client().ask("far", true).await.text(), "by proxy");
}
