//! System messages in mid-conversation, for upstreams that take none there.

mod conversation;

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Verdict, hook};

use conversation::{add, join, role, take};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldSystem {
    /// Where they go.
    #[serde(default)]
    to: To,
    /// The tag around what goes into a user's text; empty for none.
    #[serde(default = "reminder")]
    tag: String,
}

/// Where instructions go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum To {
    /// Into the neighbouring text of the user's.
    #[default]
    User,
    /// To the end of `system`.
    System,
}

fn reminder() -> String {
    "system-reminder".into()
}

#[hook]
impl Hook for FoldSystem {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Folds system messages in mid-conversation into their neighbours.",
            config: json!({ "type": "object", "additionalProperties": false, "properties": {
                "to": { "enum": ["user", "system"] }, "tag": { "type": "string" },
            } }),
            needs: json!({ "prompt": "write" }),
        }
    }

    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let mut at = 0;
        while let Some(who) = role(call, at)? {
            if who != "system" {
                at += 1;
                continue;
            }
            let text = take(call, at)?;
            let is = |role: Option<String>| role.as_deref() == Some("user");
            if text.is_empty() {
                call.remove(&format!("/messages/{at}"))?;
            } else if at == 0 || self.to == To::System {
                call.remove(&format!("/messages/{at}"))?;
                join(call, &text)?;
            } else if is(role(call, at - 1)?) {
                add(call, at - 1, &self.tagged(text), false)?;
                call.remove(&format!("/messages/{at}"))?;
            } else if is(role(call, at + 1)?) {
                add(call, at + 1, &self.tagged(text), true)?;
                call.remove(&format!("/messages/{at}"))?;
            } else {
                let alone = json!({ "role": "user", "content": self.tagged(text) });
                call.set(&format!("/messages/{at}"), alone)?;
            }
        }
        Ok(Verdict::Next)
    }
}

impl FoldSystem {
    fn tagged(&self, text: String) -> String {
        match self.tag.as_str() {
            "" => text,
            tag => format!("<{tag}>\n{text}\n</{tag}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sluice_hook_sdk::testing::TestCall;

    /// Messages by role and content; `expected` with the `system` that there is.
    #[track_caller]
    fn check(to: &str, messages: &[(&str, Value)], system: &Value, expected: &[(&str, Value)]) {
        let hook: FoldSystem = serde_json::from_value(json!({ "to": to, "tag": "s" })).unwrap();
        let body = |messages: &[(&str, Value)]| {
            let messages = messages.iter();
            let messages: Vec<_> = messages
                .map(|(role, content)| json!({ "role": role, "content": content }))
                .collect();
            json!({ "messages": messages })
        };
        let mut test = TestCall::new(&body(messages).to_string());
        hook.on_request(&mut test.call()).unwrap();
        let mut expected = body(expected);
        if !system.is_null() {
            expected["system"] = system.clone();
        }
        assert_eq!(test.body(), expected.to_string());
    }

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    #[test]
    fn instructions_join_the_users_text() {
        let (u, s, a) = (json!("u"), json!("be"), json!("a"));
        let folded = json!([text("u"), text("<s>\nbe\n</s>")]);
        check(
            "user",
            &[("user", u.clone()), ("system", s.clone())],
            &Value::Null,
            &[("user", folded)],
        );
        let ahead = json!([text("<s>\nbe\n</s>"), text("u")]);
        check(
            "user",
            &[
                ("user", u.clone()),
                ("assistant", a.clone()),
                ("system", s.clone()),
                ("user", u.clone()),
            ],
            &Value::Null,
            &[
                ("user", u.clone()),
                ("assistant", a.clone()),
                ("user", ahead),
            ],
        );
        check(
            "user",
            &[
                ("user", u.clone()),
                ("assistant", a.clone()),
                ("system", s.clone()),
                ("system", json!([text("kind"), text("")])),
            ],
            &Value::Null,
            &[
                ("user", u.clone()),
                ("assistant", a),
                ("user", json!("<s>\nbe\n\nkind\n</s>")),
            ],
        );
    }

    #[test]
    fn results_of_tools_stay_first() {
        let result = json!({ "type": "tool_result", "tool_use_id": "t", "content": "r" });
        let call = json!([{ "type": "tool_use", "id": "t", "name": "n", "input": {} }]);
        check(
            "user",
            &[
                ("user", json!("u")),
                ("assistant", call.clone()),
                ("system", json!("be")),
                ("user", json!([result, text("u")])),
            ],
            &Value::Null,
            &[
                ("user", json!("u")),
                ("assistant", call),
                ("user", json!([result, text("<s>\nbe\n</s>"), text("u")])),
            ],
        );
    }

    #[test]
    fn instructions_join_the_first() {
        let (u, s) = (json!("u"), json!("be"));
        check(
            "system",
            &[("user", u.clone()), ("system", s.clone())],
            &json!("be"),
            &[("user", u.clone())],
        );
        // At the head they are what `system` is, whatever is asked for.
        check(
            "user",
            &[("system", s.clone()), ("user", u.clone())],
            &json!("be"),
            &[("user", u.clone())],
        );
        check(
            "user",
            &[("user", u.clone()), ("system", json!(""))],
            &Value::Null,
            &[("user", u)],
        );
    }

    #[test]
    fn system_keeps_its_form() {
        let hook: FoldSystem = serde_json::from_value(json!({ "to": "system" })).unwrap();
        for (system, expected) in [
            (json!("a"), json!("a\n\nbe")),
            (json!([text("a")]), json!([text("a"), text("be")])),
        ] {
            let messages = json!([{ "role": "system", "content": "be" }]);
            let mut test =
                TestCall::new(&json!({ "system": system, "messages": messages }).to_string());
            hook.on_request(&mut test.call()).unwrap();
            assert_eq!(
                test.body(),
                json!({ "system": expected, "messages": [] }).to_string()
            );
        }
    }
}
