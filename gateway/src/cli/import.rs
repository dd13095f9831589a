//! `sluice import`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{self, Format, Imported};

/// What can be imported.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    /// LiteLLM's `config.yaml`.
    Litellm,
    /// claude-code-router's `config.json` (versions 1 and 2).
    Ccr,
}

/// Arguments of `sluice import`.
///
/// What the other file says and a native one cannot is reported on standard
/// error, and in a comment at the top. Keys that stand in the other file are not
/// written: variables take their place, and the report names them.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct Arguments {
    /// What the file is.
    #[arg(value_enum)]
    from: From,
    /// The file.
    file: PathBuf,
    /// Where the native file is written; standard output without. It must not be
    /// there yet.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Write what the file says, and report what it says in vain.
#[expect(clippy::print_stderr, reason = "the report is the command's output")]
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let format = match arguments.from {
        From::Litellm => Format::LiteLlm,
        From::Ccr => Format::ClaudeCodeRouter,
    };
    let written = config::import(format, &arguments.file)
        .map_err(|findings| config::lines(&findings))
        .and_then(|imported| {
            write(arguments, &imported.text)?;
            Ok(report(&imported))
        });
    match written {
        Ok(report) => {
            eprint!("{report}");
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprint!("{report}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Arguments, text: &str) -> Result<(), String> {
    let written = match &arguments.output {
        None => std::io::stdout().write_all(text.as_bytes()),
        Some(path) => {
            std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()))
        }
    };
    let place = match &arguments.output {
        None => "standard output".into(),
        Some(path) => path.display().to_string(),
    };
    written.map_err(|error| format!("{place}: cannot be written: {error}\n"))
}

fn report(imported: &Imported) -> String {
    let mut report = config::lines(&imported.findings);
    for key in &imported.keys {
        report.push_str(&format!(
            "{}: set `{}` to its key\n",
            key.path, key.variable
        ));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_no_key_is_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        let text = "model_list:\n- { model_name: m, litellm_params: { model: deepseek/m, api_key: sk-literal, rpm: 1, n: 2 } }\n";
        std::fs::write(&file, text).expect("a file");
        let arguments = Arguments {
            from: From::Litellm,
            output: Some(folder.path().join("sluice.yaml")),
            file,
        };
        let imported = config::import(Format::LiteLlm, &arguments.file).expect("a sound file");
        let report = report(&imported);
        assert!(report.contains("`n` has no effect"), "{report}");
        assert!(
            report.contains("upstreams.deepseek: set `DEEPSEEK_API_KEY` to its key"),
            "{report}"
        );
        assert!(!(report + &imported.text).contains("sk-literal"));

        assert_eq!(write(&arguments, &imported.text), Ok(()));
        let refused = write(&arguments, "other").expect_err("it is there");
        assert!(
            refused.contains("sluice.yaml: cannot be written"),
            "{refused}"
        );
        let kept = arguments.output.map(std::fs::read_to_string);
        assert_eq!(kept.expect("a path").expect("a file"), imported.text);
    }
}
