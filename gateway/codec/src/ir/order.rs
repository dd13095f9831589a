//! The law of event order, checked.
//!
//! ```text
//! start ( block-start delta* block-stop | usage )* ( stop | error )
//! ```
//! Blocks are numbered from 0 without gaps and never overlap; every delta fits
//! its block; a signature is the last delta of its thinking block; nothing
//! follows `stop` or `error`.

use super::{BlockStart, Delta, Event};

/// Watches a sequence of events and says where it breaks the law.
#[derive(Debug, Default)]
pub struct Order {
    started: bool,
    ended: bool,
    next: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Open {
    Text,
    Thinking { signed: bool },
    ToolUse,
    Other,
}

impl Order {
    /// Take note of `event`, or say which part of the law it breaks.
    pub fn check(&mut self, event: &Event<'_>) -> Result<(), &'static str> {
        if self.ended {
            return Err("nothing follows `stop` or `error`");
        }
        match event {
            Event::Start { .. } if self.started => return Err("`start` comes once"),
            Event::Start { .. } => self.started = true,
            _ if !self.started => return Err("`start` comes first"),
            Event::BlockStart { index, block, .. } => self.open(*index, block)?,
            Event::Delta { index, delta } => self.delta(*index, delta)?,
            Event::BlockStop { index } => {
                self.expect_open(*index)?;
                self.open = None;
                self.next += 1;
            }
            Event::Usage(_) => {}
            Event::Stop(_) if self.open.is_some() => {
                return Err("`stop` comes after the last block-stop");
            }
            Event::Stop(_) | Event::Error { .. } => self.ended = true,
        }
        Ok(())
    }

    /// Whether `stop` or `error` has come.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    fn open(&mut self, index: u32, block: &BlockStart<'_>) -> Result<(), &'static str> {
        if self.open.is_some() {
            return Err("blocks do not overlap");
        }
        if index != self.next {
            return Err("blocks are numbered without gaps");
        }
        self.open = Some(match block {
            BlockStart::Text => Open::Text,
            BlockStart::Thinking => Open::Thinking { signed: false },
            BlockStart::ToolUse { .. } => Open::ToolUse,
            BlockStart::Other(_) => Open::Other,
        });
        Ok(())
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>) -> Result<(), &'static str> {
        match (self.expect_open(index)?, delta) {
            (Open::Thinking { signed: true }, _) => {
                Err("a signature is the last delta of its block")
            }
            (Open::Thinking { .. }, Delta::Signature(_)) => {
                self.open = Some(Open::Thinking { signed: true });
                Ok(())
            }
            (Open::Text, Delta::Text(_))
            | (Open::Thinking { .. }, Delta::Thinking(_))
            | (Open::ToolUse, Delta::ToolInput(_))
            | (_, Delta::Other(_))
            | (Open::Other, _) => Ok(()),
            _ => Err("a delta fits its block"),
        }
    }

    fn expect_open(&self, index: u32) -> Result<Open, &'static str> {
        match self.open {
            Some(open) if index == self.next => Ok(open),
            _ => Err("a delta or block-stop belongs to the open block"),
        }
    }
}
