//! What translating costs: time, and allocations, for a request and for an event
//! of a stream.
//!
//! ```text
//! cargo bench -p sluice-codec
//! ```
//! Requests are those of a coding agent in the middle of its work, in three
//! sizes. A request's figures are for the whole way, from the client's bytes to
//! the upstream's. A stream's are for all its events; divide by [`EVENTS`].

use std::hint::black_box;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use serde_json::{Value, json};
use sluice_codec::dialect::chat::{self, Accent, DecodeOptions, EncodeOptions, Names};
use sluice_codec::dialect::messages::{self, AnswerDecoder, AnswerOptions, StreamEncoder};
use sluice_codec::sse::{Frame, FrameReader};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Sizes of requests in bytes: a title for a conversation, a first turn with the
/// tools that Claude Code has, and a long session.
const SIZES: [usize; 3] = [2_048, 172 << 10, 1 << 20];

/// Events of a stream.
const EVENTS: usize = 2_000;

/// Bytes that one read from the network gives.
const READ_BYTES: usize = 4_096;

fn main() {
    divan::main();
}

// === requests ===

#[divan::bench(args = SIZES)]
fn request_messages_to_chat(bencher: Bencher, size: usize) {
    let (body, accent) = (messages_body(size), Accent::default());
    request(bencher, &body, || {
        let request = messages::decode_request(&body).expect("a request");
        chat::encode_request(&request, options(&accent))
            .expect("no refusal")
            .body
    });
}

#[divan::bench(args = SIZES)]
fn request_chat_to_messages(bencher: Bencher, size: usize) {
    let body = chat_body(size);
    request(bencher, &body, || {
        let decoded = chat::decode_client_request(&body).expect("a request");
        messages::encode_request(&decoded.request, "m", &messages::Accent::default())
            .expect("no refusal")
            .body
    });
}

#[divan::bench(args = SIZES)]
fn request_messages_forwarded(bencher: Bencher, size: usize) {
    let body = messages_body(size);
    request(bencher, &body, || {
        let request = messages::decode_request(&body).expect("a request");
        messages::forward_request(&body, &request, "m", &messages::Accent::default())
            .expect("its body")
            .body
    });
}

#[divan::bench(args = SIZES)]
fn request_chat_forwarded(bencher: Bencher, size: usize) {
    let (body, accent) = (chat_body(size), Accent::default());
    request(bencher, &body, || {
        let decoded = chat::decode_client_request(&body).expect("a request");
        chat::forward_request(&body, &decoded.request, options(&accent))
            .expect("no refusal")
            .body
    });
}

fn request(bencher: Bencher<'_, '_>, body: &str, translate: impl Fn() -> Vec<u8> + Sync) {
    bencher
        .counter(BytesCount::of_str(body))
        .bench(|| black_box(translate()));
}

fn options(accent: &Accent) -> EncodeOptions<'_> {
    EncodeOptions {
        model: "m",
        accent,
        family: "f",
    }
}

/// A request of about `size` bytes: instructions, tools, and as many turns of
/// calls and results as fit.
fn messages_body(size: usize) -> String {
    let tools: Vec<_> = tools(size)
        .map(|(name, schema)| json!({ "name": name, "description": prose(400), "input_schema": schema }))
        .collect();
    let system = json!([{ "type": "text", "text": prose(size / 16), "cache_control": { "type": "ephemeral" } }]);
    let mut messages = vec![json!({ "role": "user", "content": prose(200) })];
    let mut body = json!({ "model": "fast", "max_tokens": 32_000, "stream": true, "system": system, "tools": tools });
    let mut left = size.saturating_sub(body.to_string().len());
    for turn in 0.. {
        let result = prose((left / 4).min(6_000));
        let said = json!({ "role": "assistant", "content": [
            { "type": "text", "text": prose(120) },
            { "type": "tool_use", "id": format!("toolu_{turn:04}"), "name": "tool_0", "input": { "path": "src/lib.rs" } },
        ] });
        let results = json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": format!("toolu_{turn:04}"), "content": [{ "type": "text", "text": result }] },
        ] });
        let length = said.to_string().len() + results.to_string().len();
        if length > left {
            break;
        }
        left -= length;
        messages.extend([said, results]);
    }
    body["messages"] = messages.into();
    body.to_string()
}

/// The same conversation as a client of Chat Completions sends it.
fn chat_body(size: usize) -> String {
    let body = messages_body(size);
    let request = messages::decode_request(&body).expect("a request");
    let encoded = chat::encode_request(&request, options(&Accent::default())).expect("no refusal");
    String::from_utf8(encoded.body).expect("UTF-8")
}

/// Names and schemas of a coding agent's tools, about a third of the request
/// and no more than thirty of them.
fn tools(size: usize) -> impl Iterator<Item = (String, Value)> {
    let count = (size / 3 / 1_200).clamp(1, 30);
    (0..count).map(|i| {
        let properties: serde_json::Map<_, _> = (0..5)
            .map(|p| {
                (
                    format!("property_{p}"),
                    json!({ "type": "string", "description": prose(80) }),
                )
            })
            .collect();
        let schema =
            json!({ "type": "object", "properties": properties, "required": ["property_0"] });
        (format!("tool_{i}"), schema)
    })
}

/// Text as it is in such requests: words, line ends, quotes, some of another script.
fn prose(length: usize) -> String {
    const WORDS: &str =
        "let answer = \"found it\";\n\tthe quick brown fox jumps, naïvely, over €5. ";
    WORDS.chars().cycle().take(length).collect()
}

// === streams ===

#[divan::bench]
fn stream_chat_to_messages(bencher: Bencher) {
    let stream = chat_stream();
    let body = messages_body(SIZES[0]);
    let request = messages::decode_request(&body).expect("a request");
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let options = DecodeOptions::new(&request, Names::default(), "f", 7);
        let mut decoder = chat::StreamDecoder::new(options);
        through(&stream, |frame, encoder, out| {
            decoder.frame(frame.data, &mut |event| encoder.encode(&event, out));
        })
    });
}

#[divan::bench]
fn stream_messages_to_messages(bencher: Bencher) {
    let stream = messages_stream();
    let body = messages_body(SIZES[0]);
    let request = messages::decode_request(&body).expect("a request");
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let mut decoder = AnswerDecoder::new(AnswerOptions::new(&request, 7));
        through(&stream, |frame, encoder, out| {
            decoder.frame(frame.data, &mut |event| encoder.encode(&event, out));
        })
    });
}

/// A stream, read piece by piece, each piece's bytes for the client in turn.
fn through(
    stream: &[u8],
    mut take: impl FnMut(Frame<'_>, &mut StreamEncoder, &mut Vec<u8>),
) -> usize {
    let mut reader = FrameReader::default();
    let mut encoder = StreamEncoder::new("msg_1".into(), "m".into(), 0);
    let mut written = 0;
    for piece in stream.chunks(READ_BYTES) {
        let mut out = Vec::new();
        let mut frame = |frame: Frame<'_>| take(frame, &mut encoder, &mut out);
        reader.feed(piece, &mut frame).expect("below the bound");
        written += black_box(&out).len();
    }
    assert!(encoder.is_ended());
    written
}

/// Reasoning, text and a call, in as many pieces as there are events.
fn pieces() -> impl Iterator<Item = (&'static str, String)> {
    (0..EVENTS - 4).map(|i| match i * 3 / EVENTS {
        0 => ("reasoning", format!(" thought {i}")),
        1 => ("text", format!(" word {i}\n")),
        _ if i == EVENTS * 2 / 3 + 1 => ("call", "{\"text\":\"".to_owned()),
        _ if i == EVENTS - 5 => ("call", "\"}".to_owned()),
        _ => ("call", format!(" more {i}")),
    })
}

fn chat_stream() -> Vec<u8> {
    let chunk = |delta: Value, finish: Value| {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "up", "choices": [choice] })
    };
    let call = json!([{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "tool_0", "arguments": "" } }]);
    let mut chunks = vec![chunk(
        json!({ "role": "assistant", "content": "" }),
        Value::Null,
    )];
    let mut called = false;
    for (kind, text) in pieces() {
        if kind == "call" && !std::mem::replace(&mut called, true) {
            chunks.push(chunk(json!({ "tool_calls": call }), Value::Null));
        }
        let delta = match kind {
            "reasoning" => json!({ "reasoning_content": text }),
            "text" => json!({ "content": text }),
            _ => json!({ "tool_calls": [{ "index": 0, "function": { "arguments": text } }] }),
        };
        chunks.push(chunk(delta, Value::Null));
    }
    chunks.push(chunk(json!({}), "tool_calls".into()));
    chunks.push(json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18 } }));
    assert_eq!(chunks.len(), EVENTS);
    let mut stream: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    stream.push_str("data: [DONE]\n\n");
    stream.into_bytes()
}

/// The same answer as a Messages upstream streams it.
fn messages_stream() -> Vec<u8> {
    let body = messages_body(SIZES[0]);
    let request = messages::decode_request(&body).expect("a request");
    let mut decoder =
        chat::StreamDecoder::new(DecodeOptions::new(&request, Names::default(), "f", 7));
    let mut encoder = StreamEncoder::new("msg_1".into(), "m".into(), 0);
    let mut out = Vec::new();
    let mut reader = FrameReader::default();
    let mut frame = |frame: Frame<'_>| {
        decoder.frame(frame.data, &mut |event| encoder.encode(&event, &mut out));
    };
    reader
        .feed(&chat_stream(), &mut frame)
        .expect("below the bound");
    out
}
