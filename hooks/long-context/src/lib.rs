//! Sends what does not fit a model's window to a model that it fits.

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Level, Patterns, Verdict, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Windows by pattern of the requested model's name; with null a call stays,
    /// however long it is.
    models: Patterns<Option<Window>>,
}

/// A model's window.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    /// Tokens of request and answer together.
    window: u64,
    /// The model for what does not fit.
    to: String,
}

#[hook]
impl Hook for LongContext {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Sends what does not fit a model's window to another model.",
            config: json!({ "type": "object", "additionalProperties": false, "required": ["models"],
                "properties": { "models": { "type": "object", "additionalProperties": {
                    "type": ["object", "null"], "additionalProperties": false, "required": ["window", "to"],
                    "properties": {
                        "window": { "type": "integer", "minimum": 1 },
                        "to": { "type": "string", "minLength": 1 },
                    } } } } }),
            needs: json!(null),
        }
    }

    fn on_route(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let asked: String = call.get("/model")?.unwrap_or_default();
        let answer: u64 = call.get("/max_tokens")?.unwrap_or(0);
        let request = call.measure("input-tokens").unwrap_or(0.0) as u64;
        let tokens = request.saturating_add(answer);
        let mut model = asked.as_str();
        // The other model may have a window, too; a ring ends with its last.
        for _ in self.models.iter() {
            match self.models.find(model) {
                Some(Some(next)) if tokens > next.window => model = &next.to,
                _ => break,
            }
        }
        if model == asked {
            return Ok(Verdict::Next);
        }
        let values = [("tokens", tokens.to_string()), ("model", model.to_owned())];
        call.log_with(Level::Info, "Rerouted a long call.", &values);
        Ok(Verdict::Reroute(model.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_hook_sdk::testing::TestCall;

    /// Where a call to `model` goes, that needs so many tokens.
    #[track_caller]
    fn check(model: &str, request: f64, answer: Option<u64>, expected: Option<&str>) {
        let hook: LongContext = serde_json::from_value(json!({ "models": {
            "mini-chosen": null,
            "mini-*": { "window": 100, "to": "big" },
            "big": { "window": 1000, "to": "huge" },
            "ring": { "window": 1, "to": "ring" },
        } }))
        .unwrap();
        let mut body = json!({ "model": model });
        if let Some(answer) = answer {
            body["max_tokens"] = json!(answer);
        }
        let mut test = TestCall::new(&body.to_string()).measure("input-tokens", request);
        match (hook.on_route(&mut test.call()).unwrap(), expected) {
            (Verdict::Next, None) => {}
            (Verdict::Reroute(model), Some(expected)) => assert_eq!(model, expected),
            (verdict, _) => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn what_fits_stays() {
        check("mini-1", 60.5, Some(40), None);
        check("mini-1", 100.0, None, None);
        check("other", 1e9, Some(1), None);
        check("ring", 2.0, None, None);
        check("mini-chosen", 1e9, None, None);
    }

    #[test]
    fn what_does_not_goes_where_it_does() {
        check("mini-1", 60.0, Some(41), Some("big"));
        check("mini-1", 900.0, Some(101), Some("huge"));
        check("big", 1001.0, None, Some("huge"));
    }
}
