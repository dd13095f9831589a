//! Events of an answer, made and read; and what a watcher of text holds back.

use serde_json::{Value, json};

use crate::{Event, Kind};

impl Event {
    /// A block begins: its object, as in Anthropic's stream
    /// (`{"type":"text"}`, `{"type":"tool_use","id":..,"name":..}`).
    ///
    /// Blocks do not overlap, and the gateway sees to that: one that begins ends
    /// the one before, and all are numbered anew behind the last hook. So a
    /// watcher may put several blocks in one's place under the same number.
    pub fn block_start(block: u32, data: &Value) -> Self {
        Self::with(Kind::BlockStart, block, None, Some(data))
    }

    /// A piece of text of block `block`.
    pub fn text(block: u32, text: impl Into<String>) -> Self {
        Self::with(Kind::Text, block, Some(text.into()), None)
    }

    /// A piece of reasoning.
    pub fn reasoning(block: u32, text: impl Into<String>) -> Self {
        Self::with(Kind::Reasoning, block, Some(text.into()), None)
    }

    /// A piece of a tool call's arguments, JSON text.
    pub fn tool_input(block: u32, json: impl Into<String>) -> Self {
        Self::with(Kind::ToolInput, block, Some(json.into()), None)
    }

    /// The block ends.
    pub fn block_stop(block: u32) -> Self {
        Self::with(Kind::BlockStop, block, None, None)
    }

    /// Token counts: Anthropic's `usage` object.
    pub fn usage(usage: &Value) -> Self {
        Self::with(Kind::Usage, 0, None, Some(usage))
    }

    /// The model stopped, for one of Anthropic's reasons (`end_turn`, ...).
    pub fn stop(reason: &str) -> Self {
        let data = json!({ "stop_reason": reason, "stop_sequence": null });
        Self::with(Kind::Stop, 0, None, Some(&data))
    }

    /// The event's `data`, parsed; `null` if there is none.
    pub fn data(&self) -> Value {
        let data = self
            .data
            .as_deref()
            .and_then(|data| serde_json::from_str(data).ok());
        data.unwrap_or(Value::Null)
    }

    /// Whether a block of this `type` begins here.
    pub fn begins(&self, kind: &str) -> bool {
        self.kind == Kind::BlockStart && self.data()["type"] == kind
    }

    pub(crate) fn with(kind: Kind, block: u32, text: Option<String>, data: Option<&Value>) -> Self {
        Self {
            kind,
            block,
            text,
            data: data.map(Value::to_string),
        }
    }
}

/// How many bytes at the end of `text` may be the beginning of `mark`: what a
/// watcher that looks for `mark` holds back, until more text comes.
///
/// ```
/// # use sluice_hook_sdk::held_back;
/// assert_eq!(held_back("so </thi", "</think>"), 5);
/// assert_eq!(held_back("a </b", "</think>"), 0);
/// ```
pub fn held_back(text: &str, mark: &str) -> usize {
    let longest = mark.len().saturating_sub(1).min(text.len());
    let ends = |length: &usize| text.as_bytes().ends_with(&mark.as_bytes()[..*length]);
    (1..=longest).rev().find(ends).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_is_held() {
        for (text, mark, expected) in [
            ("", "ab", 0),
            ("a", "ab", 1),
            ("ab", "ab", 0),
            ("xaba", "abac", 3),
            ("aa", "aaa", 2),
            ("x\u{e4}", "\u{e4}\u{f6}", 2),
        ] {
            assert_eq!(held_back(text, mark), expected, "{text} {mark}");
        }
    }

    #[test]
    fn events_say_what_they_are() {
        let start = Event::block_start(3, &json!({ "type": "text" }));
        assert!(start.begins("text") && !start.begins("thinking"));
        assert!(!Event::text(3, "x").begins("text"));
        assert_eq!(Event::stop("end_turn").data()["stop_reason"], "end_turn");
        assert_eq!(Event::block_stop(1).data(), Value::Null);
    }
}
