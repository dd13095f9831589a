//! A hook on the stages around a call, which does what its config says: for tests.

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_hook_sdk::{About, Call, Failure, Hook, Level, Reply, Verdict, hook};

/// The script.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Stages {
    /// Targets to choose.
    choose: Option<Vec<u32>>,
    /// The model whose targets to take.
    reroute: Option<String>,
    /// Statuses of upstreams after which to try again, or the next target.
    retry: Vec<String>,
    skip: Vec<String>,
    /// What to say in an error's place, and what to do with errors: `reply`, or
    /// `retry`.
    reword: Option<String>,
    on_error: Option<String>,
    /// How many tokens every request has.
    tokens: Option<u64>,
    /// The model not to list.
    hide: Option<String>,
    /// Count calls in the metrics, and in the store.
    count: bool,
}

#[hook]
impl Hook for Stages {
    fn describe() -> About {
        About {
            version: "1.2.3",
            summary: "Plays the stages around a call.",
            config: json!({ "type": "object", "properties": { "tokens": { "type": "integer", "minimum": 1 } } }),
            needs: json!({ "kv": true }),
        }
    }

    fn on_route(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        if let Some(model) = &self.reroute {
            return Ok(Verdict::Reroute(model.clone()));
        }
        let Some(chosen) = &self.choose else {
            return Ok(Verdict::Next);
        };
        let targets = call.targets();
        let names: Vec<_> = targets.iter().map(|target| target.model.as_str()).collect();
        call.log_with(Level::Info, "Choosing.", &[("of", names.join(","))]);
        Ok(Verdict::Choose(chosen.clone()))
    }

    fn on_upstream_response(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let status = call.attribute("status").unwrap_or_default();
        if self.retry.contains(&status) {
            return Ok(Verdict::Retry(1));
        }
        if self.skip.contains(&status) {
            return Ok(Verdict::SkipTarget(format!("it said {status}")));
        }
        Ok(Verdict::Next)
    }

    fn on_error(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        if let Some(words) = &self.reword {
            let decision = call.attribute("decision").unwrap_or_default();
            let origin = call.attribute("origin").unwrap_or_default();
            let status = call.attribute("status").unwrap_or_default();
            let before: Option<String> = call.get("/error/message")?;
            let before = before.unwrap_or_default();
            call.set(
                "/error/message",
                format!("{words} ({status}, {origin}, {decision}: {before})"),
            )?;
        }
        Ok(match self.on_error.as_deref() {
            Some("reply") => Verdict::Reply(Reply::Text("never mind".into())),
            Some("retry") => Verdict::Retry(1),
            _ => Verdict::Next,
        })
    }

    fn on_complete(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        for what in call.get::<Vec<String>>("/shadow")?.unwrap_or_default() {
            call.count("shadows", 1.0, &[("what", what)]);
        }
        if self.count {
            let outcome: Option<String> = call.get("/outcome")?;
            let tokens: Option<f64> = call.get("/usage/output_tokens")?;
            let calls = call.increment("calls", 1, None)?;
            let outcome = outcome.unwrap_or_default().replace(' ', "_");
            call.observe("output_tokens", tokens.unwrap_or(-1.0), &[]);
            let client = call.attribute("client").unwrap_or_default();
            let recorded: Option<String> = call.get("/client")?;
            let recorded = recorded.unwrap_or_default();
            call.count(
                "calls",
                1.0,
                &[
                    ("outcome", outcome),
                    ("nth", calls.to_string()),
                    ("client", client),
                    ("recorded", recorded),
                ],
            );
        }
        Ok(())
    }

    fn on_count_tokens(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(self.tokens.map_or(Verdict::Next, Verdict::Count))
    }

    fn on_list_models(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let Some(hidden) = &self.hide else {
            return Ok(Verdict::Next);
        };
        let models: Vec<Value> = call.get("/data")?.unwrap_or_default();
        let shown: Vec<_> = models
            .iter()
            .filter(|model| model["id"] != **hidden)
            .collect();
        call.set("/data", shown)?;
        Ok(Verdict::Next)
    }
}
