//! What is said in an answer. Text and reasoning pass as they come, but for what may
//! be the beginning of a match; a tool's input is held to its end, since it is JSON.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_hook_sdk::{Call, Ending, Event, Failure, Kind, Kinds, Watcher};

use crate::scan::{Scanner, redacted};
use crate::set::Set;
use crate::walk::redact_strings;

/// Watches what is said.
pub(crate) struct Redactor {
    set: Arc<Set>,
    scanner: Scanner,
    /// The latest event with text: what is held goes where it went.
    latest: Option<Event>,
    /// Whether anything of the block at hand was replaced.
    is_changed: bool,
    /// A tool's input so far.
    input: String,
}

impl Redactor {
    pub(crate) fn new(set: Arc<Set>) -> Self {
        Self {
            scanner: Scanner::new(set.clone()),
            set,
            latest: None,
            is_changed: false,
            input: String::new(),
        }
    }

    /// Give out this text as the latest event's.
    fn say(&mut self, text: String, out: &mut Vec<Event>) {
        if let Some(latest) = &self.latest
            && !text.is_empty()
        {
            out.push(Event {
                text: Some(text),
                ..latest.clone()
            });
        }
    }

    /// What is held is what it seems to be.
    fn settle(&mut self, block: u32, out: &mut Vec<Event>) {
        let held = self.scanner.finish();
        self.say(held, out);
        self.is_changed |= self.scanner.has_replaced();
        if self.input.is_empty() {
            return;
        }
        let input = std::mem::take(&mut self.input);
        let redacted = match serde_json::from_str::<Value>(&input) {
            Ok(before) => {
                let mut value = before.clone();
                redact_strings(&self.set, &mut value);
                // Unchanged, it stays as it was written.
                if value == before {
                    input
                } else {
                    value.to_string()
                }
            }
            Err(_) => redacted(&self.set, &input),
        };
        out.push(Event::tool_input(block, redacted));
    }

    /// A block that only its own dialect knows: a whole answer has its input in it,
    /// where a streamed one has it in pieces.
    fn begin(&self, mut event: Event, out: &mut Vec<Event>) {
        let mut data = event.data();
        let input = &mut data["input"];
        let before = input.clone();
        redact_strings(&self.set, input);
        if *input != before {
            event.data = Some(data.to_string());
        }
        out.push(event);
    }

    /// A signature is worth nothing any more once what it signs has changed.
    fn other(&mut self, mut event: Event, out: &mut Vec<Event>) {
        let mut data = event.data();
        if data["type"] == "signature_delta" && self.is_changed {
            return;
        }
        if let Some(cited) = data["citation"]["cited_text"].as_str() {
            data["citation"]["cited_text"] = json!(redacted(&self.set, cited));
            event.data = Some(data.to_string());
        }
        out.push(event);
    }
}

impl Watcher for Redactor {
    fn wants(&self) -> Kinds {
        let said = Kinds::TEXT | Kinds::REASONING | Kinds::TOOL_INPUT | Kinds::OTHER;
        said | Kinds::BLOCK_START | Kinds::BLOCK_STOP
    }

    fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        let text = event.text.as_deref().unwrap_or("");
        match event.kind {
            Kind::ToolInput => self.input.push_str(text),
            Kind::Text | Kind::Reasoning => {
                let place = |event: &Event| (event.kind, event.block);
                if self.latest.as_ref().map(place) != Some(place(&event)) {
                    self.settle(event.block, out);
                }
                let said = self.scanner.feed(text);
                self.latest = Some(event);
                self.say(said, out);
            }
            Kind::Other => {
                self.settle(event.block, out);
                self.other(event, out);
            }
            _ => {
                self.settle(event.block, out);
                (self.is_changed, self.latest) = (false, None);
                match event.kind {
                    Kind::BlockStart => self.begin(event, out),
                    _ => out.push(event),
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _call: &mut Call<'_>, _how: Ending) -> Result<Vec<Event>, Failure> {
        let mut out = Vec::new();
        let block = self.latest.as_ref().map_or(0, |latest| latest.block);
        self.settle(block, &mut out);
        Ok(out)
    }
}
