//! How one endpoint deviates from Anthropic's Messages, as data.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::blocks::kind;
use crate::fields::{Fields, Path};
use crate::ir::{Block, Losses, Thinking, Tool};
use crate::json::{Member, ObjectWriter};
use crate::members::{self, Accepted};

/// Deviations of one endpoint. The default is Anthropic's own: with it a body is
/// forwarded byte for byte.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Accent {
    /// What becomes of `system` messages in mid-conversation.
    pub mid_system: MidSystem,
    /// Kinds of content blocks that are taken; others leave a text in their
    /// place where one can stand for them. Empty: all are.
    pub blocks: Vec<String>,
    /// The same inside tool results. Empty: as `blocks`.
    pub result_blocks: Vec<String>,
    /// Which of the tools that Anthropic defines are known, with the blocks that
    /// come of them: `web_search`, `code_execution`, `bash`; `all` are all.
    pub anthropic_tools: Vec<String>,
    /// Members of a tool that are taken beside its name, description and schema.
    /// Empty: all are.
    pub tool_fields: Vec<String>,
    /// Values of `thinking.type` that may be sent; for another one the nearest is.
    pub thinking: Vec<ThinkingType>,
    /// How earlier reasoning goes back.
    pub thinking_back: ThinkingBack,
    /// How an answer that must fit a schema is asked for.
    pub output_schema: OutputSchema,
    /// Largest `max_tokens`; larger ones are lowered and reported.
    pub output_limit_max: Option<u64>,
    /// Whether the line about billing that Claude Code puts ahead of its
    /// instructions is sent: it differs from build to build, and a prompt cache
    /// that reads it as text begins anew each time.
    pub billing_line: bool,
    /// Whether the client's `anthropic-beta` is sent along.
    pub betas: bool,
    /// Top-level members that are accepted; others are dropped and reported.
    /// Empty: all are.
    pub params: Vec<String>,
    /// Top-level members that are refused or ignored: dropped and reported.
    pub drop: Vec<String>,
    /// Top-level members that every body gets, unless it has them.
    pub add: BTreeMap<String, serde_json::Value>,
}

impl Default for Accent {
    fn default() -> Self {
        use ThinkingType::{Adaptive, Disabled, Enabled};
        Self {
            mid_system: MidSystem::Native,
            blocks: Vec::new(),
            result_blocks: Vec::new(),
            anthropic_tools: vec![ALL.to_owned()],
            tool_fields: Vec::new(),
            thinking: vec![Adaptive, Enabled, Disabled],
            thinking_back: ThinkingBack::Same,
            output_schema: OutputSchema::JsonSchema,
            output_limit_max: None,
            billing_line: true,
            betas: true,
            params: Vec::new(),
            drop: Vec::new(),
            add: BTreeMap::new(),
        }
    }
}

/// What becomes of `system` messages in mid-conversation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MidSystem {
    /// They stay where they are. (Those of a client of another dialect are
    /// folded even so: not every model of Anthropic's takes them.)
    Native,
    /// Their text joins the neighbouring user message, marked as a reminder.
    Fold,
    /// They join `system`, at the cost of the prompt cache.
    Hoist,
}

/// A value of `thinking.type`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingType {
    /// As much as the model likes.
    Adaptive,
    /// Not at all.
    Disabled,
    /// Up to a budget.
    Enabled,
}

/// How earlier reasoning goes back.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingBack {
    /// As it came.
    Same,
    /// The same, and ahead of tool calls that had none stands a blank one.
    Always,
}

/// How an answer that must fit a schema is asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputSchema {
    /// `output_config.format`.
    JsonSchema,
    /// In words, at the end of `system`.
    Instruction,
}

/// Why something was not sent as it was.
pub(super) const LOWERED: &str = "lowered to the most that the upstream accepts";
pub(super) const MOVED: &str = "moved to what `max_tokens` leaves room for";
pub(super) const NO_BUDGET: &str = "the upstream takes no budget";
pub(super) const NO_SCHEMA: &str = "the upstream takes no schema; an instruction says it instead";
pub(super) const NO_FIELD: &str = "the upstream's tools have no such field";
pub(super) const NO_THINKING: &str = "the upstream knows no such value";
pub(super) const NOT_TAKEN: &str = "the upstream takes no such blocks here";

/// What stands in a result for an image that follows behind all of them.
pub(super) const IMAGE_BEHIND: &str = "[image: it follows the results]";

/// In `anthropic_tools`, every tool there is or will be.
const ALL: &str = "all";

/// What blocks are part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Message,
    Result,
}

impl Accent {
    /// Add to a body what this endpoint wants, drop what it refuses, and report that.
    pub(super) fn settle(
        &self,
        mut body: ObjectWriter,
        losses: &mut Losses,
    ) -> (Vec<u8>, Vec<Member>) {
        members::add(&mut body, &self.add);
        let accepted = Accepted {
            vital: &["model", "messages", "max_tokens", "stream"],
            params: &self.params,
            drop: &self.drop,
        };
        accepted.retain(body, losses)
    }

    /// Whether `block` may be sent; what every conversation is made of always may.
    pub(super) fn takes(&self, block: &Block<'_>, place: Place) -> bool {
        if matches!(
            block,
            Block::Text { .. } | Block::ToolUse { .. } | Block::ToolResult { .. }
        ) {
            return true;
        }
        let listed = match place {
            Place::Result if !self.result_blocks.is_empty() => &self.result_blocks,
            _ => &self.blocks,
        };
        let is_listed = || listed.iter().any(|known| known == kind(block));
        (listed.is_empty() || is_listed()) && self.knows_origin(block)
    }

    /// Whether `block` of a result can only go behind the results.
    pub(super) fn goes_behind(&self, block: &Block<'_>) -> bool {
        matches!(block, Block::Image { .. })
            && !self.takes(block, Place::Result)
            && self.takes(block, Place::Message)
    }

    /// Whether `tool` may be sent. One with a schema is a tool like any other.
    pub(super) fn takes_tool(&self, tool: &Tool<'_>) -> bool {
        match &tool.vendor_kind {
            Some(kind) if tool.schema.is_none() => self.knows(kind),
            _ => true,
        }
    }

    /// Whether a tool may have the member `name`.
    pub(super) fn takes_field(&self, name: &str) -> bool {
        matches!(name, "type" | "name" | "description" | "input_schema")
            || self.tool_fields.is_empty()
            || self.tool_fields.iter().any(|known| known == name)
    }

    /// What `wanted` is sent as.
    pub(super) fn nearest_thinking(&self, wanted: Thinking) -> Option<ThinkingType> {
        let nearest = match wanted {
            Thinking::Adaptive => [ThinkingType::Adaptive, ThinkingType::Enabled],
            Thinking::Disabled => [ThinkingType::Disabled; 2],
            Thinking::Enabled { .. } => [ThinkingType::Enabled, ThinkingType::Adaptive],
        };
        nearest
            .into_iter()
            .find(|kind| self.thinking.contains(kind))
    }

    /// Whether the tool of Anthropic's that `block` comes of is known.
    fn knows_origin(&self, block: &Block<'_>) -> bool {
        match block {
            Block::Other { kind, raw } => origin(kind, raw).is_none_or(|tool| self.knows(&tool)),
            _ => true,
        }
    }

    fn knows(&self, tool: &str) -> bool {
        let is_meant = |known: &String| known == ALL || tool.contains(&**known);
        self.anthropic_tools.iter().any(is_meant)
    }
}

/// The tool that a block of this kind comes of, if Anthropic runs it.
fn origin<'b>(kind: &'b str, raw: &'b RawValue) -> Option<Cow<'b, str>> {
    match kind {
        "server_tool_use" => {
            let name = Fields::of(raw, &Path::Root)
                .and_then(|mut fields| fields.take_str("name", &Path::Root));
            Some(name.ok().flatten().unwrap_or_default())
        }
        "mcp_tool_use" | "mcp_tool_listing" => Some("mcp".into()),
        "container_upload" => Some("code_execution".into()),
        _ => kind.strip_suffix("_tool_result").map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::decode_request;
    use super::*;

    fn accent(fields: serde_json::Value) -> Accent {
        serde_json::from_value(fields).expect("an accent")
    }

    #[test]
    fn blocks_are_taken_by_kind_and_origin() {
        let search =
            json!({ "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} });
        let bash = json!({ "type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {} });
        let found = json!({ "type": "web_search_tool_result", "tool_use_id": "s", "content": [] });
        let image = json!({ "type": "image", "source": { "type": "url", "url": "u" } });
        let check = |fields: serde_json::Value, block: &serde_json::Value, taken: bool| {
            let body =
                json!({ "model": "m", "messages": [{ "role": "user", "content": [block] }] });
            let body = body.to_string();
            let request = decode_request(&body).expect("a request");
            let block = &request.messages[0].content[0];
            let is_taken = accent(fields.clone()).takes(block, Place::Message);
            assert_eq!(is_taken, taken, "{fields} {block:?}");
        };
        for block in [&search, &bash, &found, &image] {
            check(json!({}), block, true);
            check(json!({ "blocks": ["text"] }), block, false);
        }
        let none = json!({ "anthropic_tools": [] });
        check(none.clone(), &search, false);
        check(none.clone(), &found, false);
        check(none, &image, true);
        let one = json!({ "anthropic_tools": ["web_search"] });
        check(one.clone(), &search, true);
        check(one.clone(), &found, true);
        check(one, &bash, false);
        check(
            json!({ "anthropic_tools": ["code_execution"] }),
            &bash,
            true,
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        let refused = serde_json::from_value::<Accent>(json!({ "mid_sytem": "fold" }));
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .starts_with("unknown field")
        );
    }
}
