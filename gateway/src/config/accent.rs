//! Accents, read from the catalogue and from an upstream's own settings. Which
//! fields there are is for the dialect to say.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::catalogue::Row;
use super::document::Node;
use crate::provider::{Accent, Dialect};

/// The fields of an accent of Messages, to suggest one from.
pub(super) const MESSAGES: [&str; 14] = [
    "mid_system",
    "blocks",
    "result_blocks",
    "anthropic_tools",
    "tool_fields",
    "thinking",
    "thinking_back",
    "output_schema",
    "output_limit_max",
    "billing_line",
    "betas",
    "params",
    "drop",
    "add",
];

/// The fields of an accent of Chat Completions.
pub(super) const CHAT: [&str; 39] = [
    "output_limit",
    "output_limit_max",
    "reasoning_ask",
    "efforts",
    "reasoning_back",
    "reasoning_placeholder",
    "signature_placeholder",
    "think_tags",
    "omitted_reasoning",
    "reasoning_outside",
    "mid_system",
    "tool_choice",
    "tool_choice_thinking",
    "empty_result",
    "prefill",
    "tool_ids",
    "split_calls",
    "schema",
    "output_schema",
    "strict_tools",
    "parallel_tool_calls",
    "stream_only",
    "unstreamed_tools",
    "stream_usage",
    "stop_max",
    "user_after_tool",
    "content",
    "empty_content",
    "images",
    "files",
    "temperature_min",
    "temperature_max",
    "top_k",
    "user",
    "cache_marks",
    "cache_key",
    "params",
    "drop",
    "add",
];

/// The row's accent, if it is one of `dialect`, under what the file says.
pub(super) fn of(row: Option<&Row>, dialect: Dialect, written: Option<&Node<'_>>) -> Accent {
    let mut own = BTreeMap::new();
    for (name, node) in written.map(Node::members).unwrap_or_default() {
        // Each by itself, so that every mistake is reported at its line.
        let alone = BTreeMap::from([(name.clone(), node.value().clone())]);
        match read(dialect, &alone) {
            Ok(_) => own.extend(alone),
            Err(why) if why.starts_with("unknown field") => {
                let known: &[&str] = match dialect {
                    Dialect::AnthropicMessages => &MESSAGES,
                    Dialect::ChatCompletions => &CHAT,
                };
                node.unknown("setting", &name, known.iter().copied());
            }
            Err(why) => node.error(why, None),
        }
    }
    joined(row, dialect, own)
}

/// The row's accent, if it is one of `dialect`, with these fields in the place of its.
/// What the dialect does not know is left out.
pub(super) fn over(
    row: Option<&Row>,
    dialect: Dialect,
    mut own: BTreeMap<String, Value>,
) -> Accent {
    own.retain(|name, value| {
        let alone = BTreeMap::from([(name.clone(), value.clone())]);
        read(dialect, &alone).is_ok()
    });
    joined(row, dialect, own)
}

/// The row's fields, if they are of `dialect`, under `own`, each of which is sound.
fn joined(row: Option<&Row>, dialect: Dialect, own: BTreeMap<String, Value>) -> Accent {
    let row = row.filter(|row| row.dialect == dialect);
    let mut fields = row.map(|row| row.accent.clone()).unwrap_or_default();
    fields.extend(own);
    read(dialect, &fields).unwrap_or_else(|_| Accent::of(dialect))
}

/// The accent of `dialect` that has these fields; an error is about a field that
/// such accents lack, or a value that it cannot have.
pub(super) fn read(dialect: Dialect, fields: &BTreeMap<String, Value>) -> Result<Accent, String> {
    let read = || {
        let value = serde_yaml::to_value(fields)?;
        Ok(match dialect {
            Dialect::AnthropicMessages => Accent::Messages(serde_yaml::from_value(value)?),
            Dialect::ChatCompletions => Accent::Chat(serde_yaml::from_value(value)?),
        })
    };
    read().map_err(|error: serde_yaml::Error| error.to_string())
}
