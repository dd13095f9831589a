//! The stages around a call: routes, statuses, errors, records, counts, lists.

use serde_json::{Value, json};
use sluice_tests::guests::{GUEST_SCRIPTED, GUEST_STAGES};
use sluice_tests::{FakeUpstream, Script, TestGateway, until};

/// An upstream that first answers with each of `statuses`, and then says "ok".
async fn failing(statuses: &[u16]) -> FakeUpstream {
    let left = std::sync::Mutex::new(statuses.to_vec());
    FakeUpstream::start(move |request| {
        let mut left = left.lock().expect("no test panics in here");
        if !left.is_empty() {
            let error = json!({ "error": { "message": "not now" } });
            return Script::Whole(left.remove(0), vec![("x-why", "load")], error.to_string());
        }
        let name = request.json()["model"].clone();
        let answer = json!({ "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": format!("ok from {}", name.as_str().unwrap_or("")) } }],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3 } });
        Script::json(&answer)
    })
    .await
}

/// A gateway before `upstream` with a route of two targets, and another model, and
/// the hook with this script.
async fn gateway(upstream: &FakeUpstream, script: &Value) -> TestGateway {
    let config = format!(
        "upstreams:
  up: {{ base_url: \"{}\", api_key: sk-x }}
models:
  m: [ {{ upstream: up, model: first }}, {{ upstream: up, model: second }} ]
  other: {{ upstream: up, model: third }}
hooks: {{ chain: [ {{ hook: stages, grants: {{ kv: true }}, config: {script} }} ] }}
",
        upstream.url()
    );
    TestGateway::with_hooks(&config, &[("stages", GUEST_STAGES)]).await
}

/// What the client reads, streamed and not, of a call to `m` before an upstream
/// that fails so: a text, or an error's status and message; and how often the
/// upstream was asked for each.
async fn check(statuses: &[u16], script: &Value, expected: &str, attempts: usize) {
    for stream in [true, false] {
        let upstream = failing(statuses).await;
        let gateway = gateway(&upstream, script).await;
        let answer = gateway.client().ask("m", stream).await;
        let said = match answer.status {
            200 => answer.text(),
            status => format!(
                "{status}: {}",
                answer.json()["error"]["message"].as_str().unwrap_or("")
            ),
        };
        assert_eq!(said, expected, "{script}");
        assert_eq!(upstream.requests().len(), attempts, "{script}");
    }
}

#[tokio::test]
async fn on_route_chooses_and_reroutes() {
    check(&[], &json!({}), "ok from first", 1).await;
    check(&[], &json!({ "choose": [1] }), "ok from second", 1).await;
    check(&[500], &json!({ "choose": [1, 0] }), "ok from first", 2).await;
    check(
        &[500],
        &json!({ "choose": [0] }),
        "500: upstream `up`: not now",
        1,
    )
    .await;
    check(&[], &json!({ "reroute": "other" }), "ok from third", 1).await;
    let nowhere = "500: a hook chose the model `none`, which is not configured";
    check(&[], &json!({ "reroute": "none" }), nowhere, 0).await;
    let no_target = "500: a hook chose a target that the route does not have";
    check(&[], &json!({ "choose": [2] }), no_target, 0).await;
    check(&[], &json!({ "choose": [] }), no_target, 0).await;
}

#[tokio::test]
async fn on_upstream_response_tries_again_and_skips() {
    let retry = json!({ "retry": ["503"] });
    check(&[503, 503], &retry, "ok from first", 3).await;
    // Three times, and then the target counts as failed.
    check(&[503; 4], &retry, "ok from second", 5).await;
    // What the gateway would not do by itself.
    check(&[400], &json!({ "skip": ["400"] }), "ok from second", 2).await;
}

#[tokio::test]
async fn on_error_rewords_answers_and_tries_again() {
    let reword = json!({ "reword": "so" });
    check(&[400], &reword, "400: so (400, upstream, fail: not now)", 1).await;
    check(
        &[500, 500],
        &reword,
        "500: so (500, upstream, fail: upstream `up`: not now)",
        2,
    )
    .await;
    check(&[400], &json!({ "on_error": "reply" }), "never mind", 1).await;
    check(
        &[400, 400],
        &json!({ "on_error": "retry" }),
        "ok from first",
        3,
    )
    .await;
    check(
        &[400; 8],
        &json!({ "on_error": "retry" }),
        "400: not now",
        8,
    )
    .await;
}

#[tokio::test]
async fn on_error_hears_of_calls_that_never_had_a_target() {
    let upstream = failing(&[]).await;
    let gateway = gateway(&upstream, &json!({ "reword": "so" })).await;
    let answer = gateway.client().ask("unknown", false).await;
    assert_eq!(answer.status, 404);
    let said = answer.json()["error"]["message"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert!(
        said.starts_with("so (404, client, fail: model `unknown`"),
        "{said}"
    );
}

#[tokio::test]
async fn what_a_hook_refuses_is_final() {
    for stage in ["on-request", "on-upstream-request", "on-response"] {
        let upstream = failing(&[]).await;
        let config = upstream.config(&format!(
            "hooks:
  chain:
    - {{ hook: scripted, config: {{ stage: {stage}, refuse: 451 }} }}
    - {{ hook: stages, grants: {{ kv: true }}, config: {{ reword: so, on_error: reply }} }}
"
        ));
        let hooks = [("scripted", GUEST_SCRIPTED), ("stages", GUEST_STAGES)];
        let gateway = TestGateway::with_hooks(&config, &hooks).await;
        // A stream has no whole answer to refuse.
        for stream in [false, stage.ends_with("request")] {
            let answer = gateway.client().ask("m", stream).await;
            let said = answer.json()["error"]["message"].clone();
            assert_eq!(
                (answer.status, said.as_str()),
                (451, Some("refused as scripted")),
                "{stage}"
            );
        }
    }
}

#[tokio::test]
async fn on_complete_sees_the_record_after_the_last_byte() {
    let upstream = failing(&[]).await;
    let gateway = gateway(&upstream, &json!({ "count": true })).await;
    gateway.client().ask("m", true).await;
    gateway.client().ask("unknown", false).await;
    // Nobody waits for it, so the test asks until it has happened.
    let text = until("both are counted", async || {
        let text = gateway.client().metrics().await;
        let counted = text.matches("sluice_hook_calls{").count();
        (counted >= 2).then_some(text)
    })
    .await;
    assert!(text.contains("outcome=\"answered\""), "{text}");
    assert!(text.contains("outcome=\"failed\""), "{text}");
    // The number that the store keeps is shared by all calls.
    assert!(
        text.contains("nth=\"1\"") && text.contains("nth=\"2\""),
        "{text}"
    );
    assert!(
        text.contains("sluice_hook_output_tokens_sum{hook=\"stages\"} 2"),
        "{text}"
    );
}

#[tokio::test]
async fn on_count_tokens_and_on_list_models() {
    let upstream = failing(&[]).await;
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    for (script, expected, how) in [
        (json!({ "tokens": 77 }), 77, "hook"),
        (json!({}), 5, "estimate; o200k_base"),
    ] {
        let gateway = gateway(&upstream, &script).await;
        let client = gateway.client();
        let answer = client
            .post("/v1/messages/count_tokens", &[], body.to_string())
            .await;
        assert_eq!(answer.json(), json!({ "input_tokens": expected }));
        assert_eq!(answer.header("sluice-token-count"), how);
    }
    let gateway = gateway(&upstream, &json!({ "hide": "other" })).await;
    for headers in [&[("anthropic-version", "2023-06-01")][..], &[]] {
        let list = gateway
            .client()
            .request("GET", "/v1/models", headers)
            .await
            .json();
        let names: Vec<_> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| &it["id"])
            .collect();
        assert_eq!(names, ["m"]);
    }
}

#[tokio::test]
async fn what_a_hook_says_of_itself_is_held_against_its_entry() {
    let upstream = failing(&[]).await;
    for (entry, wrong) in [
        (
            "grants: { kv: true }, config: { tokens: 0 }",
            "hook `stages` refuses its config: `config.tokens`: 0 is less than the minimum of 1",
        ),
        (
            "config: {}",
            "hook `stages` needs what it is not granted; add to its `grants`: kv: true",
        ),
    ] {
        let config = upstream.config(&format!(
            "hooks: {{ chain: [ {{ hook: stages, {entry} }} ] }}\n"
        ));
        let refused = TestGateway::try_start(&config, &[("stages", GUEST_STAGES)]).await;
        let said = refused
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(said.contains(wrong), "{said}");
    }
}
