//! Caps the answer's length, whatever the upstream's dialect calls it.

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_hook_sdk::{About, Call, Failure, Hook, Patterns, Verdict, hook};

/// Where dialects hold the limit.
const LIMITS: [&str; 4] = [
    "/max_tokens",
    "/max_completion_tokens",
    "/max_output_tokens",
    "/generationConfig/maxOutputTokens",
];

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapMaxTokens {
    /// Most tokens of an answer.
    max: u64,
    /// Other maxima, by pattern of the upstream's model name.
    #[serde(default)]
    models: Patterns<u64>,
}

#[hook]
impl Hook for CapMaxTokens {
    fn describe() -> About {
        let tokens = json!({ "type": "integer", "minimum": 1 });
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Caps the answer's length.",
            config: json!({
                "type": "object",
                "properties": {
                    "max": tokens,
                    "models": { "type": "object", "additionalProperties": tokens },
                },
                "required": ["max"],
                "additionalProperties": false,
            }),
            ..About::default()
        }
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let model = call.attribute("upstream-model").unwrap_or_default();
        let max = *self.models.find(&model).unwrap_or(&self.max);
        for pointer in LIMITS {
            let Some(asked) = call.get::<Value>(pointer)? else {
                continue;
            };
            // A limit that is no number is as good as none.
            if asked.as_u64().is_none_or(|asked| asked > max) {
                call.set(pointer, max)?;
            }
        }
        Ok(Verdict::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_hook_sdk::testing::TestCall;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let hook = CapMaxTokens {
            max: 1,
            models: Patterns::from_iter([("big-*".into(), 9000), ("*".into(), 4096)]),
        };
        let model = if body.contains("big-") {
            "big-1"
        } else {
            "small"
        };
        let mut test = TestCall::new(body).attribute("upstream-model", model);
        assert!(matches!(
            hook.on_upstream_request(&mut test.call()),
            Ok(Verdict::Next)
        ));
        assert_eq!(test.body(), expected);
    }

    #[test]
    fn larger_limits_are_lowered() {
        check(r#"{"max_tokens":64000}"#, r#"{"max_tokens":4096}"#);
        check(
            r#"{"max_completion_tokens":64000}"#,
            r#"{"max_completion_tokens":4096}"#,
        );
        check(
            r#"{"generationConfig":{"maxOutputTokens":64000}}"#,
            r#"{"generationConfig":{"maxOutputTokens":4096}}"#,
        );
        check(r#"{"max_tokens":"many"}"#, r#"{"max_tokens":4096}"#);
        check(
            r#"{"m":"big-","max_tokens":64000}"#,
            r#"{"m":"big-","max_tokens":9000}"#,
        );
    }

    #[test]
    fn smaller_and_absent_ones_stay() {
        check(r#"{"max_tokens":100}"#, r#"{"max_tokens":100}"#);
        check(r#"{"model":"x"}"#, r#"{"model":"x"}"#);
    }
}
