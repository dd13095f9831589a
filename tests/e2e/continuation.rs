//! Answers that break off after the client has read their beginning.

use serde_json::{Value, json};
use sluice_tests::guests::GUEST_SCRIPTED;
use sluice_tests::{FakeUpstream, Recorded, Script, TestGateway, chunk, text_stream};

const SAID: &str = "The answer to all of it is";

/// An upstream whose models do as they are called: `half` says half of a text and no
/// more, `thinks` the same of a thought, `calls` the same and half of a call, `failing`
/// fails with an error in the stream; `rest` repeats some words and ends; `503` answers
/// with that; `never` not at all; any other says its name.
fn script(request: &Recorded) -> Script {
    let body = request.json();
    let call = json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "look", "arguments": "{" } }] });
    let half = chunk(&json!({ "content": SAID }));
    match body["model"].as_str().unwrap_or("") {
        "half" => Script::Pieces(vec![half]),
        "thinks" => Script::Pieces(vec![chunk(&json!({ "reasoning_content": "hm" }))]),
        "calls" => Script::Pieces(vec![half, chunk(&call)]),
        "failing" => {
            let error = json!({ "error": { "message": "gone mad", "code": 500 } });
            Script::Pieces(vec![half, format!("data: {error}\n\n")])
        }
        "rest" => Script::Pieces(text_stream("answer to all of it is 42.")),
        "503" => Script::Whole(503, Vec::new(), "{}".into()),
        "never" => Script::Silence,
        name => Script::Pieces(text_stream(&format!(" {name}."))),
    }
}

/// A gateway with the model `m`, of these models of `up`, that goes on.
async fn gateway(upstream: &FakeUpstream, targets: &[&str], more: &str) -> TestGateway {
    TestGateway::start(&config(upstream, targets, more)).await
}

fn config(upstream: &FakeUpstream, targets: &[&str], more: &str) -> String {
    let target = |model: &&str| format!("{{ upstream: up, model: \"{model}\" }}");
    let targets: Vec<_> = targets.iter().map(target).collect();
    format!(
        "upstreams: {{ up: {{ base_url: \"{}\" }} }}\nmodels:\n  m: {{ targets: [ {} ], on_broken_stream: continue }}\n{more}",
        upstream.url(),
        targets.join(", ")
    )
}

/// The content that the client reads, or the last event's error after it.
fn told(events: Vec<Value>) -> (String, Option<String>) {
    let mut text = String::new();
    for event in &events {
        text += event["delta"]["text"].as_str().unwrap_or("");
        text += event["delta"]["thinking"].as_str().unwrap_or("");
    }
    let last = events.last().cloned().unwrap_or_default();
    let error = last["error"]["message"].as_str().map(str::to_owned);
    assert!(error.is_some() || last["type"] == "message_stop", "{last}");
    (text, error)
}

#[tokio::test]
async fn another_target_goes_on_or_the_client_is_told() {
    let check = async |targets: &[&str], text: &str, error: Option<&str>, asked: usize| {
        let upstream = FakeUpstream::start(script).await;
        let gateway = gateway(&upstream, targets, "").await;
        let answer = gateway.client().ask("m", true).await;
        let expected = (text.to_owned(), error.map(str::to_owned));
        assert_eq!(told(answer.events()), expected, "{targets:?}");
        assert_eq!(upstream.requests().len(), asked, "{targets:?}");
    };
    let whole = "The answer to all of it is 42.";
    check(&["half", "rest"], whole, None, 2).await;
    check(&["failing", "rest"], whole, None, 2).await;
    check(&["half", "503", "rest"], whole, None, 3).await;
    check(&["thinks", "42"], "hm 42.", None, 2).await;
    // The one that broke off comes last, and three times is enough.
    let broken = "the upstream closed early, without a finish reason";
    check(&["half"], SAID, Some(broken), 4).await;
    check(&["failing", "503"], SAID, Some("gone mad"), 7).await;
    // Half a call cannot be taken back.
    check(&["calls", "rest"], SAID, Some(broken), 1).await;
}

#[tokio::test]
async fn another_target_goes_on_where_an_upstream_s_time_is_over() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let url = upstream.url();
    let gateway = TestGateway::start(&format!(
        "\
upstreams: {{ slow: {{ base_url: \"{url}\", total_timeout_ms: 300 }}, fast: {{ base_url: \"{url}\" }} }}
models:
  m: {{ targets: [ {{ upstream: slow }}, {{ upstream: fast }} ], on_broken_stream: continue }}
"
    ))
    .await;
    speaker.say(chunk(&json!({ "content": "half " })));
    let answer = gateway.client().ask("m", true).await;
    assert_eq!(told(answer.events()), ("half ok".into(), None));
}

#[tokio::test]
async fn the_next_target_knows_what_was_said() {
    let upstream = FakeUpstream::start(script).await;
    let gateway = gateway(&upstream, &["half", "rest"], "").await;
    let answer = gateway.client().ask("m", true).await;
    let message = answer.message();
    assert_eq!(
        message["content"],
        json!([{ "type": "text", "text": "The answer to all of it is 42." }])
    );
    // 26 bytes without a count, and three tokens.
    assert_eq!(message["usage"]["output_tokens"], 7 + 3);
    assert_eq!(message["stop_reason"], "end_turn");
    let body = upstream.last_body();
    let messages = body["messages"].as_array().expect("a list");
    assert_eq!(messages[0], json!({ "role": "user", "content": "hi" }));
    assert_eq!(messages[1]["content"], SAID, "{body}");
    assert_eq!(messages.len(), 3, "an instruction follows: {body}");
    assert_eq!(body["max_tokens"], 1_000 - 7);
}

#[tokio::test]
async fn in_every_pair_of_dialects() {
    let messages = FakeUpstream::start(|request| {
        let said = request.json()["messages"][1]["content"].clone();
        assert!(said == SAID || said[0]["text"] == SAID, "{said}");
        let message = json!({ "id": "i", "type": "message", "role": "assistant", "model": "c",
            "content": [{ "type": "text", "text": " 42." }], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 2 } });
        Script::json(&message)
    })
    .await;
    let chat = FakeUpstream::start(script).await;
    let config = format!(
        "\
upstreams:
  chat: {{ base_url: \"{}\" }}
  messages: {{ base_url: \"{}\", dialect: anthropic-messages }}
models:
  m: {{ targets: [{{ upstream: chat, model: half }}, {{ upstream: messages }}], on_broken_stream: continue }}
  n: {{ targets: [{{ upstream: chat, model: half }}, {{ upstream: chat, model: rest }}], on_broken_stream: continue }}
",
        chat.url(),
        messages.url(),
    );
    let gateway = TestGateway::start(&config).await;
    let answer = gateway.client().ask("m", true).await;
    assert_eq!(answer.text(), format!("{SAID} 42."));
    let last = messages.last_body()["messages"][2].clone();
    assert_eq!(last["role"], "user", "Anthropic's newest take no other");
    for (model, end) in [("m", " 42."), ("n", " 42.")] {
        let body = json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
        let answer = gateway.client();
        let answer = answer.post("/v1/chat/completions", &[], body.to_string());
        let body = answer.await.body;
        let body = String::from_utf8_lossy(&body);
        let body = body.trim_end().strip_suffix("data: [DONE]");
        let events = sluice_tests::sse(body.expect("a proper end").as_bytes());
        let texts = events.iter();
        let texts = texts.filter_map(|it| it["choices"][0]["delta"]["content"].as_str());
        assert_eq!(texts.collect::<String>(), format!("{SAID}{end}"));
    }
}

#[tokio::test]
async fn a_broken_connection_is_gone_on_from_with_life_signs_meanwhile() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let limits = "limits: { ping_interval_ms: 5, first_byte_timeout_ms: 200 }";
    let never = FakeUpstream::start(script).await;
    let config = format!(
        "\
upstreams: {{ up: {{ base_url: \"{}\" }}, never: {{ base_url: \"{}\" }} }}
models:
  m: {{ targets: [{{ upstream: up }}, {{ upstream: never, model: never }}], on_broken_stream: continue }}
{limits}",
        upstream.url(),
        never.url()
    );
    let gateway = TestGateway::start(&config).await;
    speaker.say(chunk(&json!({ "content": "half, " })));
    let mut response = gateway.client().begin("m").await;
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("half") {
        seen.extend(response.chunk().await.expect("sound").expect("more"));
    }
    speaker.break_off();
    seen.extend(response.bytes().await.expect("sound"));
    let events = sluice_tests::sse(&seen);
    let broke = events
        .iter()
        .rposition(|it| it["delta"]["text"] == "half, ");
    let (half, rest) = (broke.expect("it came"), &events[broke.unwrap_or(0)..]);
    assert!(half > 0 && rest.iter().any(|it| it["type"] == "ping"));
    assert_eq!(told(events), ("half, ok".into(), None));
}

#[tokio::test]
async fn hooks_watch_one_answer() {
    let upstream = FakeUpstream::start(script).await;
    let hooks = "hooks: { chain: [ { hook: scripted, grants: { prompt: write }, config: { stream: uppercase } } ] }";
    let config = config(&upstream, &["half", "rest"], hooks);
    let gateway = TestGateway::with_hooks(&config, &[("scripted", GUEST_SCRIPTED)]).await;
    let answer = gateway.client().ask("m", true).await;
    let expected = "THE ANSWER TO ALL OF IT IS 42.";
    assert_eq!(told(answer.events()), (expected.into(), None));
    // The upstream's own words, not what a hook made of them.
    assert_eq!(upstream.last_body()["messages"][1]["content"], SAID);
}

#[tokio::test]
async fn every_prompt_is_counted() {
    let event = |event: Value| {
        format!(
            "event: {0}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or("")
        )
    };
    let begun = [
        json!({ "type": "message_start", "message": { "id": "i", "type": "message", "role": "assistant", "model": "c",
            "content": [], "stop_reason": null, "usage": { "input_tokens": 100, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": SAID } }),
    ];
    let begun: Vec<_> = begun.into_iter().map(event).collect();
    let messages = FakeUpstream::start(move |_| Script::Pieces(begun.clone())).await;
    let chat = FakeUpstream::start(script).await;
    let gateway = TestGateway::start(&format!(
        "\
upstreams:
  chat: {{ base_url: \"{}\" }}
  messages: {{ base_url: \"{}\", dialect: anthropic-messages }}
models:
  m: {{ targets: [{{ upstream: messages }}, {{ upstream: chat }}], on_broken_stream: continue }}
",
        chat.url(),
        messages.url(),
    ))
    .await;
    let answer = gateway.client().ask("m", true).await;
    let shown = &answer.message()["usage"];
    assert_eq!(
        (&shown["input_tokens"], &shown["output_tokens"]),
        (&json!(7), &json!(10))
    );
    let metrics = gateway.client().metrics().await;
    let count = |kind: &str| {
        let mut lines = metrics.lines();
        let line = lines.find(|it| it.starts_with("sluice_tokens_total") && it.contains(kind));
        line.expect("it is counted")
            .rsplit(' ')
            .next()
            .map(str::to_owned)
    };
    assert_eq!(count("kind=\"input\"").as_deref(), Some("107"));
    assert_eq!(count("kind=\"output\"").as_deref(), Some("10"));
}
