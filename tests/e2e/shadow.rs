//! Hooks in the shadow: they run, nothing comes of it, and it is told what would have.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::guests::{GUEST_MISBEHAVE, GUEST_SCRIPTED, GUEST_STAGES};
use sluice_tests::{FakeUpstream, TestGateway};

/// No record takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call, streamed and not, with `hook` in the shadow under `config`: nobody sees it,
/// and the call's record tells `expected`.
async fn check(hook: &str, wasm: &str, config: &Value, expected: &[&str]) {
    for stream in [true, false] {
        let upstream = FakeUpstream::saying("one two").await;
        let chain = format!(
            "hooks:
  chain:
    - {{ hook: {hook}, mode: shadow, on_failure: refuse, grants: {{ prompt: write, headers: [x-a] }}, config: {config} }}
    - {{ hook: stages, grants: {{ kv: true }} }}
"
        );
        let hooks = [(hook, wasm), ("stages", GUEST_STAGES)];
        let gateway = TestGateway::with_hooks(&upstream.config(&chain), &hooks).await;
        let answer = gateway.client().ask("m", stream).await;
        assert_eq!(answer.text(), "one two", "{config}");
        assert_eq!(answer.header("sluice-hook-failures"), "", "{config}");
        let sent = &upstream.requests()[0];
        assert_eq!(sent.json()["max_tokens"], 1000, "{config}");
        assert_eq!(sent.headers.get("x-a"), None, "{config}");
        told(&gateway, expected).await;
    }
}

/// Wait until a call's record has told what begins with each of `expected`; nobody else waits for it.
async fn told(gateway: &TestGateway, expected: &[&str]) {
    let mut text = String::new();
    let all = async {
        while !expected
            .iter()
            .all(|what| text.contains(&format!("what=\"{what}")))
        {
            text = gateway.client().metrics().await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, all).await;
    let shadows = text.lines().filter(|line| line.contains("hook_shadows{"));
    let shadows: Vec<_> = shadows.map(str::to_owned).collect();
    assert!(told.is_ok(), "{expected:?} in {shadows:#?}");
}

#[tokio::test]
async fn edits_verdicts_and_failures_are_told_and_not_done() {
    let edits = json!({ "stage": "on-upstream-request",
        "set": { "/max_tokens": 5 }, "set_header": { "x-a": "b" } });
    let told = [
        "scripted: /max_tokens 1000 -> 5",
        "scripted: header x-a none -> set",
    ];
    check("scripted", GUEST_SCRIPTED, &edits, &told).await;

    let refusal = json!({ "stage": "on-request", "refuse": 451 });
    let told = ["scripted: refuse 451 `permission_error` in on-request"];
    check("scripted", GUEST_SCRIPTED, &refusal, &told).await;

    let trap = json!({ "stage": "on-upstream-request", "act": "fail" });
    let told = ["misbehave: reported a failure (as told) in on-upstream-request"];
    check("misbehave", GUEST_MISBEHAVE, &trap, &told).await;
}

#[tokio::test]
async fn answers_pass_as_they_are() {
    for (act, told) in [
        ("uppercase", "scripted: replace "),
        ("end-with-error", "scripted: end in on-stream"),
    ] {
        check(
            "scripted",
            GUEST_SCRIPTED,
            &json!({ "stream": act }),
            &[told],
        )
        .await;
    }
}

#[tokio::test]
async fn the_books_say_who_is_in_the_shadow() {
    let upstream = FakeUpstream::saying("one").await;
    let chain =
        "hooks: { chain: [ { hook: cap-max-tokens, mode: shadow, config: { max: 7 } } ] }\n";
    let gateway = TestGateway::start(&upstream.config(chain)).await;
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 1000);
    let books = gateway
        .client()
        .request("GET", "/admin/hooks", &[])
        .await
        .json();
    assert_eq!(
        (&books[0]["mode"], &books[0]["stages"][0]["edits"]),
        (&json!("shadow"), &json!(1))
    );
}
