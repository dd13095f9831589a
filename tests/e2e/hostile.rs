//! Hooks that attack: each misdeed ends within its limit, costs what the policy says,
//! gives back what it took, and disturbs nobody meanwhile.

use serde_json::{Value, json};
use sluice_tests::guests::GUEST_MISBEHAVE;
use sluice_tests::{Answer, FakeUpstream, TestGateway};

/// A misdeed, and what the failure must say of it.
struct Misdeed {
    act: &'static str,
    stages: &'static [&'static str],
    said: &'static str,
}

const ALL: &[&str] = &[
    "on-request",
    "on-upstream-request",
    "on-response",
    "on-stream",
];
const WITH_DOCUMENT: &[&str] = &["on-request", "on-upstream-request", "on-response"];
const ONE: &[&str] = &["on-request"];
const STREAM: &[&str] = &["on-stream"];

const fn row(act: &'static str, stages: &'static [&'static str], said: &'static str) -> Misdeed {
    Misdeed { act, stages, said }
}

/// Long enough to show that it ends by its limit, and by nothing else.
const ENDLESS_MS: u64 = 60;

/// Endless ones end at their deadline.
const ENDLESS: &str = "exceeded 60 ms";

const MISDEEDS: [Misdeed; 25] = [
    row("loop", ALL, ENDLESS),
    row("sleep", ALL, ENDLESS),
    row("ask-forever", WITH_DOCUMENT, ENDLESS),
    row("log-flood", ONE, ENDLESS),
    row("print-flood", ONE, ENDLESS),
    row("count-flood", ONE, ENDLESS),
    row("randomness-flood", ONE, ENDLESS),
    row("trap", ALL, "trapped"),
    row("exit", ALL, "trapped"),
    row("recurse", ALL, "trapped"),
    row("allocate", ALL, "trapped"),
    row("much-randomness", ONE, "trapped"),
    row("many-timers", ONE, "trapped"),
    row("half-edit-then-trap", WITH_DOCUMENT, "trapped"),
    row("fail", ALL, "reported a failure (as told)"),
    row("bad-pointer", WITH_DOCUMENT, "no JSON pointer"),
    row("flood", WITH_DOCUMENT, "8388608"),
    row("many-edits", WITH_DOCUMENT, "8388608"),
    row("many-notes", ONE, "at most 64 notes"),
    row("many-values", ONE, "full"),
    row("many-keys", ONE, "full"),
    row("break-out", ONE, "every way is shut"),
    row("emit-flood", STREAM, "emitted more than 8388608 bytes"),
    row("emit-nonsense", STREAM, "broke the interface"),
    row("swallow", STREAM, "more than 5 bytes of an answer"),
];

/// An upstream that says "one two three", and a gateway before it with the hook in its
/// chain twice: on the model `skip` and on `refuse`, by policy; `plain` has none.
async fn attacked(act: &str, stage: &str, endless: bool) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::saying("one two three").await;
    // The others have time in plenty, on a busy machine too.
    let time_ms = if endless { ENDLESS_MS } else { 20_000 };
    let entry = |policy: &str| {
        format!(
            "{{ hook: {policy}, match: {{ models: [{policy}] }}, on_failure: {policy}, grants: {{ prompt: write, kv: true }},
      limits: {{ time_ms: {time_ms}, instances_max: 1, wait_ms: 0, held_bytes_max: 5 }},
      config: {} }}",
            json!({ "stage": stage, "act": act })
        )
    };
    let config = format!(
        "upstreams: {{ up: {{ base_url: \"{}\" }} }}
models: {{ plain: {{ upstream: up }}, skip: {{ upstream: up }}, refuse: {{ upstream: up }} }}
hooks:
  kv: {{ store: memory, bytes_max: 1048576 }}
  chain: [ {}, {} ]
",
        upstream.url(),
        entry("skip"),
        entry("refuse")
    );
    let hooks = [("skip", GUEST_MISBEHAVE), ("refuse", GUEST_MISBEHAVE)];
    let gateway = TestGateway::with_hooks(&config, &hooks).await;
    (upstream, gateway)
}

/// Make a call while others pass the gateway, one after the other; none fails.
async fn amid_others(gateway: &TestGateway, call: impl Future<Output = Answer>) -> Answer {
    let client = gateway.client();
    let others = async {
        for n in 0u64.. {
            let answer = client.ask("plain", n % 2 == 0).await;
            assert_eq!(answer.text(), "one two three");
        }
    };
    tokio::select! {
        answer = call => answer,
        () = others => unreachable!("they go on"),
    }
}

/// What the failure must and must not tell.
#[track_caller]
fn check_said(row: &Misdeed, stage: &str, hook: &str, said: &str) {
    let Misdeed {
        act, said: words, ..
    } = row;
    for words in [
        format!("hook `{hook}`"),
        format!("in {stage}"),
        (*words).to_owned(),
    ] {
        assert!(said.contains(&words), "{act}: no `{words}` in `{said}`");
    }
    // What a hook wrote before its end is the operator's to read.
    assert!(*act == "fail" || !said.contains("as told"), "{act}: {said}");
}

async fn check(row: &Misdeed, stage: &str) {
    let act = row.act;
    let (upstream, gateway) = attacked(act, stage, row.said == ENDLESS).await;
    let client = gateway.client();
    // Twice: there is one instance at most, so that one which stayed away is missed.
    for _ in 0..2 {
        let skipped = amid_others(&gateway, client.ask("skip", false)).await;
        assert_eq!(skipped.text(), "one two three", "{act} in {stage}");
        check_said(row, stage, "skip", skipped.header("sluice-hook-failures"));
        let sent = upstream.requests();
        let left = sent.iter().any(|sent| {
            let body = sent.json();
            body.get("temperature").is_some() || body.to_string().contains("flood")
        });
        assert!(!left, "{act} in {stage} left half an edit");

        let refused = amid_others(&gateway, client.ask("refuse", false)).await;
        assert_eq!(refused.status, 500, "{act} in {stage}");
        let said = refused.json()["error"]["message"].clone();
        check_said(row, stage, "refuse", said.as_str().unwrap_or(""));
    }
    let books = client.request("GET", "/admin/hooks", &[]).await.json();
    for hook in books.as_array().expect("two hooks") {
        let memory = hook["memory_bytes"].as_u64();
        assert!(memory <= Some(64 << 20), "{act} in {stage}: {hook}");
        let runs = hook["stages"].as_array().expect("its stages");
        let failed = |run: &Value| {
            ["traps", "timeouts", "other_failures"].map(|of| run[of].as_u64().unwrap_or(0))
        };
        let failures: u64 = runs.iter().flat_map(failed).sum();
        assert_eq!(failures, 2, "{act} in {stage}: {hook}");
    }
    assert_eq!(client.ask("plain", true).await.text(), "one two three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_misdeed_ends_within_its_limit() {
    for row in &MISDEEDS {
        for stage in row.stages {
            check(row, stage).await;
        }
    }
}

/// A hook whose table grows without end, which no compiler at hand would write. The
/// inner component gives the types of `on-request` the names that they must have.
const GROWING_TABLE: &str = r#"(component
  (core module $code
    (memory (export "memory") 1)
    (table $table 1 funcref)
    (func (export "handle") (result i32)
      (loop $again
        (drop (table.grow $table (ref.null func) (i32.const 1000)))
        (br $again))
      unreachable))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (type $refusal (record (field "status" u16) (field "code" string)
    (field "message" string) (field "retry-after-ms" (option u32))))
  (type $reply (variant (case "text" string) (case "message" string)))
  (type $verdict (variant (case "next") (case "reply" $reply) (case "refuse" $refusal)))
  (func $handle (result (result $verdict (error string)))
    (canon lift (core func $code "handle") (memory $memory)))
  (component $stage
    (type $refusal (record (field "status" u16) (field "code" string)
      (field "message" string) (field "retry-after-ms" (option u32))))
    (import "in-refusal" (type $in-refusal (eq $refusal)))
    (type $reply (variant (case "text" string) (case "message" string)))
    (import "in-reply" (type $in-reply (eq $reply)))
    (type $verdict
      (variant (case "next") (case "reply" $in-reply) (case "refuse" $in-refusal)))
    (import "in-verdict" (type $in-verdict (eq $verdict)))
    (import "in-handle" (func $handle (result (result $in-verdict (error string)))))
    (export $out-refusal "refusal" (type $refusal))
    (export $out-reply "reply" (type $reply))
    (type $named
      (variant (case "next") (case "reply" $out-reply) (case "refuse" $out-refusal)))
    (export $out-verdict "verdict" (type $named))
    (export "handle" (func $handle) (func (result (result $out-verdict (error string))))))
  (instance $stage (instantiate $stage
    (with "in-refusal" (type $refusal)) (with "in-reply" (type $reply))
    (with "in-verdict" (type $verdict)) (with "in-handle" (func $handle))))
  (export "sluice:hooks/on-request@0.1.0" (instance $stage)))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_grows_no_further_than_it_may() {
    let wasm = wat::parse_str(GROWING_TABLE).expect("a component");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("grow.wasm");
    std::fs::write(&file, wasm).expect("it takes a file");
    let upstream = FakeUpstream::saying("one two three").await;
    // What traps in its trial call is not let in.
    let config = upstream.config(
        "  plain: { upstream: up }
hooks: { chain: [ { hook: grow, trial: false, match: { models: [m] }, limits: { time_ms: 20000 } } ] }\n",
    );
    let hooks = [("grow", file.to_str().expect("a path of ours"))];
    let gateway = TestGateway::with_hooks(&config, &hooks).await;
    for _ in 0..2 {
        let refused = amid_others(&gateway, gateway.client().ask("m", false)).await;
        let said = refused.json()["error"]["message"].to_string();
        assert!(said.contains("hook `grow` trapped"), "{said}");
    }
}

#[tokio::test]
async fn unlawful_events_come_out_lawful() {
    for (act, expected) in [("overlap", "a"), ("go-on-after-stop", "one two three")] {
        let (_, gateway) = attacked(act, "on-stream", false).await;
        for stream in [true, false] {
            // The client looks whether blocks come in order, one after the other.
            let answer = gateway.client().ask("skip", stream).await;
            assert!(answer.text().contains(expected), "{act}: {}", answer.text());
            assert_eq!(answer.message()["stop_reason"], "end_turn", "{act}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_message_is_an_error() {
    let (_, gateway) = attacked("bad-message", "on-request", false).await;
    for stream in [true, false] {
        let answer = gateway.client().ask("skip", stream).await;
        assert_eq!(answer.status, 500);
        let said = answer.json()["error"]["message"].to_string();
        assert!(said.contains("no message"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_start_leaves_the_running_chain_alone() {
    let upstream = FakeUpstream::saying("one two three").await;
    let chain = |act: &str| {
        upstream.config(&format!(
            "hooks: {{ chain: [ {{ hook: cap-max-tokens, config: {{ max: 7 }} }}, {{ hook: it, config: {{ act: {act} }} }} ] }}\n"
        ))
    };
    let mut gateway = TestGateway::with_hooks(&chain("none"), &[("it", GUEST_MISBEHAVE)]).await;
    let client = gateway.client();
    for (act, said) in [
        (
            "slow-start",
            "hook `it` does not start: it exceeded 2000 ms",
        ),
        (
            "sleepy-start",
            "hook `it` does not start: it exceeded 2000 ms",
        ),
        ("broken-start", "as told"),
    ] {
        let config = chain(act);
        let reload = gateway.reload(|folder| {
            std::fs::write(folder.join("sluice.yaml"), config).expect("it takes a file");
        });
        let others = async {
            loop {
                assert_eq!(client.ask("m", true).await.text(), "one two three");
            }
        };
        let state = tokio::select! {
            state = reload => state,
            () = others => unreachable!("they go on"),
        };
        assert_eq!(state.generation, 1, "{act}");
        let refused = state.refused.concat();
        assert!(refused.contains(said), "{act}: {refused}");
        client.ask("m", false).await;
        assert_eq!(upstream.last_body()["max_tokens"], 7, "{act}");
    }
}
