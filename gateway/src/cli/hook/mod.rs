//! `sluice hook ...`: what an author and an operator of hooks need, one file a
//! command.
//!
//! Every command is a function from plain inputs to a [`Report`]; one place prints.

pub mod books;
pub mod build;
pub(super) mod difference;
mod facts;
pub mod inspect;
pub mod list;
pub mod lock;
mod log;
pub mod new;
pub mod terms;
pub mod test;
pub mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::{Overrides, Source};

/// What a command has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Text for people, without a line end after it.
    pub text: String,
    /// Whether the process ends with the exit code 0.
    pub is_good: bool,
}

impl Report {
    pub(super) fn good(lines: &[String]) -> Self {
        Self {
            text: lines.join("\n"),
            is_good: true,
        }
    }

    fn bad(lines: &[String]) -> Self {
        Self {
            text: lines.join("\n"),
            is_good: false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a folder with a hook that builds, and a test of it.
    New(new::Arguments),
    /// Build the hook in a folder with its language's tools.
    Build(build::Arguments),
    /// Say what a component is, and whether this gateway would load it.
    ///
    /// Exit code 0 if it would, 1 if not.
    Inspect(inspect::Arguments),
    /// Run a hook's stages on a captured request, and show what it does.
    ///
    /// Exit code 1 if the hook does not load, fails, or does not do what the golden
    /// file says. A refusal is no failure.
    Test(test::Arguments),
    /// List the chain as `serve` would load it, or what that of a running gateway did.
    List {
        #[command(flatten)]
        place: Place,
        /// A gateway that runs: its hooks, their times, edits and failures, in place
        /// of those of a file.
        #[arg(long, value_name = "URL")]
        gateway: Option<String>,
        /// A key of its clients, if it has any.
        #[arg(long, env = "SLUICE_KEY", hide_env_values = true)]
        key: Option<String>,
    },
    /// Write `hooks.lock` beside the config file: from then on nothing else runs.
    ///
    /// It holds each hook's name, digest and grants. A running gateway refuses a
    /// hook that differs and keeps its chain; run this again to accept a change.
    Lock(Place),
}

/// Where a chain is configured.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Native YAML or a LiteLLM `config.yaml`; the embedded default without.
    #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of hooks (`.wasm`); overrides the file's `hooks.folder`.
    #[arg(long, value_name = "FOLDER")]
    hooks: Option<PathBuf>,
}

impl Place {
    fn source(&self) -> Source {
        let file = self.config.clone();
        file.map_or(Source::Embedded, Source::File)
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            listen: None,
            hooks: self.hooks.clone(),
        }
    }
}

/// Run one of the commands.
pub(super) fn run(command: Command) -> Result<Report, String> {
    match command {
        Command::New(arguments) => arguments.run(),
        Command::Build(arguments) => arguments.run(),
        Command::Inspect(arguments) => arguments.run(),
        Command::Test(arguments) => arguments.run(),
        Command::List {
            place,
            gateway: None,
            ..
        } => list::list(place.source(), place.overrides()),
        Command::List {
            gateway: Some(url),
            key,
            ..
        } => books::books(&url, key.as_deref()),
        Command::Lock(place) => lock::lock(place.config.as_deref(), place.overrides()),
    }
}

/// Print a report, or why there is none.
#[expect(clippy::print_stdout, reason = "the report is the command's output")]
pub(super) fn print(report: Result<Report, String>) -> ExitCode {
    let report = report.unwrap_or_else(|why| Report::bad(&[why]));
    println!("{}", report.text);
    match report.is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A file's bytes, or a sentence.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))
}

/// A file's text, or a sentence.
pub(super) fn read_text(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|error| format!("{}: cannot be read: {error}", file.display()))
}

/// Write a file, and the folders that it needs.
fn write(file: &Path, text: &str) -> Result<(), String> {
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(file, text))
        .map_err(|error| format!("{}: cannot be written: {error}", file.display()))
}
