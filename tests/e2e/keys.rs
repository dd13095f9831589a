//! Keys: whose they are, what they are for, and what they may use up.

use serde_json::json;
use sluice::cli::keys::{self, Command};
use sluice_tests::guests::GUEST_STAGES;
use sluice_tests::{Answer, FakeUpstream, Script, TestGateway, chunk, finish, until};

/// The endpoints of both dialects.
const ENDPOINTS: [&str; 2] = ["/v1/messages", "/v1/chat/completions"];

/// Ask `model` for an answer of at most 1000 tokens.
async fn ask(gateway: &TestGateway, path: &str, key: &str, model: &str, stream: bool) -> Answer {
    let body = json!({ "model": model, "max_tokens": 1000, "stream": stream,
        "messages": [{ "role": "user", "content": "hi" }] });
    let headers = [("x-api-key", key)];
    gateway
        .client()
        .post(path, &headers, body.to_string())
        .await
}

/// Ask until the answer has `status`: what ended is settled aside.
async fn ask_until(gateway: &TestGateway, key: &str, stream: bool, status: u16) -> Answer {
    until(&status.to_string(), async || {
        let answer = ask(gateway, "/v1/messages", key, "m", stream).await;
        (answer.status == status).then_some(answer)
    })
    .await
}

/// A limit of 1013 tokens: a call reserves 1005 (1000 of its answer, 5 of "hi" and
/// what is around it) and takes 10, so that the second is beyond it.
const ONE_CALL: &str =
    "keys: [ { name: ann, key: sk-ann, budget: { tokens: 1013, per: total } } ]\n";

/// The same, so that the second is beyond it as soon as 8 tokens are taken.
const FULL_FROM_8: &str =
    "keys: [ { name: ann, key: sk-ann, budget: { tokens: 1012, per: total } } ]\n";

/// The tokens that are taken, as the refusal of one more call says.
async fn taken(gateway: &TestGateway, stream: bool) -> String {
    let answer = ask(gateway, ENDPOINTS[0], "sk-ann", "m", stream).await;
    assert_eq!(answer.status, 429);
    let body = answer.json();
    let said = body["error"]["message"].as_str().expect("a message");
    let (_, said) = said.split_once("(`budget`): ").expect("whose limit it is");
    said.split(' ').next().expect("a number").to_owned()
}

/// What is taken once it is no longer `before`: what ended is settled aside.
async fn taken_after(gateway: &TestGateway, stream: bool, before: &str) -> String {
    until(&format!("other than {before}"), async || {
        let taken = taken(gateway, stream).await;
        (taken != before).then_some(taken)
    })
    .await
}

#[tokio::test]
async fn a_key_is_for_its_models() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config(
        "  n: m
  vendor/*: { upstream: up }
keys:
  - sk-any
  - { name: ann, key: sk-ann, models: [m, vendor/*] }
",
    ))
    .await;
    for (path, kind) in [
        (ENDPOINTS[0], "not_found_error"),
        (ENDPOINTS[1], "invalid_request_error"),
    ] {
        for stream in [false, true] {
            for (key, model, status) in [
                ("sk-any", "n", 200),
                ("sk-ann", "m", 200),
                ("sk-ann", "m[1m]", 200),
                ("sk-ann", "vendor/x", 200),
                ("sk-ann", "n", 404),
                ("sk-bob", "m", 401),
            ] {
                let answer = ask(&gateway, path, key, model, stream).await;
                assert_eq!(answer.status, status, "{path} {key} {model}");
                if status == 404 {
                    let error = &answer.json()["error"];
                    assert_eq!(error["type"], kind);
                    assert_eq!(
                        error["message"],
                        "model `n` is not for key `ann`; it may ask for `m`, `vendor/*`"
                    );
                    assert_eq!(answer.header("x-should-retry"), "false");
                }
            }
        }
    }
    let client = gateway.client();
    for (key, expected) in [("sk-any", vec!["m", "n"]), ("sk-ann", vec!["m"])] {
        let list = client
            .request("GET", "/v1/models", &[("x-api-key", key)])
            .await;
        let list = list.json();
        let names = list["data"].as_array().expect("a list").iter();
        let names: Vec<_> = names.filter_map(|model| model["id"].as_str()).collect();
        assert_eq!(names, expected);
        let one = client
            .request("GET", "/v1/models/n", &[("x-api-key", key)])
            .await;
        assert_eq!(one.status, if key == "sk-any" { 200 } else { 404 });
    }
}

#[tokio::test]
async fn hooks_and_records_know_the_client_and_no_key() {
    let upstream = FakeUpstream::saying("ok").await;
    let config = upstream.config(
        "keys: [ sk-any, { name: ann, key: sk-ann } ]
hooks: { chain: [ { hook: stages, grants: { kv: true }, config: { count: true } } ] }
",
    );
    let gateway = TestGateway::with_hooks(&config, &[("stages", GUEST_STAGES)]).await;
    ask(&gateway, ENDPOINTS[0], "sk-ann", "m", true).await;
    let admin = gateway.client().with_key("sk-any");
    let text = until("it is counted", async || {
        let text = admin.metrics().await;
        text.contains("sluice_hook_calls{").then_some(text)
    })
    .await;
    assert!(text.contains("client=\"ann\",recorded=\"ann\""), "{text}");
    assert!(!text.contains("sk-ann"), "{text}");
}

#[tokio::test]
async fn requests_of_a_minute_are_counted() {
    let upstream = FakeUpstream::saying("ok").await;
    let config =
        upstream.config("keys: [ sk-any, { name: ann, key: sk-ann, requests_per_minute: 1 } ]\n");
    let gateway = TestGateway::start(&config).await;
    let mut refused = 0;
    // A minute may end between two of them, hardly between three.
    for path in ENDPOINTS.repeat(3) {
        let answer = ask(&gateway, path, "sk-ann", "m", true).await;
        if answer.status == 200 {
            continue;
        }
        refused += 1;
        assert_eq!(answer.status, 429);
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(answer.header("x-should-retry"), "");
        let body = answer.json();
        let said = body["error"]["message"].as_str().expect("a message");
        assert!(
            said.starts_with(
                "the limit of key `ann` is 1 requests a minute (`requests_per_minute`)"
            ),
            "{said}"
        );
    }
    assert!(refused >= 3, "{refused} of 6");
    assert_eq!(upstream.requests().len(), 6 - refused);
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], "sk-any", "m", true)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn one_client_does_not_take_all_the_room() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let config = upstream.config(
        "keys: [ sk-any, { name: ann, key: sk-ann, calls_max: 1 }, { name: bob, key: sk-bob, calls_max: 1 } ]
limits: { queue_max: 0 }
",
    );
    let mut gateway = TestGateway::start(&config).await;
    speaker.say(chunk(&json!({ "content": "half" })));
    let mut running = gateway.client().with_key("sk-ann").begin("m").await;
    assert_eq!(running.status(), 200);

    for path in ENDPOINTS {
        let refused = ask(&gateway, path, "sk-ann", "m", true).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
        assert_eq!(
            refused.json()["error"]["message"],
            "key `ann` has all the calls that it takes; try again in 10 s"
        );
    }
    for key in ["sk-bob", "sk-any"] {
        let other = ask(&gateway, ENDPOINTS[0], key, "m", true).await;
        assert_eq!(other.text(), "ok", "{key}");
    }
    // A reload of something else keeps count.
    let text = format!("{config}default: m\n");
    gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), text).expect("a write"))
        .await;
    let refused = ask(&gateway, ENDPOINTS[0], "sk-ann", "m", true).await;
    assert_eq!(refused.status, 429);
    let text = gateway.client().with_key("sk-any").metrics().await;
    let counted = "sluice_client_refusals_total{client=\"ann\",limit=\"calls_max\"} 3";
    assert!(text.contains(counted), "{text}");

    speaker.say(finish("stop"));
    drop(speaker);
    while running.chunk().await.expect("sound").is_some() {}
    let next = ask_until(&gateway, "sk-ann", true, 200).await;
    assert_eq!(next.text(), "ok");
}

#[tokio::test]
async fn a_budget_is_settled_by_what_was_used() {
    let upstream = FakeUpstream::saying("ok").await;
    for stream in [false, true] {
        for path in ENDPOINTS {
            // Three calls of 10 tokens: the last is let in at 20 + 1005.
            let keys =
                "keys: [ { name: ann, key: sk-ann, budget: { tokens: 1025, per: total } } ]\n";
            let gateway = TestGateway::start(&upstream.config(keys)).await;
            assert_eq!(ask(&gateway, path, "sk-ann", "m", stream).await.status, 200);
            ask_until(&gateway, "sk-ann", stream, 200).await;
            ask_until(&gateway, "sk-ann", stream, 200).await;
            let answer = ask_until(&gateway, "sk-ann", stream, 429).await;
            assert_eq!(answer.header("retry-after"), "", "it never begins anew");
            assert_eq!(answer.header("x-should-retry"), "false");
            let kind = until("settled", async || {
                let answer = ask(&gateway, path, "sk-ann", "m", stream).await;
                let body = answer.json();
                let said = body["error"]["message"].as_str().expect("a message");
                said.contains("30 tokens are taken, and this call may take 1005 tokens")
                    .then(|| body["error"]["type"].clone())
            })
            .await;
            assert_eq!(kind, "rate_limit_error");
        }
    }
}

#[tokio::test]
async fn a_running_call_holds_what_it_may_take_until_its_client_leaves() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let gateway = TestGateway::start(&upstream.config(FULL_FROM_8)).await;
    let body = json!({ "model": "m", "max_tokens": 1000, "stream": true,
        "messages": [{ "role": "user", "content": "hi" }] });
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = client.post(format!("{}/v1/messages", gateway.url()));
    let request = request.header("x-api-key", "sk-ann").body(body.to_string());
    // 12 bytes are about 3 tokens, beside the prompt's 5.
    speaker.say(chunk(&json!({ "content": "twelve bytes" })));
    let mut running = request.send().await.expect("an answer");
    while let Some(bytes) = running.chunk().await.expect("the stream goes on") {
        if String::from_utf8_lossy(&bytes).contains("twelve bytes") {
            break;
        }
    }
    assert_eq!(taken(&gateway, true).await, "1005");
    drop(running);
    speaker.left().await;
    assert_eq!(taken_after(&gateway, true, "1005").await, "8");
}

#[tokio::test]
async fn where_the_upstream_does_not_count_the_gateway_does() {
    let uncounted = json!({ "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": "twelve bytes" } }] });
    let upstream = FakeUpstream::start(move |request| {
        if request.json()["stream"] == true {
            let said = chunk(&json!({ "content": "twelve bytes" }));
            Script::Pieces(vec![said, "data: [DONE]\n\n".into()])
        } else {
            Script::json(&uncounted)
        }
    })
    .await;
    for stream in [false, true] {
        let gateway = TestGateway::start(&upstream.config(FULL_FROM_8)).await;
        let answer = ask(&gateway, ENDPOINTS[0], "sk-ann", "m", stream).await;
        // What the client is shown is what its key pays.
        let usage = &answer.message()["usage"];
        let parts = ["input_tokens", "output_tokens"].iter();
        let shown: u64 = parts
            .map(|part| usage[part].as_u64().expect("a count"))
            .sum();
        let taken = taken_after(&gateway, stream, "1005").await;
        assert_eq!(
            (taken, usage["output_tokens"].clone()),
            (shown.to_string(), json!(3))
        );
    }
}

#[tokio::test]
async fn a_call_that_fails_takes_nothing() {
    let upstream = FakeUpstream::start(|_| {
        Script::Whole(
            400,
            Vec::new(),
            json!({ "error": { "message": "no" } }).to_string(),
        )
    })
    .await;
    let gateway = TestGateway::start(&upstream.config(ONE_CALL)).await;
    for _ in 0..3 {
        ask_until(&gateway, "sk-ann", false, 400).await;
    }
    // Two that took 5 each would have left too little.
    ask_until(&gateway, "sk-ann", true, 400).await;
}

#[tokio::test]
async fn money_is_counted_by_the_target_s_price() {
    let upstream = FakeUpstream::saying("ok").await;
    // A dollar a token of the answer: 1000 reserved, 3 taken.
    let gateway = TestGateway::start(&upstream.config(
        "keys: [ sk-any, { name: ann, key: sk-ann, budget: { usd: 1003, per: month } } ]
prices: { \"up/*\": { input: 0, output: 1000000 }, \"*\": { input: 9, output: 9 } }
state: { store: memory }
",
    ))
    .await;
    ask_until(&gateway, "sk-ann", false, 200).await;
    ask_until(&gateway, "sk-ann", true, 200).await;
    let answer = ask_until(&gateway, "sk-ann", true, 429).await;
    let body = answer.json();
    let said = body["error"]["message"].as_str().expect("a message");
    assert!(
        said.starts_with("the limit of key `ann` is 1003.0000 USD a month (`budget`)"),
        "{said}"
    );
    // Nobody waits for next month with a request in hand.
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(answer.header("x-should-retry"), "false");
    let admin = gateway.client().with_key("sk-any");
    let report = until("settled", async || {
        let report = admin.request("GET", "/admin/keys", &[]).await.json();
        (report[0]["limits"][0]["taken"] == 6.0).then_some(report)
    })
    .await;
    let limit = &report[0]["limits"][0];
    assert_eq!(
        (&report[0]["name"], &limit["unit"]),
        (&json!("ann"), &json!("usd"))
    );
    assert_eq!(
        (&limit["limit"], &limit["max"]),
        (&json!("budget"), &json!(1003.0))
    );
}

#[tokio::test]
async fn what_each_key_used_is_counted() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config(
        "keys: [ sk-any, { name: ann, key: sk-ann }, { name: bob, key: sk-bob, budget: { tokens: 1, per: total } } ]
prices: { \"*\": { input: 0, output: 1 } }
state: { store: memory }
",
    ))
    .await;
    for path in ENDPOINTS {
        assert_eq!(ask(&gateway, path, "sk-ann", "m", true).await.status, 200);
        assert_eq!(ask(&gateway, path, "sk-bob", "m", true).await.status, 429);
    }
    // A call is counted once its answer is out, which the client may have read before.
    let way = "model=\"m\",target=\"none\",outcome=\"failed\",status=\"429\"";
    let expected = [
        "sluice_client_calls_total{client=\"ann\",outcome=\"answered\"} 2".to_owned(),
        "sluice_client_calls_total{client=\"bob\",outcome=\"failed\"} 2".to_owned(),
        "sluice_client_tokens_total{client=\"ann\",kind=\"output\"} 6".to_owned(),
        "sluice_client_nano_usd_total{client=\"ann\"} 6000".to_owned(),
        format!("sluice_calls_total{{{way}}} 2"),
    ];
    let operator = gateway.client().with_key("sk-any");
    until("every line is there", async || {
        let text = operator.metrics().await;
        let all = expected.iter().all(|line| text.contains(line));
        all.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_budget_in_dollars_is_for_targets_with_a_price() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config(
        "  both: [ { upstream: up, model: new }, { upstream: up, model: up-m } ]
  new: { upstream: up }
keys:
  - { name: ann, key: sk-ann, budget: { usd: 9, per: total } }
  - { name: bob, key: sk-bob, budget: { usd: 9, per: total, unpriced: allow } }
  - { name: eve, key: sk-eve, budget: { tokens: 90000, per: total } }
prices: { up/up-m: { input: 1, output: 1 } }
state: { store: memory }
",
    ))
    .await;
    for path in ENDPOINTS {
        for stream in [false, true] {
            let asked =
                async |key: &str, model: &str| ask(&gateway, path, key, model, stream).await;
            for key in ["sk-bob", "sk-eve"] {
                assert_eq!(asked(key, "new").await.status, 200, "{key}");
            }
            let other = asked("sk-ann", "both").await;
            assert_eq!(other.status, 200);
            let tried = "2; up/new skipped skip-target, up/up-m ok";
            assert_eq!(other.header("sluice-attempts"), tried);
            let refused = asked("sk-ann", "new").await;
            assert_eq!(refused.status, 403);
            assert_eq!(refused.header("x-should-retry"), "false");
            let body = refused.json();
            let said = body["error"]["message"].as_str().expect("a message");
            let expected = "target `up/new` has no price, and key `ann` has a budget in dollars";
            assert!(said.starts_with(expected), "{said}");
        }
    }
    let models: Vec<_> = upstream
        .requests()
        .iter()
        .map(|request| request.json()["model"].clone())
        .collect();
    let of = |name: &str| models.iter().filter(|model| *model == name).count();
    assert_eq!((of("new"), of("up-m")), (8, 4));
}

#[tokio::test]
async fn a_budget_outlasts_reloads_and_the_process() {
    let upstream = FakeUpstream::saying("ok").await;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state.redb");
    let config = upstream.config(&format!(
        "{ONE_CALL}state: {{ store: disk, path: {state:?} }}\n"
    ));
    let mut gateway = TestGateway::start(&config).await;
    ask_until(&gateway, "sk-ann", true, 200).await;
    ask_until(&gateway, "sk-ann", true, 429).await;
    let changed = config.replace("m: {", "other: {upstream: up}\n  m: {");
    let reloaded = gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), changed).expect("a write"))
        .await;
    assert_eq!(reloaded.refused, [""; 0]);
    ask_until(&gateway, "sk-ann", true, 429).await;
    drop(gateway);
    // The file is closed when its last user is gone, which is aside.
    let gateway = until("it starts", async || {
        TestGateway::try_start(&config, &[]).await.ok()
    })
    .await;
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], "sk-ann", "m", true)
            .await
            .status,
        429
    );
}

#[tokio::test]
async fn without_its_store_calls_go_on_or_are_refused() {
    let upstream = FakeUpstream::saying("ok").await;
    for (policy, status) in [("allow", 200), ("refuse", 503)] {
        // Nobody listens there.
        let config = upstream.config(&format!(
            "{}state: {{ store: redis, url: \"redis://127.0.0.1:1/0\", on_store_failure: {policy} }}\n",
            ONE_CALL.replace("[ ", "[ sk-any, ")
        ));
        let gateway = TestGateway::start(&config).await;
        for path in ENDPOINTS {
            for stream in [false, true] {
                let answer = ask(&gateway, path, "sk-ann", "m", stream).await;
                assert_eq!(answer.status, status, "{policy}");
            }
        }
        let text = gateway.client().with_key("sk-any").metrics().await;
        assert!(text.contains("sluice_state_failures_total 4"), "{text}");
    }
}

#[tokio::test]
async fn keys_of_a_file_come_and_go_while_it_runs() {
    let upstream = FakeUpstream::saying("ok").await;
    let config = upstream.config("keys_file: keys.yaml\n");
    let mut gateway = TestGateway::start(&config).await;
    // No keys are none that open.
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], "sk-ann", "m", false)
            .await
            .status,
        401
    );
    let write = |text: &'static str| {
        move |folder: &std::path::Path| {
            std::fs::write(folder.join("keys.yaml"), text).expect("a write");
        }
    };
    let state = gateway.reload(write("- { name: ann, key: sk-ann }")).await;
    assert_eq!(state.changes, ["key `ann` added (all models)"]);
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], "sk-ann", "m", false)
            .await
            .status,
        200
    );
    let state = gateway.reload(write("- { name: ann, kye: sk-ann }")).await;
    let why = state.refused.concat();
    assert!(
        why.contains("keys.yaml:1: [0].kye: no setting named `kye`"),
        "{why}"
    );
    let state = gateway.reload(write("[]")).await;
    assert_eq!(state.changes, ["key `ann` removed"]);
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], "sk-ann", "m", false)
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_key_is_good_until_its_last_day_ends() {
    let upstream = FakeUpstream::saying("ok").await;
    // `printf sk-old | sha256sum`, `printf sk-older | sha256sum`
    let gateway = TestGateway::start(&upstream.config(
        "keys:
  - { name: ann, key: sk-ann, expires: 2099-12-31, previous: { hash: \"sha256:d3e64608f5182a4408eef248830800d9f4b82167cb91b4b193ac488aa1235fc9\", expires: 2099-01-01 } }
  - { name: bob, key: sk-bob, expires: 2020-12-31 }
  - { name: eve, key: sk-eve, previous: { hash: \"sha256:e8852038f56c54ea47d9f3c8aac74ab2e143c4e1aca2240951f0b94d11e6d618\", expires: 2020-12-31 } }
",
    ))
    .await;
    for path in ENDPOINTS {
        for (key, expired) in [
            ("sk-ann", None),
            ("sk-old", None),
            ("sk-eve", None),
            ("sk-bob", Some("bob")),
            ("sk-older", Some("eve")),
        ] {
            let answer = ask(&gateway, path, key, "m", false).await;
            let Some(name) = expired else {
                assert_eq!(answer.status, 200, "{key}");
                continue;
            };
            assert_eq!(answer.status, 401, "{key}");
            let said = format!("the API key of `{name}` has expired, after 2020-12-31");
            assert_eq!(answer.json()["error"]["message"], said);
        }
    }
}

#[tokio::test]
async fn what_tells_of_others_is_an_operator_s() {
    let upstream = FakeUpstream::saying("ok").await;
    let gateway = TestGateway::start(&upstream.config(
        "keys: [ sk-any, { name: ann, key: sk-ann }, { name: ops, key: sk-ops, admin: true } ]\n",
    ))
    .await;
    for path in ["/metrics", "/admin/hooks", "/admin/keys", "/admin/targets"] {
        for (key, status) in [("sk-any", 200), ("sk-ann", 403), ("sk-ops", 200), ("", 401)] {
            let headers = [("x-api-key", key)];
            let answer = gateway.client().request("GET", path, &headers).await;
            assert_eq!(answer.status, status, "{path} {key}");
        }
    }
}

/// A key for `name`, with everything that it can have.
fn add(name: &str, config: Option<std::path::PathBuf>) -> Result<keys::Report, String> {
    keys::run(Command::Add(keys::Add {
        name: name.into(),
        config,
        models: vec!["m".into(), "vendor/*".into()],
        calls_max: Some(8),
        requests_per_minute: Some(60),
        tokens_per_minute: None,
        budget: Some("2.5usd/month".parse().expect("a budget")),
        expires: Some("2099-12-31".parse().expect("a day")),
        admin: true,
    }))
}

#[tokio::test]
async fn sluice_keys_makes_and_revokes_keys_of_a_running_gateway() {
    let upstream = FakeUpstream::saying("ok").await;
    let text = upstream.config(
        "keys_file: keys.yaml\nprices: { \"*\": { input: 1, output: 1 } }\nstate: { store: memory }\n",
    );
    let mut gateway = TestGateway::start(&text).await;
    let config = gateway.folder().join("sluice.yaml");
    let mut key = String::new();
    let state = gateway
        .reload(|_| {
            let report = add("ann", Some(config.clone())).expect("it is added");
            key = report.text.lines().nth(1).expect("the key").to_owned();
            assert!(key.starts_with("sk-sluice-") && key.len() == 74, "{key}");
        })
        .await;
    let terms = "models m, vendor/*; 8 calls at once; 60 requests a minute; 2.5 USD a month; until 2099-12-31; admin";
    assert_eq!(state.changes, [format!("key `ann` added ({terms})")]);
    let file = std::fs::read_to_string(gateway.folder().join("keys.yaml")).expect("a file");
    assert!(!file.contains(&key[..20]), "only its hash is kept");
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], &key, "m", false).await.status,
        200
    );

    let again = add("ann", Some(config.clone())).expect_err("one name, one key");
    assert_eq!(again, "there is a key named `ann` already");
    let listed = keys::run(Command::List {
        config: config.clone(),
    })
    .expect("a list");
    assert_eq!(listed.text, format!("{:24} {terms}", "ann"));

    let rotate = |keep_days: u32| {
        let report = keys::run(Command::Rotate {
            name: "ann".into(),
            config: config.clone(),
            keep_days,
            expires: None,
        });
        let text = report.expect("there is one").text;
        text.lines().nth(1).expect("the key").to_owned()
    };
    let status = async |gateway: &TestGateway, key: &str| {
        ask(gateway, ENDPOINTS[0], key, "m", false).await.status
    };
    let mut newer = String::new();
    let state = gateway.reload(|_| newer = rotate(7)).await;
    assert!(
        state.changes[0].contains("; its key before until "),
        "{:?}",
        state.changes
    );
    assert_eq!(status(&gateway, &key).await, 200);
    assert_eq!(status(&gateway, &newer).await, 200);
    let mut newest = String::new();
    gateway.reload(|_| newest = rotate(0)).await;
    for (key, expected) in [(&key, 401), (&newer, 401), (&newest, 200)] {
        assert_eq!(status(&gateway, key).await, expected);
    }
    let key = newest;

    let revoke = |name: &str| {
        keys::run(Command::Revoke {
            name: name.into(),
            config: config.clone(),
        })
    };
    let why = revoke("bob").expect_err("there is none");
    assert_eq!(why, "there is no key named `bob`");
    let state = gateway
        .reload(|_| drop(revoke("ann").expect("it is there")))
        .await;
    assert_eq!(state.changes, ["key `ann` removed"]);
    assert_eq!(
        ask(&gateway, ENDPOINTS[0], &key, "m", false).await.status,
        401
    );
}

#[test]
fn rotating_makes_no_expired_key_good_again() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it takes a file");
    };
    write("sluice.yaml", "keys_file: keys.yaml\nmodels: {}\n");
    let hash = format!("sha256:{}", "a".repeat(64));
    let entry = format!("- {{ name: bob, hash: {hash}, expires: 2020-12-31 }}\n");
    write("keys.yaml", &entry);
    let rotate = |expires: Option<&str>| {
        keys::run(Command::Rotate {
            name: "bob".into(),
            config: folder.path().join("sluice.yaml"),
            keep_days: 7,
            expires: expires.map(|day| day.parse().expect("a day")),
        })
    };
    assert_eq!(
        rotate(None).expect_err("it would be of no use"),
        "the new key would have expired, too, after 2020-12-31; say `--expires DAY`"
    );
    let report = rotate(Some("2099-12-31")).expect("a key");
    let kept = format!("expires: 2099-12-31, previous: {{ hash: {hash}, expires: 2020-12-31 }} }}");
    assert!(report.text.ends_with(&kept), "{}", report.text);
}

#[tokio::test]
async fn without_a_file_of_keys_the_entry_is_printed() {
    let report = add("ann", None).expect("a key");
    let lines: Vec<_> = report.text.lines().collect();
    let upstream = FakeUpstream::saying("ok").await;
    let config = upstream.config(&format!(
        "keys:\n{}\nprices: {{ \"*\": {{ input: 1, output: 1 }} }}\nstate: {{ store: memory }}\n",
        lines[3]
    ));
    let gateway = TestGateway::start(&config).await;
    assert_eq!(
        ask(&gateway, ENDPOINTS[1], lines[1], "m", true)
            .await
            .status,
        200
    );
    assert_eq!(
        ask(&gateway, ENDPOINTS[1], lines[1], "n", true)
            .await
            .status,
        404
    );
    assert!(add("a b", None).is_err());
}
