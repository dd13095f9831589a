//! One hook in many languages: `hooks/examples`, each held against the same checks.
//!
//! The one in Rust is built with the tests. The others need toolchains of their
//! own: `hooks/examples/build FOLDER` builds them, and with `SLUICE_LANGUAGES=FOLDER`
//! they are tested; without it they have no tests here that could look passed.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sluice_tests::guests::REDACT_RUST;
use sluice_tests::{FakeUpstream, Script, TestGateway, chunk, finish};

/// What the upstream says, and what the client must read. The last word is held
/// until the answer's end.
const SAID: &str = "Ask <ann.b+c@mail.example.org>. Oder ü@x, ann@b.co";
const READ: &str = "Ask <[email]>. Oder ü@x, [email]";

/// How often it says that when it is asked to go on: what a runtime's garbage
/// collector does not survive shows up by then.
const AT_LENGTH: usize = 2_000;

const SOUND: &str =
    "grants: { prompt: write, headers: [x-redacted-by] }, config: { max_tokens: 4096 }";

#[tokio::test]
async fn rust() {
    conforms("rust", REDACT_RUST).await;
}

#[cfg(languages)]
mod others {
    use sluice_tests::guests::{REDACT_C, REDACT_GO, REDACT_JAVASCRIPT, REDACT_PYTHON};

    use super::conforms;

    #[tokio::test]
    async fn c() {
        conforms("c", REDACT_C).await;
    }

    #[tokio::test]
    async fn go() {
        conforms("go", REDACT_GO).await;
    }

    #[tokio::test]
    async fn javascript() {
        conforms("javascript", REDACT_JAVASCRIPT).await;
    }

    #[tokio::test]
    async fn python() {
        conforms("python", REDACT_PYTHON).await;
    }
}

/// Everything that is asked of the hook, of one gateway: an interpreter's component
/// takes long to compile.
async fn conforms(language: &str, wasm: &str) {
    let upstream = cutting().await;
    let hook = format!("redact-{language}");
    let mut gateway =
        TestGateway::with_hooks(&config(&upstream, &hook, SOUND), &[(&hook, wasm)]).await;
    redacts_alike_however_the_answer_is_cut(&upstream, &gateway).await;
    caps_and_says_so(&upstream, &gateway, language).await;
    lasts(&gateway).await;
    for (entry, wrong) in [
        (
            SOUND.replace("4096", "0"),
            "`config.max_tokens`: 0 is less than the minimum of 1",
        ),
        (
            SOUND.replace("4096", "many"),
            "`config.max_tokens`: \"many\" is not of type \"integer\"",
        ),
        (
            SOUND.replace("max_tokens: 4096", ""),
            "\"max_tokens\" is a required property",
        ),
        (
            SOUND.replace("4096", "4096, more: 1"),
            "('more' was unexpected)",
        ),
        (
            SOUND.replace("prompt: write", "prompt: read"),
            "add to its `grants`: prompt: write",
        ),
        (
            SOUND.replace("x-redacted-by", "x-else"),
            "add to its `grants`: headers: [x-redacted-by]",
        ),
    ] {
        let changed = config(&upstream, &hook, &entry);
        let state = gateway
            .reload(|folder| std::fs::write(folder.join("sluice.yaml"), changed).expect("a write"))
            .await;
        let said = state.refused.concat();
        assert!(said.contains(wrong), "{language}: {entry}: {said}");
        assert_eq!(state.generation, 1, "{language}: {entry}");
    }
}

/// An upstream that says [`SAID`]: streamed, its n-th answer is cut in two after n
/// characters; after the last such cut, into single characters. Asked to "go on" it
/// says that again and again, in small pieces.
async fn cutting() -> FakeUpstream {
    let nth = AtomicUsize::new(0);
    FakeUpstream::start(move |request| {
        let piece = |text: &str| chunk(&json!({ "content": text }));
        if request.json()["messages"][0]["content"] == "go on" {
            let said = format!("{SAID}\n").repeat(AT_LENGTH);
            let words = said.split_inclusive(' ').map(piece);
            return Script::Pieces(words.chain([finish("stop")]).collect());
        }
        if request.json()["stream"] != true {
            return Script::json(
                &json!({ "id": "c", "object": "chat.completion", "model": "m",
                "choices": [{ "index": 0, "finish_reason": "stop",
                    "message": { "role": "assistant", "content": SAID } }],
                "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 } }),
            );
        }
        let pieces = match SAID.char_indices().nth(nth.fetch_add(1, Ordering::Relaxed)) {
            Some((at, _)) => vec![piece(&SAID[..at]), piece(&SAID[at..])],
            None => SAID
                .chars()
                .map(|c| piece(c.encode_utf8(&mut [0; 4])))
                .collect(),
        };
        Script::Pieces(pieces.into_iter().chain([finish("stop")]).collect())
    })
    .await
}

/// A configuration with the hook, and `entry` beside its name. Its time is long:
/// other tests take the machine's.
fn config(upstream: &FakeUpstream, hook: &str, entry: &str) -> String {
    upstream.config(&format!(
        "hooks: {{ chain: [ {{ hook: {hook}, limits: {{ time_ms: 5000 }}, on_failure: refuse, {entry} }} ] }}\n"
    ))
}

async fn redacts_alike_however_the_answer_is_cut(upstream: &FakeUpstream, gateway: &TestGateway) {
    let client = gateway.client();
    assert_eq!(client.ask("m", false).await.text(), READ);
    for cut in 0..=SAID.chars().count() {
        let answer = client.ask("m", true).await;
        assert_eq!(answer.text(), READ, "cut at {cut}");
        let message = answer.message();
        assert_eq!(message["stop_reason"], "end_turn");
        assert_eq!(message["usage"]["output_tokens"], 3);
    }
    assert_eq!(upstream.requests().len(), 2 + SAID.chars().count());
}

async fn caps_and_says_so(upstream: &FakeUpstream, gateway: &TestGateway, language: &str) {
    for (asked, sent) in [(64_000, 4096), (4096, 4096), (100, 100)] {
        let body = json!({ "model": "m", "max_tokens": asked,
            "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(gateway.client().message(&body).await.status, 200);
        assert_eq!(upstream.last_body()["max_tokens"], sent);
        let requests = upstream.requests();
        let headers = &requests.last().expect("it was asked").headers;
        assert_eq!(headers["x-redacted-by"], language);
    }
}

async fn lasts(gateway: &TestGateway) {
    let body = json!({ "model": "m", "max_tokens": 100, "stream": true,
        "messages": [{ "role": "user", "content": "go on" }] });
    let answer = gateway.client().message(&body).await;
    assert_eq!(answer.text(), format!("{READ}\n").repeat(AT_LENGTH));
}
