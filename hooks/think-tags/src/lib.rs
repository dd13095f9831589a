//! Reasoning between tags at the head of a text becomes a block of its own; or
//! blocks of reasoning become text between tags.

mod blocks;
mod tags;

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Watcher, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinkTags {
    /// What reasoning becomes.
    #[serde(default)]
    to: To,
    /// Names of tags; the first is the one that is written.
    #[serde(default = "think")]
    tags: Vec<String>,
}

/// What reasoning becomes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum To {
    /// Blocks, as Anthropic's clients show them.
    #[default]
    Blocks,
    /// Tagged text, for clients that read only text.
    Tags,
}

fn think() -> Vec<String> {
    vec!["think".into()]
}

#[hook]
impl Hook for ThinkTags {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Turns reasoning between tags into blocks, or blocks into tagged text.",
            config: json!({ "type": "object", "additionalProperties": false, "properties": {
                "to": { "enum": ["blocks", "tags"] },
                "tags": { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 } },
            } }),
            needs: json!({ "prompt": "write" }),
        }
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        Ok(Some(match self.to {
            To::Blocks => Box::new(blocks::ToBlocks::new(&self.tags)),
            To::Tags => Box::new(tags::ToTags::new(&self.tags[0])),
        }))
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

    fn thinking(text: &str) -> Value {
        json!({ "type": "thinking", "thinking": text })
    }

    #[track_caller]
    fn check(to: &str, content: &[Value], expected: &[Value]) {
        let hook = json!({ "to": to, "tags": ["think", "mm:think"] });
        let hook: ThinkTags = serde_json::from_value(hook).unwrap();
        let answer = json!({ "content": content, "stop_reason": "end_turn" });
        let got = TestCall::new("{}").answer(&hook, &answer).unwrap();
        assert_eq!(got["content"], json!(expected));
    }

    #[test]
    fn tags_at_the_head_become_a_block() {
        check(
            "blocks",
            &[text("<think>a b</think>c")],
            &[thinking("a b"), text("c")],
        );
        check(
            "blocks",
            &[text("\n<mm:think>\na\n\nb\n</mm:think>\n\nc\n")],
            &[thinking("a\n\nb"), text("c\n")],
        );
        check(
            "blocks",
            &[text("<think>a < b </thin </think>c")],
            &[thinking("a < b </thin"), text("c")],
        );
        check(
            "blocks",
            &[text("<think>a</think>"), text("b")],
            &[thinking("a"), text("b")],
        );
    }

    #[test]
    fn empty_reasoning_is_none() {
        check("blocks", &[text("<think>\n\n</think>\n\nc")], &[text("c")]);
        check("blocks", &[text("<think></think>")], &[]);
    }

    #[test]
    fn reasoning_without_an_end_is_reasoning() {
        check("blocks", &[text("<think>a </thi")], &[thinking("a </thi")]);
    }

    #[test]
    fn other_text_stays() {
        for other in [
            "",
            "<",
            "<thin",
            "<thinker>x",
            " a <think>b</think>",
            "<b>c</b>",
        ] {
            check("blocks", &[text(other)], &[text(other)]);
        }
        let tool =
            json!({ "type": "tool_use", "id": "t", "name": "n", "input": { "a": "<think>" } });
        let blocks = [thinking("<think>"), tool, text("a")];
        check("blocks", &blocks, &blocks);
        let blanks = " ".repeat(300) + "<think>a</think>";
        check("blocks", &[text(&blanks)], &[text(&blanks)]);
    }

    #[test]
    fn blocks_become_tagged_text() {
        let signed = json!({ "type": "thinking", "thinking": "a b", "signature": "s" });
        check(
            "tags",
            &[signed, text("c")],
            &[text("<think>\na b\n</think>\n\n"), text("c")],
        );
        let empty = json!({ "type": "thinking", "thinking": "", "signature": "s" });
        check("tags", &[empty, text("c")], &[text("c")]);
        check("tags", &[text("c")], &[text("c")]);
    }
}
