//! `sluice config`

use std::process::ExitCode;

use clap::Subcommand;

use crate::config;

/// What there is to know about configurations.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the JSON Schema of the native file, for editors.
    Schema,
}

#[expect(clippy::print_stdout, reason = "the schema is the command's output")]
pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Schema => println!("{:#}", config::schema()),
    }
    ExitCode::SUCCESS
}
