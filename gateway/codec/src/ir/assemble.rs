//! An answer whole: what its events amount to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{BlockStart, Delta, Event, Stop, Usage};

/// A whole answer, gathered from its events.
#[derive(Debug, Default)]
pub struct Message {
    /// The model's name as the upstream gave it.
    pub model: Option<String>,
    /// The blocks in order.
    pub blocks: Vec<MessageBlock>,
    /// Token counts, if there were any.
    pub usage: Option<Usage>,
    /// Why the model stopped; none while it has not.
    pub stop: Option<Stop<'static>>,
    /// The upstream's failure in mid-answer: kind and message.
    pub error: Option<(String, String)>,
}

/// A block of a whole answer.
#[derive(Debug)]
pub enum MessageBlock {
    /// Text.
    Text(String),
    /// Reasoning.
    Thinking {
        /// The reasoning; may be empty.
        text: String,
        /// Its signature; may be empty.
        signature: String,
    },
    /// A tool call.
    ToolUse {
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// The arguments as JSON text, or what there is of it.
        input: String,
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
            Event::Start { model } => self.model = model.map(Into::into),
            Event::BlockStart { block, .. } => self.blocks.push(match block {
                BlockStart::Text => MessageBlock::Text(String::new()),
                BlockStart::Thinking => MessageBlock::Thinking {
                    text: String::new(),
                    signature: String::new(),
                },
                BlockStart::ToolUse { id, name } => MessageBlock::ToolUse {
                    id: id.into(),
                    name: name.into(),
                    input: String::new(),
                },
                BlockStart::Other(raw) => MessageBlock::Other {
                    block: raw.into_owned(),
                    deltas: Vec::new(),
                },
            }),
            Event::Delta { delta, .. } => self.add(delta),
            Event::BlockStop { .. } => {}
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Stop(stop) => self.stop = Some(stop.into_owned()),
            Event::Error { kind, message } => self.error = Some((kind.into(), message.into())),
        }
    }

    fn add(&mut self, delta: Delta<'_>) {
        match (self.blocks.last_mut(), delta) {
            (Some(MessageBlock::Text(text)), Delta::Text(more)) => text.push_str(&more),
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
            // The order law excludes the rest.
            _ => {}
        }
    }

    /// The events that amount to this message: the inverse of [`Self::push`].
    pub fn split(self, sink: &mut dyn FnMut(Event<'_>)) {
        sink(Event::Start {
            model: self.model.map(Into::into),
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
    fn split(self, index: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let (block, deltas) = match self {
            Self::Text(text) => (BlockStart::Text, vec![Delta::Text(text.into())]),
            Self::Thinking { text, signature } => (
                BlockStart::Thinking,
                vec![
                    Delta::Thinking(text.into()),
                    Delta::Signature(signature.into()),
                ],
            ),
            Self::ToolUse { id, name, input } => (
                BlockStart::ToolUse {
                    id: id.into(),
                    name: name.into(),
                },
                vec![Delta::ToolInput(input.into())],
            ),
            Self::Other { block, deltas } => (
                BlockStart::Other(Cow::Owned(block)),
                deltas
                    .into_iter()
                    .map(|raw| Delta::Other(Cow::Owned(raw)))
                    .collect(),
            ),
        };
        sink(Event::BlockStart { index, block });
        for delta in deltas.into_iter().filter(|delta| !delta.is_empty()) {
            sink(Event::Delta { index, delta });
        }
        sink(Event::BlockStop { index });
    }
}
