//! `sluice hook test`: a [`Trial`] from files and options, and its outcome held
//! against a golden file.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_codec::ir::Event;

use super::difference::line_changes;
use super::terms::Terms;
use super::trial::{Outcome, Times, Trial};
use super::{Report, read, read_text, write};
use crate::hook::{Stage, event_from_line};

/// What the command is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// The component, a `.wasm` file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A client's request, in the vocabulary of Messages; with `--stage`, the
    /// document of that stage.
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// Events of an answer, one JSON object a line:
    /// `{"kind":"text","block":0,"text":"..."}`.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Run this stage alone.
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub stage: Option<Stage>,
    /// The entry under which it runs.
    #[command(flatten)]
    pub terms: Terms,
    /// A fact about the call: `upstream=fireworks`, `status=429`, ...
    #[arg(long, value_name = "NAME=VALUE")]
    pub attribute: Vec<String>,
    /// A header of the message at hand.
    #[arg(long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// A target of the route, for `on-route`; several in their order.
    #[arg(long, value_name = "UPSTREAM/MODEL")]
    pub target: Vec<String>,
    /// Compare the output, without times and fuel, to this file.
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,
    /// Write the golden file instead.
    #[arg(long, requires = "golden")]
    pub update: bool,
}

impl Arguments {
    /// Run the stages, and compare if there is a golden file.
    ///
    /// # Errors
    /// What is wrong with the options or a file.
    pub fn run(&self) -> Result<Report, String> {
        let trial = Trial {
            entry: self.terms.entry(&self.file)?,
            wasm: read(&self.file)?,
            stage: self.stage,
            document: self.request.as_deref().map(read).transpose()?,
            events: match &self.events {
                Some(file) => Some(events(file)?),
                None => None,
            },
            attributes: pairs("--attribute", &self.attribute)?,
            headers: headers(&self.header)?,
            targets: self.target.clone(),
        };
        let outcome = trial.run()?;
        let report = Report {
            text: outcome.text(Times::Shown),
            is_good: outcome.is_good,
        };
        match &self.golden {
            None => Ok(report),
            Some(file) => self.compare(file, &outcome, report),
        }
    }

    fn compare(&self, file: &Path, outcome: &Outcome, report: Report) -> Result<Report, String> {
        let got = outcome.text(Times::LeftOut) + "\n";
        if self.update {
            write(file, &got)?;
            return Ok(report);
        }
        let expected = read_text(file).map_err(|why| format!("{why}; `--update` writes it"))?;
        if got == expected {
            return Ok(report);
        }
        let mut lines = vec![report.text, format!("not as in {}:", file.display())];
        lines.extend(line_changes(&expected, &got));
        Ok(Report::bad(&lines))
    }
}

fn stage(name: &str) -> Result<Stage, String> {
    let known = Stage::ALL.into_iter().find(|stage| stage.name() == name);
    known.ok_or_else(|| {
        let names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        format!("the stages are {}", names.join(", "))
    })
}

fn events(file: &Path) -> Result<Vec<Event<'static>>, String> {
    let text = read_text(file)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            event_from_line(line).map_err(|why| format!("{}:{}: {why}", file.display(), at + 1))
        })
        .collect()
}

fn pairs(option: &str, written: &[String]) -> Result<Vec<(String, String)>, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("{option} {text}: expected `NAME=VALUE`")),
    };
    written.iter().map(pair).collect()
}

fn headers(written: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs("--header", written)? {
        let wrong = |what: &str| format!("--header {name}={value}: no header {what}");
        let key = HeaderName::try_from(&name).map_err(|_| wrong("name"))?;
        let value = HeaderValue::try_from(&value).map_err(|_| wrong("value"))?;
        headers.append(key, value);
    }
    Ok(headers)
}
