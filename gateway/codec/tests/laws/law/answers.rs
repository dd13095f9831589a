//! Answers of upstreams, on their way to a client of either dialect.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sluice_codec::dialect::chat::{
    self, Accent, CompletionStreamEncoder, DecodeOptions, OmittedReasoning, ReasoningBack,
    StreamDecoder,
};
use sluice_codec::dialect::messages::{self, AnswerDecoder, AnswerOptions, StreamEncoder};
use sluice_codec::fields::{Fields, Path};
use sluice_codec::ir::{Event, Message, Order, Sink};
use sluice_codec::sse::{Frame, FrameReader};

use super::client::{self, Answer, Events};
use super::cuts;

/// Any bytes of a Chat Completions upstream, as a stream and as a body, amount
/// to a lawful answer, however they are cut, in every form that clients read.
pub(crate) fn chat(input: &[u8]) {
    for accent in [Accent::default(), details(), held()] {
        let decoder = || StreamDecoder::new(chat_options(&accent));
        check_answer(&of_body(decoder(), input), input.len());
        check_answer(&of_any_split(decoder, input), input.len());
    }
    let accent = Accent::default();
    let decoder = || StreamDecoder::new(chat_options(&accent).with_members_kept());
    for events in [of_body(decoder(), input), of_any_split(decoder, input)] {
        check_completions(&events, &assembled(&events), input.len());
        check_kept(&events);
    }
}

/// The same of a Messages upstream. What it wrote well passes the gateway and
/// means the same, and what the gateway wrote passes it without a change.
pub(crate) fn messages(input: &[u8]) {
    check_answer(&of_body(decoder(), input), input.len());
    let events = of_any_split(decoder, input);
    let stream = check_answer(&events, input.len());
    let again = of_stream(decoder(), &[&stream]);
    let fails = |events: &[Event<'_>]| matches!(events.last(), Some(Event::Error { .. }));
    assert_eq!(fails(&events), fails(&again));
    if !fails(&events) {
        assert_eq!(shown(&stream), shown(&messages_stream(&again)));
    }
    match client::read(input, Events::Any) {
        Ok(Answer::Message(mut said)) if client::is_borne_out(&said) && !calls_anew(&said) => {
            if said["stop_reason"] == "refusal" && said.get("stop_details").is_none() {
                // Anthropic's clients look for them.
                said["stop_details"] =
                    json!({ "type": "refusal", "category": null, "explanation": null });
            }
            let passed = client::read(&stream, Events::Named);
            assert_eq!(passed, Ok(Answer::Message(said)));
        }
        _ => {}
    }
}

/// A request for which the answers are.
const REQUEST: &str = r#"{"model":"m","thinking":{"type":"adaptive","display":"omitted"},"tools":[{"name":"tool.one","input_schema":{}}],"messages":[{"role":"assistant",
    "content":[{"type":"tool_use","id":"taken","name":"tool.one","input":{}}]}]}"#;

/// Whether an answer has a call with the id of the request's, which gets another.
fn calls_anew(said: &Value) -> bool {
    let mut blocks = said["content"].as_array().into_iter().flatten();
    blocks.any(|block| block["type"] == "tool_use" && block["id"] == "taken")
}

fn chat_options(accent: &Accent) -> DecodeOptions {
    let request = messages::decode_request(REQUEST).expect("a request");
    let options = chat::EncodeOptions {
        model: "m",
        accent,
        family: "f",
    };
    let encoded = chat::encode_request(&request, options).expect("no refusal");
    DecodeOptions::new(&request, encoded.names, "f", 7).with_accent(accent)
}

fn details() -> Accent {
    Accent {
        reasoning_outside: true,
        reasoning_back: ReasoningBack::Details,
        ..Accent::default()
    }
}

fn held() -> Accent {
    Accent {
        omitted_reasoning: OmittedReasoning::Hold,
        think_tags: vec!["thought".into()],
        ..Accent::default()
    }
}

fn decoder() -> AnswerDecoder {
    let request = messages::decode_request(REQUEST).expect("a request");
    AnswerDecoder::new(AnswerOptions::new(&request, 7))
}

// === decoding ===

trait Decoder {
    fn frame(&mut self, data: &[u8], sink: Sink<'_>);
    fn body(&mut self, body: &[u8], sink: Sink<'_>);
    fn finish(&mut self, sink: Sink<'_>);
    fn is_ended(&self) -> bool;
}

macro_rules! decoder {
    ($name:ty) => {
        impl Decoder for $name {
            fn frame(&mut self, data: &[u8], sink: Sink<'_>) {
                self.frame(data, sink);
            }
            fn body(&mut self, body: &[u8], sink: Sink<'_>) {
                self.body(body, sink);
            }
            fn finish(&mut self, sink: Sink<'_>) {
                self.finish(sink);
            }
            fn is_ended(&self) -> bool {
                self.is_ended()
            }
        }
    };
}

decoder!(StreamDecoder);
decoder!(AnswerDecoder);

fn of_any_split<D: Decoder>(decoder: impl Fn() -> D, input: &[u8]) -> Vec<Event<'static>> {
    let ways = cuts::of(input);
    let whole = of_stream(decoder(), &ways[0]);
    let expected = format!("{whole:?}");
    for way in &ways[1..] {
        let events = of_stream(decoder(), way);
        assert_eq!(format!("{events:?}"), expected, "cut in {}", way.len());
    }
    whole
}

fn of_stream(mut decoder: impl Decoder, pieces: &[&[u8]]) -> Vec<Event<'static>> {
    events(|sink| {
        let mut reader = FrameReader::default();
        for piece in pieces {
            let mut frame = |frame: Frame<'_>| decoder.frame(frame.data, sink);
            reader.feed(piece, &mut frame).expect("below the bound");
        }
        reader.finish(&mut |frame| decoder.frame(frame.data, sink));
        decoder.finish(sink);
        assert!(decoder.is_ended());
    })
}

fn of_body(mut decoder: impl Decoder, body: &[u8]) -> Vec<Event<'static>> {
    events(|sink| {
        decoder.body(body, sink);
        decoder.finish(sink);
        assert!(decoder.is_ended());
    })
}

/// The events that `run` gives; they are lawful, and come to an end.
fn events(run: impl FnOnce(Sink<'_>)) -> Vec<Event<'static>> {
    let (mut order, mut events) = (Order::default(), Vec::new());
    run(&mut |event| {
        assert_eq!(order.check(&event), Ok(()), "{event:?}");
        events.push(event.into_owned());
    });
    assert!(order.is_ended());
    events
}

// === encoding ===

/// Every form in which a client gets `events` reads well, is bounded by the
/// `length` of what came, and says the same. Returns the Messages stream.
fn check_answer(events: &[Event<'static>], length: usize) -> Vec<u8> {
    let stream = messages_stream(events);
    assert!(
        stream.len() <= 64 * length + 65_536,
        "grew from {length} to {}",
        stream.len()
    );
    let streamed = client::read(&stream, Events::Named)
        .unwrap_or_else(|why| panic!("{why}: {}", shown(&stream)));
    let message = assembled(events);
    match streamed {
        Answer::Failed => assert!(message.error.is_some()),
        Answer::Message(streamed) => {
            let whole = messages::encode_message(&message, "i", "m");
            check_whole(streamed, &whole);
        }
        Answer::Unreadable => {
            let whole = messages::encode_message(&message, "i", "m");
            serde_json::from_slice::<&RawValue>(&whole).expect("JSON");
        }
    }
    check_completions(events, &message, length);
    stream
}

fn messages_stream(events: &[Event<'static>]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new("i".into(), "m".into(), 0);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    assert!(encoder.is_ended());
    out
}

fn assembled(events: &[Event<'static>]) -> Message {
    let mut message = Message::default();
    for event in events {
        message.push(event.clone());
    }
    message
}

/// The `whole` answer says what a client gathered from its stream.
fn check_whole(mut streamed: Value, whole: &[u8]) {
    serde_json::from_slice::<&RawValue>(whole).expect("JSON");
    let Ok(mut whole) = serde_json::from_slice::<Value>(whole) else {
        return;
    };
    let members = whole.as_object_mut().expect("an object");
    members.remove("id");
    members.remove("model");
    if streamed["stop_reason"] == "tool_use" {
        streamed["stop_reason"] = reason_of_calls(&streamed["content"]).into();
    }
    let blocks = streamed["content"].as_array_mut().expect("blocks");
    let whole_blocks = whole["content"].as_array_mut().expect("blocks");
    assert_eq!(blocks.len(), whole_blocks.len());
    for (block, whole) in blocks.iter_mut().zip(whole_blocks) {
        let is_known = matches!(
            block["type"].as_str(),
            Some("text" | "thinking" | "tool_use")
        );
        if !is_known && block.get(client::DELTAS).is_some() {
            // How a kind that nobody knows folds up is not for this law to say.
            *block = whole.clone();
        } else if block["type"] == "tool_use" && !block["input"].is_object() {
            // A call whose arguments are no object is no call, but a text.
            assert_eq!(whole["type"], "text");
            *block = whole.clone();
        }
    }
    assert_eq!(streamed, whole);
}

/// Why a whole answer ended in which these `blocks` were streamed, in order to
/// call: one whose arguments were cut off is as if the answer was, and where all
/// are unreadable there is nothing to wait for.
fn reason_of_calls(blocks: &Value) -> &'static str {
    let blocks = blocks.as_array().expect("blocks");
    let calls = || blocks.iter().filter(|block| block["type"] == "tool_use");
    if calls().any(client::is_cut) {
        "max_tokens"
    } else if calls().count() > 0 && !calls().any(|call| call["input"].is_object()) {
        "end_turn"
    } else {
        "tool_use"
    }
}

/// What is kept for a Chat client amounts to the same once the answer is whole, and
/// passes hooks, who see it in the vocabulary of Messages.
fn check_kept(events: &[Event<'static>]) {
    let message = assembled(events);
    if message.error.is_some() {
        return;
    }
    let whole = messages::encode_message(&message, "i", "m");
    let whole = std::str::from_utf8(&whole).expect("UTF-8");
    let Ok(again) = messages::decode_message(whole) else {
        panic!("what was written cannot be read: {whole}");
    };
    let shown = |message: &Message| format!("{:?}", message.extras);
    assert_eq!(shown(&again), shown(&message));
    let mut split = Vec::new();
    message.split(&mut |event| split.push(event.into_owned()));
    assert_eq!(shown(&assembled(&split)), shown(&again));
}

/// Chat Completions in both forms are JSON, and only a stop is `[DONE]`.
fn check_completions(events: &[Event<'static>], message: &Message, length: usize) {
    let mut encoder = CompletionStreamEncoder::new("i", "m", 1, true);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    assert!(encoder.is_ended());
    assert!(out.len() <= 64 * length + 65_536, "grew from {length}");
    let mut frames = Vec::new();
    let mut reader = FrameReader::default();
    let mut take = |frame: Frame<'_>| frames.push(frame.data.to_vec());
    reader.feed(&out, &mut take).expect("below the bound");
    let done = frames.pop_if(|frame| frame == b"[DONE]");
    assert_eq!(done.is_some(), message.error.is_none());
    for frame in &frames {
        let text = std::str::from_utf8(frame).expect("UTF-8");
        Fields::parse(text, &Path::Root).expect("an object");
    }
    if message.error.is_none() {
        let completion = chat::encode_completion(message, "i", "m", 1);
        let text = std::str::from_utf8(&completion.body).expect("UTF-8");
        Fields::parse(text, &Path::Root).expect("an object");
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
