//! An upstream's answer on its way to the client.
//!
//! ```text
//! bytes ─▶ frames ─▶ decoder ─▶ events ─▶ on-stream hooks ─▶ Delivery ─▶ bytes
//! ```
//! Pulled, never pushed: each step reads what the upstream has and turns it
//! into what the client can have. Nobody pulls when the client has left, and
//! dropping the answer aborts the upstream's request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use sluice_codec::ir::{
    BlockStart, Delta, Event, Losses, Message, Relay, Sequencer, Stop, StopReason, Usage,
};
use sluice_codec::sse::FrameReader;

use crate::call::Call;
use crate::codecs::{self, ClientFormat, Decoder, Encoder};
use crate::config::{Failure, Upstream};
use crate::error::Error;
use crate::health::Blow;
use crate::hook::{Document, Ending, Flow, Refusal, Session, Stage, Verdict};
use crate::pipeline::Continuation;
use crate::snapshot::Snapshot;
use crate::telemetry::Ear;
use crate::upstream::{self, SendError};

/// How long a finished answer waits for token counts and the end, in ms: some
/// servers leave the connection open after the last word.
const AFTERMATH_MS: u64 = 2_000;

/// How long the rest of an ended answer's bytes is awaited, in ms, so that its
/// connection can serve again.
const DRAIN_MS: u64 = 500;

/// Largest answer that is gathered whole, in bytes.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// What a block of a gathered answer takes, in bytes, beside what is said in it.
const BLOCK_BYTES: usize = 256;

/// What an answer is opened with.
#[derive(Debug)]
pub(crate) struct Terms {
    /// The upstream's reply, its body still to come.
    pub(crate) reply: upstream::Reply,
    /// Reads the upstream's dialect.
    pub(crate) decoder: Decoder,
    /// How the client is answered.
    pub(crate) format: ClientFormat,
    /// The call's world.
    pub(crate) world: Arc<Snapshot>,
    /// Which of the world's upstreams answers.
    pub(crate) upstream: usize,
    /// The model's name as the client asked for it.
    pub(crate) model: String,
    /// Whether the client wants a stream.
    pub(crate) stream: bool,
    /// When the call must be over.
    pub(crate) deadline: Instant,
    /// When the upstream must be done, if it has a time of its own.
    pub(crate) upstream_deadline: Option<Instant>,
    /// Whether an answer that says nothing but that it must not is one.
    pub(crate) takes_refusals: bool,
    /// Prompt tokens to show until the upstream's count comes.
    pub(crate) input_estimate: u64,
    /// How much of the answer it is to be.
    pub(crate) part: Part,
    /// Notes what the answer says of itself, if somebody wants to know.
    pub(crate) ear: Option<Ear>,
}

/// How much of a client's answer one upstream's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: where it breaks off, the client is told.
    All,
    /// All of it, unless it breaks off: then another goes on.
    Beginning,
    /// What another's breaking off has left.
    Rest,
}

/// An answer in progress.
pub(crate) struct Answer {
    source: Source,
    /// Whether some hook watches the events.
    watched: bool,
    /// Keeps the events lawful after hooks had them; unused where none watches.
    sequencer: Sequencer,
    delivery: Delivery,
    /// Joins what several upstreams tell; none where no other may go on.
    relay: Option<Relay>,
    /// What it broke off with, unless another goes on: kind and message.
    broken: Option<(String, String)>,
    world: Arc<Snapshot>,
    upstream: usize,
    model: String,
    stream: bool,
    deadline: Instant,
    upstream_deadline: Option<Instant>,
    takes_refusals: bool,
    ear: Option<Ear>,
    /// A hook ended the answer with it.
    refusal: Option<Refusal>,
    /// The gateway ended the stream with it.
    fault: Option<Error>,
    /// What the client's dialect could not carry.
    losses: Losses,
    /// What knows how another goes on where this breaks off.
    pub(crate) continuation: Option<Box<Continuation>>,
}

/// The upstream's side.
struct Source {
    /// None once the answer has ended.
    reply: Option<upstream::Reply>,
    framing: Framing,
    decoder: Decoder,
    last_byte: Instant,
    /// It said that it failed, or fell silent.
    failed: bool,
    /// It was given up: nothing came, or its time was over.
    timed_out: bool,
}

/// How the bytes are framed: told by the first one, never by `content-type`.
enum Framing {
    Unknown,
    Events(FrameReader),
    Whole(Vec<u8>),
}

/// The client's side: where lawful events end up.
struct Delivery {
    form: Form,
    format: ClientFormat,
    /// Bytes for the client.
    out: Vec<u8>,
    /// Content, or its end, has come: an error can no more become a status.
    begun: bool,
    /// Some of that content is more than an empty block.
    said: bool,
    ended: bool,
    /// It ended before that, since a policy forbade it.
    refused: bool,
    usage: Option<Usage>,
    /// What was said so far, in bytes.
    content_bytes: u64,
    /// What is gathered so far, in bytes.
    held_bytes: usize,
    /// The error that came, if one did: kind and message.
    failure: Option<(String, String)>,
}

enum Form {
    /// Given out as it comes.
    Stream(Encoder),
    /// Gathered: the client wants it whole, or a hook does.
    Whole(Message),
    /// Kept for the answer that it is the rest of.
    Rest(Vec<Event<'static>>),
}

/// What comes next of a stream.
pub(crate) enum Next {
    /// Bytes for the client.
    Bytes(Bytes),
    /// The upstream broke off, and another may go on: [`Answer::go_on`], or else
    /// [`Answer::end_broken`].
    Broken(Error),
    /// It is over.
    End,
}

/// What one step did.
enum Step {
    Moved,
    /// Nothing came in the given time.
    Silent,
}

impl Answer {
    /// Begin to read the answer.
    pub(crate) async fn open(terms: Terms, session: &mut Session) -> Result<Self, Error> {
        let is_rest = terms.part == Part::Rest;
        let watches = !is_rest && session.wants(Stage::Stream);
        let watched = watches && session.open_streams().await?;
        let form = if is_rest {
            Form::Rest(Vec::new())
        } else if terms.stream && !session.needs_hold() {
            Form::Stream(terms.format.stream(&terms.model, terms.input_estimate))
        } else {
            Form::Whole(Message::default())
        };
        let may_go_on = terms.part == Part::Beginning && matches!(form, Form::Stream(_));
        Ok(Self {
            source: Source {
                reply: Some(terms.reply),
                framing: Framing::Unknown,
                decoder: terms.decoder,
                last_byte: Instant::now(),
                failed: false,
                timed_out: false,
            },
            watched,
            sequencer: Sequencer::default(),
            delivery: Delivery {
                form,
                format: terms.format,
                out: Vec::new(),
                begun: false,
                said: false,
                ended: false,
                refused: false,
                usage: None,
                content_bytes: 0,
                held_bytes: 0,
                failure: None,
            },
            relay: may_go_on.then(Relay::default),
            broken: None,
            world: terms.world,
            upstream: terms.upstream,
            model: terms.model,
            stream: terms.stream,
            deadline: terms.deadline,
            upstream_deadline: terms.upstream_deadline,
            takes_refusals: terms.takes_refusals,
            ear: terms.ear,
            refusal: None,
            fault: None,
            losses: Losses::default(),
            continuation: None,
        })
    }

    /// How its client is answered.
    pub(crate) fn format(&self) -> ClientFormat {
        self.delivery.format
    }

    /// How long the client waits for a sign of life.
    pub(crate) fn ping_pause(&self) -> Duration {
        Duration::from_millis(self.world.config.limits.ping_interval_ms)
    }

    fn upstream(&self) -> &Upstream {
        &self.world.config.upstreams[self.upstream]
    }

    /// Read on until the answer is whole (its body is returned) or, for a
    /// stream that nobody holds, until its beginning is known to be sound: until
    /// then another target can take over.
    pub(crate) async fn settle(&mut self, call: &mut Call) -> Result<Option<Vec<u8>>, Error> {
        while !(self.delivery.ended || self.streams_on()) {
            self.step(&mut call.session, Duration::MAX).await?;
            // Hooks have let nothing through that another could go on from.
            if !self.streams_on()
                && let Some((kind, message)) = &self.broken
            {
                return Err(self.upstream_error(kind, message));
            }
        }
        let (failure, refusal) = match self.streams_on() {
            true => (None, None),
            false => (self.delivery.failure.take(), self.refusal.take()),
        };
        if let Some(refusal) = refusal {
            return Err(Error::refused(refusal));
        }
        if let Some((kind, message)) = failure {
            return Err(self.upstream_error(&kind, &message));
        }
        if self.delivery.refused && !self.takes_refusals {
            return Err(Error::forbidden(&self.upstream().name));
        }
        self.drain();
        let body = match &mut self.delivery.form {
            Form::Stream(_) | Form::Rest(_) => None,
            Form::Whole(message) => {
                let message = std::mem::take(message);
                let body = self.finished(&mut call.session, message).await?;
                self.judge(call);
                Some(body)
            }
        };
        self.note(call);
        Ok(body)
    }

    /// Whether what comes from now on goes out as it comes.
    fn streams_on(&self) -> bool {
        let delivery = &self.delivery;
        // An empty block may be all that comes before a refusal.
        let is_sound = delivery.begun && (self.takes_refusals || delivery.said);
        !matches!(delivery.form, Form::Whole(_)) && is_sound
    }

    fn upstream_error(&self, kind: &str, message: &str) -> Error {
        let error = Error::upstream_kind(&self.upstream().name, kind, message);
        match self.source.timed_out {
            true => error.caused_by(Failure::Timeout),
            false => error,
        }
    }

    /// What comes next for a client that wants a stream.
    pub(crate) async fn next(&mut self, call: &mut Call) -> Next {
        let pause = self.ping_pause();
        loop {
            if !self.delivery.out.is_empty() {
                call.first_byte();
                // The client may leave, and has had so much.
                call.answer_bytes = self.delivery.content_bytes;
                return Next::Bytes(std::mem::take(&mut self.delivery.out).into());
            }
            if self.delivery.ended {
                self.drain();
                self.note(call);
                self.conclude(call);
                return Next::End;
            }
            if let Some((kind, message)) = &self.broken {
                let error = self.upstream_error(kind, message);
                self.note(call);
                self.judge(call);
                return Next::Broken(error);
            }
            match self.step(&mut call.session, pause).await {
                Ok(Step::Silent) => self.delivery.ping(),
                Ok(Step::Moved) => {}
                Err(error) => self.fault(error),
            }
        }
    }

    /// Read what the upstream has, at most one chunk, and pass it on.
    async fn step(&mut self, session: &mut Session, wait: Duration) -> Result<Step, Error> {
        let idle_ms = if self.source.decoder.is_finished() {
            AFTERMATH_MS
        } else {
            self.world.config.patience(self.upstream).idle_ms
        };
        let idle_left =
            Duration::from_millis(idle_ms).saturating_sub(self.source.last_byte.elapsed());
        let left = self.end().saturating_duration_since(Instant::now());
        let patience = wait.min(idle_left).min(left);
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(patience, self.source.read()) => read,
            () = self.world.closing.over() => {
                return Err(Error::stopping(self.world.config.drain.streams_ms));
            }
        };
        if read.is_err() && wait < idle_left.min(left) {
            return Ok(Step::Silent);
        }
        let is_over = left.is_zero() || read.is_err() && left < idle_left;
        let overdue = match is_over {
            true => Some(self.overdue()?),
            false => None,
        };
        let mut events = Vec::new();
        let mut broken = None;
        let is_full = self.delivery.held_bytes > WHOLE_BYTES_MAX;
        {
            let (watched, delivery, ear) = (self.watched, &mut self.delivery, &self.ear);
            let relay = &mut self.relay;
            let upstream = &self.world.config.upstreams[self.upstream];
            let mut failed = false;
            let mut sink = |event: Event<'_>| {
                failed |= matches!(event, Event::Error { .. });
                let event = scrubbed(event, upstream);
                if let Some(ear) = ear {
                    ear.hear(&event);
                }
                let mut onwards = |event: Event<'_>| match watched {
                    true => events.push(event.into_owned()),
                    false => delivery.take(event),
                };
                match relay {
                    None => onwards(event),
                    Some(relay) => broken = told(relay, event, &mut onwards),
                }
            };
            match (overdue, read) {
                (Some(why), _) => self.source.give_up(&why, &mut sink),
                (None, Ok(Ok(Some(_)))) if is_full => self.source.too_large(&mut sink),
                (None, Ok(Ok(Some(bytes)))) => self.source.feed(&bytes, &mut sink),
                (None, Ok(Ok(None))) => self.source.finish(&mut sink),
                (None, Ok(Err(error))) => self.source.broken(&error.to_string(), &mut sink),
                (None, Err(_)) => {
                    let why = format!("the upstream sent nothing for {idle_ms} ms");
                    self.source.give_up(&why, &mut sink);
                }
            }
            self.source.failed |= failed;
            if let (Some(ear), Framing::Events(_)) = (ear, &self.source.framing) {
                ear.streamed();
            }
        }
        self.broken = broken;
        if self.watched {
            self.pass_hooks(session, events).await?;
        }
        Ok(Step::Moved)
    }

    // === where it breaks off ===

    /// The text so far, as the upstream said it.
    pub(crate) fn text(&self) -> &str {
        self.relay.as_ref().map_or("", Relay::text)
    }

    /// Another upstream goes on: `rest` is its answer, of which the beginning is sound.
    pub(crate) async fn go_on(&mut self, rest: Self, session: &mut Session) -> Result<(), Error> {
        let mut events = Vec::new();
        self.broken = None;
        if let (Some(relay), Form::Rest(rest)) = (&mut self.relay, rest.delivery.form) {
            let mut sink = |event: Event<'_>| events.push(event.into_owned());
            relay.hand_over(&mut sink);
            for event in rest {
                self.broken = told(relay, event, &mut sink);
            }
        }
        (self.source, self.upstream, self.ear) = (rest.source, rest.upstream, rest.ear);
        self.upstream_deadline = rest.upstream_deadline;
        self.pass_on(session, events).await
    }

    /// Nobody goes on: the client is told what it broke off with.
    pub(crate) async fn end_broken(&mut self, session: &mut Session) {
        let Some((kind, message)) = self.broken.take() else {
            return;
        };
        let event = Event::Error {
            kind: kind.into(),
            message: message.into(),
        };
        if let Err(error) = self.pass_on(session, vec![event]).await {
            self.fault(error);
        }
    }

    /// Events onwards, whether somebody watches or not.
    async fn pass_on(
        &mut self,
        session: &mut Session,
        events: Vec<Event<'static>>,
    ) -> Result<(), Error> {
        if self.watched {
            return self.pass_hooks(session, events).await;
        }
        for event in events {
            self.delivery.take(event);
        }
        Ok(())
    }

    /// The gateway ends the stream with `error`.
    pub(crate) fn fault(&mut self, error: Error) {
        self.delivery.fail(&error.kind, &error.message);
        self.fault = Some(error);
    }

    /// When the answer must be there: the call's end, or the upstream's own.
    fn end(&self) -> Instant {
        let own = self.upstream_deadline;
        own.map_or(self.deadline, |own| own.min(self.deadline))
    }

    /// What is said of an answer that lasts longer than an attempt at its upstream may; an
    /// error if it is the call that is over.
    fn overdue(&self) -> Result<String, Error> {
        let config = &self.world.config;
        match config.patience(self.upstream).total_ms {
            Some(ms) if self.end() < self.deadline => {
                let setting = format!("upstreams.{}.total_timeout_ms", self.upstream().name);
                let why = format!("the upstream took longer than {ms} ms (`{setting}`)");
                Ok(why)
            }
            _ => Err(Error::overdue(config.limits.total_timeout_ms)),
        }
    }

    /// Events through the watching hooks, and what they make of them onwards.
    async fn pass_hooks(
        &mut self,
        session: &mut Session,
        mut events: Vec<Event<'static>>,
    ) -> Result<(), Error> {
        let failed = events
            .iter()
            .any(|event| matches!(event, Event::Error { .. }));
        let flow = session.on_events(&mut events).await?;
        let is_over = self.source.decoder.is_ended() && self.broken.is_none();
        if is_over && matches!(flow, Flow::Continue) {
            let ending = if failed {
                Ending::UpstreamFailed
            } else {
                Ending::Complete
            };
            session.finish(ending, &mut events).await?;
        }
        let delivery = &mut self.delivery;
        for event in events {
            self.sequencer
                .push(event, &mut |event| delivery.take(event));
        }
        if let Flow::End(refusal) = flow {
            self.end_by_hook(refusal);
        }
        Ok(())
    }

    /// A hook ended the answer: the upstream is no longer heard.
    fn end_by_hook(&mut self, refusal: Option<Refusal>) {
        let delivery = &mut self.delivery;
        let mut sink = |event: Event<'_>| delivery.take(event);
        match refusal {
            Some(refusal) => {
                self.sequencer
                    .error(&refusal.code, &refusal.message, &mut sink);
                self.refusal = Some(refusal);
            }
            None => {
                let stop = Stop::new(StopReason::EndTurn);
                self.sequencer.stop(stop, &mut sink);
            }
        }
    }

    /// The gathered answer, through the response hooks, as the client wants it.
    async fn finished(
        &mut self,
        session: &mut Session,
        message: Message,
    ) -> Result<Vec<u8>, Error> {
        let message = self.response_hooks(session, message).await?;
        let format = self.delivery.format;
        let (body, losses) = format.render(message, &self.model, self.stream);
        self.losses = losses;
        Ok(body)
    }

    async fn response_hooks(
        &self,
        session: &mut Session,
        message: Message,
    ) -> Result<Message, Error> {
        if !session.wants(Stage::Response) {
            return Ok(message);
        }
        let document = Document::new(codecs::encode_for_hooks(&message, &self.model).into());
        let (document, verdict) = session.on_response(document).await?;
        if let Verdict::Refuse(refusal) = verdict {
            return Err(Error::refused(refusal));
        }
        match document.is_edited() {
            true => codecs::decode_from_hook(&document.into_bytes()),
            false => Ok(message),
        }
    }

    /// Let the rest of the upstream's bytes come, aside, so that its connection
    /// can be used again.
    fn drain(&mut self) {
        if !self.delivery.ended {
            return;
        }
        let Some(mut reply) = self.source.reply.take() else {
            return;
        };
        // Mostly the end has come with the last bytes, and one look is enough.
        if matches!(reply.chunk().now_or_never(), Some(Ok(None) | Err(_))) {
            return;
        }
        tokio::spawn(async move {
            let rest = async { while let Ok(Some(_)) = reply.chunk().await {} };
            let _ = tokio::time::timeout(Duration::from_millis(DRAIN_MS), rest).await;
        });
    }

    /// Write down what is known by now.
    fn note(&mut self, call: &mut Call) {
        call.losses.append(self.source.decoder.take_losses());
        call.losses.append(std::mem::take(&mut self.losses));
        if let Some(relay) = &mut self.relay {
            call.losses.append(relay.take_losses());
        }
        if let Form::Stream(encoder) = &mut self.delivery.form {
            call.losses.append(encoder.take_losses());
        }
        call.usage = self.delivery.usage.clone();
        call.answer_bytes = self.delivery.content_bytes;
    }

    /// What the answer's end says of its target: what hooks did is not its fault.
    fn judge(&self, call: &Call) {
        let Some(load) = &call.load else { return };
        if self.source.failed {
            let terms = &self.world.config.attempts;
            let cools = load.failed(Blow::Counts, terms, Instant::now());
            if let Some(target) = call.target_label.as_deref().filter(|_| cools) {
                self.world.tally.cooldown(target);
            }
        } else {
            load.answered();
        }
    }

    fn conclude(&mut self, call: &mut Call) {
        self.judge(call);
        if let Some(fault) = &self.fault {
            return call.failed(fault);
        }
        match self.delivery.failure.take() {
            Some((kind, message)) => call.failed(&Error::upstream_kind(
                &self.upstream().name,
                &kind,
                &message,
            )),
            None => call.answered(),
        }
    }
}

/// An event of who tells, by way of the relay; what it broke off with, if others may
/// go on.
fn told(relay: &mut Relay, event: Event<'_>, sink: Sink<'_>) -> Option<(String, String)> {
    match event {
        Event::Error { kind, message } if relay.can_go_on() => {
            Some((kind.into_owned(), message.into_owned()))
        }
        event => {
            relay.push(event, sink);
            None
        }
    }
}

/// Upstreams quote the key they refuse.
fn scrubbed<'e>(event: Event<'e>, upstream: &Upstream) -> Event<'e> {
    match event {
        Event::Error { kind, message } => Event::Error {
            kind,
            message: upstream.scrubbed(message),
        },
        other => other,
    }
}

// === Source ===

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

impl Source {
    async fn read(&mut self) -> Result<Option<Bytes>, SendError> {
        match &mut self.reply {
            Some(reply) => reply.chunk().await,
            None => Ok(None),
        }
    }

    fn feed(&mut self, bytes: &[u8], sink: Sink<'_>) {
        self.last_byte = Instant::now();
        if matches!(self.framing, Framing::Unknown) {
            self.framing = match bytes.trim_ascii_start().first() {
                None => return,
                // JSON, or a web page: no stream, whatever was asked for.
                Some(b'{' | b'[' | b'<') => Framing::Whole(Vec::new()),
                Some(_) => Framing::Events(FrameReader::default()),
            };
        }
        match &mut self.framing {
            Framing::Unknown => {}
            Framing::Events(reader) => {
                let decoder = &mut self.decoder;
                let fed = reader.feed(bytes, &mut |frame| decoder.frame(frame.data, sink));
                if fed.is_err() {
                    self.decoder
                        .abort(502, "the upstream sent an event beyond every bound", sink);
                }
            }
            Framing::Whole(body) if body.len() + bytes.len() > WHOLE_BYTES_MAX => {
                self.too_large(sink);
            }
            Framing::Whole(body) => body.extend_from_slice(bytes),
        }
    }

    fn too_large(&mut self, sink: Sink<'_>) {
        let why = "the upstream's answer exceeds every bound";
        self.decoder.abort(502, why, sink);
    }

    fn finish(&mut self, sink: Sink<'_>) {
        match &mut self.framing {
            Framing::Unknown => {}
            Framing::Events(reader) => {
                let decoder = &mut self.decoder;
                reader.finish(&mut |frame| decoder.frame(frame.data, sink));
            }
            Framing::Whole(body) => self.decoder.body(body, sink),
        }
        self.decoder.finish(sink);
    }

    fn broken(&mut self, why: &str, sink: Sink<'_>) {
        if self.decoder.is_finished() {
            self.finish(sink);
        } else {
            self.decoder
                .abort(502, &format!("the upstream {why}"), sink);
        }
    }

    /// It has had its time, unless it said all but that it ends.
    fn give_up(&mut self, why: &str, sink: Sink<'_>) {
        if self.decoder.is_finished() {
            self.finish(sink);
        } else {
            self.timed_out = true;
            self.decoder.abort(504, why, sink);
        }
    }
}

// === Delivery ===

impl Delivery {
    fn take(&mut self, event: Event<'_>) {
        match &event {
            Event::BlockStart { block, .. } => {
                self.said |= !matches!(block, BlockStart::Text | BlockStart::Thinking);
            }
            Event::Delta { delta, .. } => {
                self.content_bytes += delta.content_bytes();
                (self.begun, self.said) = (true, true);
            }
            Event::BlockStop { .. } => self.begun = true,
            Event::Stop(stop) => {
                self.refused = !self.said && stop.reason == StopReason::Refusal;
                (self.begun, self.ended) = (true, true);
            }
            Event::Start { usage, .. } => self.usage = usage.clone(),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error { kind, message } => {
                self.ended = true;
                self.failure = Some((kind.to_string(), message.to_string()));
            }
        }
        match &mut self.form {
            Form::Stream(encoder) => encoder.encode(&event, &mut self.out),
            Form::Whole(message) => {
                self.held_bytes += held_bytes(&event);
                message.push(event);
            }
            Form::Rest(events) => events.push(event.into_owned()),
        }
    }

    /// A life sign while the upstream is silent.
    fn ping(&mut self) {
        self.format.ping(&mut self.out);
    }

    /// The answer fails in its middle.
    fn fail(&mut self, kind: &str, message: &str) {
        self.ended = true;
        self.format.error_event(kind, message, &mut self.out);
    }
}

/// What `event` adds to a gathered answer, in bytes.
fn held_bytes(event: &Event<'_>) -> usize {
    match event {
        Event::BlockStart { .. } => BLOCK_BYTES,
        Event::Delta { delta, .. } => match delta {
            Delta::Text(text)
            | Delta::Thinking(text)
            | Delta::Signature(text)
            | Delta::ToolInput(text) => text.len(),
            Delta::Other(json) => json.get().len(),
        },
        _ => 0,
    }
}
