//! `include`: one configuration in several files.
//!
//! Sections are merged by their keys, and no key may stand in two files; the hooks
//! of the chain follow one another in the order of the files. Included files
//! include no others, so that there is one place to look at.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use super::document::{Document, Spot, child, key_text, lines};
use crate::route;

/// Whose members may come from several files: Sluice's, and LiteLLM's.
const MERGED: [&str; 13] = [
    "attempts",
    "attempts.on",
    "drain",
    "environment_variables",
    "general_settings",
    "hooks",
    "hooks.kv",
    "limits",
    "litellm_settings",
    "models",
    "router_settings",
    "tiers",
    "upstreams",
];

/// Lists whose items may.
const JOINED: [&str; 2] = ["hooks.chain", "model_list"];

/// The files that the one at `path` includes now, and the folders in which more may
/// turn up.
pub fn included(path: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let root: Value = serde_yaml::from_str(&text).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = written(&root);
    let open = written.iter().filter(|name| name.contains('*'));
    let folders = open.map(|name| parted(folder, name).0);
    let files = written.iter().flat_map(|name| files(folder, name));
    files.chain(folders.clone()).collect()
}

/// SHA-256 of the files of the one at `path`, itself and those that it includes.
pub fn digest(path: &Path) -> String {
    let mut hasher = Sha256::new();
    let files = included(path).into_iter().filter(|path| !path.is_dir());
    for file in [path.to_owned()].into_iter().chain(files) {
        let bytes = std::fs::read(file).unwrap_or_default();
        // The lengths keep the end of one file apart from the beginning of the next.
        hasher.update(bytes.len().to_le_bytes());
        hasher.update(bytes);
    }
    let bytes = hasher.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(root: &Value) -> Vec<&str> {
    let list = root.get("include").and_then(Value::as_sequence);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The folder and the name of a path in a file.
fn parted(folder: &Path, written: &str) -> (PathBuf, String) {
    let path = folder.join(written);
    let name = path.file_name().unwrap_or_default().display().to_string();
    (path.parent().unwrap_or(folder).to_owned(), name)
}

/// The files that `written` names, in the order of their names. A `*` stands for
/// any run of characters in the last part of a path.
fn files(folder: &Path, written: &str) -> Vec<PathBuf> {
    if !written.contains('*') {
        return vec![folder.join(written)];
    }
    let (folder, pattern) = parted(folder, written);
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => &folder,
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let matching = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().display().to_string();
        route::matches(&pattern, &name) && path.is_file()
    };
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(matching).collect();
    files.sort();
    files
}

/// Merge into `root` what it includes, with paths from `folder`.
pub(super) fn merge(document: &mut Document, root: &mut Value, folder: &Path) {
    if root.get("include").is_some_and(|list| !list.is_sequence()) {
        document.error("include", "expected a list of paths");
        return;
    }
    let names: Vec<String> = written(root).into_iter().map(str::to_owned).collect();
    for (i, name) in names.iter().enumerate() {
        for file in files(folder, name) {
            let place = format!("include[{i}]");
            if let Err(why) = merge_file(document, root, &file) {
                document.error(&place, &format!("`{}`: {why}", file.display()));
            }
        }
    }
}

fn merge_file(document: &mut Document, root: &mut Value, file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    let mut value: Value = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
    value.apply_merge().map_err(|error| error.to_string())?;
    let (root, value) = match (root, value) {
        (_, Value::Null) => return Ok(()),
        (Value::Mapping(root), Value::Mapping(value)) => (root, value),
        _ => return Err("expected a mapping".into()),
    };
    if value.contains_key("include") {
        return Err("an included file includes no others".into());
    }
    let file = document.file(file.display().to_string());
    let part = Part {
        file,
        lines: lines(&text),
    };
    part.join(document, root, value, "");
    Ok(())
}

/// A file to be merged.
struct Part {
    file: usize,
    lines: HashMap<String, usize>,
}

impl Part {
    /// Merge `part`, the members of `path`, into `whole`.
    fn join(&self, document: &mut Document, whole: &mut Mapping, part: Mapping, path: &str) {
        for (key, value) in part {
            let path = child(path, &key_text(&key));
            match (whole.get_mut(&key), value) {
                (Some(_), Value::Null) => {}
                (None | Some(Value::Null), value) => {
                    self.place(document, &path, &path);
                    whole.insert(key, value);
                }
                (Some(Value::Mapping(whole)), Value::Mapping(value))
                    if MERGED.contains(&path.as_str()) =>
                {
                    self.join(document, whole, value, &path);
                }
                (Some(Value::Sequence(whole)), Value::Sequence(items))
                    if JOINED.contains(&path.as_str()) =>
                {
                    for (i, item) in items.into_iter().enumerate() {
                        let to = format!("{path}[{}]", whole.len());
                        self.place(document, &format!("{path}[{i}]"), &to);
                        whole.push(item);
                    }
                }
                (Some(_), _) => self.collide(document, &path),
            }
        }
    }

    /// Note the lines of all that is at `from` as those of what is at `to`.
    fn place(&self, document: &mut Document, from: &str, to: &str) {
        for (path, line) in &self.lines {
            let rest = path.strip_prefix(from);
            let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            if let Some(rest) = rest {
                let spot = Spot {
                    file: self.file,
                    line: *line,
                };
                document.place(format!("{to}{rest}"), spot);
            }
        }
    }

    fn collide(&self, document: &mut Document, path: &str) {
        let first = document.spot(path);
        let first = first.map(|spot| format!("{}:{}", document.name(spot.file), spot.line));
        let line = self.lines.get(path).copied();
        let message = format!("stands in `{}` already", first.unwrap_or_default());
        document.error_in(self.file, line, path, message);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, load};

    /// The configuration in these files, or what was found, without the folder.
    fn loaded(files: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("the folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let main = folder.path().join(files[0].0);
        let base = format!("{}/", folder.path().display());
        load(&main, &|_| None)
            .map(|loaded| loaded.config)
            .map_err(|findings| {
                let line = |finding: &crate::config::Diagnostic| finding.to_string();
                let lines = findings.iter().map(line);
                lines.map(|line| line.replace(&base, "")).collect()
            })
    }

    #[test]
    fn sections_are_merged_and_chains_joined() {
        let config = loaded(&[
            (
                "sluice.yaml",
                "include: [parts/*.yaml, more.yml]\nlimits: { calls_max: 7 }\nmodels: { m: { upstream: a } }\nhooks: { chain: [inject-usage] }",
            ),
            ("more.yml", "hooks: { folder: h, chain: [drop-params] }\nlimits: { queue_max: 3 }"),
            ("parts/b.yaml", "models: { n: m }\nhooks: { chain: [force-stream] }"),
            ("parts/a.yaml", "upstreams: { a: { base_url: http://a } }\nmodels:"),
            ("parts/no.txt", "not: read"),
        ])
        .expect("sound files");
        let names: Vec<_> = config
            .models
            .routes
            .iter()
            .map(|route| &*route.pattern)
            .collect();
        assert_eq!(names, ["m", "n"]);
        let hooks: Vec<_> = config
            .hooks
            .chain
            .iter()
            .map(|entry| &*entry.name)
            .collect();
        assert_eq!(hooks, ["inject-usage", "force-stream", "drop-params"]);
        assert_eq!((config.limits.calls_max, config.limits.queue_max), (7, 3));
        assert!(
            config.hooks.chain[1]
                .place
                .ends_with("b.yaml:2: hooks.chain[1]")
        );
    }

    #[test]
    fn what_is_wrong_is_told_of_its_own_file() {
        let found = loaded(&[
            (
                "sluice.yaml",
                "include: [a.yaml, b.yaml, gone.yaml, no-*.yaml]\nmodels:\n  m: { upstream: u }\nhooks:\n  chain: [inject-usage]",
            ),
            (
                "a.yaml",
                "upstreams:\n  u:\n    bse_url: http://u\nhooks:\n  chain:\n    - { hook: x, mode: z }",
            ),
            ("b.yaml", "models:\n  n: m\n  m: { upstream: v }\nupstreams: { u: { base_url: http://h } }"),
        ])
        .expect_err("mistakes");
        assert_eq!(
            found,
            [
                "error: sluice.yaml:1: include[2]: `gone.yaml`: cannot be read: No such file or directory (os error 2)",
                "error: a.yaml:2: upstreams.u: no `base_url`, and provider `openai-compatible` has none by default; add the URL that `/chat/completions` is appended to",
                "error: a.yaml:3: upstreams.u.bse_url: no setting named `bse_url`; did you mean `base_url`?",
                "error: a.yaml:6: hooks.chain[1].mode: `z` is not one of `act`, `shadow`",
                "error: b.yaml:3: models.m: stands in `sluice.yaml:3` already",
                "error: b.yaml:4: upstreams.u: stands in `a.yaml:2` already",
            ]
        );
        let found = loaded(&[
            ("sluice.yaml", "include: [a.yaml, b.yaml]\nmodels: {}"),
            ("a.yaml", "include: [b.yaml]"),
            ("b.yaml", "- a"),
        ])
        .expect_err("mistakes");
        assert_eq!(
            found,
            [
                "error: sluice.yaml:1: include[0]: `a.yaml`: an included file includes no others",
                "error: sluice.yaml:1: include[1]: `b.yaml`: expected a mapping",
            ]
        );
    }

    #[test]
    fn litellm_s_files_are_merged_too() {
        let config = loaded(&[
            ("config.yaml", "include: [more.yaml]\nmodel_list:\n- { model_name: a, litellm_params: { model: openai/a } }"),
            ("more.yaml", "model_list:\n- { model_name: b, litellm_params: { model: openai/b } }\nlitellm_settings: { num_retries: 5 }"),
        ])
        .expect("sound files");
        assert_eq!(
            (config.models.routes.len(), config.attempts.retries),
            (2, 5)
        );
    }
}
