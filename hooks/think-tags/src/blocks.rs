//! Tagged text to blocks. Only the head of a text block is looked at: further
//! down, a tag is what the model talks about.

use serde_json::json;
use sluice_hook_sdk::{Call, Ending, Event, Failure, Kind, Kinds, Watcher, held_back};

/// Most blanks ahead of a tag, in bytes: models write a line or two.
const BLANKS_MAX: usize = 256;

/// Where in a text block the text at hand stands.
#[derive(Clone, Copy)]
enum State {
    /// Nothing but blanks and the beginning of a tag so far.
    Head,
    /// Between the tags of this number; whether any reasoning has come.
    Inside(usize, bool),
    /// Behind them: the blanks there are no text.
    Behind,
    /// Nothing to look for.
    Plain,
}

/// Watches for tagged reasoning.
pub(crate) struct ToBlocks {
    /// Opening and closing tags.
    tags: Vec<(String, String)>,
    state: State,
    /// The text block's start, until it is known to be one.
    start: Option<Event>,
    /// What may still turn out to be a tag.
    held: String,
}

impl ToBlocks {
    pub(crate) fn new(names: &[String]) -> Self {
        let tags = names
            .iter()
            .map(|it| (format!("<{it}>"), format!("</{it}>")));
        Self {
            tags: tags.collect(),
            state: State::Plain,
            start: None,
            held: String::new(),
        }
    }

    /// Move on by one state; false if more text is needed.
    fn step(&mut self, block: u32, out: &mut Vec<Event>) -> bool {
        match self.state {
            State::Head => {
                let seen = self.held.trim_start();
                let opens = |(open, _): &(String, String)| seen.starts_with(open);
                let is_near = self.held.len() - seen.len() <= BLANKS_MAX;
                if let Some(tag) = self.tags.iter().position(opens).filter(|_| is_near) {
                    self.held = seen[self.tags[tag].0.len()..].to_owned();
                    self.state = State::Inside(tag, false);
                } else if is_near && self.tags.iter().any(|(open, _)| open.starts_with(seen)) {
                    return false;
                } else {
                    self.state = State::Plain;
                }
                true
            }
            State::Inside(tag, _) => {
                let close = &self.tags[tag].1;
                let Some(at) = self.held.find(close) else {
                    let certain = self.held.len() - held_back(&self.held, close);
                    // Blanks ahead of the closing tag are no reasoning.
                    self.reason(block, self.held[..certain].trim_end().len(), out);
                    return false;
                };
                let rest = self.held.split_off(at + close.len());
                self.held.truncate(self.held[..at].trim_end().len());
                self.reason(block, self.held.len(), out);
                if matches!(self.state, State::Inside(_, true)) {
                    out.push(Event::block_stop(block));
                }
                (self.held, self.state) = (rest, State::Behind);
                true
            }
            State::Behind => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.state = State::Plain;
                true
            }
            State::Plain => {
                out.extend(self.start.take());
                if !self.held.is_empty() {
                    out.push(Event::text(block, std::mem::take(&mut self.held)));
                }
                false
            }
        }
    }

    /// Give out so many bytes of what is held as reasoning; its block begins with
    /// the first that are no blanks.
    fn reason(&mut self, block: u32, certain: usize, out: &mut Vec<Event>) {
        let State::Inside(tag, begun) = self.state else {
            return;
        };
        let rest = self.held.split_off(certain);
        let text = std::mem::replace(&mut self.held, rest);
        let text = if begun { &*text } else { text.trim_start() };
        if text.is_empty() {
            return;
        }
        if !begun {
            out.push(Event::block_start(block, &json!({ "type": "thinking" })));
            self.state = State::Inside(tag, true);
        }
        out.push(Event::reasoning(block, text));
    }

    /// No more text: what is held is what it seems to be. False if the block is
    /// closed already, or never began.
    fn settle(&mut self, block: u32, out: &mut Vec<Event>) -> bool {
        match self.state {
            State::Head => self.state = State::Plain,
            State::Inside(..) => self.reason(block, self.held.len(), out),
            State::Behind | State::Plain => {}
        }
        self.step(block, out);
        !matches!(self.state, State::Behind | State::Inside(_, false))
    }
}

impl Watcher for ToBlocks {
    fn wants(&self) -> Kinds {
        Kinds::BLOCK_START | Kinds::TEXT | Kinds::OTHER | Kinds::BLOCK_STOP
    }

    fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        let block = event.block;
        match event.kind {
            Kind::BlockStart if event.begins("text") => {
                (self.state, self.start) = (State::Head, Some(event));
            }
            Kind::Text => {
                self.held.push_str(event.text.as_deref().unwrap_or(""));
                while self.step(block, out) {}
            }
            Kind::BlockStop => {
                if self.settle(block, out) {
                    out.push(event);
                }
                (self.state, self.start) = (State::Plain, None);
            }
            // What the text quotes, for one.
            Kind::Other => {
                if !matches!(self.state, State::Inside(..)) {
                    self.state = State::Plain;
                    self.step(block, out);
                }
                out.push(event);
            }
            _ => out.push(event),
        }
        Ok(())
    }

    fn finish(&mut self, _call: &mut Call<'_>, _how: Ending) -> Result<Vec<Event>, Failure> {
        let mut out = Vec::new();
        let block = self.start.as_ref().map_or(0, |start| start.block);
        if self.start.is_some() {
            self.settle(block, &mut out);
        }
        Ok(out)
    }
}
