//! The `sluice` binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice::cli::run()
}
