//! The messages of a request, with what an [`Accent`] demands of them.
//!
//! ```text
//! user  assistant  system  user      fold: into the user's turn it stands beside
//!  raw     raw       └───────▲       hoist: into `system`
//! ```
//! A message that needs no change is the client's own bytes; of one that does,
//! only the content is written anew, and in it only the blocks that change. What
//! is sent for a message depends on its own turn and earlier ones alone, so the
//! next body begins with this one's.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::accent::{Accent, IMAGE_BEHIND, MidSystem, NOT_TAKEN, Place, ThinkingBack};
use super::super::blocks::{
    BLANK_THINKING, NO_USER, StandIn, reminder, stand_in, text_block, write_blocks,
};
use crate::fields::{DecodeError, Extras, Fields, Path};
use crate::ir::{Block, Losses, Request, RequestMessage, Role, is_own_signature};
use crate::json::{ObjectWriter, Text, write_array};

/// The messages as they are sent.
#[derive(Default)]
pub(super) struct Conversation {
    /// A JSON array.
    pub(super) messages: Vec<u8>,
    /// Blocks that go into `system`.
    pub(super) system: Vec<Vec<u8>>,
}

impl Conversation {
    /// `raw`, the messages of `request`, as `accent` wants them.
    pub(super) fn adapted(
        raw: &RawValue,
        request: &Request<'_>,
        accent: &Accent,
        losses: &mut Losses,
    ) -> Result<Self, DecodeError> {
        let root = Path::Root;
        let at = root.key("messages");
        let items = array(raw, request.messages.len(), &at)?;
        let mut adapter = Adapter {
            accent,
            losses,
            turns: Vec::with_capacity(items.len()),
            waiting: Vec::new(),
            system: Vec::new(),
        };
        for (i, (raw, message)) in items.into_iter().zip(&request.messages).enumerate() {
            let at = at.index(i);
            if message.role != Role::System || accent.mid_system == MidSystem::Native {
                adapter.said(raw, message, &at)?;
            } else if adapter.is_before_all() || accent.mid_system == MidSystem::Hoist {
                adapter.hoist(message, &at);
            } else {
                adapter.fold(message, &at);
            }
        }
        adapter.flush();
        if adapter.turns.is_empty() {
            adapter.waiting.push(text_block(&Text::new(NO_USER)));
            adapter.flush();
        }
        let mut messages = Vec::with_capacity(raw.get().len() + 256);
        write_array(&mut messages, adapter.turns, |out, turn| turn.write(out));
        Ok(Self {
            messages,
            system: adapter.system,
        })
    }
}

/// The items of an array that was decoded to `count` ones.
fn array<'b>(
    raw: &'b RawValue,
    count: usize,
    at: &Path<'_>,
) -> Result<Vec<&'b RawValue>, DecodeError> {
    let items: Option<Vec<&RawValue>> = serde_json::from_str(raw.get()).ok();
    items
        .filter(|items| items.len() == count)
        .ok_or_else(|| DecodeError::at(at, "not the body of this request"))
}

struct Adapter<'b, 'l> {
    accent: &'l Accent,
    losses: &'l mut Losses,
    turns: Vec<Turn<'b>>,
    /// Reminders after an assistant's message: for the user's next one.
    waiting: Vec<Vec<u8>>,
    system: Vec<Vec<u8>>,
}

/// A message to be sent.
struct Turn<'b> {
    role: Role,
    /// How many results it begins with: nothing may stand before those.
    results: usize,
    /// As it came; none if it did not.
    raw: Option<&'b RawValue>,
    /// Its content, if that is no longer as it came.
    content: Option<Vec<Cow<'b, [u8]>>>,
}

impl<'b> Adapter<'b, '_> {
    /// Whether nobody has said anything yet.
    fn is_before_all(&self) -> bool {
        self.turns.is_empty() && self.waiting.is_empty()
    }

    // --- system messages ---

    fn hoist(&mut self, message: &RequestMessage<'_>, at: &Path<'_>) {
        let blocks = self.instructions(message, at, text_block);
        self.system.extend(blocks);
    }

    fn fold(&mut self, message: &RequestMessage<'_>, at: &Path<'_>) {
        let blocks = self.instructions(message, at, |text| text_block(&reminder(text)));
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == Role::User => {
                turn.open().extend(blocks.into_iter().map(Cow::Owned));
            }
            _ => self.waiting.extend(blocks),
        }
    }

    /// The texts of a system message as blocks, with their cache markers.
    fn instructions(
        &mut self,
        message: &RequestMessage<'_>,
        at: &Path<'_>,
        write: impl Fn(&Text<'_>) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        for (key, raw) in &message.extras {
            if raw.get() != "null" {
                self.losses
                    .report(at.key(key), "the upstream takes no system messages");
            }
        }
        let at = at.key("content");
        let mut blocks = Vec::with_capacity(message.content.len());
        for (j, block) in message.content.iter().enumerate() {
            match block {
                Block::Text { text, .. } if text.is_blank() => {}
                Block::Text { text, extras } => blocks.push(marked(write(text), extras)),
                _ => self
                    .losses
                    .report(at.index(j), "only text can be an instruction here"),
            }
        }
        blocks
    }

    /// What waits for a user who does not come is a message of its own.
    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.turns.push(Turn {
                role: Role::User,
                results: 0,
                raw: None,
                content: Some(waiting.into_iter().map(Cow::Owned).collect()),
            });
        }
    }

    // --- all others ---

    fn said(
        &mut self,
        raw: &'b RawValue,
        message: &RequestMessage<'_>,
        at: &Path<'_>,
    ) -> Result<(), DecodeError> {
        let is_result = |block: &&Block<'_>| matches!(block, Block::ToolResult { .. });
        let mut turn = Turn {
            role: message.role,
            results: message.content.iter().take_while(is_result).count(),
            raw: Some(raw),
            content: None,
        };
        if self.changes(message) {
            let content = self.content(raw, message, at)?;
            if content.is_empty() {
                return Ok(());
            }
            turn.content = Some(content);
        }
        if turn.role == Role::User && !self.waiting.is_empty() {
            let waiting = self.waiting.drain(..).map(Cow::Owned);
            let at = turn.results;
            turn.open().splice(at..at, waiting);
        } else {
            self.flush();
        }
        self.turns.push(turn);
        Ok(())
    }

    /// Whether anything in a message cannot go as it came.
    fn changes(&self, message: &RequestMessage<'_>) -> bool {
        let goes = |block: &Block<'_>| match block {
            Block::ToolResult { content, .. } => self.takes_result(content),
            _ => !is_own(block) && self.accent.takes(block, Place::Message),
        };
        !message.content.iter().all(goes) || self.lacks_thinking(message)
    }

    fn takes_result(&self, content: &[Block<'_>]) -> bool {
        let takes = |block| self.accent.takes(block, Place::Result);
        content.iter().all(takes)
    }

    /// Whether a message calls tools without a thought, and that is not taken.
    fn lacks_thinking(&self, message: &RequestMessage<'_>) -> bool {
        let is_thought = |block: &Block<'_>| {
            matches!(block, Block::Thinking { .. })
                && !is_own(block)
                && self.accent.takes(block, Place::Message)
        };
        let is_call = |block: &Block<'_>| matches!(block, Block::ToolUse { .. });
        self.accent.thinking_back == ThinkingBack::Always
            && message.role == Role::Assistant
            && message.content.iter().any(is_call)
            && !message.content.iter().any(is_thought)
    }

    /// The blocks of a message, each as it goes.
    fn content(
        &mut self,
        raw: &'b RawValue,
        message: &RequestMessage<'_>,
        at: &Path<'_>,
    ) -> Result<Vec<Cow<'b, [u8]>>, DecodeError> {
        let at = at.key("content");
        let items = items(raw);
        if items.len() != message.content.len() {
            return Err(DecodeError::at(&at, "not the body of this request"));
        }
        let mut sent = Vec::with_capacity(items.len() + 1);
        let mut behind = Vec::new();
        if self.lacks_thinking(message) {
            sent.push(Cow::Borrowed(BLANK_THINKING));
        }
        for (j, (item, block)) in items.into_iter().zip(&message.content).enumerate() {
            let at = at.index(j);
            if is_own(block) {
                self.losses
                    .report(at, "reasoning goes back only to the upstream it came from");
            } else if let Block::ToolResult { content, .. } = block
                && !self.takes_result(content)
            {
                sent.push(Cow::Owned(self.result(&item, content, &at, &mut behind)?));
            } else if self.accent.takes(block, Place::Message) {
                sent.push(item);
            } else {
                sent.extend(self.stand_in(block, &at).map(Cow::Owned));
            }
        }
        sent.extend(behind.into_iter().map(Cow::Owned));
        Ok(sent)
    }

    /// A tool's result without the blocks that results cannot hold here. Images
    /// go `behind` all results, if messages may hold them.
    fn result(
        &mut self,
        item: &[u8],
        content: &[Block<'_>],
        at: &Path<'_>,
        behind: &mut Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, DecodeError> {
        let text = std::str::from_utf8(item).unwrap_or_default();
        let members = Fields::parse(text, at)?.distinct();
        let at = at.key("content");
        let mut result = ObjectWriter::with_capacity(text.len());
        for (key, raw) in members {
            if key != "content" {
                result.raw(&key, raw.get());
                continue;
            }
            let items = array(raw, content.len(), &at)?;
            let mut kept: Vec<Cow<'_, [u8]>> = Vec::with_capacity(items.len());
            for (k, (item, block)) in items.into_iter().zip(content).enumerate() {
                let item = item.get().as_bytes();
                if self.accent.takes(block, Place::Result) {
                    kept.push(Cow::Borrowed(item));
                } else if self.accent.goes_behind(block) {
                    kept.push(Cow::Owned(text_block(&Text::new(IMAGE_BEHIND))));
                    behind.push(item.to_vec());
                } else {
                    kept.extend(self.stand_in(block, &at.index(k)).map(Cow::Owned));
                }
            }
            match kept.is_empty() {
                true => result.raw("content", "\"\""),
                false => result.member("content", |out| write_blocks(out, &kept)),
            }
        }
        Ok(result.finish().0)
    }

    /// What goes in the place of a block that is not taken.
    fn stand_in(&mut self, block: &Block<'_>, at: &Path<'_>) -> Option<Vec<u8>> {
        match stand_in(block) {
            StandIn::Whole(text) => Some(text),
            StandIn::Notice(text) => {
                self.losses.report(at, NOT_TAKEN);
                Some(text)
            }
            StandIn::Nothing => {
                self.losses.report(at, NOT_TAKEN);
                None
            }
        }
    }
}

impl<'b> Turn<'b> {
    /// Its content, to be changed.
    fn open(&mut self) -> &mut Vec<Cow<'b, [u8]>> {
        let raw = self.raw;
        self.content
            .get_or_insert_with(|| raw.map(items).unwrap_or_default())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Some(content) = &self.content else {
            return out.extend_from_slice(self.raw.map_or("", RawValue::get).as_bytes());
        };
        let Some(fields) = self.raw.and_then(|raw| Fields::of(raw, &Path::Root).ok()) else {
            out.extend_from_slice(b"{\"role\":\"user\",\"content\":");
            write_blocks(out, content);
            return out.push(b'}');
        };
        let mut message = ObjectWriter::with_capacity(256);
        for (key, raw) in fields.distinct() {
            match &*key {
                "content" => message.member("content", |out| write_blocks(out, content)),
                _ => message.raw(&key, raw.get()),
            }
        }
        out.extend_from_slice(&message.finish().0);
    }
}

/// The blocks of a message; a string is one of text.
fn items(message: &RawValue) -> Vec<Cow<'_, [u8]>> {
    let Some(content) = Fields::of(message, &Path::Root)
        .ok()
        .and_then(|mut fields| fields.take("content"))
    else {
        return Vec::new();
    };
    if let Some(text) = Text::from_raw(content) {
        return vec![Cow::Owned(text_block(&text))];
    }
    let items: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
    items
        .into_iter()
        .map(|item| Cow::Borrowed(item.get().as_bytes()))
        .collect()
}

/// A block with the cache marker among `extras`, if there is one.
fn marked(mut block: Vec<u8>, extras: &Extras<'_>) -> Vec<u8> {
    let marker = extras.iter().rfind(|(key, _)| key == "cache_control");
    if let Some((_, raw)) = marker.filter(|(_, raw)| raw.get().starts_with('{')) {
        block.pop();
        block.extend_from_slice(b",\"cache_control\":");
        block.extend_from_slice(raw.get().as_bytes());
        block.push(b'}');
    }
    block
}

fn is_own(block: &Block<'_>) -> bool {
    matches!(block, Block::Thinking { signature, .. } if is_own_signature(signature))
}
