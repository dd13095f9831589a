//! The terms on which a hook is tried: an entry of a chain, from options.

use std::path::Path;

use serde_json::Value;

use super::read_text;
use crate::config::{Grants, HookEntry, HostGrant, Prompt};

/// Options that stand for a chain entry.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Terms {
    /// The hook's configuration: JSON, or `@file.json`.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// What it may see and change, as in a chain entry: `prompt=read`,
    /// `prompt=write`, `headers=x-team,x-user`, `env=NAME`, `http=host.example`, `kv`.
    #[arg(long, value_name = "GRANT")]
    pub grant: Vec<String>,
}

impl Terms {
    /// The entry of the hook in `file`.
    ///
    /// # Errors
    /// What is wrong with an option.
    pub fn entry(&self, file: &Path) -> Result<HookEntry, String> {
        let name = file.file_stem().unwrap_or(file.as_os_str());
        let place = file.display().to_string();
        let mut entry = HookEntry::named(name.to_string_lossy(), place);
        entry.config = match &self.config {
            Some(config) => json(config)?,
            None => Value::Null,
        };
        entry.grants = grants(&self.grant)?;
        Ok(entry)
    }
}

/// JSON, as written or in a file.
fn json(text: &str) -> Result<Value, String> {
    let text = match text.strip_prefix('@') {
        Some(file) => read_text(Path::new(file))?,
        None => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| format!("--config: not JSON: {error}"))
}

/// Grants as options write them.
///
/// # Errors
/// The one that cannot be read.
pub fn grants(options: &[String]) -> Result<Grants, String> {
    let mut grants = Grants::default();
    for option in options {
        let (name, value) = option.split_once('=').unwrap_or((option, "true"));
        let names = value.split(',').map(str::trim);
        match (name, value) {
            ("prompt", "none") => grants.prompt = Prompt::None,
            ("prompt", "read") => grants.prompt = Prompt::Read,
            ("prompt", "write") => grants.prompt = Prompt::Write,
            ("kv", "true") => grants.kv = true,
            ("kv", "false") => grants.kv = false,
            ("headers", _) => grants.headers.extend(names.map(str::to_ascii_lowercase)),
            ("env", _) => grants.env.extend(names.map(str::to_owned)),
            ("http", _) => {
                let hosts = names.map(HostGrant::parse).collect::<Option<Vec<_>>>();
                let hosts = hosts.ok_or_else(|| format!("--grant {option}: not hosts"))?;
                grants.http.extend(hosts);
            }
            _ => {
                return Err(format!(
                    "--grant {option}: expected `prompt=read`, `prompt=write`, `headers=NAMES`, `env=NAMES`, `http=HOSTS` or `kv`"
                ));
            }
        }
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::written;

    #[track_caller]
    fn check(options: &[&str], expected: &str) {
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let got = grants(&options).map_or_else(|why| why, |it| written(&it).to_string());
        assert_eq!(got, expected);
    }

    #[test]
    fn grants_are_written_as_in_the_chain() {
        check(&[], "{}");
        check(
            &["prompt=write", "headers=X-A,x-b", "kv", "env=E", "env=F"],
            r#"{"prompt":"write","headers":["x-a","x-b"],"kv":true,"env":["E","F"]}"#,
        );
        check(
            &["prompt=all"],
            "--grant prompt=all: expected `prompt=read`, `prompt=write`, `headers=NAMES`, `env=NAMES`, `http=HOSTS` or `kv`",
        );
    }

    #[test]
    fn a_config_is_json() {
        let terms = |config: &str| Terms {
            config: Some(config.into()),
            grant: Vec::new(),
        };
        let entry = terms(r#"{"max":1}"#)
            .entry(Path::new("a/cap.wasm"))
            .unwrap();
        assert_eq!(
            (entry.name.as_str(), &entry.config["max"]),
            ("cap", &1.into())
        );
        let wrong = terms("max: 1").entry(Path::new("cap.wasm")).unwrap_err();
        assert!(wrong.starts_with("--config: not JSON: "), "{wrong}");
    }
}
