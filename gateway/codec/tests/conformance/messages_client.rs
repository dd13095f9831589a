//! What passes from a Messages upstream to a Messages client: all of it.

use sluice_codec::dialect::messages::StreamEncoder;
use sluice_codec::ir::Event;

// The client of the laws, which forgives nothing.
#[path = "../laws/law/client.rs"]
mod client;

use client::{Answer, Events, is_borne_out, read};

/// What a client reads otherwise than it stood in the upstream's `stream`, if
/// that was well-formed.
pub(crate) fn difference(stream: &[u8], events: &[Event<'static>]) -> Option<String> {
    let said = match read(stream, Events::Any) {
        Ok(Answer::Message(said)) if is_borne_out(&said) => said,
        _ => return None,
    };
    let mut encoder = StreamEncoder::new("msg_1".into(), "m".into(), 3);
    let mut bytes = Vec::new();
    for event in events {
        encoder.encode(event, &mut bytes);
    }
    match read(&bytes, Events::Named) {
        Ok(Answer::Message(passed)) if passed == said => None,
        other => Some(format!(
            "the upstream said\n{said}\nthe client reads\n{other:?}"
        )),
    }
}
