//! Cases of errors: an upstream's status and body in, status, kind and message
//! out, in each pairing. A `body` stands in the place of the answer; a `stream`'s
//! JSON is one frame of a stream with HTTP 200, first and after some text. What a
//! Chat client reads follows from what a Messages client reads (`chat_client.rs`);
//! `error`, with a pairing, is what is expected there.

use sluice_codec::dialect::chat::{decode_error, encode_error};
use sluice_codec::dialect::messages::{
    ErrorBody, decode_upstream_error, kind_of_status, status_of_kind,
};
use sluice_codec::ir::{Event, MessageBlock, UpstreamError};

use crate::answers::{assemble, check_client_stream};
use crate::chat_client::{self, Counts};
use crate::messages_upstream::stream_of_events;
use crate::pairing::{Dialect, Pairing};
use crate::table::{Entry, running};

#[test]
fn errors() {
    check_table("Errors");
}

#[test]
fn messages_upstreams() {
    check_table("Errors of Messages upstreams");
}

fn check_table(title: &str) {
    let entries = running(title);
    let failures: Vec<_> = entries
        .iter()
        .flat_map(|entry| {
            let pairings = entry.pairings().into_iter();
            pairings.flat_map(|pairing| failures(entry, pairing))
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

fn failures(entry: &Entry, pairing: Pairing) -> Vec<String> {
    let mut got = Vec::new();
    for (name, argument, text) in &entry.sections {
        match *name {
            "body" => got.push(whole(pairing, argument, text)),
            "stream" => got.extend(streamed(pairing, text)),
            "statuses" => got.push(statuses(pairing, text)),
            _ => {}
        }
    }
    let expected = entry.text_for("error", &pairing.to_string());
    let expected = expected.unwrap_or("").trim();
    got.iter()
        .filter(|got| *got != expected)
        .map(|got| {
            format!(
                "{} {pairing}\nexpected\n{expected}\ngot\n{got}",
                entry.name()
            )
        })
        .collect()
}

/// `status kind message` of an error with this HTTP status.
fn whole(pairing: Pairing, status: &str, body: &str) -> String {
    let status = status.parse().expect("a body's argument is its status");
    let error = decode(pairing, status, body.as_bytes());
    let kind = kind(&error);
    check_client_body(pairing.client, kind, &error);
    let details = error.details.as_ref();
    // Of another dialect, a client has no place for them.
    let details = details.filter(|_| pairing.client == Dialect::Messages);
    let details = details.map_or(String::new(), |json| format!(" {json}"));
    format!("{} {kind} {}{details}", error.status, error.message)
}

fn decode(pairing: Pairing, status: u16, body: &[u8]) -> UpstreamError {
    match pairing.upstream {
        Dialect::Chat => decode_error(status, body),
        Dialect::Messages => decode_upstream_error(status, body),
    }
}

fn kind(error: &UpstreamError) -> &str {
    let own = error.kind.as_deref();
    own.unwrap_or_else(|| kind_of_status(error.status))
}

/// The client reads what it should.
fn check_client_body(client: Dialect, kind: &str, error: &UpstreamError) {
    let UpstreamError {
        status,
        message,
        details,
        ..
    } = error;
    match client {
        Dialect::Chat => {
            let body = encode_error(*status, kind, message, "req_1");
            let expected = chat_client::error_of(&format!("{kind} {message}"));
            assert_eq!(chat_client::read_body(&body), Ok(vec![expected]));
        }
        Dialect::Messages => {
            let body = ErrorBody {
                kind,
                message,
                request_id: "req_1",
                details: details.as_deref(),
            };
            let again = decode_upstream_error(*status, &body.encode());
            assert_eq!(
                (again.kind.as_deref(), &again.message, &again.details),
                (Some(kind), message, details)
            );
        }
    }
}

/// The same of an error inside a stream: first, and after text.
fn streamed(pairing: Pairing, frame: &str) -> [String; 2] {
    let line = frame.replace('\n', " ");
    let first = format!("data: {line}\n\n").into_bytes();
    let text = match pairing.upstream {
        Dialect::Chat => b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n".to_vec(),
        Dialect::Messages => stream_of_events("start\nblock {\"type\":\"text\",\"text\":\"a\"}"),
    };
    let late = [text, first.clone()].concat();
    [(first, 0), (late, 1)].map(|(bytes, blocks)| {
        let request = match pairing.client {
            Dialect::Chat => r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
            Dialect::Messages => {
                r#"{"model":"m","max_tokens":64,"messages":[{"role":"user","content":"hi"}]}"#
            }
        };
        let (events, _) = pairing.decode(&[&bytes], request);
        check_client_stream(&events);
        let message = assemble(&events);
        assert!(!events.iter().any(|event| matches!(event, Event::Stop(_))));
        assert!(
            message
                .blocks
                .iter()
                .all(|block| matches!(block, MessageBlock::Text { .. }))
        );
        assert_eq!(message.blocks.len(), blocks);
        let (kind, text) = message.error.expect("the answer failed");
        if pairing.client == Dialect::Chat {
            let (stream, _) = chat_client::stream(&events, Counts::Unasked);
            let read = chat_client::read_stream(&stream, Counts::Unasked);
            let read = read.expect("a stream that ends in an error");
            assert_eq!(
                read.last(),
                Some(&chat_client::error_of(&format!("{kind} {text}")))
            );
        }
        format!("{} {kind} {text}", status_of_kind(&kind))
    })
}

/// A line a status: `status kind`.
fn statuses(pairing: Pairing, list: &str) -> String {
    let lines = list.split_whitespace().map(|status| {
        let status = status.parse().expect("a status is a number");
        let error = decode(pairing, status, b"{\"error\":{\"message\":\"m\"}}");
        check_client_body(pairing.client, kind(&error), &error);
        format!("{} {}", error.status, kind(&error))
    });
    lines.collect::<Vec<_>>().join("\n")
}
