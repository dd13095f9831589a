//! LiteLLM's file does what it says, as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_tests::{FakeUpstream, Script, TestGateway, text_stream};

/// An upstream whose models do as they are called: `500` fails, `never` says nothing,
/// any other answers with its name.
async fn upstream() -> FakeUpstream {
    FakeUpstream::start(|request| {
        let body = request.json();
        let model = body["model"].as_str().unwrap_or("").to_owned();
        match model.as_str() {
            "500" => Script::Whole(500, Vec::new(), "{}".into()),
            "never" => Script::Silence,
            _ if body["stream"] == true => Script::Pieces(text_stream(&model)),
            _ => Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": model } }],
                "usage": { "prompt_tokens": 7, "completion_tokens": 3 } })),
        }
    })
    .await
}

/// A gateway with these deployments, `(name, model, more)`, and more of the file.
async fn gateway(
    upstream: &FakeUpstream,
    deployments: &[(&str, &str, &str)],
    more: &str,
) -> TestGateway {
    let entry = |(name, model, params): &(&str, &str, &str)| {
        format!(
            "  - {{ model_name: \"{name}\", litellm_params: {{ model: \"openai/{model}\", api_base: \"{}\", {params} }} }}\n",
            upstream.url()
        )
    };
    let entries: String = deployments.iter().map(entry).collect();
    TestGateway::start(&format!("model_list:\n{entries}{more}")).await
}

#[tokio::test]
async fn parameters_are_dropped_however_a_deployment_is_reached() {
    let upstream = upstream().await;
    let dropped = "additional_drop_params: [temperature, stream_options.include_usage]";
    let deployments = [
        ("picky", "p", dropped),
        ("other", "o", ""),
        ("bad", "500", ""),
    ];
    let router = "router_settings: { num_retries: 0, model_group_alias: { alias: picky }, fallbacks: [ { bad: [picky] } ] }";
    let gateway = gateway(&upstream, &deployments, router).await;
    let sent = |request: &Value| {
        (
            request["temperature"].is_null(),
            request["stream_options"]["include_usage"].is_null(),
        )
    };
    for (model, expected) in [
        ("picky", (true, true)),
        ("alias", (true, true)),
        ("bad", (true, true)),
        ("other", (false, false)),
    ] {
        let body = json!({ "model": model, "max_tokens": 9, "temperature": 0.5, "stream": true,
            "messages": [{ "role": "user", "content": "hi" }] });
        let answer = gateway.client().message(&body).await;
        assert_eq!(answer.status, 200, "{model}");
        assert_eq!(sent(&upstream.last_body()), expected, "{model}");
    }
}

#[tokio::test]
async fn a_deployment_without_weight_is_asked_where_all_others_fail() {
    let upstream = upstream().await;
    let deployments = [("m", "main", "weight: 90"), ("m", "spare", "")];
    let one = gateway(&upstream, &deployments, "").await;
    for _ in 0..20 {
        assert_eq!(one.client().ask("m", false).await.text(), "main");
    }
    let deployments = [("m", "spare", "weight: 0"), ("m", "500", "weight: 90")];
    let two = gateway(&upstream, &deployments, "").await;
    assert_eq!(two.client().ask("m", false).await.text(), "spare");
}

#[tokio::test]
async fn deployments_of_one_order_share_their_calls() {
    let upstream = upstream().await;
    let deployments = [
        ("m", "never", "order: 2"),
        ("m", "a", "order: 1"),
        ("m", "b", "order: 1"),
        ("n", "c", "order: 2"),
        ("n", "500", "order: 1"),
        ("n", "d", "order: 2"),
        ("n", "never", ""),
    ];
    let gateway = gateway(&upstream, &deployments, "").await;
    for (model, expected) in [("m", ["a", "b"]), ("n", ["c", "d"])] {
        let mut seen = BTreeSet::new();
        for _ in 0..40 {
            seen.insert(gateway.client().ask(model, false).await.text());
        }
        // One of 2^39 runs has them all at one.
        assert!(seen.iter().eq(expected), "{model}: {seen:?}");
    }
}

#[tokio::test]
async fn calls_are_tried_as_often_as_the_file_says() {
    let upstream = upstream().await;
    for (router, attempts) in [
        ("", 3),
        ("num_retries: 0, retry_after: 0.001", 1),
        ("retry_policy: { InternalServerErrorRetries: 3 }", 4),
    ] {
        let before = upstream.requests().len();
        let more = format!("router_settings: {{ {router} }}");
        let gateway = gateway(&upstream, &[("m", "500", "")], &more).await;
        assert_eq!(gateway.client().ask("m", false).await.status, 500);
        assert_eq!(upstream.requests().len() - before, attempts, "{router}");
    }
}

#[tokio::test]
async fn a_deployment_is_waited_for_as_it_says() {
    let upstream = upstream().await;
    let deployments = [
        ("m", "never", "order: 1, timeout: 0.05"),
        ("m", "b", "order: 2"),
        ("s", "never", "order: 1, timeout: 60, stream_timeout: 0.05"),
        ("s", "b", "order: 2"),
    ];
    let gateway = gateway(&upstream, &deployments, "").await;
    assert_eq!(gateway.client().ask("m", false).await.text(), "b");
    assert_eq!(gateway.client().ask("m", true).await.text(), "b");
    assert_eq!(gateway.client().ask("s", true).await.text(), "b");
}

#[tokio::test]
async fn patterns_and_defaults_are_litellm_s() {
    let upstream = upstream().await;
    let deployments = [
        ("*-haiku", "small", "temperature: 0.25"),
        ("a-*-x-*", "*", ""),
    ];
    let gateway = gateway(&upstream, &deployments, "").await;
    let answer = gateway.client().ask("claude-haiku-4-5", false).await;
    assert_eq!(answer.text(), "small");
    assert_eq!(upstream.last_body()["temperature"], 0.25);
    let answer = gateway.client().ask("a-b-x-c", false).await;
    assert_eq!(answer.text(), "a-b-x-c");
}
