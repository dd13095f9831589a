//! Where calls go: names, tiers, the default.

use serde_json::json;
use sluice_tests::{FakeUpstream, TestGateway};

/// A configuration whose `models`, `tiers` and the rest are `more`.
fn config(upstream: &FakeUpstream, more: &str) -> String {
    format!(
        "upstreams:\n  up: {{ base_url: \"{}\" }}\n{more}",
        upstream.url()
    )
}

#[tokio::test]
async fn names_go_to_their_entry_tier_or_default() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&config(
        &upstream,
        "\
models:
  kimi: { upstream: up, model: k }
  claude-opus-4-*: kimi
  vendor/*: { upstream: up, model: \"*\" }
tiers:
  haiku: { upstream: up, model: small }
  opus: kimi
  subagent: { upstream: up, model: sub }
default: { upstream: up, model: any }
",
    ))
    .await;
    for (asked, agent, sent, route) in [
        ("kimi", "", "k", "kimi"),
        ("kimi[1m]", "", "k", "kimi"),
        ("vendor/x[1m]", "", "x", "vendor/*"),
        ("claude-opus-4-6", "a1", "k", "claude-opus-4-*"),
        ("claude-opus-5-5", "", "k", "tiers.opus"),
        ("claude-haiku-5-5", "", "small", "tiers.haiku"),
        ("claude-haiku-5-5", "a1", "sub", "tiers.subagent"),
        ("claude-sonnet-5-5", "", "any", "default"),
    ] {
        let body = json!({ "model": asked, "max_tokens": 9,
            "messages": [{ "role": "user", "content": "hi" }] });
        let agent = [("x-claude-code-agent-id", agent)];
        let headers = if agent[0].1.is_empty() {
            &[][..]
        } else {
            &agent
        };
        let client = gateway.client();
        let answer = client.post("/v1/messages", headers, body.to_string()).await;
        assert_eq!(answer.header("sluice-route"), route, "{asked}");
        assert_eq!(upstream.last_body()["model"], sent, "{asked}");
        assert_eq!(answer.message()["model"], asked, "the client's own name");
    }
}

#[tokio::test]
async fn windows_are_listed_and_long_answers_are_limited() {
    let upstream = FakeUpstream::saying("ok").await;
    let models = "\
models:
  m: { targets: [{ upstream: up, model: x }], context_window: 32768, output_limit: 500 }
  n: { upstream: up }
tiers: { opus: m }
";
    let gateway = TestGateway::start(&config(&upstream, models)).await;
    let client = gateway.client();
    let anthropic = [("anthropic-version", "2023-06-01")];
    let listed = client.request("GET", "/v1/models", &anthropic).await.json();
    let windows = |at: usize| {
        let model = &listed["data"][at];
        (
            model["max_input_tokens"].as_u64(),
            model["max_tokens"].as_u64(),
        )
    };
    assert_eq!(windows(0), (Some(32768), Some(500)));
    assert_eq!(windows(1), (None, None));
    let tiered = client.request("GET", "/v1/models/claude-opus-9", &[]).await;
    assert_eq!(tiered.json()["max_model_len"], 32768);

    let answer = client.ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 500);
    assert!(answer.header("sluice-losses").contains("max_tokens"));
}
