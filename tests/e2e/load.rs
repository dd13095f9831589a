//! More than there is room for: who waits, who is sent away, and with what words.

use futures_util::future::{Either, select};
use serde_json::json;
use sluice_tests::{FakeUpstream, TestGateway, chunk, finish};

/// Until the upstream was asked so often.
async fn asked(upstream: &FakeUpstream, times: usize) {
    while upstream.requests().len() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_when_to_come_again() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let limits = "limits: { calls_max: 1, queue_max: 0, queue_wait_ms: 2500 }";
    let mut gateway = TestGateway::start(&upstream.config(limits)).await;
    let client = gateway.client();
    speaker.say(chunk(&json!({ "content": "half" })));
    let mut running = client.begin("m").await;
    assert_eq!(running.status(), 200);

    // A reload of something else keeps count.
    let with_tiers = upstream.config(&format!("tiers: {{ opus: m }}\n{limits}"));
    let change = |folder: &std::path::Path| std::fs::write(folder.join("sluice.yaml"), with_tiers);
    let state = gateway
        .reload(|folder| change(folder).expect("it can"))
        .await;
    assert_eq!((state.generation, state.refused.len()), (2, 0));
    let refused = client.ask("m", true).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "3"));
    assert_eq!(refused.header("x-should-retry"), "");
    let error = &refused.json()["error"];
    assert_eq!(error["type"], "overloaded_error");
    assert_eq!(
        error["message"],
        "the gateway has all the calls that it takes; try again in 3 s"
    );
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    let path = "/v1/chat/completions";
    let chat = client.post(path, &[], body.to_string()).await;
    assert_eq!((chat.status, chat.header("retry-after")), (503, "3"));
    assert_eq!(chat.json()["error"]["type"], "server_error");
    assert_eq!(upstream.requests().len(), 1);

    speaker.say(finish("stop"));
    drop(speaker);
    while running.chunk().await.expect("sound").is_some() {}
    assert_eq!(client.ask("m", true).await.text(), "ok");
}

#[tokio::test]
async fn a_call_waits_for_its_turn_in_a_queue_that_has_an_end() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let limits = "limits: { calls_max: 1, queue_max: 1, queue_wait_ms: 60000 }";
    let gateway = TestGateway::start(&upstream.config(limits)).await;
    let client = gateway.client();
    speaker.say(chunk(&json!({ "content": "half" })));
    let running = client.begin("m").await;
    // One of two waits, whichever came first; the other one is sent away.
    let both = select(
        Box::pin(client.ask("m", true)),
        Box::pin(client.ask("m", true)),
    );
    let (Either::Left((refused, waits)) | Either::Right((refused, waits))) = both.await;
    assert_eq!(refused.status, 503);
    assert_eq!(upstream.requests().len(), 1);
    // The client leaves: that gives room, too.
    drop(running);
    assert_eq!(waits.await.text(), "ok");
}

#[tokio::test]
async fn bodies_share_a_limit_until_their_answers_begin() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let limits = "limits: { bytes_in_flight_max: 100000, queue_max: 0 }";
    let gateway = TestGateway::start(&upstream.config(limits)).await;
    let client = gateway.client();
    let large = json!({ "model": "m", "max_tokens": 9, "stream": true,
        "messages": [{ "role": "user", "content": "x".repeat(60_000) }] });
    let first = tokio::spawn({
        let (client, large) = (client.clone(), large.clone());
        async move { client.message(&large).await }
    });
    asked(&upstream, 1).await;
    let refused = client.message(&large).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "10"));
    let counted = client
        .post("/v1/messages/count_tokens", &[], large.to_string())
        .await;
    assert_eq!(counted.status, 503);
    assert_eq!(client.ask("m", true).await.text(), "ok", "a small one fits");

    speaker.say(chunk(&json!({ "content": "half" })));
    let mut status = 503;
    // The answer has begun somewhere between here and there.
    while status == 503 {
        status = client.message(&large).await.status;
    }
    assert_eq!(status, 200);
    speaker.say(finish("stop"));
    drop(speaker);
    assert_eq!(first.await.expect("no panic").text(), "half");
}

#[tokio::test]
async fn an_upstream_with_all_its_calls_is_passed_over_or_waited_for() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = TestGateway::start(&format!(
        "\
upstreams:
  one: {{ base_url: \"{0}\", calls_max: 1 }}
  two: {{ base_url: \"{0}\" }}
limits: {{ queue_max: 0, queue_wait_ms: 1000 }}
models:
  m: [ {{ upstream: one }}, {{ upstream: two }} ]
  only: {{ upstream: one }}
",
        upstream.url()
    ))
    .await;
    let client = gateway.client();
    speaker.say(chunk(&json!({ "content": "half" })));
    let mut running = client.begin("m").await;
    let other = client.ask("m", true).await;
    let attempts = "2; one/m skipped skip-target, two/m ok";
    assert_eq!(other.header("sluice-attempts"), attempts);
    let refused = client.ask("only", true).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    let said = refused.json()["error"]["message"].to_string();
    assert!(said.contains("upstream `one` has all the calls"), "{said}");

    speaker.say(finish("stop"));
    drop(speaker);
    while running.chunk().await.expect("sound").is_some() {}
    assert_eq!(client.ask("only", true).await.text(), "ok");
}
