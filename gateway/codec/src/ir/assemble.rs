//! An answer whole: what its events amount to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::beside::{chat_members, merged, take_chat_members};
use super::{BlockStart, Delta, Event, Kept, Stop, Usage};
use crate::fields::{Fields, Path};
use crate::json::as_str;

/// A whole answer, gathered from its events.
#[derive(Debug, Default)]
pub struct Message {
    /// The model's name as the upstream gave it.
    pub model: Option<String>,
    /// The blocks in order.
    pub blocks: Vec<MessageBlock>,
    /// Token counts, if there were any.
    pub usage: Option<Usage>,
    /// Other members of the answer that were known at its start.
    pub extras: Kept,
    /// Why the model stopped; none while it has not.
    pub stop: Option<Stop<'static>>,
    /// The upstream's failure in mid-answer: kind and message.
    pub error: Option<(String, String)>,
    /// What only Chat Completions says, piece by piece, until the end: then it is one
    /// of the extras, [`CHAT_MEMBERS`](super::CHAT_MEMBERS).
    pub chat_pieces: Vec<Box<RawValue>>,
}

/// A block of a whole answer.
#[derive(Debug)]
pub enum MessageBlock {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// What it cites, as Anthropic's citations, verbatim.
        citations: Vec<Box<RawValue>>,
        /// Other members.
        extras: Kept,
    },
    /// Reasoning.
    Thinking {
        /// The reasoning; may be empty.
        text: String,
        /// Its signature; may be empty.
        signature: String,
        /// Other members.
        extras: Kept,
    },
    /// A tool call.
    ToolUse {
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// The arguments as JSON text, or what there is of it.
        input: String,
        /// Other members.
        extras: Kept,
    },
    /// A block that only its own dialect knows, with its deltas verbatim.
    Other {
        /// The block as it began.
        block: Box<RawValue>,
        /// What was added to it.
        deltas: Vec<Box<RawValue>>,
    },
}

impl Message {
    /// Take in the next event, in lawful order.
    pub fn push(&mut self, event: Event<'_>) {
        match event {
            Event::Start {
                model,
                usage,
                extras,
            } => {
                self.model = model.map(Into::into);
                self.usage = usage;
                self.extras = extras;
            }
            Event::BlockStart { block, extras, .. } => {
                self.blocks.push(MessageBlock::begun(block, extras));
            }
            Event::Delta { delta, .. } => self.add(delta),
            Event::BlockStop { .. } => {}
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Stop(stop) => {
                let mut stop = stop.into_owned();
                self.gather(&mut stop.extras);
                self.stop = Some(stop);
            }
            Event::Error { kind, message } => {
                self.gather(&mut Kept::new());
                self.error = Some((kind.into(), message.into()));
            }
        }
    }

    /// All that only Chat Completions says, with what was said `at_end`.
    fn gather(&mut self, at_end: &mut Kept) {
        self.chat_pieces.extend(take_chat_members(at_end));
        if !self.chat_pieces.is_empty() {
            let mut pieces = take_chat_members(&mut self.extras);
            pieces.append(&mut self.chat_pieces);
            self.extras.extend(merged(&pieces));
        }
    }

    fn add(&mut self, delta: Delta<'_>) {
        if let Delta::Other(raw) = &delta
            && let Some(members) = chat_members(raw)
        {
            return self.chat_pieces.push(members.to_owned());
        }
        match (self.blocks.last_mut(), delta) {
            (Some(MessageBlock::Text { text, .. }), Delta::Text(more)) => text.push_str(&more),
            (Some(MessageBlock::Text { citations, .. }), Delta::Other(raw)) => {
                citations.extend(citation(&raw));
            }
            (Some(MessageBlock::Thinking { text, .. }), Delta::Thinking(more)) => {
                text.push_str(&more)
            }
            (Some(MessageBlock::Thinking { signature, .. }), Delta::Signature(whole)) => {
                *signature = whole.into();
            }
            (Some(MessageBlock::ToolUse { input, .. }), Delta::ToolInput(more)) => {
                input.push_str(&more)
            }
            (Some(MessageBlock::Other { deltas, .. }), Delta::Other(raw)) => {
                deltas.push(raw.into_owned())
            }
            // The order law excludes the rest, but for deltas that only their
            // dialect knows: none such is part of a whole block, so far.
            _ => {}
        }
    }

    /// The events that amount to this message: the inverse of [`Self::push`].
    pub fn split(self, sink: &mut dyn FnMut(Event<'_>)) {
        sink(Event::Start {
            model: self.model.map(Into::into),
            usage: None,
            extras: self.extras,
        });
        for (index, block) in (0..).zip(self.blocks) {
            block.split(index, sink);
        }
        if let Some(usage) = self.usage {
            sink(Event::Usage(usage));
        }
        match (self.error, self.stop) {
            (Some((kind, message)), _) => {
                sink(Event::Error {
                    kind: kind.into(),
                    message: message.into(),
                });
            }
            (None, Some(stop)) => sink(Event::Stop(stop)),
            (None, None) => {}
        }
    }
}

impl MessageBlock {
    /// A block of this text, and no more than that.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            citations: Vec::new(),
            extras: Kept::new(),
        }
    }

    fn begun(block: BlockStart<'_>, extras: Kept) -> Self {
        match block {
            BlockStart::Text => Self::Text {
                text: String::new(),
                citations: Vec::new(),
                extras,
            },
            BlockStart::Thinking => Self::Thinking {
                text: String::new(),
                signature: String::new(),
                extras,
            },
            BlockStart::ToolUse { id, name } => Self::ToolUse {
                id: id.into(),
                name: name.into(),
                input: String::new(),
                extras,
            },
            BlockStart::Other(raw) => Self::Other {
                block: raw.into_owned(),
                deltas: Vec::new(),
            },
        }
    }

    fn split(self, index: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let (block, deltas, extras) = match self {
            Self::Text {
                text,
                citations,
                extras,
            } => (
                BlockStart::Text,
                std::iter::once(Delta::Text(text.into()))
                    .chain(citations.iter().filter_map(|raw| citation_delta(raw)))
                    .collect(),
                extras,
            ),
            Self::Thinking {
                text,
                signature,
                extras,
            } => (
                BlockStart::Thinking,
                vec![
                    Delta::Thinking(text.into()),
                    Delta::Signature(signature.into()),
                ],
                extras,
            ),
            Self::ToolUse {
                id,
                name,
                input,
                extras,
            } => (
                BlockStart::ToolUse {
                    id: id.into(),
                    name: name.into(),
                },
                vec![Delta::ToolInput(input.into())],
                extras,
            ),
            Self::Other { block, deltas } => (
                BlockStart::Other(Cow::Owned(block)),
                deltas
                    .into_iter()
                    .map(|raw| Delta::Other(Cow::Owned(raw)))
                    .collect::<Vec<_>>(),
                Kept::new(),
            ),
        };
        sink(Event::BlockStart {
            index,
            block,
            extras,
        });
        for delta in deltas.into_iter().filter(|delta| !delta.is_empty()) {
            sink(Event::Delta { index, delta });
        }
        sink(Event::BlockStop { index });
    }
}

/// The citation in a `citations_delta`; none in any other delta.
fn citation(delta: &RawValue) -> Option<Box<RawValue>> {
    let mut fields = Fields::of(delta, &Path::Root).ok()?;
    let kind = fields.take("type").and_then(as_str)?;
    let citation = fields.take("citation")?;
    (kind == "citations_delta").then(|| citation.to_owned())
}

/// The delta that adds `citation` to a text block.
pub(crate) fn citation_delta(citation: &RawValue) -> Option<Delta<'static>> {
    let json = format!(
        r#"{{"type":"citations_delta","citation":{}}}"#,
        citation.get()
    );
    let raw = RawValue::from_string(json).ok()?;
    Some(Delta::Other(Cow::Owned(raw)))
}
