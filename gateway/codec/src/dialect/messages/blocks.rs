//! Content blocks, written, and texts that stand for those an upstream refuses.

use serde_json::value::RawValue;

use crate::documents::{document_text, search_result_text};
use crate::ir::Block;
use crate::json::{Text, write_array};

/// What stands ahead of tool calls that had no reasoning, for those who demand it.
pub(super) const BLANK_THINKING: &[u8] = br#"{"type":"thinking","thinking":" ","signature":""}"#;

/// What stands in for the user's message that a conversation must begin with.
pub(super) const NO_USER: &str = "[the user has said nothing yet]";

/// What begins the line about billing.
const BILLING_LINE: &str = "x-anthropic-billing-header";

/// The `type` of a block.
pub(super) fn kind<'b>(block: &'b Block<'_>) -> &'b str {
    match block {
        Block::Text { .. } => "text",
        Block::Image { .. } => "image",
        Block::ToolUse { .. } => "tool_use",
        Block::ToolResult { .. } => "tool_result",
        Block::Thinking { .. } => "thinking",
        Block::ToolReference { .. } => "tool_reference",
        Block::Document(_) => "document",
        Block::Other { kind, .. } => kind,
    }
}

/// Whether a block of instructions is Claude Code's line about billing.
pub(super) fn is_billing_line(block: &Block<'_>) -> bool {
    matches!(block, Block::Text { text, .. } if text.escaped().starts_with(BILLING_LINE))
}

// === writing ===

/// A text block.
pub(super) fn text_block(text: &Text<'_>) -> Vec<u8> {
    // Room for what stands around the text, `cache_control` included.
    let mut out = Vec::with_capacity(text.escaped().len() + 96);
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    write_text(&mut out, text);
    out.push(b'}');
    out
}

/// Append a text as a literal.
pub(super) fn write_text(out: &mut Vec<u8>, text: &Text<'_>) {
    out.push(b'"');
    out.extend_from_slice(text.escaped().as_bytes());
    out.push(b'"');
}

/// Append an array of blocks.
pub(super) fn write_blocks<B: AsRef<[u8]>>(out: &mut Vec<u8>, blocks: &[B]) {
    write_array(out, blocks, |out, block| {
        out.extend_from_slice(block.as_ref());
    });
}

/// Instructions in mid-conversation, in the user's turn: models of Anthropic
/// know the tag.
pub(super) fn reminder(text: &Text<'_>) -> Text<'static> {
    if text.is_blank() {
        return Text::new("");
    }
    let text = text.decoded();
    Text::new(&format!("<system-reminder>\n{text}\n</system-reminder>"))
}

/// The instruction to answer as `schema` says.
pub(super) fn schema_instruction(schema: &RawValue) -> Vec<u8> {
    let schema = schema.get();
    let text = format!(
        "Answer with one JSON object and nothing else. It must fit this JSON schema:\n{schema}"
    );
    text_block(&Text::new(&text))
}

// === standing in ===

/// What an upstream gets in the place of a block that it does not take.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StandIn {
    /// A text block that says the same.
    Whole(Vec<u8>),
    /// A text block that says what is missing.
    Notice(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// What stands in for `block`.
pub(super) fn stand_in(block: &Block<'_>) -> StandIn {
    let written = |text: &str| text_block(&Text::new(text));
    match block {
        Block::Image { .. } => {
            StandIn::Notice(written("[image omitted: this model takes no images]"))
        }
        Block::Document(raw) => match document_text(raw) {
            Some(text) => StandIn::Whole(written(&text)),
            None => StandIn::Notice(written(
                "[document omitted: it cannot be sent to this model]",
            )),
        },
        Block::ToolReference { name } => StandIn::Whole(written(&loaded(name))),
        Block::Other { kind, raw } if kind == "search_result" => {
            StandIn::Whole(written(&search_result_text(raw)))
        }
        _ => StandIn::Nothing,
    }
}

/// What a reference to a tool says to those who load none.
pub(super) fn loaded(tool: &str) -> String {
    format!("Tool {tool} is loaded and can be called now.")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::decode_request;
    use super::*;

    #[track_caller]
    fn check(block: Value, expected: StandIn) {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": [block] }] });
        let body = body.to_string();
        let request = decode_request(&body).expect("a request");
        assert_eq!(stand_in(&request.messages[0].content[0]), expected);
    }

    #[test]
    fn what_can_be_said_in_words_is() {
        let text = |text: &str| text_block(&Text::new(text));
        check(
            json!({ "type": "image", "source": { "type": "url", "url": "u" } }),
            StandIn::Notice(text("[image omitted: this model takes no images]")),
        );
        let document =
            |source: Value| json!({ "type": "document", "title": "t", "source": source });
        let notice = text("[document omitted: it cannot be sent to this model]");
        check(
            document(json!({ "type": "base64", "media_type": "application/pdf", "data": "" })),
            StandIn::Notice(notice),
        );
        check(
            document(json!({ "type": "text", "data": "d\"" })),
            StandIn::Whole(text("t\nd\"")),
        );
        let found = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        check(
            document(json!({ "type": "content", "content": found })),
            StandIn::Whole(text("t\na\nb")),
        );
        check(
            json!({ "type": "search_result", "source": "s", "title": "t", "content": found }),
            StandIn::Whole(text("t\ns\na\nb")),
        );
        check(
            json!({ "type": "tool_reference", "tool_name": "f" }),
            StandIn::Whole(text("Tool f is loaded and can be called now.")),
        );
        for kind in [
            "redacted_thinking",
            "server_tool_use",
            "web_search_tool_result",
            "new",
        ] {
            check(json!({ "type": kind }), StandIn::Nothing);
        }
    }
}
