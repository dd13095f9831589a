//! A client's dialect and an upstream's: how a request of the one becomes the
//! other's, and how the answer is read. The same choices as the gateway makes
//! (`codecs.rs`): between two of one dialect the body is forwarded.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_codec::dialect::{chat, messages};
use sluice_codec::ir::{Event, Losses, Refused, Request, Sink};
use sluice_codec::json::Member;
use sluice_codec::sse::FrameReader;

/// What is spoken on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Chat,
    Messages,
}

/// Who speaks what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pairing {
    pub(crate) client: Dialect,
    pub(crate) upstream: Dialect,
}

/// A Messages client, a Chat Completions upstream.
pub(crate) const MC: Pairing = Pairing {
    client: Dialect::Messages,
    upstream: Dialect::Chat,
};

/// A Chat Completions client, a Messages upstream.
pub(crate) const CM: Pairing = Pairing {
    client: Dialect::Chat,
    upstream: Dialect::Messages,
};

/// Chat Completions on both sides.
pub(crate) const CC: Pairing = Pairing {
    client: Dialect::Chat,
    upstream: Dialect::Chat,
};

/// Messages on both sides.
pub(crate) const MM: Pairing = Pairing {
    client: Dialect::Messages,
    upstream: Dialect::Messages,
};

/// All of them, in the order of the report.
pub(crate) const PAIRINGS: [Pairing; 4] = [MC, CM, CC, MM];

impl fmt::Display for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |dialect| match dialect {
            Dialect::Chat => 'C',
            Dialect::Messages => 'M',
        };
        write!(f, "{}→{}", letter(self.client), letter(self.upstream))
    }
}

/// The upstream of every test, whose reasoning comes back to it.
pub(crate) const UPSTREAM: &str = "up";

/// A client's request, as its upstream gets it.
pub(crate) struct Sent {
    pub(crate) body: Vec<u8>,
    pub(crate) members: Vec<Member>,
    pub(crate) losses: Losses,
    pub(crate) decoder: Decoder,
}

impl Pairing {
    /// Send a client's `body`, with vendor options, to the upstream named
    /// `family`; or the path and words of a refusal.
    pub(crate) fn send(
        self,
        body: &str,
        accent: &chat::Accent,
        family: &str,
    ) -> Result<Sent, String> {
        let request = match self.client {
            Dialect::Messages => messages::decode_request(body),
            Dialect::Chat => chat::decode_client_request(body).map(|decoded| decoded.request),
        };
        let request = request.map_err(|error| error.to_string())?;
        if self == CM {
            chat::check_translatable(&request).map_err(refused)?;
        }
        let estimate = told(body, "estimate");
        let body = (self.client == self.upstream).then_some(body);
        match self.upstream {
            Dialect::Chat => to_chat(body, &request, accent, family, estimate),
            Dialect::Messages => to_messages(body, &request),
        }
    }

    /// The events that the upstream's bytes, in `pieces`, amount to, and what of
    /// them could not be carried.
    pub(crate) fn decode(self, pieces: &[&[u8]], request: &str) -> (Vec<Event<'static>>, Losses) {
        let accent: chat::Accent = told(request, "accent").unwrap_or_default();
        let sent = self.send(request, &accent, UPSTREAM);
        let mut decoder = sent.expect("fixtures can be sent").decoder;
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
        (events, decoder.take_losses())
    }
}

/// What a fixture tells the decoder in a member `name` of the request.
fn told<T: DeserializeOwned>(request: &str, name: &str) -> Option<T> {
    let mut request: Value = serde_json::from_str(request).ok()?;
    let told = request.get_mut(name)?.take();
    Some(serde_json::from_value(told).expect("what a decoder is told has its form"))
}

/// For a Chat upstream; `body` is what the request was decoded from, if that is of
/// the same dialect.
fn to_chat(
    body: Option<&str>,
    request: &Request<'_>,
    accent: &chat::Accent,
    family: &str,
    estimate: Option<u64>,
) -> Result<Sent, String> {
    let options = chat::EncodeOptions {
        model: UPSTREAM,
        accent,
        family,
    };
    let is_forwarded = body.is_some();
    let encoded = match body {
        Some(body) => chat::forward_request(body, request, options),
        None => chat::encode_request(request, options),
    };
    let encoded = encoded.map_err(refused)?;
    let options = chat::DecodeOptions::new(request, encoded.names, family, 7).with_accent(accent);
    let options = match estimate {
        Some(tokens) => options.with_input_estimate(tokens),
        None => options,
    };
    let options = match is_forwarded {
        true => options.with_members_kept(),
        false => options,
    };
    Ok(Sent {
        body: encoded.body,
        members: encoded.members,
        losses: encoded.losses,
        decoder: Decoder::Chat(Box::new(chat::StreamDecoder::new(options))),
    })
}

/// For a Messages upstream, likewise.
fn to_messages(body: Option<&str>, request: &Request<'_>) -> Result<Sent, String> {
    let accent = messages::Accent::default();
    let encoded = match body {
        Some(body) => messages::forward_request(body, request, UPSTREAM, &accent)
            .map_err(|error| error.to_string())?,
        None => messages::encode_request(request, UPSTREAM, &accent).map_err(refused)?,
    };
    let options = messages::AnswerOptions::new(request, 7);
    Ok(Sent {
        body: encoded.body,
        members: encoded.members,
        losses: encoded.losses,
        decoder: Decoder::Messages(Box::new(messages::AnswerDecoder::new(options))),
    })
}

fn refused(refused: Refused) -> String {
    format!("{}: {}", refused.path, refused.message)
}

/// Reads the answer of an upstream.
pub(crate) enum Decoder {
    Chat(Box<chat::StreamDecoder>),
    Messages(Box<messages::AnswerDecoder>),
}

macro_rules! each {
    ($self:expr, $decoder:ident => $call:expr) => {
        match $self {
            Self::Chat($decoder) => $call,
            Self::Messages($decoder) => $call,
        }
    };
}

impl Decoder {
    fn frame(&mut self, data: &[u8], sink: Sink<'_>) {
        each!(self, decoder => decoder.frame(data, sink));
    }

    fn body(&mut self, body: &[u8], sink: Sink<'_>) {
        each!(self, decoder => decoder.body(body, sink));
    }

    fn finish(&mut self, sink: Sink<'_>) {
        each!(self, decoder => decoder.finish(sink));
    }

    fn take_losses(&mut self) -> Losses {
        each!(self, decoder => decoder.take_losses())
    }
}

/// The paths of what was lost.
pub(crate) fn paths(losses: &Losses) -> Vec<String> {
    let listed = losses.listed().iter();
    listed.map(|loss| loss.path.clone()).collect()
}
