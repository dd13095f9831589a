//! The request path, top to bottom.
//!
//! ```text
//! decode ─▶ on-request ─▶ route ─▶ ┌ encode ─▶ on-upstream-request ─▶ send ┐ ─▶ answer
//!                                  └──────── each target until one answers ┘
//! ```
//! A stream's status waits until its beginning is known to be sound, so that an
//! early error is a real status; but not for longer than `head_hold_ms`. From
//! then on life signs cover the wait, and an error comes as an event.
//!
//! Knows codec, route, provider, hooks and upstream; never the HTTP server.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::HeaderMap;
use sluice_codec::dialect::chat::{DecodeOptions, EncodeOptions, decode_error, encode_request};
use sluice_codec::dialect::messages::{self, ErrorBody, decode_message, decode_request};
use sluice_codec::fields::{DecodeError, Path};
use sluice_codec::ir::{Message, MessageBlock, Request, Stop, StopReason, Usage};

use crate::answer::{Answer, Terms};
use crate::call::Call;
use crate::config::{OnLoss, Upstream};
use crate::error::Error;
use crate::hook::{self, AttemptFacts, Document, Facts, Session, Stage, Verdict};
use crate::route;
use crate::snapshot::Snapshot;
use crate::upstream::{self, Endpoint};

/// A comment, which every reader of events passes over: allowed before the first.
const LIFE_SIGN: &[u8] = b": waiting for the upstream\n\n";

/// Longest error body of an upstream that is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// A client's request, as the server took it in.
#[derive(Debug)]
pub struct Inbound {
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What the server gives out.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, beside those that the body's kind implies.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: ReplyBody,
}

/// The body of a reply.
pub enum ReplyBody {
    /// JSON, whole.
    Whole(Bytes),
    /// Server-sent events. Dropping it aborts the upstream's request.
    Stream(BoxStream<'static, Bytes>),
}

/// What a call amounts to when it goes well.
enum Served {
    Whole(Vec<u8>),
    Stream(Box<Answer>),
}

/// A call under way, and what it comes to.
type Serving = Pin<Box<dyn Future<Output = (Call, Result<Served, Error>)> + Send>>;

/// Serve one call.
pub async fn run(world: Arc<Snapshot>, inbound: Inbound) -> Reply {
    let limits = &world.config.limits;
    let hold = Duration::from_millis(limits.head_hold_ms);
    let pause = Duration::from_millis(limits.ping_interval_ms);
    let mut call = Call::begin(world.generation, inbound.body.len());
    let id = call.id.clone();
    let wants_stream = Arc::new(AtomicBool::new(false));
    let is_stream = wants_stream.clone();
    let mut serving: Serving = Box::pin(async move {
        let outcome = serve(&world, &mut call, inbound, &is_stream).await;
        (call, outcome)
    });
    let (call, outcome) = match tokio::time::timeout(hold, &mut serving).await {
        Ok(ended) => ended,
        Err(_) if wants_stream.load(Ordering::Relaxed) => return begun(id, serving, pause),
        Err(_) => serving.await,
    };
    match outcome {
        Ok(served) => reply(call, served),
        Err(error) => failed(call, &error),
    }
}

async fn serve(
    world: &Arc<Snapshot>,
    call: &mut Call,
    inbound: Inbound,
    wants_stream: &AtomicBool,
) -> Result<Served, Error> {
    // 2. Decode.
    let request = decode(&inbound.body)?;
    call.model = request.model.clone().into_owned();
    call.stream = request.stream;
    wants_stream.store(request.stream, Ordering::Relaxed);

    // 3. Hooks on the request; what they edited is decoded anew.
    let mut session = world.hooks.session(facts(call, inbound.headers));
    let edited = match request_hooks(&mut session, call, &inbound.body).await? {
        Hooked::Go(edited) => edited,
        Hooked::Answered(reply) => return hook_reply(call, reply),
    };
    let request = match &edited {
        Some(body) => decode(body)?,
        None => request,
    };

    // 4. Route, then try each target until one answers.
    let models = &world.config.models;
    let (route, targets) = route::resolve(models, &request.model).ok_or_else(|| {
        Error::unknown_model(&request.model, &route::nearest(models, &request.model))
    })?;
    let mut failure = None;
    for target in targets {
        let upstream = &world.config.upstreams[target.upstream];
        let attempt = Attempt {
            world,
            upstream,
            endpoint: &world.endpoints[target.upstream],
            model: &target.model,
            on_loss: route.on_loss,
        };
        // 5. to 7. Encode, hooks on the upstream's request, send.
        let terms = match attempt.send(call, &mut session, &request).await {
            Ok(Sent::Upstream(terms)) => terms,
            Ok(Sent::Answered(reply)) => return hook_reply(call, reply),
            Err(error) if error.try_next => {
                failure = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        // 8. The answer, until it is whole, or its beginning is known to be sound.
        let mut answer = Box::new(Answer::open(*terms, session).await?);
        match answer.settle(call).await {
            Ok(Some(whole)) => return Ok(Served::Whole(whole)),
            Ok(None) => return Ok(Served::Stream(answer)),
            Err(error) if error.try_next => {
                failure = Some(error);
                session = answer.into_session();
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::client(404, "the model's route has no targets")))
}

fn decode(body: &[u8]) -> Result<Request<'_>, Error> {
    let text = std::str::from_utf8(body)
        .map_err(|error| DecodeError::at(&Path::Root, format!("the body is not UTF-8: {error}")))?;
    Ok(decode_request(text)?)
}

fn facts(call: &Call, headers: HeaderMap) -> Facts {
    Facts {
        id: call.id.clone(),
        dialect: "messages",
        model: call.model.clone(),
        stream: call.stream,
        request_bytes: call.request_bytes,
        headers,
    }
}

// === hooks on the request ===

/// What the request hooks decided.
enum Hooked {
    /// Go on, with this body if it was edited.
    Go(Option<Bytes>),
    /// Answer with this.
    Answered(hook::Reply),
}

async fn request_hooks(
    session: &mut Session,
    call: &mut Call,
    body: &Bytes,
) -> Result<Hooked, Error> {
    if !session.wants(Stage::Request) {
        return Ok(Hooked::Go(None));
    }
    let result = session.on_request(Document::new(body.clone())).await;
    call.note_hooks(session);
    let (document, verdict) = result?;
    match verdict {
        Verdict::Next => Ok(Hooked::Go(
            document.is_edited().then(|| document.into_bytes()),
        )),
        Verdict::Reply(reply) => Ok(Hooked::Answered(reply)),
        Verdict::Refuse(refusal) => Err(Error::refused(refusal)),
        Verdict::SkipTarget(_) => Ok(Hooked::Go(None)),
    }
}

/// An answer that a hook gave in the model's place.
fn hook_reply(call: &Call, reply: hook::Reply) -> Result<Served, Error> {
    let message = match reply {
        hook::Reply::Text(text) => Message {
            blocks: vec![MessageBlock::text(text)],
            usage: Some(Usage::default()),
            stop: Some(Stop::new(StopReason::EndTurn)),
            ..Message::default()
        },
        hook::Reply::Message(json) => decode_message(&json)
            .map_err(|error| Error::hook(format!("a hook's reply is no message: {error}")))?,
    };
    let id = message_id();
    if call.stream {
        Ok(Served::Whole(stream_bytes(message, id, &call.model)))
    } else {
        Ok(Served::Whole(messages::encode_message(
            &message,
            &id,
            &call.model,
        )))
    }
}

/// A whole answer as the bytes of a stream.
pub(crate) fn stream_bytes(message: Message, id: String, model: &str) -> Vec<u8> {
    let mut encoder = messages::StreamEncoder::new(id, model.to_owned(), 0);
    let mut out = Vec::new();
    message.split(&mut |event| encoder.encode(&event, &mut out));
    out
}

/// Fresh in every answer: Claude Code merges turns that share an id.
pub(crate) fn message_id() -> String {
    format!("msg_{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..))
}

// === one attempt ===

/// One try at one target.
struct Attempt<'w> {
    world: &'w Arc<Snapshot>,
    upstream: &'w Upstream,
    endpoint: &'w Endpoint,
    model: &'w str,
    on_loss: OnLoss,
}

/// What became of an attempt's request.
enum Sent {
    /// An upstream answers.
    Upstream(Box<Terms>),
    /// A hook answered in its place.
    Answered(hook::Reply),
}

impl Attempt<'_> {
    async fn send(
        &self,
        call: &mut Call,
        session: &mut Session,
        request: &Request<'_>,
    ) -> Result<Sent, Error> {
        call.attempts += 1;
        call.target = Some(format!("{}/{}", self.upstream.name, self.model));
        session.attempt(AttemptFacts {
            upstream: self.upstream.name.clone(),
            upstream_model: self.model.to_owned(),
            upstream_dialect: self.upstream.dialect.name(),
            attempt: call.attempts,
        });

        // 5. Encode for the target.
        let encoded = encode_request(
            request,
            EncodeOptions {
                model: self.model,
                accent: &self.upstream.accent,
                family: &self.upstream.name,
            },
        )?;
        call.losses = encoded.losses;
        if self.on_loss == OnLoss::Refuse && call.losses.count() > 0 {
            return Err(Error::lossy(&call.losses, &self.upstream.name));
        }
        let options = DecodeOptions::new(
            request,
            encoded.names,
            &self.upstream.name,
            fastrand::u64(..),
        )
        .with_accent(&self.upstream.accent);

        // 6. Hooks on what the upstream will get.
        let mut body = Bytes::from(encoded.body);
        let mut headers = self.endpoint.headers.clone();
        if session.wants(Stage::UpstreamRequest) {
            let document = Document::with_members(body, encoded.members);
            let result = session.on_upstream_request(document, &mut headers).await;
            call.note_hooks(session);
            let (document, verdict) = result?;
            match verdict {
                Verdict::Next => body = document.into_bytes(),
                Verdict::Reply(reply) => return Ok(Sent::Answered(reply)),
                Verdict::Refuse(refusal) => return Err(Error::refused(refusal)),
                Verdict::SkipTarget(why) => {
                    let what = format!("was skipped by a hook: {why}");
                    return Err(Error::unreachable(&self.upstream.name, 503, &what));
                }
            }
        }

        // 7. Send.
        let limits = &self.world.config.limits;
        let sent = self
            .world
            .client
            .send(self.endpoint, headers, body, limits.first_byte_timeout_ms)
            .await;
        let reply = sent.map_err(|error| {
            let status = if matches!(error, upstream::SendError::FirstByteTimeout(_)) {
                504
            } else {
                502
            };
            Error::unreachable(&self.upstream.name, status, &error.to_string())
        })?;
        if reply.status >= 300 {
            return Err(self.refusal(reply).await);
        }
        Ok(Sent::Upstream(Box::new(Terms {
            reply,
            options,
            limits: limits.clone(),
            upstream: self.upstream.name.clone(),
            model: call.model.clone(),
            stream: call.stream,
            // Four bytes a token, until the upstream's own count comes.
            input_estimate: call.request_bytes as u64 / 4,
        })))
    }

    /// The error that an upstream's status and body stand for.
    async fn refusal(&self, mut reply: upstream::Reply) -> Error {
        let mut body = Vec::new();
        while body.len() < ERROR_BODY_BYTES_MAX
            && let Ok(Some(chunk)) = reply.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        let error = decode_error(reply.status, &body);
        let message = self.scrubbed(error.message);
        let retry_after = reply.headers.get(http::header::RETRY_AFTER);
        Error {
            retry_after: retry_after
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            ..Error::upstream(&self.upstream.name, error.status, &message)
        }
    }

    /// Upstreams quote the key they refuse.
    fn scrubbed(&self, message: String) -> String {
        match &self.upstream.api_key {
            Some(key) if key.expose().len() >= 4 => message.replace(key.expose(), "[key]"),
            _ => message,
        }
    }
}

// === the exits ===

fn reply(mut call: Call, served: Served) -> Reply {
    let mut headers = vec![("request-id", call.id.clone())];
    headers.extend(call.target.clone().map(|target| ("sluice-target", target)));
    headers.extend(call.losses_header().map(|losses| ("sluice-losses", losses)));
    headers.extend(
        call.hooks_header()
            .map(|failures| ("sluice-hook-failures", failures)),
    );
    let body = match served {
        Served::Whole(body) if !call.stream => {
            call.first_byte();
            call.answered();
            ReplyBody::Whole(body.into())
        }
        served => ReplyBody::Stream(events(call, served)),
    };
    Reply {
        status: 200,
        headers,
        body,
    }
}

/// The answer's bytes for a client that wants a stream.
fn events(mut call: Call, served: Served) -> BoxStream<'static, Bytes> {
    match served {
        Served::Stream(answer) => answer.into_stream(call),
        Served::Whole(body) => {
            call.first_byte();
            call.answered();
            stream::iter([Bytes::from(body)]).boxed()
        }
    }
}

/// A stream that began before its answer did.
enum Begun {
    Waiting(Serving),
    Answering(BoxStream<'static, Bytes>),
    Over,
}

/// The reply to a client that has waited long enough for a sign of life.
fn begun(request_id: String, serving: Serving, pause: Duration) -> Reply {
    let rest = stream::unfold(Begun::Waiting(serving), move |state| state.next(pause));
    // The head alone would be held back by some clients and proxies.
    let body = stream::iter([Bytes::from_static(LIFE_SIGN)])
        .chain(rest)
        .boxed();
    Reply {
        status: 200,
        headers: vec![("request-id", request_id)],
        body: ReplyBody::Stream(body),
    }
}

impl Begun {
    /// The next bytes: a life sign every `pause`, then the answer, or its error.
    async fn next(self, pause: Duration) -> Option<(Bytes, Self)> {
        let mut answer = match self {
            Self::Over => return None,
            Self::Answering(answer) => answer,
            Self::Waiting(mut serving) => match tokio::time::timeout(pause, &mut serving).await {
                Err(_) => return Some((LIFE_SIGN.into(), Self::Waiting(serving))),
                Ok((call, Ok(served))) => events(call, served),
                Ok((mut call, Err(error))) => {
                    call.failed(&error);
                    let mut frame = Vec::new();
                    messages::StreamEncoder::error(&error.kind, &error.message, &mut frame);
                    return Some((frame.into(), Self::Over));
                }
            },
        };
        let bytes = answer.next().await?;
        Some((bytes, Self::Answering(answer)))
    }
}

/// Every error leaves here, in the client's dialect.
fn failed(mut call: Call, error: &Error) -> Reply {
    call.failed(error);
    error_reply(&call.id, error)
}

/// `error`, rendered for a Messages client.
pub fn error_reply(request_id: &str, error: &Error) -> Reply {
    let mut headers = vec![("request-id", request_id.to_owned())];
    headers.extend(
        error
            .retry_after
            .clone()
            .map(|value| ("retry-after", value)),
    );
    if error.hopeless {
        headers.push(("x-should-retry", "false".to_owned()));
    }
    let body = ErrorBody {
        kind: &error.kind,
        message: &error.message,
        request_id,
        details: error.details,
    }
    .encode();
    Reply {
        status: error.status,
        headers,
        body: ReplyBody::Whole(body.into()),
    }
}
