//! `sluice hook inspect`

use std::path::PathBuf;

use serde_json::Value;

use super::terms::Terms;
use super::{Report, read};
use crate::config::Grants;
use crate::hook::{Engine, Inspection, Stage};
use crate::kv::Stores;

/// What is said before an interface of the gateway's.
const OWN: &str = "sluice:hooks/";

/// What to look at, and on which terms.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The component, a `.wasm` file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The entry under which it would be loaded.
    #[command(flatten)]
    pub terms: Terms,
}

impl Arguments {
    /// Look the file through.
    ///
    /// # Errors
    /// What is wrong with the options, or why there is nothing to look at.
    pub fn run(&self) -> Result<Report, String> {
        let entry = self.terms.entry(&self.file)?;
        let wasm = read(&self.file)?;
        let engine = Engine::new(Stores::rehearsal()).map_err(|error| error.to_string())?;
        let inspection = Inspection::of(&engine, entry, wasm);
        let mut lines = vec![self.file.display().to_string()];
        lines.extend(describe(&inspection));
        match inspection.complaints.is_empty() {
            true => Ok(Report::good(&lines)),
            false => Ok(Report::bad(&lines)),
        }
    }
}

/// An inspection, a line each.
fn describe(inspection: &Inspection) -> Vec<String> {
    let Inspection {
        bytes,
        digest,
        imports,
        exports,
        about,
        complaints,
    } = inspection;
    let stages = Stage::ALL.map(Stage::name).into_iter();
    let stages: Vec<_> = stages
        .filter(|stage| own(exports).any(|name| name == *stage))
        .collect();
    let others: Vec<_> = own(exports).filter(|name| !stages.contains(name)).collect();
    let packages = imports.iter().filter(|name| !name.starts_with(OWN));
    let about = about.clone().unwrap_or_default();
    let config = match &about.config {
        Value::Null => String::new(),
        schema => schema.to_string(),
    };
    let rows = [
        ("size", format!("{bytes} bytes")),
        ("digest", digest.clone()),
        ("interface", interface(imports, exports)),
        ("stages", stages.join(", ")),
        ("exports", others.join(", ")),
        // `types` has no functions.
        (
            "imports",
            own(imports)
                .filter(|name| *name != "types")
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("runtime", distinct(packages.map(|name| package(name)))),
        ("version", about.version),
        ("summary", about.summary),
        ("needs", about.needs.missing(&Grants::default()).join(", ")),
        ("config", config),
        (
            "loads",
            if complaints.is_empty() { "yes" } else { "no" }.to_owned(),
        ),
    ];
    let rows = rows.into_iter().filter(|(_, said)| !said.is_empty());
    let rows = rows.map(|(what, said)| format!("  {what:<9}  {said}"));
    let complaints = complaints.iter().map(|why| {
        // What comes from compilers may have several lines.
        let words: Vec<_> = why.split_whitespace().collect();
        format!("             {}", words.join(" "))
    });
    rows.chain(complaints).collect()
}

/// The gateway's interfaces among `names`, by their bare name.
fn own(names: &[String]) -> impl Iterator<Item = &str> {
    let own = names.iter().filter_map(|name| name.strip_prefix(OWN));
    own.map(|name| name.split('@').next().unwrap_or(name))
}

/// The versions of the gateway's interface that a component is built for.
fn interface(imports: &[String], exports: &[String]) -> String {
    let own = imports
        .iter()
        .chain(exports)
        .filter(|name| name.starts_with(OWN));
    let versions = distinct(own.filter_map(|name| Some(name.split_once('@')?.1)));
    match versions.is_empty() {
        true => versions,
        false => format!(
            "sluice:hooks@{versions}; this gateway speaks {}",
            Inspection::GATEWAY_VERSION
        ),
    }
}

/// `wasi:io` of `wasi:io/streams@0.2.6`.
fn package(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// Each once, in order.
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::About;

    #[track_caller]
    fn check(inspection: &Inspection, expected: &str) {
        assert_eq!(describe(inspection).join("\n"), expected.trim_end());
    }

    #[test]
    fn a_component_is_described() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let about =
            serde_json::json!({ "version": "1.2", "summary": "Does.", "needs": { "kv": true } });
        let mut inspection = Inspection {
            bytes: 9,
            digest: "ab".into(),
            imports: names(&[
                "sluice:hooks/types@0.1.0",
                "sluice:hooks/log@0.1.0",
                "wasi:io/poll@0.2.6",
                "wasi:io/error@0.2.6",
            ]),
            exports: names(&["sluice:hooks/on-request@0.1.0", "sluice:hooks/setup@0.1.0"]),
            about: serde_json::from_value::<About>(about).ok(),
            complaints: Vec::new(),
        };
        check(
            &inspection,
            "  size       9 bytes
  digest     ab
  interface  sluice:hooks@0.1.0; this gateway speaks 0.1.0
  stages     on-request
  exports    setup
  imports    log
  runtime    wasi:io
  version    1.2
  summary    Does.
  needs      kv: true
  loads      yes
",
        );
        inspection = Inspection {
            imports: Vec::new(),
            exports: Vec::new(),
            about: None,
            complaints: names(&["it is a core module"]),
            ..inspection
        };
        check(
            &inspection,
            "  size       9 bytes
  digest     ab
  loads      no
             it is a core module
",
        );
    }
}
