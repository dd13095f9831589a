//! `sluice check`

use std::path::Path;
use std::process::ExitCode;

use crate::app::{self, Overrides, Source};

/// Read what `serve` would read, and print every finding.
#[expect(clippy::print_stdout, reason = "the findings are the command's output")]
pub(super) fn run(config: Option<&Path>, overrides: Overrides) -> ExitCode {
    let source = config.map_or(Source::Embedded, |path| Source::File(path.to_owned()));
    match app::check(source, overrides) {
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
