//! Laws over all fixtures, whatever they are about.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use sluice_codec::dialect::chat::decode_error;
use sluice_codec::dialect::messages::{decode_request, decode_upstream_error, encode_message};
use sluice_codec::fields::{Fields, Path};
use sluice_codec::ir::{Event, Message};

use crate::answers::{Answer, TITLES, assemble, chat_request, check_client_stream, request, shown};
use crate::lines::lines;
use crate::pairing::{Dialect, MC, PAIRINGS, Pairing};
use crate::requests::{accent, encode, whole_request};
use crate::table::{Entry, running};

/// Every answer of every table in every pairing, as the bytes that the upstream
/// sends, and its request.
static ANSWERS: LazyLock<Vec<(Pairing, Vec<u8>, String)>> = LazyLock::new(|| {
    let entries = TITLES.iter().flat_map(|title| running(title));
    let of_entry = |entry: Entry| {
        let of_pairing = |pairing| {
            let answer = Answer::of(&entry, pairing);
            let forms = answer.stream.into_iter().chain(answer.body);
            forms
                .map(|bytes| (pairing, bytes, answer.request.clone()))
                .collect::<Vec<_>>()
        };
        let pairings = entry.pairings().into_iter();
        pairings.flat_map(of_pairing).collect::<Vec<_>>()
    };
    entries.flat_map(of_entry).collect()
});

/// Every request of every table.
static REQUESTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let entries = running("Requests");
    entries
        .iter()
        .map(|entry| whole_request(entry, true))
        .collect()
});

fn split(message: Message) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    message.split(&mut |event| events.push(event.into_owned()));
    events
}

#[test]
fn an_answer_split_and_assembled_is_the_same() {
    for (pairing, bytes, request) in ANSWERS.iter() {
        let (events, _) = pairing.decode(&[bytes], request);
        let once = assemble(&events);
        let split = split(assemble(&events));
        check_client_stream(&split);
        assert_eq!(format!("{:?}", assemble(&split)), format!("{once:?}"));
    }
}

/// SF10: frames far larger and far more numerous than in any real answer.
#[test]
fn large_frames_and_many_of_them() {
    for pairing in PAIRINGS {
        let request = match pairing.client {
            Dialect::Messages => request("{}"),
            Dialect::Chat => chat_request(&request("{}")),
        };
        for (text, times) in [("x".repeat(4 << 20), 1), ("x".into(), 100_000)] {
            let bytes = texts(pairing.upstream, &text, times);
            let pieces: Vec<_> = bytes.chunks(16 << 10).collect();
            let (events, _) = pairing.decode(&pieces, &request);
            let length = text.len() * times;
            let expected = format!("text of {length} bytes\nstop end_turn");
            assert_eq!(lines(&assemble(&events)), expected);
        }
    }
}

/// A stream that says `text` so many times.
fn texts(upstream: Dialect, text: &str, times: usize) -> Vec<u8> {
    let [begin, more, end] = match upstream {
        Dialect::Chat => [
            String::new(),
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"),
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".into(),
        ],
        Dialect::Messages => [
            "data: {\"type\":\"message_start\",\"message\":{}}\n\n".into(),
            format!(
                "data: {{\"type\":\"content_block_delta\",\"index\":0,\
                 \"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
            ),
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n"
                .into(),
        ],
    };
    (begin + &more.repeat(times) + &end).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_chunking_gives_the_same_events(at in any::<prop::sample::Index>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let (pairing, bytes, request) = at.get(&ANSWERS);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let decode = |pieces: &[&[u8]]| shown(&pairing.decode(pieces, request).0);
        prop_assert_eq!(decode(&pieces), decode(&[bytes]));
    }

    #[test]
    fn no_mutation_of_an_answer_panics(at in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..6)) {
        let (pairing, bytes, request) = at.get(&ANSWERS);
        let bytes = mutated(bytes.clone(), &edits);
        let (events, _) = pairing.decode(&[&bytes], request);
        // What one dialect alone understands passes unread, well-formed or not.
        if *pairing == MC {
            check_client_stream(&events);
            prop_assert!(comes_back(&assemble(&events)));
        }
        decode_error(400, &bytes);
        decode_upstream_error(400, &bytes);
    }

    #[test]
    fn no_mutation_of_a_request_panics(at in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..6)) {
        let bytes = mutated(at.get(&REQUESTS).clone().into_bytes(), &edits);
        if let Ok(text) = std::str::from_utf8(&bytes) && decode_request(text).is_ok() {
            let encoded = encode(text, &accent(""));
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&encoded.body).is_ok());
        }
    }
}

/// Whether an answer, sent back as history, makes a request that can be sent.
fn comes_back(message: &Message) -> bool {
    let body = encode_message(message, "msg_1", "m");
    let body = String::from_utf8(body).expect("JSON is text");
    let mut fields = Fields::parse(&body, &Path::Root).expect("an answer is an object");
    let content = fields.take("content").expect("an answer has content").get();
    let turn = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":{content}}}]}}"#
    );
    decode_request(&turn).is_ok()
        && serde_json::from_slice::<IgnoredAny>(&encode(&turn, &accent("")).body).is_ok()
}

/// What is done at one place.
#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Insert(Vec<u8>),
    Repeat(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    const TOKENS: &[&str] = &[
        "{", "}", "[", "]", "\"", ",", ":", "null", "\n\n", "data: ", "0", "\\", "\\ud800", "é",
        "{}", "[DONE]",
    ];
    prop_oneof![
        (1usize..40).prop_map(Edit::Remove),
        prop::sample::select(TOKENS).prop_map(|token| Edit::Insert(token.into())),
        prop::collection::vec(any::<u8>(), 1..4).prop_map(Edit::Insert),
        (1usize..200).prop_map(Edit::Repeat),
    ]
}

fn mutated(mut bytes: Vec<u8>, edits: &[(prop::sample::Index, Edit)]) -> Vec<u8> {
    for (at, edit) in edits {
        let at = at.index(bytes.len() + 1);
        let end = |length: &usize| (at + length).min(bytes.len());
        match edit {
            Edit::Remove(length) => drop(bytes.drain(at..end(length))),
            Edit::Insert(more) => drop(bytes.splice(at..at, more.iter().copied())),
            Edit::Repeat(length) => {
                let again = bytes[at..end(length)].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}
