//! Whatever comes in wrong gets a clear error in the client's dialect.

use serde_json::json;
use sluice_tests::{FakeUpstream, Script, TestGateway, chunk, until};

const LIMITS: &str = "keys: [sk-own]\nlimits: { body_bytes_max: 2000 }\n";
const KEY: (&str, &str) = ("x-api-key", "sk-own");
/// Endpoints that both dialects have answer clients that send it as Anthropic does.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

#[tokio::test]
async fn requests_that_cannot_be_served() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config(LIMITS)).await;
    let big = format!(r#"{{"model":"m","x":"{}"}}"#, "y".repeat(3000));
    let deep = format!(
        r#"{{"model":"m","max_tokens":1,"messages":{}"#,
        "[".repeat(1500)
    );
    let nul = "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"\u{1}\"}]}";
    for (body, status, kind, message) in [
        ("", 400, "invalid_request_error", "ends too early"),
        (
            "{\"model\":",
            400,
            "invalid_request_error",
            "ends too early",
        ),
        ("[]", 400, "invalid_request_error", "expected an object"),
        ("{]", 400, "invalid_request_error", "JSON"),
        (
            r#"{"max_tokens":1,"messages":[]}"#,
            400,
            "invalid_request_error",
            "model",
        ),
        (
            r#"{"model":7,"max_tokens":1,"messages":[]}"#,
            400,
            "invalid_request_error",
            "model: expected a string",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":{}}"#,
            400,
            "invalid_request_error",
            "messages: expected",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":7,"content":"x"}]}"#,
            400,
            "invalid_request_error",
            "messages[0].role: expected a string",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"king","content":"x"}]}"#,
            400,
            "invalid_request_error",
            "messages[0].role",
        ),
        (
            r#"{"model":"m","max_tokens":"x","messages":[{"role":"user","content":"x"}]}"#,
            400,
            "invalid_request_error",
            "max_tokens: expected",
        ),
        (nul, 400, "invalid_request_error", "JSON"),
        (deep.as_str(), 400, "invalid_request_error", ""),
        (big.as_str(), 413, "request_too_large", "2000 bytes"),
        (
            r#"{"model":"n","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#,
            404,
            "not_found_error",
            "model `n` is not configured; did you mean `m`?",
        ),
    ] {
        for path in ["/v1/messages", "/v1/messages?beta=true", "/v1/v1/messages"] {
            let answer = gateway.client().post(path, &[KEY], body.to_owned()).await;
            let shown = body.chars().take(60).collect::<String>();
            assert_eq!(answer.status, status, "{shown}: {:?}", answer.body);
            let json = answer.json();
            assert_eq!(
                (json["type"].as_str(), json["error"]["type"].as_str()),
                (Some("error"), Some(kind)),
                "{shown}"
            );
            let said = json["error"]["message"].as_str().expect("a message");
            assert!(said.contains(message), "{shown}: {said}");
            assert_eq!(
                json["request_id"].as_str(),
                Some(answer.header("request-id"))
            );
            assert_eq!(answer.header("x-should-retry"), "false");
        }
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_text() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let answer = gateway
        .client()
        .post("/v1/messages", &[], vec![b'{', 0xff, b'}'])
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .is_some_and(|said| said.contains("UTF-8"))
    );
    let answer = gateway
        .client()
        .post("/v1/messages", &[("content-encoding", "gzip")], "x")
        .await;
    assert_eq!(answer.status, 415);
}

#[tokio::test]
async fn keys_endpoints_and_methods() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config(LIMITS)).await;
    let client = gateway.client();
    for (method, path, headers, status, kind) in [
        ("POST", "/v1/messages", &[][..], 401, "authentication_error"),
        (
            "POST",
            "/v1/messages",
            &[("authorization", "Bearer sk-other")],
            401,
            "authentication_error",
        ),
        (
            "GET",
            "/v1/models",
            &[VERSION, ("x-api-key", "")],
            401,
            "authentication_error",
        ),
        ("POST", "/v1/complete", &[KEY], 404, "not_found_error"),
        (
            "GET",
            "/v1/models/n",
            &[KEY, VERSION],
            404,
            "not_found_error",
        ),
        ("GET", "/v1/messages", &[KEY], 405, "invalid_request_error"),
        (
            "GET",
            "/v1/models",
            &[KEY, VERSION, ("host", "evil.example")],
            403,
            "permission_error",
        ),
        (
            "GET",
            "/v1/models",
            &[KEY, VERSION, ("origin", "http://evil.example")],
            403,
            "permission_error",
        ),
    ] {
        let answer = client.request(method, path, headers).await;
        assert_eq!(
            answer.status, status,
            "{method} {path} {headers:?}: {:?}",
            answer.body
        );
        assert_eq!(answer.json()["error"]["type"], kind, "{method} {path}");
        assert!(
            !format!("{:?}", answer.body).contains("sk-"),
            "no key is quoted"
        );
    }
    let openai = client.request("GET", "/v1/models", &[]).await;
    assert_eq!(openai.json()["error"]["code"], "invalid_api_key");
    let bearer = [("authorization", "Bearer sk-own")];
    assert_eq!(
        client.request("GET", "/v1/models", &bearer).await.status,
        200
    );
}

#[tokio::test]
async fn upstreams_that_fail() {
    const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let openai = json!({ "error": { "message": "max_tokens is too large: 64000", "type": "invalid_request_error" } });
    let quotes = json!({ "error": { "message": "Incorrect API key: sk-upstream-secret" } });
    let table: Vec<(u16, String, u16, &str, &str)> = vec![
        (
            400,
            openai.to_string(),
            400,
            "invalid_request_error",
            "max_tokens is too large: 64000",
        ),
        (
            401,
            quotes.to_string(),
            401,
            "authentication_error",
            "upstream `up`: Incorrect API key: [key]",
        ),
        (
            404,
            "no such model".into(),
            404,
            "not_found_error",
            "no such model",
        ),
        (429, "{}".into(), 429, "rate_limit_error", "upstream `up`"),
        (500, String::new(), 500, "api_error", "upstream `up`"),
        (502, PAGE.into(), 502, "api_error", "502 Bad Gateway"),
        (503, "busy".into(), 503, "overloaded_error", "busy"),
        (200, PAGE.into(), 502, "api_error", "502 Bad Gateway"),
        (200, String::new(), 502, "api_error", "sent no answer"),
        (200, "{\"choices\":".into(), 502, "api_error", "no JSON"),
        (302, String::new(), 502, "api_error", "upstream `up`"),
    ];
    for (status, body, expected, kind, message) in table {
        let given = body.clone();
        let headers = vec![("retry-after", "7"), ("location", "http://127.0.0.1:1/")];
        let upstream =
            FakeUpstream::start(move |_| Script::Whole(status, headers.clone(), given.clone()))
                .await;
        let gateway = TestGateway::start(&upstream.config("")).await;
        for stream in [false, true] {
            let answer = gateway.client().ask("m", stream).await;
            let json = answer.json();
            let said = json["error"]["message"].as_str().unwrap_or("");
            assert_eq!(answer.status, expected, "{status} {body}: {said}");
            assert_eq!(json["error"]["type"], kind, "{status} {body}");
            assert!(said.contains(message), "{status} {body}: {said}");
            assert!(
                !said.contains("sk-upstream-secret") && !said.contains('<'),
                "{said}"
            );
            if status == 429 {
                assert_eq!(answer.header("retry-after"), "7");
            }
        }
    }
}

/// Sums of what an upstream counts end at the largest number, for whoever adds them up.
#[tokio::test]
async fn counts_beyond_every_bound() {
    let most = u64::MAX;
    let message = json!({ "id": "i", "type": "message", "role": "assistant", "model": "c",
        "content": [{ "type": "text", "text": "ok" }], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": most, "output_tokens": most,
            "cache_read_input_tokens": most, "cache_creation_input_tokens": most } });
    let upstream = FakeUpstream::start(move |_| Script::json(&message)).await;
    let gateway = TestGateway::start(&format!(
        "\
keys: [ {{ name: ann, key: sk-ann, admin: true, budget: {{ tokens: 1000000, per: total }} }} ]
state: {{ store: memory }}
prices: {{ \"*\": {{ input: 1, output: 1 }} }}
upstreams: {{ up: {{ base_url: \"{}\", dialect: anthropic-messages }} }}
models: {{ m: {{ upstream: up }} }}
",
        upstream.url()
    ))
    .await;
    let client = gateway.client().with_key("sk-ann");
    assert_eq!(client.ask("m", false).await.text(), "ok");
    let counted =
        "sluice_calls_total{model=\"m\",target=\"up/m\",outcome=\"answered\",status=\"200\"} 1";
    let metrics = client.metrics().await;
    assert!(metrics.contains(counted), "{metrics}");
    until("it is settled", async || {
        let report = client.request("GET", "/admin/keys", &[]).await.json();
        let taken = report[0]["limits"][0]["taken"].as_f64();
        (taken >= Some(i64::MAX as f64)).then_some(())
    })
    .await;
    assert_eq!(client.ask("m", true).await.status, 429);
}

/// Headers of an upstream's 429, and what the client reads of them.
#[tokio::test]
async fn when_to_try_again() {
    let date = "Wed, 25 Nov 2026 03:00:00 GMT";
    for (given, expected) in [
        (
            vec![("retry-after", "3600")],
            vec![("retry-after", "3600"), ("x-should-retry", "")],
        ),
        (vec![("retry-after", date)], vec![("retry-after", date)]),
        (
            vec![("retry-after-ms", "1200.5")],
            vec![("retry-after-ms", "1200.5"), ("retry-after", "2")],
        ),
        (
            vec![("retry-after-ms", "900"), ("retry-after", "1")],
            vec![("retry-after-ms", "900"), ("retry-after", "1")],
        ),
        (
            vec![("retry-after-ms", "soon"), ("x-should-retry", "true")],
            vec![("retry-after", ""), ("x-should-retry", "true")],
        ),
        (
            vec![
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("set-cookie", "a=b"),
            ],
            vec![
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("set-cookie", ""),
            ],
        ),
    ] {
        let headers = given.clone();
        let upstream =
            FakeUpstream::start(move |_| Script::Whole(429, headers.clone(), "{}".into())).await;
        let gateway = TestGateway::start(&upstream.config("")).await;
        let answer = gateway.client().ask("m", true).await;
        assert_eq!(answer.status, 429);
        for (name, value) in expected {
            assert_eq!(answer.header(name), value, "{given:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_key_that_a_stream_quotes_is_struck_out() {
    let error = json!({ "error": { "message": "bad key sk-upstream-secret" } });
    let error = format!("data: {error}\n\n");
    let text = chunk(&json!({ "content": "a" }));
    for pieces in [vec![error.clone()], vec![text, error]] {
        let upstream = FakeUpstream::start(move |_| Script::Pieces(pieces.clone())).await;
        let gateway = TestGateway::start(&upstream.config("")).await;
        for stream in [true, false] {
            let answer = gateway.client().ask("m", stream).await;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(body.contains("bad key [key]"), "{body}");
            assert!(!body.contains("sk-upstream-secret"), "{body}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there() {
    let gateway = TestGateway::start(
        "upstreams:\n  gone: { base_url: \"http://127.0.0.1:1/v1\" }\nmodels:\n  m: { upstream: gone }\n",
    )
    .await;
    let answer = gateway.client().ask("m", true).await;
    assert_eq!(answer.status, 502);
    let said = answer.json()["error"]["message"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert!(said.starts_with("upstream `gone` "), "{said}");
}
