//! Cases of answers: upstream bytes in, what a client reads out, whole and
//! streamed, in each pairing of the table.
//!
//! | given     | is                                                              |
//! |-----------|-----------------------------------------------------------------|
//! | `chunks`  | a stream: a delta a line, or `choice`, `chunk`, `finish`, `eof` |
//! | `events`  | a stream of a Messages upstream (`messages_upstream.rs`)        |
//! | `sse`     | a stream, byte for byte                                         |
//! | `choice`  | the only choice of a whole answer, streamed as well             |
//! | `message` | a whole answer of a Messages upstream, streamed as well         |
//! | `body`    | a whole answer, byte for byte                                   |
//!
//! `request` adds members to the request that the answer belongs to; a Chat
//! client's is that one, translated. `accent` has the vendor options, and
//! `estimate` the prompt's tokens as guessed. What is expected stands under
//! `answer`; where a client that streams gets something else than one that does
//! not, under `answer: streamed` and `answer: whole`. What a Chat client should
//! read follows from that (`chat_client.rs`), unless it stands under `chat answer`.
//! `losses`, with a pairing, lists the paths of what cannot be carried: of Chat
//! clients and Messages upstreams, none unless it says so. `beside` lists what a
//! Chat client reads that only a Chat upstream can say (`chat_client.rs`).

use serde_json::{Value, json};
use sluice_codec::dialect::chat::{Accent, EncodeOptions, encode_request};
use sluice_codec::dialect::messages::{
    StreamEncoder, decode_message, decode_request, encode_message,
};
use sluice_codec::ir::{Event, Losses, Message, Order};

use crate::chat_client::{self, Counts};
use crate::lines::lines;
use crate::messages_client;
use crate::messages_upstream::{stream_of_events, stream_of_message};
use crate::pairing::{CC, Dialect, MC, MM, Pairing, paths};
use crate::requests::different;
use crate::table::{Entry, running};

/// Tables of answers.
pub(crate) const TITLES: [&str; 6] = [
    "Answers",
    "Framing",
    "Tool calls",
    "Reasoning",
    "Usage and stop reasons",
    "Answers of Messages upstreams",
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

#[test]
fn messages_upstreams() {
    check_table("Answers of Messages upstreams");
}

fn check_table(title: &str) {
    let entries = running(title);
    // A law has a test of its own.
    let entries = entries.iter().filter(|entry| entry.text("law").is_none());
    let failures: Vec<_> = entries
        .flat_map(|entry| {
            let pairings = entry.pairings().into_iter();
            pairings.filter_map(move |pairing| failure(entry, pairing))
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// What is wrong with an entry in a pairing, if anything is.
fn failure(entry: &Entry, pairing: Pairing) -> Option<String> {
    let answer = Answer::of(entry, pairing);
    let mut wrong = Vec::new();
    if let Some(stream) = &answer.stream {
        let (events, losses) = pairing.decode(&[stream], &answer.request);
        let read = streamed(pairing, &events, &losses);
        wrong.extend(difference(entry, pairing, "streamed", read));
        check_client_stream(&events);
        check_cuts(pairing, stream, &answer.request, &entry.name());
        if pairing == MM {
            wrong.extend(messages_client::difference(stream, &events));
        }
        if answer.body.is_none() {
            let read = whole(pairing, &events, &losses);
            wrong.extend(difference(entry, pairing, "whole", read));
        }
    }
    if let Some(body) = &answer.body {
        let (events, losses) = pairing.decode(&[body], &answer.request);
        let read = whole(pairing, &events, &losses);
        wrong.extend(difference(entry, pairing, "whole", read));
        // The client may have asked for a stream and the upstream not kept to it.
        check_client_stream(&events);
    }
    (!wrong.is_empty()).then(|| format!("{} {pairing}\n{}", entry.name(), wrong.join("\n")))
}

/// How what a client reads differs from what it should.
fn difference(
    entry: &Entry,
    pairing: Pairing,
    form: &str,
    (read, mut lost): (String, Vec<String>),
) -> Option<String> {
    lost.sort();
    lost.dedup();
    let (beside, read): (Vec<&str>, Vec<&str>) =
        read.lines().partition(|line| line.starts_with("beside "));
    let (beside, read) = (beside.join("\n"), read.join("\n"));
    if let Some(expected) = entry.text("beside").map(str::trim)
        && pairing == CC
        && beside != expected
    {
        return Some(format!("{form}: expected\n{expected}\ngot\n{beside}"));
    }
    let expected = expected(entry, pairing, form);
    if read != expected {
        return Some(format!("{form}: expected\n{expected}\ngot\n{read}"));
    }
    let different = different(lost, expected_losses(entry, pairing)?)?;
    Some(format!("{form}, losses: {different}"))
}

fn expected(entry: &Entry, pairing: Pairing, form: &str) -> String {
    if pairing.client == Dialect::Messages {
        return entry.text_for("answer", form).unwrap_or("").trim().into();
    }
    match entry.text_for("chat answer", form) {
        Some(lines) => lines.trim().into(),
        // A call that was cut off in a stream is a Chat client's to see as it is,
        // once the stream is gathered as well.
        None => {
            let has_body = ["body", "choice", "message"].map(|given| entry.text(given));
            let told = match has_body {
                [None, None, None] => "streamed",
                _ => form,
            };
            let answer = entry.text_for("answer", told).unwrap_or("").trim();
            let mut lines = chat_client::expected(answer);
            // An HTTP status has no half answer beside it.
            if form == "whole" && lines.iter().any(|line| line.starts_with("error ")) {
                lines.retain(|line| line.starts_with("error "));
            }
            lines.join("\n")
        }
    }
}

fn expected_losses(entry: &Entry, pairing: Pairing) -> Option<Vec<String>> {
    let listed = entry.text_for("losses", &pairing.to_string());
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    listed.map(words).or((pairing != MC).then(Vec::new))
}

/// What a client reads that streams, and what was lost on the way.
fn streamed(pairing: Pairing, events: &[Event<'static>], losses: &Losses) -> (String, Vec<String>) {
    let mut lost = paths(losses);
    let decoded = lost.len();
    if pairing.client == Dialect::Messages {
        return (lines(&assemble(events)), lost);
    }
    let mut read = |counts| {
        let (bytes, losses) = chat_client::stream(events, counts);
        lost.truncate(decoded);
        lost.extend(paths(&losses));
        chat_client::read_stream(&bytes, counts)
    };
    let text = match (read(Counts::Unasked), read(Counts::Asked)) {
        (Ok(unasked), Ok(asked)) => {
            let is_of_usage =
                |line: &&String| line.starts_with("usage ") || line.starts_with("beside usage ");
            let others = asked.iter().filter(|line| !is_of_usage(line));
            assert!(others.eq(&unasked), "{unasked:?} without counts, {asked:?}");
            asked.join("\n")
        }
        (Err(why), _) | (_, Err(why)) => why,
    };
    (text, lost)
}

/// What a client reads that does not stream.
fn whole(pairing: Pairing, events: &[Event<'static>], losses: &Losses) -> (String, Vec<String>) {
    let message = assemble(events);
    if pairing.client == Dialect::Messages {
        return (lines(&for_a_whole_client(message)), paths(losses));
    }
    let (bytes, more) = chat_client::body(&message);
    let text = match chat_client::read_body(&bytes) {
        Ok(lines) => lines.join("\n"),
        Err(why) => why,
    };
    (text, [paths(losses), paths(&more)].concat())
}

/// What the upstream sends, and to which request.
pub(crate) struct Answer {
    pub(crate) stream: Option<Vec<u8>>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) request: String,
}

impl Answer {
    pub(crate) fn of(entry: &Entry, pairing: Pairing) -> Self {
        let choice = entry
            .text("choice")
            .map(|text| serde_json::from_str::<Value>(text).expect("a choice is JSON"));
        let given = [
            entry.text("chunks").map(stream_of_chunks),
            entry.text("events").map(stream_of_events),
            entry.text("sse").map(stream_of_sse),
            entry.text("message").map(stream_of_message),
            choice.as_ref().map(stream_of_choice),
        ];
        let body = entry.text("body").or(entry.text("message"));
        let body = body.map(|text| text.as_bytes().to_vec());
        let of_choice = |choice: &Value| {
            json!({ "model": "up", "choices": [choice] })
                .to_string()
                .into()
        };
        Self {
            stream: given.into_iter().flatten().next(),
            body: body.or_else(|| choice.as_ref().map(of_choice)),
            request: asked(entry, pairing),
        }
    }
}

/// The request of an answer. Beside it stands, in members that no request has, what
/// else its decoder is told.
fn asked(entry: &Entry, pairing: Pairing) -> String {
    let asked = request(entry.text("request").unwrap_or("{}"));
    let asked = match pairing.client {
        Dialect::Messages => asked,
        Dialect::Chat => chat_request(&asked),
    };
    let mut asked: Value = serde_json::from_str(&asked).expect("requests are JSON");
    for told in ["accent", "estimate"] {
        if let Some(text) = entry.text(told) {
            asked[told] = serde_json::from_str(text).expect("what a decoder is told is JSON");
        }
    }
    asked.to_string()
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

/// A Messages request as a client of Chat Completions would make it.
pub(crate) fn chat_request(messages: &str) -> String {
    let options = r#"{"mid_system":"native","stop_max":9,"user":false}"#;
    let accent: Accent = serde_json::from_str(options).expect("vendor options are JSON");
    let request = decode_request(messages).expect("fixtures are valid requests");
    let options = EncodeOptions {
        model: "m",
        accent: &accent,
        family: "",
    };
    let encoded = encode_request(&request, options).expect("fixtures can be sent");
    String::from_utf8(encoded.body).expect("JSON is text")
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

pub(crate) fn middle(text: &str) -> usize {
    (text.len() / 2..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .expect("the end is a boundary")
}

pub(crate) fn assemble(events: &[Event<'static>]) -> Message {
    let mut message = Message::default();
    for event in events {
        message.push(event.clone());
    }
    message
}

/// `stop_details` of a refusal for which the upstream gave no reason.
const NO_DETAILS: &str = r#"{"type":"refusal","category":null,"explanation":null}"#;

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
    let has_details = value["stop_details"].is_object();
    assert!(has_details || value["stop_reason"] != "refusal", "{body}");
    let mut whole = decode_message(&body).expect("our own answer can be read");
    if let Some(stop) = &mut whole.stop {
        // What every refusal has that tells no more.
        stop.extras.retain(|(_, raw)| raw.get() != NO_DETAILS);
    }
    Message {
        usage: message.usage,
        ..whole
    }
}

/// The events, in the form in which they can be compared.
pub(crate) fn shown(events: &[Event<'static>]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

/// Cut anywhere, the same bytes give the same events.
fn check_cuts(pairing: Pairing, stream: &[u8], request: &str, name: &str) {
    if stream.len() > CUT_BYTES_MAX {
        return;
    }
    let decode = |pieces: &[&[u8]]| pairing.decode(pieces, request).0;
    let expected = shown(&decode(&[stream]));
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(
            shown(&decode(&[head, tail])),
            expected,
            "{name}: cut at {at}"
        );
    }
    let bytewise: Vec<_> = stream.chunks(1).collect();
    assert_eq!(shown(&decode(&bytewise)), expected, "{name}: byte by byte");
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
                let has_details = data["delta"]["stop_details"].is_object();
                assert!(has_details || !refused, "{frame}");
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
