//! Files change again and again, well and badly, while calls run: no call may fail, and
//! none may be answered as no configuration says that was in force while it began.
//!
//! What configuration that can be is known twice. From outside: a revision may be in
//! force from when its file is touched, and is from when the gateway says so until the
//! next one is written. From inside: the log says of every reload which revision it took
//! up, and of every call which generation it ran on. An answer tells which upstream gave
//! it, under which model's name, with which limit and mark, all of which revisions move;
//! so it is the answer of one revision, or of none.

mod files;
mod load;
mod plan;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_tests::process::{Log, Process, Setup};

use crate::caller::Caller;
use crate::report::{Report, panics, spread};
use crate::settings::Settings;
use crate::watch::Watch;

use files::{Broken, Files};
use load::Record;
use plan::Plan;

/// A change of files that the gateway has not taken up or refused by then is missed: it
/// looks again after 5 s even if nothing tells it to, and compiles hooks for a while.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often one asks whether it has.
const POLL: Duration = Duration::from_millis(20);

/// One in so many changes is a broken one.
const BROKEN_EVERY: usize = 4;

/// What may be in force.
pub(crate) struct Revisions {
    plans: Mutex<Vec<Arc<Plan>>>,
    /// The latest that the gateway has said it took up.
    taken_up: AtomicUsize,
    /// The latest of which something may stand in a file.
    written: AtomicUsize,
}

impl Revisions {
    fn push(&self, plan: Plan) {
        let mut plans = self.plans.lock().expect("nothing panics in here");
        assert_eq!(plan.revision, plans.len(), "one after the other");
        plans.push(Arc::new(plan));
        self.written.store(plans.len() - 1, Ordering::SeqCst);
    }

    fn take_up(&self) {
        let written = self.written.load(Ordering::SeqCst);
        self.taken_up.store(written, Ordering::SeqCst);
    }

    /// The first that may be in force from now on.
    fn first(&self) -> usize {
        self.taken_up.load(Ordering::SeqCst)
    }

    /// The last that may have been until now.
    fn last(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    fn latest(&self) -> Plan {
        let plans = self.plans.lock().expect("nothing panics in here");
        Plan::clone(plans.last().expect("there is one at the start"))
    }

    fn between(&self, first: usize, last: usize) -> Vec<Arc<Plan>> {
        let plans = self.plans.lock().expect("nothing panics in here");
        plans[first..=last].to_vec()
    }
}

pub(crate) async fn run(settings: &Settings) -> ExitCode {
    let mut report = Report::new("Reloads under load");
    report.figure("seed", &settings.seed.to_string());
    let mut rng = fastrand::Rng::with_seed(settings.seed);
    let upstreams = load::upstreams().await;
    let revisions = Arc::new(Revisions {
        plans: Mutex::new(vec![Arc::new(Plan::first(&upstreams))]),
        taken_up: AtomicUsize::new(0),
        written: AtomicUsize::new(0),
    });
    let cache = tempfile::TempDir::new().expect("a temporary folder can be made");
    let config = revisions.latest().file();
    let gateway = Process::start(&Setup {
        program: settings.sluice.as_deref(),
        log: Log::Kept,
        ..Setup::new(&config, cache.path())
    });
    let caller = Caller::new(gateway.url(), plan::KEY);
    let watch = Watch::begin(&gateway);
    let calls = load::start(caller.clone(), revisions.clone(), settings, rng.fork());

    let mut driver = Driver {
        files: Files::new(gateway.folder(), rng.fork()),
        caller,
        revisions: revisions.clone(),
        rng,
        seen: Seen::default(),
    };
    let began = Instant::now();
    for number in 1..=settings.changes {
        let due = settings
            .lasts()
            .mul_f64(number as f64 / settings.changes as f64);
        driver.change(number).await;
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    let lasted = began.elapsed();
    let records = calls.stop().await;
    tell(&mut report, driver.seen, lasted);
    judge(&mut report, &records, &revisions, &gateway.log(), lasted);
    watch.end(&mut report).await;
    report.end()
}

// === changes ===

/// Makes changes, one after the other, and waits for what becomes of each.
struct Driver {
    files: Files,
    caller: Caller,
    revisions: Arc<Revisions>,
    rng: fastrand::Rng,
    seen: Seen,
}

/// What became of changes.
#[derive(Default)]
struct Seen {
    /// How many of each kind.
    kinds: HashMap<String, usize>,
    taken_up_ms: Vec<f64>,
    refused_ms: Vec<f64>,
    /// Valid ones that were not taken up.
    missed: Vec<String>,
    /// Broken ones that were not refused, or for which something changed.
    accepted: Vec<String>,
}

impl Driver {
    async fn change(&mut self, number: usize) {
        if number.is_multiple_of(BROKEN_EVERY) {
            self.break_something(number).await;
        } else {
            self.take_up_another(number).await;
        }
    }

    async fn take_up_another(&mut self, number: usize) {
        let before = self.generation().await;
        let (plan, kind) = self.revisions.latest().next(&mut self.rng);
        self.revisions.push(plan.clone());
        let way = match plan.swaps_hook {
            true => self.files.swap_hook(&plan.file(), plan.replaced),
            false => self.files.write(&plan.file()).await,
        };
        let written = Instant::now();
        let name = format!("{kind}, {way}");
        *self.seen.kinds.entry(kind.to_owned()).or_default() += 1;
        *self.seen.kinds.entry(way.to_owned()).or_default() += 1;
        let mark = plan.mark();
        let is_in = |config: &Value| {
            config["generation"].as_u64() > before && config["changes"].to_string().contains(&mark)
        };
        match self.wait(is_in).await {
            Some(_) => {
                self.seen.taken_up_ms.push(ms(written));
                self.revisions.take_up();
            }
            None => self.seen.missed.push(format!("change {number}: {name}")),
        }
    }

    async fn break_something(&mut self, number: usize) {
        let before = self.generation().await;
        let broken = Broken::ALL[self.rng.usize(..Broken::ALL.len())];
        let said = self
            .files
            .break_off(broken, &self.revisions.latest().file(), number);
        let written = Instant::now();
        let name = format!("broken: {}", broken.name());
        *self.seen.kinds.entry(name.clone()).or_default() += 1;
        let is_refused = |config: &Value| {
            let refusal = &config["last_refusal"];
            refusal["stands"] == true && refusal["findings"].to_string().contains(&said)
        };
        match self.wait(is_refused).await {
            Some(config) if config["generation"].as_u64() == before => {
                self.seen.refused_ms.push(ms(written));
            }
            Some(config) => {
                let (after, changes) = (&config["generation"], &config["changes"]);
                let seen = format!("generation {before:?} became {after}: {changes}");
                self.seen
                    .accepted
                    .push(format!("change {number}, {name}: {seen}"));
            }
            None => {
                let seen = self.caller.admin("/admin/config").await;
                self.seen
                    .accepted
                    .push(format!("change {number}, {name}: {seen}"));
            }
        }
        // Files are mended by the next change; a hook is not.
        if broken == Broken::Component {
            self.files.mend_hook();
            let stands = |config: &Value| config["last_refusal"]["stands"] == true;
            self.wait(|config| config.is_object() && !stands(config))
                .await;
        }
    }

    async fn generation(&self) -> Option<u64> {
        let config = self.caller.admin("/admin/config").await;
        config["generation"].as_u64()
    }

    /// Wait until `/admin/config` is as it should be.
    async fn wait(&self, is_so: impl Fn(&Value) -> bool) -> Option<Value> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let config = self.caller.admin("/admin/config").await;
            if is_so(&config) {
                return Some(config);
            }
            tokio::time::sleep(POLL).await;
        }
        None
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

// === what it came to ===

fn tell(report: &mut Report, mut seen: Seen, lasted: Duration) {
    let mut kinds: Vec<_> = seen.kinds.into_iter().collect();
    kinds.sort();
    let (good, bad) = (seen.taken_up_ms.len(), seen.refused_ms.len());
    report.figure("lasted", &format!("{:.1} s", lasted.as_secs_f64()));
    for (kind, count) in kinds {
        report.figure(&format!("changes, {kind}"), &count.to_string());
    }
    report.figure(
        "valid changes, until in force",
        &spread(&mut seen.taken_up_ms),
    );
    report.figure(
        "broken changes, until refused",
        &spread(&mut seen.refused_ms),
    );
    report.none("valid changes that were not taken up", &seen.missed);
    report.none("broken changes that were not refused", &seen.accepted);
    report.bar(
        "changes came to something",
        good > 0 && bad > 0,
        &format!("{good} taken up, {bad} refused"),
    );
}

fn judge(
    report: &mut Report,
    records: &[Record],
    revisions: &Revisions,
    log: &str,
    lasted: Duration,
) {
    let failed: Vec<_> = records.iter().filter_map(|it| it.failure.clone()).collect();
    let (mut wrong, mut outside) = (Vec::new(), Vec::new());
    let (panics, log) = (panics(log), read_log(log));
    for record in records.iter().filter(|it| it.failure.is_none()) {
        let plans = revisions.between(record.first, record.last);
        if !plans.iter().any(|plan| record.is_of(plan)) {
            let all: Vec<_> = plans.iter().map(|it| it.answer(&record.model)).collect();
            wrong.push(format!("{record:?}, and may be {all:?}"));
        }
        let own = log
            .calls
            .get(&record.id)
            .and_then(|it| log.revisions.get(it));
        let is_own = own.is_some_and(|own| {
            plans
                .iter()
                .any(|plan| plan.revision == *own && record.is_of(plan))
        });
        if !is_own {
            outside.push(format!("{record:?}, and ran on revision {own:?}"));
        }
    }
    let calls = records.len();
    report.figure(
        "calls",
        &format!(
            "{calls}, {:.1} a second",
            calls as f64 / lasted.as_secs_f64()
        ),
    );
    for (kind, of) in [
        ("streams of seconds", load::Kind::Long),
        ("short streams", load::Kind::Short),
        ("whole answers", load::Kind::Whole),
    ] {
        let mut times: Vec<_> = records
            .iter()
            .filter(|it| it.kind == of)
            .map(|it| it.ms)
            .collect();
        report.figure(kind, &spread(&mut times));
    }
    let across = records.iter().filter(|it| it.first != it.last).count();
    report.figure(
        "calls that began while a change was under way",
        &across.to_string(),
    );
    report.figure("generations", &log.revisions.len().to_string());
    report.none("failed calls", &failed);
    report.none("wrong routes", &wrong);
    report.none(
        "answers of another generation than could be in force",
        &outside,
    );
    report.none("panics", &panics);
}

/// What the gateway said of itself.
#[derive(Default)]
struct LogSays {
    /// The revision of each generation.
    revisions: HashMap<u64, usize>,
    /// The generation of each call.
    calls: HashMap<String, u64>,
}

fn read_log(log: &str) -> LogSays {
    let mut says = LogSays::default();
    let mut revision = 0;
    says.revisions.insert(1, revision);
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let generation = line["generation"].as_u64().unwrap_or(0);
        match line["message"].as_str() {
            Some("Reloaded.") => {
                let changes = line["changes"].as_str().unwrap_or("");
                revision = plan::revision_of(changes, revision);
                says.revisions.insert(generation, revision);
            }
            Some("Call finished.") => {
                let call = line["call"].as_str().unwrap_or("");
                says.calls.insert(call.to_owned(), generation);
            }
            _ => {}
        }
    }
    says
}

/// Where the files of a run lie.
fn hook_file(folder: &Path) -> std::path::PathBuf {
    folder.join("hooks").join(format!("{}.wasm", plan::HOOK))
}
