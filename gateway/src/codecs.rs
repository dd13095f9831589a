//! The codecs of all dialects behind one face: the only place that names them.
//!
//! Client and upstream of one dialect: the body is forwarded, and only what the
//! target demands is changed in it. Of two: it goes through the inner form.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_codec::dialect::{chat, messages};
use sluice_codec::fields::{DecodeError, Path};
use sluice_codec::ir::{Event, Losses, Message, Request, Sink, UpstreamError, tokens_of};
use sluice_codec::json::Member;

use crate::error::Error;
use crate::provider::{Accent, Dialect};
use crate::route::Asker;

/// The version of Messages that is spoken to upstreams unless the client names
/// another. <https://docs.claude.com/en/api/versioning> (seen 2026-11).
const MESSAGES_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

// === requests ===

/// What a model is told that is to go on with its own last message.
pub(crate) use sluice_codec::dialect::chat::GO_ON;

/// A client's request, decoded.
pub(crate) struct Decoded<'a> {
    /// In the inner form.
    pub(crate) request: Request<'a>,
    /// How its answer is to be given.
    pub(crate) format: ClientFormat,
}

/// Decode a client's body.
pub(crate) fn decode_request(dialect: Dialect, body: &[u8]) -> Result<Decoded<'_>, Error> {
    let text = std::str::from_utf8(body)
        .map_err(|error| DecodeError::at(&Path::Root, format!("the body is not UTF-8: {error}")))?;
    let (request, include_usage) = match dialect {
        Dialect::AnthropicMessages => (messages::decode_request(text)?, false),
        Dialect::ChatCompletions => {
            let decoded = chat::decode_client_request(text)?;
            (decoded.request, decoded.include_usage)
        }
    };
    let format = ClientFormat {
        dialect,
        include_usage,
    };
    Ok(Decoded { request, format })
}

/// Who sends a request with these headers: Claude Code marks those of subagents.
pub(crate) fn asker(headers: &HeaderMap) -> Asker {
    match headers.contains_key("x-claude-code-agent-id") {
        true => Asker::Subagent,
        false => Asker::Main,
    }
}

/// What tells a client's session from others: the header of Claude Code, opencode or
/// Codex, else the user whom the request names, in which Claude Code has its session,
/// too (seen 2026-11).
pub(crate) fn session(headers: &HeaderMap, request: &Request<'_>) -> Option<u64> {
    const HEADERS: [&str; 3] = ["x-claude-code-session-id", "x-session-id", "session-id"];
    let named = HEADERS.iter().find_map(|name| headers.get(*name));
    let mut hasher = DefaultHasher::new();
    match (named, &request.user_id) {
        (Some(session), _) => session.as_bytes().hash(&mut hasher),
        (None, Some(user)) => user.decoded().as_bytes().hash(&mut hasher),
        (None, None) => return None,
    }
    Some(hasher.finish())
}

/// The request as hooks see it: in the vocabulary of Messages.
pub(crate) fn hook_view(
    dialect: Dialect,
    body: &Bytes,
    request: &Request<'_>,
) -> Result<Bytes, Error> {
    match dialect {
        Dialect::AnthropicMessages => Ok(body.clone()),
        Dialect::ChatCompletions => messages_view(request),
    }
}

/// The request, whatever it came in, in the vocabulary of Messages.
pub(crate) fn messages_view(request: &Request<'_>) -> Result<Bytes, Error> {
    chat::check_translatable(request)?;
    let encoded = messages::encode_request(request, &request.model, &messages::Accent::default())?;
    Ok(encoded.body.into())
}

/// A request for one target, and how its answer will be read.
pub(crate) struct Encoded {
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Where its members stand.
    pub(crate) members: Vec<Member>,
    /// What it could not carry.
    pub(crate) losses: Losses,
    /// Reads the answer.
    pub(crate) decoder: Decoder,
}

/// Whom a request is encoded for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient<'a> {
    /// How it deviates from its dialect.
    pub(crate) accent: &'a Accent,
    /// Whose reasoning may go back to it.
    pub(crate) family: &'a str,
    /// Its name for the model.
    pub(crate) model: &'a str,
}

/// Encode `request` for its recipient; `body` is what it was decoded from, if that
/// is in the client's `dialect`.
pub(crate) fn encode_request(
    dialect: Dialect,
    body: Option<&[u8]>,
    request: &Request<'_>,
    recipient: Recipient<'_>,
) -> Result<Encoded, Error> {
    let Recipient {
        accent,
        family,
        model,
    } = recipient;
    let body = body.and_then(|body| std::str::from_utf8(body).ok());
    let body = body.filter(|_| dialect == accent.dialect());
    if body.is_none() && dialect == Dialect::ChatCompletions {
        chat::check_translatable(request)?;
    }
    let id_seed = fastrand::u64(..);
    Ok(match accent {
        Accent::Messages(accent) => {
            let encoded = match body {
                Some(body) => messages::forward_request(body, request, model, accent)?,
                None => messages::encode_request(request, model, accent)?,
            };
            let options = messages::AnswerOptions::new(request, id_seed);
            Encoded {
                body: encoded.body,
                members: encoded.members,
                losses: encoded.losses,
                decoder: Decoder::Messages(Box::new(messages::AnswerDecoder::new(options))),
            }
        }
        Accent::Chat(accent) => {
            let options = chat::EncodeOptions {
                model,
                accent,
                family,
            };
            let encoded = match body {
                Some(body) => chat::forward_request(body, request, options)?,
                None => chat::encode_request(request, options)?,
            };
            let options = chat::DecodeOptions::new(request, encoded.names, family, id_seed)
                .with_accent(accent)
                .with_input_estimate(tokens_of(encoded.body.len() as u64));
            let options = match dialect {
                Dialect::ChatCompletions => options.with_members_kept(),
                Dialect::AnthropicMessages => options,
            };
            Encoded {
                body: encoded.body,
                members: encoded.members,
                losses: encoded.losses,
                decoder: Decoder::Chat(Box::new(chat::StreamDecoder::new(options))),
            }
        }
    })
}

/// Headers of the client's request that its upstream must see: versions and betas
/// of Messages.
pub(crate) fn forwarded_headers(upstream: &Accent, client: &HeaderMap, headers: &mut HeaderMap) {
    const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
    const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
    if let Accent::Messages(accent) = upstream {
        let version = client.get(&VERSION).cloned();
        headers.insert(VERSION, version.unwrap_or(MESSAGES_VERSION));
        for beta in client.get_all(&BETA).iter().filter(|_| accent.betas) {
            headers.append(BETA, beta.clone());
        }
    }
}

// === answers ===

/// Reads an upstream's answer.
#[derive(Debug)]
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
    /// Take in the data of one frame.
    pub(crate) fn frame(&mut self, data: &[u8], sink: Sink<'_>) {
        each!(self, decoder => decoder.frame(data, sink));
    }

    /// Take in an answer that came without a stream.
    pub(crate) fn body(&mut self, body: &[u8], sink: Sink<'_>) {
        each!(self, decoder => decoder.body(body, sink));
    }

    /// The upstream's bytes have ended.
    pub(crate) fn finish(&mut self, sink: Sink<'_>) {
        each!(self, decoder => decoder.finish(sink));
    }

    /// The upstream's bytes broke off.
    pub(crate) fn abort(&mut self, status: u16, message: &str, sink: Sink<'_>) {
        each!(self, decoder => decoder.abort(status, message, sink));
    }

    /// The model has said why it stopped.
    pub(crate) fn is_finished(&self) -> bool {
        each!(self, decoder => decoder.is_finished())
    }

    /// Nothing further counts.
    pub(crate) fn is_ended(&self) -> bool {
        each!(self, decoder => decoder.is_ended())
    }

    /// What could not be carried.
    pub(crate) fn take_losses(&mut self) -> Losses {
        each!(self, decoder => decoder.take_losses())
    }
}

/// Decode the body of an upstream's error.
pub(crate) fn decode_error(dialect: Dialect, status: u16, body: &[u8]) -> UpstreamError {
    match dialect {
        Dialect::AnthropicMessages => messages::decode_upstream_error(status, body),
        Dialect::ChatCompletions => chat::decode_error(status, body),
    }
}

/// Headers of an upstream's answer that clients read, whatever its status: what
/// is left of a quota, and when to try again.
pub(crate) fn is_passed_back(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("anthropic-ratelimit-")
        || name.starts_with("x-ratelimit-")
        || matches!(name, "retry-after" | "retry-after-ms" | "x-should-retry")
}

// === what the client reads ===

/// How a client is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientFormat {
    /// Its dialect.
    pub(crate) dialect: Dialect,
    /// Whether a stream of Chat Completions ends with token counts.
    include_usage: bool,
}

impl ClientFormat {
    /// For errors of requests that were not decoded.
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            include_usage: false,
        }
    }

    /// An encoder of a stream, under the model's name as the client asked for it.
    /// `input_estimate` stands until the upstream's own count comes.
    pub(crate) fn stream(self, model: &str, input_estimate: u64) -> Encoder {
        let id = self.answer_id();
        match self.dialect {
            Dialect::AnthropicMessages => Encoder::Messages(messages::StreamEncoder::new(
                id,
                model.to_owned(),
                input_estimate,
            )),
            Dialect::ChatCompletions => Encoder::Chat(Box::new(
                chat::CompletionStreamEncoder::new(&id, model, now(), self.include_usage),
            )),
        }
    }

    /// An answer that is there whole, in the form that the client wants, and what of
    /// it could not be carried.
    pub(crate) fn render(self, message: Message, model: &str, stream: bool) -> (Vec<u8>, Losses) {
        match stream {
            true => self.streamed_whole(message, model),
            false => self.whole(&message, model),
        }
    }

    fn whole(self, message: &Message, model: &str) -> (Vec<u8>, Losses) {
        let id = self.answer_id();
        match self.dialect {
            Dialect::AnthropicMessages => (
                messages::encode_message(message, &id, model),
                Losses::default(),
            ),
            Dialect::ChatCompletions => {
                let completion = chat::encode_completion(message, &id, model, now());
                (completion.body, completion.losses)
            }
        }
    }

    /// As the bytes of a stream.
    fn streamed_whole(self, message: Message, model: &str) -> (Vec<u8>, Losses) {
        let mut encoder = self.stream(model, 0);
        let mut out = Vec::new();
        message.split(&mut |event| encoder.encode(&event, &mut out));
        let losses = encoder.take_losses();
        (out, losses)
    }

    /// The body of an error.
    pub(crate) fn error(self, request_id: &str, error: &Error) -> Vec<u8> {
        match self.dialect {
            Dialect::AnthropicMessages => messages::ErrorBody {
                kind: &error.kind,
                message: &error.message,
                request_id,
                details: error.details.as_deref(),
            }
            .encode(),
            Dialect::ChatCompletions => {
                chat::encode_error(error.status, &error.kind, &error.message, request_id)
            }
        }
    }

    /// Append an error that ends a stream.
    pub(crate) fn error_event(self, kind: &str, message: &str, out: &mut Vec<u8>) {
        match self.dialect {
            Dialect::AnthropicMessages => messages::StreamEncoder::error(kind, message, out),
            Dialect::ChatCompletions => chat::CompletionStreamEncoder::error(kind, message, out),
        }
    }

    /// Append a life sign to a stream that has begun.
    pub(crate) fn ping(self, out: &mut Vec<u8>) {
        match self.dialect {
            Dialect::AnthropicMessages => messages::StreamEncoder::ping(out),
            Dialect::ChatCompletions => chat::CompletionStreamEncoder::ping(out),
        }
    }

    /// Fresh in every answer: Claude Code merges turns that share an id.
    fn answer_id(self) -> String {
        let prefix = match self.dialect {
            Dialect::AnthropicMessages => "msg_",
            Dialect::ChatCompletions => "chatcmpl-",
        };
        format!(
            "{prefix}{:016x}{:08x}",
            fastrand::u64(..),
            fastrand::u32(..)
        )
    }
}

/// Seconds since 1970, which Chat Completions shows.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Writes a stream for a client.
#[derive(Debug)]
pub(crate) enum Encoder {
    Chat(Box<chat::CompletionStreamEncoder>),
    Messages(messages::StreamEncoder),
}

impl Encoder {
    /// Append the frames for `event`.
    pub(crate) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.encode(event, out));
    }

    /// What could not be carried.
    pub(crate) fn take_losses(&mut self) -> Losses {
        match self {
            Self::Chat(encoder) => encoder.take_losses(),
            // The inner form's own vocabulary has a place for everything.
            Self::Messages(_) => Losses::default(),
        }
    }
}

// === what response hooks read ===

/// A whole answer as hooks see it: in the vocabulary of Messages.
pub(crate) fn encode_for_hooks(message: &Message, model: &str) -> Vec<u8> {
    let format = ClientFormat::of(Dialect::AnthropicMessages);
    format.whole(message, model).0
}

/// A whole answer that a hook gave or edited.
pub(crate) fn decode_from_hook(json: &[u8]) -> Result<Message, Error> {
    let text = std::str::from_utf8(json).unwrap_or_default();
    messages::decode_message(text)
        .map_err(|error| Error::hook(format!("a hook left an answer that is no message: {error}")))
}
