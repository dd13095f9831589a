//! The watcher: text out as soon as it can be no call.

use serde_json::{Value, json};
use sluice_hook_sdk::{Call, Ending, Event, Failure, Kind, Kinds, Watcher};

use crate::call::{Forms, Seen, Written};

/// Watches texts for calls.
pub(crate) struct Rescuer {
    forms: Forms,
    /// What the ids of calls begin with: the gateway's id of this one, so that
    /// they are unique in a conversation.
    ids: String,
    /// Calls so far, in the whole answer.
    calls: u32,
    block: Option<Block>,
}

/// A block of text, from its start to its stop.
struct Block {
    number: u32,
    /// As it began.
    start: Event,
    /// Whether it is open for the client.
    is_open: bool,
    /// Whether there was a call in it.
    has_calls: bool,
    /// What may still be a call, or blanks between calls.
    held: String,
    /// How much of `held` is blanks that are no part of a call.
    blanks: usize,
}

impl Block {
    fn new(start: Event) -> Self {
        Self {
            number: start.block,
            start,
            is_open: false,
            has_calls: false,
            held: String::new(),
            blanks: 0,
        }
    }

    /// Give out so many bytes behind the blanks as text, and the blanks with them:
    /// not alone, since between calls they are no text of its own.
    fn say(&mut self, bytes: usize, out: &mut Vec<Event>) {
        let end = self.blanks + bytes;
        if !self.is_open && self.held[..end].trim().is_empty() {
            self.blanks = end;
            return;
        }
        if !self.is_open {
            out.push(self.start.clone());
            self.is_open = true;
        }
        let rest = self.held.split_off(end);
        out.push(Event::text(
            self.number,
            std::mem::replace(&mut self.held, rest),
        ));
        self.blanks = 0;
    }

    fn call(&mut self, id: &str, written: &Written, bytes: usize, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.is_open) {
            out.push(Event::block_stop(self.number));
        }
        let block = json!({ "type": "tool_use", "id": id, "name": written.name });
        let arguments = written.arguments().unwrap_or_default();
        out.push(Event::block_start(self.number, &block));
        out.push(Event::tool_input(self.number, arguments));
        out.push(Event::block_stop(self.number));
        self.held.drain(..self.blanks + bytes);
        (self.blanks, self.has_calls) = (0, true);
    }
}

impl Rescuer {
    pub(crate) fn new(forms: Forms, id: &str) -> Self {
        Self {
            forms,
            ids: format!("toolu_{}", id.trim_start_matches("req_")),
            calls: 0,
            block: None,
        }
    }

    /// Give out what is certain; if the text has `ended`, all of it is.
    fn look(&mut self, ended: bool, out: &mut Vec<Event>) {
        let Some(block) = &mut self.block else { return };
        while block.held.len() > block.blanks {
            let whole = block.blanks == 0 && !block.is_open && !block.has_calls;
            match self.forms.look(&block.held[block.blanks..], whole, ended) {
                Seen::Unsure => return,
                Seen::Text(bytes) => block.say(bytes, out),
                Seen::Call(written, bytes) => {
                    let id = format!("{}_{}", self.ids, self.calls);
                    block.call(&id, &written, bytes, out);
                    self.calls += 1;
                }
            }
        }
    }

    /// The block ends, by this event if it has one.
    fn end(&mut self, stop: Option<Event>, out: &mut Vec<Event>) {
        self.look(true, out);
        let Some(mut block) = self.block.take() else {
            out.extend(stop);
            return;
        };
        if !block.is_open && !block.has_calls {
            // Blanks, or nothing, as it was.
            out.push(block.start.clone());
            block.is_open = true;
            if !block.held.is_empty() {
                out.push(Event::text(block.number, block.held));
            }
        }
        if block.is_open {
            out.extend(stop);
        }
    }
}

impl Watcher for Rescuer {
    fn wants(&self) -> Kinds {
        Kinds::BLOCK_START | Kinds::TEXT | Kinds::OTHER | Kinds::BLOCK_STOP | Kinds::STOP
    }

    fn on_event(&mut self, mut event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        match (event.kind, &mut self.block) {
            (Kind::BlockStart, _) if event.begins("text") => self.block = Some(Block::new(event)),
            (Kind::Text, Some(block)) => {
                block.held.push_str(event.text.as_deref().unwrap_or(""));
                self.look(false, out);
            }
            (Kind::BlockStop, Some(_)) => self.end(Some(event), out),
            (Kind::Stop, _) => {
                let mut data = event.data();
                if self.calls > 0 && data["stop_reason"] == "end_turn" {
                    data["stop_reason"] = Value::from("tool_use");
                    event.data = Some(data.to_string());
                }
                out.push(event);
            }
            // What the text quotes, for one; it belongs to a text that is open.
            (Kind::Other, Some(block)) => {
                if !block.is_open {
                    out.push(block.start.clone());
                    block.is_open = true;
                }
                out.push(event);
            }
            _ => out.push(event),
        }
        Ok(())
    }

    fn finish(&mut self, _call: &mut Call<'_>, _how: Ending) -> Result<Vec<Event>, Failure> {
        let mut out = Vec::new();
        if self.block.is_some() {
            self.end(None, &mut out);
        }
        Ok(out)
    }
}
