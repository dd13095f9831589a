//! `sluice check`

use std::path::Path;
use std::process::ExitCode;

use crate::app::{self, Source};

/// Read what `serve` would read, and print every finding.
#[expect(clippy::print_stdout, reason = "the findings are the command's output")]
pub(super) fn run(config: Option<&Path>) -> ExitCode {
    let source = config.map_or(Source::Embedded, |path| Source::File(path.to_owned()));
    match app::check(source) {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
