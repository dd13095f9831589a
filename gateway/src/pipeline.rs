//! The request path, top to bottom.
//!
//! ```text
//! decode ─▶ limits ─▶ on-request ─▶ route ─▶ ┌ encode ─▶ on-upstream-request ─▶ send ┐ ─▶ answer
//!                         plan     └──────── each target until one answers ┘
//! ```
//! A stream's status waits until its beginning is known to be sound, so that an
//! early error is a real status; but not for longer than `head_hold_ms`. From
//! then on life signs cover the wait, and an error comes as an event.
//!
//! Knows codec, route, provider, hooks and upstream; never the HTTP server.

mod continuation;
mod plan;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use sluice_codec::ir::{Message, MessageBlock, Request, Stop, StopReason, Usage, tokens_of};

use crate::accounts::Use;
use crate::answer::{Answer, Part, Terms};
use crate::call::Call;
use crate::codecs::{self, ClientFormat, Decoded, Recipient};
use crate::config::{self, Act, Failure, OnLoss, Then, Upstream};
use crate::error::{Cause, Error, Origin};
use crate::exits::{self, Reply, Served, Serving};
use crate::gate::Pass;
use crate::health::Blow;
use crate::hook::{self, AttemptFacts, Document, Facts, FailureFacts, Stage, TargetFacts, Verdict};
use crate::provider::{Accent, Dialect};
use crate::route::{self, Asker, Outlook, Resolved};
use crate::snapshot::Snapshot;
use crate::telemetry::{self, Place};
use crate::tokens;
use crate::upstream::{self, Endpoint, SendError};

pub(crate) use continuation::{Continuation, streamed};
use plan::{Candidate, Choice, Plan, Prospects};

/// Lessons of one attempt: as many as a strict upstream may have for a request.
const LESSONS_MAX: u32 = 3;

/// Longest pause before an attempt that a hook wants made again, in ms.
const RETRY_MS_MAX: u32 = 30_000;

/// Longest error body of an upstream that is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// How long the body of an upstream's error is awaited, in ms: its status is there, and
/// another target may be waiting for the call.
const ERROR_BODY_MS: u64 = 2_000;

/// A client's request, as the server took it in.
#[derive(Debug)]
pub struct Inbound {
    /// What the client speaks.
    pub dialect: Dialect,
    /// Whose key it showed, if any.
    pub client: Option<Arc<config::Client>>,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// What it was let in with.
    pub passes: Passes,
}

/// Room that a call takes up.
#[derive(Debug, Default)]
pub struct Passes {
    /// Until its last byte.
    pub call: Option<Pass>,
    /// For as long, among its client's.
    pub client: Option<Pass>,
    /// For its body, until the answer begins.
    pub bytes: Option<Pass>,
}

/// Serve one call.
pub async fn run(world: Arc<Snapshot>, mut inbound: Inbound) -> Reply {
    let limits = &world.config.limits;
    let hold = Duration::from_millis(limits.head_hold_ms);
    let pause = Duration::from_millis(limits.ping_interval_ms);
    let format = ClientFormat::of(inbound.dialect);
    let total = Duration::from_millis(limits.total_timeout_ms);
    let mut call = Call::begin(
        world.generation,
        inbound.body.len(),
        total,
        world.tally.clone(),
    );
    call.pass = inbound.passes.call.take();
    call.client_pass = inbound.passes.client.take();
    call.client = inbound.client.take();
    let path = inbound.dialect.path();
    call.trace = world.telemetry.trace(&inbound.headers, path);
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
            return exits::begun(&id, serving, pause, format);
        }
        Err(_) => serving.await,
    };
    match outcome {
        Ok(served) => exits::reply(call, served),
        Err(error) => exits::failed(call, &error, format),
    }
}

async fn serve(
    world: &Arc<Snapshot>,
    call: &mut Call,
    inbound: Inbound,
    wants_stream: &AtomicBool,
) -> Result<Served, Error> {
    // 2. Decode.
    let (dialect, body) = (inbound.dialect, inbound.body);
    let Decoded { request, format } = codecs::decode_request(dialect, &body)?;
    call.model = request.model.clone().into_owned();
    call.stream = request.stream;
    wants_stream.store(request.stream, Ordering::Relaxed);

    // 3. What the client's key allows, and what is left of that.
    let asker = codecs::asker(&inbound.headers);
    reserve(world, call, &request, asker).await?;

    // 4. Hooks on the request; what they edited is decoded anew.
    let headers = Arc::new(inbound.headers);
    call.session = world.hooks.session(facts(call, dialect, headers.clone()));
    let edited = match request_hooks(call, dialect, &body, &request).await? {
        Hooked::Go(edited) => edited,
        Hooked::Answered(reply) => return hook_reply(call, reply, format),
    };
    let mut client = Client {
        dialect,
        format,
        asker,
        session: codecs::session(&headers, &request),
        headers,
        original: body.clone(),
        edited: edited.clone(),
        part: Part::All,
        has_said: false,
    };
    let request = match &edited {
        Some(body) => edited_request(dialect, body, request)?,
        None => request,
    };

    if let Some(trace) = &mut call.trace {
        trace.request(&request);
    }

    // 5. Route, hooks on the route, and the order of its targets.
    let plan = match planned(world, call, &client, &request).await {
        Ok(Planned::Attempts(plan)) => plan,
        Ok(Planned::Answered(reply)) => return hook_reply(call, reply, format),
        Err(error) => match failure_hooks(call, error, Outlook::Fail).await? {
            After::Answered(reply) => return hook_reply(call, reply, format),
            After::AsPlanned(error)
            | After::Again(error, _)
            | After::Next(error)
            | After::Fail(error) => return Err(error),
        },
    };
    if call.stream && plan.goes_on() {
        client.part = Part::Beginning;
    }

    // 6. to 9. Try the targets until one answers.
    let mut served = attempts_in_time(world, call, &client, &request, plan).await;
    if let (Part::Beginning, Ok(Served::Stream(answer))) = (client.part, &mut served) {
        let room = inbound.passes.bytes;
        answer.continuation = Some(Continuation::new(world.clone(), client, room));
    }
    served
}

/// What there is to do for a call.
enum Planned<'w> {
    Attempts(Plan<'w>),
    /// Nothing: a hook answered.
    Answered(hook::Reply),
}

/// Where a request goes, and in which order.
async fn planned<'w>(
    world: &'w Snapshot,
    call: &mut Call,
    client: &Client,
    request: &Request<'_>,
) -> Result<Planned<'w>, Error> {
    let targets = find_route(world, &request.model, client.asker)?;
    Ok(
        match route_hooks(world, call, client, request, targets).await? {
            Routed::Targets(choice) => {
                call.route = choice.route().map(|route| route.pattern.clone());
                Planned::Attempts(Plan::new(world, client, request, choice).await?)
            }
            Routed::Answered(reply) => Planned::Answered(reply),
        },
    )
}

/// Attempts until the call has lasted too long, or the gateway stops.
async fn attempts_in_time(
    world: &Arc<Snapshot>,
    call: &mut Call,
    client: &Client,
    request: &Request<'_>,
    plan: Plan<'_>,
) -> Result<Served, Error> {
    let deadline = call.deadline.into();
    let answered = attempts(world, call, client, request, plan);
    tokio::select! {
        biased;
        outcome = tokio::time::timeout_at(deadline, answered) => match outcome {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::overdue(world.config.limits.total_timeout_ms)),
        },
        () = world.closing.over() => Err(Error::stopping(world.config.drain.streams_ms)),
    }
}

/// Make attempts as planned, until one is answered or none is left.
async fn attempts(
    world: &Arc<Snapshot>,
    call: &mut Call,
    client: &Client,
    request: &Request<'_>,
    mut plan: Plan<'_>,
) -> Result<Served, Error> {
    let mut failed = Error::client(404, "the model's route has no targets");
    while let Some((candidate, pause)) = plan.next() {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await; // which takes a millisecond at least
        }
        let attempt = Attempt::new(world, client, &candidate, plan.prospects());
        call.trying = Some(candidate.name.clone());
        let made = attempt.run(call, request).await;
        call.trying = None;
        let error = match made {
            Ok(served) => {
                call.tried.push(format!("{} ok", candidate.name));
                world.tally.attempt(&attempt.label(), "ok");
                return Ok(served);
            }
            Err(Missed::Failed(error)) => error,
            Err(Missed::Again(wait)) => {
                call.tried.push(format!("{} again", candidate.name));
                world.tally.attempt(&attempt.label(), "again");
                drop(call.leave_target());
                plan.again(candidate, wait);
                continue;
            }
        };
        let asked = error.retry_after(SystemTime::now());
        let act = attempt.judge(call, &error, asked);
        let result = error.cause.to_string();
        world.tally.attempt(&attempt.label(), &result);
        let outlook = plan.outlook(&error, act, asked);
        let (name, what) = (&candidate.name, outlook.name());
        call.tried.push(format!("{name} {} {what}", error.cause));
        failed = match failure_hooks(call, error, outlook).await? {
            After::AsPlanned(error) if outlook == Outlook::Fail => return Err(error),
            After::AsPlanned(error) => {
                plan.go_on(candidate, &error, act, asked);
                error
            }
            After::Again(error, wait) => {
                plan.again(candidate, wait);
                error
            }
            After::Next(error) => error,
            After::Answered(reply) => return hook_reply(call, reply, client.format),
            After::Fail(error) => return Err(error),
        };
    }
    Err(failed)
}

/// The client's side of a call: what attempts are made from.
struct Client {
    dialect: Dialect,
    format: ClientFormat,
    asker: Asker,
    headers: Arc<HeaderMap>,
    /// The body as it came.
    original: Bytes,
    /// What hooks made of it: in the vocabulary of Messages, whatever the client speaks.
    edited: Option<Bytes>,
    /// What tells its session from others.
    session: Option<u64>,
    /// What of the answer is still to be told.
    part: Part,
    /// The model has begun its answer in the request's last message.
    has_said: bool,
}

impl Client {
    /// The body in its dialect; none if hooks edited it in another.
    fn body(&self) -> Option<&Bytes> {
        match &self.edited {
            None => Some(&self.original),
            Some(body) if self.dialect == Dialect::AnthropicMessages => Some(body),
            Some(_) => None,
        }
    }

    fn request(&self) -> Result<Request<'_>, Error> {
        let Decoded { request, .. } = codecs::decode_request(self.dialect, &self.original)?;
        match &self.edited {
            Some(body) => edited_request(self.dialect, body, request),
            None => Ok(request),
        }
    }
}

fn facts(call: &Call, dialect: Dialect, headers: Arc<HeaderMap>) -> Facts {
    Facts {
        id: call.id.clone(),
        dialect: dialect.name(),
        model: call.model.clone(),
        stream: call.stream,
        client: call.client().to_owned(),
        request_bytes: call.request_bytes,
        headers,
    }
}

// === the client's key ===

/// Tokens of an answer where neither client nor route sets a bound: longer than most.
const ANSWER_TOKENS: u64 = 4_096;

/// Refuse what the key is not for, and take what the call may need of its limits.
async fn reserve(
    world: &Snapshot,
    call: &mut Call,
    request: &Request<'_>,
    asker: Asker,
) -> Result<(), Error> {
    let Some(client) = call.client.clone() else {
        return Ok(());
    };
    let model = &request.model;
    if !client.may_ask_for(model) {
        return Err(Error::forbidden_model(model, &client.name, &client.models));
    }
    if client.has_limits() {
        call.prompt_guess = tokens::guess(request);
        let routed = route::resolve(&world.config.models, model, asker);
        call.route = routed.as_ref().map(|(route, _)| route.pattern.clone());
        let need = need(&world.config, call.prompt_guess, request, routed);
        call.reservation = world.accounts.reserve(&client, need).await?;
    }
    Ok(())
}

/// The most that a call may take: its prompt and its longest answer, at the target of
/// its route where that is dearest. What is not taken is given back at its end.
fn need(
    config: &config::Config,
    prompt: u64,
    request: &Request<'_>,
    routed: Option<(&config::Route, Vec<Resolved<'_>>)>,
) -> Use {
    let output_limit = routed.as_ref().and_then(|(route, _)| route.output_limit());
    let answer = match (request.max_tokens, output_limit) {
        (Some(asked), Some(limit)) => asked.min(limit),
        (asked, limit) => asked.or(limit).unwrap_or(ANSWER_TOKENS),
    };
    let usage = Usage {
        input: prompt,
        output: answer,
        ..Usage::default()
    };
    let targets = routed.into_iter().flat_map(|(_, targets)| targets);
    let costs = targets.filter_map(|target| {
        let upstream = &config.upstreams[target.upstream].name;
        let price = config.prices.of(&format!("{upstream}/{}", target.model))?;
        Some(price.of(&usage))
    });
    Use {
        tokens: prompt.saturating_add(answer),
        nano_usd: costs.max().unwrap_or(0),
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
    call: &mut Call,
    dialect: Dialect,
    body: &Bytes,
    request: &Request<'_>,
) -> Result<Hooked, Error> {
    if !call.session.wants(Stage::Request) {
        return Ok(Hooked::Go(None));
    }
    let view = codecs::hook_view(dialect, body, request)?;
    let (document, verdict) = call.session.on_request(Document::new(view)).await?;
    match verdict {
        Verdict::Reply(reply) => Ok(Hooked::Answered(reply)),
        Verdict::Refuse(refusal) => Err(Error::refused(refusal)),
        _ => Ok(Hooked::Go(
            document.is_edited().then(|| document.into_bytes()),
        )),
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

// === hooks on the route ===

/// Where a call goes.
enum Routed<'w> {
    /// To some of these targets.
    Targets(Choice<'w>),
    /// Nowhere: a hook answered.
    Answered(hook::Reply),
}

fn find_route<'w>(
    world: &'w Snapshot,
    model: &str,
    asker: Asker,
) -> Result<Vec<Resolved<'w>>, Error> {
    let models = &world.config.models;
    route::resolve(models, model, asker)
        .map(|(_, targets)| targets)
        .ok_or_else(|| Error::unknown_model(model, &route::nearest(models, model)))
}

/// The targets that hooks choose, of this route or of another.
async fn route_hooks<'w>(
    world: &'w Snapshot,
    call: &mut Call,
    client: &Client,
    request: &Request<'_>,
    targets: Vec<Resolved<'w>>,
) -> Result<Routed<'w>, Error> {
    if !call.session.wants(Stage::Route) {
        return Ok(Routed::Targets(Choice::Route(targets)));
    }
    let view = match client.body() {
        Some(body) => codecs::hook_view(client.dialect, body, request)?,
        // What hooks edited is their own vocabulary.
        None => codecs::messages_view(request)?,
    };
    let facts = |target: &Resolved<'_>| {
        let upstream = &world.config.upstreams[target.upstream];
        TargetFacts {
            upstream: upstream.name.clone(),
            model: target.model.to_string(),
            dialect: upstream.dialect.name(),
            provider: upstream.provider.clone(),
        }
    };
    let facts = targets.iter().map(facts).collect();
    let verdict = call.session.on_route(Document::new(view), facts).await?;
    match verdict {
        Verdict::Choose(chosen) => {
            let chosen = chosen.iter().map(|at| targets.get(*at as usize).cloned());
            match chosen.collect::<Option<Vec<_>>>() {
                Some(chosen) if !chosen.is_empty() => Ok(Routed::Targets(Choice::Hook(chosen))),
                _ => Err(Error::hook(
                    "a hook chose a target that the route does not have",
                )),
            }
        }
        Verdict::Reroute(model) => find_route(world, &model, Asker::Main)
            .map(|targets| Routed::Targets(Choice::Route(targets)))
            .map_err(|_| {
                Error::hook(format!(
                    "a hook chose the model `{model}`, which is not configured"
                ))
            }),
        Verdict::Reply(reply) => Ok(Routed::Answered(reply)),
        Verdict::Refuse(refusal) => Err(Error::refused(refusal)),
        _ => Ok(Routed::Targets(Choice::Route(targets))),
    }
}

// === hooks on failures ===

/// What happens after a failure.
enum After {
    /// What would happen without hooks.
    AsPlanned(Error),
    /// The same target is tried again, after a while.
    Again(Error, Duration),
    /// The next one is, if there is one.
    Next(Error),
    /// A hook answered.
    Answered(hook::Reply),
    /// The call fails.
    Fail(Error),
}

/// Hooks on an error, and what they make of it. What a hook decided is no failure: its
/// refusal is final, or one hook could undo what another one guards.
async fn failure_hooks(call: &mut Call, error: Error, outlook: Outlook) -> Result<After, Error> {
    if error.origin == Origin::Hook || !call.session.wants(Stage::Error) {
        return Ok(After::AsPlanned(error));
    }
    let facts = FailureFacts {
        status: error.status,
        origin: error.origin.name(),
        decision: outlook.name(),
    };
    let view = ClientFormat::of(Dialect::AnthropicMessages).error(&call.id, &error);
    let (document, verdict) = call
        .session
        .on_error(Document::new(view.into()), facts)
        .await?;
    let error = match document.is_edited() {
        true => error.reworded(&document.into_bytes()),
        false => error,
    };
    Ok(match verdict {
        Verdict::Retry(ms) => After::Again(error, retry_wait(ms)),
        Verdict::SkipTarget(_) => After::Next(error),
        Verdict::Reply(reply) => After::Answered(reply),
        Verdict::Refuse(refusal) => After::Fail(Error::refused(refusal)),
        _ => After::AsPlanned(error),
    })
}

fn retry_wait(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms.min(RETRY_MS_MAX)))
}

// === one attempt ===

/// One try at one target.
struct Attempt<'w> {
    world: &'w Arc<Snapshot>,
    client: &'w Client,
    candidate: &'w Candidate<'w>,
    target: &'w Resolved<'w>,
    upstream: &'w Upstream,
    endpoint: &'w Endpoint,
    prospects: Prospects,
}

/// An attempt that came to nothing.
enum Missed {
    Failed(Error),
    /// It should be made again, after a while.
    Again(Duration),
}

impl<E: Into<Error>> From<E> for Missed {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.cause.fmt(f),
            Self::Again(_) => f.write_str("again"),
        }
    }
}

/// What became of an attempt's request.
enum Sent {
    /// An upstream answers.
    Upstream(Box<Terms>),
    /// A hook answered in its place.
    Answered(hook::Reply),
}

impl<'w> Attempt<'w> {
    fn new(
        world: &'w Arc<Snapshot>,
        client: &'w Client,
        candidate: &'w Candidate<'w>,
        prospects: Prospects,
    ) -> Self {
        let target = &candidate.target;
        Self {
            world,
            client,
            candidate,
            target,
            upstream: &world.config.upstreams[target.upstream],
            endpoint: &world.endpoints[target.upstream],
            prospects,
        }
    }

    /// The target as it is configured: how many there are is not for clients to say.
    fn label(&self) -> String {
        format!("{}/{}", self.upstream.name, self.target.target.model)
    }

    /// Where it goes, for the collector.
    fn place(&self) -> Place {
        let (address, port) = self.endpoint.place();
        Place {
            upstream: self.upstream.name.clone(),
            provider: telemetry::provider_name(&self.upstream.provider).to_owned(),
            model: self.target.model.to_string(),
            configured_model: self.target.target.model.clone(),
            address: address.to_owned(),
            port,
        }
    }

    async fn run(&self, call: &mut Call, request: &Request<'_>) -> Result<Served, Missed> {
        let (lessons, target) = (&self.world.lessons, self.target);
        let known = lessons.of(target.upstream, &target.model);
        let mut accent = Cow::Borrowed(known.as_deref().unwrap_or(&self.upstream.accent));
        let limit = self.candidate.output_limit;
        let mut taught = 0;
        loop {
            let outcome = self.once(call, request, &accent.limited_to(limit)).await;
            let corrected = match &outcome {
                Err(Missed::Failed(error)) if taught < LESSONS_MAX => error.lesson(&accent),
                _ => None,
            };
            let Some(corrected) = corrected else {
                if let (Ok(_), Cow::Owned(learnt)) = (&outcome, accent) {
                    lessons.learn(target.upstream, &target.model, learnt.into());
                }
                return outcome;
            };
            accent = Cow::Owned(corrected);
            taught += 1;
            call.tried.push(format!("{} taught", self.candidate.name));
        }
    }

    async fn once(
        &self,
        call: &mut Call,
        request: &Request<'_>,
        accent: &Accent,
    ) -> Result<Served, Missed> {
        let outcome = self.answer(call, request, accent).await;
        if let (Err(missed), Some(trace)) = (&outcome, &mut call.trace) {
            trace.missed(missed);
        }
        outcome
    }

    async fn answer(
        &self,
        call: &mut Call,
        request: &Request<'_>,
        accent: &Accent,
    ) -> Result<Served, Missed> {
        // 6. to 8. Encode, hooks on the upstream's request, send.
        let terms = match self.send(call, request, accent).await? {
            Sent::Upstream(terms) => terms,
            Sent::Answered(reply) => return Ok(hook_reply(call, reply, self.client.format)?),
        };
        // 9. The answer, until it is whole, or its beginning is known to be sound.
        let mut answer = Box::new(Answer::open(*terms, &mut call.session).await?);
        let settled = answer.settle(call).await?;
        if settled.is_none()
            && let Some(load) = &call.load
        {
            load.begun(Instant::now());
        }
        Ok(match settled {
            Some(whole) => Served::Whole(whole),
            None => Served::Stream(answer),
        })
    }

    /// What is done about `error`, and what it says of the target.
    fn judge(&self, call: &mut Call, error: &Error, asked: Option<Duration>) -> Act {
        let terms = &self.world.config.attempts;
        let load = call.leave_target();
        let failure = match error.cause {
            Cause::Own => return Act::of(Then::Fail),
            Cause::Skipped => return Act::of(Then::Next),
            Cause::Failed(failure) => failure,
        };
        let act = terms.policy.act(failure);
        let Some(load) = load else { return act };
        let now = Instant::now();
        // What is wrong is the key, whatever the model.
        if act.cool
            && matches!(failure, Failure::Status(401 | 402))
            && let Some(id) = self.candidate.key_id
        {
            let name = self.candidate.key_name();
            let load = self.world.health.begin(id, &name, now);
            load.failed(Blow::Cools(asked), terms, now);
        }
        let cools = match failure {
            _ if act.cool => load.failed(Blow::Cools(asked), terms, now),
            // What is wrong is the request: the target is well.
            Failure::Overflow | Failure::ContentPolicy | Failure::Status(400 | 413 | 422) => {
                load.answered();
                false
            }
            _ if act.then == Then::Retry => load.failed(Blow::Counts, terms, now),
            Failure::Timeout => load.failed(Blow::Counts, terms, now),
            _ => false,
        };
        if cools {
            self.world.tally.cooldown(&self.label());
        }
        act
    }

    async fn send(
        &self,
        call: &mut Call,
        request: &Request<'_>,
        accent: &Accent,
    ) -> Result<Sent, Missed> {
        call.attempts += 1;
        call.route = Some(self.target.route.pattern.clone());
        let target = format!("{}/{}", self.upstream.name, self.target.model);
        call.price = self.world.config.prices.of(&target);
        let needs_price = |client: &&Arc<config::Client>| client.needs_prices();
        if let (Some(client), None) = (call.client.as_ref().filter(needs_price), call.price) {
            return Err(Error::unpriced(&target, &client.name).into());
        }
        call.target = Some(target);
        call.target_label = Some(self.label());
        call.session.attempt(AttemptFacts {
            upstream: self.upstream.name.clone(),
            upstream_model: self.target.model.to_string(),
            upstream_dialect: self.upstream.dialect.name(),
            attempt: call.attempts,
        });

        // 6. Encode for the target.
        let client = self.client;
        let body = client.body().map(|body| &body[..]);
        let recipient = Recipient {
            accent,
            family: &self.upstream.name,
            model: &self.target.model,
        };
        let encoded = codecs::encode_request(client.dialect, body, request, recipient)?;
        call.losses = encoded.losses;
        if self.target.route.on_loss == OnLoss::Refuse && call.losses.count() > 0 {
            return Err(Error::lossy(&call.losses, &self.upstream.name).into());
        }

        // 7. Hooks on what the upstream will get.
        let mut body = Bytes::from(encoded.body);
        let mut members = encoded.members;
        // What vendors of Chat Completions are asked is in their accents.
        if client.has_said && accent.dialect() == Dialect::AnthropicMessages {
            body = continuation::with_message(body, "user", codecs::GO_ON)?;
            members.clear();
        }
        let mut headers = self.endpoint.headers(self.candidate.key).clone();
        codecs::forwarded_headers(accent, &client.headers, &mut headers);
        if call.session.wants(Stage::UpstreamRequest) {
            let document = match members.is_empty() {
                true => Document::new(body),
                false => Document::with_members(body, members),
            };
            let result = call.session.on_upstream_request(document, &mut headers);
            let (document, verdict) = result.await?;
            match verdict {
                Verdict::Reply(reply) => return Ok(Sent::Answered(reply)),
                Verdict::Refuse(refusal) => return Err(Error::refused(refusal).into()),
                Verdict::SkipTarget(why) => return Err(self.skipped(&why).into()),
                _ => body = document.into_bytes(),
            }
        }

        // 8. Send.
        let patience = self.world.config.patience(self.target.upstream);
        // Where the same is sent again, it still has its room.
        drop(call.leave_target());
        call.upstream_pass = self.enter().await?;
        let (health, candidate) = (&self.world.health, self.candidate);
        let begun = Instant::now();
        call.load = Some(health.begin(candidate.id, &candidate.name, begun));
        let trace = call.trace.as_mut();
        let ear = trace.map(|trace| trace.attempt(self.place(), &mut headers));
        let sent = self
            .world
            .client
            .send(
                self.endpoint,
                headers,
                body,
                patience.first_byte_ms(call.stream),
            )
            .await;
        // On a connection that the upstream was about to close it came to nobody.
        if matches!(sent, Err(SendError::Stale(_))) && self.candidate.is_new() {
            return Err(Missed::Again(Duration::ZERO));
        }
        let reply = sent.map_err(|error| {
            let failure = match error {
                SendError::Connect(_) | SendError::ConnectTimeout(_) => Failure::Connect,
                SendError::FirstByteTimeout(_) => Failure::Timeout,
                SendError::Broken(_) | SendError::Stale(_) => Failure::Status(502),
            };
            Error::unreachable(&self.upstream.name, failure, &error.to_string())
        })?;
        if let Some(trace) = &mut call.trace {
            trace.replied(reply.status);
        }
        self.response_hooks(call, &reply).await?;
        if reply.status >= 300 {
            return Err(self.refusal(reply).await.into());
        }
        call.passed_back = exits::passed_back(&reply.headers);
        Ok(Sent::Upstream(Box::new(Terms {
            reply,
            decoder: encoded.decoder,
            format: client.format,
            world: self.world.clone(),
            upstream: self.target.upstream,
            model: call.model.clone(),
            stream: call.stream,
            deadline: call.deadline,
            upstream_deadline: patience.deadline(begun),
            takes_refusals: !self.prospects.diverts_refusals,
            // Until the upstream's own count comes.
            input_estimate: tokens_of(call.request_bytes as u64),
            part: client.part,
            ear,
        })))
    }

    /// Room at the upstream, if it has a limit: only who has no other target waits.
    async fn enter(&self) -> Result<Option<Pass>, Error> {
        let name = &self.upstream.name;
        let Some(gate) = self.world.gates.upstream(name) else {
            return Ok(None);
        };
        if let Some(pass) = gate.try_enter() {
            return Ok(Some(pass));
        }
        if self.prospects.has_others {
            let why = "since `calls_max` of its calls are running";
            return Err(Error::skipped(name, why));
        }
        match gate.enter().await {
            Ok(pass) => Ok(Some(pass)),
            Err(full) => Err(Error::busy(&format!("upstream `{name}`"), full.retry_after)),
        }
    }

    /// Hooks on the status and the headers.
    async fn response_hooks(&self, call: &mut Call, reply: &upstream::Reply) -> Result<(), Missed> {
        if !call.session.wants(Stage::UpstreamResponse) {
            return Ok(());
        }
        let hooked = call
            .session
            .on_upstream_response(reply.status, &reply.headers);
        match hooked.await? {
            Verdict::Retry(ms) if self.candidate.may_retry() => Err(Missed::Again(retry_wait(ms))),
            Verdict::SkipTarget(why) => Err(self.skipped(&why).into()),
            Verdict::Refuse(refusal) => Err(Error::refused(refusal).into()),
            _ => Ok(()),
        }
    }

    fn skipped(&self, why: &str) -> Error {
        Error::skipped(&self.upstream.name, &format!("by a hook: {why}"))
    }

    /// The error that an upstream's status and body stand for.
    async fn refusal(&self, mut reply: upstream::Reply) -> Error {
        let mut body = Vec::new();
        let whole = async {
            while body.len() < ERROR_BODY_BYTES_MAX
                && let Ok(Some(chunk)) = reply.chunk().await
            {
                body.extend_from_slice(&chunk);
            }
        };
        let patience = self.world.config.patience(self.target.upstream);
        let ms = ERROR_BODY_MS.min(patience.idle_ms);
        // What came by then has to do: the status says most.
        let _ = tokio::time::timeout(Duration::from_millis(ms), whole).await;
        let error = codecs::decode_error(self.upstream.dialect, reply.status, &body);
        let message = self.upstream.scrubbed(Cow::Owned(error.message));
        let mut failed = Error::upstream(&self.upstream.name, error.status, &message);
        failed.headers = Some(Box::new(exits::passed_back(&reply.headers)));
        if let Some(kind) = error.kind {
            failed.kind = kind.into();
        }
        let details = error
            .details
            .map(|json| self.upstream.scrubbed(Cow::Owned(json)));
        failed.with_details(details)
    }
}
