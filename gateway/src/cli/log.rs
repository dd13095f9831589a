//! The log of `sluice serve`, on standard error.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// What is logged unless `SLUICE_LOG` says otherwise. What that module says of certificates
/// is in the call's error, too.
const LEVELS: &str = "info,rustls_platform_verifier=off";

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `pretty` on a terminal, `json` elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// An object a line, for collectors.
    Json,
}

impl Format {
    fn is_json(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => !is_terminal,
            Self::Pretty => false,
            Self::Json => true,
        }
    }
}

/// Log from now on, from the level in `SLUICE_LOG`.
pub(super) fn start(format: Format) {
    let filter = EnvFilter::try_from_env("SLUICE_LOG").unwrap_or_else(|_| EnvFilter::new(LEVELS));
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr)
        .with_target(false);
    match format.is_json(is_terminal) {
        true => log.json().flatten_event(true).init(),
        false => log.init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_decides_unless_told() {
        for (format, on_terminal, elsewhere) in [
            (Format::Auto, false, true),
            (Format::Pretty, false, false),
            (Format::Json, true, true),
        ] {
            let got = [true, false].map(|is_terminal| format.is_json(is_terminal));
            assert_eq!(got, [on_terminal, elsewhere], "{format:?}");
        }
    }
}
