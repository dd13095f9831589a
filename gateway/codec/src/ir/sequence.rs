//! Loose pieces in, lawful events out.
//!
//! Upstreams send text, reasoning and tool calls as they come, and hooks put
//! events where they like; this opens and closes blocks around them, numbers
//! them, and lets nothing pass after the end. Its output always satisfies
//! [`Order`](super::Order).

use std::borrow::Cow;

use super::{BlockStart, Delta, Event, Kept, Stop, Usage};
use crate::json::trimmed;

/// Where lawful events go.
pub type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

/// Makes a sequence lawful.
#[derive(Debug, Default)]
pub struct Sequencer {
    started: bool,
    ended: bool,
    /// Number of the open block, or of the next one.
    index: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    /// The number that the block had where it came from (`push` only).
    origin: u32,
    signed: bool,
    /// Of a tool call: whether there were arguments.
    has_input: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Other,
    Text,
    Thinking,
    ToolUse,
}

impl Sequencer {
    /// Whether the answer has begun.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Whether `stop` or `error` has passed.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Begin, unless begun.
    pub fn start(&mut self, model: Option<Cow<'_, str>>, sink: Sink<'_>) {
        if !self.started {
            self.started = true;
            sink(Event::start(model));
        }
    }

    /// A piece of text; an empty one opens nothing.
    pub fn text(&mut self, text: &str, sink: Sink<'_>) {
        if !text.is_empty() {
            self.ensure(Kind::Text, BlockStart::Text, sink);
            self.delta(Delta::Text(text.into()), sink);
        }
    }

    /// Whether no block has begun.
    pub fn is_blank(&self) -> bool {
        self.index == 0 && self.open.is_none()
    }

    /// A text block begins, whatever may come of it.
    pub fn begin_text(&mut self, sink: Sink<'_>) {
        self.begin(Kind::Text, BlockStart::Text, Kept::new(), 0, sink);
    }

    /// A piece of reasoning; an empty one opens nothing.
    pub fn thinking(&mut self, text: &str, sink: Sink<'_>) {
        if !text.is_empty() {
            self.ensure(Kind::Thinking, BlockStart::Thinking, sink);
            self.delta(Delta::Thinking(text.into()), sink);
        }
    }

    /// A thinking block begins, whatever may come of it.
    pub fn begin_thinking(&mut self, sink: Sink<'_>) {
        self.begin(Kind::Thinking, BlockStart::Thinking, Kept::new(), 0, sink);
    }

    /// Whether a thinking block is open and unsigned.
    pub fn is_thinking(&self) -> bool {
        self.open
            .is_some_and(|open| open.kind == Kind::Thinking && !open.signed)
    }

    /// Whether a text block is open.
    pub fn is_text(&self) -> bool {
        self.open.is_some_and(|open| open.kind == Kind::Text)
    }

    /// Sign the open thinking block; there must be one ([`Self::is_thinking`]).
    pub fn sign(&mut self, signature: &str, sink: Sink<'_>) {
        if let Some(open) = self
            .open
            .as_mut()
            .filter(|open| open.kind == Kind::Thinking && !open.signed)
        {
            open.signed = true;
            self.delta(Delta::Signature(signature.into()), sink);
        }
    }

    /// A tool call begins.
    pub fn tool_use(&mut self, id: &str, name: &str, sink: Sink<'_>) {
        self.begin(
            Kind::ToolUse,
            BlockStart::ToolUse {
                id: id.into(),
                name: name.into(),
            },
            Kept::new(),
            0,
            sink,
        );
    }

    /// More arguments of the open tool call; without one they are dropped.
    pub fn tool_input(&mut self, fragment: &str, sink: Sink<'_>) {
        if !fragment.is_empty() && self.open.is_some_and(|open| open.kind == Kind::ToolUse) {
            self.delta(Delta::ToolInput(fragment.into()), sink);
        }
    }

    /// Whether a block is open that takes deltas of kinds that only a dialect knows.
    pub fn takes_others(&self) -> bool {
        self.open.is_some_and(|open| !open.signed)
    }

    /// A delta that only its dialect knows; without a block that takes it
    /// ([`Self::takes_others`]) it is dropped.
    pub fn other(&mut self, delta: Delta<'_>, sink: Sink<'_>) {
        if self.takes_others() {
            self.delta(delta, sink);
        }
    }

    /// Close the open block, if there is one.
    pub fn close(&mut self, sink: Sink<'_>) {
        if self.open.take().is_some() {
            sink(Event::BlockStop { index: self.index });
            self.index += 1;
        }
    }

    /// Token counts.
    pub fn usage(&mut self, usage: Usage, sink: Sink<'_>) {
        if !self.ended {
            self.start(None, sink);
            sink(Event::Usage(usage));
        }
    }

    /// The model stopped.
    pub fn stop(&mut self, stop: Stop<'_>, sink: Sink<'_>) {
        if !self.ended {
            self.start(None, sink);
            self.close(sink);
            self.ended = true;
            sink(Event::Stop(stop));
        }
    }

    /// The upstream failed.
    pub fn error(&mut self, kind: &str, message: &str, sink: Sink<'_>) {
        if !self.ended {
            self.start(None, sink);
            self.ended = true;
            sink(Event::Error {
                kind: kind.into(),
                message: message.into(),
            });
        }
    }

    /// An event from elsewhere, in any order.
    pub fn push(&mut self, event: Event<'_>, sink: Sink<'_>) {
        match event {
            _ if self.ended => {}
            Event::Start { .. } if self.started => {}
            Event::Start { .. } => {
                self.started = true;
                sink(event);
            }
            Event::BlockStart {
                index,
                block,
                extras,
            } => {
                let kind = match &block {
                    BlockStart::Text => Kind::Text,
                    BlockStart::Thinking => Kind::Thinking,
                    BlockStart::ToolUse { .. } => Kind::ToolUse,
                    BlockStart::Other(_) => Kind::Other,
                };
                self.begin(kind, block, extras, index, sink);
            }
            Event::Delta { index, delta } => self.push_delta(index, delta, sink),
            Event::BlockStop { index } => {
                if self.open.is_some_and(|open| open.origin == index) {
                    self.close(sink);
                }
            }
            Event::Usage(usage) => self.usage(usage, sink),
            Event::Stop(stop) => self.stop(stop, sink),
            Event::Error { kind, message } => self.error(&kind, &message, sink),
        }
    }

    /// A piece finds the open block, or opens one where that needs no more than
    /// the piece itself.
    fn push_delta(&mut self, origin: u32, delta: Delta<'_>, sink: Sink<'_>) {
        let fits = |kind| {
            self.open
                .is_some_and(|open| open.origin == origin && open.kind == kind)
        };
        match &delta {
            Delta::Text(_) if !fits(Kind::Text) && !fits(Kind::Other) => {
                self.begin(Kind::Text, BlockStart::Text, Kept::new(), origin, sink);
            }
            Delta::Thinking(_) if !fits(Kind::Thinking) || !self.is_thinking() => {
                self.begin(
                    Kind::Thinking,
                    BlockStart::Thinking,
                    Kept::new(),
                    origin,
                    sink,
                );
            }
            Delta::Signature(_) if !self.is_thinking() => return,
            Delta::ToolInput(_) if !fits(Kind::ToolUse) && !fits(Kind::Other) => return,
            Delta::Other(_) if !self.takes_others() => return,
            _ => {}
        }
        match delta {
            Delta::Signature(signature) => self.sign(&signature, sink),
            delta => self.delta(delta, sink),
        }
    }

    fn ensure(&mut self, kind: Kind, block: BlockStart<'_>, sink: Sink<'_>) {
        if !self
            .open
            .is_some_and(|open| open.kind == kind && !open.signed)
        {
            self.begin(kind, block, Kept::new(), 0, sink);
        }
    }

    fn begin(
        &mut self,
        kind: Kind,
        block: BlockStart<'_>,
        extras: Kept,
        origin: u32,
        sink: Sink<'_>,
    ) {
        if self.ended {
            return;
        }
        self.start(None, sink);
        self.close(sink);
        self.open = Some(Open {
            kind,
            origin,
            signed: false,
            has_input: false,
        });
        sink(Event::BlockStart {
            index: self.index,
            block,
            extras,
        });
    }

    fn delta(&mut self, delta: Delta<'_>, sink: Sink<'_>) {
        let Some(open) = &mut self.open else { return };
        if let Delta::ToolInput(fragment) = &delta
            && open.kind == Kind::ToolUse
        {
            open.has_input |= !trimmed(fragment).is_empty();
            if !open.has_input {
                // Clients parse what there is: nothing means `{}`, a blank fails.
                return;
            }
        }
        sink(Event::Delta {
            index: self.index,
            delta,
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::{Order, StopReason};
    use super::*;

    pub(crate) fn any_event() -> impl Strategy<Value = Event<'static>> {
        let index = 0u32..3;
        prop_oneof![
            Just(Event::start(None)),
            index
                .clone()
                .prop_map(|index| Event::block_start(index, BlockStart::Text)),
            index
                .clone()
                .prop_map(|index| Event::block_start(index, BlockStart::Thinking)),
            index.clone().prop_map(|index| Event::block_start(
                index,
                BlockStart::ToolUse {
                    id: "t".into(),
                    name: "n".into()
                }
            )),
            index.clone().prop_map(|index| Event::Delta {
                index,
                delta: Delta::Text("x".into())
            }),
            index.clone().prop_map(|index| Event::Delta {
                index,
                delta: Delta::Thinking("x".into())
            }),
            index.clone().prop_map(|index| Event::Delta {
                index,
                delta: Delta::Signature("x".into())
            }),
            index.clone().prop_map(|index| Event::Delta {
                index,
                delta: Delta::ToolInput("{}".into())
            }),
            index.clone().prop_map(|index| Event::Delta {
                index,
                delta: super::super::chat_delta("{}").unwrap()
            }),
            index.prop_map(|index| Event::BlockStop { index }),
            Just(Event::Usage(Usage::default())),
            Just(Event::Stop(Stop::new(StopReason::EndTurn))),
            Just(Event::Error {
                kind: "api_error".into(),
                message: "x".into()
            }),
        ]
    }

    #[test]
    fn blanks_are_no_arguments() {
        #[track_caller]
        fn check(fragments: &[&str], expected: &[&str]) {
            let (mut sequencer, mut got) = (Sequencer::default(), Vec::new());
            let mut sink = |event: Event<'_>| {
                if let Event::Delta {
                    delta: Delta::ToolInput(fragment),
                    ..
                } = event
                {
                    got.push(fragment.into_owned());
                }
            };
            sequencer.tool_use("t", "n", &mut sink);
            for fragment in fragments {
                sequencer.tool_input(fragment, &mut sink);
            }
            assert_eq!(got, expected);
        }
        check(&[" ", "\n\t"], &[]);
        check(&[" ", "{", " ", "}"], &["{", " ", "}"]);
        check(&["\u{a0}"], &["\u{a0}"]);
    }

    proptest! {
        #[test]
        fn any_sequence_becomes_lawful(events in prop::collection::vec(any_event(), 0..40)) {
            let mut sequencer = Sequencer::default();
            let mut order = Order::default();
            for event in events {
                sequencer.push(event, &mut |event| order.check(&event).unwrap());
            }
        }

        #[test]
        fn a_lawful_sequence_passes_unchanged(events in prop::collection::vec(any_event(), 0..40)) {
            let (mut first, mut second) = (Sequencer::default(), Sequencer::default());
            let (mut once, mut twice) = (vec![], vec![]);
            for event in events {
                first.push(event, &mut |event| {
                    once.push(format!("{event:?}"));
                    second.push(event, &mut |event| twice.push(format!("{event:?}")));
                });
            }
            prop_assert_eq!(once, twice);
        }
    }
}
