//! Removes parameters that an upstream refuses.

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Verdict, glob, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropParams {
    /// Names of top-level members, or JSON pointers (`/stream_options/x`).
    params: Vec<String>,
    /// Patterns of requested model names; all by default.
    #[serde(default = "all")]
    models: Vec<String>,
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

#[hook]
impl Hook for DropParams {
    fn describe() -> About {
        let names = json!({ "type": "array", "items": { "type": "string" } });
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Removes parameters that an upstream refuses.",
            config: json!({
                "type": "object",
                "properties": { "params": names, "models": names },
                "required": ["params"],
                "additionalProperties": false,
            }),
            ..About::default()
        }
    }

    fn check(&self) -> Result<(), String> {
        match self
            .params
            .iter()
            .find(|param| param.trim_matches('/').is_empty())
        {
            Some(param) => Err(format!("params: `{param}` names no parameter")),
            None => Ok(()),
        }
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let model = call.model();
        if self.models.iter().any(|pattern| glob(pattern, &model)) {
            for param in &self.params {
                match param.starts_with('/') {
                    true => call.remove(param)?,
                    false => {
                        call.remove(&format!("/{}", param.replace('~', "~0").replace('/', "~1")))?
                    }
                };
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
    fn check(params: &[&str], model: &str, body: &str, expected: &str) {
        let hook = DropParams {
            params: params.iter().map(ToString::to_string).collect(),
            models: vec!["kimi-*".into()],
        };
        let mut test = TestCall::new(body).attribute("model", model);
        assert!(matches!(
            hook.on_upstream_request(&mut test.call()),
            Ok(Verdict::Next)
        ));
        assert_eq!(test.body(), expected);
    }

    #[test]
    fn names_and_pointers_are_removed() {
        check(
            &["user", "absent"],
            "kimi-k2",
            r#"{"model":"m","user":"u"}"#,
            r#"{"model":"m"}"#,
        );
        check(
            &["/a/b"],
            "kimi-k2",
            r#"{"a":{"b":1,"c":2}}"#,
            r#"{"a":{"c":2}}"#,
        );
        check(&["a/b"], "kimi-k2", r#"{"a/b":1}"#, "{}");
    }

    #[test]
    fn other_models_keep_theirs() {
        check(&["user"], "glm", r#"{"user":"u"}"#, r#"{"user":"u"}"#);
    }

    #[test]
    fn a_name_of_nothing_is_a_mistake() {
        let hook = DropParams {
            params: vec!["/".into()],
            models: all(),
        };
        assert!(hook.check().is_err());
    }
}
