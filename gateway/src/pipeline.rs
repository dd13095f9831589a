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

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_codec::ir::{Message, MessageBlock, Request, Stop, StopReason, Usage};

use crate::answer::{Answer, Terms};
use crate::call::Call;
use crate::codecs::{self, ClientFormat, Decoded};
use crate::config::{OnLoss, Upstream};
use crate::error::Error;
use crate::hook::{self, AttemptFacts, Document, Facts, Session, Stage, Verdict};
use crate::provider::Dialect;
use crate::route::{self, Resolved};
use crate::snapshot::Snapshot;
use crate::upstream::{self, Endpoint};

/// A comment, which every reader of events passes over: allowed before the first.
const LIFE_SIGN: &[u8] = b": waiting for the upstream\n\n";

/// Longest error body of an upstream that is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// A client's request, as the server took it in.
#[derive(Debug)]
pub struct Inbound {
    /// What the client speaks.
    pub dialect: Dialect,
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
    pub headers: HeaderMap,
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
    let format = ClientFormat::of(inbound.dialect);
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
        Err(_) if wants_stream.load(Ordering::Relaxed) => {
            return begun(&id, serving, pause, format);
        }
        Err(_) => serving.await,
    };
    match outcome {
        Ok(served) => reply(call, served),
        Err(error) => failed(call, &error, format),
    }
}

async fn serve(
    world: &Arc<Snapshot>,
    call: &mut Call,
    inbound: Inbound,
    wants_stream: &AtomicBool,
) -> Result<Served, Error> {
    // 2. Decode.
    let dialect = inbound.dialect;
    let Decoded { request, format } = codecs::decode_request(dialect, &inbound.body)?;
    call.model = request.model.clone().into_owned();
    call.stream = request.stream;
    wants_stream.store(request.stream, Ordering::Relaxed);

    // 3. Hooks on the request; what they edited is decoded anew.
    let headers = Arc::new(inbound.headers);
    let facts = facts(call, dialect, headers.clone());
    let mut session = world.hooks.session(facts);
    let edited = match request_hooks(&mut session, call, dialect, &inbound.body, &request).await? {
        Hooked::Go(edited) => edited,
        Hooked::Answered(reply) => return hook_reply(call, reply, format),
    };
    let inbound = Client {
        dialect,
        format,
        headers: &headers,
        // What hooks edited is in Messages, whatever the client speaks.
        body: match &edited {
            None => Some(&inbound.body),
            Some(body) if dialect == Dialect::AnthropicMessages => Some(body),
            Some(_) => None,
        },
    };
    let request = match &edited {
        Some(body) => edited_request(dialect, body, request)?,
        None => request,
    };

    // 4. Route, then try each target until one answers.
    let models = &world.config.models;
    let (route, targets) = route::resolve(models, &request.model).ok_or_else(|| {
        Error::unknown_model(&request.model, &route::nearest(models, &request.model))
    })?;
    let mut failure = None;
    for target in targets {
        let attempt = Attempt {
            world,
            client: &inbound,
            upstream: &world.config.upstreams[target.upstream],
            endpoint: &world.endpoints[target.upstream],
            target: &target,
            on_loss: route.on_loss,
        };
        // 5. to 7. Encode, hooks on the upstream's request, send.
        let terms = match attempt.send(call, &mut session, &request).await {
            Ok(Sent::Upstream(terms)) => terms,
            Ok(Sent::Answered(reply)) => return hook_reply(call, reply, format),
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

/// The client's side of a call.
struct Client<'c> {
    dialect: Dialect,
    format: ClientFormat,
    headers: &'c HeaderMap,
    /// The body in its dialect; none if hooks edited it in another.
    body: Option<&'c Bytes>,
}

fn facts(call: &Call, dialect: Dialect, headers: Arc<HeaderMap>) -> Facts {
    Facts {
        id: call.id.clone(),
        dialect: dialect.name(),
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
    dialect: Dialect,
    body: &Bytes,
    request: &Request<'_>,
) -> Result<Hooked, Error> {
    if !session.wants(Stage::Request) {
        return Ok(Hooked::Go(None));
    }
    let view = codecs::hook_view(dialect, body, request)?;
    let result = session.on_request(Document::new(view)).await;
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

/// The request that hooks edited. What their vocabulary has no place for is
/// still the client's.
fn edited_request<'a>(
    dialect: Dialect,
    body: &'a [u8],
    before: Request<'a>,
) -> Result<Request<'a>, Error> {
    let Decoded { mut request, .. } = codecs::decode_request(Dialect::AnthropicMessages, body)?;
    if dialect != Dialect::AnthropicMessages {
        request.extras.extend(before.extras);
    }
    Ok(request)
}

/// An answer that a hook gave in the model's place.
fn hook_reply(call: &mut Call, reply: hook::Reply, format: ClientFormat) -> Result<Served, Error> {
    let message = match reply {
        hook::Reply::Text(text) => Message {
            blocks: vec![MessageBlock::text(text)],
            usage: Some(Usage::default()),
            stop: Some(Stop::new(StopReason::EndTurn)),
            ..Message::default()
        },
        hook::Reply::Message(json) => codecs::decode_from_hook(json.as_bytes())?,
    };
    let (body, losses) = format.render(message, &call.model, call.stream);
    call.losses.append(losses);
    Ok(Served::Whole(body))
}

// === one attempt ===

/// One try at one target.
struct Attempt<'w> {
    world: &'w Arc<Snapshot>,
    client: &'w Client<'w>,
    upstream: &'w Upstream,
    endpoint: &'w Endpoint,
    target: &'w Resolved<'w>,
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
        call.target = Some(format!("{}/{}", self.upstream.name, self.target.model));
        session.attempt(AttemptFacts {
            upstream: self.upstream.name.clone(),
            upstream_model: self.target.model.to_string(),
            upstream_dialect: self.upstream.dialect.name(),
            attempt: call.attempts,
        });

        // 5. Encode for the target.
        let client = self.client;
        let body = client.body.map(|body| &body[..]);
        let encoded = codecs::encode_request(
            client.dialect,
            body,
            request,
            self.upstream,
            &self.target.model,
        )?;
        call.losses = encoded.losses;
        if self.on_loss == OnLoss::Refuse && call.losses.count() > 0 {
            return Err(Error::lossy(&call.losses, &self.upstream.name));
        }

        // 6. Hooks on what the upstream will get.
        let mut body = Bytes::from(encoded.body);
        let mut headers = self.endpoint.headers.clone();
        codecs::forwarded_headers(&self.upstream.accent, client.headers, &mut headers);
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
        call.passed_back = passed_back(&reply.headers);
        Ok(Sent::Upstream(Box::new(Terms {
            reply,
            decoder: encoded.decoder,
            format: client.format,
            world: self.world.clone(),
            upstream: self.target.upstream,
            model: call.model.clone(),
            stream: call.stream,
            // Until the upstream's own count comes.
            input_estimate: sluice_codec::ir::tokens_of(call.request_bytes as u64),
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
        let error = codecs::decode_error(self.upstream.dialect, reply.status, &body);
        let message = self.upstream.scrubbed(Cow::Owned(error.message));
        let mut failed = Error::upstream(&self.upstream.name, error.status, &message);
        failed.headers = Some(Box::new(passed_back(&reply.headers)));
        if let Some(kind) = error.kind {
            failed.kind = kind.into();
        }
        failed
    }
}

// === the exits ===

fn reply(mut call: Call, served: Served) -> Reply {
    let mut headers = std::mem::take(&mut call.passed_back);
    insert(&mut headers, "request-id", Some(&call.id));
    insert(&mut headers, "sluice-target", call.target.as_deref());
    insert(
        &mut headers,
        "sluice-losses",
        call.losses_header().as_deref(),
    );
    let failures = call.hooks_header();
    insert(&mut headers, "sluice-hook-failures", failures.as_deref());
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
fn begun(request_id: &str, serving: Serving, pause: Duration, format: ClientFormat) -> Reply {
    let mut headers = HeaderMap::new();
    insert(&mut headers, "request-id", Some(request_id));
    let rest = stream::unfold(Begun::Waiting(serving), move |state| {
        state.next(pause, format)
    });
    // The head alone would be held back by some clients and proxies.
    let body = stream::iter([Bytes::from_static(LIFE_SIGN)])
        .chain(rest)
        .boxed();
    Reply {
        status: 200,
        headers,
        body: ReplyBody::Stream(body),
    }
}

impl Begun {
    /// The next bytes: a life sign every `pause`, then the answer, or its error.
    async fn next(self, pause: Duration, format: ClientFormat) -> Option<(Bytes, Self)> {
        let mut answer = match self {
            Self::Over => return None,
            Self::Answering(answer) => answer,
            Self::Waiting(mut serving) => match tokio::time::timeout(pause, &mut serving).await {
                Err(_) => return Some((LIFE_SIGN.into(), Self::Waiting(serving))),
                Ok((call, Ok(served))) => events(call, served),
                Ok((mut call, Err(error))) => {
                    call.failed(&error);
                    let mut frame = Vec::new();
                    format.error_event(&error.kind, &error.message, &mut frame);
                    return Some((frame.into(), Self::Over));
                }
            },
        };
        let bytes = answer.next().await?;
        Some((bytes, Self::Answering(answer)))
    }
}

/// Every error leaves here, in the client's dialect.
fn failed(mut call: Call, error: &Error, format: ClientFormat) -> Reply {
    call.failed(error);
    error_reply(&call.id, error, format)
}

/// `error`, rendered for a client.
pub(crate) fn error_reply(request_id: &str, error: &Error, format: ClientFormat) -> Reply {
    let mut headers = error.headers.as_deref().cloned().unwrap_or_default();
    insert(&mut headers, "request-id", Some(request_id));
    if error.hopeless {
        insert(&mut headers, "x-should-retry", Some("false"));
    }
    Reply {
        status: error.status,
        headers,
        body: ReplyBody::Whole(format.error(request_id, error).into()),
    }
}

/// Set a header, if there is a value and it can be one.
fn insert(headers: &mut HeaderMap, name: &'static str, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The headers of an upstream's answer that its clients read.
fn passed_back(headers: &HeaderMap) -> HeaderMap {
    let passed = headers
        .iter()
        .filter(|(name, _)| codecs::is_passed_back(name));
    let mut passed: HeaderMap = passed
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // Azure's is the finer one, which Claude Code does not read.
    if let Some(ms) = passed.get("retry-after-ms")
        && !passed.contains_key(RETRY_AFTER)
        && let Some(ms) = ms.to_str().ok().and_then(|ms| ms.parse::<f64>().ok())
    {
        passed.insert(RETRY_AFTER, HeaderValue::from((ms / 1_000.0).ceil() as u64));
    }
    passed
}
