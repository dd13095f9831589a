//! The trial call at load: a hook that breaks down in it is not let in.

use serde_json::{Value, json};
use sluice_tests::guests::{GUEST_MISBEHAVE, GUEST_STAGES};
use sluice_tests::{FakeUpstream, TestGateway, until};

/// A chain of `misbehave`, also on trial.
fn chain(stage: &str, act: &str, more: &str) -> String {
    let config = json!({ "stage": stage, "act": act, "in_trial": true });
    format!("hooks: {{ chain: [ {{ hook: misbehave, config: {config}{more} }} ] }}\n")
}

#[tokio::test]
async fn what_breaks_down_is_not_let_in() {
    let upstream = FakeUpstream::saying("one").await;
    for (stage, act, expected) in [
        ("on-request", "trap", "hook `misbehave` trapped"),
        ("on-upstream-request", "recurse", "hook `misbehave` trapped"),
        ("on-response", "loop", "hook `misbehave` exceeded 2000 ms"),
        ("on-stream", "trap", "hook `misbehave` trapped"),
    ] {
        let config = upstream.config(&chain(stage, act, ""));
        let hooks = [("misbehave", GUEST_MISBEHAVE)];
        let refused = TestGateway::try_start(&config, &hooks).await;
        let error = refused.expect_err("it does not start").to_string();
        assert!(error.contains(expected), "{stage} {act}: {error}");
        let place = format!("in the trial call, in {stage}");
        assert!(error.contains(&place), "{stage} {act}: {error}");
    }
}

#[tokio::test]
async fn the_operator_may_let_it_in_and_a_reported_failure_is_no_breakdown() {
    let upstream = FakeUpstream::saying("one").await;
    for (act, more) in [("trap", ", trial: false"), ("fail", "")] {
        let config = upstream.config(&chain("on-request", act, more));
        let gateway = TestGateway::with_hooks(&config, &[("misbehave", GUEST_MISBEHAVE)]).await;
        let answer = gateway.client().ask("m", false).await;
        assert!(answer.status >= 500, "{act}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_version_that_breaks_down_leaves_the_old_one_at_work() {
    let upstream = FakeUpstream::saying("one").await;
    let config = upstream.config(&chain("on-request", "none", ""));
    let hooks = [("misbehave", GUEST_MISBEHAVE)];
    let mut gateway = TestGateway::with_hooks(&config, &hooks).await;
    let broken = upstream.config(&chain("on-request", "trap", ""));
    let state = gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), broken).expect("it is ours"))
        .await;
    assert!(state.refused[0].contains("in the trial call"), "{state:?}");
    assert_eq!(gateway.client().ask("m", false).await.text(), "one");
}

#[tokio::test]
async fn it_leaves_nothing_behind() {
    let upstream = FakeUpstream::saying("one").await;
    let script: Value = json!({ "count": true });
    let chain = format!(
        "hooks: {{ chain: [ {{ hook: stages, grants: {{ kv: true }}, config: {script} }} ] }}\n"
    );
    let config = upstream.config(&chain);
    let gateway = TestGateway::with_hooks(&config, &[("stages", GUEST_STAGES)]).await;
    let text = gateway.client().metrics().await;
    assert!(!text.contains("sluice_hook_calls"), "{text}");
    let books = gateway.client().request("GET", "/admin/hooks", &[]).await;
    assert_eq!(books.json()[0]["stages"], json!([]));
    assert!(upstream.requests().is_empty());
    gateway.client().ask("m", false).await;
    let text = until("it is counted", async || {
        let text = gateway.client().metrics().await;
        text.contains("sluice_hook_calls{").then_some(text)
    })
    .await;
    assert!(text.contains("nth=\"1\""), "the store was empty: {text}");
}
