//! Frames of server-sent events.

use sluice_codec::sse::{Frame, FrameReader};

use super::cuts;

/// Any split of the same bytes gives the same frames, which are no more than
/// what came, and hold nothing that ends a line but what joins `data` fields.
pub(crate) fn split(input: &[u8]) {
    let ways = cuts::of(input);
    let whole = frames(&ways[0]);
    for way in &ways[1..] {
        assert_eq!(frames(way), whole, "cut in {}", way.len());
    }
    let bytes: usize = whole
        .iter()
        .map(|(event, data)| event.len() + data.len())
        .sum();
    assert!(bytes <= input.len(), "{bytes} of {}", input.len());
    for (event, data) in &whole {
        assert!(!event.contains(&b'\n') && !event.contains(&b'\r'));
        assert!(!data.contains(&b'\r'));
    }
    // What is written as frames again is read as the same frames.
    let mut again = Vec::new();
    for (event, data) in &whole {
        again.extend_from_slice(b"event: ");
        again.extend_from_slice(event);
        for line in data.split(|byte| *byte == b'\n') {
            again.extend_from_slice(b"\ndata: ");
            again.extend_from_slice(line);
        }
        again.extend_from_slice(b"\n\n");
    }
    assert_eq!(frames(&[&again]), whole);
}

fn frames(pieces: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    let mut take = |frame: Frame<'_>| frames.push((frame.event.to_vec(), frame.data.to_vec()));
    for piece in pieces {
        reader.feed(piece, &mut take).expect("below the bound");
    }
    reader.finish(&mut take);
    frames
}
