//! Lowers `temperature` to a maximum.

use serde::Deserialize;
use sluice_hook_sdk::{About, Call, Failure, Hook, Level, Verdict, hook};

/// The configuration, from the operator's chain entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoolDown {
    max: f64,
}

#[hook]
impl Hook for CoolDown {
    fn describe() -> About {
        About {
            version: "0.1.0",
            summary: "Lowers `temperature` to a maximum.",
            config: serde_json::json!({
                "type": "object",
                "properties": { "max": { "type": "number", "minimum": 0 } },
                "required": ["max"],
                "additionalProperties": false,
            }),
            ..About::default()
        }
    }

    fn on_upstream_request(&self, call: &mut Call) -> Result<Verdict, Failure> {
        let asked = call.get::<f64>("/temperature")?;
        if asked.is_some_and(|asked| asked > self.max) {
            call.set("/temperature", self.max)?;
            call.log(Level::Info, "Cooled down.");
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
        let mut test = TestCall::new(body);
        let hook = CoolDown { max: 0.7 };
        hook.on_upstream_request(&mut test.call()).unwrap();
        assert_eq!(test.body(), expected);
    }

    #[test]
    fn only_what_is_too_hot_is_cooled() {
        check(r#"{"temperature":1.5}"#, r#"{"temperature":0.7}"#);
        check(r#"{"temperature":0.2}"#, r#"{"temperature":0.2}"#);
        check("{}", "{}");
    }
}
