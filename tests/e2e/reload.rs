//! Files change while calls run.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use sluice::app::ReloadState;
use sluice_tests::guests::{GUEST_CAP_TO_SEVEN, GUEST_MISBEHAVE};
use sluice_tests::{FakeUpstream, TestGateway, chunk, finish, sse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHAIN: &str = "hooks: { chain: [ { hook: cap-max-tokens, config: { max: 100 } } ] }\n";

/// The first piece of an answer.
async fn begun(running: &mut reqwest::Response) -> Vec<u8> {
    let piece = running.chunk().await.expect("it runs");
    piece.expect("it has begun").to_vec()
}

#[tokio::test]
async fn a_running_stream_keeps_its_world_and_the_next_call_gets_the_new_one() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let mut gateway = TestGateway::start(&upstream.config(CHAIN)).await;
    speaker.say(chunk(&json!({ "content": "before" })));
    let mut running = gateway.client().begin("m").await;
    let mut seen = begun(&mut running).await;

    let state = gateway
        .reload(|folder| {
            std::fs::copy(GUEST_CAP_TO_SEVEN, folder.join("hooks/cap-max-tokens.wasm"))
                .expect("a copy");
        })
        .await;
    assert_eq!((state.generation, state.refused.len()), (2, 0));
    assert_eq!(state.changes.len(), 1);
    assert!(
        state.changes[0].starts_with("hook `cap-max-tokens` changed (bundled "),
        "{:?}",
        state.changes
    );

    let renamed = upstream.config(CHAIN).replace("  m:", "  n:");
    let state = gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), renamed).expect("a write"))
        .await;
    assert_eq!(state.generation, 3);
    assert_eq!(
        state.changes,
        ["model `n` added (up/up-m)", "model `m` removed"]
    );

    assert_eq!(gateway.client().ask("m", true).await.status, 404);
    assert_eq!(gateway.client().ask("n", true).await.text(), "ok");
    assert_eq!(upstream.requests()[0].json()["max_tokens"], 100);
    assert_eq!(upstream.last_body()["max_tokens"], 7);

    speaker.say(chunk(&json!({ "content": " after" })));
    speaker.say(finish("stop"));
    seen.extend(running.bytes().await.expect("it ends well"));
    let events = sse(&seen);
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str())
        .collect();
    assert_eq!(text, "before after");
    assert_eq!(events.last().expect("events")["type"], "message_stop");
}

#[tokio::test]
async fn a_stranger_joins_the_chain_and_leaves_it() {
    let upstream = FakeUpstream::saying("ok").await;
    let mut gateway = TestGateway::start(&upstream.config("")).await;
    let dropped = gateway
        .reload(|folder| {
            std::fs::copy(GUEST_CAP_TO_SEVEN, folder.join("hooks/stranger.wasm")).expect("a copy");
        })
        .await;
    assert!(
        dropped.changes[0].starts_with("hook `stranger` added"),
        "{:?}",
        dropped.changes
    );
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 7);

    let removed = gateway
        .reload(|folder| {
            std::fs::remove_file(folder.join("hooks/stranger.wasm")).expect("it is there")
        })
        .await;
    assert_eq!(removed.changes, ["hook `stranger` removed"]);
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 1000);
}

#[tokio::test]
async fn what_is_broken_changes_nothing_and_is_told() {
    let upstream = FakeUpstream::saying("ok").await;
    let mut gateway = TestGateway::start(&upstream.config(CHAIN)).await;
    let sound = upstream.config(CHAIN);
    let write = |text: &'static str| {
        move |folder: &Path| std::fs::write(folder.join("sluice.yaml"), text).expect("a write")
    };

    for (text, said) in [
        ("models: [", "not YAML"),
        ("", "no models"),
        (
            "models: { m: { upstream: gone } }",
            "no upstream named `gone`",
        ),
        (
            "models: {}\nhooks: { chain: [gone] }",
            "no bundled hook named `gone`",
        ),
    ] {
        let state = gateway.reload(write(text)).await;
        assert_eq!(state.generation, 1, "{text}");
        assert!(
            state.refused.concat().contains(said),
            "{text}: {:?}",
            state.refused
        );
        assert_eq!(gateway.client().ask("m", false).await.status, 200, "{text}");
    }
    let state = gateway
        .reload(|folder| std::fs::remove_file(folder.join("sluice.yaml")).expect("it is there"))
        .await;
    assert!(
        state.refused.concat().contains("cannot be read"),
        "{:?}",
        state.refused
    );
    // As it was: nothing changes, and nothing is refused any more.
    let state = gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), &sound).expect("a write"))
        .await;
    assert_eq!((state.generation, state.refused.len()), (2, 0));

    let state = gateway
        .reload(|folder| {
            std::fs::write(folder.join("hooks/cap-max-tokens.wasm"), "half").expect("a write")
        })
        .await;
    assert!(
        state.refused.concat().contains("no WebAssembly component"),
        "{:?}",
        state.refused
    );
    gateway.client().ask("m", false).await;
    assert_eq!(
        upstream.last_body()["max_tokens"],
        100,
        "the bundled one runs on"
    );
}

#[tokio::test]
async fn every_mistake_is_told_in_one_run() {
    let config = "lisen: x
models: { m: { upstream: gone } }
hooks: { chain: [ cap-max-token, { hook: redakt, enabled: false } ] }
";
    let refused = TestGateway::try_start(config, &[]).await;
    let said = refused.expect_err("three mistakes").to_string();
    for (line, mistake) in [
        ("sluice.yaml:1: lisen: ", "did you mean `listen`?"),
        ("sluice.yaml:2: models.m", "no upstream named `gone`"),
        (
            "sluice.yaml:3: hooks.chain[0]",
            "no bundled hook named `cap-max-token`",
        ),
    ] {
        let told = said
            .lines()
            .any(|it| it.contains(line) && it.contains(mistake));
        assert!(told, "no `{line}` `{mistake}` in\n{said}");
    }
    assert!(said.ends_with("\n3 errors"), "{said}");
}

#[tokio::test]
async fn every_way_to_save_a_file_works() {
    let upstream = FakeUpstream::saying("ok").await;
    let config = |name: &str| upstream.config("").replace("  m:", &format!("  {name}:"));
    let mut gateway = TestGateway::start(&config("a")).await;

    let text = config("b");
    let state = gateway
        .reload(|folder| {
            std::fs::write(folder.join("sluice.yaml"), &text).expect("truncate and write")
        })
        .await;
    assert!(
        state
            .changes
            .contains(&"model `b` added (up/up-m)".to_owned()),
        "{:?}",
        state.changes
    );

    let text = config("c");
    let state = gateway
        .reload(|folder| {
            std::fs::write(folder.join(".sluice.yaml.swp"), &text).expect("a write");
            std::fs::rename(folder.join(".sluice.yaml.swp"), folder.join("sluice.yaml"))
                .expect("a rename");
        })
        .await;
    assert!(
        state
            .changes
            .contains(&"model `c` added (up/up-m)".to_owned()),
        "{:?}",
        state.changes
    );

    let text = config("d");
    let state = gateway
        .reload(|folder| {
            std::fs::rename(folder.join("sluice.yaml"), folder.join("sluice.yaml~"))
                .expect("a rename");
            std::fs::write(folder.join("sluice.yaml"), &text).expect("a write");
        })
        .await;
    assert!(
        state
            .changes
            .contains(&"model `d` added (up/up-m)".to_owned()),
        "{:?}",
        state.changes
    );
}

/// As far as the system tells that a writer has a file open.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_being_written_is_waited_for() {
    let upstream = FakeUpstream::saying("ok").await;
    let keys = "keys: [{ name: ann, key: sk-ann }]\nkeys_file: keys.yaml\ninclude: [more.yaml]\n";
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().to_owned();
    std::fs::create_dir(path.join("hooks")).expect("a folder");
    let component = std::fs::read(GUEST_CAP_TO_SEVEN).expect("it was built");
    for (name, text) in [
        ("sluice.yaml", upstream.config(keys)),
        ("more.yaml", "models: { n: { upstream: up } }\n".to_owned()),
        ("keys.yaml", "- { name: bob, key: sk-bob }\n".to_owned()),
    ] {
        std::fs::write(path.join(name), text).expect("a write");
    }
    let mut gateway = TestGateway::in_folder(folder, "sluice.yaml")
        .await
        .expect("it starts");

    // Of each but the last the first half is sound by itself.
    let halves = [upstream.config(""), format!("{keys}default: m\n")];
    let files: [(&str, &[u8], &[u8]); 4] = [
        ("sluice.yaml", halves[0].as_bytes(), halves[1].as_bytes()),
        (
            "more.yaml",
            b"models:\n",
            b"  n: { upstream: up }\n  o: n\n",
        ),
        (
            "keys.yaml",
            b"- { name: eve, key: sk-eve }\n",
            b"- { name: bob, key: sk-bob }\n",
        ),
        ("hooks/cap.wasm", &component[..8], &component[8..]),
    ];
    for (at, (name, first, second)) in files.into_iter().enumerate() {
        let file = path.join(name);
        let mut writer = std::fs::File::create(&file).expect("it can be opened");
        let state = gateway
            .waits(|_| writer.write_all(first).expect("a write"))
            .await;
        assert_eq!(state.being_written, [file], "{name}");
        assert_eq!(state.generation, 1 + at as u64, "{name}");
        let state = gateway
            .reload(|_| {
                writer.write_all(second).expect("a write");
                drop(writer);
            })
            .await;
        assert_eq!(
            state.generation,
            2 + at as u64,
            "{name}: {:?}",
            state.refused
        );
        assert!(!state.changes.is_empty(), "{name}");
        assert_eq!(gateway.client().ask("m", false).await.status, 401, "{name}");
    }
}

#[tokio::test]
async fn the_last_key_goes_only_by_word() {
    let upstream = FakeUpstream::saying("ok").await;
    let with = |keys: &str| upstream.config(keys);
    let mut gateway = TestGateway::start(&with("keys: [sk-one]\n")).await;
    let write = |text: String| {
        move |folder: &Path| std::fs::write(folder.join("sluice.yaml"), text).expect("a write")
    };
    for without in ["", "keys:\n"] {
        let state = gateway.reload(write(with(without))).await;
        assert_eq!(state.generation, 1, "{without}");
        let said = state.refused.concat();
        assert!(said.contains("keys: none are left"), "{said}");
        assert!(said.contains("write `keys: []`"), "{said}");
        assert_eq!(gateway.client().ask("m", false).await.status, 401);
    }
    let state = gateway.reload(write(with("keys: []\n"))).await;
    assert_eq!((state.generation, state.refused.len()), (2, 0));
    assert_eq!(gateway.client().ask("m", false).await.status, 200);
}

/// Kubernetes mounts a config map as `..data -> ..generation`, with each file a
/// link into it, and changes it by renaming a new `..data` over the old one.
#[cfg(unix)]
#[tokio::test]
async fn a_config_map_is_swapped() {
    use std::os::unix::fs::symlink;
    let upstream = FakeUpstream::saying("ok").await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path();
    let generation = |name: &str, model: &str| {
        let text = upstream.config("").replace("  m:", &format!("  {model}:"));
        std::fs::create_dir(path.join(name)).expect("a folder");
        std::fs::write(path.join(name).join("sluice.yaml"), text).expect("a write");
    };
    generation("..1", "a");
    generation("..2", "b");
    symlink("..1", path.join("..data")).expect("a link");
    symlink("..data/sluice.yaml", path.join("sluice.yaml")).expect("a link");
    let mut gateway = TestGateway::in_folder(folder, "sluice.yaml")
        .await
        .expect("it starts");
    assert_eq!(gateway.client().ask("a", false).await.status, 200);
    let state = gateway
        .reload(|folder| {
            symlink("..2", folder.join("..tmp")).expect("a link");
            std::fs::rename(folder.join("..tmp"), folder.join("..data")).expect("a rename");
        })
        .await;
    assert_eq!(
        state.changes,
        ["model `b` added (up/up-m)", "model `a` removed"]
    );
    assert_eq!(gateway.client().ask("b", false).await.status, 200);
}

#[tokio::test]
async fn a_hook_that_turns_bad_is_replaced_live() {
    let upstream = FakeUpstream::saying("ok").await;
    let chain = "hooks: { chain: [ { hook: fix, limits: { time_ms: 50 } } ] }\n";
    let mut gateway =
        TestGateway::with_hooks(&upstream.config(chain), &[("fix", GUEST_MISBEHAVE)]).await;
    assert_eq!(gateway.client().ask("m", false).await.status, 500);
    gateway
        .reload(|folder| {
            std::fs::copy(GUEST_CAP_TO_SEVEN, folder.join("hooks/fix.wasm")).expect("a copy");
        })
        .await;
    assert_eq!(gateway.client().ask("m", false).await.status, 200);
}

#[tokio::test]
async fn a_file_that_never_rests_beside_it_hides_no_change() {
    let upstream = FakeUpstream::saying("ok").await;
    let mut gateway = TestGateway::start(&upstream.config("")).await;
    let log = gateway.folder().join("sluice.log");
    let writing = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let mut file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(&log);
            let file = file.as_mut().expect("the folder is there");
            std::io::Write::write_all(file, b"a line\n").expect("it can be written");
        }
    });
    let changed = upstream.config("").replace("  m:", "  n:");
    gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), changed).expect("a write"))
        .await;
    writing.abort();
    assert_eq!(gateway.client().ask("n", false).await.status, 200);
}

#[tokio::test]
async fn rows_of_ones_own_join_the_catalogue_live() {
    let upstream = FakeUpstream::saying("ok").await;
    let row = |accent: &str| {
        let url = upstream.url();
        format!("house: {{ base_url: \"{url}\", accent: {accent}, source: own }}\n")
    };
    let folder = tempfile::TempDir::new().expect("a folder");
    let config = "providers: own.yaml\nupstreams: { h: { provider: house } }\nmodels: { m: { upstream: h } }\n";
    std::fs::write(folder.path().join("sluice.yaml"), config).expect("a write");
    std::fs::write(folder.path().join("own.yaml"), row("{}")).expect("a write");
    let mut gateway = TestGateway::in_folder(folder, "sluice.yaml")
        .await
        .expect("it starts");
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_tokens"], 1000);

    let changed = row("{ output_limit: max_completion_tokens }");
    gateway
        .reload(|folder| std::fs::write(folder.join("own.yaml"), changed).expect("a write"))
        .await;
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_completion_tokens"], 1000);

    let wrong = row("{ output_limit: tokens }");
    let state = gateway
        .reload(|folder| std::fs::write(folder.join("own.yaml"), wrong).expect("a write"))
        .await;
    let said = state.refused.concat();
    assert!(
        said.contains("sluice.yaml:1: providers: ") && said.contains("house.accent: "),
        "{said}"
    );
    gateway.client().ask("m", false).await;
    assert_eq!(upstream.last_body()["max_completion_tokens"], 1000);
}

#[tokio::test]
async fn included_files_are_followed_as_they_come_change_and_go() {
    let (upstream, _speaker) = FakeUpstream::live().await;
    let config = format!("include: [models/*.yaml]\n{}", upstream.config(""));
    let mut gateway = TestGateway::start(&config).await;
    let state = gateway
        .reload(|folder| {
            std::fs::create_dir(folder.join("models")).expect("a folder");
            let text = "models: { n: { upstream: up } }";
            std::fs::write(folder.join("models/n.yaml"), text).expect("a write");
        })
        .await;
    assert_eq!(state.changes, ["model `n` added (up/n)"]);
    let state = gateway
        .reload(|folder| {
            let text = "models: { m: { upstream: up } }";
            std::fs::write(folder.join("models/o.yaml"), text).expect("a write");
        })
        .await;
    assert_eq!(state.generation, 2);
    assert!(
        state.refused[0].contains("o.yaml:1: models.m: stands in `"),
        "{:?}",
        state.refused
    );
    let state = gateway
        .reload(|folder| {
            std::fs::remove_file(folder.join("models/o.yaml")).expect("it was there");
            std::fs::remove_file(folder.join("models/n.yaml")).expect("it was there");
        })
        .await;
    assert_eq!(state.changes, ["model `n` removed"]);
}

#[tokio::test]
async fn the_operator_reads_what_is_in_use_and_asks_for_a_reload() {
    let (upstream, _speaker) = FakeUpstream::live().await;
    let mut gateway = TestGateway::start(&upstream.config("")).await;
    let client = gateway.client();
    let report = async || client.request("GET", "/admin/config", &[]).await.json();
    let first = report().await;
    assert_eq!(first["generation"], 1);
    assert_eq!(first["digest"].as_str().map(str::len), Some(64));
    assert!(first["last_refusal"].is_null(), "{first}");

    let state = gateway.reload_on_demand().await;
    assert_eq!((state.generation, state.changes.len()), (2, 0));
    assert_eq!(report().await["digest"], first["digest"]);

    let write = |text: String| {
        move |folder: &Path| std::fs::write(folder.join("sluice.yaml"), text).expect("a write")
    };
    gateway.reload(write(upstream.config("lisen: x"))).await;
    let refused = report().await;
    assert_eq!(refused["generation"], 2);
    let refusal = &refused["last_refusal"];
    let finding = refusal["findings"][0].as_str().unwrap_or_default();
    assert!(finding.contains("did you mean `listen`?"), "{refused}");
    assert_eq!(refusal["stands"], true);

    gateway.reload(write(upstream.config("default: m"))).await;
    let mended = report().await;
    assert_eq!(mended["generation"], 3);
    assert_eq!(
        mended["changes"],
        json!(["model `default` added (up/up-m)"])
    );
    assert_eq!(mended["last_refusal"]["stands"], false);
    assert_ne!(mended["digest"], first["digest"]);

    // What is secret, or long, is told to have changed.
    let text = upstream.config("keys: [sk-new]\nlimits: { calls_max: 5 }");
    let text = text.replace("sk-upstream-secret", "sk-other");
    let state = gateway.reload(write(text)).await;
    assert_eq!(
        state.changes,
        [
            "upstream `up` changed",
            "model `default` removed",
            "setting `keys` changed (0 of them -> 1 of them)",
            "setting `limits` changed",
        ]
    );
}

// === where it listens ===

/// Where no other test binds a port that was free a moment ago; elsewhere than on Linux
/// this machine has but one address that is sure.
const OWN_IP: &str = if cfg!(target_os = "linux") {
    "127.0.0.9"
} else {
    "127.0.0.1"
};

/// An address that was free a moment ago.
fn free(ip: &str) -> String {
    let listener = std::net::TcpListener::bind((ip, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A configuration that listens on `addr`.
fn at(upstream: &FakeUpstream, addr: &str) -> String {
    upstream.config(&format!("listen: \"{addr}\"\nkeys: [sk-of-the-test]\n"))
}

async fn move_to(gateway: &mut TestGateway, upstream: &FakeUpstream, addr: &str) -> ReloadState {
    let text = at(upstream, addr);
    gateway
        .reload(|folder| std::fs::write(folder.join("sluice.yaml"), text).expect("a write"))
        .await
}

/// The status of a call by way of `addr`; none if nobody listens there.
async fn status(addr: &str) -> Option<u16> {
    let http = reqwest::Client::builder().no_proxy().build();
    let http = http.expect("a client needs nothing");
    let body =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let asked = http.post(format!("http://{addr}/v1/messages"));
    let asked = asked.header("x-api-key", "sk-of-the-test").json(&body);
    asked
        .send()
        .await
        .ok()
        .map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn another_address_takes_over_and_calls_on_the_old_one_end_whole() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let (old, new) = (free(OWN_IP), free(OWN_IP));
    let mut gateway = TestGateway::listening(&at(&upstream, &old)).await;
    let gateway = gateway.as_mut().expect("it starts");
    let client = gateway.client().with_key("sk-of-the-test");
    speaker.say(chunk(&json!({ "content": "before" })));
    let mut running = client.begin("m").await;
    let mut seen = begun(&mut running).await;
    // Connections of those who have nothing to say at the moment.
    let mut idle = tokio::net::TcpStream::connect(&old)
        .await
        .expect("it listens");
    let mut kept = tokio::net::TcpStream::connect(&old)
        .await
        .expect("it listens");
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("a write");
    let mut head = [0; 12];
    kept.read_exact(&mut head).await.expect("an answer");

    let state = move_to(gateway, &upstream, &new).await;
    assert_eq!(
        state.changes,
        [format!("setting `listen` changed ({old} -> {new})")]
    );
    assert_eq!(gateway.url(), format!("http://{new}"));
    assert_eq!(status(&new).await, Some(200));
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.expect("it is closed");
    idle.read_to_end(&mut rest).await.expect("it is closed");
    assert_eq!(status(&old).await, None);

    speaker.say(chunk(&json!({ "content": " after" })));
    speaker.say(finish("stop"));
    seen.extend(running.bytes().await.expect("it ends well"));
    let events = sse(&seen);
    assert_eq!(events.last().expect("events")["type"], "message_stop");
}

#[tokio::test]
async fn an_address_that_is_taken_changes_nothing() {
    let upstream = FakeUpstream::saying("ok").await;
    let occupant = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = occupant.local_addr().expect("it is bound").to_string();
    let old = free(OWN_IP);
    let mut gateway = TestGateway::listening(&at(&upstream, &old))
        .await
        .expect("it starts");

    let state = move_to(&mut gateway, &upstream, &taken).await;
    assert_eq!(state.generation, 1);
    let refused = state.refused.concat();
    for said in [
        "sluice.yaml:5: listen: ",
        &format!("cannot listen on `{taken}`"),
        "free it or name another one",
    ] {
        assert!(refused.contains(said), "no `{said}` in {refused}");
    }
    assert_eq!(status(&old).await, Some(200));

    // Once it is free, the same file will do.
    drop(occupant);
    let state = gateway.reload_on_demand().await;
    assert_eq!((state.generation, state.refused.len()), (2, 0));
    assert_eq!(
        (status(&taken).await, status(&old).await),
        (Some(200), None)
    );
}

#[tokio::test]
async fn it_moves_back_and_forth() {
    let upstream = FakeUpstream::saying("ok").await;
    let addrs = [free(OWN_IP), free(OWN_IP)];
    let mut gateway = TestGateway::listening(&at(&upstream, &addrs[0]))
        .await
        .expect("it starts");
    for turn in 1..6 {
        let (new, old) = (&addrs[turn % 2], &addrs[(turn + 1) % 2]);
        let state = move_to(&mut gateway, &upstream, new).await;
        assert_eq!(
            (state.generation, state.refused.len()),
            (turn as u64 + 1, 0)
        );
        assert_eq!((status(new).await, status(old).await), (Some(200), None));
    }
}

/// Of one port, both cannot be bound at once.
#[tokio::test]
async fn one_port_is_handed_over_between_loopback_and_all_interfaces() {
    let (upstream, speaker) = FakeUpstream::live().await;
    let loopback = free("0.0.0.0").replace("0.0.0.0", "127.0.0.1");
    let all = loopback.replace("127.0.0.1", "0.0.0.0");
    let mut gateway = TestGateway::listening(&at(&upstream, &loopback))
        .await
        .expect("it starts");
    let client = gateway.client().with_key("sk-of-the-test");
    speaker.say(chunk(&json!({ "content": "here is " })));
    let running = client.begin("m").await;
    for addr in [&all, &loopback, &all] {
        let state = move_to(&mut gateway, &upstream, addr).await;
        assert_eq!(state.refused, Vec::<String>::new());
        assert_eq!(gateway.url(), format!("http://{addr}"));
        assert_eq!(status(&loopback).await, Some(200));
    }
    for piece in sluice_tests::text_stream("all of it") {
        speaker.say(piece);
    }
    let seen = running.bytes().await.expect("it ends well");
    assert_eq!(sse(&seen).last().expect("events")["type"], "message_stop");
}

/// Only there is all of 127.0.0.0/8 this machine's without being set up.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_given_up_for_an_address_that_is_taken_is_bound_again() {
    let upstream = FakeUpstream::saying("ok").await;
    let old = free("0.0.0.0").replace("0.0.0.0", "127.0.0.1");
    let all = old.replace("127.0.0.1", "0.0.0.0");
    let _occupant = std::net::TcpListener::bind(old.replace("127.0.0.1", "127.0.0.2"));
    let mut gateway = TestGateway::listening(&at(&upstream, &old))
        .await
        .expect("it starts");
    let state = move_to(&mut gateway, &upstream, &all).await;
    assert_eq!(state.generation, 1);
    assert!(
        state
            .refused
            .concat()
            .contains(&format!("cannot listen on `{all}`")),
        "{:?}",
        state.refused
    );
    assert_eq!(gateway.url(), format!("http://{old}"));
    assert_eq!(status(&old).await, Some(200));
}

#[tokio::test]
async fn the_command_line_pins_the_address() {
    let upstream = FakeUpstream::saying("ok").await;
    let elsewhere = free(OWN_IP);
    let mut gateway = TestGateway::start(&at(&upstream, "127.0.0.1:1")).await;
    let url = gateway.url();
    let state = move_to(&mut gateway, &upstream, &elsewhere).await;
    assert_eq!((state.refused.len(), state.changes.len()), (0, 0));
    assert_eq!((gateway.url(), status(&elsewhere).await), (url, None));
}
