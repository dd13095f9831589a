//! The books of one hook: what it did at each stage, how long it took, and how it
//! failed. Kept for as long as the hook runs unchanged, across reloads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use metrics::Counter;
use serde::{Deserialize, Serialize};

use super::error::FailureKind;
use super::{Stage, StageSet};
use crate::metrics::Metrics;

/// Longest time that is told apart, in us: what is longer counts as this.
const TIME_US_MAX: u64 = 60_000_000;

/// The books of one hook.
pub(super) struct Ledger {
    /// By stage; none for those that the hook lacks.
    pages: [Option<Page>; Stage::ALL.len()],
    memory_bytes: AtomicU64,
}

/// What one stage did.
struct Page {
    figures: Mutex<Figures>,
    calls: Counter,
    failures: Counter,
    seconds: metrics::Histogram,
}

struct Figures {
    calls: u64,
    edits: u64,
    traps: u64,
    timeouts: u64,
    other_failures: u64,
    waited: Duration,
    /// Microseconds.
    times: Histogram<u64>,
}

/// One run of a hook at a stage.
pub(super) struct Run<'r> {
    pub(super) took: Duration,
    /// The part of it that was the host's: waiting for a store or a server.
    pub(super) waited: Duration,
    pub(super) edits: usize,
    pub(super) failure: Option<&'r FailureKind>,
}

/// A stage's figures, to be shown.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct StageReport {
    /// The stage.
    pub stage: String,
    /// How often it ran.
    pub calls: u64,
    /// Changes to bodies and headers.
    pub edits: u64,
    /// Panics and the like.
    pub traps: u64,
    /// Runs beyond their time.
    pub timeouts: u64,
    /// Failures that it reported, and breaches of the interface.
    pub other_failures: u64,
    /// Half of the runs took no longer, in us; for a stream, one batch of events.
    pub p50_us: u64,
    /// 99 in 100 took no longer, in us.
    pub p99_us: u64,
    /// Time spent waiting for stores and servers, in ms in all.
    pub waited_ms: u64,
    /// For how many seconds more the hook is left alone here; 0 if it is not.
    pub away_s: u64,
}

impl Ledger {
    pub(super) fn new(hook: &str, stages: StageSet, metrics: &Metrics) -> Self {
        let page = |stage: Stage| {
            let labels = [("hook", hook), ("stage", stage.name())];
            Page {
                figures: Mutex::new(Figures::default()),
                calls: metrics.counter("sluice_hook_runs_total", &labels),
                failures: metrics.counter("sluice_hook_failures_total", &labels),
                seconds: metrics.histogram("sluice_hook_seconds", &labels),
            }
        };
        Self {
            pages: Stage::ALL.map(|stage| stages.has(stage).then(|| page(stage))),
            memory_bytes: AtomicU64::new(0),
        }
    }

    /// Write down one run.
    pub(super) fn note(&self, stage: Stage, run: &Run<'_>) {
        let Some(page) = &self.pages[stage as usize] else {
            return;
        };
        page.calls.increment(1);
        page.seconds.record(run.took);
        if run.failure.is_some() {
            page.failures.increment(1);
        }
        let mut figures = page.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.calls += 1;
        figures.edits += run.edits as u64;
        figures.waited += run.waited;
        let us = run.took.as_micros() as u64;
        let recorded = figures.times.record(us.min(TIME_US_MAX));
        debug_assert!(recorded.is_ok(), "it grows with what it is given");
        match run.failure {
            None => {}
            Some(FailureKind::Trapped(_)) => figures.traps += 1,
            Some(FailureKind::TimedOut(_)) => figures.timeouts += 1,
            Some(_) => figures.other_failures += 1,
        }
    }

    /// An instance has grown to this size.
    pub(super) fn note_memory(&self, bytes: usize) {
        self.memory_bytes.fetch_max(bytes as u64, Ordering::Relaxed);
    }

    /// Most memory that one instance had, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// The stages that have run; `away_s` says for how long each is left alone.
    pub(super) fn report(&self, away_s: impl Fn(Stage) -> u64) -> Vec<StageReport> {
        let pages = Stage::ALL.into_iter().zip(&self.pages);
        let reports = pages.filter_map(|(stage, page)| {
            let figures = &page.as_ref()?.figures;
            let figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
            Some(StageReport {
                stage: stage.name().into(),
                calls: figures.calls,
                edits: figures.edits,
                traps: figures.traps,
                timeouts: figures.timeouts,
                other_failures: figures.other_failures,
                p50_us: figures.times.value_at_quantile(0.5),
                p99_us: figures.times.value_at_quantile(0.99),
                waited_ms: figures.waited.as_millis() as u64,
                away_s: away_s(stage),
            })
        });
        reports.filter(|report| report.calls > 0).collect()
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            calls: 0,
            edits: 0,
            traps: 0,
            timeouts: 0,
            other_failures: 0,
            waited: Duration::ZERO,
            // Two digits: a figure for people, at 6 KB a stage that runs.
            times: Histogram::new(2).expect("two digits are possible"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Trap;
    use super::*;

    #[test]
    fn runs_add_up() {
        let ledger = Ledger::new(
            "h",
            StageSet::from_iter([Stage::Request]),
            &Metrics::default(),
        );
        let trap = FailureKind::Trapped(Trap::default());
        for us in 1..=100 {
            ledger.note(
                Stage::Request,
                &Run {
                    took: Duration::from_micros(us * 10),
                    waited: Duration::from_millis(1),
                    edits: 2,
                    failure: (us == 100).then_some(&trap),
                },
            );
        }
        ledger.note_memory(70);
        ledger.note_memory(50);
        let report = ledger.report(|_| 9);
        assert_eq!(report.len(), 1);
        let StageReport { p50_us, p99_us, .. } = report[0];
        assert!(
            (495..=510).contains(&p50_us) && (985..=1_000).contains(&p99_us),
            "{report:?}"
        );
        let rest = StageReport {
            p50_us: 0,
            p99_us: 0,
            ..report[0].clone()
        };
        let expected = StageReport {
            stage: "on-request".into(),
            calls: 100,
            edits: 200,
            traps: 1,
            timeouts: 0,
            other_failures: 0,
            p50_us: 0,
            p99_us: 0,
            waited_ms: 100,
            away_s: 9,
        };
        assert_eq!(rest, expected);
        assert_eq!(ledger.memory_bytes(), 70);
    }
}
