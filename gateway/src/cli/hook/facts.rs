//! What a trial's hook is told of its call: from the request, and over that from
//! the options.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use super::trial::Trial;
use crate::hook::{AttemptFacts, Facts, FailureFacts, TargetFacts};
use crate::provider::Dialect;

/// What is known of the call.
pub(super) struct TrialFacts {
    pub(super) call: Facts,
    pub(super) attempt: AttemptFacts,
    pub(super) targets: Vec<TargetFacts>,
    pub(super) status: u16,
    pub(super) failure: FailureFacts,
}

/// The attributes that a trial can set.
const ATTRIBUTES: [&str; 12] = [
    "id",
    "client",
    "dialect",
    "model",
    "stream",
    "upstream",
    "upstream-model",
    "upstream-dialect",
    "attempt",
    "status",
    "origin",
    "decision",
];

impl TrialFacts {
    /// The facts of `trial`.
    ///
    /// # Errors
    /// What is wrong with an option.
    pub(super) fn new(trial: &Trial) -> Result<Self, String> {
        let given = Given::new(&trial.attributes)?;
        let body = trial.document.as_deref().unwrap_or(b"{}");
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("the request is not JSON: {error}"))?;
        let model = given.text("model", body["model"].as_str().unwrap_or("model"));
        let targets = targets(&trial.targets, given.text("upstream", "upstream"), model)?;
        let status = given.number("status", 200)?;
        let first = &targets[0];
        Ok(Self {
            call: Facts {
                id: given.text("id", "test").to_owned(),
                dialect: dialect(given.text("dialect", "anthropic-messages"))?.name(),
                model: model.to_owned(),
                stream: given.text("stream", &body["stream"].to_string()) == "true",
                client: given.text("client", "").to_owned(),
                request_bytes: trial.document.as_ref().map_or(0, Vec::len),
                headers: Arc::new(trial.headers.clone()),
            },
            attempt: AttemptFacts {
                upstream: given.text("upstream", &first.upstream).to_owned(),
                upstream_model: given.text("upstream-model", &first.model).to_owned(),
                upstream_dialect: dialect(given.text("upstream-dialect", "chat-completions"))?
                    .name(),
                attempt: given.number("attempt", 1)?,
            },
            targets,
            status,
            failure: FailureFacts {
                status,
                origin: given.word("origin", &["upstream", "client", "gateway"])?,
                decision: given.word("decision", &["fail", "skip-target", "retry"])?,
            },
        })
    }
}

/// Attributes as options say them; of one that is there twice, the last counts.
struct Given<'g>(&'g [(String, String)]);

impl<'g> Given<'g> {
    fn new(attributes: &'g [(String, String)]) -> Result<Self, String> {
        let is_unknown = |(name, _): &&(String, String)| !ATTRIBUTES.contains(&name.as_str());
        match attributes.iter().find(is_unknown) {
            None => Ok(Self(attributes)),
            Some((name, _)) => {
                let known = ATTRIBUTES.join(", ");
                Err(format!(
                    "--attribute {name}: there is none; there are {known}"
                ))
            }
        }
    }

    fn text<'t>(&'t self, name: &str, default: &'t str) -> &'t str {
        let mut given = self.0.iter().rev();
        let found = given.find(|(known, _)| known == name);
        found.map_or(default, |(_, value)| value)
    }

    fn number<N: FromStr + ToString>(&self, name: &str, default: N) -> Result<N, String> {
        let default = default.to_string();
        let text = self.text(name, &default);
        let number = text.parse();
        number.map_err(|_| format!("--attribute {name}={text}: no number that can be one"))
    }

    /// One of some words; the first without any.
    fn word(&self, name: &str, known: &[&'static str]) -> Result<&'static str, String> {
        let text = self.text(name, known[0]);
        let mut words = known.iter().copied();
        words.find(|word| *word == text).ok_or_else(|| {
            let known = known.join(", ");
            format!("--attribute {name}={text}: expected one of {known}")
        })
    }
}

/// The targets that options name, or one; never none.
fn targets(named: &[String], upstream: &str, model: &str) -> Result<Vec<TargetFacts>, String> {
    if named.is_empty() {
        return Ok(vec![target(upstream, model)]);
    }
    let targets = named.iter().map(|text| match text.split_once('/') {
        Some((upstream, model)) => Ok(target(upstream, model)),
        None => Err(format!("--target {text}: expected `UPSTREAM/MODEL`")),
    });
    targets.collect()
}

fn target(upstream: &str, model: &str) -> TargetFacts {
    TargetFacts {
        upstream: upstream.to_owned(),
        model: model.to_owned(),
        dialect: Dialect::default().name(),
        provider: upstream.to_owned(),
    }
}

/// The dialect of this name.
pub(super) fn dialect(name: &str) -> Result<Dialect, String> {
    let known = Dialect::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, dialect)| dialect).ok_or_else(|| {
        let names = Dialect::ALL.map(|(name, _)| name).join(", ");
        format!("`{name}` is no dialect; there are {names}")
    })
}
