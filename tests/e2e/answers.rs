//! What comes back to the client.

use serde_json::{Value, json};
use sluice_tests::{FakeUpstream, Script, TestGateway, chunk, finish};

/// The upstream's `pieces` reach the client as a message with this content and
/// stop reason, streamed and not.
async fn check(pieces: Vec<String>, content: Value, stop_reason: &str) {
    let upstream = FakeUpstream::start(move |_| Script::Pieces(pieces.clone())).await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    for stream in [true, false] {
        // A stream is understood whatever the client asked for.
        let message = gateway.client().ask("m", stream).await.message();
        let mut got = message["content"].clone();
        for block in got.as_array_mut().expect("a list") {
            if block["id"].is_string() {
                block["id"] = json!("(id)");
            }
        }
        assert_eq!(got, content, "streamed: {stream}");
        assert_eq!(message["stop_reason"], stop_reason);
        for count in [
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ] {
            assert!(
                message["usage"][count].is_u64(),
                "{count}: {}",
                message["usage"]
            );
        }
    }
}

#[tokio::test]
async fn text_after_reasoning() {
    check(
        vec![
            chunk(&json!({ "role": "assistant", "content": "" })),
            chunk(&json!({ "reasoning_content": "hm" })),
            chunk(&json!({ "reasoning_content": ", well" })),
            chunk(&json!({ "content": "Yes" })),
            chunk(&json!({ "content": "." })),
            finish("stop"),
        ],
        json!([
            { "type": "thinking", "thinking": "hm, well", "signature": "sluice1.reasoning_content.up" },
            { "type": "text", "text": "Yes." },
        ]),
        "end_turn",
    )
    .await;
}

#[tokio::test]
async fn parallel_calls_interleaved() {
    let call = |index: u32, rest: Value| {
        let mut call = json!({ "index": index });
        call.as_object_mut()
            .expect("it is one")
            .extend(rest.as_object().expect("one").clone());
        chunk(&json!({ "tool_calls": [call] }))
    };
    let tool = |value: &str| json!({ "type": "tool_use", "id": "(id)", "name": "look", "input": { "at": value } });
    check(
        vec![
            call(0, json!({ "id": "a", "type": "function", "function": { "name": "look", "arguments": "" } })),
            call(1, json!({ "id": "b", "type": "function", "function": { "name": "look", "arguments": "{\"at\"" } })),
            call(0, json!({ "function": { "arguments": "{\"at\":\"x\"}" } })),
            call(1, json!({ "function": { "name": "look", "arguments": ":\"y\"}" } })),
            finish("tool_calls"),
        ],
        json!([tool("x"), tool("y")]),
        "tool_use",
    )
    .await;
}

#[tokio::test]
async fn every_stop_reason() {
    for (word, reason) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
    ] {
        let said = json!([{ "type": "text", "text": "a" }]);
        check(
            vec![chunk(&json!({ "content": "a" })), finish(word)],
            said,
            reason,
        )
        .await;
    }
}

#[tokio::test]
async fn the_stream_is_what_anthropic_documents() {
    let upstream = FakeUpstream::saying("one two").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let answer = gateway.client().ask("m", true).await;
    let types: Vec<_> = answer
        .events()
        .iter()
        .map(|event| event["type"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(
        answer.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    let message = answer.message();
    assert_eq!(message["model"], "m", "the name that the client asked for");
    assert_eq!(message["usage"]["input_tokens"], 7);
    assert_eq!(message["usage"]["output_tokens"], 3);
    let again = gateway.client().ask("m", true).await.message();
    assert_ne!(
        message["id"], again["id"],
        "clients merge turns that share an id"
    );
}

#[tokio::test]
async fn an_error_inside_a_stream_becomes_a_status_while_it_can() {
    let error = json!({ "error": { "message": "slow down", "code": 429 } });
    let pieces = vec![format!("data: {error}\n\n")];
    let upstream = FakeUpstream::start(move |_| Script::Pieces(pieces.clone())).await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    for stream in [true, false] {
        let answer = gateway.client().ask("m", stream).await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_in_an_error() {
    for properly in [true, false] {
        let (upstream, speaker) = FakeUpstream::live().await;
        let gateway = TestGateway::start(&upstream.config("")).await;
        speaker.say(chunk(&json!({ "content": "half" })));
        let mut response = gateway.client().begin("m").await;
        assert_eq!(response.status(), 200);
        let mut seen = response
            .chunk()
            .await
            .expect("it has begun")
            .expect("it has")
            .to_vec();
        if properly {
            drop(speaker);
        } else {
            speaker.break_off();
        }
        while let Some(piece) = response.chunk().await.expect("the client is told") {
            seen.extend(piece);
        }
        let last = sluice_tests::sse(&seen).pop().expect("events");
        assert_eq!(
            (last["type"].as_str(), last["error"]["type"].as_str()),
            (Some("error"), Some("api_error"))
        );
    }
    let upstream =
        FakeUpstream::start(|_| Script::Broken(vec![chunk(&json!({ "content": "half" }))])).await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let whole = gateway.client().ask("m", false).await;
    assert_eq!(whole.status, 502, "{:?}", whole.body);
}

#[tokio::test]
async fn a_silent_upstream_is_covered_by_life_signs_and_then_given_up() {
    let upstream = FakeUpstream::start(|_| Script::Silence).await;
    let limits = "limits: { first_byte_timeout_ms: 50 }";
    let gateway = TestGateway::start(&upstream.config(limits)).await;
    for stream in [true, false] {
        let answer = gateway.client().ask("m", stream).await;
        assert_eq!(answer.status, 504, "{:?}", answer.body);
        assert_eq!(answer.json()["error"]["type"], "timeout_error");
    }

    // Not even a status comes: the client is told that it is waited for.
    let limits = "limits: { first_byte_timeout_ms: 200, head_hold_ms: 1, ping_interval_ms: 10 }";
    let gateway = TestGateway::start(&upstream.config(limits)).await;
    let answer = gateway.client().ask("m", true).await;
    assert_eq!(answer.status, 200, "the status cannot wait any longer");
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.matches(": waiting").count() > 2, "{body}");
    let events = answer.events();
    assert_eq!(events.len(), 1, "{body}");
    assert_eq!(events[0]["error"]["type"], "timeout_error");
    let answer = gateway.client().ask("m", false).await;
    assert_eq!(answer.status, 504, "whole answers have no life signs");
}

#[tokio::test]
async fn pings_while_the_upstream_thinks() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let limits = "limits: { head_hold_ms: 1, ping_interval_ms: 20 }";
    let gateway = TestGateway::start(&upstream.config(limits)).await;
    let mut response = gateway.client().begin("m").await;
    let mut seen = String::new();
    while seen.matches(": waiting").count() < 3 {
        let piece = response
            .chunk()
            .await
            .expect("the stream goes on")
            .expect("and on");
        seen.push_str(&String::from_utf8_lossy(&piece));
    }
    speaker.say(chunk(&json!({ "content": "a" })));
    while !seen.contains("event: ping") {
        let piece = response
            .chunk()
            .await
            .expect("the stream goes on")
            .expect("and on");
        seen.push_str(&String::from_utf8_lossy(&piece));
    }
    speaker.say(finish("stop"));
    drop(speaker);
    while let Some(piece) = response.chunk().await.expect("the stream ends well") {
        seen.push_str(&String::from_utf8_lossy(&piece));
    }
    let types: Vec<_> = sluice_tests::sse(seen.as_bytes())
        .iter()
        .map(|event| event["type"].to_string())
        .collect();
    assert_eq!(types.last().map(String::as_str), Some("\"message_stop\""));
}

/// The model has finished, and the upstream says nothing more and hangs up
/// neither: the answer ends all the same, without the counts.
#[tokio::test]
async fn an_answer_ends_although_its_connection_does_not() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    speaker.say(chunk(&json!({ "content": "a" })));
    speaker.say("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".into());
    let answer = gateway.client().ask("m", true).await;
    let message = answer.message();
    assert_eq!(message["content"], json!([{ "type": "text", "text": "a" }]));
    assert_eq!(message["stop_reason"], "end_turn");
    assert!(message["usage"]["output_tokens"].is_u64(), "{message}");
    speaker.left().await;
}

#[tokio::test]
async fn an_upstream_is_left_when_the_client_leaves() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    speaker.say(chunk(&json!({ "content": "a" })));
    let mut response = gateway.client().begin("m").await;
    assert!(response.chunk().await.expect("it has begun").is_some());
    drop(response);
    // The upstream's side of the channel is dropped with its connection.
    speaker.left().await;
}

/// What is gathered is held in memory: a stream that does not end must not fill it.
#[tokio::test]
async fn a_stream_is_not_gathered_beyond_every_bound() {
    const PIECES: usize = 70;
    let piece = chunk(&json!({ "content": "x".repeat(1 << 20) }));
    let pieces = std::iter::repeat_n(piece, PIECES).chain([finish("stop")]);
    let pieces: Vec<_> = pieces.collect();
    let upstream = FakeUpstream::start(move |_| Script::Pieces(pieces.clone())).await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let answer = gateway.client().ask("m", false).await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.json()["error"]["message"],
        "upstream `up`: the upstream's answer exceeds every bound"
    );
}
