//! What `/metrics` tells of calls, attempts and reloads.

use serde_json::json;
use sluice_tests::{FakeUpstream, Script, TestGateway, chunk};

/// Says "ok" in a few pieces; the model `bad` fails.
async fn upstream() -> FakeUpstream {
    FakeUpstream::start(|request| match request.json()["model"].as_str() {
        Some("bad") => Script::Whole(503, Vec::new(), "{}".into()),
        _ => {
            let usage = json!({ "choices": [],
                "usage": { "prompt_tokens": 70, "completion_tokens": 3,
                    "prompt_tokens_details": { "cached_tokens": 60 } } });
            let stop = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
            let end = format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
            Script::Pieces(vec![chunk(&json!({ "content": "ok" })), end])
        }
    })
    .await
}

async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::start(&format!(
        "\
upstreams: {{ up: {{ base_url: \"{}\" }} }}
models:
  m: [{{ upstream: up, model: bad }}, {{ upstream: up, model: good }}]
  any-*: {{ upstream: up }}
attempts: {{ pause_ms: 1, failures_max: 1 }}
limits: {{ body_bytes_max: 2000 }}
",
        upstream.url()
    ))
    .await
}

#[track_caller]
fn check(text: &str, lines: &[&str]) {
    for line in lines {
        let found = text.lines().any(|shown| shown == *line);
        assert!(found, "{line} in\n{text}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_what_is_configured() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let client = gateway.client();
    assert_eq!(
        client.ask("m", true).await.message()["content"][0]["text"],
        "ok"
    );
    for name in ["any-a", "any-b", "nobody-knows"] {
        client.ask(name, true).await;
    }
    client.ask(&"m".repeat(3_000), false).await;
    let text = gateway.client().metrics().await;
    check(
        &text,
        &[
            "sluice_calls_total{model=\"m\",target=\"up/good\",outcome=\"answered\",status=\"200\"} 1",
            "sluice_calls_total{model=\"any-*\",target=\"up/any-*\",outcome=\"answered\",status=\"200\"} 2",
            "sluice_calls_total{model=\"other\",target=\"none\",outcome=\"failed\",status=\"404\"} 1",
            "sluice_calls_total{model=\"other\",target=\"none\",outcome=\"turned away\",status=\"413\"} 1",
            "sluice_calls_in_flight 0",
            "sluice_call_seconds_count{model=\"m\",target=\"up/good\",outcome=\"answered\"} 1",
            "sluice_first_byte_seconds_count{model=\"any-*\",target=\"up/any-*\"} 2",
            "sluice_token_gap_seconds_count{model=\"any-*\",target=\"up/any-*\"} 2",
            "sluice_tokens_total{model=\"m\",target=\"up/good\",kind=\"input\"} 10",
            "sluice_tokens_total{model=\"m\",target=\"up/good\",kind=\"output\"} 3",
            "sluice_tokens_total{model=\"m\",target=\"up/good\",kind=\"cache_read\"} 60",
            "sluice_attempts_total{target=\"up/bad\",result=\"503\"} 1",
            "sluice_attempts_total{target=\"up/good\",result=\"ok\"} 1",
            "sluice_retries_total{model=\"m\"} 1",
            "sluice_cooldowns_total{target=\"up/bad\"} 1",
        ],
    );
    for said in ["any-a", "nobody-knows", "mmm"] {
        assert!(!text.contains(said), "`{said}` in\n{text}");
    }
}

#[tokio::test]
async fn a_call_is_in_flight_until_its_client_has_left() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    speaker.say(chunk(&json!({ "content": "ok" })));
    let mut answer = gateway.client().begin("m").await;
    answer.chunk().await.expect("a stream").expect("a word");
    check(
        &gateway.client().metrics().await,
        &["sluice_calls_in_flight 1"],
    );
    drop(answer);
    speaker.left().await;
    let left = "sluice_calls_total{model=\"m\",target=\"up/up-m\",outcome=\"client left\",status=\"499\"} 1";
    check(
        &gateway.client().metrics().await,
        &["sluice_calls_in_flight 0", left],
    );
}

#[tokio::test]
async fn requests_are_counted_whatever_becomes_of_them() {
    let upstream = upstream().await;
    let config = upstream.config("keys: [ sk-any, { name: ann, key: sk-ann } ]\n");
    let gateway = TestGateway::start(&config).await;
    let request = async |method: &str, path: &str, key: &str| {
        let headers = [("x-api-key", key)];
        let answer = gateway.client().request(method, path, &headers).await;
        answer.status
    };
    for (method, path, key, expected) in [
        ("GET", "/v1/models", "sk-wrong", 401),
        ("GET", "/v1/models", "sk-any", 200),
        ("GET", "/v1/v1/models", "sk-any", 200),
        ("GET", "/v1/models/nobody-knows", "sk-any", 404),
        ("GET", "/v1/models/nobody-either", "sk-any", 404),
        ("GET", "/admin/config", "sk-ann", 403),
        ("GET", "/v1/messages", "sk-any", 405),
        ("GET", "/wp-login.php", "sk-any", 404),
        ("GET", "/v1/engines", "sk-any", 404),
        ("GET", "/wp-admin", "sk-wrong", 401),
        ("GET", "/healthz", "", 200),
    ] {
        assert_eq!(request(method, path, key).await, expected, "{path}");
    }
    let ann = gateway.client().with_key("sk-ann");
    ann.ask("m", true).await;
    let counting = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    ann.post("/v1/messages/count_tokens", &[], counting.to_string())
        .await;
    let admin = gateway.client().with_key("sk-any");
    let text = admin.metrics().await;
    check(
        &text,
        &[
            "sluice_requests_total{endpoint=\"/v1/models\",status=\"401\"} 1",
            "sluice_requests_total{endpoint=\"/v1/models\",status=\"200\"} 2",
            "sluice_requests_total{endpoint=\"/v1/models/{*id}\",status=\"404\"} 2",
            "sluice_requests_total{endpoint=\"/admin/config\",status=\"403\"} 1",
            "sluice_requests_total{endpoint=\"/v1/messages\",status=\"405\"} 1",
            "sluice_requests_total{endpoint=\"/v1/messages\",status=\"200\"} 1",
            "sluice_requests_total{endpoint=\"/v1/messages/count_tokens\",status=\"200\"} 1",
            "sluice_requests_total{endpoint=\"other\",status=\"404\"} 2",
            "sluice_requests_total{endpoint=\"other\",status=\"401\"} 1",
        ],
    );
    assert!(!text.contains("healthz"), "{text}");
}

#[tokio::test]
async fn reloads_are_counted_by_what_became_of_them() {
    let upstream = upstream().await;
    let mut gateway = gateway(&upstream).await;
    let edited = |folder: &std::path::Path, to: &str| {
        let path = folder.join("sluice.yaml");
        let text = std::fs::read_to_string(&path).expect("it is there");
        std::fs::write(path, text + to).expect("it takes a file");
    };
    gateway.reload(|folder| edited(folder, "drain: {}\n")).await;
    gateway
        .reload(|folder| edited(folder, "nonsense: 1\n"))
        .await;
    let text = gateway.client().metrics().await;
    check(
        &text,
        &[
            "sluice_reloads_total{result=\"good\"} 1",
            "sluice_reloads_total{result=\"refused\"} 1",
        ],
    );
}
