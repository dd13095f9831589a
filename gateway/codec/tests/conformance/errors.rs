//! Cases of errors: an upstream's status and body in, status, kind and message
//! out. A `body` is also sent in a stream with HTTP 200 where it is JSON, first
//! and after some text.

use sluice_codec::dialect::chat::decode_error;
use sluice_codec::dialect::messages::{kind_of_status, status_of_kind};
use sluice_codec::ir::{Event, MessageBlock};

use crate::answers::{assemble, check_client_stream, decode, request};
use crate::table::{Entry, running};

#[test]
fn errors() {
    let failures: Vec<_> = running("Errors").iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

fn failures(entry: &Entry) -> Vec<String> {
    let mut got = Vec::new();
    for (name, argument, text) in &entry.sections {
        match *name {
            "body" => got.push(whole(argument, text)),
            "stream" => got.extend(streamed(text)),
            "statuses" => got.push(statuses(text)),
            _ => {}
        }
    }
    let expected = entry.text("error").unwrap_or("").trim();
    got.iter()
        .filter(|got| *got != expected)
        .map(|got| format!("{}\nexpected\n{expected}\ngot\n{got}", entry.name()))
        .collect()
}

/// `status kind message` of an error with this HTTP status.
fn whole(status: &str, body: &str) -> String {
    let status = status.parse().expect("a body's argument is its status");
    let error = decode_error(status, body.as_bytes());
    format!(
        "{} {} {}",
        error.status,
        kind_of_status(error.status),
        error.message
    )
}

/// The same of an error inside a stream: first, and after text.
fn streamed(chunk: &str) -> [String; 2] {
    let line = chunk.replace('\n', " ");
    let first = format!("data: {line}\n\n");
    let late = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}]}}\n\n{first}");
    [(first, 0), (late, 1)].map(|(bytes, blocks)| {
        let events = decode(&[bytes.as_bytes()], &request("{}"));
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
        format!("{} {kind} {text}", status_of_kind(&kind))
    })
}

/// A line a status: `status kind`.
fn statuses(list: &str) -> String {
    let lines = list.split_whitespace().map(|status| {
        let status = status.parse().expect("a status is a number");
        let error = decode_error(status, b"{\"error\":{\"message\":\"m\"}}");
        format!("{} {}", error.status, kind_of_status(error.status))
    });
    lines.collect::<Vec<_>>().join("\n")
}
