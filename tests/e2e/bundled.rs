//! Every bundled hook at work, and the same guarantee: what it makes of an answer
//! does not depend on whether the answer is streamed.

use serde_json::{Value, json};
use sluice_tests::{Answer, FakeUpstream, Script, TestGateway};

// === an upstream that speaks Messages ===

/// An upstream that answers with these blocks, streamed a few characters at a time
/// if it is asked to.
async fn saying(content: Value) -> FakeUpstream {
    let message = json!({
        "id": "msg_up", "type": "message", "role": "assistant", "model": "claude-x",
        "content": content, "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 7, "output_tokens": 3 },
    });
    FakeUpstream::start(move |request| {
        if request.json()["stream"] == true {
            Script::Pieces(stream(&message))
        } else {
            Script::json(&message)
        }
    })
    .await
}

/// A message as Anthropic streams it.
fn stream(message: &Value) -> Vec<String> {
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![json!({ "type": "message_start", "message": start })];
    let blocks = message["content"].as_array().expect("a message has blocks");
    for (index, block) in blocks.iter().enumerate() {
        let (begun, deltas) = block_stream(block);
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": begun }));
        for delta in deltas {
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    events
        .push(json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 3 } }));
    events.push(json!({ "type": "message_stop" }));
    let frame = |event: Value| {
        let kind = event["type"].as_str().unwrap_or("").to_owned();
        format!("event: {kind}\ndata: {event}\n\n")
    };
    events.into_iter().map(frame).collect()
}

/// A block as it begins, and what is added to it.
fn block_stream(block: &Value) -> (Value, Vec<Value>) {
    let pieces = |text: &str, kind: &str, member: &str| {
        let characters: Vec<char> = text.chars().collect();
        let pieces = characters.chunks(3);
        pieces
            .map(|piece| json!({ "type": kind, member: piece.iter().collect::<String>() }))
            .collect::<Vec<_>>()
    };
    let said = |member: &str| block[member].as_str().unwrap_or("");
    match said("type") {
        "text" => (
            json!({ "type": "text", "text": "" }),
            pieces(said("text"), "text_delta", "text"),
        ),
        "thinking" => {
            let mut deltas = pieces(said("thinking"), "thinking_delta", "thinking");
            deltas.push(json!({ "type": "signature_delta", "signature": said("signature") }));
            (
                json!({ "type": "thinking", "thinking": "", "signature": "" }),
                deltas,
            )
        }
        "tool_use" => {
            let input = block["input"].to_string();
            let begun = json!({ "type": "tool_use", "id": block["id"], "name": block["name"], "input": {} });
            (begun, pieces(&input, "input_json_delta", "partial_json"))
        }
        other => panic!("no test streams a block of type `{other}`"),
    }
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn thinking(text: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": "EqQBCk" })
}

// === a gateway with one hook ===

/// A gateway before `upstream`, which speaks Messages, with one bundled hook.
async fn gateway(upstream: &FakeUpstream, hook: &str, settings: &str) -> TestGateway {
    TestGateway::start(&config(&upstream.url(), hook, settings)).await
}

fn config(url: &str, hook: &str, settings: &str) -> String {
    format!(
        "upstreams:
  up: {{ base_url: \"{url}\", dialect: anthropic-messages, api_key: sk-x }}
models:
  m: {{ upstream: up, model: small }}
  big: {{ upstream: up, model: large }}
hooks: {{ chain: [ {{ hook: {hook}, {settings} }} ] }}
"
    )
}

fn request(messages: Value) -> Value {
    json!({ "model": "m", "max_tokens": 10, "messages": messages })
}

fn hi() -> Value {
    request(json!([{ "role": "user", "content": "hi" }]))
}

/// The blocks of an answer, one a line, and why it stopped. Ids are minted.
fn lines(answer: &Answer) -> Vec<String> {
    let message = answer.message();
    let blocks = message["content"].as_array().expect("a message has blocks");
    let line = |block: &Value| match block["type"].as_str().unwrap_or("") {
        "text" => format!("text: {}", block["text"].as_str().unwrap_or("")),
        "thinking" => format!("thinking: {}", block["thinking"].as_str().unwrap_or("")),
        kind => format!("{kind}: {} {}", block["name"], block["input"]),
    };
    let stop = message["stop_reason"].as_str().unwrap_or("").to_owned();
    blocks.iter().map(line).chain([stop]).collect()
}

/// `request`, asked streamed and not, is answered with these lines.
async fn check_request(gateway: &TestGateway, request: &Value, expected: &[&str]) {
    for stream in [true, false] {
        let mut request = request.clone();
        request["stream"] = json!(stream);
        let answer = gateway.client().message(&request).await;
        assert_eq!(lines(&answer), expected, "streamed: {stream}");
    }
}

/// What a hook makes of an answer of these blocks.
async fn check(hook: &str, settings: &str, content: Value, expected: &[&str]) {
    let upstream = saying(content).await;
    let gateway = gateway(&upstream, hook, settings).await;
    check_request(&gateway, &hi(), expected).await;
}

// === answers ===

#[tokio::test]
async fn strip_thinking_removes_reasoning() {
    let settings = "grants: { prompt: write }, config: { history: true }";
    let content = json!([
        thinking("well, well"),
        text("Yes."),
        thinking("hm"),
        text("No.")
    ]);
    let kept = ["text: Yes.", "text: No.", "end_turn"];
    check("strip-thinking", settings, content, &kept).await;
    let alone = json!([thinking("hm")]);
    check("strip-thinking", settings, alone, &["text: ", "end_turn"]).await;

    let upstream = saying(json!([text("ok")])).await;
    let gateway = gateway(&upstream, "strip-thinking", settings).await;
    let history = request(json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": [thinking("hm"), text("b")] },
        { "role": "user", "content": "c" },
    ]));
    check_request(&gateway, &history, &["text: ok", "end_turn"]).await;
    let sent = &upstream.last_body()["messages"];
    assert_eq!(sent[1]["content"], json!([text("b")]));
}

#[tokio::test]
async fn think_tags_go_both_ways() {
    let grants = "grants: { prompt: write }";
    let tagged = json!([text("<think>\nwell, well\n</think>\n\nYes <think>.")]);
    let blocks = ["thinking: well, well", "text: Yes <think>.", "end_turn"];
    check("think-tags", grants, tagged, &blocks).await;

    let settings = format!("{grants}, config: {{ to: tags }}");
    let content = json!([thinking("well"), text("Yes.")]);
    let tagged = [
        "text: <think>\nwell\n</think>\n\n",
        "text: Yes.",
        "end_turn",
    ];
    check("think-tags", &settings, content, &tagged).await;
}

#[tokio::test]
async fn tool_rescue_finds_calls_in_text() {
    let said =
        "I look. <tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"x\"}}\n</tool_call>";
    let upstream = saying(json!([text(said)])).await;
    let gateway = gateway(&upstream, "tool-rescue", "grants: { prompt: write }").await;
    let mut request = hi();
    check_request(&gateway, &request, &[&format!("text: {said}"), "end_turn"]).await;
    request["tools"] = json!([{ "name": "look", "input_schema": { "type": "object" } }]);
    let call = "tool_use: \"look\" {\"at\":\"x\"}";
    check_request(&gateway, &request, &["text: I look. ", call, "tool_use"]).await;
}

#[tokio::test]
async fn redact_covers_answers_and_requests() {
    let settings = "grants: { prompt: write }, config: { named: [email], patterns: ['EMP-\\d{3}'], replacement: \"#\" }";
    let tool =
        json!({ "type": "tool_use", "id": "t", "name": "look", "input": { "at": "EMP-123" } });
    let content = json!([
        thinking("is it EMP-123?"),
        text("Write to jo@example.com."),
        tool
    ]);
    let upstream = saying(content).await;
    let gateway = gateway(&upstream, "redact", settings).await;
    let question = request(json!([{ "role": "user", "content": "I am EMP-987, jo@example.com" }]));
    let covered = [
        "thinking: is it #?",
        "text: Write to #.",
        "tool_use: \"look\" {\"at\":\"#\"}",
        "tool_use",
    ];
    check_request(&gateway, &question, &covered).await;
    let sent = upstream.last_body()["messages"][0]["content"].clone();
    assert_eq!(sent, "I am #, #");
}

// === requests ===

#[tokio::test]
async fn fold_system_puts_instructions_into_the_users_text() {
    let upstream = saying(json!([text("ok")])).await;
    let gateway = gateway(&upstream, "fold-system", "grants: { prompt: write }").await;
    let question = request(json!([
        { "role": "user", "content": "a" },
        { "role": "system", "content": "be brief" },
    ]));
    check_request(&gateway, &question, &["text: ok", "end_turn"]).await;
    let folded = text("<system-reminder>\nbe brief\n</system-reminder>");
    let expected = json!([{ "role": "user", "content": [text("a"), folded] }]);
    assert_eq!(upstream.last_body()["messages"], expected);
}

#[tokio::test]
async fn rename_model_renames_what_is_asked_for_and_what_is_listed() {
    let upstream = saying(json!([text("ok")])).await;
    let settings = "config: { models: { claude-big: big, claude-*: m }, list: true }";
    let gateway = gateway(&upstream, "rename-model", settings).await;
    for (asked, sent) in [
        ("claude-x", "small"),
        ("claude-big", "large"),
        ("m", "small"),
    ] {
        let mut request = hi();
        request["model"] = json!(asked);
        check_request(&gateway, &request, &["text: ok", "end_turn"]).await;
        assert_eq!(upstream.last_body()["model"], sent);
    }
    let headers = [("anthropic-version", "2023-06-01")];
    let list = gateway
        .client()
        .request("GET", "/v1/models", &headers)
        .await;
    let list = list.json();
    let models = list["data"].as_array().expect("a list").iter();
    let names = models.map(|model| model["id"].as_str().unwrap_or(""));
    let names: std::collections::BTreeSet<_> = names.collect();
    assert_eq!(names, ["claude-big", "m"].into());
}

#[tokio::test]
async fn long_context_reroutes_what_does_not_fit() {
    let upstream = saying(json!([text("ok")])).await;
    let settings = "config: { models: { m: { window: 1000, to: big } } }";
    let gateway = gateway(&upstream, "long-context", settings).await;
    for (max_tokens, sent) in [(10, "small"), (1000, "large")] {
        let mut request = hi();
        request["max_tokens"] = json!(max_tokens);
        check_request(&gateway, &request, &["text: ok", "end_turn"]).await;
        assert_eq!(upstream.last_body()["model"], sent);
    }
}

#[tokio::test]
async fn cost_cap_refuses_once_the_budget_is_spent() {
    let upstream = saying(json!([text("ok")])).await;
    let settings = "grants: { kv: true, headers: [x-team] },
      config: { budget: { tokens: 15 }, per: day, header: x-team }";
    for stream in [true, false] {
        let gateway = gateway(&upstream, "cost-cap", settings).await;
        let client = gateway.client();
        let mut request = hi();
        request["stream"] = json!(stream);
        let ask = |team: &'static str| {
            let (client, body) = (client.clone(), request.to_string());
            async move {
                let headers = [("x-team", team)];
                client.post("/v1/messages", &headers, body).await
            }
        };
        let mut answered = 0;
        // A call's cost is known after its end, for which nobody waits: so the test
        // asks until it is.
        let refused = loop {
            let answer = ask("blue").await;
            if answer.status != 200 {
                break answer;
            }
            answered += 1;
        };
        assert!(answered >= 2, "ten tokens a call");
        assert_eq!(refused.status, 429);
        let seconds: u64 = refused.header("retry-after").parse().expect("a number");
        assert!((1..=86_400).contains(&seconds), "{seconds}");
        let error = refused.json()["error"].clone();
        assert_eq!(error["type"], "rate_limit_error");
        assert_eq!(ask("red").await.status, 200, "another team's budget");
    }
}

// === at load ===

#[tokio::test]
async fn bundled_hooks_say_what_they_need_and_take() {
    for (hook, settings, wrong) in [
        ("redact", "config: {}", "`grants`: prompt: write"),
        ("strip-thinking", "config: {}", "`grants`: prompt: write"),
        ("think-tags", "config: {}", "`grants`: prompt: write"),
        ("tool-rescue", "config: {}", "`grants`: prompt: write"),
        ("fold-system", "config: {}", "`grants`: prompt: write"),
        (
            "cost-cap",
            "config: { budget: { tokens: 1 }, per: day }",
            "`grants`: kv: true",
        ),
        (
            "cost-cap",
            "grants: { kv: true }, config: { budget: { tokens: 0 }, per: day }",
            "`config.budget.tokens`: 0 is less than the minimum of 1",
        ),
        (
            "redact",
            "grants: { prompt: write }, config: { patterns: ['a|b'] }",
            "patterns: `a|b`: `|`: there are no groups",
        ),
        (
            "rename-model",
            "config: { models: { a: b-* } }",
            "models: `b-*` has more `*` than `a`",
        ),
        (
            "long-context",
            "config: { models: { a: { window: 5 } } }",
            "`config.models.a`: \"to\" is a required property",
        ),
    ] {
        let config = config("http://127.0.0.1:9/v1", hook, settings);
        let refused = TestGateway::try_start(&config, &[]).await;
        let said = refused
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(said.contains(wrong), "{hook}: {said}");
    }
}
