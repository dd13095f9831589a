//! A hook is swapped again and again while streams run: no call fails, and every call
//! meets one version of it, from its first stage to its last.
//!
//! `SLUICE_SWAPS=1000 cargo test -p sluice-tests --test e2e swaps -- --nocapture` makes
//! as many swaps, and tells the figures.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use sluice_tests::guests::GUEST_VERSIONED;
use sluice_tests::{Client, FakeUpstream, Recorded, Script, TestGateway, chunk, finish};
use tokio::sync::{mpsc, watch};

/// How many swaps are made where `SLUICE_SWAPS` says nothing.
const SWAPS: usize = 30;

/// Calls at any time: streams, of which each outlives a swap, and whole answers.
const STREAMS: usize = 6;
const WHOLES: usize = 2;

/// The two builds that take turns.
const VERSIONS: [&str; 2] = ["build-aaaa", "build-bbbb"];

/// The component as it was built, and another build of it.
fn builds() -> [Vec<u8>; 2] {
    let [a, b] = VERSIONS.map(str::as_bytes);
    let built = std::fs::read(GUEST_VERSIONED).expect("it was built");
    let mut other = built.clone();
    let mut places = 0;
    for at in 0..=other.len() - a.len() {
        if other[at..].starts_with(a) {
            other[at..at + a.len()].copy_from_slice(b);
            places += 1;
        }
    }
    assert_eq!(places, 1, "its version is in it once");
    [built, other]
}

/// Say which version two stages left in the request: whole, or as a stream that ends
/// after the next swap.
fn echo(request: &Recorded, mut swaps: watch::Receiver<usize>) -> Script {
    let body = request.json();
    let word = |of: &serde_json::Value| format!("{} ", of.as_str().unwrap_or("none"));
    let words = [word(&body["before"]), word(&body["version"])];
    if body["stream"] != true {
        return Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": words.concat() } }] }));
    }
    let (say, said) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        swaps.mark_unchanged();
        let [first, second] = words.map(|word| Ok(chunk(&json!({ "content": word }))));
        // The gateway may have left; then nobody reads, and no test looks here.
        let _ = say.send(first);
        // An error says that no more swaps are made.
        let _ = swaps.changed().await;
        let _ = say.send(second);
        let _ = say.send(Ok(finish("stop")));
    });
    Script::Live(said)
}

/// What callers saw.
#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    /// Calls that met more than one version.
    mixed: usize,
    versions: BTreeSet<String>,
}

/// Call until no more swaps are made, with every swap anew; a call that fails panics.
async fn call(client: Client, stream: bool, mut swaps: watch::Receiver<usize>) -> Seen {
    let mut seen = Seen::default();
    // A stream lasts until the next swap by itself.
    while seen.calls == 0 || is_open(&mut swaps, !stream).await {
        let text = client.ask("m", stream).await.text();
        let marks: Vec<_> = text.split_whitespace().collect();
        assert_eq!(marks.len(), 5, "one of each stage: {text}");
        seen.calls += 1;
        seen.mixed += usize::from(marks.iter().any(|mark| *mark != marks[0]));
        seen.versions.extend(marks.into_iter().map(str::to_owned));
    }
    seen
}

/// Whether more swaps may come; if so, and if asked to, wait for the next.
async fn is_open(swaps: &mut watch::Receiver<usize>, waits: bool) -> bool {
    match waits {
        true => swaps.changed().await.is_ok(),
        false => swaps.has_changed().is_ok(),
    }
}

/// Memory of this process, in MiB; zero where the system does not tell.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Put a build into the gateway's folder, whole at once.
async fn swap(gateway: &mut TestGateway, outside: &Path, build: &[u8]) {
    let next = outside.join("next");
    std::fs::write(&next, build).expect("it takes a file");
    let state = gateway
        .reload(|folder| {
            std::fs::rename(next, folder.join("hooks/versioned.wasm")).expect("one file system");
        })
        .await;
    assert!(state.refused.is_empty(), "{:?}", state.refused);
    assert_eq!(state.changes.len(), 1, "{:?}", state.changes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures, for whoever asks for them")]
async fn every_call_meets_one_version() {
    let asked_for = std::env::var("SLUICE_SWAPS").ok();
    let swaps = asked_for.map_or(SWAPS, |swaps| swaps.parse().expect("a number of swaps"));
    let (made, watched) = watch::channel(0);
    let upstream = FakeUpstream::start(move |request| echo(request, watched.clone())).await;
    // Time in plenty: compiling takes much of a small machine.
    let config = upstream.config(
        "hooks: { chain: [ { hook: versioned, grants: { prompt: write }, limits: { time_ms: 20000 } } ] }\n",
    );
    let mut gateway = TestGateway::with_hooks(&config, &[("versioned", GUEST_VERSIONED)]).await;
    let outside = tempfile::TempDir::new().expect("a temporary folder can be made");
    let builds = builds();

    let (began, before) = (Instant::now(), resident_mib());
    let callers: Vec<_> = (0..STREAMS + WHOLES)
        .map(|n| tokio::spawn(call(gateway.client(), n < STREAMS, made.subscribe())))
        .collect();
    for n in 1..=swaps {
        swap(&mut gateway, outside.path(), &builds[n % 2]).await;
        made.send_replace(n);
    }
    drop(made);
    let mut all = Seen::default();
    for caller in callers {
        let seen = caller.await.expect("no call failed");
        all.calls += seen.calls;
        all.mixed += seen.mixed;
        all.versions.extend(seen.versions);
    }
    println!(
        "{swaps} swaps, {} calls, 0 failed, {} mixed, {:.1} s, {before} MiB before and {} after",
        all.calls,
        all.mixed,
        began.elapsed().as_secs_f64(),
        resident_mib()
    );
    assert_eq!(all.mixed, 0, "{:?}", all.versions);
    assert_eq!(Vec::from_iter(all.versions), VERSIONS);
}
