//! Many slow streams at once, without hooks, with those of the embedded default, and with
//! one that looks at every piece: none may be cut, all must come whole and in order. What
//! each keeps in memory and costs in CPU time is reported, and how late its pieces come.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_codec::sse::FrameReader;
use sluice_tests::ending::{Ending, Taken, Tongue};
use sluice_tests::guests::GUEST_ONLOOKER;
use sluice_tests::process::{Log, Process, Setup};
use sluice_tests::{FakeUpstream, Recorded, Script, chunk, finish};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::caller::{Ask, Caller};
use crate::report::{Report, panics, spread};
use crate::settings::Settings;
use crate::watch::Sample;

/// Time between two pieces of a stream.
const PACE: Duration = Duration::from_secs(1);

/// Time between the beginnings of two streams.
const APART: Duration = Duration::from_millis(5);

/// The chain of the embedded default.
const DEFAULT: &str = "
    - { hook: drop-params, config: { params: [user] } }
    - { hook: cap-max-tokens, config: { max: 8192 } }
    - { hook: force-stream, config: { usage: false } }
    - inject-usage";

const ONLOOKER: &str = "
    - { hook: onlooker, grants: { prompt: read }, limits: { instances_max: 100000 } }";

pub(crate) async fn run(settings: &Settings) -> ExitCode {
    let mut report = Report::new("Slow streams");
    let epoch = Instant::now();
    let events = settings.events;
    let upstream = FakeUpstream::start(move |request| count(request, events, epoch)).await;
    for (name, chain) in [
        ("no hooks", " []"),
        ("the four of the embedded default", DEFAULT),
        ("one that looks at every piece", ONLOOKER),
    ] {
        report.figure("hooks", name);
        at_once(&mut report, settings, &upstream, chain, epoch).await;
    }
    report.end()
}

/// Count to `events` at the pace, and say when each number was said, in us.
fn count(request: &Recorded, events: usize, epoch: Instant) -> Script {
    if request.json()["model"] == "warm" {
        return Script::Pieces(vec![chunk(&json!({ "content": "0@0;" })), finish("stop")]);
    }
    let (say, said) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0..events {
            let us = epoch.elapsed().as_micros();
            let piece = chunk(&json!({ "content": format!("{number}@{us};") }));
            // Nobody may listen any more; the client's end shows it.
            let _ = say.send(Ok(piece));
            tokio::time::sleep(PACE).await;
        }
        let _ = say.send(Ok(finish("stop")));
    });
    Script::Live(said)
}

async fn at_once(
    report: &mut Report,
    settings: &Settings,
    upstream: &FakeUpstream,
    chain: &str,
    epoch: Instant,
) {
    let cache = tempfile::TempDir::new().expect("a temporary folder can be made");
    let streams = settings.streams;
    let config = format!(
        "limits: {{ calls_max: {} }}\nupstreams: {{ up: {{ base_url: \"{}\" }} }}\nmodels: {{ \"*\": {{ upstream: up, model: \"*\" }} }}\nhooks:\n  folder: hooks\n  chain:{chain}\n",
        streams * 2,
        upstream.url()
    );
    let hooks = match chain.contains("onlooker") {
        true => vec![("onlooker".to_owned(), Path::new(GUEST_ONLOOKER))],
        false => Vec::new(),
    };
    let gateway = Process::start(&Setup {
        program: settings.sluice.as_deref(),
        hooks: &hooks,
        log: Log::Kept,
        ..Setup::new(&config, cache.path())
    });
    let caller = Caller::new(gateway.url(), "none");
    caller.call(ask("warm", Tongue::Messages)).await;

    let (before, cpu, began) = (Sample::of(&gateway), gateway.cpu_us(), Instant::now());
    let mut running = JoinSet::new();
    for number in 0..streams {
        let tongue = Tongue::ALL[number % 2];
        running.spawn(listen(caller.clone(), tongue, settings.events, epoch));
        tokio::time::sleep(APART).await;
    }
    tokio::time::sleep(PACE * settings.events as u32 / 2).await;
    let amid = Sample::of(&gateway);
    let (mut wrong, mut late) = (Vec::new(), Vec::new());
    while let Some(heard) = running.join_next().await {
        let heard = heard.expect("listening does not fail");
        wrong.extend(heard.wrong);
        late.extend(heard.late_ms);
    }
    let (cpu, took) = (gateway.cpu_us() - cpu, began.elapsed().as_secs_f64());
    let of = |sum: f64| sum / streams as f64;
    let mib = amid.rss_mib - before.rss_mib;
    report.figure("streams at once", &streams.to_string());
    report.figure(
        "resident memory",
        &format!(
            "{:.1} MiB before, {mib:+.1} amid, {:.0} KiB a stream",
            before.rss_mib,
            of(mib * 1024.0)
        ),
    );
    report.figure(
        "CPU time",
        &format!(
            "{:.1} ms a stream, {:.1} % of a core",
            of(cpu / 1e3),
            cpu / 1e4 / took
        ),
    );
    report.figure(
        "open files",
        &format!(
            "{} before, {} amid, {:.2} a stream",
            before.files,
            amid.files,
            of(amid.files - before.files)
        ),
    );
    report.figure("pieces, later than said", &spread(&mut late));
    report.none("streams that were cut, or not as they were said", &wrong);
    report.none("panics", &panics(&gateway.log()));
}

fn ask(model: &str, tongue: Tongue) -> Ask {
    Ask {
        tongue,
        model: model.to_owned(),
        stream: true,
        words: "count".to_owned(),
    }
}

/// What a client heard.
struct Heard {
    /// How much later than it was said each piece came.
    late_ms: Vec<f64>,
    wrong: Option<String>,
}

async fn listen(caller: Caller, tongue: Tongue, events: usize, epoch: Instant) -> Heard {
    let mut late_ms = Vec::new();
    let mut reader = FrameReader::default();
    let begun = caller.begin(ask("slow", tongue)).await;
    let outcome = begun
        .end_hearing(|bytes| {
            let now = epoch.elapsed();
            // Frames within bounds: else the whole of them is judged below.
            let _ = reader.feed(bytes, &mut |frame| {
                let event: Value = serde_json::from_slice(frame.data).unwrap_or_default();
                let text = event["delta"]["text"].as_str();
                let text = text.or_else(|| event["choices"][0]["delta"]["content"].as_str());
                let said = text.and_then(|text| text.trim_end_matches(';').split_once('@'));
                let us = said.and_then(|(_, us)| us.parse().ok());
                if let Some(us) = us {
                    let late = now.saturating_sub(Duration::from_micros(us));
                    late_ms.push(late.as_secs_f64() * 1e3);
                }
            });
        })
        .await;
    let Taken { text, ending } = &outcome.taken;
    let numbers = text.split_terminator(';').map(|said| {
        let number = said.split_once('@').map(|(number, _)| number);
        number.and_then(|number| number.parse().ok())
    });
    let is_whole = *ending == Ending::Whole && outcome.broken.is_none();
    let fine = is_whole && numbers.eq((0..events).map(Some));
    Heard {
        late_ms,
        wrong: (!fine).then(|| {
            let (status, why) = (outcome.status, &outcome.broken);
            format!("{tongue:?}: status {status}, {why:?}, {ending:?} after {text:?}")
        }),
    }
}
