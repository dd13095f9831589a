//! How often a call is tried, where, and what is said of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::guests::GUEST_STAGES;
use sluice_tests::{Answer, FakeUpstream, Script, TestGateway, chunk, finish, text_stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// An upstream whose models do as they are called: `503` answers with that status,
/// `503x2` twice and then with a text, `too-long` and `forbidden` with a 400 that says
/// so, `early` with an error inside a stream, `filtered` with that stop reason alone,
/// `half` with half of a stream, `never` not at all, any other with a text.
async fn upstream() -> FakeUpstream {
    let asked = AtomicUsize::new(0);
    FakeUpstream::start(move |request| {
        let body = request.json();
        let model = body["model"].as_str().unwrap_or("").to_owned();
        let (status, times) = model.split_once('x').unwrap_or((&model, ""));
        let fails = times.parse().map_or(times.is_empty(), |times: usize| {
            asked.fetch_add(1, Ordering::Relaxed) < times
        });
        if let (Ok(status), true) = (status.parse(), fails) {
            return error(status, "not now");
        }
        match model.as_str() {
            "too-long" => error(400, "This model's maximum context length is 9000 tokens."),
            "forbidden" => error(400, "Content Exists Risk"),
            "never" => Script::Silence,
            "early" => {
                let error = json!({ "error": { "message": "slow down", "code": 429 } });
                Script::Pieces(vec![format!("data: {error}\n\n")])
            }
            "half" => Script::Pieces(vec![chunk(&json!({ "content": "half" }))]),
            "filtered" => Script::Pieces(vec![finish("content_filter")]),
            _ => text(&body, format!("ok from {model}")),
        }
    })
    .await
}

fn error(status: u16, message: &str) -> Script {
    let error = json!({ "error": { "message": message } });
    Script::Whole(status, Vec::new(), error.to_string())
}

fn text(request: &Value, text: String) -> Script {
    if request["stream"] == true {
        return Script::Pieces(text_stream(&text));
    }
    Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": text } }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }))
}

/// A gateway with the model `m` whose targets are these models, and more of the file.
async fn gateway(
    upstream: &FakeUpstream,
    targets: &[&str],
    route: &str,
    more: &str,
) -> TestGateway {
    let target = |model: &&str| format!("{{ upstream: up, model: \"{model}\" }}");
    let targets: Vec<_> = targets.iter().map(target).collect();
    TestGateway::start(&format!(
        "\
upstreams:
  up: {{ base_url: \"{}\" }}
  gone: {{ base_url: http://127.0.0.1:1/v1 }} # refuses connections
models:
  m: {{ targets: [ {} ], {route} }}
  other: {{ upstream: up, model: third }}
  bad: {{ upstream: up, model: \"500\" }}
  long: {{ upstream: up, model: too-long }}
{more}",
        upstream.url(),
        targets.join(", "),
    ))
    .await
}

/// What the client reads: a text, or an error's status and message.
fn said(answer: &Answer) -> String {
    let message = |status| {
        let error = answer.json();
        format!(
            "{status}: {}",
            error["error"]["message"].as_str().unwrap_or("")
        )
    };
    match answer.status {
        200 => answer.text(),
        status => message(status),
    }
}

/// A call to `m`, streamed and not, is answered so, after these attempts.
async fn check(targets: &[&str], route: &str, more: &str, expected: &str, attempts: &str) {
    for stream in [true, false] {
        let upstream = upstream().await;
        let gateway = gateway(&upstream, targets, route, more).await;
        let answer = gateway.client().ask("m", stream).await;
        assert_eq!(said(&answer), expected, "{targets:?} {route} {more}");
        assert_eq!(answer.header("sluice-attempts"), attempts, "{targets:?}");
    }
}

const QUICK: &str = "attempts: { retries: 2, pause_ms: 1 }";

#[tokio::test]
async fn what_may_pass_is_tried_again_and_other_targets_first() {
    check(&["a"], "", "", "ok from a", "1; up/a ok").await;
    let twice = "3; up/503x2 503 retry, up/503x2 503 retry, up/503x2 ok";
    check(&["503x2"], "", QUICK, "ok from 503x2", twice).await;
    let taken_over = "2; up/503 503 skip-target, up/b ok";
    check(&["503", "b"], "", QUICK, "ok from b", taken_over).await;
    let rounds = "4; up/404 404 skip-target, up/503x2 503 retry, up/503x2 503 retry, up/503x2 ok";
    check(&["404", "503x2"], "", QUICK, "ok from 503x2", rounds).await;
    let early = "2; up/early 429 skip-target, up/b ok";
    check(&["early", "b"], "", QUICK, "ok from b", early).await;
    let all = "3; up/500 500 retry, up/500 500 retry, up/500 500 fail";
    check(&["500"], "", QUICK, "500: upstream `up`: not now", all).await;
    let none = "attempts: { retries: 0 }";
    let once = "1; up/500 500 fail";
    check(&["500"], "", none, "500: upstream `up`: not now", once).await;
    let most = "attempts: { retries: 2, pause_ms: 1, attempts_max: 2 }";
    let two = "2; up/500 500 retry, up/500 500 fail";
    check(&["500"], "", most, "500: upstream `up`: not now", two).await;
}

#[tokio::test]
async fn the_policy_is_the_operators() {
    let fails = "1; up/400 400 fail";
    check(&["400", "b"], "", "", "400: not now", fails).await;
    let next = "attempts: { retries: 2, on: { 400: next } }";
    let goes_on = "2; up/400 400 skip-target, up/b ok";
    check(&["400", "b"], "", next, "ok from b", goes_on).await;
    let fail = "attempts: { retries: 2, on: { 5xx: fail } }";
    let at_once = "1; up/503 503 fail";
    check(
        &["503", "b"],
        "",
        fail,
        "503: upstream `up`: not now",
        at_once,
    )
    .await;
}

#[tokio::test]
async fn each_kind_of_failure_has_its_fallbacks() {
    let all = "fallbacks: [bad, other], on_overflow: other, on_content_policy: [other]";
    let general = "3; up/404 404 skip-target, up/500 500 skip-target, up/third ok";
    check(&["404"], all, QUICK, "ok from third", general).await;
    let long = "2; up/too-long overflow skip-target, up/third ok";
    check(&["too-long", "a"], all, QUICK, "ok from third", long).await;
    let once = "2; up/too-long overflow skip-target, up/too-long overflow fail";
    let message = "400: prompt is too long: 9001 tokens > 9000 maximum (This model's maximum context length is 9000 tokens.)";
    check(&["too-long"], "on_overflow: long", "", message, once).await;
    let forbidden = "2; up/forbidden content_policy skip-target, up/third ok";
    check(&["forbidden", "a"], all, QUICK, "ok from third", forbidden).await;
    let filtered = "2; up/filtered content_policy skip-target, up/third ok";
    check(&["filtered"], all, "", "ok from third", filtered).await;
    check(&["filtered"], "", "", "", "1; up/filtered ok").await;
    // The general ones are not for what is wrong with the request.
    let none = "1; up/forbidden content_policy fail";
    let message = "400: Content Exists Risk";
    check(&["forbidden", "a"], "fallbacks: [other]", "", message, none).await;
}

#[tokio::test]
async fn nothing_is_tried_again_once_the_client_has_content() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = gateway(&upstream, &["a", "b"], "", QUICK).await;
    speaker.say(chunk(&json!({ "content": "half" })));
    let mut response = gateway.client().begin("m").await;
    let attempts = response.headers()["sluice-attempts"].clone();
    let mut seen = response
        .chunk()
        .await
        .expect("sound")
        .unwrap_or_default()
        .to_vec();
    speaker.break_off();
    while let Some(piece) = response.chunk().await.expect("the client is told") {
        seen.extend(piece);
    }
    let last = sluice_tests::sse(&seen).pop().expect("events");
    assert_eq!(
        (attempts, &last["type"]),
        ("1; up/a ok".parse().expect("a value"), &json!("error"))
    );
    assert_eq!(upstream.requests().len(), 1);

    // Who reads it whole has read nothing yet.
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = self::gateway(&upstream, &["a", "b"], "", QUICK).await;
    speaker.say(chunk(&json!({ "content": "half" })));
    speaker.break_off();
    let whole = gateway.client().ask("m", false).await;
    assert_eq!(said(&whole), "ok");
    assert_eq!(
        whole.header("sluice-attempts"),
        "2; up/a 502 skip-target, up/b ok"
    );
}

#[tokio::test]
async fn an_upstream_is_left_alone_for_as_long_as_it_asks() {
    for (header, value, waits) in [
        ("retry-after-ms", "60", true),
        ("retry-after", "0.06", true),
        ("retry-after", "60", false),
    ] {
        let asked = AtomicUsize::new(0);
        let upstream =
            FakeUpstream::start(move |request| match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Script::Whole(429, vec![(header, value)], "{}".into()),
                _ => text(&request.json(), "ok".into()),
            })
            .await;
        let gateway = TestGateway::start(&upstream.config(QUICK)).await;
        let began = Instant::now();
        let answer = gateway.client().ask("m", false).await;
        if waits {
            assert_eq!(said(&answer), "ok");
            assert!(began.elapsed() >= Duration::from_millis(60), "it waited");
        } else {
            assert_eq!((answer.status, answer.header(header)), (429, value));
        }
    }
}

#[tokio::test]
async fn an_upstream_is_asked_as_its_refusals_say() {
    let upstream = FakeUpstream::start(|request| {
        let body = request.json();
        if body["stream"] != true {
            error(400, "Requests with max_tokens > 4096 must have stream=true")
        } else if body.get("max_tokens").is_some() {
            let instead = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
            error(400, instead)
        } else if body.get("stream_options").is_some() {
            error(422, "Unrecognized request argument supplied: stream_options")
        } else {
            Script::Pieces(text_stream("ok"))
        }
    })
    .await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let taught = "4; up/up-m taught, up/up-m taught, up/up-m taught, up/up-m ok";
    for attempts in [taught, "1; up/up-m ok"] {
        let answer = gateway.client().ask("m", false).await;
        assert_eq!(answer.header("sluice-attempts"), attempts);
        assert_eq!(answer.text(), "ok");
    }
}

/// A server that answers so many requests on each connection, and closes it when a further
/// one has come: its port, and how many came.
async fn forgetful(answers: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("loopback stays");
            let (count, mut tcp) = (count.clone(), BufReader::new(tcp));
            tokio::spawn(async move {
                for number in 0.. {
                    take_request(&mut tcp).await?;
                    count.fetch_add(1, Ordering::Relaxed);
                    if number == answers {
                        break;
                    }
                    let body = r#"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"ok"}}]}"#;
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    tcp.write_all((head + body).as_bytes()).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (port, asked)
}

async fn take_request(tcp: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if tcp.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a length");
        }
    }
    tcp.read_exact(&mut vec![0; length]).await.map(drop)
}

#[tokio::test]
async fn what_met_the_end_of_a_kept_connection_is_sent_again_once() {
    for (answers, expected) in [
        // Connections that are new are believed.
        (0, vec![(502, "1; up/m 502 fail", 1); 2]),
        (
            1,
            vec![(200, "1; up/m ok", 1), (200, "2; up/m again, up/m ok", 2)],
        ),
    ] {
        let (port, asked) = forgetful(answers).await;
        let gateway = TestGateway::start(&format!(
            "upstreams: {{ up: {{ base_url: \"http://127.0.0.1:{port}/v1\" }} }}\nmodels: {{ m: {{ upstream: up }} }}\n"
        ))
        .await;
        for (status, attempts, requests) in expected {
            let before = asked.load(Ordering::Relaxed);
            let answer = gateway.client().ask("m", false).await;
            assert_eq!(
                (answer.status, answer.header("sluice-attempts")),
                (status, attempts)
            );
            assert_eq!(asked.load(Ordering::Relaxed) - before, requests);
        }
    }
}

#[tokio::test]
async fn a_target_that_fails_is_left_alone_across_reloads() {
    let upstream = upstream().await;
    let cool = "attempts: { retries: 2, pause_ms: 1, failures_max: 2, cooldown_ms: 3600000, cooldown_ms_max: 3600000 }\n";
    let mut gateway = gateway(&upstream, &["500", "b"], "", cool).await;
    let attempts = async |gateway: &TestGateway| {
        let answer = gateway.client().ask("m", false).await;
        answer.header("sluice-attempts").to_owned()
    };
    let both = "2; up/500 500 skip-target, up/b ok";
    assert_eq!(attempts(&gateway).await, both);
    assert_eq!(attempts(&gateway).await, both);
    assert_eq!(attempts(&gateway).await, "1; up/b ok");
    gateway
        .reload(|folder| {
            let file = folder.join("sluice.yaml");
            let text = std::fs::read_to_string(&file).expect("it is there");
            std::fs::write(file, format!("{text}tiers: {{ opus: m }}\n")).expect("it can");
        })
        .await;
    assert_eq!(attempts(&gateway).await, "1; up/b ok");
    let books = gateway.client().request("GET", "/admin/targets", &[]).await;
    let books = books.json();
    assert_eq!(books[0]["target"], "up/500");
    assert!(books[0]["cooling_ms"].as_u64() > Some(0), "{books}");
    assert_eq!(books[1]["cooling_ms"], 0);
    // Where there is no other, it is asked all the same.
    let only = gateway.client().ask("bad", false).await;
    assert!(
        only.header("sluice-attempts")
            .starts_with("3; up/500 500 retry")
    );
}

#[tokio::test]
async fn a_key_that_is_refused_is_spared_for_every_model() {
    let upstream =
        FakeUpstream::start(
            |request| match request.headers["authorization"] == "Bearer sk-bad" {
                true => Script::Whole(401, Vec::new(), "{}".into()),
                false => text(&request.json(), "ok".into()),
            },
        )
        .await;
    let config = upstream
        .config(
            "  n: { upstream: up }\nattempts: { cooldown_ms: 3600000, cooldown_ms_max: 3600000 }\n",
        )
        .replace("api_key: sk-upstream-secret", "api_keys: [sk-bad, sk-good]");
    let gateway = TestGateway::start(&config).await;
    let attempts = async |model: &str| {
        let answer = gateway.client().ask(model, false).await;
        answer.header("sluice-attempts").to_owned()
    };
    // The keys take turns.
    let first = [attempts("m").await, attempts("m").await];
    let both = "2; up#1/up-m 401 skip-target, up#2/up-m ok";
    assert!(first.iter().any(|tried| tried == both), "{first:?}");
    for _ in 0..2 {
        assert_eq!(attempts("n").await, "1; up#2/n ok");
    }
}

#[tokio::test]
async fn answers_that_break_off_count_against_their_target() {
    let upstream = upstream().await;
    let cool = "attempts: { retries: 2, failures_max: 2, cooldown_ms: 3600000, cooldown_ms_max: 3600000 }\n";
    let gateway = gateway(&upstream, &["half", "b"], "", cool).await;
    for expected in ["1; up/half ok", "1; up/half ok", "1; up/b ok"] {
        let answer = gateway.client().ask("m", true).await;
        assert_eq!(answer.header("sluice-attempts"), expected);
        let last = answer.events().pop().expect("events");
        assert_eq!(last["type"] == "error", expected.contains("half"));
    }
}

#[tokio::test]
async fn an_upstream_that_falls_silent_before_its_first_word_has_timed_out() {
    let (upstream, _speaker) = FakeUpstream::live().await;
    let limits = "limits: { idle_timeout_ms: 50 }";
    let gateway = gateway(&upstream, &["a", "b"], "", limits).await;
    let answer = gateway.client().ask("m", true).await;
    let attempts = "2; up/a timeout skip-target, up/b ok";
    assert_eq!(answer.header("sluice-attempts"), attempts);
}

#[tokio::test]
async fn an_error_that_does_not_end_is_one_all_the_same() {
    let upstream = FakeUpstream::start(|request| {
        let body = request.json();
        match body["model"] == "a" {
            true => Script::Stalled(503, "{\"error\":".into()),
            false => text(&body, "ok".into()),
        }
    })
    .await;
    let limits = "limits: { idle_timeout_ms: 50 }";
    let gateway = gateway(&upstream, &["a", "b"], "", limits).await;
    let answer = gateway.client().ask("m", true).await;
    let attempts = "2; up/a 503 skip-target, up/b ok";
    assert_eq!(answer.header("sluice-attempts"), attempts);
}

#[tokio::test]
async fn what_a_hook_chooses_is_tried_whatever_is_known_of_it() {
    let upstream = upstream().await;
    let config = format!(
        "\
upstreams: {{ up: {{ base_url: \"{}\", api_key: k }} }}
attempts: {{ retries: 0, failures_max: 1 }}
models:
  m:
    targets: [ {{ upstream: up, model: \"500\" }}, {{ upstream: up, model: b }} ]
    fallbacks: [c]
  c: {{ upstream: up }}
hooks: {{ chain: [ {{ hook: stages, grants: {{ kv: true }}, config: {{ choose: [0] }} }} ] }}
",
        upstream.url()
    );
    let gateway = TestGateway::with_hooks(&config, &[("stages", GUEST_STAGES)]).await;
    for _ in 0..2 {
        let answer = gateway.client().ask("m", false).await;
        assert_eq!(answer.header("sluice-attempts"), "1; up/500 500 fail");
    }
}

#[tokio::test]
async fn keys_take_turns_cool_down_and_keep_their_sessions() {
    let upstream = FakeUpstream::start(|request| {
        let key = &request.headers["authorization"];
        match key == "Bearer k-bad" {
            true => error(429, "quota of k-bad is used up"),
            false => text(&request.json(), key.to_str().unwrap_or("").to_owned()),
        }
    })
    .await;
    let config = |keys: &str| {
        format!(
            "upstreams: {{ up: {{ base_url: \"{}\", api_keys: [{keys}] }} }}\nmodels: {{ m: [ {{ upstream: up }}, {{ upstream: up, model: n }} ] }}\n{QUICK}",
            upstream.url()
        )
    };
    let session = [("x-claude-code-session-id", "s-1")];
    let body =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let gateway = TestGateway::start(&config("k-1, k-2, k-3, k-4")).await;
    let client = gateway.client();
    let mut turns = Vec::new();
    for _ in 0..8 {
        turns.push(client.ask("m", false).await.text());
    }
    assert_eq!(turns[..4], turns[4..]);
    turns.sort();
    turns.dedup();
    assert_eq!(
        turns,
        ["Bearer k-1", "Bearer k-2", "Bearer k-3", "Bearer k-4"]
    );
    let mut kept = Vec::new();
    for _ in 0..3 {
        let answer = client
            .post("/v1/messages", &session, body.to_string())
            .await;
        kept.push(answer.text());
    }
    kept.dedup();
    assert_eq!(kept.len(), 1, "{kept:?}");

    let gateway = TestGateway::start(&config("k-bad, k-2")).await;
    for attempts in [
        "2; up#1/m 429 skip-target, up#2/m ok",
        "1; up#2/m ok",
        "1; up#2/m ok",
    ] {
        let answer = gateway.client().ask("m", false).await;
        assert_eq!(answer.text(), "Bearer k-2");
        assert_eq!(answer.header("sluice-attempts"), attempts);
        assert!(!format!("{:?}", answer.headers).contains("k-bad"));
    }
}

#[tokio::test]
async fn the_least_busy_target_is_picked() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let config = format!(
        "\
upstreams: {{ up: {{ base_url: \"{}\" }} }}
models:
  m: {{ targets: [ {{ upstream: up, model: a }}, {{ upstream: up, model: b }} ], pick: least-busy }}
",
        upstream.url()
    );
    let gateway = TestGateway::start(&config).await;
    speaker.say(chunk(&json!({ "content": "half" })));
    let running = gateway.client().begin("m").await;
    let busy = running.headers()["sluice-target"].clone();
    for _ in 0..4 {
        let answer = gateway.client().ask("m", true).await;
        assert_ne!(answer.header("sluice-target"), busy);
    }
    drop(speaker);
}

#[tokio::test]
async fn a_prompt_that_cannot_fit_goes_where_it_can_or_nowhere() {
    let upstream = upstream().await;
    let config = |overflow: &str| {
        format!(
            "\
upstreams: {{ up: {{ base_url: \"{}\" }} }}
models:
  m:
    targets: [ {{ upstream: up, model: small, context_window: 6000 }}, {{ upstream: up, model: larger, context_window: 9000 }} ]
    {overflow}
  huge: {{ upstream: up, model: huge }}
  other: {{ upstream: up, model: other }}
",
            upstream.url()
        )
    };
    let words = |count: usize| {
        json!({ "model": "m", "max_tokens": 5000,
            "messages": [{ "role": "user", "content": "hello ".repeat(count) }] })
    };
    let gateway = TestGateway::start(&config("on_overflow: [huge]")).await;
    let client = gateway.client();
    for (count, target, max_tokens) in [
        (10, "up/small", 5000),
        (1_500, "up/small", 4_343),
        (4_000, "up/larger", 4_593),
        (7_000, "up/huge", 5000),
    ] {
        let answer = client.message(&words(count)).await;
        assert_eq!(answer.header("sluice-target"), target, "{count}");
        let sent = upstream.last_body()["max_tokens"].as_u64().expect("it is");
        assert!(sent.abs_diff(max_tokens) < 20, "{count}: {sent}");
        let is_reported = answer.header("sluice-losses").contains("max_tokens");
        assert_eq!(is_reported, max_tokens < 5000, "{count}");
    }

    let both = "on_overflow: [huge]\n    fallbacks: [other]";
    for (more, target) in [(both, "up/huge"), ("fallbacks: [other]", "up/other")] {
        let gateway = TestGateway::start(&config(more)).await;
        let answer = gateway.client().message(&words(7_000)).await;
        assert_eq!(answer.header("sluice-target"), target);
    }

    let gateway = TestGateway::start(&config("")).await;
    let before = upstream.requests().len();
    let refused = gateway.client().message(&words(7_000)).await;
    assert_eq!(refused.header("sluice-route"), "m");
    let message = said(&refused);
    assert!(
        message.starts_with("400: prompt is too long: 70"),
        "{message}"
    );
    assert!(
        message.contains("tokens > 4904 maximum (estimated"),
        "{message}"
    );
    assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    let client = gateway.client();
    let chat = client
        .post("/v1/chat/completions", &[], words(7_000).to_string())
        .await;
    assert_eq!(
        (chat.status, &chat.json()["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
    assert_eq!(upstream.requests().len(), before);
}

#[tokio::test]
async fn a_call_has_an_end() {
    let limits = "limits: { total_timeout_ms: 300 }";
    let silent = upstream().await;
    let silent_gateway = gateway(&silent, &["never"], "", limits).await;
    for stream in [true, false] {
        let answer = silent_gateway.client().ask("m", stream).await;
        assert_eq!(
            said(&answer),
            "504: the call took longer than 300 ms (`limits.total_timeout_ms`)"
        );
    }
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = TestGateway::start(&upstream.config(limits)).await;
    speaker.say(chunk(&json!({ "content": "half" })));
    let answer = gateway.client().ask("m", true).await;
    let last = answer.events().pop().expect("events");
    assert_eq!(last["error"]["type"], "timeout_error");
    speaker.left().await;
}

/// A gateway whose first target's upstream has these times of its own.
async fn with_times(upstream: &FakeUpstream, model: &str, times: &str) -> TestGateway {
    let url = upstream.url();
    TestGateway::start(&format!(
        "\
upstreams: {{ slow: {{ base_url: \"{url}\", {times} }}, fast: {{ base_url: \"{url}\" }} }}
models: {{ m: [ {{ upstream: slow, model: {model} }}, {{ upstream: fast, model: b }} ] }}
"
    ))
    .await
}

#[tokio::test]
async fn an_upstream_is_waited_for_as_it_says_itself() {
    let taken_over = "2; slow/never timeout skip-target, fast/b ok";
    for times in ["first_byte_timeout_ms: 50", "total_timeout_ms: 50"] {
        for stream in [true, false] {
            let upstream = upstream().await;
            let gateway = with_times(&upstream, "never", times).await;
            let answer = gateway.client().ask("m", stream).await;
            assert_eq!(answer.header("sluice-attempts"), taken_over, "{times}");
        }
    }
    // A whole answer may take longer than the first byte of a stream.
    let upstream = upstream().await;
    let times = "first_byte_timeout_ms: 60000, stream_first_byte_timeout_ms: 50";
    let gateway = with_times(&upstream, "never", times).await;
    let answer = gateway.client().ask("m", true).await;
    assert_eq!(answer.header("sluice-attempts"), taken_over);

    for times in ["idle_timeout_ms: 50", "total_timeout_ms: 50"] {
        let (upstream, _speaker) = FakeUpstream::live().await;
        let gateway = with_times(&upstream, "a", times).await;
        let answer = gateway.client().ask("m", true).await;
        let attempts = "2; slow/a timeout skip-target, fast/b ok";
        assert_eq!(answer.header("sluice-attempts"), attempts, "{times}");
    }
}

#[tokio::test]
async fn a_stream_that_takes_an_upstream_s_whole_time_ends_with_its_name() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = with_times(&upstream, "a", "total_timeout_ms: 300").await;
    speaker.say(chunk(&json!({ "content": "half" })));
    let answer = gateway.client().ask("m", true).await;
    let last = answer.events().pop().expect("events");
    let message = "the upstream took longer than 300 ms (`upstreams.slow.total_timeout_ms`)";
    assert_eq!(last["error"]["message"], message);
    speaker.left().await;
}
