//! What a hook says of itself, held against what its operator says.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::{Grants, HookEntry, HostGrant, Prompt};

/// What a hook says of itself. Members of later versions mean nothing here.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct About {
    /// Its version.
    pub version: String,
    /// What it does, in one line.
    pub summary: String,
    /// The JSON Schema of its configuration; `null` for none.
    pub config: Value,
    /// The grants that it cannot do without.
    pub needs: Needs,
}

/// Grants, in the operator's words.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Needs {
    /// `read` or `write`.
    pub prompt: Option<String>,
    /// Header names.
    pub headers: Vec<String>,
    /// Keys and values.
    pub kv: bool,
    /// Environment variables.
    pub env: Vec<String>,
    /// Hosts.
    pub http: Vec<String>,
    /// Grants that this gateway does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl About {
    /// Read a description.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json)
            .map_err(|error| format!("describes itself in a way that cannot be read: {error}"))
    }

    /// Everything that keeps a hook with this description from running under
    /// `entry`.
    pub(super) fn complaints(&self, entry: &HookEntry) -> Vec<String> {
        let mut complaints = self.config_errors(&entry.config);
        let missing = self.needs.missing(&entry.grants);
        if !missing.is_empty() {
            complaints.push(format!(
                "needs what it is not granted; add to its `grants`: {}",
                missing.join(", ")
            ));
        }
        complaints
    }

    fn config_errors(&self, config: &Value) -> Vec<String> {
        if self.config.is_null() {
            return Vec::new();
        }
        let validator = match jsonschema::validator_for(&self.config) {
            Ok(validator) => validator,
            Err(error) => return vec![format!("describes its config by no schema: {error}")],
        };
        let empty = Value::Object(Map::new());
        let config = if config.is_null() { &empty } else { config };
        let errors = validator.iter_errors(config);
        let shown = errors.map(|error| {
            let place = error.instance_path().to_string();
            format!(
                "refuses its config: `config{}`: {error}",
                place.replace('/', ".")
            )
        });
        shown.collect()
    }
}

impl Needs {
    /// What is not in `grants`, in the operator's words.
    pub fn missing(&self, grants: &Grants) -> Vec<String> {
        let mut missing = Vec::new();
        let granted = match grants.prompt {
            Prompt::None => 0,
            Prompt::Read => 1,
            Prompt::Write => 2,
        };
        let levels = ["none", "read", "write"];
        if let Some(prompt) = &self.prompt
            && levels
                .iter()
                .position(|level| level == prompt)
                .is_none_or(|level| level > granted)
        {
            missing.push(format!("prompt: {prompt}"));
        }
        let names = |what: &str, needed: &[String], granted: &[String]| {
            let absent = needed.iter().filter(|name| !granted.contains(name));
            let absent: Vec<_> = absent.map(String::as_str).collect();
            (!absent.is_empty()).then(|| format!("{what}: [{}]", absent.join(", ")))
        };
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        missing.extend(names("headers", &headers, &grants.headers));
        missing.extend(names("env", &self.env, &grants.env));
        let is_open = |host: &String| {
            let needed = HostGrant::parse(host);
            needed.is_some_and(|needed| grants.http.iter().any(|it| it.covers(&needed)))
        };
        let closed: Vec<_> = self.http.iter().filter(|host| !is_open(host)).collect();
        if !closed.is_empty() {
            let closed: Vec<_> = closed.into_iter().map(String::as_str).collect();
            missing.push(format!("http: [{}]", closed.join(", ")));
        }
        if self.kv && !grants.kv {
            missing.push("kv: true".into());
        }
        let unknown = self.other.keys();
        missing.extend(unknown.map(|name| format!("{name} (which this gateway does not know)")));
        missing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(about: &Value, config: Value, grants: Grants, expected: &[&str]) {
        let about = About::parse(&about.to_string()).unwrap();
        let mut entry = HookEntry::named("h", "here");
        (entry.config, entry.grants) = (config, grants);
        assert_eq!(about.complaints(&entry), expected);
    }

    #[test]
    fn a_config_meets_its_schema() {
        let about = json!({ "config": { "type": "object", "required": ["max"],
            "properties": { "max": { "type": "integer", "minimum": 1 }, "by": { "type": "array", "items": { "type": "string" } } },
            "additionalProperties": false } });
        let none = Grants::default;
        check(&about, json!({ "max": 5, "by": ["a"] }), none(), &[]);
        check(
            &about,
            Value::Null,
            none(),
            &["refuses its config: `config`: \"max\" is a required property"],
        );
        check(
            &about,
            json!({ "max": 0, "by": ["a", 1], "x": 1 }),
            none(),
            &[
                "refuses its config: `config.max`: 0 is less than the minimum of 1",
                "refuses its config: `config.by.1`: 1 is not of type \"string\"",
                "refuses its config: `config`: Additional properties are not allowed ('x' was unexpected)",
            ],
        );
    }

    #[test]
    fn needs_are_granted() {
        let about = json!({ "needs": { "prompt": "write", "headers": ["X-A", "x-b"], "kv": true, "env": ["E"], "http": ["A.example", "b.example:1"], "moon": 1 } });
        let all = Grants {
            prompt: Prompt::Write,
            headers: vec!["x-a".into(), "x-b".into()],
            kv: true,
            env: vec!["E".into()],
            http: ["*.example", "b.example:1"]
                .map(|it| HostGrant::parse(it).unwrap())
                .into(),
        };
        check(
            &about,
            Value::Null,
            all,
            &[
                "needs what it is not granted; add to its `grants`: moon (which this gateway does not know)",
            ],
        );
        let some = Grants {
            prompt: Prompt::Read,
            headers: vec!["x-b".into()],
            http: vec![HostGrant::parse("b.example").unwrap()],
            ..Grants::default()
        };
        check(
            &about,
            Value::Null,
            some,
            &[
                "needs what it is not granted; add to its `grants`: prompt: write, headers: [x-a], env: [E], http: [A.example, b.example:1], kv: true, moon (which this gateway does not know)",
            ],
        );
        check(&json!({}), Value::Null, Grants::default(), &[]);
    }
}
