//! What a run is told on its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Whether Sluice can be left running.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) driver: Option<Driver>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Driver {
    /// Its files change again and again, well and badly, under a mixed load.
    Reloads,
    /// Upstreams do everything wrong, and clients leave.
    Chaos,
    /// Many slow streams run at once.
    Streams,
    /// There are no more files to open.
    Files,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// How long it lasts.
    #[arg(long, global = true, default_value_t = 10.0)]
    minutes: f64,
    /// Changes of files in that time.
    #[arg(long, global = true, default_value_t = 1_000)]
    pub(crate) changes: usize,
    /// Calls a second.
    #[arg(long, global = true, default_value_t = 40.0)]
    pub(crate) rate: f64,
    /// Slow streams at once.
    #[arg(long, global = true, default_value_t = 1_000)]
    pub(crate) streams: usize,
    /// Pieces of each, one a second.
    #[arg(long, global = true, default_value_t = 60)]
    pub(crate) events: usize,
    /// Of all that is random; printed, so that a run can be had again.
    #[arg(long, global = true, default_value_t = fastrand::u64(..))]
    pub(crate) seed: u64,
    /// The binary that is run as the gateway; without, it is this program.
    #[arg(long, global = true)]
    pub(crate) sluice: Option<PathBuf>,
    /// What cargo calls benches with.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

impl Settings {
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}
