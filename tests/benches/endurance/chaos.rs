//! Upstreams do everything wrong that there is a name for, and clients leave: every call
//! must end within its limits and as the table of faults says; what has another target
//! must be answered; and nothing may be left behind.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_tests::ending::{Ending, Taken, Tongue};
use sluice_tests::faults::{ALL, Fate, Fault, Limits, faults, models};
use sluice_tests::process::{Log, Process, Setup};
use sluice_tests::{Authority, FakeUpstream, Rogue};
use tokio::task::JoinSet;

use crate::caller::{Ask, Caller};
use crate::report::{Report, panics, spread};
use crate::settings::Settings;
use crate::watch::{Sample, Watch};

const LIMITS: Limits = Limits {
    connect_ms: 1_000,
    first_byte_ms: 2_000,
    idle_ms: 2_000,
    total_ms: 10_000,
};

/// The longest pause before a call is tried again, in ms.
const PAUSE_MS_MAX: u64 = 1_500;

/// How much later than its limit a call may end: two cores do much else meanwhile.
const MARGIN: Duration = Duration::from_millis(1_500);

/// The model that nothing is wrong with.
const WELL: &str = "well";

/// One in so many calls is to it.
const WELL_EVERY: u32 = 5;

/// One client in so many leaves.
const LEAVES_EVERY: u32 = 20;

/// For so long, at first, nothing is wrong: what latencies are compared with.
const CALM_MAX: Duration = Duration::from_secs(30);

/// A gateway that listens has its watcher and the like by then.
const SETTLES: Duration = Duration::from_secs(2);

/// Open files must be as few as at the start by then: the gateway's client looks every
/// 90 s which connections have been idle for 90 s.
const CLOSED_MAX: Duration = Duration::from_secs(200);

pub(crate) async fn run(settings: &Settings) -> ExitCode {
    let mut report = Report::new("Upstreams that misbehave");
    report.figure("seed", &settings.seed.to_string());
    let authority = Authority::new("endurance");
    let rogue = Rogue::start(&authority).await;
    let good = FakeUpstream::saying(ALL).await;
    let faults = Arc::new(faults());
    let config = config(&rogue, &good, &faults);
    let temporary = || tempfile::TempDir::new().expect("a temporary folder can be made");
    let (folder, cache) = (temporary(), temporary());
    let trusted = authority.save(folder.path());
    let mut gateway = Process::start(&Setup {
        program: settings.sluice.as_deref(),
        trusted: Some(&trusted),
        log: Log::Kept,
        ..Setup::new(&config, cache.path())
    });
    tokio::time::sleep(SETTLES).await;
    let before = Sample::of(&gateway);
    let watch = Watch::begin(&gateway);

    let mut rng = fastrand::Rng::with_seed(settings.seed);
    let records = calls(&gateway, &faults, settings, &mut rng).await;
    watch.end(&mut report).await;
    tell(&mut report, &faults, &records);
    judge(&mut report, &records);
    let log = gateway.log();
    report.none("panics", &panics(&log));
    for (message, count) in errors(&log) {
        report.figure(
            &format!("logged as an error, `{message}`"),
            &count.to_string(),
        );
    }
    closed(&mut report, &mut gateway, before).await;
    report.end()
}

fn config(rogue: &Rogue, good: &FakeUpstream, faults: &[Fault]) -> String {
    format!(
        "limits: {}\nattempts: {{ retries: 1, pause_ms: 100, pause_ms_max: {PAUSE_MS_MAX}, cooldown_ms: 100, cooldown_ms_max: 200 }}\nupstreams:\n  good: {{ base_url: \"{}\" }}\n{}models:\n  {WELL}: {{ upstream: good, model: good }}\n{}",
        LIMITS.config(),
        good.url(),
        rogue.config(),
        models(faults)
    )
}

// === calls ===

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
struct Sort {
    /// None: nothing is wrong.
    fault: Option<usize>,
    tongue: Tongue,
    stream: bool,
    has_fallback: bool,
    /// The client leaves after so many ms.
    leaves: Option<u64>,
    /// It came before there was chaos.
    is_calm: bool,
}

/// A call that has ended.
struct Record {
    sort: Sort,
    ms: f64,
    /// Another target took over.
    served: bool,
    attempts: String,
    /// It did not end as it should.
    wrong: Option<String>,
    /// It ended too late.
    late: Option<String>,
}

async fn calls(
    gateway: &Process,
    faults: &Arc<Vec<Fault>>,
    settings: &Settings,
    rng: &mut fastrand::Rng,
) -> Vec<Record> {
    let caller = Caller::new(gateway.url(), "none");
    let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / settings.rate));
    let (began, lasts) = (Instant::now(), settings.lasts());
    let calm = CALM_MAX.min(lasts / 6);
    let (mut running, mut records) = (JoinSet::new(), Vec::new());
    while began.elapsed() < lasts {
        tokio::select! {
            _ = clock.tick() => {
                let sort = draw(rng, faults, began.elapsed() < calm);
                running.spawn(call(caller.clone(), faults.clone(), sort));
            }
            Some(record) = running.join_next() => records.extend(record.expect("no call panics")),
        }
    }
    while let Some(record) = running.join_next().await {
        records.extend(record.expect("no call panics"));
    }
    records
}

fn draw(rng: &mut fastrand::Rng, faults: &[Fault], is_calm: bool) -> Sort {
    let is_well = is_calm || rng.u32(..WELL_EVERY) == 0;
    let mut fault = rng.usize(..faults.len());
    // What is large costs the driver most; now and then is enough.
    while faults[fault].name.starts_with("large") && rng.u32(..20) > 0 {
        fault = rng.usize(..faults.len());
    }
    Sort {
        fault: (!is_well).then_some(fault),
        tongue: Tongue::ALL[rng.usize(..2)],
        stream: rng.bool(),
        has_fallback: rng.bool(),
        leaves: (!is_well && rng.u32(..LEAVES_EVERY) == 0).then(|| rng.u64(..3_000)),
        is_calm,
    }
}

/// Make a call; none if its client left.
async fn call(caller: Caller, faults: Arc<Vec<Fault>>, sort: Sort) -> Option<Record> {
    let fault = sort.fault.map(|at| &faults[at]);
    let name = fault.map_or(WELL, |fault| fault.name);
    let more = if fault.is_some() && sort.has_fallback {
        "+"
    } else {
        ""
    };
    let ask = Ask {
        tongue: sort.tongue,
        model: format!("{name}{more}"),
        stream: sort.stream,
        words: "hi".to_owned(),
    };
    let outcome = match sort.leaves {
        None => caller.call(ask).await,
        Some(ms) => {
            let left = Duration::from_millis(ms);
            // Who is quicker than that is not judged, either: few are.
            let _ = tokio::time::timeout(left, caller.call(ask)).await;
            return None;
        }
    };
    let (taken, broken) = (&outcome.taken, outcome.broken.as_deref());
    let attempts = outcome.header("sluice-attempts").to_owned();
    let judged = match fault {
        // A target that has failed is left alone for a while: then nothing went wrong.
        Some(_) if attempts == "1; good/good ok" && broken.is_none() => judge_well(taken),
        Some(fault) => {
            let has_fallback = sort.has_fallback;
            fault.judge(sort.tongue, sort.stream, has_fallback, taken, broken)
        }
        None if broken.is_none() => judge_well(taken),
        None => Err("the client's connection broke".into()),
    };
    let what = format!("{name}{more}, {:?}, stream {}", sort.tongue, sort.stream);
    let most = bound(fault);
    let took = outcome.took;
    Some(Record {
        sort,
        ms: took.as_secs_f64() * 1e3,
        served: outcome.header("sluice-target") == "good/good",
        wrong: judged.err().map(|why| {
            format!("{what}: {why}: {taken:?}, {broken:?}, after `{attempts}`, {took:?}")
        }),
        late: (took > most).then(|| format!("{what}: {took:?} of {most:?}, after `{attempts}`")),
        attempts,
    })
}

/// What is wrong with a good upstream's answer, if anything is.
fn judge_well(taken: &Taken) -> Result<(), String> {
    match taken.ending == Ending::Whole && taken.text == ALL {
        true => Ok(()),
        false => Err("a good upstream's answer fails".into()),
    }
}

/// How long a call may take: twice what one attempt may, and the pause between, where it
/// may be tried again.
fn bound(fault: Option<&Fault>) -> Duration {
    let Some(fault) = fault else { return MARGIN };
    let once = LIMITS.of(fault);
    let pause = Duration::from_millis(PAUSE_MS_MAX);
    let total = Duration::from_millis(LIMITS.total_ms);
    (once * 2 + pause).min(total) + MARGIN
}

// === what it came to ===

fn tell(report: &mut Report, faults: &[Fault], records: &[Record]) {
    report.figure("calls", &records.len().to_string());
    let times = |of: &dyn Fn(&Record) -> bool| {
        let times = records.iter().filter(|it| of(it)).map(|it| it.ms);
        spread(&mut times.collect::<Vec<_>>())
    };
    let is_well = |it: &Record| it.sort.fault.is_none();
    let calm = times(&|it| is_well(it) && it.sort.is_calm);
    report.figure("good upstream, nothing else wrong", &calm);
    let beside = times(&|it| is_well(it) && !it.sort.is_calm);
    report.figure("good upstream, beside the others", &beside);
    for (at, fault) in faults.iter().enumerate() {
        let own: Vec<_> = records
            .iter()
            .filter(|it| it.sort.fault == Some(at))
            .collect();
        let behind: Vec<_> = own.iter().filter(|it| it.sort.has_fallback).collect();
        let served = behind.iter().filter(|it| it.served).count();
        let slowest = own.iter().map(|it| it.ms).fold(0.0, f64::max);
        let expected = match (fault.streamed, fault.whole) {
            (Fate::Answered, _) => "answered",
            (Fate::Early, _) => "fails early",
            (Fate::Late, Fate::Early) => "fails late, early if whole",
            (Fate::Late, _) => "fails late",
            (Fate::Overdue, _) => "has no end",
        };
        let most = bound(Some(fault)).as_millis();
        report.figure(
            &format!("{} ({expected})", fault.name),
            &format!(
                "{} calls, {} of them with another target, which answered {served}; slowest {slowest:.0} of {most} ms",
                own.len(),
                behind.len()
            ),
        );
    }
    let mut ways: BTreeMap<String, usize> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|it| it.served && it.sort.fault.is_some())
    {
        *ways.entry(way(&record.attempts)).or_default() += 1;
    }
    for (way, count) in ways {
        report.figure(&format!("taken over after `{way}`"), &count.to_string());
    }
}

/// The attempts without the names of targets: `2; 503 skip-target, ok`.
fn way(attempts: &str) -> String {
    let (count, each) = attempts.split_once("; ").unwrap_or((attempts, ""));
    let each = each.split(", ").map(|attempt| {
        let result = attempt.split_once(' ');
        result.map_or(attempt, |(_, result)| result)
    });
    format!("{count}; {}", each.collect::<Vec<_>>().join(", "))
}

fn judge(report: &mut Report, records: &[Record]) {
    let found = |of: fn(&Record) -> &Option<String>| -> Vec<String> {
        records.iter().filter_map(|it| of(it).clone()).collect()
    };
    report.none("calls that ended wrongly", &found(|it| &it.wrong));
    report.none("calls that ended too late", &found(|it| &it.late));
}

/// What was logged as an error, and how often.
fn errors(log: &str) -> BTreeMap<String, usize> {
    let mut errors = BTreeMap::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if line["level"] == "ERROR" {
            // What they go on with is the time, or the place.
            let message = line["message"].as_str().unwrap_or("");
            let message = message.chars().take(80).collect();
            *errors.entry(message).or_default() += 1;
        }
    }
    errors
}

/// Wait until connections are let go of.
async fn closed(report: &mut Report, gateway: &mut Process, before: Sample) {
    let began = Instant::now();
    let mut files = f64::MAX;
    while files > before.files && began.elapsed() < CLOSED_MAX && !gateway.has_ended() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        files = Sample::of(gateway).files;
    }
    report.bar(
        "connections are let go of",
        files <= before.files,
        &format!(
            "{files} open files, {} at the start, after {:.0} s",
            before.files,
            began.elapsed().as_secs_f64()
        ),
    );
    if files > before.files {
        for line in connections(gateway) {
            report.figure("open", &line);
        }
    }
}

/// The TCP connections of a process: from where to where (addresses as Linux has them,
/// in hexadecimal), and in which state.
fn connections(gateway: &Process) -> Vec<String> {
    let files = std::fs::read_dir(gateway.proc().join("fd"));
    let files = files.into_iter().flatten().flatten();
    let names = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let names: Vec<_> = names.map(|name| name.display().to_string()).collect();
    let table = std::fs::read_to_string(gateway.proc().join("net/tcp")).unwrap_or_default();
    let lines = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let socket = format!("socket:[{}]", fields.get(9)?);
        let (from, to, state) = (fields[1], fields[2], fields[3]);
        names
            .contains(&socket)
            .then(|| format!("{from} -> {to} in state {state}"))
    });
    lines.collect()
}
