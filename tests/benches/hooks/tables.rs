//! The tables.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use sluice_tests::guests::REDACT_RUST;
use sluice_tests::process::{Process, Setup};
use tempfile::TempDir;

use crate::chains::Chain;
use crate::load::{Client, PACED_PIECES, PIECES, request};

/// Turns that each gateway has.
const TURNS: usize = 40;

/// Calls in a turn.
const CALLS: usize = 50;

/// Streams at once where each piece comes alone.
const PACED_STREAMS: usize = 8;

/// Turns where each takes half a second.
const PACED_TURNS: usize = 10;

/// Streams at once that are held, to see what each keeps in memory.
const HELD: usize = 200;

/// A gateway with this chain.
fn start(chain: &Chain, upstream: SocketAddr, cache: &Path) -> Process {
    Process::start(&Setup {
        hooks: &chain.files,
        ..Setup::new(&chain.config(upstream), cache)
    })
}

/// The URL of its Messages endpoint.
fn messages(gateway: &Process) -> String {
    format!("{}/v1/messages", gateway.url())
}

/// One gateway of those that take turns.
struct Contender {
    name: String,
    gateway: Process,
    /// Of each turn, us of CPU time a call.
    cpu_us: Vec<f64>,
    /// Of each call, us.
    times_us: Vec<f64>,
}

impl Contender {
    fn start(chain: &Chain, upstream: SocketAddr, cache: &Path) -> Self {
        Self {
            name: chain.name.clone(),
            gateway: start(chain, upstream, cache),
            cpu_us: Vec::new(),
            times_us: Vec::new(),
        }
    }

    async fn turn(&mut self, client: &Client, body: &Bytes, at_once: usize, rounds: usize) {
        let url = messages(&self.gateway);
        let before = self.gateway.cpu_us();
        for _ in 0..rounds {
            let calls = (0..at_once).map(|_| client.call(&url, body));
            self.times_us
                .extend(futures_util::future::join_all(calls).await);
        }
        let used = self.gateway.cpu_us() - before;
        self.cpu_us.push(used / (at_once * rounds) as f64);
    }
}

/// Let each of `chains` serve `turns` turns, after one that warms it up.
async fn contest(
    chains: &[Chain],
    upstream: SocketAddr,
    body: &Bytes,
    (turns, at_once, rounds): (usize, usize, usize),
) -> Vec<Contender> {
    let cache = TempDir::new().expect("a temporary folder can be made");
    let client = Client::new();
    let mut contenders: Vec<_> = chains
        .iter()
        .map(|chain| Contender::start(chain, upstream, cache.path()))
        .collect();
    for turn in 0..=turns {
        for contender in &mut contenders {
            contender.turn(&client, body, at_once, rounds).await;
            if turn == 0 {
                contender.cpu_us.clear();
                contender.times_us.clear();
            }
        }
    }
    contenders
}

/// The value below which the share `part` of `values` lies.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The median of what `with` has more than `without`, turn by turn: what slows the
/// machine down for a while slows both.
fn added(with: &[f64], without: &[f64]) -> f64 {
    let differences: Vec<_> = with.iter().zip(without).map(|(a, b)| a - b).collect();
    median(&differences)
}

// === calls ===

/// Whole calls through bundled hooks.
pub(crate) async fn calls(upstream: SocketAddr) {
    println!("\n## A streamed call of {PIECES} events, one at a time, through bundled hooks\n");
    println!("| request | chain | CPU us | added | p50 us | added | p99 us | added |");
    println!("|---|---|---|---|---|---|---|---|");
    for (label, size) in [("2 KB", 2_048), ("172 KB", 172 << 10)] {
        let chains = [0, 1, 4, 10].map(Chain::bundled);
        let body = request("all", size);
        let contenders = contest(&chains, upstream, &body, (TURNS, 1, CALLS)).await;
        let base = &contenders[0];
        for it in &contenders {
            let times = |it: &Contender, part| quantile(&it.times_us, part);
            println!(
                "| {label} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
                it.name,
                median(&it.cpu_us),
                added(&it.cpu_us, &base.cpu_us),
                times(it, 0.5),
                times(it, 0.5) - times(base, 0.5),
                times(it, 0.99),
                times(it, 0.99) - times(base, 0.99),
            );
        }
    }
}

// === telemetry ===

/// What telling a collector costs a call, sending included.
pub(crate) async fn telemetry(upstream: SocketAddr) {
    println!("\n## CPU us of a streamed call of {PIECES} events, and added by telemetry\n");
    println!("| request | telemetry | CPU us | added |");
    println!("|---|---|---|---|");
    for (label, size) in [("2 KB", 2_048), ("172 KB", 172 << 10)] {
        let chains = [
            Chain::none(),
            Chain::told("every call", "sampling_ratio: 1"),
            Chain::told("one in a hundred", "sampling_ratio: 0.01"),
            Chain::told("every call, with prompts", "prompts: true"),
        ];
        let body = request("all", size);
        let contenders = contest(&chains, upstream, &body, (TURNS, 1, CALLS)).await;
        let base = &contenders[0].cpu_us;
        for it in &contenders {
            let (cpu_us, more) = (median(&it.cpu_us), added(&it.cpu_us, base));
            println!("| {label} | {} | {cpu_us:.0} | {more:.0} |", it.name);
        }
    }
}

// === events ===

/// What an event of a stream costs, come alone and together with others.
pub(crate) async fn events(upstream: SocketAddr) {
    println!("\n## CPU us an event, and added by each hook\n");
    println!("| events | chain | us an event | added by each hook |");
    println!("|---|---|---|---|");
    let plans = [
        (
            "alone",
            "paced",
            PACED_PIECES,
            (PACED_TURNS, PACED_STREAMS, 1),
        ),
        ("together", "all", PIECES, (TURNS, 1, CALLS)),
    ];
    for (label, model, pieces, plan) in plans {
        let chains = [
            (0, Chain::none()),
            (1, Chain::onlookers(1)),
            (4, Chain::onlookers(4)),
            (1, Chain::redactors(1)),
            (4, Chain::redactors(4)),
        ];
        let (counts, chains): (Vec<usize>, Vec<_>) = chains.into_iter().unzip();
        let contenders = contest(&chains, upstream, &request(model, 2_048), plan).await;
        let base = &contenders[0];
        for (it, hooks) in contenders.iter().zip(counts) {
            let more = added(&it.cpu_us, &base.cpu_us) / (pieces * hooks.max(1)) as f64;
            let each = median(&it.cpu_us) / pieces as f64;
            println!("| {label} | {} | {each:.2} | {more:.2} |", it.name);
        }
    }
}

// === languages ===

/// The example in the languages at hand: its name, and its component.
fn examples() -> Vec<(String, &'static Path)> {
    let mut examples = vec![("rust".to_owned(), Path::new(REDACT_RUST))];
    let Some(folder) = std::env::var_os("SLUICE_LANGUAGES") else {
        return examples;
    };
    for language in ["c", "go", "javascript", "python"] {
        let wasm = Path::new(&folder).join(format!("redact-{language}.wasm"));
        // A path of the program's whole life, like those of the guests.
        let wasm: &'static Path = Box::leak(wasm.into_boxed_path());
        examples.push((language.to_owned(), wasm));
    }
    examples
}

/// One hook in several languages: how long it loads, and what a call costs.
pub(crate) async fn languages(upstream: SocketAddr) {
    let examples = examples();
    println!("\n## One hook by language: ms until the gateway listens, CPU us added to a call\n");
    println!("| language | KB | first start | later starts | warm call | fresh instance |");
    println!("|---|---|---|---|---|---|");
    let mut chains = vec![Chain::none()];
    for (language, wasm) in &examples {
        chains.push(Chain::example(language, wasm, ""));
        chains.push(Chain::example(language, wasm, ", isolation: call"));
    }
    let body = request("all", 2_048);
    let calls = contest(&chains, upstream, &body, (TURNS / 2, 1, CALLS / 2)).await;
    let none = start_ms(&chains[0], upstream);
    println!("| (none) | | {:.0} | {:.0} | | |", none.0, none.1);
    for (at, (language, wasm)) in examples.iter().enumerate() {
        let kb = std::fs::metadata(wasm).expect("it was built").len() / 1_000;
        let (first, later) = start_ms(&chains[1 + 2 * at], upstream);
        let more = |it: &Contender| added(&it.cpu_us, &calls[0].cpu_us);
        println!(
            "| {language} | {kb} | {first:.0} | {later:.0} | {:.0} | {:.0} |",
            more(&calls[1 + 2 * at]),
            more(&calls[2 + 2 * at])
        );
    }
}

/// How long a start takes with nothing compiled yet, and after that, in ms.
fn start_ms(chain: &Chain, upstream: SocketAddr) -> (f64, f64) {
    let cache = TempDir::new().expect("a temporary folder can be made");
    let time = || {
        let gateway = start(chain, upstream, cache.path());
        gateway.started_in.as_secs_f64() * 1e3
    };
    let first = time();
    (first, median(&[time(), time(), time()]))
}

// === memory ===

/// What a stream keeps in memory, with the instance that watches it.
pub(crate) async fn memory(upstream: SocketAddr) {
    println!("\n## Resident KiB of each of {HELD} streams at once\n");
    println!("| hook | a stream | of it the instance |");
    println!("|---|---|---|");
    let none = held_kib(&Chain::none(), upstream).await;
    println!("| (none) | {none:.0} | |");
    for (language, wasm) in examples() {
        let kib = held_kib(&Chain::example(&language, wasm, ""), upstream).await;
        println!("| {language} | {kib:.0} | {:.0} |", kib - none);
    }
}

async fn held_kib(chain: &Chain, upstream: SocketAddr) -> f64 {
    let cache = TempDir::new().expect("a temporary folder can be made");
    let gateway = start(chain, upstream, cache.path());
    let (client, url) = (Client::new(), messages(&gateway));
    let body = request("held", 2_048);
    let _warm = client.hold(&url, &body).await;
    let before = gateway.memory_kib();
    let mut held = Vec::new();
    for _ in 0..HELD {
        held.push(client.hold(&url, &body).await);
    }
    (gateway.memory_kib() - before) / HELD as f64
}
