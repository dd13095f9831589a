//! The author's tools: what `sluice hook ...` prints, with real components.

use std::path::{Path, PathBuf};

use serde_json::json;
use sluice::app::{Overrides, Source};
use sluice::cli::hook::terms::Terms;
use sluice::cli::hook::{Report, books, build, inspect, list, lock, new, test};
use sluice::cli::replay;
use sluice::hook::{Stage, bundled};
use sluice_tests::guests::{GUEST_MISBEHAVE, GUEST_SCRIPTED, GUEST_STAGES};
use sluice_tests::{FakeUpstream, TestGateway};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be made");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("it takes a file");
    }
    folder
}

fn terms(config: &str, grants: &[&str]) -> Terms {
    Terms {
        config: (!config.is_empty()).then(|| config.to_owned()),
        grant: grants.iter().map(|&grant| grant.to_owned()).collect(),
    }
}

/// A bundled hook as a file.
fn bundled_file(folder: &TempDir, name: &str) -> PathBuf {
    let hook = bundled().iter().find(|hook| hook.name == name);
    let file = folder.path().join(format!("{name}.wasm"));
    std::fs::write(&file, hook.expect("it ships").wasm).expect("it takes a file");
    file
}

// === inspect ===

/// What `inspect` says, without what differs from build to build.
#[track_caller]
fn check_inspect(file: &Path, terms: Terms, is_good: bool, expected: &[&str]) {
    let arguments = inspect::Arguments {
        file: file.to_owned(),
        terms,
    };
    let report = arguments.run().expect("there is a file");
    let varies = |line: &&str| !line.contains("  size ") && !line.contains("  digest ");
    let lines: Vec<_> = report.text.lines().skip(1).filter(varies).collect();
    let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    assert_eq!((lines.as_slice(), report.is_good), (expected, is_good));
}

#[test]
fn inspect_says_what_a_component_is_and_whether_it_would_load() {
    let folder = folder(&[
        ("text.wasm", "no component"),
        ("core.wasm", "\0asm\u{1}\0\0\0"),
    ]);
    let cap = bundled_file(&folder, "cap-max-tokens");
    let of_cap = [
        "interface  sluice:hooks@0.1.0; this gateway speaks 0.1.0",
        "stages     on-upstream-request",
        "exports    setup, about",
        "imports    current, document, config",
        "runtime    wasi:io, wasi:cli, wasi:random",
        "version    0.1.0",
        "summary    Caps the answer's length.",
        r#"config     {"type":"object","properties":{"max":{"type":"integer","minimum":1},"models":{"type":"object","additionalProperties":{"type":"integer","minimum":1}}},"required":["max"],"additionalProperties":false}"#,
    ];
    let refused =
        "hook `cap-max-tokens` refuses its config: `config`: \"max\" is a required property";
    let no = [&of_cap[..], &["loads      no", refused]].concat();
    check_inspect(&cap, Terms::default(), false, &no);
    let yes = [&of_cap[..], &["loads      yes"]].concat();
    check_inspect(&cap, terms(r#"{"max":1}"#, &[]), true, &yes);
    check_inspect(
        Path::new(GUEST_STAGES),
        Terms::default(),
        false,
        &[
            "interface  sluice:hooks@0.1.0; this gateway speaks 0.1.0",
            "stages     on-route, on-upstream-response, on-error, on-complete, on-count-tokens, on-list-models",
            "exports    about, setup",
            "imports    current, document, routing, log, config, kv, metrics",
            "runtime    wasi:io, wasi:cli, wasi:random",
            "version    1.2.3",
            "summary    Plays the stages around a call.",
            "needs      kv: true",
            "config     {\"type\":\"object\",\"properties\":{\"tokens\":{\"type\":\"integer\",\"minimum\":1}}}",
            "loads      no",
            "hook `guest_stages` needs what it is not granted; add to its `grants`: kv: true",
        ],
    );
    let core = "it is a core module, not a component; build it for `wasm32-wasip2`";
    let file = folder.path().join("core.wasm");
    check_inspect(&file, Terms::default(), false, &["loads      no", core]);
}

// === test ===

const REQUEST: &str = r#"{"model":"kimi","max_tokens":64000,"stream":true,"messages":[{"role":"user","content":"hello"}]}"#;

const EVENTS: &str = r#"{"kind":"start","data":{"model":"m"}}
{"kind":"block-start","block":0,"data":{"type":"text"}}
{"kind":"text","block":0,"text":"hello "}
{"kind":"text","block":0,"text":"world"}
{"kind":"block-stop","block":0}
{"kind":"stop","data":{"stop_reason":"end_turn","stop_sequence":null}}
"#;

/// What `test` prints of a hook on the call above, and its golden text.
fn try_hook(file: &Path, terms: Terms, change: impl FnOnce(&mut test::Arguments)) -> Report {
    let folder = folder(&[("request.json", REQUEST), ("events.jsonl", EVENTS)]);
    let golden = folder.path().join("golden.txt");
    let mut arguments = test::Arguments {
        file: file.to_owned(),
        request: Some(folder.path().join("request.json")),
        terms,
        golden: Some(golden.clone()),
        update: true,
        ..test::Arguments::default()
    };
    change(&mut arguments);
    if let Some(events) = &mut arguments.events {
        *events = folder.path().join(&events);
    }
    let report = arguments.run().expect("the input is sound");
    let text = std::fs::read_to_string(golden).expect("it was written");
    Report {
        text: text.trim_end().to_owned(),
        ..report
    }
}

#[track_caller]
fn check(config: &serde_json::Value, change: impl FnOnce(&mut test::Arguments), expected: &str) {
    let grants = ["headers=x-a", "prompt=write"];
    let terms = terms(&config.to_string(), &grants);
    let report = try_hook(Path::new(GUEST_SCRIPTED), terms, change);
    assert_eq!(report.text, expected);
    assert!(report.is_good);
}

#[test]
fn test_says_what_a_stage_executed_the_same_each_time() {
    let folder = folder(&[("request.json", REQUEST)]);
    let fuel = |text: &str| {
        let arguments = test::Arguments {
            file: GUEST_SCRIPTED.into(),
            request: Some(folder.path().join("request.json")),
            terms: terms(
                &json!({ "stage": "on-request", "set": { "/a": text } }).to_string(),
                &[],
            ),
            ..test::Arguments::default()
        };
        let said = arguments.run().expect("the input is sound").text;
        let first = said.lines().next().unwrap_or_default().to_owned();
        let fuel = first
            .strip_suffix(" fuel)")
            .and_then(|it| it.rsplit(' ').next());
        fuel.and_then(|it| it.parse::<u64>().ok()).expect(&first)
    };
    assert_eq!(fuel("short"), fuel("short"));
    assert!(fuel("short") < fuel(&"long".repeat(99)));
}

#[test]
fn test_shows_edits_of_what_the_upstream_would_get() {
    let edit = json!({ "stage": "on-upstream-request", "set": { "/vendor": { "x": [1] } },
        "remove": ["/max_tokens"], "set_header": { "x-a": "b" } });
    check(
        &edit,
        |_| {},
        "on-request: next
on-upstream-request: next
    /max_tokens 64000 -> none
    /vendor none -> {\"x\":[1]}
    header x-a none -> \"b\"
not run: on-stream, on-response",
    );
    // Whoever answers or refuses ends the call.
    let reply = json!({ "stage": "on-request", "reply": "no \"model\"" });
    check(
        &reply,
        |_| {},
        "on-request: reply with the text \"no \\\"model\\\"\"
not run: on-upstream-request, on-stream, on-response",
    );
    let refuse = json!({ "stage": "on-request", "refuse": 451 });
    check(
        &refuse,
        |arguments| arguments.stage = Some(Stage::Request),
        "on-request: refuse with 451 permission_error: refused as scripted",
    );
}

#[test]
fn test_shows_what_a_hook_wrote_before_it_trapped() {
    let config = json!({ "stage": "on-request", "act": "trap" }).to_string();
    let file = Path::new(GUEST_MISBEHAVE);
    let report = try_hook(file, terms(&config, &[]), |_| {});
    let said = report.text.lines().next().unwrap_or("");
    assert!(
        said.starts_with("on-request: failed, it trapped (")
            && said.contains("and wrote: ")
            && said.contains("as told"),
        "{said}"
    );
    assert!(!report.is_good);
}

#[test]
fn test_shows_what_comes_out_of_a_stream() {
    let hold = json!({ "stream": "hold" });
    let stream = |arguments: &mut test::Arguments| {
        arguments.events = Some("events.jsonl".into());
        arguments.request = None;
    };
    check(
        &hold,
        stream,
        r#"on-stream: 6 events in, 5 out
      {"kind":"start","data":{"model":"m"}}
      {"kind":"block-start","block":0,"data":{"type":"text"}}
    - {"kind":"text","block":0,"text":"hello "}
    - {"kind":"text","block":0,"text":"world"}
    + {"kind":"text","block":0,"text":"hello world"}
      {"kind":"block-stop","block":0}
      {"kind":"stop","data":{"stop_reason":"end_turn","stop_sequence":null}}
on-response: next
not run: on-request, on-upstream-request"#,
    );
    let end = json!({ "stream": "end-with-error" });
    check(
        &end,
        |arguments| {
            stream(arguments);
            arguments.stage = Some(Stage::Stream);
        },
        r#"on-stream: 6 events in, 2 out; ends the answer with 403 permission_error: refused as scripted
      {"kind":"start","data":{"model":"m"}}
      {"kind":"block-start","block":0,"data":{"type":"text"}}
    - {"kind":"text","block":0,"text":"hello "}
    - {"kind":"text","block":0,"text":"world"}
    - {"kind":"block-stop","block":0}
    - {"kind":"stop","data":{"stop_reason":"end_turn","stop_sequence":null}}"#,
    );
    // The whole answer, where no stream goes on to the client.
    let whole = json!({ "stage": "on-response", "set": { "/stop_reason": "max_tokens" } });
    check(
        &whole,
        |arguments| {
            stream(arguments);
            arguments.stage = None;
        },
        "on-stream: leaves this answer alone
on-response: next
    /stop_reason \"end_turn\" -> \"max_tokens\"
not run: on-request, on-upstream-request",
    );
}

#[test]
fn test_plays_the_stages_around_a_call() {
    let run = |config: &str, change: fn(&mut test::Arguments)| {
        try_hook(Path::new(GUEST_STAGES), terms(config, &["kv"]), change).text
    };
    let choose = run(r#"{"choose":[1]}"#, |arguments| {
        arguments.stage = Some(Stage::Route);
        arguments.target = vec!["a/first".into(), "b/second".into()];
    });
    assert_eq!(
        choose,
        "on-route: choose 1\n    log info: Choosing. of=first,second"
    );
    let retry = run(r#"{"retry":["503"]}"#, |arguments| {
        arguments.stage = Some(Stage::UpstreamResponse);
        arguments.attribute = vec!["status=503".into()];
    });
    assert_eq!(retry, "on-upstream-response: retry after 1 ms");
    let count = run(r#"{"tokens":7}"#, |arguments| {
        arguments.stage = Some(Stage::CountTokens)
    });
    assert_eq!(count, "on-count-tokens: count 7");
}

#[test]
fn test_fails_with_a_hook_that_fails() {
    let failing = |act: &str| {
        let config = json!({ "stage": "on-request", "act": act }).to_string();
        let report = try_hook(
            Path::new(GUEST_MISBEHAVE),
            terms(&config, &[]),
            |arguments| {
                arguments.stage = Some(Stage::Request);
            },
        );
        assert!(!report.is_good, "{}", report.text);
        report.text
    };
    assert_eq!(
        failing("fail"),
        "on-request: failed, it reported a failure (as told)"
    );
    assert_eq!(failing("loop"), "on-request: failed, it exceeded 100 ms");
    let folder = folder(&[]);
    let cap = bundled_file(&folder, "cap-max-tokens");
    let report = try_hook(&cap, Terms::default(), |_| {});
    assert!(!report.is_good);
    assert!(
        report.text.starts_with("does not load\n"),
        "{}",
        report.text
    );
}

#[test]
fn test_holds_its_output_against_a_golden_file() {
    let folder = folder(&[("request.json", REQUEST)]);
    let golden = folder.path().join("golden.txt");
    let arguments = |max: u32, update| test::Arguments {
        file: bundled_file(&folder, "cap-max-tokens"),
        request: Some(folder.path().join("request.json")),
        terms: terms(&format!("{{\"max\":{max}}}"), &[]),
        golden: Some(golden.clone()),
        update,
        ..test::Arguments::default()
    };
    let run = |max, update| arguments(max, update).run();
    let absent = run(1, false).expect_err("there is none yet");
    assert!(absent.ends_with("`--update` writes it"), "{absent}");
    assert!(run(1, true).expect("it is written").is_good);
    assert!(run(1, false).expect("it is there").is_good);
    let other = run(2, false).expect("it is there");
    assert!(!other.is_good);
    let lines: Vec<_> = other.text.lines().rev().take(2).collect();
    assert_eq!(
        lines,
        [
            "+     /max_tokens 64000 -> 2",
            "-     /max_tokens 64000 -> 1"
        ]
    );
}

#[test]
fn test_says_what_is_wrong_with_its_input() {
    let wrong = |text: &str, change: fn(&mut test::Arguments)| {
        let folder = folder(&[("request.json", text), ("events.jsonl", "{}\n")]);
        let mut arguments = test::Arguments {
            file: GUEST_SCRIPTED.into(),
            request: Some(folder.path().join("request.json")),
            ..test::Arguments::default()
        };
        change(&mut arguments);
        if arguments.events.is_some() {
            arguments.events = Some(folder.path().join("events.jsonl"));
        }
        arguments.run().expect_err("something is wrong")
    };
    assert!(wrong("{", |_| {}).starts_with("the request is not JSON: "));
    assert_eq!(
        wrong("{}", |arguments| arguments.stage = Some(Stage::Error)),
        "the hook has no on-error; it has on-request, on-upstream-request, on-stream, on-response"
    );
    let no_kind = wrong("{}", |arguments| arguments.events = Some("".into()));
    assert!(no_kind.ends_with("events.jsonl:1: no `kind`"), "{no_kind}");
    assert!(
        wrong("{}", |arguments| arguments.attribute =
            vec!["mood=1".into()])
        .starts_with("--attribute mood: there is none; there are id, ")
    );
    assert!(wrong("{}", |_| {}).starts_with("the request: "));
}

// === list and lock ===

#[tokio::test]
async fn list_shows_what_the_hooks_of_a_running_gateway_did() {
    let upstream = FakeUpstream::saying("one").await;
    let more =
        "keys: [sk-client]\nhooks: { chain: [ { hook: cap-max-tokens, config: { max: 7 } } ] }\n";
    let gateway = TestGateway::start(&upstream.config(more)).await;
    let body =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let headers = [("x-api-key", "sk-client")];
    let answer = gateway
        .client()
        .post("/v1/messages", &headers, body.to_string())
        .await;
    assert_eq!(answer.text(), "one");
    let url = gateway.url();
    let listed = tokio::task::spawn_blocking(move || {
        (
            books::books(&url, Some("sk-client")),
            books::books(&url, None),
        )
    });
    let (listed, refused) = listed.await.expect("no panic");
    let text = listed.expect("the key is right").text;
    assert!(text.starts_with("cap-max-tokens (bundled)"), "{text}");
    assert!(
        text.contains("on-upstream-request   1 calls, 1 edits"),
        "{text}"
    );
    assert!(refused.is_err_and(|why| why.contains("answered 401")));
}

const CHAIN: &str = "hooks: { chain: [ { hook: scripted, match: { models: [m] }, grants: { prompt: read } }, inject-usage ] }\n";

/// Outside the runtime, as a process of its own would.
fn aside<T: Send>(command: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(command).join()).expect("commands do not panic")
}

fn list_of(folder: &Path) -> Result<String, String> {
    let source = Source::File(folder.join("sluice.yaml"));
    let listed = aside(|| list::list(source, Overrides::default()));
    listed.map(|report| report.text)
}

fn lock_in(folder: &Path) -> String {
    let file = folder.join("sluice.yaml");
    let locked = aside(|| lock::lock(Some(&file), Overrides::default()));
    locked.expect("the chain loads").text
}

#[tokio::test]
async fn a_lock_keeps_out_what_it_does_not_list() {
    let upstream = FakeUpstream::saying("ok").await;
    let config = upstream.config(CHAIN);
    let mut gateway = TestGateway::with_hooks(&config, &[("scripted", GUEST_SCRIPTED)]).await;
    let at = gateway.folder().to_owned();
    let hook = gateway.hook("scripted");

    let listed = list_of(&at).expect("it loads");
    let shown: Vec<_> = listed
        .lines()
        .filter(|line| !line.contains("digest"))
        .map(|line| line.replace(&at.display().to_string(), "."))
        .collect();
    assert_eq!(
        shown,
        [
            "scripted (./hooks/scripted.wasm)",
            "  stages    on-request, on-upstream-request, on-stream, on-response",
            "  grants    {\"prompt\":\"read\"}",
            "  limits    100 ms, 64 MiB, 1024 instances, 10000 calls each, 8 MiB out",
            "  models    m",
            "inject-usage (bundled)",
            "  stages    on-stream",
            "  grants    {}",
            "  limits    100 ms, 64 MiB, 1024 instances, 10000 calls each, 8 MiB out",
        ]
    );

    let state = gateway
        .reload(|at| assert!(lock_in(at).contains("+ scripted (hooks/scripted.wasm) ")))
        .await;
    assert!(state.refused.is_empty(), "{:?}", state.refused);

    // Other bytes, a grant beyond, and a file that was dropped in: each is refused.
    let state = gateway.reload(|_| put(GUEST_MISBEHAVE, &hook)).await;
    assert_refused(&state.refused, "and `hooks.lock` accepted ");
    let answer = gateway.client().ask("m", false).await;
    assert_eq!(answer.text(), "ok", "the running chain runs on");
    let state = gateway
        .reload(|at| {
            put(GUEST_SCRIPTED, &hook);
            let more = config.replace("prompt: read", "prompt: write");
            std::fs::write(at.join("sluice.yaml"), more).expect("it takes a file");
        })
        .await;
    assert_refused(
        &state.refused,
        "does not grant (prompt: write); if it may run",
    );
    let dropped = gateway.hook("dropped");
    let state = gateway
        .reload(|at| {
            std::fs::write(at.join("sluice.yaml"), &config).expect("it takes a file");
            put(sluice_tests::guests::GUEST_TUESDAY, &dropped);
        })
        .await;
    assert_refused(&state.refused, "is not in `hooks.lock`");
    assert!(list_of(&at).is_err_and(|why| why.contains("is not in `hooks.lock`")));

    // The operator accepts it, and the running gateway takes it up.
    let state = gateway
        .reload(|at| assert!(lock_in(at).contains("+ dropped (hooks/dropped.wasm) ")))
        .await;
    assert!(state.refused.is_empty(), "{:?}", state.refused);
    assert!(state.changes.concat().contains("hook `dropped` added"));
}

fn put(wasm: &str, hook: &Path) {
    std::fs::copy(wasm, hook).expect("the component was built");
}

#[track_caller]
fn assert_refused(refused: &[String], why: &str) {
    assert!(refused.concat().contains(why), "{refused:?}");
    assert!(
        refused
            .concat()
            .contains("accept it with `sluice hook lock`"),
        "{refused:?}"
    );
}

#[test]
fn a_lock_has_a_file_to_be_beside() {
    let error = lock::lock(None, Overrides::default()).expect_err("there is no file");
    assert!(error.contains("name one with `--config`"), "{error}");
}

// === new and build ===

#[test]
fn a_new_rust_hook_builds_and_passes_its_test() {
    let folder = folder(&[]);
    let hook = folder.path().join("cool-down");
    new::new("rust", &hook, None).expect("it can be made");
    // The very versions of this workspace, which are there without a network.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::copy(workspace.join("Cargo.lock"), hook.join("Cargo.lock")).expect("a file");
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/new");
    let variables = [("CARGO_TARGET_DIR", target), ("CARGO_NET_OFFLINE", "true")];
    let report = build::build(&hook, &variables).expect("it builds");
    let (wasm, size) = report.text.split_once(": ").expect("a path and a size");
    assert!(wasm.ends_with("cool_down.wasm") && size.ends_with(" bytes"));
    let arguments = test::Arguments {
        file: wasm.into(),
        request: Some(hook.join("tests/request.json")),
        terms: terms(r#"{"max": 0.7}"#, &[]),
        golden: Some(hook.join("tests/expected.txt")),
        ..test::Arguments::default()
    };
    let report = arguments.run().expect("the input is sound");
    assert!(report.is_good, "{}", report.text);

    let again = new::new("rust", &hook, None).expect_err("it is there");
    assert!(again.ends_with("there is something already"), "{again}");
}

#[test]
fn a_new_rust_hook_may_refer_to_the_sdk() {
    let folder = folder(&[]);
    let hook = folder.path().join("cool-down");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hook-sdk");
    new::new("rust", &hook, Some(&sdk)).expect("it can be made");
    let manifest = std::fs::read_to_string(hook.join("Cargo.toml")).expect("text");
    assert!(
        manifest.contains(&format!("path = '{}'", sdk.display())),
        "{manifest}"
    );
    assert!(!hook.join("sdk").exists());
}

#[test]
fn a_recipe_is_followed() {
    let recipe =
        |run: &str| format!("tools: {{ cp: coreutils }}\nrun: [{run}]\noutput: out.wasm\n");
    let made = |run: &str| {
        let folder = folder(&[("hook.yaml", &recipe(run)), ("in.wasm", "12345")]);
        let report = build::build(folder.path(), &[]);
        report.map(|report| {
            report
                .text
                .replace(&folder.path().display().to_string(), ".")
        })
    };
    assert_eq!(
        made("cp in.wasm out.wasm").as_deref(),
        Ok("./out.wasm: 5 bytes")
    );
    let failed = made("cp in.wasm out.wasm, cp absent out.wasm").expect_err("it fails");
    assert!(
        failed.starts_with("`cp absent out.wasm` failed: "),
        "{failed}"
    );
    let nothing = made("cp in.wasm other.wasm").expect_err("no output");
    assert!(
        nothing.starts_with("the tools ended well, and made no "),
        "{nothing}"
    );
}

// === replay ===

/// What a chain changes in a captured call, `client` and `upstream` being members of
/// its file.
#[track_caller]
fn check_replay(chain: &str, call: &serde_json::Value, expected: &str) {
    let config = format!(
        "upstreams: {{ up: {{ base_url: \"http://127.0.0.1:1/v1\" }} }}\nmodels: {{ m: {{ upstream: up, model: m }} }}\n{chain}"
    );
    let files = [
        ("sluice.yaml", config.as_str()),
        ("call.json", &call.to_string()),
    ];
    let folder = folder(&files);
    std::fs::create_dir(folder.path().join("hooks")).expect("it takes a folder");
    put(GUEST_SCRIPTED, &folder.path().join("hooks/scripted.wasm"));
    let source = Source::File(folder.path().join("sluice.yaml"));
    let call = folder.path().join("call.json");
    let report = replay::replay(&call, source, Overrides::default()).expect("it runs");
    assert_eq!(report.text, expected);
}

#[test]
fn replay_shows_what_a_chain_changes() {
    let answer = format!(
        "data: {}\n\ndata: [DONE]\n\n",
        json!({ "choices": [{ "delta": { "content": "one two" }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 2 } })
    );
    let call = json!({
        "request": { "model": "m", "max_tokens": 64000, "stream": true,
            "messages": [{ "role": "user", "content": "hi" }] },
        "upstream": { "headers": [["content-type", "text/event-stream"]], "body": answer },
    });
    check_replay(
        "hooks: { chain: [ { hook: scripted, enabled: false } ] }\n",
        &call,
        "what the upstream gets\n    the same\nwhat the client reads\n    the same",
    );
    check_replay(
        "hooks: { chain: [ { hook: cap-max-tokens, config: { max: 9 } },
          { hook: scripted, grants: { prompt: write }, config: { stream: uppercase } } ] }\n",
        &call,
        r#"what the upstream gets
    /max_tokens 64000 -> 9
what the client reads
    - data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one two"}}
    + data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ONE TWO"}}"#,
    );
}
