//! Hooks in the chain: what they can do, and what becomes of those that fail.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::guests::{
    GUEST_MISBEHAVE, GUEST_RESPONSE_ONLY, GUEST_SCRIPTED, GUEST_STAGES, GUEST_TUESDAY,
};
use sluice_tests::{Answer, FakeUpstream, TestGateway};

/// A chain of one entry.
fn chain(hook: &str, settings: &str, config: &Value) -> String {
    format!("hooks: {{ chain: [ {{ hook: {hook}, {settings} config: {config} }} ] }}\n")
}

/// An upstream, and a gateway before it with `scripted` in the chain.
async fn scripted(settings: &str, config: &Value) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::saying("one two three").await;
    let config = upstream.config(&chain("scripted", settings, config));
    let gateway = TestGateway::with_hooks(&config, &[("scripted", GUEST_SCRIPTED)]).await;
    (upstream, gateway)
}

async fn both_ways(gateway: &TestGateway) -> [Answer; 2] {
    [
        gateway.client().ask("m", true).await,
        gateway.client().ask("m", false).await,
    ]
}

// === the bundled hooks ===

#[tokio::test]
async fn bundled_hooks_cap_drop_force_and_count() {
    let upstream = FakeUpstream::start(|request| {
        assert_eq!(request.json()["stream"], true, "forced");
        // No usage, as many upstreams do.
        let stop = json!({ "choices": [{ "delta": { "content": "four letters" }, "finish_reason": "stop" }] });
        sluice_tests::Script::Pieces(vec![format!("data: {stop}\n\ndata: [DONE]\n\n")])
    })
    .await;
    let gateway = TestGateway::start(&upstream.config(
        "hooks:
  chain:
    - { hook: drop-params, config: { params: [top_p, /stream_options] } }
    - { hook: cap-max-tokens, config: { max: 4096, models: { up-*: 100 } } }
    - { hook: force-stream, config: {} }
    - inject-usage
",
    ))
    .await;
    for stream in [true, false] {
        let answer = gateway
            .client()
            .message(
                &json!({ "model": "m", "max_tokens": 64000, "top_p": 0.5, "stream": stream,
                "messages": [{ "role": "user", "content": "hi" }] }),
            )
            .await;
        assert_eq!(answer.text(), "four letters");
        let usage = answer.message()["usage"].clone();
        assert_eq!(
            (
                usage["output_tokens"].as_u64(),
                usage["estimated"].as_bool()
            ),
            (Some(3), Some(true))
        );
        let sent = upstream.last_body();
        assert_eq!(
            (sent["max_tokens"].as_u64(), sent.get("top_p")),
            (Some(100), None)
        );
    }
}

#[tokio::test]
async fn a_bundled_hook_is_switched_off_or_replaced() {
    let upstream = FakeUpstream::saying("ok").await;
    let off = upstream.config(
        "hooks: { chain: [ { hook: cap-max-tokens, enabled: false, config: { max: 1 } } ] }\n",
    );
    let gateway = TestGateway::start(&off).await;
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 1000);

    let on = upstream.config(&chain("cap-max-tokens", "", &json!({ "max": 4 })));
    let replaced = TestGateway::with_hooks(
        &on,
        &[("cap-max-tokens", sluice_tests::guests::GUEST_CAP_TO_SEVEN)],
    )
    .await;
    replaced.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 7);
}

// === what a hook can do ===

#[tokio::test]
async fn requests_are_edited_in_both_vocabularies() {
    let (upstream, gateway) = scripted(
        "",
        &json!({ "stage": "on-request", "set": { "/max_tokens": 5 } }),
    )
    .await;
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 5);

    let edit = json!({ "stage": "on-upstream-request", "set": { "/vendor": { "x": [1] } }, "remove": ["/max_tokens"] });
    let (upstream, gateway) = scripted("", &edit).await;
    gateway.client().ask("m", false).await;
    let sent = upstream.last_body();
    assert_eq!(
        (&sent["vendor"], sent.get("max_tokens")),
        (&json!({ "x": [1] }), None)
    );
}

#[tokio::test]
async fn a_hook_renames_the_model() {
    let edit = json!({ "stage": "on-request", "set": { "/model": "m" } });
    let (upstream, gateway) = scripted("", &edit).await;
    let answer = gateway.client().ask("anything", false).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(upstream.last_body()["model"], "up-m");
}

#[tokio::test]
async fn a_hook_answers_or_refuses_in_the_models_place() {
    let (upstream, gateway) = scripted(
        "",
        &json!({ "stage": "on-request", "reply": "from the cache" }),
    )
    .await;
    for answer in both_ways(&gateway).await {
        assert_eq!(answer.text(), "from the cache");
        assert_eq!(answer.message()["stop_reason"], "end_turn");
    }
    assert!(upstream.requests().is_empty());

    let (upstream, gateway) = scripted(
        "",
        &json!({ "stage": "on-upstream-request", "refuse": 451 }),
    )
    .await;
    for answer in both_ways(&gateway).await {
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, error["message"].as_str()),
            (451, Some("refused as scripted"))
        );
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_hook_passes_over_a_target() {
    let skip = json!({ "stage": "on-upstream-request", "skip": "not today" });
    let second = FakeUpstream::saying("second").await;
    let first = FakeUpstream::saying("first").await;
    let gateway = TestGateway::with_hooks(
        &format!(
            "upstreams: {{ a: {{ base_url: \"{}\" }}, b: {{ base_url: \"{}\" }} }}\nmodels: {{ m: [ {{ upstream: a }}, {{ upstream: b }} ] }}\n{}",
            first.url(),
            second.url(),
            chain("scripted", "match: { upstreams: [a] },", &skip)
        ),
        &[("scripted", GUEST_SCRIPTED)],
    )
    .await;
    assert_eq!(gateway.client().ask("m", false).await.text(), "second");
    assert!(first.requests().is_empty());
}

#[tokio::test]
async fn headers_and_prompts_need_their_grants() {
    let set = json!({ "stage": "on-upstream-request", "set_header": { "x-team": "blue" } });
    let (upstream, gateway) = scripted("grants: { headers: [X-Team] },", &set).await;
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.requests()[0].headers["x-team"], "blue");
    let (_, gateway) = scripted("", &set).await;
    let refused = gateway.client().ask("m", false).await;
    let said = refused.json()["error"]["message"].to_string();
    assert!(
        refused.status == 500 && said.contains("needs the grant `headers: [x-team]`"),
        "{said}"
    );

    let set = json!({ "stage": "on-request", "set": { "/messages/0/content": "rewritten" } });
    let (upstream, gateway) = scripted("grants: { prompt: write },", &set).await;
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["messages"][0]["content"], "rewritten");
    let (_, gateway) = scripted("grants: { prompt: read },", &set).await;
    let said = gateway.client().ask("m", false).await.json()["error"]["message"].to_string();
    assert!(said.contains("needs the grant `prompt: write`"), "{said}");
}

#[tokio::test]
async fn streams_are_rewritten_held_and_ended_alike_streamed_or_not() {
    for (act, text, stop) in [
        ("uppercase", "ONE TWO THREE", "end_turn"),
        ("hold", "one two three", "end_turn"),
        ("hold-all", "one two three", "end_turn"),
        ("end", "", "end_turn"),
    ] {
        let (_, gateway) = scripted("grants: { prompt: write },", &json!({ "stream": act })).await;
        for answer in both_ways(&gateway).await {
            assert_eq!(answer.text(), text, "{act}");
            assert_eq!(answer.message()["stop_reason"], stop, "{act}");
        }
    }
    let (_, gateway) = scripted(
        "grants: { prompt: write },",
        &json!({ "stream": "end-with-error" }),
    )
    .await;
    let [streamed, whole] = both_ways(&gateway).await;
    for answer in [&streamed, &whole] {
        assert_eq!(answer.status, 403, "{:?}", answer.body);
        assert!(
            answer.json()["error"]["message"]
                .to_string()
                .contains("refused as scripted")
        );
    }
}

#[tokio::test]
async fn what_a_watcher_refuses_is_final() {
    let upstream = FakeUpstream::saying("one two three").await;
    let config = upstream.config(
        "hooks:
  chain:
    - { hook: scripted, grants: { prompt: write }, config: { stream: end-with-error } }
    - { hook: stages, grants: { kv: true }, config: { reword: so, on_error: reply } }
",
    );
    let hooks = [("scripted", GUEST_SCRIPTED), ("stages", GUEST_STAGES)];
    let gateway = TestGateway::with_hooks(&config, &hooks).await;
    for answer in both_ways(&gateway).await {
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["message"]),
            (403, &json!("refused as scripted"))
        );
    }
    assert_eq!(upstream.requests().len(), 2, "no target is tried again");
}

#[tokio::test]
async fn without_the_grant_a_watcher_sees_no_text() {
    let (_, gateway) = scripted("", &json!({ "stream": "uppercase" })).await;
    for answer in both_ways(&gateway).await {
        assert_eq!(answer.text(), "one two three");
    }
}

#[tokio::test]
async fn a_hook_on_whole_answers_holds_streams_only_by_leave() {
    let upstream = FakeUpstream::saying("one two three").await;
    let hooks = [("response-only", GUEST_RESPONSE_ONLY)];
    let grants = "grants: { prompt: write },";
    let without = upstream.config(&chain("response-only", grants, &json!({})));
    let refused = TestGateway::try_start(&without, &hooks)
        .await
        .expect_err("streams would pass it by")
        .to_string();
    assert!(refused.contains("hold_streams: true"), "{refused}");

    let with = upstream.config(&chain(
        "response-only",
        &format!("hold_streams: true, {grants}"),
        &json!({ "text": "other" }),
    ));
    let gateway = TestGateway::with_hooks(&with, &hooks).await;
    for answer in both_ways(&gateway).await {
        assert_eq!(answer.text(), "other");
    }
}

#[tokio::test]
async fn answers_pass_the_chain_in_reverse() {
    let upstream = FakeUpstream::saying("ok").await;
    let entry = |name: &str, text: &str| {
        format!(
            "{{ hook: {name}, hold_streams: true, grants: {{ prompt: write }}, config: {{ text: {text} }} }}"
        )
    };
    let chain = format!(
        "hooks: {{ chain: [ {}, {} ] }}\n",
        entry("a", "first"),
        entry("b", "second")
    );
    let hooks = [("a", GUEST_RESPONSE_ONLY), ("b", GUEST_RESPONSE_ONLY)];
    let gateway = TestGateway::with_hooks(&upstream.config(&chain), &hooks).await;
    // The chain's first hook has the last word.
    assert_eq!(gateway.client().ask("m", false).await.text(), "first");
}

// === hooks that fail ===

/// Each way of failing, and what the message must say of it.
const FAILURES: [(&str, &str); 8] = [
    ("loop", "exceeded 60 ms"),
    ("trap", "trapped"),
    ("recurse", "trapped"),
    ("allocate", "trapped"),
    ("half-edit-then-trap", "trapped"),
    ("fail", "reported a failure (as told)"),
    ("bad-pointer", "no JSON pointer"),
    ("flood", "8388608"),
];

/// A hook that does `act` at `stage` under `policy`, before a sound upstream.
async fn misbehaving(act: &str, stage: &str, policy: &str) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::saying("one two three").await;
    // Only a loop has to run out of time; the others have it in plenty, on a busy machine too.
    let time_ms = if act == "loop" { 60 } else { 20_000 };
    let settings = format!(
        "on_failure: {policy}, limits: {{ time_ms: {time_ms} }}, grants: {{ prompt: write }},"
    );
    let config = upstream.config(&chain(
        "misbehave",
        &settings,
        &json!({ "stage": stage, "act": act }),
    ));
    let gateway = TestGateway::with_hooks(&config, &[("misbehave", GUEST_MISBEHAVE)]).await;
    (upstream, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_skip_calls_go_on() {
    for stage in [
        "on-request",
        "on-upstream-request",
        "on-response",
        "on-stream",
    ] {
        for (act, said) in FAILURES {
            if stage == "on-stream"
                && ["half-edit-then-trap", "bad-pointer", "flood"].contains(&act)
            {
                continue; // A stream has no document.
            }
            let (upstream, gateway) = misbehaving(act, stage, "skip").await;
            for answer in both_ways(&gateway).await {
                assert_eq!(answer.text(), "one two three", "{act} in {stage}");
                let sent = upstream.last_body();
                assert_eq!(
                    (sent.get("temperature"), sent.get("flood")),
                    (None, None),
                    "{act} left half an edit"
                );
                // A stream's headers are gone by the time its watcher fails.
                if stage.ends_with("request") {
                    let header = answer.header("sluice-hook-failures");
                    assert!(
                        header.contains("misbehave") && header.contains(said),
                        "{act} in {stage}: {header}"
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_refuse_calls_are_refused_in_time() {
    for stage in [
        "on-request",
        "on-upstream-request",
        "on-response",
        "on-stream",
    ] {
        for (act, said) in FAILURES {
            if stage == "on-stream"
                && ["half-edit-then-trap", "bad-pointer", "flood"].contains(&act)
            {
                continue;
            }
            let (_, gateway) = misbehaving(act, stage, "refuse").await;
            let began = Instant::now();
            let answer = gateway.client().ask("m", false).await;
            // Generous: a machine may be slow, an endless loop is slower.
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{act} in {stage}"
            );
            assert_eq!(answer.status, 500, "{act} in {stage}: {:?}", answer.body);
            let message = answer.json()["error"]["message"].to_string();
            assert!(
                message.contains("hook `misbehave`")
                    && message.contains(stage)
                    && message.contains(said),
                "{act} in {stage}: {message}"
            );
        }
    }
}

#[tokio::test]
async fn a_loop_stalls_nobody_else() {
    // One thread for everything: a hook that kept it would stop the other call.
    let (_, gateway) = misbehaving("loop", "on-request", "refuse").await;
    let probe = async {
        let mut probes = 0;
        while probes < 20 {
            assert_eq!(
                gateway
                    .client()
                    .request("GET", "/healthz", &[])
                    .await
                    .status,
                200
            );
            probes += 1;
        }
    };
    let client = gateway.client();
    let (looping, ()) = tokio::join!(client.ask("m", false), probe);
    assert_eq!(looping.status, 500);
}

#[tokio::test]
async fn a_watcher_cannot_write_what_it_may_not() {
    let upstream = FakeUpstream::saying("one").await;
    let config = upstream.config(&chain(
        "misbehave",
        "",
        &json!({ "stage": "on-stream", "act": "emit-text" }),
    ));
    let gateway = TestGateway::with_hooks(&config, &[("misbehave", GUEST_MISBEHAVE)]).await;
    for answer in both_ways(&gateway).await {
        assert_eq!(answer.text(), "one");
    }
}

#[tokio::test]
async fn wrong_chains_do_not_start() {
    let upstream = FakeUpstream::saying("one").await;
    let not_wasm = upstream.config("hooks: { chain: [broken] }\n");
    let folder = tempfile::TempDir::new().expect("a folder");
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "no wasm").expect("a file");
    let broken = broken.to_str().expect("a plain path");
    for (config, hooks, said) in [
        (
            upstream.config("hooks: { chain: [cap-max-token] }\n"),
            vec![],
            "did you mean `cap-max-tokens`?",
        ),
        (
            not_wasm,
            vec![("broken", broken)],
            "no WebAssembly component",
        ),
        (
            upstream.config(&chain("cap-max-tokens", "", &json!({ "max": 0 }))),
            vec![],
            "`config.max`: 0 is less than the minimum of 1",
        ),
        (
            upstream.config(&chain("cap-max-tokens", "", &json!({ "maximum": 1 }))),
            vec![],
            "('maximum' was unexpected)",
        ),
        (
            upstream.config(&chain("misbehave", "", &json!({ "act": "bad-config" }))),
            vec![("misbehave", GUEST_MISBEHAVE)],
            "refuses its config: stage: this is no stage",
        ),
    ] {
        let error = TestGateway::try_start(&config, &hooks)
            .await
            .expect_err(said)
            .to_string();
        assert!(
            error.contains(said) && error.contains("sluice.yaml:5: hooks.chain[0]"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_hook_of_the_readme_does_what_the_readme_says() {
    let readme = include_str!("../../README.md");
    let hook = include_str!("../guests/tuesday/src/lib.rs");
    let (_, code) = hook.split_once("\n\n").expect("a module doc, then code");
    assert!(readme.contains(code), "the README shows another hook");

    let upstream = FakeUpstream::saying("ok").await;
    let gateway =
        TestGateway::with_hooks(&upstream.config(""), &[("tuesday", GUEST_TUESDAY)]).await;
    let tools = json!([{ "name": "look", "input_schema": { "type": "object" } }]);
    for (tools, temperature) in [(json!([]), json!(0.7)), (tools, Value::Null)] {
        let request = json!({ "model": "m", "max_tokens": 5, "temperature": 0.7, "tools": tools,
            "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(gateway.client().message(&request).await.status, 200);
        assert_eq!(upstream.last_body()["temperature"], temperature);
    }
}
