//! A tool call that a model wrote as text becomes one.

mod call;
mod watch;

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Verdict, Watcher, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRescue {
    /// Names of the tags that calls stand between.
    #[serde(default = "tool_call")]
    tags: Vec<String>,
    /// Whether a text that is one fenced JSON object may be a call, too.
    #[serde(default = "yes")]
    fenced: bool,
}

fn tool_call() -> Vec<String> {
    vec!["tool_call".into()]
}

fn yes() -> bool {
    true
}

#[hook]
impl Hook for ToolRescue {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Makes tool calls of those that a model wrote as text.",
            config: json!({ "type": "object", "additionalProperties": false, "properties": {
                "tags": { "type": "array", "items": { "type": "string", "minLength": 1 } },
                "fenced": { "type": "boolean" },
            } }),
            needs: json!({ "prompt": "write" }),
        }
    }

    /// Only here the tools are at hand, and only their names are calls.
    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let choice: Option<String> = call.get("/tool_choice/type")?;
        let tools = call
            .len("/tools")?
            .filter(|_| choice.as_deref() != Some("none"));
        let mut names = Vec::new();
        for tool in 0..tools.unwrap_or(0) {
            names.extend(call.get::<String>(&format!("/tools/{tool}/name"))?);
        }
        if !names.is_empty() {
            call.set_note("tools", &json!(names).to_string())?;
        }
        Ok(Verdict::Next)
    }

    fn on_stream(&self, call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        let Some(names) = call.note("tools") else {
            return Ok(None);
        };
        let forms = call::Forms {
            tags: self
                .tags
                .iter()
                .map(|it| (format!("<{it}>"), format!("</{it}>")))
                .collect(),
            fenced: self.fenced,
            tools: serde_json::from_str(&names).unwrap_or_default(),
        };
        let id = call.attribute("id").unwrap_or_default();
        Ok(Some(Box::new(watch::Rescuer::new(forms, &id))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sluice_hook_sdk::testing::TestCall;

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    fn tool(number: u32, input: &Value) -> Value {
        json!({ "type": "tool_use", "id": format!("toolu_1f_{number}"), "name": "look", "input": input })
    }

    /// What becomes of an answer of these texts, and why it stopped.
    #[track_caller]
    fn check(texts: &[&str], expected: &[Value], stop: &str) {
        let hook: ToolRescue = serde_json::from_value(json!({})).unwrap();
        let request = json!({ "tools": [{ "name": "other" }, { "name": "look" }] });
        let mut test = TestCall::new(&request.to_string()).attribute("id", "req_1f");
        hook.on_request(&mut test.call()).unwrap();
        let content: Vec<_> = texts.iter().map(|it| text(it)).collect();
        let answer = json!({ "content": content, "stop_reason": "end_turn" });
        let got = test.answer(&hook, &answer).unwrap();
        assert_eq!(got, json!({ "content": expected, "stop_reason": stop }));
    }

    const CALL: &str =
        r#"<tool_call>{"name": "look", "arguments": {"at": "</tool_call>"}}</tool_call>"#;

    #[test]
    fn tagged_calls_are_calls() {
        let at = json!({ "at": "</tool_call>" });
        check(&[CALL], &[tool(0, &at)], "tool_use");
        check(
            &[&format!("I look. {CALL}\n{CALL}\n")],
            &[text("I look. "), tool(0, &at), tool(1, &at)],
            "tool_use",
        );
        check(
            &[&format!("{CALL} so"), CALL],
            &[tool(0, &at), text(" so"), tool(1, &at)],
            "tool_use",
        );
        let blanks = "<tool_call>\n{\"arguments\": {}, \"name\": \"look\"}\n</tool_call>";
        check(&[blanks], &[tool(0, &json!({}))], "tool_use");
    }

    #[test]
    fn a_call_whose_end_the_server_cut_off_is_one() {
        for end in ["", "\n</tool"] {
            let cut = format!("<tool_call>{{\"name\":\"look\",\"parameters\":{{\"a\":1}}}}{end}");
            check(&[&cut], &[tool(0, &json!({ "a": 1 }))], "tool_use");
        }
    }

    #[test]
    fn a_text_that_is_one_fenced_call_is_one() {
        let fenced = "\n```json\n{\"name\": \"look\", \"arguments\": \"{\\\"a\\\": 1}\"}\n```\n";
        check(&[fenced], &[tool(0, &json!({ "a": 1 }))], "tool_use");
        for other in [
            &format!("{fenced}Or so."),
            &format!("So: {fenced}"),
            "```json\n{\"a\": 1}\n```",
        ] {
            check(&[other], &[text(other)], "end_turn");
        }
    }

    #[test]
    fn what_is_no_call_stays_text() {
        for other in [
            "",
            " \n",
            "a <tool_cal",
            "<tool_call> is a tag",
            "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"look\", \"arguments\": [1]}</tool_call>",
            "<tool_call>{\"name\": \"look\", \"argu",
            "<tool_call>{\"name\": \"look\", \"arguments\": {}} or so</tool_call>",
            "<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": }}</tool_call> <",
        ] {
            check(&[other], &[text(other)], "end_turn");
        }
        let nested = format!("<tool_call>{CALL}");
        check(
            &[&nested],
            &[
                text("<tool_call>"),
                tool(0, &json!({ "at": "</tool_call>" })),
            ],
            "tool_use",
        );
    }

    #[test]
    fn without_tools_nobody_watches() {
        let hook: ToolRescue = serde_json::from_value(json!({})).unwrap();
        for request in [
            r#"{}"#,
            r#"{"tools":[{"name":"look"}],"tool_choice":{"type":"none"}}"#,
        ] {
            let mut test = TestCall::new(request);
            hook.on_request(&mut test.call()).unwrap();
            assert!(hook.on_stream(&mut test.call()).unwrap().is_none());
        }
    }
}
