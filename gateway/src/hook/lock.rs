//! The lock file: which hooks a gateway may run, and what they may do at most.
//!
//! `sluice hook lock` writes it beside the config file. From then on a hook that
//! it does not list, whose bytes are others, or that is granted more, is refused
//! before anything of it is compiled, and the running chain runs on. A bundled
//! hook is a part of the gateway: as long as it stays bundled, its bytes change
//! with the gateway's version and need no new lock.
//!
//! No signature: whoever can write the lock file can accept anything.

use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::about::Needs;
use super::bundled::SOURCE as BUNDLED;
use super::chain::HookInfo;
use crate::config::{Grants, HookEntry, HostGrant, Prompt, from_yaml};

/// How an operator accepts what is refused.
const ACCEPT: &str = "if it may run, accept it with `sluice hook lock`";

/// The version of the file's format.
const VERSION: u32 = 1;

/// What the file begins with.
const HEAD: &str = "\
# The hooks that this gateway runs, and what they may do at most. Where this file
# is, any other hook is refused. Written by `sluice hook lock`.
";

/// The hooks that may run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    #[serde(default)]
    hooks: Vec<Locked>,
}

/// A hook that may run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Locked {
    name: String,
    source: String,
    /// SHA-256 of its bytes, in hex.
    sha256: String,
    #[serde(default)]
    grants: Needs,
}

impl Lock {
    /// The lock in `file`; none if there is no such file.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, String> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lock: Self =
            from_yaml(text).map_err(|error| format!("is no list of hooks: {error}"))?;
        if lock.version != VERSION {
            return Err(format!(
                "has version {}, and this gateway reads {VERSION}; write it anew with `sluice hook lock`",
                lock.version
            ));
        }
        Ok(lock)
    }

    /// Every hook in a line: name, source, digest, grants.
    pub fn summary(text: &str) -> Vec<String> {
        let lines = |locked: &Locked| {
            format!(
                "{} ({}) {:.12} {}",
                locked.name,
                locked.source,
                locked.sha256,
                written(&grants_of(&locked.grants))
            )
        };
        // One that cannot be read lets nothing run.
        let lock = Self::parse(text);
        lock.map_or_else(
            |_| Vec::new(),
            |lock| lock.hooks.iter().map(lines).collect(),
        )
    }

    /// The text of a lock file for these hooks and their entries. Paths below
    /// `folder`, where the file will be, are written relative to it.
    pub fn text<'e>(
        folder: &Path,
        hooks: impl IntoIterator<Item = (HookInfo, &'e HookEntry)>,
    ) -> String {
        let mut text = format!("{HEAD}version: {VERSION}\nhooks:");
        let mut is_empty = true;
        for (info, entry) in hooks {
            let source = Path::new(&info.source);
            let source = source.strip_prefix(folder).unwrap_or(source);
            // Texts and objects of JSON are YAML, whatever is in them.
            let quoted = |text: &str| Value::from(text).to_string();
            let _ = write!(
                text,
                "\n  - name: {}\n    source: {}\n    sha256: {}\n    grants: {}",
                quoted(&info.name),
                quoted(&source.display().to_string()),
                quoted(&info.digest),
                written(&entry.grants)
            );
            is_empty = false;
        }
        text.push_str(if is_empty { " []\n" } else { "\n" });
        text
    }

    /// Why the hook of `entry` may not run; none if it may.
    pub(super) fn complaint(
        &self,
        entry: &HookEntry,
        source: &str,
        digest: &str,
    ) -> Option<String> {
        let who = format!("hook `{}` ({source})", entry.name);
        let named = self.hooks.iter().filter(|hook| hook.name == entry.name);
        let (same, others): (Vec<_>, Vec<_>) =
            named.partition(|hook| is_same(hook, source, digest));
        let more = |hook: &&Locked| needs_of(&entry.grants).missing(&grants_of(&hook.grants));
        match (same.iter().map(more).min_by_key(Vec::len), others.first()) {
            (Some(more), _) if more.is_empty() => None,
            (Some(more), _) => Some(format!(
                "{who} is granted what `hooks.lock` does not grant ({}); {ACCEPT}",
                more.join(", ")
            )),
            (None, Some(other)) => Some(format!(
                "{who} has the digest {digest:.12}, and `hooks.lock` accepted {:.12} ({}); {ACCEPT}",
                other.sha256, other.source
            )),
            (None, None) => Some(format!("{who} is not in `hooks.lock`; {ACCEPT}")),
        }
    }
}

fn is_same(locked: &Locked, source: &str, digest: &str) -> bool {
    match source == BUNDLED {
        true => locked.source == BUNDLED,
        false => locked.source != BUNDLED && locked.sha256 == digest,
    }
}

// === grants, as a lock file writes them ===

/// The grants that are there, as an object in the operator's words.
pub(crate) fn written(grants: &Grants) -> Value {
    let needs = needs_of(grants);
    let mut written = Map::new();
    let mut put = |name: &str, value: Value, is_there: bool| {
        if is_there {
            written.insert(name.to_owned(), value);
        }
    };
    put("prompt", json!(needs.prompt), needs.prompt.is_some());
    put("headers", json!(needs.headers), !needs.headers.is_empty());
    put("kv", json!(true), needs.kv);
    put("env", json!(needs.env), !needs.env.is_empty());
    put("http", json!(needs.http), !needs.http.is_empty());
    Value::Object(written)
}

fn needs_of(grants: &Grants) -> Needs {
    // Every field by name, so that a new grant cannot be forgotten here.
    let Grants {
        headers,
        prompt,
        kv,
        env,
        http,
    } = grants;
    Needs {
        prompt: match prompt {
            Prompt::None => None,
            Prompt::Read => Some("read".into()),
            Prompt::Write => Some("write".into()),
        },
        headers: headers.clone(),
        kv: *kv,
        env: env.clone(),
        http: http.iter().map(ToString::to_string).collect(),
        other: Map::new(),
    }
}

fn grants_of(needs: &Needs) -> Grants {
    Grants {
        headers: needs.headers.clone(),
        prompt: match needs.prompt.as_deref() {
            Some("write") => Prompt::Write,
            Some("read") => Prompt::Read,
            _ => Prompt::None,
        },
        kv: needs.kv,
        env: needs.env.clone(),
        http: needs
            .http
            .iter()
            .filter_map(|host| HostGrant::parse(host))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::StageSet;

    fn hook(name: &str, source: &str, digest: &str, grants: Grants) -> (HookInfo, HookEntry) {
        let info = HookInfo {
            name: name.into(),
            source: source.into(),
            digest: digest.into(),
            stages: StageSet::default(),
        };
        let mut entry = HookEntry::named(name, "here");
        entry.grants = grants;
        (info, entry)
    }

    fn granted() -> Grants {
        Grants {
            headers: vec!["x-a".into()],
            prompt: Prompt::Read,
            kv: true,
            env: vec!["E".into()],
            http: vec![],
        }
    }

    /// Whether the lock of `locked` lets `(source, digest, grants)` run as `h`.
    #[track_caller]
    fn check(
        locked: &[(&str, &str, &str, Grants)],
        asked: (&str, &str, Grants),
        expected: Option<&str>,
    ) {
        let locked: Vec<_> = locked
            .iter()
            .map(|(name, source, digest, grants)| hook(name, source, digest, grants.clone()))
            .collect();
        let hooks = locked.iter().map(|(info, entry)| (info.clone(), entry));
        let text = Lock::text(Path::new("/etc/sluice"), hooks);
        let lock = Lock::parse(&text).unwrap();
        let (_, entry) = hook("h", asked.0, asked.1, asked.2);
        let complaint = lock.complaint(&entry, asked.0, asked.1);
        assert_eq!(complaint.as_deref(), expected, "{text}");
    }

    #[test]
    fn what_is_listed_runs() {
        let none = Grants::default;
        check(
            &[("h", "h.wasm", "ab", none())],
            ("h.wasm", "ab", none()),
            None,
        );
        check(
            &[("h", "h.wasm", "ab", granted())],
            ("h.wasm", "ab", none()),
            None,
        );
        check(
            &[("h", "h.wasm", "ab", granted())],
            ("elsewhere", "ab", granted()),
            None,
        );
        // One component in two places of the chain.
        let twice = [
            ("h", "h.wasm", "ab", none()),
            ("h", "h.wasm", "ab", granted()),
        ];
        check(&twice, ("h.wasm", "ab", granted()), None);
        // A bundled hook is a part of the gateway.
        check(
            &[("h", "bundled", "ab", none())],
            ("bundled", "cd", none()),
            None,
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let none = Grants::default;
        check(
            &[],
            ("h.wasm", "ab", none()),
            Some(
                "hook `h` (h.wasm) is not in `hooks.lock`; if it may run, accept it with `sluice hook lock`",
            ),
        );
        check(
            &[("h", "/etc/sluice/hooks/h.wasm", "ab", none())],
            ("h.wasm", "cd", none()),
            Some(
                "hook `h` (h.wasm) has the digest cd, and `hooks.lock` accepted ab (hooks/h.wasm); if it may run, accept it with `sluice hook lock`",
            ),
        );
        check(
            &[(
                "h",
                "h.wasm",
                "ab",
                Grants {
                    headers: vec!["x-b".into()],
                    ..none()
                },
            )],
            ("h.wasm", "ab", granted()),
            Some(
                "hook `h` (h.wasm) is granted what `hooks.lock` does not grant (prompt: read, headers: [x-a], env: [E], kv: true); if it may run, accept it with `sluice hook lock`",
            ),
        );
        let instead = "hook `h` (h.wasm) has the digest ab, and `hooks.lock` accepted ab (bundled); if it may run, accept it with `sluice hook lock`";
        check(
            &[("h", "bundled", "ab", none())],
            ("h.wasm", "ab", none()),
            Some(instead),
        );
    }

    #[test]
    fn a_damaged_file_locks_everything_out() {
        for (text, expected) in [
            (
                "version: 2\nhooks: []\n",
                "has version 2, and this gateway reads 1; write it anew with `sluice hook lock`",
            ),
            ("", "is no list of hooks: "),
            (
                "version: 1\nhooks: [{ name: h }]\n",
                "is no list of hooks: ",
            ),
        ] {
            let error = Lock::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(
            Lock::read(Path::new("/nowhere/hooks.lock"))
                .unwrap()
                .is_none()
        );
    }
}
