//! An answer, encoded as `chat.completion.chunk`s.
//!
//! ```text
//! role ( content | reasoning_content | reasoning_details | tool_calls )*
//! finish_reason [usage, if asked for] [DONE]
//! ```
//! Each frame is one `data:` line of JSON. An error ends the stream without
//! `[DONE]`, so that no client takes half an answer for a whole one. The events
//! must come in lawful order (`ir::Order`).

use super::beside::{Beside, Standing, write_logprobs, write_members};
use super::carrier::{self, Seal};
use super::completion::{GAP, NO_BLOCK, NO_MEMBER, report_kept, write_finish, write_usage};
use super::error::write_error;
use crate::ir::{BlockStart, Delta, Event, Losses, Order, Stop, Usage, chat_members};
use crate::json::{write_count, write_str};

/// Encodes one answer.
#[derive(Debug)]
pub struct CompletionStreamEncoder {
    /// `data: {...,"choices":`, the same in every chunk.
    head: Vec<u8>,
    include_usage: bool,
    usage: Option<Usage>,
    order: Order,
    /// Tool calls so far.
    calls: u64,
    /// Thinking blocks that have begun.
    thoughts: u64,
    /// Of the last one of them.
    seal: Seal,
    open: Open,
    content: Apart,
    reasoning: Apart,
    standing: Standing,
    losses: Losses,
}

/// The open block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Plain,
    ToolUse { has_input: bool },
    Other,
}

/// Whether the next piece is to be set apart from what came.
#[derive(Debug, Default)]
struct Apart {
    /// Bytes written, gaps included.
    bytes: u64,
    apart: bool,
}

impl Apart {
    /// What goes before `piece`, which is not empty and is written now.
    fn gap(&mut self, piece: &str) -> &'static str {
        let apart = std::mem::take(&mut self.apart);
        let gap = if apart && self.bytes > 0 { GAP } else { "" };
        self.bytes += (gap.len() + piece.len()) as u64;
        gap
    }
}

impl CompletionStreamEncoder {
    /// An encoder for an answer with this fresh `id` (`chatcmpl-...`), under the
    /// model name that the client asked for; `created` in seconds since 1970.
    /// Token counts are sent only to a client that asked for them.
    pub fn new(id: &str, model: &str, created: u64, include_usage: bool) -> Self {
        let mut head = b"data: {\"id\":".to_vec();
        write_str(&mut head, id);
        head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        write_count(&mut head, created);
        head.extend_from_slice(b",\"model\":");
        write_str(&mut head, model);
        head.extend_from_slice(b",\"choices\":");
        Self {
            head,
            include_usage,
            usage: None,
            order: Order::default(),
            calls: 0,
            thoughts: 0,
            seal: Seal::default(),
            open: Open::Plain,
            content: Apart::default(),
            reasoning: Apart::default(),
            standing: Standing::default(),
            losses: Losses::default(),
        }
    }

    /// Whether the answer has ended: nothing may follow.
    pub fn is_ended(&self) -> bool {
        self.order.is_ended()
    }

    /// What could not be carried.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Append the frames for `event`.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let lawful = self.order.check(event);
        debug_assert_eq!(lawful, Ok(()), "unlawful event {event:?}");
        match event {
            Event::Start { usage, extras, .. } => {
                self.usage.clone_from(usage);
                report_kept("answer", extras, &mut self.losses);
                self.chunk_beside(out, &Beside::of(extras), |out| {
                    out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
                });
            }
            Event::BlockStart {
                index,
                block,
                extras,
            } => {
                report_kept(
                    &format!("answer.content[{index}]"),
                    extras,
                    &mut self.losses,
                );
                self.block_start(*index, block, out);
            }
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockStop { .. } => self.block_stop(out),
            // Held until the stop, where OpenAI sends it.
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Stop(stop) => self.stop(stop, out),
            Event::Error { kind, message } => Self::error(kind, message, out),
        }
    }

    /// Append a keep-alive: a comment, which every reader of server-sent events
    /// skips; allowed anywhere between frames.
    pub fn ping(out: &mut Vec<u8>) {
        out.extend_from_slice(b": ping\n\n");
    }

    /// Append the frame of an error: it ends the stream wherever it stands.
    pub fn error(kind: &str, message: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: {\"error\":");
        write_error(out, 500, kind, message);
        out.extend_from_slice(b"}\n\n");
    }

    fn block_start(&mut self, index: u32, block: &BlockStart<'_>, out: &mut Vec<u8>) {
        self.open = Open::Plain;
        // Neighbouring texts are one text that its citations had split.
        if !matches!(block, BlockStart::Text) {
            self.content.apart = true;
        }
        match block {
            BlockStart::Text => {}
            BlockStart::Thinking => {
                self.thoughts += 1;
                self.seal = Seal::new(self.content.bytes, self.calls);
                self.reasoning.apart = true;
            }
            BlockStart::ToolUse { id, name } => {
                self.open = Open::ToolUse { has_input: false };
                self.call(out, |out| {
                    out.extend_from_slice(b",\"id\":");
                    write_str(out, id);
                    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                    write_str(out, name);
                    out.extend_from_slice(b",\"arguments\":\"\"}");
                });
            }
            BlockStart::Other(_) => {
                self.open = Open::Other;
                let at = format_args!("answer.content[{index}]");
                self.losses.report(at, NO_BLOCK);
            }
        }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        // Reported as a whole when it began; an empty piece says nothing.
        if self.open == Open::Other || delta.is_empty() {
            return;
        }
        if let Delta::Other(raw) = delta
            && let Some(members) = chat_members(raw)
        {
            return self.chunk_beside(out, &Beside::read(members), |_| {});
        }
        match delta {
            Delta::Text(text) => {
                let gap = self.content.gap(text);
                self.piece(b"\"content\":", gap, text, out);
            }
            Delta::Thinking(text) => {
                let gap = self.reasoning.gap(text);
                self.seal.add(text);
                self.piece(b"\"reasoning_content\":", gap, text, out);
            }
            Delta::Signature(signature) => {
                let (index, seal) = (self.thoughts.saturating_sub(1), self.seal);
                self.chunk(out, |out| {
                    out.extend_from_slice(b"\"reasoning_details\":[");
                    carrier::write(out, index, seal, signature);
                    out.push(b']');
                });
            }
            Delta::ToolInput(fragment) => self.arguments(fragment, out),
            Delta::Other(raw) if raw.get().contains("\"citations_delta\"") => self
                .losses
                .report(format_args!("answer.content[{index}].citations"), NO_MEMBER),
            Delta::Other(_) => self.losses.report(
                format_args!("answer.content[{index}]"),
                "a piece that has no place in Chat Completions",
            ),
        }
    }

    fn block_stop(&mut self, out: &mut Vec<u8>) {
        if let Open::ToolUse { has_input } = self.open {
            if !has_input {
                self.arguments("{}", out);
            }
            self.calls += 1;
        }
        self.open = Open::Plain;
    }

    fn stop(&mut self, stop: &Stop<'_>, out: &mut Vec<u8>) {
        let beside = Beside::of(&stop.extras);
        let mut finish = Vec::new();
        write_finish(&mut finish, Some(stop), &mut self.losses);
        self.whole_chunk(out, &beside, |_| {}, &finish);
        // Written in any case, to report what it cannot carry.
        let mut usage = Vec::new();
        if let Some(counts) = &self.usage {
            write_usage(&mut usage, counts, &mut self.losses);
        }
        if self.include_usage && !usage.is_empty() {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"[],\"usage\":");
            out.extend_from_slice(&usage);
            self.standing.write(out, &Vec::new());
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn piece(&mut self, key: &[u8], gap: &str, text: &str, out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            out.extend_from_slice(key);
            match gap {
                "" => write_str(out, text),
                gap => write_str(out, &format!("{gap}{text}")),
            }
        });
    }

    fn arguments(&mut self, fragment: &str, out: &mut Vec<u8>) {
        self.open = Open::ToolUse { has_input: true };
        self.call(out, |out| {
            out.extend_from_slice(b",\"function\":{\"arguments\":");
            write_str(out, fragment);
            out.push(b'}');
        });
    }

    /// A piece of the open tool call, with the members that `members` appends.
    fn call(&mut self, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
        let index = self.calls;
        self.chunk(out, |out| {
            out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            write_count(out, index);
            members(out);
            out.extend_from_slice(b"}]");
        });
    }

    /// A chunk whose delta has the members that `delta` appends.
    fn chunk(&mut self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        self.chunk_beside(out, &Beside::default(), delta);
    }

    /// The same, with what only the upstream's dialect says.
    fn chunk_beside(
        &mut self,
        out: &mut Vec<u8>,
        beside: &Beside<'_>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        self.whole_chunk(out, beside, delta, b"null");
    }

    fn whole_chunk(
        &mut self,
        out: &mut Vec<u8>,
        beside: &Beside<'_>,
        delta: impl FnOnce(&mut Vec<u8>),
        finish: &[u8],
    ) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"[{\"index\":0,\"delta\":{");
        let at = out.len();
        delta(out);
        let is_empty = out.len() == at;
        write_members(out, &beside.message);
        if is_empty && out.len() > at {
            // No comma before the first member.
            out.remove(at);
        }
        out.push(b'}');
        write_logprobs(out, beside.logprobs);
        out.extend_from_slice(b",\"finish_reason\":");
        out.extend_from_slice(finish);
        write_members(out, &beside.choice);
        out.extend_from_slice(b"}]");
        self.standing.write(out, &beside.completion);
        if self.include_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::dialect::chat::{DecodeOptions, Names, StreamDecoder, encode_completion};
    use crate::fields::Fields;
    use crate::ir::{Message, MessageBlock, Request, Sequencer, StopReason};

    fn encode(events: &[Event<'_>], include_usage: bool) -> (String, Losses) {
        let mut encoder = CompletionStreamEncoder::new("chatcmpl-1", "m", 7, include_usage);
        let mut out = Vec::new();
        for event in events {
            encoder.encode(event, &mut out);
        }
        (String::from_utf8(out).unwrap(), encoder.take_losses())
    }

    /// The data of every frame, as a reader of server-sent events sees it.
    fn frames(stream: &str) -> Vec<&str> {
        let frames = stream.split_terminator("\n\n");
        frames
            .map(|frame| frame.strip_prefix("data: ").unwrap())
            .collect()
    }

    #[track_caller]
    fn check(events: &[Event<'_>], include_usage: bool, expected: &[&str]) {
        let (stream, _) = encode(events, include_usage);
        let head = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","choices":"#;
        let got: Vec<_> = frames(&stream)
            .into_iter()
            .map(|frame| frame.strip_prefix(head).unwrap_or(frame))
            .collect();
        assert_eq!(got, expected);
    }

    fn block(
        index: u32,
        block: BlockStart<'static>,
        deltas: Vec<Delta<'static>>,
    ) -> Vec<Event<'static>> {
        let mut events = vec![Event::block_start(index, block)];
        events.extend(
            deltas
                .into_iter()
                .map(|delta| Event::Delta { index, delta }),
        );
        events.push(Event::BlockStop { index });
        events
    }

    fn answer(
        blocks: Vec<Vec<Event<'static>>>,
        reason: StopReason<'static>,
    ) -> Vec<Event<'static>> {
        let mut events = vec![Event::start(None)];
        events.extend(blocks.into_iter().flatten());
        events.push(Event::Usage(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        }));
        events.push(Event::Stop(Stop::new(reason)));
        events
    }

    const ROLE: &str = r#"[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#;

    #[test]
    fn a_call_has_its_name_once() {
        let call = BlockStart::ToolUse {
            id: "1".into(),
            name: "f".into(),
        };
        let inputs = vec![
            Delta::ToolInput("{\"a\"".into()),
            Delta::ToolInput(":1}".into()),
        ];
        check(
            &answer(
                vec![block(0, call.clone(), inputs), block(1, call, vec![])],
                StopReason::ToolUse,
            ),
            false,
            &[
                ROLE,
                r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"1","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
        );
    }

    #[test]
    fn usage_comes_to_those_who_asked() {
        check(
            &answer(vec![], StopReason::EndTurn),
            true,
            &[
                r#"[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}"#,
                r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#,
                r#"[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#,
                "[DONE]",
            ],
        );
    }

    #[test]
    fn reasoning_carries_its_signature() {
        let deltas = vec![Delta::Thinking("r".into()), Delta::Signature("s".into())];
        check(
            &answer(
                vec![block(0, BlockStart::Thinking, deltas)],
                StopReason::EndTurn,
            ),
            false,
            &[
                ROLE,
                r#"[{"index":0,"delta":{"reasoning_content":"r"},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.text","id":"sluice1.0.1.af63ef4c86020cd5.0.0","signature":"s","index":0}]},"logprobs":null,"finish_reason":null}]}"#,
                r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
        );
    }

    #[test]
    fn an_error_ends_it_without_done() {
        let error = Event::Error {
            kind: "overloaded_error".into(),
            message: "m".into(),
        };
        check(
            &[Event::start(None), error],
            false,
            &[
                ROLE,
                r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#,
            ],
        );
        let mut out = Vec::new();
        CompletionStreamEncoder::ping(&mut out);
        assert_eq!(out, b": ping\n\n");
    }

    #[test]
    fn what_has_no_place_is_reported() {
        let raw = |text: &str| std::borrow::Cow::Owned(serde_json::from_str(text).unwrap());
        let events = answer(
            vec![
                block(
                    0,
                    BlockStart::Text,
                    vec![Delta::Other(raw("{\"type\":\"citations_delta\"}"))],
                ),
                block(
                    1,
                    BlockStart::Other(raw("{}")),
                    vec![Delta::ToolInput("{".into())],
                ),
            ],
            StopReason::EndTurn,
        );
        let (_, losses) = encode(&events, false);
        let paths: Vec<_> = losses.listed().iter().map(|loss| &*loss.path).collect();
        assert_eq!(paths, ["answer.content[0].citations", "answer.content[1]"]);
    }

    // === laws ===

    /// An answer as Chat Completions can say it: texts, reasoning, calls, why it
    /// stopped, counts.
    #[derive(Debug, PartialEq)]
    struct Said {
        text: String,
        reasoning: String,
        calls: Vec<(String, Value)>,
        stop: Option<&'static str>,
        usage: Option<[u64; 4]>,
    }

    /// What `message` says; `gaps` where its blocks are not yet joined.
    fn said(message: &Message, gaps: bool) -> Said {
        let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), vec![]);
        let mut text_apart = false;
        for block in &message.blocks {
            let add = |into: &mut String, more: &str, apart: &mut bool| {
                if gaps && *apart && !into.is_empty() && !more.is_empty() {
                    into.push_str(GAP);
                }
                *apart &= more.is_empty();
                into.push_str(more);
            };
            match block {
                MessageBlock::Text { text: more, .. } => {
                    add(&mut text, more, &mut text_apart);
                    continue;
                }
                MessageBlock::Thinking { text, .. } => {
                    add(&mut reasoning, text, &mut true);
                }
                MessageBlock::ToolUse { name, input, .. } => {
                    let input = if input.is_empty() { "{}" } else { input };
                    calls.push((name.clone(), serde_json::from_str(input).unwrap()));
                }
                MessageBlock::Other { .. } => {}
            }
            text_apart = true;
        }
        let stop = message.stop.as_ref().map(|stop| match &stop.reason {
            // What cannot be told apart afterwards.
            StopReason::MaxTokens | StopReason::ContextWindowExceeded => "length",
            StopReason::Refusal => "refusal",
            _ if !calls.is_empty() => "calls",
            _ => "end",
        });
        let usage = message.usage.as_ref();
        Said {
            text,
            reasoning,
            calls,
            stop,
            usage: usage.map(|usage| {
                [
                    usage.input,
                    usage.output,
                    usage.cache_read,
                    usage.cache_write,
                ]
            }),
        }
    }

    fn decoder() -> StreamDecoder {
        let request = Request {
            model: "m".into(),
            stream: true,
            max_tokens: None,
            system: vec![],
            messages: vec![],
            tools: vec![],
            tool_choice: None,
            stop_sequences: vec![],
            temperature: None,
            top_p: None,
            top_k: None,
            thinking: None,
            omits_reasoning: false,
            effort: None,
            output_schema: None,
            user_id: None,
            extras: Fields::default().rest(),
        };
        StreamDecoder::new(DecodeOptions::new(&request, Names::default(), "family", 1))
    }

    /// Events in any order; the sequencer makes them lawful.
    fn any_events() -> impl Strategy<Value = Vec<Event<'static>>> {
        let text = "[a-z \\n\"\u{e9}]{0,5}";
        let index = 0u32..3;
        let inputs = ["", "{}", "{\"a\":[1,2]}", "{\"a\":{\"b\":\"}\"}}"];
        prop_oneof![
            (index.clone(), text).prop_map(|(index, text)| vec![Event::Delta {
                index,
                delta: Delta::Text(text.into())
            }]),
            (index.clone(), text).prop_map(|(index, text)| vec![Event::Delta {
                index,
                delta: Delta::Thinking(text.into())
            }]),
            index.clone().prop_map(|index| vec![Event::Delta {
                index,
                delta: Delta::Signature("s".into())
            }]),
            index
                .clone()
                .prop_map(|index| vec![Event::BlockStop { index }]),
            (prop::sample::select(inputs.to_vec()), 0usize..20).prop_map(|(input, cut)| {
                let (head, tail) = input.split_at(cut.min(input.len()));
                let call = BlockStart::ToolUse {
                    id: "?".into(),
                    name: "f".into(),
                };
                block(
                    9,
                    call,
                    vec![Delta::ToolInput(head.into()), Delta::ToolInput(tail.into())],
                )
            }),
            prop::collection::vec(0u64..1000, 4).prop_map(|n| vec![Event::Usage(Usage {
                input: n[0],
                output: n[1],
                cache_read: n[2],
                cache_write: n[3],
                extras: vec![],
            })]),
        ]
    }

    fn any_stop() -> impl Strategy<Value = Event<'static>> {
        let words = [
            "end_turn",
            "max_tokens",
            "tool_use",
            "refusal",
            "stop_sequence",
            "pause_turn",
        ];
        prop_oneof![
            9 => prop::sample::select(words.to_vec()).prop_map(|word| {
                Event::Stop(Stop::new(StopReason::from_word(word.into())))
            }),
            1 => Just(Event::Error { kind: "api_error".into(), message: "broke off".into() }),
        ]
    }

    /// A lawful answer.
    fn any_answer() -> impl Strategy<Value = Vec<Event<'static>>> {
        (prop::collection::vec(any_events(), 0..12), any_stop()).prop_map(|(groups, stop)| {
            let (mut sequencer, mut lawful) = (Sequencer::default(), Vec::new());
            let mut calls = 0;
            sequencer.start(None, &mut |event| lawful.push(event.into_owned()));
            for mut event in groups.into_iter().flatten().chain([stop]) {
                if let Event::BlockStart {
                    block: BlockStart::ToolUse { id, .. },
                    ..
                } = &mut event
                {
                    calls += 1;
                    *id = format!("call_{calls}").into();
                }
                sequencer.push(event, &mut |event| lawful.push(event.into_owned()));
            }
            lawful
        })
    }

    fn whole(events: &[Event<'_>]) -> Message {
        let mut message = Message::default();
        events.iter().for_each(|event| message.push(event.clone()));
        message
    }

    proptest! {
        #[test]
        fn our_own_decoder_reads_what_was_said(events in any_answer()) {
            let (stream, losses) = encode(&events, true);
            let mut decoder = decoder();
            let mut message = Message::default();
            for frame in frames(&stream) {
                decoder.frame(frame.as_bytes(), &mut |event| message.push(event));
            }
            decoder.finish(&mut |event| message.push(event));
            let expected = whole(&events);
            prop_assert_eq!(&message.error.as_ref().map(|error| &error.1), &expected.error.as_ref().map(|error| &error.1));
            // Of an answer that broke off, the decoder drops what it held back.
            if expected.error.is_none() {
                prop_assert_eq!(said(&message, false), said(&expected, true));
            }
            prop_assert_eq!(decoder.take_losses().count(), 0);
            let paused = events.iter().any(|event| matches!(event, Event::Stop(Stop { reason: StopReason::Other(_), .. })));
            prop_assert_eq!(losses.count(), usize::from(paused));
        }

        #[test]
        fn streamed_or_whole_is_the_same(events in any_answer()) {
            let message = whole(&events);
            if message.error.is_some() {
                return Ok(());
            }
            let completion = encode_completion(&message, "chatcmpl-1", "m", 7);
            let (mut decoder, mut again) = (decoder(), Message::default());
            decoder.body(&completion.body, &mut |event| again.push(event));
            prop_assert_eq!(said(&again, false), said(&message, true));
        }
    }
}
