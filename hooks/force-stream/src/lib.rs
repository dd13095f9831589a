//! Makes the upstream stream; the client still receives what it asked for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Verdict, glob, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForceStream {
    /// Patterns of requested model names; all by default.
    #[serde(default = "all")]
    models: Vec<String>,
    /// Whether to ask for token counts, which come with a stream only on request.
    #[serde(default = "yes")]
    usage: bool,
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

fn yes() -> bool {
    true
}

#[hook]
impl Hook for ForceStream {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Makes the upstream stream.",
            config: json!({
                "type": "object",
                "properties": {
                    "models": { "type": "array", "items": { "type": "string" } },
                    "usage": { "type": "boolean" },
                },
                "additionalProperties": false,
            }),
            ..About::default()
        }
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let model = call.model();
        let is_meant = self.models.iter().any(|pattern| glob(pattern, &model));
        if !is_meant || call.get::<bool>("/stream")? == Some(true) {
            return Ok(Verdict::Next);
        }
        call.set("/stream", true)?;
        let speaks_chat = call.attribute("upstream-dialect").as_deref() == Some("chat-completions");
        if self.usage && speaks_chat && !call.has("/stream_options")? {
            call.set("/stream_options", BTreeMap::from([("include_usage", true)]))?;
        }
        Ok(Verdict::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_hook_sdk::testing::TestCall;

    #[track_caller]
    fn check(usage: bool, body: &str, expected: &str) {
        let hook = ForceStream {
            models: vec!["kimi-*".into()],
            usage,
        };
        let model = if body.contains("other") {
            "other"
        } else {
            "kimi-k2"
        };
        let mut test = TestCall::new(body)
            .attribute("model", model)
            .attribute("upstream-dialect", "chat-completions");
        assert!(matches!(
            hook.on_upstream_request(&mut test.call()),
            Ok(Verdict::Next)
        ));
        assert_eq!(test.body(), expected);
    }

    #[test]
    fn the_upstream_streams() {
        check(
            true,
            "{}",
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        );
        check(false, r#"{"stream":false}"#, r#"{"stream":true}"#);
        check(
            true,
            r#"{"stream_options":{}}"#,
            r#"{"stream_options":{},"stream":true}"#,
        );
    }

    #[test]
    fn what_streams_or_is_not_meant_stays() {
        check(true, r#"{"stream":true}"#, r#"{"stream":true}"#);
        check(true, r#"{"model":"other"}"#, r#"{"model":"other"}"#);
    }
}
