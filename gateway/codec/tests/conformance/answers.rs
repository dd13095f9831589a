//! Cases of answers: upstream bytes in, content blocks, stop reason and usage
//! out, whole and streamed.
//!
//! | given    | is                                                              |
//! |----------|-----------------------------------------------------------------|
//! | `chunks` | a stream: a delta a line, or `choice`, `chunk`, `finish`, `eof` |
//! | `sse`    | a stream, byte for byte                                         |
//! | `choice` | the only choice of a whole answer, streamed as well             |
//! | `body`   | a whole answer, byte for byte                                   |
//!
//! `request` adds members to the request that the answer belongs to; `accent` has
//! the vendor options, and `estimate` the prompt's tokens as guessed. What is
//! expected stands under `answer`; where a client that streams gets something
//! else than one that does not, under `answer: streamed` and `answer: whole`.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_codec::dialect::chat::{
    Accent, DecodeOptions, EncodeOptions, StreamDecoder, encode_request,
};
use sluice_codec::dialect::messages::{
    StreamEncoder, decode_message, decode_request, encode_message,
};
use sluice_codec::ir::{Event, Message, MessageBlock, Order};
use sluice_codec::sse::FrameReader;

use crate::table::{Entry, running};

/// Tables of answers.
pub(crate) const TITLES: [&str; 5] = [
    "Answers",
    "Framing",
    "Tool calls",
    "Reasoning",
    "Usage and stop reasons",
];

/// Streams beyond this are not cut at every byte: time grows with the square.
const CUT_BYTES_MAX: usize = 4_096;

#[test]
fn answers() {
    check_table("Answers");
}

#[test]
fn framing() {
    check_table("Framing");
}

#[test]
fn calls() {
    check_table("Tool calls");
}

#[test]
fn reasoning() {
    check_table("Reasoning");
}

#[test]
fn usage() {
    check_table("Usage and stop reasons");
}

fn check_table(title: &str) {
    let entries = running(title);
    // A law has a test of its own.
    let entries = entries.iter().filter(|entry| entry.text("law").is_none());
    let failures: Vec<_> = entries.filter_map(failure).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// What is wrong with an entry, if anything is.
fn failure(entry: &Entry) -> Option<String> {
    let answer = Answer::of(entry);
    let mut wrong = Vec::new();
    let mut compare = |form: &str, got: String| {
        let expected = entry.text_for("answer", form).unwrap_or("").trim();
        if got != expected {
            wrong.push(format!("{form}: expected\n{expected}\ngot\n{got}"));
        }
    };
    if let Some(stream) = &answer.stream {
        let events = decode(&[stream], &answer.request);
        compare("streamed", lines(&assemble(&events)));
        check_client_stream(&events);
        check_cuts(stream, &answer.request, &entry.name());
        if answer.body.is_none() {
            compare("whole", lines(&for_a_whole_client(assemble(&events))));
        }
    }
    if let Some(body) = &answer.body {
        let events = decode(&[body], &answer.request);
        compare("whole", lines(&for_a_whole_client(assemble(&events))));
        // The client may have asked for a stream and the upstream not kept to it.
        check_client_stream(&events);
    }
    (!wrong.is_empty()).then(|| format!("{}\n{}", entry.name(), wrong.join("\n")))
}

/// What the upstream sends, and to which request.
pub(crate) struct Answer {
    pub(crate) stream: Option<Vec<u8>>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) request: String,
}

impl Answer {
    pub(crate) fn of(entry: &Entry) -> Self {
        let choice = entry
            .text("choice")
            .map(|text| serde_json::from_str::<Value>(text).expect("a choice is JSON"));
        let given = [
            entry.text("chunks").map(stream_of_chunks),
            entry.text("sse").map(stream_of_sse),
            choice.as_ref().map(stream_of_choice),
        ];
        let body = entry.text("body").map(|text| text.as_bytes().to_vec());
        let of_choice = |choice: &Value| {
            json!({ "model": "up", "choices": [choice] })
                .to_string()
                .into()
        };
        Self {
            stream: given.into_iter().flatten().next(),
            body: body.or_else(|| choice.as_ref().map(of_choice)),
            request: asked(entry),
        }
    }
}

/// The request of an answer. Beside it stands, in members that no request has, what
/// else its decoder is told.
fn asked(entry: &Entry) -> String {
    let mut asked: Value = serde_json::from_str(&request(entry.text("request").unwrap_or("{}")))
        .expect("requests are JSON");
    for told in ["accent", "estimate"] {
        if let Some(text) = entry.text(told) {
            asked[told] = serde_json::from_str(text).expect("what a decoder is told is JSON");
        }
    }
    asked.to_string()
}

/// What [`asked`] tells beside the request.
fn told<T: DeserializeOwned>(request: &str, name: &str) -> Option<T> {
    let mut request: Value = serde_json::from_str(request).expect("requests are JSON");
    let told = request.get_mut(name)?.take();
    Some(serde_json::from_value(told).expect("what a decoder is told has its form"))
}

/// A Messages request with `members` over the smallest one's.
pub(crate) fn request(members: &str) -> String {
    let mut request = json!({ "model": "m", "max_tokens": 64, "messages": [{ "role": "user", "content": "hi" }] });
    let members: Value = serde_json::from_str(members).expect("a request's members are JSON");
    for (key, value) in members.as_object().expect("members are an object") {
        request[key] = value.clone();
    }
    request.to_string()
}

fn stream_of_chunks(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut done = true;
    let mut chunk = |json: &str| out.extend_from_slice(format!("data: {json}\n\n").as_bytes());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "eof" => done = false,
            "chunk" => chunk(rest),
            "choice" => chunk(&format!(r#"{{"choices":[{rest}]}}"#)),
            "finish" => chunk(&format!(
                r#"{{"choices":[{{"delta":{{}},"finish_reason":"{rest}"}}]}}"#
            )),
            _ => chunk(&format!(r#"{{"choices":[{{"delta":{line}}}]}}"#)),
        }
    }
    if done {
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
    out
}

/// The bytes as written, but for `\r`, `\n` at a line's end and `\u{feff}`.
fn stream_of_sse(text: &str) -> Vec<u8> {
    let text = text
        .replace("<CR>\n", "\r")
        .replace("<CRLF>\n", "\r\n")
        .replace("<BOM>", "\u{feff}");
    let text = text.strip_suffix("<END>").unwrap_or(&text);
    text.into()
}

/// A whole answer's choice as a stream would bring it: member by member, texts
/// and arguments in halves.
fn stream_of_choice(choice: &Value) -> Vec<u8> {
    let mut deltas = Vec::new();
    let message = choice["message"]
        .as_object()
        .expect("a choice has a message");
    for (key, value) in message.iter().filter(|(key, _)| *key != "tool_calls") {
        match value.as_str() {
            Some(text) => {
                let at = middle(text);
                deltas.push(json!({ key: &text[..at] }));
                deltas.push(json!({ key: &text[at..] }));
            }
            None => deltas.push(json!({ key: value })),
        }
    }
    // Reasoning comes before content, whatever the order of the members.
    deltas.sort_by_key(|delta| {
        delta.get("content").is_some() || delta.get("function_call").is_some()
    });
    match &message.get("tool_calls") {
        Some(Value::Array(calls)) => {
            for (index, call) in calls.iter().enumerate() {
                deltas.extend(halves_of_call(index, call));
            }
        }
        Some(call) => deltas.push(json!({ "tool_calls": call })),
        None => {}
    }
    let mut text: String = deltas.iter().map(|delta| format!("{delta}\n")).collect();
    let mut last = choice.clone();
    last["message"] = Value::Null;
    text.push_str(&format!("choice {last}\n"));
    stream_of_chunks(&text)
}

fn halves_of_call(index: usize, call: &Value) -> Vec<Value> {
    let mut head = call.clone();
    head["index"] = index.into();
    let Some(arguments) = call["function"]["arguments"].as_str() else {
        return vec![json!({ "tool_calls": [head] })];
    };
    let at = middle(arguments);
    head["function"]["arguments"] = arguments[..at].into();
    let tail = json!({ "index": index, "function": { "arguments": &arguments[at..] } });
    vec![
        json!({ "tool_calls": [head] }),
        json!({ "tool_calls": [tail] }),
    ]
}

fn middle(text: &str) -> usize {
    (text.len() / 2..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .expect("the end is a boundary")
}

/// The events that the upstream's bytes, in `pieces`, amount to.
pub(crate) fn decode(pieces: &[&[u8]], asked: &str) -> Vec<Event<'static>> {
    let accent: Accent = told(asked, "accent").unwrap_or_default();
    let request = decode_request(asked).expect("fixtures are valid requests");
    let options = EncodeOptions {
        model: "up",
        accent: &accent,
        family: "up",
    };
    let names = encode_request(&request, options)
        .expect("fixtures can be sent")
        .names;
    let options = DecodeOptions::new(&request, names, "up", 7).with_accent(&accent);
    let options = match told(asked, "estimate") {
        Some(tokens) => options.with_input_estimate(tokens),
        None => options,
    };
    let mut decoder = StreamDecoder::new(options);
    let mut events = Vec::new();
    let mut sink = |event: Event<'_>| events.push(event.into_owned());
    // As the gateway does: the first byte tells a body from a stream.
    let first = pieces
        .iter()
        .find_map(|piece| piece.trim_ascii_start().first());
    if matches!(first, Some(b'{' | b'[' | b'<')) {
        decoder.body(&pieces.concat(), &mut sink);
    } else {
        let mut reader = FrameReader::default();
        for piece in pieces {
            let fed = reader.feed(piece, &mut |frame| decoder.frame(frame.data, &mut sink));
            fed.expect("fixtures are within the bounds");
        }
        reader.finish(&mut |frame| decoder.frame(frame.data, &mut sink));
    }
    decoder.finish(&mut sink);
    events
}

pub(crate) fn assemble(events: &[Event<'static>]) -> Message {
    let mut message = Message::default();
    for event in events {
        message.push(event.clone());
    }
    message
}

/// What a client that does not stream gets, read again; a failed answer becomes a status.
fn for_a_whole_client(message: Message) -> Message {
    if message.error.is_some() {
        return message;
    }
    let body = String::from_utf8(encode_message(&message, "msg_1", "m")).expect("JSON is text");
    let value: Value = serde_json::from_str(&body).expect("an answer is JSON");
    for count in [
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ] {
        assert!(value["usage"][count].is_u64(), "{body}");
    }
    assert_eq!(
        value["stop_reason"] == "refusal",
        value["stop_details"].is_object(),
        "{body}"
    );
    let whole = decode_message(&body).expect("our own answer can be read");
    Message {
        usage: message.usage,
        ..whole
    }
}

/// A message, a block a line.
pub(crate) fn lines(message: &Message) -> String {
    let quoted = |text: &str| json!(text).to_string();
    let mut lines: Vec<String> = message
        .blocks
        .iter()
        .map(|block| match block {
            // A frame of megabytes is told by its length.
            MessageBlock::Text { text, .. } if text.len() > 4_096 => {
                format!("text of {} bytes", text.len())
            }
            MessageBlock::Text { text, .. } => format!("text {}", quoted(text)),
            MessageBlock::Thinking {
                text, signature, ..
            } => {
                format!("thinking {} {signature}", quoted(text))
            }
            MessageBlock::ToolUse {
                id, name, input, ..
            } => format!("tool_use {id} {name} {input}"),
            MessageBlock::Other { block, .. } => block.get().to_owned(),
        })
        .map(|line| line.trim_end().to_owned())
        .collect();
    if let Some(usage) = &message.usage {
        let extras = usage
            .extras
            .iter()
            .map(|(key, value)| format!(" {key} {value}"));
        lines.push(format!(
            "usage in {} out {} read {} written {}{}",
            usage.input,
            usage.output,
            usage.cache_read,
            usage.cache_write,
            extras.collect::<String>()
        ));
    }
    if let Some(stop) = &message.stop {
        let sequence = stop
            .sequence
            .as_deref()
            .map(|text| format!(" {}", quoted(text)));
        lines.push(format!(
            "stop {}{}",
            stop.reason.word(),
            sequence.unwrap_or_default()
        ));
    }
    if let Some((kind, text)) = &message.error {
        lines.push(format!("error {kind} {text}"));
    }
    lines.join("\n")
}

/// The events, in the form in which they can be compared.
pub(crate) fn shown(events: &[Event<'static>]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

/// Cut anywhere, the same bytes give the same events.
fn check_cuts(stream: &[u8], request: &str, name: &str) {
    if stream.len() > CUT_BYTES_MAX {
        return;
    }
    let expected = shown(&decode(&[stream], request));
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(
            shown(&decode(&[head, tail], request)),
            expected,
            "{name}: cut at {at}"
        );
    }
    let bytewise: Vec<_> = stream.chunks(1).collect();
    assert_eq!(
        shown(&decode(&bytewise, request)),
        expected,
        "{name}: byte by byte"
    );
}

/// The events are lawful, and what a client gets keeps to the grammar.
pub(crate) fn check_client_stream(events: &[Event<'static>]) {
    let (mut order, mut bytes) = (Order::default(), Vec::new());
    let mut encoder = StreamEncoder::new("msg_1".into(), "m".into(), 3);
    for event in events {
        order.check(event).expect("decoders give lawful events");
        encoder.encode(event, &mut bytes);
    }
    assert!(order.is_ended(), "an answer ends: {events:?}");
    check_grammar(&bytes);
}

/// The grammar of a Messages stream, as clients rely on it:
/// <https://docs.claude.com/en/docs/build-with-claude/streaming> (seen 2026-11).
fn check_grammar(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("a stream is text");
    let (mut open, mut next, mut seen): (Option<u64>, u64, Vec<String>) = (None, 0, Vec::new());
    for frame in text.split_terminator("\n\n") {
        let (event, data) = frame.split_once('\n').expect("a frame has two lines");
        let event = event.strip_prefix("event: ").expect("an event line first");
        let data = data.strip_prefix("data: ").expect("then a data line");
        let data: Value = serde_json::from_str(data).expect("data is JSON on one line");
        assert_eq!(data["type"], event, "the event line tells the type");
        let last = seen.last().map(String::as_str);
        match event {
            "message_start" => {
                assert_eq!(last, None);
                assert!(data["message"]["usage"]["input_tokens"].is_u64());
            }
            "content_block_start" => {
                assert_eq!((open, data["index"].as_u64()), (None, Some(next)));
                open = Some(next);
                next += 1;
            }
            "content_block_delta" => assert_eq!(data["index"].as_u64(), open, "{frame}"),
            "content_block_stop" => assert_eq!(data["index"].as_u64(), open.take(), "{frame}"),
            "message_delta" => {
                assert!(open.is_none() && !seen.iter().any(|seen| seen == "message_delta"));
                assert!(data["delta"]["stop_reason"].is_string());
                assert!(data["usage"]["output_tokens"].is_u64());
                let refused = data["delta"]["stop_reason"] == "refusal";
                assert_eq!(
                    refused,
                    data["delta"]["stop_details"].is_object(),
                    "{frame}"
                );
            }
            "message_stop" => assert_eq!(last, Some("message_delta")),
            "error" => assert!(last.is_some()),
            _ => panic!("unknown event {event}"),
        }
        assert!(
            !matches!(last, Some("message_stop" | "error")),
            "nothing follows the end"
        );
        seen.push(event.to_owned());
    }
    assert!(matches!(
        seen.last().map(String::as_str),
        Some("message_stop" | "error")
    ));
}
