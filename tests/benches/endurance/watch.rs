//! What the gateway's process holds, second by second, and whether that grows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sluice_tests::process::{Process, number};
use tokio::task::JoinHandle;

use crate::report::Report;

/// How often one looks.
const PACE: Duration = Duration::from_secs(1);

/// What the first and the last means are of, if the run is long enough for it.
const WINDOW: Duration = Duration::from_secs(60);

/// How much resident memory may grow from the middle of a run to its end: allocators
/// keep what they were asked for once, and give it out again in other pieces. A leak
/// of 16 KiB a reload shows in a run of 1,000.
const GROWTH_MIB_MAX: f64 = 8.0;

/// No run that is shorter is judged by that: at first everything grows.
const FLAT_AFTER: Duration = Duration::from_secs(300);

/// What it holds at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) rss_mib: f64,
    pub(crate) files: f64,
    threads: f64,
}

impl Sample {
    /// That of now; none if the process has ended.
    fn take(proc: &Path) -> Option<Self> {
        Some(Self {
            rss_mib: number(proc, "VmRSS:")? / 1024.0,
            files: std::fs::read_dir(proc.join("fd")).ok()?.count() as f64,
            threads: number(proc, "Threads:")?,
        })
    }

    /// That of a gateway that runs.
    pub(crate) fn of(gateway: &Process) -> Self {
        Self::take(&gateway.proc()).expect("it runs")
    }
}

/// Takes samples until it is told to stop.
pub(crate) struct Watch {
    samples: JoinHandle<Vec<Sample>>,
    stop: tokio::sync::oneshot::Sender<()>,
    began: Instant,
    proc: PathBuf,
}

impl Watch {
    pub(crate) fn begin(gateway: &Process) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let proc = gateway.proc();
        let watched = proc.clone();
        let samples = tokio::spawn(async move {
            let mut samples = Vec::new();
            let mut clock = tokio::time::interval(PACE);
            loop {
                tokio::select! {
                    _ = clock.tick() => samples.extend(Sample::take(&watched)),
                    _ = &mut stopped => return samples,
                }
            }
        });
        Self {
            samples,
            stop,
            began: Instant::now(),
            proc,
        }
    }

    /// Report what was seen; memory must have been flat.
    pub(crate) async fn end(self, report: &mut Report) {
        let lasted = self.began.elapsed();
        let cpu = std::fs::read_to_string(self.proc.join("stat")).is_ok();
        report.bar("the gateway still runs", cpu, "its process is there");
        let _ = self.stop.send(());
        let samples = self.samples.await.expect("watching does not fail");
        let window = WINDOW.min(lasted / 4).as_secs().max(1) as usize;
        for (name, value) in [
            (
                "resident memory, MiB",
                (|it| it.rss_mib) as fn(&Sample) -> f64,
            ),
            ("open files", |it| it.files),
            ("threads", |it| it.threads),
        ] {
            let values: Vec<_> = samples.iter().map(value).collect();
            let most = values.iter().copied().fold(0.0, f64::max);
            let first = mean(&values[..window.min(values.len())]);
            let last = mean(&values[values.len().saturating_sub(window)..]);
            report.figure(
                name,
                &format!("{first:.1} first {window} s, {most:.1} most, {last:.1} last {window} s"),
            );
        }
        let rss: Vec<_> = samples.iter().map(|it| it.rss_mib).collect();
        let middle = rss.len() / 2;
        let middle = mean(&rss[middle..(middle + window).min(rss.len())]);
        let grown = mean(&rss[rss.len().saturating_sub(window)..]) - middle;
        if lasted < FLAT_AFTER {
            let seen = format!("{grown:+.1} MiB since the middle, too soon to judge");
            return report.figure("growth", &seen);
        }
        report.bar(
            "memory is flat",
            grown <= GROWTH_MIB_MAX,
            &format!(
                "{grown:+.1} MiB from the {window} s in the middle to the last {window} s, of {GROWTH_MIB_MAX} MiB that it may be"
            ),
        );
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
