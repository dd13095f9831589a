//! Removes reasoning: from answers, and from what clients send back of it.

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Event, Failure, Hook, Kind, Kinds, Verdict, Watcher, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripThinking {
    /// Whether to remove it from answers.
    #[serde(default = "yes")]
    answers: bool,
    /// Whether to remove it from the conversation in requests.
    #[serde(default)]
    history: bool,
}

fn yes() -> bool {
    true
}

fn is_thinking(kind: Option<&str>) -> bool {
    matches!(kind, Some("thinking" | "redacted_thinking"))
}

#[hook]
impl Hook for StripThinking {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Removes reasoning from answers, or from requests' history.",
            config: json!({ "type": "object", "additionalProperties": false,
                "properties": { "answers": { "type": "boolean" }, "history": { "type": "boolean" } } }),
            needs: json!({ "prompt": "write" }),
        }
    }

    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let messages = if self.history {
            call.len("/messages")?
        } else {
            None
        };
        // From the end, so that what is removed moves nothing that is still to come.
        for message in (0..messages.unwrap_or(0)).rev() {
            let message = format!("/messages/{message}");
            let blocks = call.len(&format!("{message}/content"))?.unwrap_or(0);
            let mut left = blocks;
            for block in (0..blocks).rev() {
                let block = format!("{message}/content/{block}");
                let kind: Option<String> = call.get(&format!("{block}/type"))?;
                if is_thinking(kind.as_deref()) {
                    call.remove(&block)?;
                    left -= 1;
                }
            }
            if blocks > 0 && left == 0 {
                call.remove(&message)?;
            }
        }
        Ok(Verdict::Next)
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        let watcher = self.answers.then(Stripper::default);
        Ok(watcher.map(|watcher| Box::new(watcher) as Box<dyn Watcher>))
    }
}

/// Swallows blocks of reasoning from their start to their stop.
#[derive(Default)]
struct Stripper {
    /// Whether the open block is one.
    inside: bool,
    /// Whether there was any other.
    said: bool,
}

impl Watcher for Stripper {
    fn wants(&self) -> Kinds {
        Kinds::BLOCK_START | Kinds::REASONING | Kinds::OTHER | Kinds::BLOCK_STOP | Kinds::STOP
    }

    fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        if event.kind == Kind::BlockStart {
            self.inside = is_thinking(event.data()["type"].as_str());
            self.said |= !self.inside;
        }
        if event.kind == Kind::Stop && !self.said {
            // Clients take an answer without any block for a broken one.
            out.push(Event::block_start(0, &json!({ "type": "text" })));
            out.push(Event::block_stop(0));
        }
        if event.kind == Kind::Stop || !self.inside && event.kind != Kind::Reasoning {
            out.push(event);
        } else if event.kind == Kind::BlockStop {
            self.inside = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sluice_hook_sdk::testing::TestCall;

    fn hook(history: bool) -> StripThinking {
        StripThinking {
            answers: true,
            history,
        }
    }

    fn thinking() -> Value {
        json!({ "type": "thinking", "thinking": "hm, well", "signature": "s" })
    }

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    #[track_caller]
    fn check(content: &Value, expected: &Value) {
        let answer = json!({ "content": content, "stop_reason": "end_turn" });
        let got = TestCall::new("{}").answer(&hook(false), &answer).unwrap();
        assert_eq!(
            got,
            json!({ "content": expected, "stop_reason": "end_turn" })
        );
    }

    #[test]
    fn answers_keep_the_rest_in_order() {
        let tool = json!({ "type": "tool_use", "id": "t", "name": "n", "input": { "a": 1 } });
        check(
            &json!([thinking(), text("a"), thinking(), tool]),
            &json!([text("a"), tool]),
        );
        let redacted = json!({ "type": "redacted_thinking", "data": "x" });
        check(&json!([redacted, text("a")]), &json!([text("a")]));
        check(&json!([text("a")]), &json!([text("a")]));
    }

    #[test]
    fn an_answer_of_nothing_else_is_an_empty_text() {
        check(&json!([thinking()]), &json!([text("")]));
    }

    #[track_caller]
    fn check_history(history: bool, messages: &Value, expected: &Value) {
        let mut test = TestCall::new(&json!({ "messages": messages }).to_string());
        hook(history).on_request(&mut test.call()).unwrap();
        assert_eq!(test.body(), json!({ "messages": expected }).to_string());
    }

    #[test]
    fn history_loses_it_where_that_is_asked_for() {
        let user = json!({ "role": "user", "content": "hi" });
        let said = |content| json!({ "role": "assistant", "content": content });
        let messages = json!([
            user,
            said(json!([thinking(), text("a"), thinking()])),
            user,
            said(json!([thinking()])),
            user
        ]);
        check_history(
            true,
            &messages,
            &json!([user, said(json!([text("a")])), user, user]),
        );
        check_history(false, &messages, &messages);
    }
}
