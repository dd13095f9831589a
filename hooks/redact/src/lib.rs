//! Replaces what should not be said: in requests, in answers, or both.

mod config;
mod named;
mod pattern;
mod scan;
mod set;
mod walk;
mod watch;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Verdict, Watcher, hook};

use set::Set;

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "config::Config")]
pub struct Redact {
    set: Arc<Set>,
    requests: bool,
    answers: bool,
}

#[hook]
impl Hook for Redact {
    fn describe() -> About {
        let texts = json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Replaces secrets, addresses and what else should not be said.",
            config: json!({ "type": "object", "additionalProperties": false, "properties": {
                "named": { "type": "array", "items": { "enum": ["email", "secret"] } },
                "literals": texts, "patterns": texts, "replacement": { "type": "string" },
                "requests": { "type": "boolean" }, "answers": { "type": "boolean" },
            } }),
            needs: json!({ "prompt": "write" }),
        }
    }

    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        if self.requests {
            walk::request(&self.set, call)?;
        }
        Ok(Verdict::Next)
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        let watcher = self.answers.then(|| watch::Redactor::new(self.set.clone()));
        Ok(watcher.map(|watcher| Box::new(watcher) as Box<dyn Watcher>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sluice_hook_sdk::testing::TestCall;

    fn hook(config: &Value) -> Redact {
        serde_json::from_value(config.clone()).unwrap()
    }

    fn all() -> Redact {
        hook(
            &json!({ "named": ["email", "secret"], "literals": ["Night jar"], "patterns": ["EMP-\\d{3,4}"], "replacement": "#" }),
        )
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let block = |text: &str| json!({ "type": "text", "text": text });
        let answer = json!({ "content": [block(text)], "stop_reason": "end_turn" });
        let got = TestCall::new("{}").answer(&all(), &answer).unwrap();
        assert_eq!(got["content"], json!([block(expected)]));
        let body = |text: &str| json!({ "messages": [{ "role": "user", "content": text }] });
        let mut test = TestCall::new(&body(text).to_string());
        all().on_request(&mut test.call()).unwrap();
        assert_eq!(test.body(), body(expected).to_string());
    }

    #[test]
    fn what_is_named_is_replaced() {
        check("", "");
        check("Write to jo.e+x@mail.example.com.", "Write to #.");
        check("a@b @ c@d.", "a@b @ c@d.");
        check("Night jar, Night ja, Night jarNight jar", "#, Night ja, ##");
        check("EMP-12 EMP-123 EMP-12345 EMP-", "EMP-12 # #5 EMP-");
        check(
            "key=sk-ant-api03-abcdefghijklmnop_QRSTUV-x\u{fc}",
            "key=#\u{fc}",
        );
        check(
            "AKIAIOSFODNN7EXAMPLE ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "# #",
        );
        check(
            "sk-short, task-list-of-things",
            "sk-short, task-list-of-things",
        );
    }

    #[test]
    fn answers_are_covered_whole() {
        let block = |secret: &str, signature: Value| {
            let mut thinking = json!({ "type": "thinking", "thinking": format!("so {secret}") });
            if !signature.is_null() {
                thinking["signature"] = signature;
            }
            let input = json!({ "a": [secret, 1.5], "EMP-123": true });
            json!([thinking, { "type": "tool_use", "id": "EMP-123", "name": "n", "input": input }])
        };
        for (said, expected) in [
            (block("EMP-123", json!("s")), block("#", Value::Null)),
            (block("EMP-1", json!("s")), block("EMP-1", json!("s"))),
        ] {
            let answer = json!({ "content": said, "stop_reason": "tool_use" });
            let got = TestCall::new("{}").answer(&all(), &answer).unwrap();
            assert_eq!(got["content"], expected);
        }
    }

    #[test]
    fn blocks_of_a_dialect_alone_are_covered_whole_and_in_pieces() {
        use sluice_hook_sdk::Event;
        let start = |input: Value| {
            Event::block_start(0, &json!({ "type": "server_tool_use", "input": input }))
        };
        let whole = [start(json!({ "q": "EMP-123" })), Event::block_stop(0)];
        let pieces = [
            start(json!({})),
            Event::tool_input(0, r#"{"q":"EMP-1"#),
            Event::tool_input(0, r#"23"}"#),
            Event::block_stop(0),
        ];
        let expected = r##"{"q":"#"}"##;
        let mut test = TestCall::new("{}");
        let out = test.stream(&all(), &[whole.to_vec()]).unwrap();
        assert_eq!(out[0].data()["input"].to_string(), expected);
        let out = test.stream(&all(), &[pieces.to_vec()]).unwrap();
        assert_eq!(out[1].text.as_deref(), Some(expected));
    }

    #[test]
    fn requests_are_covered_but_for_what_is_signed_or_no_text() {
        let body = |it: &str| {
            json!({ "model": "EMP-123", "system": [{ "type": "text", "text": it }], "messages": [
                { "role": "user", "content": [{ "type": "image", "source": { "type": "base64", "data": "EMP-123" } },
                    { "type": "document", "source": { "type": "text", "data": it } }] },
                { "role": "assistant", "content": [{ "type": "thinking", "thinking": "EMP-123", "signature": "s" },
                    { "type": "tool_use", "id": "t", "name": "n", "input": { "a": it } }] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": it },
                    { "type": "tool_result", "tool_use_id": "u", "content": [{ "type": "text", "text": it }] }] },
            ] })
        };
        let mut test = TestCall::new(&body("EMP-123").to_string());
        all().on_request(&mut test.call()).unwrap();
        assert_eq!(test.body(), body("#").to_string());
    }

    #[test]
    fn either_way_can_be_left_alone() {
        let hook = hook(&json!({ "literals": ["x"], "requests": false, "answers": false }));
        let mut test = TestCall::new(r#"{"system":"x"}"#);
        hook.on_request(&mut test.call()).unwrap();
        assert_eq!(test.body(), r#"{"system":"x"}"#);
        assert!(hook.on_stream(&mut test.call()).unwrap().is_none());
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_a_mistake() {
        let config = json!({ "patterns": ["a|b"] });
        let error = serde_json::from_value::<Redact>(config)
            .unwrap_err()
            .to_string();
        assert!(error.contains("patterns: `a|b`: `|`"), "{error}");
    }
}
