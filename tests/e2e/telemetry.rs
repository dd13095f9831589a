//! What a collector is told of calls, over OTLP.

use std::path::Path;

use axum::http::StatusCode;
use serde_json::{Value, json};
use sluice_tests::guests::GUEST_MISBEHAVE;
use sluice_tests::{
    Collector, FakeUpstream, Recorded, Script, Span, TestGateway, Told, chunk, text_stream, until,
};

/// Of a server and of a client, as OTLP has them.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// A client's trace, of which its call is a part.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The section of the configuration, with `more` in it.
fn section(collector: &Collector, more: &str) -> String {
    let url = collector.url();
    format!("telemetry: {{ endpoint: \"{url}\", interval_ms: 20, {more} }}\n")
}

/// Says "ok" in two pieces, streamed or whole, with what was read from a cache; the
/// model `bad` fails.
async fn upstream() -> FakeUpstream {
    FakeUpstream::start(|request| {
        let body = request.json();
        if body["model"] == "bad" {
            let quoted = json!({ "error": { "message": format!("cannot read {}", body["messages"]) } });
            return Script::Whole(503, Vec::new(), quoted.to_string());
        }
        let usage = json!({ "prompt_tokens": 70, "completion_tokens": 3,
            "prompt_tokens_details": { "cached_tokens": 60 } });
        if body["stream"] != true {
            return Script::json(&json!({ "model": "good-0711", "choices": [{ "index": 0,
                "finish_reason": "stop", "message": { "role": "assistant", "content": "canary-said" } }],
                "usage": usage }));
        }
        let stop = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        let usage = json!({ "choices": [], "usage": usage });
        Script::Pieces(vec![
            chunk(&json!({ "content": "canary-" })),
            chunk(&json!({ "content": "said" })),
            format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n"),
        ])
    })
    .await
}

async fn gateway(upstream: &FakeUpstream, telemetry: &str) -> TestGateway {
    TestGateway::start(&format!(
        "\
upstreams: {{ up: {{ provider: groq, base_url: \"{}\", api_key: sk-canary-key, headers: {{ x-own: canary-header }} }} }}
models:
  m: {{ upstream: up, model: good }}
  two: [{{ upstream: up, model: bad }}, {{ upstream: up, model: good }}]
  bad: {{ upstream: up, model: bad }}
  any-*: {{ upstream: up }}
{telemetry}",
        upstream.url()
    ))
    .await
}

/// `attributes` has `expected`, where null means that it is not there.
#[track_caller]
fn check(span: &Span, expected: &Value) {
    for (name, value) in expected.as_object().expect("members") {
        let found = span.attributes.get(name).unwrap_or(&Value::Null);
        assert_eq!(found, value, "{name} of {span:#?}");
    }
}

fn count(told: &Told, name: &str) -> u64 {
    told.of(name).iter().map(|series| series.count).sum()
}

#[tokio::test]
async fn a_call_is_a_span_and_its_attempt_another() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    let gateway = gateway(&upstream, &section(&collector, "service_name: gate")).await;
    for (i, stream) in [false, true].into_iter().enumerate() {
        let answer = gateway.client().ask("m", stream).await;
        assert_eq!(answer.text(), "canary-said");
        let spans = collector.spans(2 * (i + 1)).await;
        let [attempt, call] = &spans[2 * i..] else {
            panic!("{spans:#?}");
        };
        assert_eq!((call.name.as_str(), call.kind), ("chat m", SERVER));
        assert_eq!((attempt.name.as_str(), attempt.kind), ("chat good", CLIENT));
        assert_eq!((call.parent.as_str(), &attempt.parent), ("", &call.id));
        assert_eq!(call.trace, attempt.trace);
        assert!(!call.is_error && !attempt.is_error);
        assert!(call.times.0 <= attempt.times.0 && attempt.times.0 <= attempt.times.1);
        assert_eq!(call.resource["service.name"], "gate");
        let streamed = if stream { json!(true) } else { Value::Null };
        check(
            call,
            &json!({
                "gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
                "gen_ai.request.max_tokens": 1000, "gen_ai.request.stream": streamed,
                "http.request.method": "POST", "http.route": "/v1/messages",
                "http.response.status_code": 200, "error.type": null,
                "sluice.call": answer.header("request-id"), "sluice.generation": 1,
                "sluice.route": "m", "sluice.target": "up/good", "sluice.outcome": "answered",
                "sluice.tried": ["up/good ok"], "sluice.losses": null, "sluice.hook.failures": null,
            }),
        );
        check(
            attempt,
            &json!({
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": "groq",
                "gen_ai.request.model": "good", "gen_ai.request.max_tokens": 1000,
                "gen_ai.request.stream": streamed,
                "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.response.model": if stream { "m" } else { "good-0711" },
                "gen_ai.usage.input_tokens": 70, "gen_ai.usage.output_tokens": 3,
                "gen_ai.usage.cache_read.input_tokens": 60,
                "gen_ai.usage.cache_creation.input_tokens": 0,
                "server.address": "127.0.0.1", "server.port": upstream.port(),
                "http.response.status_code": 200, "error.type": null, "sluice.upstream": "up",
            }),
        );
        let first = |span: &Span| {
            span.attributes
                .contains_key("gen_ai.response.time_to_first_chunk")
        };
        assert_eq!((first(attempt), first(call)), (stream, stream));
    }
}

#[tokio::test]
async fn each_attempt_is_a_span_of_its_own() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    let gateway = gateway(&upstream, &section(&collector, "")).await;
    assert_eq!(
        gateway.client().ask("two", true).await.text(),
        "canary-said"
    );
    let spans = collector.spans(3).await;
    let [bad, good, call] = &spans[..] else {
        panic!("{spans:#?}");
    };
    check(
        bad,
        &json!({ "gen_ai.request.model": "bad", "http.response.status_code": 503, "error.type": "503",
            "gen_ai.usage.input_tokens": null }),
    );
    check(
        good,
        &json!({ "gen_ai.request.model": "good", "error.type": null }),
    );
    check(
        call,
        &json!({ "sluice.tried": ["up/bad 503 skip-target", "up/good ok"], "http.response.status_code": 200 }),
    );
    assert_eq!(
        (bad.is_error, good.is_error, call.is_error),
        (true, false, false)
    );
    assert!([bad, good].iter().all(|it| it.parent == call.id) && bad.id != good.id);
    assert!(bad.times.1 <= good.times.0, "one after the other");

    assert_eq!(gateway.client().ask("bad", false).await.status, 503);
    assert_eq!(
        gateway.client().ask("nobody-knows", false).await.status,
        404
    );
    let spans = collector.spans(6).await;
    check(
        &spans[4],
        &json!({ "error.type": "503", "sluice.outcome": "failed" }),
    );
    assert!(spans[4].is_error);
    check(
        &spans[5],
        &json!({ "error.type": "404", "gen_ai.request.model": "nobody-knows", "sluice.route": null }),
    );
    assert_eq!((spans[5].name.as_str(), spans[5].is_error), ("chat", false));
}

#[tokio::test]
async fn a_client_that_leaves_is_told_of() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let collector = Collector::start().await;
    let config = upstream.config(&section(&collector, ""));
    let gateway = TestGateway::start(&config).await;
    speaker.say(chunk(&json!({ "content": "ok" })));
    let mut answer = gateway.client().begin("m").await;
    answer.chunk().await.expect("a stream").expect("a word");
    drop(answer);
    let spans = collector.spans(2).await;
    let attempt = &spans[0];
    check(
        attempt,
        &json!({ "error.type": "cancelled", "gen_ai.response.model": "m" }),
    );
    assert!(
        attempt
            .attributes
            .contains_key("gen_ai.response.time_to_first_chunk")
    );
    check(
        &spans[1],
        &json!({ "sluice.outcome": "client left", "error.type": null }),
    );
}

#[tokio::test]
async fn an_attempt_that_nobody_waited_for_is_named() {
    let upstream = FakeUpstream::start(|_| Script::Silence).await;
    let collector = Collector::start().await;
    let config = upstream.config(&section(&collector, ""));
    let gateway = TestGateway::start(&config).await;
    let client = gateway.client();
    let asked = async || (!upstream.requests().is_empty()).then_some(());
    tokio::select! {
        _ = client.ask("m", false) => panic!("an answer out of nothing"),
        () = until("the upstream is asked", asked) => {}
    }
    let spans = collector.spans(2).await;
    check(
        &spans[1],
        &json!({ "sluice.outcome": "client left", "sluice.tried": ["up/up-m unfinished"] }),
    );
}

#[tokio::test]
async fn an_attempt_that_breaks_off_and_the_one_that_goes_on_are_told_apart() {
    let upstream = FakeUpstream::start(|request| match request.json()["model"].as_str() {
        Some("half") => Script::Pieces(vec![chunk(&json!({ "content": "half of" }))]),
        Some("bad") => Script::Whole(503, Vec::new(), "{}".into()),
        _ => Script::Pieces(text_stream(" it.")),
    })
    .await;
    let collector = Collector::start().await;
    let config = format!(
        "upstreams: {{ up: {{ base_url: \"{}\" }} }}
models:
  m: {{ targets: [{{ upstream: up, model: half }}, {{ upstream: up, model: rest }}], on_broken_stream: continue }}
  n: {{ targets: [{{ upstream: up, model: half }}, {{ upstream: up, model: bad }}], on_broken_stream: continue }}
attempts: {{ on: {{ 503: fail }} }}
{}",
        upstream.url(),
        section(&collector, "prompts: true")
    );
    let gateway = TestGateway::start(&config).await;
    assert_eq!(gateway.client().ask("m", true).await.text(), "half of it.");
    let spans = collector.spans(3).await;
    let said = |text: &str| json!([{ "type": "text", "content": text }]);
    for (span, error, reasons, text) in [
        (&spans[0], json!("502"), Value::Null, "half of"),
        (&spans[1], Value::Null, json!(["stop"]), " it."),
    ] {
        check(
            span,
            &json!({ "error.type": error, "gen_ai.response.finish_reasons": reasons }),
        );
        let output = span.attributes["gen_ai.output.messages"].as_str();
        let output: Value = serde_json::from_str(output.expect("a text")).expect("JSON");
        assert_eq!(output[0]["parts"], said(text));
    }
    check(
        &spans[2],
        &json!({ "sluice.outcome": "answered", "sluice.target": "up/rest" }),
    );

    gateway.client().ask("n", true).await;
    let spans = collector.spans(6).await;
    let tried = spans[5].attributes["sluice.tried"].as_array();
    let last = tried.and_then(|tried| tried.last()).cloned();
    assert_eq!(last, Some(json!("nobody goes on (503)")), "{:?}", spans[5]);
}

/// Ask as a part of a client's trace.
async fn ask_within(gateway: &TestGateway, parent: &str) {
    let body =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let headers = [("traceparent", parent), ("tracestate", "a=1,b=2")];
    let client = gateway.client();
    let answer = client.post("/v1/messages", &headers, body.to_string());
    assert_eq!(answer.await.status, 200);
}

fn header(request: &Recorded, name: &str) -> Option<String> {
    let value = request.headers.get(name)?;
    Some(value.to_str().expect("text").to_owned())
}

#[tokio::test]
async fn a_trace_goes_on_and_further_if_that_is_wanted() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    for (i, propagate) in [false, true].into_iter().enumerate() {
        // Of calls without a trace, none is recorded.
        let more = format!("sampling_ratio: 0, propagate: {propagate}");
        let gateway = gateway(&upstream, &section(&collector, &more)).await;
        assert_eq!(gateway.client().ask("m", false).await.status, 200);
        ask_within(&gateway, &TRACEPARENT.replace("-01", "-00")).await;
        ask_within(&gateway, TRACEPARENT).await;
        let spans = collector.spans(2 * (i + 1)).await;
        let [attempt, call] = &spans[2 * i..] else {
            panic!("{spans:#?}");
        };
        assert_eq!(call.trace, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(call.parent, "b7ad6b7169203331");
        assert_eq!(
            (call.state.as_str(), attempt.state.as_str()),
            ("a=1,b=2", "a=1,b=2")
        );
        let requests = upstream.requests();
        let [own, unsampled, sampled] = &requests[3 * i..] else {
            panic!("three calls");
        };
        let ids = format!("00-{}-{}-01", call.trace, attempt.id);
        assert_eq!(header(sampled, "traceparent"), propagate.then_some(ids));
        let state = propagate.then(|| "a=1,b=2".to_owned());
        assert_eq!(header(sampled, "tracestate"), state);
        for request in [own, unsampled] {
            let parent = header(request, "traceparent");
            assert_eq!(
                parent.map(|it| it.ends_with("-00")),
                propagate.then_some(true)
            );
        }
    }
}

#[tokio::test]
async fn numbers_are_by_what_is_configured() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    // They do not depend on traces.
    let gateway = gateway(&upstream, &section(&collector, "sampling_ratio: 0")).await;
    for (model, stream) in [
        ("m", true),
        ("m", false),
        ("any-a", true),
        ("any-b", true),
        ("two", true),
        ("none", true),
    ] {
        gateway.client().ask(model, stream).await;
    }
    let told = collector
        .told(|told| count(told, "sluice.call.duration") == 6)
        .await;
    let duration = told.of("gen_ai.client.operation.duration");
    let labels = |model: &str, error: Value| {
        let found = duration.iter().find(|series| {
            let labels = &series.labels;
            labels["gen_ai.request.model"] == model
                && labels.get("error.type").unwrap_or(&Value::Null) == &error
        });
        found.map(|series| series.count)
    };
    assert_eq!(labels("good", Value::Null), Some(3));
    assert_eq!(labels("any-*", Value::Null), Some(2));
    assert_eq!(labels("bad", json!("503")), Some(1));
    assert_eq!(duration.len(), 3);
    assert_eq!(duration[0].labels["gen_ai.provider.name"], "groq");
    assert_eq!(
        (duration[0].bounds[0], duration[0].bounds.len()),
        (0.01, 14)
    );
    for (kind, sum) in [("input", 5.0 * 70.0), ("output", 5.0 * 3.0)] {
        let tokens = told.of("gen_ai.client.token.usage");
        let of_kind = tokens
            .iter()
            .filter(|series| series.labels["gen_ai.token.type"] == kind);
        assert_eq!(of_kind.map(|series| series.sum).sum::<f64>(), sum, "{kind}");
    }
    for name in [
        "gen_ai.server.time_to_first_token",
        "gen_ai.server.time_per_output_token",
    ] {
        assert_eq!(count(&told, name), 4, "{name}: of streams");
    }
    let calls = told.of("sluice.call.duration");
    let unknown = calls
        .iter()
        .find(|series| series.labels["sluice.route"] == "other");
    assert_eq!(
        unknown.expect("one").labels["http.response.status_code"],
        404
    );
    assert!(told.spans.is_empty());
    let raw = String::from_utf8_lossy(&told.raw);
    assert!(
        !raw.contains("any-a") && !raw.contains("none-"),
        "what a client said"
    );
}

/// Ask with a canary in every place where one fits.
async fn ask_with_canaries(gateway: &TestGateway, path: &str, model: &str, stream: bool) {
    let system = json!({ "role": "system", "content": "canary-system" });
    let user = json!({ "role": "user", "content": "canary-prompt" });
    let mut body = json!({ "model": model, "max_tokens": 1000, "stream": stream,
        "user": "canary-user", "stop": ["canary-stop"],
        "messages": [system, user] });
    if path == "/v1/messages" {
        body["system"] = json!("canary-system");
        body["messages"] = json!([user]);
        body["metadata"] = json!({ "user_id": "canary-user" });
    }
    let headers = [
        ("x-api-key", "canary-client-key"),
        ("x-other", "canary-header"),
        ("tracestate", "x=canary-state"),
    ];
    gateway
        .client()
        .post(path, &headers, body.to_string())
        .await;
}

#[tokio::test]
async fn no_prompt_no_key_and_no_header_is_told() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    let secret = "headers: { authorization: Bearer for-the-collector }";
    let config = format!(
        "{}keys: [{{ name: ann, key: canary-client-key }}]
hooks: {{ chain: [ {{ hook: misbehave, on_failure: skip, match: {{ models: [m] }}, config: {{ stage: on-request, act: fail }} }} ] }}\n",
        section(&collector, secret)
    );
    let config = format!(
        "upstreams: {{ up: {{ base_url: \"{}\", api_key: sk-canary-key, headers: {{ x-own: canary-header }} }} }}
models:
  m: {{ upstream: up, model: good }}
  bad: {{ upstream: up, model: bad }}
{config}",
        upstream.url()
    );
    let gateway = TestGateway::with_hooks(&config, &[("misbehave", GUEST_MISBEHAVE)]).await;
    let mut calls = 0;
    for path in ["/v1/messages", "/v1/chat/completions"] {
        for (model, stream) in [
            ("m", false),
            ("m", true),
            ("bad", false),
            ("bad", true),
            ("canary", true),
        ] {
            ask_with_canaries(&gateway, path, model, stream).await;
            calls += 1;
        }
    }
    let told = collector
        .told(|told| {
            let servers = told.spans.iter().filter(|span| span.kind == SERVER);
            servers.count() == calls && count(told, "sluice.call.duration") == calls as u64
        })
        .await;
    // The model that a client asks for is told, where it is a span's attribute.
    let raw = String::from_utf8_lossy(&told.raw).replace("\u{6}canary", "");
    assert!(
        raw.contains("for-the-collector") && raw.contains("ann"),
        "told at all"
    );
    if let Some(at) = raw.find("canary") {
        panic!(
            "told: {:?}",
            &raw[raw.floor_char_boundary(at.saturating_sub(80))..][..160]
        );
    }
}

#[tokio::test]
async fn what_was_said_is_told_where_it_is_granted() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    let gateway = gateway(&upstream, &section(&collector, "prompts: true")).await;
    let mut seen = 0;
    for path in ["/v1/messages", "/v1/chat/completions"] {
        for stream in [false, true] {
            ask_with_canaries(&gateway, path, "m", stream).await;
            seen += 2;
            let spans = collector.spans(seen).await;
            let (attempt, call) = (&spans[seen - 2], &spans[seen - 1]);
            let parts = |text: &str| json!([{ "type": "text", "content": text }]);
            for (name, expected) in [
                ("gen_ai.system_instructions", parts("canary-system")),
                (
                    "gen_ai.input.messages",
                    json!([{ "role": "user", "parts": parts("canary-prompt") }]),
                ),
                (
                    "gen_ai.output.messages",
                    json!([{ "role": "assistant", "parts": parts("canary-said"), "finish_reason": "stop" }]),
                ),
            ] {
                let text = attempt.attributes[name].as_str().expect("JSON in a text");
                assert_eq!(
                    serde_json::from_str::<Value>(text).expect("JSON"),
                    expected,
                    "{name}"
                );
                assert!(!call.attributes.contains_key(name), "once");
            }
        }
    }
    let raw = String::from_utf8_lossy(&collector.now().raw).into_owned();
    assert!(!raw.contains("canary-key") && !raw.contains("canary-client-key"));
}

/// How much of `signal` was dropped, as `/metrics` says.
async fn dropped(gateway: &TestGateway, signal: &str) -> u64 {
    let text = gateway.client().metrics().await;
    let family = format!("sluice_telemetry_dropped_total{{signal=\"{signal}\"}} ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&family));
    lines
        .next()
        .map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted() {
    let (upstream, collector) = (
        upstream().await,
        Collector::answering(StatusCode::BAD_REQUEST).await,
    );
    let gateway = gateway(&upstream, &section(&collector, "")).await;
    assert_eq!(gateway.client().ask("m", true).await.text(), "canary-said");
    until("it is counted", async || {
        let (traces, metrics) = ("traces", "metrics");
        let both = dropped(&gateway, traces).await >= 2 && dropped(&gateway, metrics).await >= 1;
        both.then_some(())
    })
    .await;
    assert_eq!(dropped(&gateway, "traces").await, 2);
}

#[tokio::test]
async fn a_collector_that_hangs_costs_what_does_not_fit() {
    let upstream = upstream().await;
    // It takes requests, and never answers.
    let hangs = FakeUpstream::start(|_| Script::Silence).await;
    let section = format!(
        "telemetry: {{ endpoint: \"http://127.0.0.1:{}\", interval_ms: 20, prompts: true }}\ndrain: {{ announce_ms: 0 }}\n",
        hangs.port()
    );
    let gateway = gateway(&upstream, &section).await;
    let long = "word ".repeat(30_000);
    let ask = async || {
        let message = json!({ "role": "user", "content": [
            { "type": "text", "text": long }, { "type": "text", "text": long }, { "type": "text", "text": long },
        ] });
        let body = json!({ "model": "m", "max_tokens": 9, "messages": [message] });
        let answer = gateway.client().message(&body).await;
        assert_eq!(answer.text(), "canary-said");
    };
    // 16 MiB have room for some 300 calls of 48 KiB each.
    for _ in 0..400 {
        ask().await;
    }
    assert!(dropped(&gateway, "traces").await > 0);
    gateway.shut_down().await;
}

#[tokio::test]
async fn a_dead_collector_is_none_of_a_calls_business() {
    let upstream = upstream().await;
    let free = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let config = format!(
        "telemetry: {{ endpoint: \"http://127.0.0.1:{port}\", interval_ms: 20 }}\ndrain: {{ announce_ms: 0 }}\n"
    );
    let gateway = gateway(&upstream, &config).await;
    for stream in [false, true] {
        assert_eq!(
            gateway.client().ask("m", stream).await.text(),
            "canary-said"
        );
    }
    gateway.shut_down().await;
}

/// Write the gateway's file anew, with `section` at its end.
fn with_section(folder: &Path, section: &str) {
    let path = folder.join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let (before, _) = text.split_once("telemetry:").unwrap_or((&text, ""));
    std::fs::write(&path, format!("{before}{section}")).expect("it takes a file");
}

#[tokio::test]
async fn a_reload_that_changes_nothing_of_it_keeps_it() {
    let (upstream, first, second) = (
        upstream().await,
        Collector::start().await,
        Collector::start().await,
    );
    let mut gateway = gateway(&upstream, "").await;
    assert_eq!(gateway.client().ask("m", true).await.status, 200);
    let on = section(&first, "");
    let state = gateway.reload(|folder| with_section(folder, &on)).await;
    assert_eq!(
        state.changes,
        [format!(
            "setting `telemetry` changed (none -> {})",
            first.url()
        )]
    );
    assert_eq!(gateway.client().ask("m", true).await.status, 200);
    let state = gateway
        .reload(|folder| with_section(folder, &format!("{on}drain: {{ announce_ms: 1 }}\n")))
        .await;
    assert_eq!(state.changes, ["setting `drain` changed"]);
    assert_eq!(gateway.client().ask("m", true).await.status, 200);
    // Numbers go on from where they were.
    let told = first
        .told(|told| count(told, "sluice.call.duration") == 2)
        .await;
    assert!(
        told.spans
            .iter()
            .all(|span| span.resource["service.name"] == "sluice")
    );

    // What was told to the old one arrives there, also if that is asked for by none.
    let slow = section(&first, "").replace("interval_ms: 20", "interval_ms: 3600000");
    gateway.reload(|folder| with_section(folder, &slow)).await;
    assert_eq!(gateway.client().ask("two", true).await.status, 200);
    let moved = section(&second, "headers: { x-key: sk-collector }");
    let state = gateway.reload(|folder| with_section(folder, &moved)).await;
    assert!(!state.changes.concat().contains("sk-collector"));
    assert_eq!(gateway.client().ask("m", true).await.status, 200);
    let late = |told: &Told| told.spans.iter().any(|span| span.name == "chat two");
    first.told(late).await;
    assert_eq!(second.spans(2).await.len(), 2);
    let state = gateway.reload(|folder| with_section(folder, "")).await;
    assert_eq!(
        state.changes,
        [format!(
            "setting `telemetry` changed ({} -> none)",
            second.url()
        )]
    );
}

#[tokio::test]
async fn the_last_words_are_sent_before_it_stops() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    let section = section(&collector, "").replace("interval_ms: 20", "interval_ms: 3600000");
    let gateway = gateway(
        &upstream,
        &format!("{section}drain: {{ announce_ms: 0 }}\n"),
    )
    .await;
    assert_eq!(gateway.client().ask("m", true).await.status, 200);
    gateway.shut_down().await;
    let told = collector.now();
    assert_eq!(
        (told.spans.len(), count(&told, "sluice.call.duration")),
        (2, 1)
    );
}

#[tokio::test]
async fn hooks_that_edit_or_fail_are_named() {
    let (upstream, collector) = (upstream().await, Collector::start().await);
    let config = upstream.config(&format!(
        "{}hooks: {{ chain: [
  {{ hook: cap-max-tokens, config: {{ max: 7 }} }},
  {{ hook: misbehave, on_failure: skip, config: {{ stage: on-request, act: trap }} }} ] }}\n",
        section(&collector, "")
    ));
    let gateway = TestGateway::with_hooks(&config, &[("misbehave", GUEST_MISBEHAVE)]).await;
    assert_eq!(gateway.client().ask("m", false).await.text(), "canary-said");
    let spans = collector.spans(2).await;
    check(&spans[0], &json!({ "gen_ai.request.max_tokens": 1000 }));
    check(
        &spans[1],
        &json!({ "sluice.hook.edits": ["cap-max-tokens: /max_tokens 1000 -> 7"],
            "sluice.hook.failures": ["misbehave: on-request trapped"] }),
    );
}
