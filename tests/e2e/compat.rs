//! Released versions of the hook interface: what was built for one goes on to run,
//! and the version stays what it was.
//!
//! `compat/VERSION/every-stage.wasm` is committed and never built again. It has every
//! stage, calls every function that it may import, and gives every verdict.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_tests::guests::GUEST_EVERY_STAGE;
use sluice_tests::{Answer, FakeUpstream, Script, TestGateway, text_stream, until};

/// Released versions, and the digest of each without its comments.
const RELEASED: [(&str, &str); 1] = [(
    "0.1.0",
    "748d9d1897c13143a7bcb529639db7dd62ec40ee664cf5cec2ad0e468f2af3b8",
)];

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compat/0.1.0/every-stage.wasm");

/// The kinds of events in the answer's order, but those of texts.
const SEEN: &str = "[Kind::Start, Kind::BlockStart, Kind::BlockStop, Kind::Usage, Kind::Stop]";

/// An upstream whose models are called what they do: a status, or a text.
async fn upstream() -> FakeUpstream {
    FakeUpstream::start(|request| {
        let body = request.json();
        let model = body["model"].as_str().unwrap_or_default();
        if let Ok(status) = model.parse::<u16>() {
            let error = json!({ "error": { "message": "not now" } });
            return Script::Whole(status, vec![("x-why", "teapot")], error.to_string());
        }
        let text: &'static str = match model {
            "fails" => "so fail now",
            "ends" => "so end now",
            _ => "hello world",
        };
        if body["stream"] == true {
            return Script::Pieces(text_stream(text));
        }
        Script::json(
            &json!({ "id": "c", "object": "chat.completion", "model": model,
            "choices": [{ "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": text } }],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 } }),
        )
    })
    .await
}

/// A gateway with the hook; each model is a route over the upstream's models.
async fn gateway(upstream: &FakeUpstream, wasm: &str) -> TestGateway {
    let routes = [
        ("m", "[first]"),
        ("choose", "[\"500\", second]"),
        ("reroute", "[\"500\"]"),
        ("skip", "[\"500\", second]"),
        ("paid", "[\"402\"]"),
        ("again", "[\"429\", second]"),
        ("conflict", "[\"409\", second]"),
        ("teapot", "[\"418\", second]"),
        ("gone", "[\"410\", second]"),
        ("forbidden", "[\"451\"]"),
        ("missing", "[\"404\"]"),
        ("bad", "[\"400\"]"),
        ("fails", "[fails]"),
        ("ends", "[ends]"),
    ];
    let same = [
        "reply",
        "message",
        "refuse",
        "reply-routed",
        "refuse-routed",
        "reply-sent",
        "refuse-sent",
        "refuse-answer",
        "unwatched",
    ];
    let routes = routes.into_iter().chain(same.map(|name| (name, "[first]")));
    let routes: String = routes
        .map(|(name, models)| {
            let targets = models.trim_matches(['[', ']']).split(", ");
            let targets: Vec<_> = targets
                .map(|model| format!("{{ upstream: up, model: {model} }}"))
                .collect();
            format!("  {name}: [ {} ]\n", targets.join(", "))
        })
        .collect();
    let config = format!(
        "upstreams:\n  up: {{ base_url: \"{}\", api_key: sk-x }}\nmodels:\n{routes}hooks: {{ chain: [ {{ hook: every-stage, on_failure: refuse, config: {{ word: x }},
  limits: {{ time_ms: 5000 }},
  grants: {{ kv: true, prompt: write, headers: [x-team, x-trace, x-gone, x-why] }} }} ] }}\n",
        upstream.url()
    );
    TestGateway::with_hooks(&config, &[("every-stage", wasm)]).await
}

async fn ask(gateway: &TestGateway, model: &str, stream: bool) -> Answer {
    let body = json!({ "model": model, "max_tokens": 100, "stream": stream, "temperature": 0.5,
        "messages": [{ "role": "user", "content": "hi" }] });
    let headers = [("x-team", "blue"), ("x-gone", "x")];
    let client = gateway.client();
    client
        .post("/v1/messages", &headers, body.to_string())
        .await
}

/// A text, or an error's status and message.
fn said(answer: &Answer) -> String {
    let error = |error: &Value| error["error"]["message"].as_str().unwrap_or("").to_owned();
    if answer.status != 200 {
        return format!("{}: {}", answer.status, error(&answer.json()));
    }
    if answer
        .header("content-type")
        .starts_with("text/event-stream")
        && let Some(event) = answer
            .events()
            .iter()
            .find(|event| event["type"] == "error")
    {
        return format!("error: {}", error(event));
    }
    answer.text()
}

/// Every stage, and every verdict of each, by the model that is asked for.
async fn every_stage_does_what_it_did(wasm: &str) {
    let upstream = upstream().await;
    let gateway = gateway(&upstream, wasm).await;
    let mut otherwise = Vec::new();
    let shouted = format!("HELLO WORLD {SEEN} Ending::Complete");
    for stream in [true, false] {
        let whole = if stream { "" } else { " whole" };
        let answered = format!("{shouted}{whole}");
        for (model, expected) in [
            ("m", &*answered),
            ("reply", "a text"),
            ("message", "a whole message"),
            ("refuse", "451: refused"),
            ("choose", &answered),
            ("reroute", &answered),
            ("reply-routed", "no target"),
            ("refuse-routed", "403: refused"),
            ("skip", &answered),
            ("reply-sent", "not sent"),
            ("refuse-sent", "403: refused"),
            ("again", &answered),
            ("conflict", &answered),
            ("teapot", &answered),
            ("forbidden", "451: refused"),
            ("unwatched", &format!("hello world{whole}")),
            ("paid", "paid"),
            ("gone", &answered),
            ("missing", "404: refused"),
            ("bad", "400: 400 upstream fail invalid_request_error"),
        ] {
            let got = said(&ask(&gateway, model, stream).await);
            if got != expected {
                otherwise.push(format!("{model}, stream {stream}: {got}, not {expected}"));
            }
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

#[tokio::test]
async fn a_component_of_0_1_0_runs_through_every_stage() {
    every_stage_does_what_it_did(COMMITTED).await;
}

/// What is built today from the same source does the same.
#[tokio::test]
async fn the_committed_component_is_its_source() {
    every_stage_does_what_it_did(GUEST_EVERY_STAGE).await;
}

#[tokio::test]
async fn streams_and_whole_answers_end_where_a_watcher_says() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream, COMMITTED).await;
    assert_eq!(said(&ask(&gateway, "fails", true).await), "error: refused");
    assert_eq!(ask(&gateway, "fails", false).await.status, 403);
    assert_eq!(said(&ask(&gateway, "ends", true).await), "SO ");
    let refused = ask(&gateway, "refuse-answer", false).await;
    assert_eq!(said(&refused), "403: refused");
}

#[tokio::test]
async fn what_it_reads_and_changes_is_what_it_was() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream, COMMITTED).await;
    ask(&gateway, "choose", true).await;
    let sent = upstream.requests().pop().expect("it was asked");
    let trace = "blue Some(1) anthropic-messages; 500,second; up second chat-completions 1";
    assert_eq!(sent.headers["x-trace"], trace);
    assert!(!sent.headers.contains_key("x-gone"));
    assert_eq!(sent.json()["user"], "every");
    assert_eq!(sent.json()["temperature"], Value::Null);

    let client = gateway.client();
    let count = |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        let client = client.clone();
        async move {
            let path = "/v1/messages/count_tokens";
            client.post(path, &[], body.to_string()).await
        }
    };
    assert_eq!(count("m").await.json(), json!({ "input_tokens": 77 }));
    assert_eq!(count("refuse").await.status, 403);
    let list = client.request("GET", "/v1/models", &[]).await.json();
    let names = list["data"].as_array().expect("a list").iter();
    assert!(names.map(|it| &it["id"]).any(|id| id == "one-more"));

    // Nobody waits for `on-complete`, so the test asks until it has run.
    let text = until("it is counted", async || {
        let text = client.metrics().await;
        text.contains("sluice_hook_calls{").then_some(text)
    })
    .await;
    for label in ["store=\"keeps\"", "nth=\"1\"", "outcome=\"answered\""] {
        assert!(text.contains(label), "{label}: {text}");
    }
}

// === versions ===

/// The committed component as if it were built for another version.
fn built_for(version: &str, folder: &Path) -> String {
    let bytes = std::fs::read(COMMITTED).expect("it is committed");
    written(version, bytes, folder)
}

fn written(version: &str, mut bytes: Vec<u8>, folder: &Path) -> String {
    assert_eq!(version.len(), "0.1.0".len(), "lengths precede names");
    let (package, mut at) = (b"sluice:hooks/", 0);
    while let Some(found) = bytes[at..]
        .windows(package.len())
        .position(|it| it == package)
    {
        at += found + package.len();
        let name = bytes[at..]
            .iter()
            .take_while(|it| it.is_ascii_lowercase() || **it == b'-');
        let from = at + name.count() + 1;
        if bytes[from - 1..].starts_with(b"@0.1.0") {
            bytes[from..from + version.len()].copy_from_slice(version.as_bytes());
        }
    }
    let file = folder.join(format!("{version}.wasm"));
    std::fs::write(&file, bytes).expect("the folder takes a file");
    file.display().to_string()
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let wasm = built_for("0.2.0", folder.path());
    let upstream = upstream().await;
    let config = upstream.config("hooks: { chain: [ hook ] }\n");
    let refused = TestGateway::try_start(&config, &[("hook", &wasm)]).await;
    let said = refused.expect_err("it is unknown").to_string();
    let expected = "it was built for `sluice:hooks@0.2.0` and this gateway speaks 0.1.0; \
        build it with a matching SDK, or update the gateway";
    assert!(said.contains(expected), "{said}");
}

/// A later version that only adds is no obstacle while nothing that it added is used.
#[tokio::test]
async fn a_later_addition_is_no_obstacle_to_what_was_there() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    every_stage_does_what_it_did(&built_for("0.1.7", folder.path())).await;
}

#[tokio::test]
async fn a_stage_that_came_later_is_refused_rather_than_never_called() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut bytes = std::fs::read(COMMITTED).expect("it is committed");
    let (known, later) = (b"on-count-tokens@", b"on-count-things@");
    for at in 0..bytes.len() - known.len() {
        if bytes[at..].starts_with(known) {
            bytes[at..at + later.len()].copy_from_slice(later);
        }
    }
    let wasm = written("0.1.7", bytes, folder.path());
    let upstream = upstream().await;
    let config = upstream.config("hooks: { chain: [ hook ] }\n");
    let refused = TestGateway::try_start(&config, &[("hook", &wasm)]).await;
    let said = refused.expect_err("it is unknown").to_string();
    let expected = "it has `sluice:hooks/on-count-things@0.1.7`, which this gateway does not know: \
        it speaks 0.1.0; update the gateway";
    assert!(said.contains(expected), "{said}");
}

/// Whatever is under `wit/` is released, and is what it was when it was released.
#[test]
fn a_released_version_stays_what_it_was() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let entries = std::fs::read_dir(&wit).expect("a folder").flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    for folder in folders {
        let version = folder.file_name().display().to_string();
        let released = RELEASED.iter().find(|(known, _)| *known == version);
        let (_, digest) = released.unwrap_or_else(|| panic!("wit/{version} has no digest here"));
        assert_eq!(
            digest_of(&folder.path()),
            **digest,
            "wit/{version} is released, and its types have changed: an addition is a new \
             version in a folder of its own (wit/CHANGELOG.md)"
        );
    }
}

/// The digest of an interface: its words, without comments, line by line.
fn digest_of(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    let mut words = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).expect("WIT is text");
        let lines = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""));
        words.extend(lines.flat_map(str::split_whitespace).map(str::to_owned));
    }
    let digest = Sha256::digest(words.join(" "));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
