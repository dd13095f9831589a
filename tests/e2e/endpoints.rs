//! The endpoints beside `/v1/messages`.

use serde_json::json;
use sluice_tests::{FakeUpstream, TestGateway};

#[tokio::test]
async fn models_are_listed_in_both_shapes() {
    let upstream = FakeUpstream::saying("ok").await;
    let config = upstream.config("  kimi-*: { upstream: up }\n");
    let gateway = TestGateway::start(&config).await;
    let client = gateway.client();
    let anthropic = [("anthropic-version", "2023-06-01")];

    let list = client
        .request("GET", "/v1/models?limit=1000", &anthropic)
        .await
        .json();
    assert_eq!(list["data"][0]["type"], "model");
    assert_eq!(
        (list["data"][0]["id"].as_str(), list["last_id"].as_str()),
        (Some("m"), Some("m"))
    );
    assert_eq!(
        (
            list["has_more"].as_bool(),
            list["data"].as_array().map(Vec::len)
        ),
        (Some(false), Some(1))
    );
    let list = client.request("GET", "/v1/models", &[]).await.json();
    assert_eq!(
        (list["object"].as_str(), list["data"][0]["object"].as_str()),
        (Some("list"), Some("model"))
    );

    let one = client
        .request("GET", "/v1/models/kimi-k2", &anthropic)
        .await
        .json();
    assert_eq!(one["id"], "kimi-k2");
    assert_eq!(
        client
            .request("GET", "/v1/models/kim", &anthropic)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn tokens_are_counted_and_marked_as_estimated() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let body =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "one two three four" }] });
    let answer = gateway
        .client()
        .post("/v1/messages/count_tokens?beta=true", &[], body.to_string())
        .await;
    let tokens = answer.json()["input_tokens"].as_u64().expect("a count");
    assert!((4..20).contains(&tokens), "{tokens}");
    assert!(answer.header("sluice-token-count").starts_with("estimate"));
    let answer = gateway
        .client()
        .post("/v1/messages/count_tokens", &[], "{")
        .await;
    assert_eq!(answer.status, 400);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn probes_and_telemetry_need_no_key() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("keys: [sk-own]\n")).await;
    for (method, path) in [
        ("HEAD", "/"),
        ("HEAD", "/api/hello"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("POST", "/api/event_logging/batch"),
    ] {
        assert_eq!(
            gateway.client().request(method, path, &[]).await.status,
            200,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let body = json!({ "model": "m", "max_tokens": 9, "stream": true,
        "messages": [{ "role": "user", "content": "hi" }] });
    let one = reqwest::Client::builder().http1_only();
    let two = reqwest::Client::builder().http2_prior_knowledge();
    for (client, version) in [(one, "HTTP/1.1"), (two, "HTTP/2.0")] {
        let client = client.no_proxy().build().expect("a client");
        let request = client.post(format!("{}/v1/messages", gateway.url()));
        let response = request.json(&body).send().await.expect("an answer");
        assert_eq!(format!("{:?}", response.version()), version);
        let text = response.text().await.expect("whole");
        assert!(text.contains("message_stop"), "{text}");
    }
}
