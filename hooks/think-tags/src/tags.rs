//! Blocks of reasoning to tagged text.

use serde_json::json;
use sluice_hook_sdk::{Event, Failure, Kind, Kinds, Watcher};

/// Watches for blocks of reasoning.
pub(crate) struct ToTags {
    open: String,
    close: String,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Outside,
    /// In a block of reasoning in which nothing was said yet.
    Silent,
    /// In one that has become a text.
    Saying,
}

impl ToTags {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            open: format!("<{name}>\n"),
            close: format!("\n</{name}>\n\n"),
            state: State::Outside,
        }
    }
}

impl Watcher for ToTags {
    fn wants(&self) -> Kinds {
        Kinds::BLOCK_START | Kinds::REASONING | Kinds::OTHER | Kinds::BLOCK_STOP
    }

    fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        let block = event.block;
        match (event.kind, &self.state) {
            (Kind::BlockStart, _) if event.begins("thinking") => self.state = State::Silent,
            (_, State::Outside) => out.push(event),
            (Kind::Reasoning, state) => {
                let text = event.text.unwrap_or_default();
                if *state == State::Silent && !text.is_empty() {
                    out.push(Event::block_start(block, &json!({ "type": "text" })));
                    out.push(Event::text(block, &*self.open));
                    self.state = State::Saying;
                }
                if !text.is_empty() {
                    out.push(Event::text(block, text));
                }
            }
            (Kind::BlockStop, state) => {
                if *state == State::Saying {
                    out.push(Event::text(block, &*self.close));
                    out.push(event);
                }
                self.state = State::Outside;
            }
            // A signature is worth nothing in a text.
            _ => {}
        }
        Ok(())
    }
}
