//! Files of other gateways, written anew as native ones.
//!
//! What is read is the other file's text, not its variables' values: references
//! stay references, and a key that stands in the file itself becomes one. So no
//! secret gets into the text, nor into the report.

use std::path::Path;

use super::catalogue::Catalogue;
use super::document::Document;
use super::native::Surroundings;
use super::write::{self, Origins};
use super::{Config, Diagnostic, Severity, ccr, litellm, unreadable};
use crate::secret::Secret;

/// A file of another gateway's, as a native one.
#[derive(Debug)]
pub struct Imported {
    /// The native file.
    pub text: String,
    /// What is not in it, or not as it was.
    pub findings: Vec<Diagnostic>,
    /// Variables that it needs for keys which stood in the other file.
    pub keys: Vec<MovedKey>,
}

/// A key that stood in the file itself.
#[derive(Debug)]
pub struct MovedKey {
    /// The variable that it belongs into now.
    pub variable: String,
    /// What it is for: `upstreams.deepseek`.
    pub path: String,
    /// The key.
    pub key: Secret,
}

/// The gateways whose files can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// LiteLLM's `config.yaml`.
    LiteLlm,
    /// claude-code-router's `config.json`, of its versions 1 and 2.
    ClaudeCodeRouter,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::LiteLlm => "litellm",
            Self::ClaudeCodeRouter => "ccr",
        }
    }
}

/// Import the file at `path`.
///
/// # Errors
/// Every finding, if any of them means that there is nothing to write.
pub fn import(format: Format, path: &Path) -> Result<Imported, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| vec![unreadable(&file, &error)])?;
    let catalogue = Catalogue::embedded();
    let around = Surroundings {
        catalogue: &catalogue,
        environment: &|_| None,
        keys: None,
        folder: Some(Path::new("")),
    };
    let text = match format {
        Format::LiteLlm => text,
        Format::ClaudeCodeRouter => ccr::without_comments(&text),
    };
    let folder = path.parent();
    let mut document = Document::read(&file, &text, folder).map_err(|error| vec![error])?;
    document.refer();
    let (mut config, mut origins) = match format {
        Format::LiteLlm => {
            variables(&document);
            litellm::read(&document.root(), &around)
        }
        Format::ClaudeCodeRouter => ccr::read(&document.root(), &around),
    };
    let findings = document.into_findings();
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    if findings.iter().any(is_error) {
        return Err(findings);
    }
    let keys = move_keys(&mut config, &mut origins, &catalogue);
    let head = head(format, path, &findings, &keys);
    let text = write::text(&config, &catalogue, &origins, &head);
    Ok(Imported {
        text,
        findings,
        keys,
    })
}

/// `environment_variables` are not for a file that others may read.
fn variables(document: &Document) {
    let members = document.root().members().into_iter();
    let set = members.filter(|(name, _)| name == "environment_variables");
    for (name, node) in set.flat_map(|(_, node)| node.members()) {
        node.warn(format!("set `{name}` where `sluice serve` runs"), None);
    }
}

/// The comment at the top: where it came from, what is missing, what to set.
fn head(format: Format, path: &Path, findings: &[Diagnostic], keys: &[MovedKey]) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().display();
    let command = format.name();
    let mut head = vec![format!("Written by `sluice import {command}` from {name}.")];
    if !keys.is_empty() {
        head.push(String::new());
        head.push("Keys that stood in that file belong into variables now:".into());
        head.extend(
            keys.iter()
                .map(|key| format!("  {}: {}", key.variable, key.path)),
        );
    }
    if !findings.is_empty() {
        head.push(String::new());
        head.push("What is not in this file, or not as it was:".into());
        head.extend(findings.iter().map(remark));
    }
    head
}

/// A finding without the file's name, which the comment begins with.
fn remark(finding: &Diagnostic) -> String {
    let Diagnostic {
        line,
        path,
        message,
        help,
        ..
    } = finding;
    let line = line
        .map(|line| format!("line {line}: "))
        .unwrap_or_default();
    let help = help.as_ref().map(|help| format!("; {help}"));
    format!("  {line}{path}: {message}{}", help.unwrap_or_default())
}

/// Put variables in place of the keys that stand in the file.
fn move_keys(config: &mut Config, origins: &mut Origins, catalogue: &Catalogue) -> Vec<MovedKey> {
    let mut moved: Vec<MovedKey> = Vec::new();
    let own = origins.key.clone();
    let taken = |variable: &str, config: &Config, moved: &[MovedKey]| {
        let reference = Secret::new(format!("${{{variable}}}"));
        let of_upstreams = config
            .upstreams
            .iter()
            .flat_map(|upstream| &upstream.api_keys);
        moved.iter().any(|key| key.variable == variable)
            || of_upstreams.chain(&own).any(|key| *key == reference)
    };
    if let Some(key) = own.clone() {
        origins.key = Some(moved_key(&mut moved, "SLUICE_KEY".into(), "keys", key));
    }
    for i in 0..config.upstreams.len() {
        let upstream = &config.upstreams[i];
        let path = format!("upstreams.{}", upstream.name);
        let own = variable_of(&upstream.name);
        let custom = catalogue.row(&upstream.provider);
        let custom = custom.and_then(|row| row.key_variable.clone());
        let custom = custom.filter(|variable| !taken(variable, config, &moved));
        let variable = custom.unwrap_or(format!("{own}_API_KEY"));
        let keys = upstream.api_keys.clone();
        let headers = upstream.headers.clone();
        for (k, key) in keys.into_iter().enumerate() {
            let number = if k == 0 {
                String::new()
            } else {
                format!("_{}", k + 1)
            };
            let variable = format!("{variable}{number}");
            config.upstreams[i].api_keys[k] = moved_key(&mut moved, variable, &path, key);
        }
        for (h, (name, value)) in headers.into_iter().enumerate() {
            if is_credential(&name) {
                let variable = format!("{own}_{}", variable_of(&name));
                let path = format!("{path}.headers.{name}");
                config.upstreams[i].headers[h].1 = moved_key(&mut moved, variable, &path, value);
            }
        }
    }
    moved
}

/// A reference to `key`, which is moved unless it is one already. One key has one
/// variable, wherever it is used.
fn moved_key(moved: &mut Vec<MovedKey>, variable: String, path: &str, key: Secret) -> Secret {
    if key.expose().contains("${") {
        return key;
    }
    let known = moved.iter().find(|known| known.key == key);
    let variable = match known {
        Some(known) => known.variable.clone(),
        None => {
            moved.push(MovedKey {
                variable: variable.clone(),
                path: path.to_owned(),
                key,
            });
            variable
        }
    };
    Secret::new(format!("${{{variable}}}"))
}

fn variable_of(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    name.chars().map(letter).collect()
}

/// Whether a header of this name may hold a secret.
pub(super) fn is_credential(name: &str) -> bool {
    const PARTS: [&str; 5] = ["auth", "cookie", "key", "secret", "token"];
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Hooks, Kv, load};

    const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/import");

    /// Writes what the samples become now; read the difference before it is kept.
    const REWRITE: &str = "UPDATE_IMPORTS";

    fn samples(folder: &str, extension: &str) -> Vec<std::path::PathBuf> {
        let folder = Path::new(SAMPLES).join(folder);
        let files = std::fs::read_dir(&folder).expect("samples").flatten();
        let mut files: Vec<_> = files
            .map(|file| file.path())
            .filter(|file| file.extension().is_some_and(|known| known == extension))
            .collect();
        files.sort();
        assert!(files.len() >= 10, "{} samples", files.len());
        files
    }

    /// What an import comes to, as text: the native file, and the report.
    fn outcome(format: Format, file: &Path) -> (String, String) {
        let lines = |findings: &[Diagnostic]| {
            let line = |finding: &Diagnostic| {
                let file = Path::new(&finding.file).file_name().unwrap_or_default();
                let file = file.display().to_string();
                format!(
                    "{}\n",
                    Diagnostic {
                        file,
                        ..finding.clone()
                    }
                )
            };
            findings.iter().map(line).collect::<String>()
        };
        match import(format, file) {
            Ok(imported) => {
                let keys = imported.keys.iter();
                let keys = keys.map(|key| format!("{}: {}\n", key.variable, key.path));
                let report = lines(&imported.findings) + &keys.collect::<String>();
                (imported.text, report)
            }
            Err(findings) => (String::new(), lines(&findings)),
        }
    }

    #[track_caller]
    fn check(file: &Path, golden: &str, got: &str) {
        let path = file.with_extension(golden);
        if std::env::var_os(REWRITE).is_some() {
            std::fs::write(&path, got).expect("a golden");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(got, expected, "{}", path.display());
    }

    #[test]
    fn samples_become_what_stands_beside_them() {
        for (format, folder, extension) in [
            (Format::LiteLlm, "litellm", "yaml"),
            (Format::ClaudeCodeRouter, "ccr", "json"),
        ] {
            for file in samples(folder, extension) {
                let (text, report) = outcome(format, &file);
                check(&file, "native", &text);
                check(&file, "report", &report);
                assert!(
                    !(text + &report).contains("sk-"),
                    "a key: {}",
                    file.display()
                );
            }
        }
    }

    /// The environment that a sample is loaded in: its own keys where they belong
    /// now, and something for all others.
    fn environment(keys: &[MovedKey]) -> impl Fn(&str) -> Option<String> {
        let moved = |key: &MovedKey| (key.variable.clone(), key.key.expose().to_owned());
        let moved: Vec<_> = keys.iter().map(moved).collect();
        move |name| {
            let moved = moved.iter().find(|(known, _)| known == name);
            let value = moved.map(|(_, value)| value.clone());
            let set = match name {
                "MY_BASE" => "http://10.1.1.1:9000/v1".into(),
                "MY_KEY" => "sk-in-the-file".into(),
                "AZURE_API_BASE_CA" => "https://ca.openai.azure.com".into(),
                _ => format!("value-of-{name}"),
            };
            Some(value.unwrap_or(set))
        }
    }

    fn without_places(mut config: Config) -> Config {
        for entry in &mut config.hooks.chain {
            entry.place.clear();
        }
        config.state.place.clear();
        config.listen_place = None;
        let hooks = Hooks {
            folder: None,
            lock: None,
            kv: Kv::default(),
            ..config.hooks
        };
        Config { hooks, ..config }
    }

    #[test]
    fn the_native_file_says_what_litellm_s_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut compared = 0;
        for file in samples("litellm", "yaml") {
            let Ok(imported) = import(Format::LiteLlm, &file) else {
                continue;
            };
            let native = folder.path().join("sluice.yaml");
            std::fs::write(&native, &imported.text).expect("written");
            let environment = environment(&imported.keys);
            let theirs = load(&file, &environment).expect("as LiteLLM's");
            let ours = load(&native, &environment).expect("as ours");
            assert_eq!(ours.diagnostics, [], "{}", file.display());
            let (ours, theirs) = (without_places(ours.config), without_places(theirs.config));
            assert_eq!(ours, theirs, "{}", file.display());
            compared += 1;
        }
        assert!(compared >= 9, "{compared} compared");
    }

    #[test]
    fn the_native_file_of_claude_code_router_s_loads() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut loaded = 0;
        for file in samples("ccr", "json") {
            let Ok(imported) = import(Format::ClaudeCodeRouter, &file) else {
                continue;
            };
            let native = folder.path().join("sluice.yaml");
            std::fs::write(&native, &imported.text).expect("written");
            let environment = environment(&imported.keys);
            let ours = load(&native, &environment).expect("a sound file");
            assert_eq!(ours.diagnostics, [], "{}", file.display());
            assert!(ours.config.models.default.is_some(), "{}", file.display());
            loaded += 1;
        }
        assert!(loaded >= 9, "{loaded} loaded");
    }

    #[test]
    fn comments_and_tabs_are_blanks() {
        assert_eq!(
            ccr::without_comments("{\t// a\n\"b\": \"//\\\"/*\" /* c\nd */}"),
            "{ \n\"b\": \"//\\\"/*\" \n}"
        );
    }
}
