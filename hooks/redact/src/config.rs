//! The configuration as written, and read: a pattern that cannot be is a mistake in it.

use std::sync::Arc;

use serde::Deserialize;

use crate::Redact;
use crate::named::Name;
use crate::pattern;
use crate::set::Set;

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Patterns that the hook knows: `email`, `secret`.
    #[serde(default)]
    named: Vec<Name>,
    /// Texts.
    #[serde(default)]
    literals: Vec<String>,
    /// Patterns of the operator's own.
    #[serde(default)]
    patterns: Vec<String>,
    /// What stands in their place.
    #[serde(default = "redacted")]
    replacement: String,
    #[serde(default = "yes")]
    requests: bool,
    #[serde(default = "yes")]
    answers: bool,
}

fn redacted() -> String {
    "[redacted]".into()
}

fn yes() -> bool {
    true
}

impl TryFrom<Config> for Redact {
    type Error = String;

    fn try_from(config: Config) -> Result<Self, String> {
        let mut set = Set::new(config.replacement);
        for pattern in config.named.into_iter().flat_map(Name::patterns) {
            set.add(pattern::parse(pattern)?);
        }
        for literal in &config.literals {
            set.add(
                pattern::literal(literal).map_err(|why| format!("literals: `{literal}`: {why}"))?,
            );
        }
        for text in &config.patterns {
            set.add(pattern::parse(text).map_err(|why| format!("patterns: `{text}`: {why}"))?);
        }
        Ok(Self {
            set: Arc::new(set),
            requests: config.requests,
            answers: config.answers,
        })
    }
}
