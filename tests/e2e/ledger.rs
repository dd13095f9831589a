//! How hooks fare: their books, and what becomes of those that fail often.

use serde_json::{Value, json};
use sluice_tests::guests::{GUEST_CAP_TO_SEVEN, GUEST_MISBEHAVE, GUEST_SCRIPTED};
use sluice_tests::{FakeUpstream, TestGateway, chunk};

/// The books of the only hook.
async fn books(gateway: &TestGateway) -> Value {
    let answer = gateway.client().request("GET", "/admin/hooks", &[]).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()[0].clone()
}

/// What became of a call: its status, and the failures that it went on after.
async fn ask(gateway: &TestGateway) -> (u16, String) {
    let answer = gateway.client().ask("m", false).await;
    let failures = answer.header("sluice-hook-failures").to_owned();
    (answer.status, failures)
}

#[tokio::test]
async fn every_stage_is_in_the_books() {
    let upstream = FakeUpstream::saying("one two").await;
    let chain = "hooks: { chain: [ { hook: cap-max-tokens, config: { max: 7 } } ] }\n";
    let gateway = TestGateway::start(&upstream.config(chain)).await;
    for _ in 0..3 {
        gateway.client().ask("m", true).await;
    }
    let books = books(&gateway).await;
    let stage = &books["stages"][0];
    assert_eq!(
        (
            &books["name"],
            &books["source"],
            &books["rolled_back"],
            &stage["away_s"]
        ),
        (
            &json!("cap-max-tokens"),
            &json!("bundled"),
            &json!(false),
            &json!(0)
        )
    );
    assert_eq!(
        (
            &stage["stage"],
            &stage["calls"],
            &stage["edits"],
            &stage["traps"]
        ),
        (
            &json!("on-upstream-request"),
            &json!(3),
            &json!(3),
            &json!(0)
        )
    );
    assert!(
        stage["p99_us"].as_u64() >= stage["p50_us"].as_u64(),
        "{stage}"
    );
    assert!(books["memory_bytes"].as_u64() > Some(65_535), "{books}");
    let metrics = gateway.client().metrics().await;
    let line = "sluice_hook_runs_total{hook=\"cap-max-tokens\",stage=\"on-upstream-request\"} 3";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_hook_that_fails_again_and_again_is_left_alone() {
    for (act, figure) in [
        ("trap", "traps"),
        ("loop", "timeouts"),
        ("bad-pointer", "other_failures"),
    ] {
        let upstream = FakeUpstream::saying("ok").await;
        let chain = format!(
            "hooks: {{ chain: [ {{ hook: misbehave, limits: {{ time_ms: 20 }}, on_failure: skip, config: {{ stage: on-request, act: {act} }} }} ] }}\n"
        );
        let gateway =
            TestGateway::with_hooks(&upstream.config(&chain), &[("misbehave", GUEST_MISBEHAVE)])
                .await;
        for _ in 0..5 {
            let (status, failures) = ask(&gateway).await;
            assert_eq!(status, 200);
            assert!(
                !failures.is_empty() && !failures.contains("away"),
                "{failures}"
            );
        }
        // A failure that the hook reports is its word, and no harm.
        let is_harm = act != "bad-pointer";
        let mut is_away = false;
        // On a slow machine its time may be over before it is asked again; each time
        // it is away for longer.
        for _ in 0..if is_harm { 20 } else { 1 } {
            let (status, failures) = ask(&gateway).await;
            assert_eq!(status, 200);
            is_away |= failures.contains("failed too often and is away");
        }
        assert_eq!(is_away, is_harm);
        let books = books(&gateway).await;
        let stage = &books["stages"][0];
        assert_eq!(stage["away_s"].as_u64() > Some(0), is_harm, "{books}");
        assert!(stage[figure].as_u64() >= Some(5), "{act}: {books}");
    }
}

#[tokio::test]
async fn a_new_version_that_crashes_on_its_first_calls_is_rolled_back() {
    let upstream = FakeUpstream::saying("ok").await;
    // What the old version does not know of, the new one obeys.
    let chain = "hooks: { chain: [ { hook: it, on_failure: skip, config: { stage: on-upstream-request, act: trap } } ] }\n";
    let mut gateway =
        TestGateway::with_hooks(&upstream.config(chain), &[("it", GUEST_CAP_TO_SEVEN)]).await;
    ask(&gateway).await;
    assert_eq!(upstream.last_body()["max_tokens"], 7);
    let before = books(&gateway).await["digest"].clone();
    let state = gateway
        .reload(|folder| {
            std::fs::copy(GUEST_MISBEHAVE, folder.join("hooks/it.wasm")).expect("it was built");
        })
        .await;
    assert_eq!(state.generation, 2);
    for _ in 0..3 {
        let (_, failures) = ask(&gateway).await;
        assert!(failures.contains("trapped"), "{failures}");
        assert_eq!(upstream.last_body()["max_tokens"], 1000);
    }
    let (_, failures) = ask(&gateway).await;
    assert_eq!(failures, "");
    assert_eq!(
        upstream.last_body()["max_tokens"],
        7,
        "the old version runs again"
    );
    let books = books(&gateway).await;
    assert_eq!(
        (&books["digest"], &books["rolled_back"]),
        (&before, &json!(true))
    );
}

#[tokio::test]
async fn a_full_pool_refuses_at_once_where_it_is_told_to() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let chain = "hooks: { chain: [ { hook: scripted, grants: { prompt: write }, on_failure: refuse, limits: { instances_max: 1, wait_ms: 0 }, config: { stream: uppercase } } ] }\n";
    let gateway =
        TestGateway::with_hooks(&upstream.config(chain), &[("scripted", GUEST_SCRIPTED)]).await;
    speaker.say(chunk(&json!({ "content": "a" })));
    let mut first = gateway.client().begin("m").await;
    assert!(first.chunk().await.expect("it has begun").is_some());
    let second = gateway.client().ask("m", false).await;
    assert_eq!(second.status, 500);
    let said = String::from_utf8_lossy(&second.body).into_owned();
    assert!(said.contains("no free instance"), "{said}");
    drop(first);
    speaker.left().await;
}

#[tokio::test]
async fn with_an_instance_a_call_nothing_is_remembered() {
    let upstream = FakeUpstream::saying("ok").await;
    let chain =
        "hooks: { chain: [ { hook: cap-max-tokens, isolation: call, config: { max: 7 } } ] }\n";
    let gateway = TestGateway::start(&upstream.config(chain)).await;
    for _ in 0..3 {
        assert_eq!(ask(&gateway).await, (200, String::new()));
        assert_eq!(upstream.last_body()["max_tokens"], 7);
    }
}
