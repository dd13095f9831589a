//! More connections than the gateway may have open files: it must not spin, not end, and
//! serve again once there is room.

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sluice_tests::ending::{Ending, Tongue};
use sluice_tests::process::{Log, Process, Setup};
use sluice_tests::{FakeUpstream, faults::ALL};

use crate::caller::{Ask, Caller};
use crate::report::Report;
use crate::settings::Settings;
use crate::watch::Sample;

/// What the gateway may have open.
const FILES_MAX: u64 = 64;

/// Connections that are held, and say nothing: more than there are files, and no more
/// than the system keeps waiting beside (`somaxconn` is 128 on some).
const HELD: usize = 120;

/// For so long.
const LASTS: Duration = Duration::from_secs(5);

/// Most of a core that a gateway may use which can do nothing, in %.
const SPIN_MAX: f64 = 20.0;

/// Calls at once that are made in between.
const CALLS: usize = 10;

/// Once there is room, a call must be answered by then.
const AGAIN_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn run(settings: &Settings) -> ExitCode {
    let mut report = Report::new("No more files to open");
    let upstream = FakeUpstream::saying(ALL).await;
    let cache = tempfile::TempDir::new().expect("a temporary folder can be made");
    let config = upstream.config("");
    let mut gateway = Process::start(&Setup {
        program: settings.sluice.as_deref(),
        files_max: Some(FILES_MAX),
        log: Log::Kept,
        ..Setup::new(&config, cache.path())
    });
    let caller = Caller::new(gateway.url(), "none");
    let answered = caller.call(ask()).await.taken.ending == Ending::Whole;
    report.bar("a call is answered before", answered, "whole");

    let connect = |_| TcpStream::connect(gateway.addr());
    let held: Vec<_> = (0..HELD)
        .filter_map(|number| connect(number).ok())
        .collect();
    let (cpu, began) = (gateway.cpu_us(), Instant::now());
    tokio::time::sleep(LASTS).await;
    let share = (gateway.cpu_us() - cpu) / 1e4 / began.elapsed().as_secs_f64();
    let files = Sample::of(&gateway).files;
    report.figure("held connections", &held.len().to_string());
    report.figure("open files", &format!("{files} of {FILES_MAX}"));
    let seen = format!("{share:.1} % of a core, of {SPIN_MAX} that it may be");
    report.bar("it does not spin", share <= SPIN_MAX, &seen);

    // One of them has a connection already; the others wait until there is room.
    let calls = join_all((0..CALLS).map(|_| caller.call(ask())));
    let began = Instant::now();
    let free = async {
        tokio::time::sleep(LASTS).await;
        drop(held);
    };
    let (outcomes, ()) = futures_util::future::join(calls, free).await;
    let took = began.elapsed();
    for outcome in &outcomes {
        if outcome.taken.ending != Ending::Whole {
            let (ending, broken) = (&outcome.taken.ending, &outcome.broken);
            report.figure("a call meanwhile", &format!("{ending:?}, {broken:?}"));
        }
    }
    let cut = outcomes
        .iter()
        .filter(|it| it.taken.ending == Ending::Cut)
        .count();
    report.bar(
        "every call meanwhile ends",
        cut == 0 && took <= LASTS + AGAIN_MAX,
        &format!(
            "{cut} of {CALLS} cut off, the last after {:.1} s",
            took.as_secs_f64()
        ),
    );
    report.bar(
        "the gateway still runs",
        !gateway.has_ended(),
        "its process is there",
    );
    let began = Instant::now();
    let answered = caller.call(ask()).await.taken.ending == Ending::Whole;
    let seen = format!("after {:.1} s", began.elapsed().as_secs_f64());
    report.bar(
        "a call is answered again",
        answered && began.elapsed() < AGAIN_MAX,
        &seen,
    );
    report.end()
}

fn ask() -> Ask {
    Ask {
        tongue: Tongue::Messages,
        model: "m".to_owned(),
        stream: false,
        words: "hi".to_owned(),
    }
}
