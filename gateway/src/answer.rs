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
use futures_util::stream::{self, BoxStream, StreamExt};
use sluice_codec::ir::{BlockStart, Event, Losses, Message, Sequencer, Stop, StopReason, Usage};
use sluice_codec::sse::FrameReader;

use crate::call::Call;
use crate::codecs::{self, ClientFormat, Decoder, Encoder};
use crate::config::{Failure, Upstream};
use crate::error::Error;
use crate::health::Blow;
use crate::hook::{Document, Ending, Flow, Refusal, Session, Stage, Verdict};
use crate::snapshot::Snapshot;
use crate::upstream::{self, SendError};

/// How long a finished answer waits for token counts and the end, in ms: some
/// servers leave the connection open after the last word.
const AFTERMATH_MS: u64 = 2_000;

/// How long the rest of an ended answer's bytes is awaited, in ms, so that its
/// connection can serve again.
const DRAIN_MS: u64 = 500;

/// Largest answer that is gathered whole, in bytes.
const WHOLE_BYTES_MAX: usize = 64 << 20;

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
}

/// An answer in progress.
pub(crate) struct Answer {
    source: Source,
    /// Whether some hook watches the events.
    watched: bool,
    /// Keeps the events lawful after hooks had them; unused where none watches.
    sequencer: Sequencer,
    delivery: Delivery,
    world: Arc<Snapshot>,
    upstream: usize,
    model: String,
    stream: bool,
    deadline: Instant,
    upstream_deadline: Option<Instant>,
    takes_refusals: bool,
    /// A hook ended the answer with it.
    refusal: Option<Refusal>,
    /// The gateway ended the stream with it.
    fault: Option<Error>,
    /// What the client's dialect could not carry.
    losses: Losses,
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
    /// It was given up since nothing came.
    was_silent: bool,
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
    /// The error that came, if one did: kind and message.
    failure: Option<(String, String)>,
}

enum Form {
    /// Given out as it comes.
    Stream(Encoder),
    /// Gathered: the client wants it whole, or a hook does.
    Whole(Message),
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
        let watched = session.wants(Stage::Stream) && session.open_streams().await?;
        let form = if terms.stream && !session.needs_hold() {
            Form::Stream(terms.format.stream(&terms.model, terms.input_estimate))
        } else {
            Form::Whole(Message::default())
        };
        Ok(Self {
            source: Source {
                reply: Some(terms.reply),
                framing: Framing::Unknown,
                decoder: terms.decoder,
                last_byte: Instant::now(),
                failed: false,
                was_silent: false,
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
                failure: None,
            },
            world: terms.world,
            upstream: terms.upstream,
            model: terms.model,
            stream: terms.stream,
            deadline: terms.deadline,
            upstream_deadline: terms.upstream_deadline,
            takes_refusals: terms.takes_refusals,
            refusal: None,
            fault: None,
            losses: Losses::default(),
        })
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
        }
        let (failure, refusal) = match self.streams_on() {
            true => (None, None),
            false => (self.delivery.failure.take(), self.refusal.take()),
        };
        if let Some(refusal) = refusal {
            return Err(Error::refused(refusal));
        }
        let name = &self.upstream().name;
        if let Some((kind, message)) = failure {
            let error = Error::upstream_kind(name, &kind, &message);
            return Err(match self.source.was_silent {
                true => error.caused_by(Failure::Timeout),
                false => error,
            });
        }
        if self.delivery.refused && !self.takes_refusals {
            return Err(Error::forbidden(name));
        }
        self.drain();
        let body = match &mut self.delivery.form {
            Form::Stream(_) => None,
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
        matches!(delivery.form, Form::Stream(_)) && is_sound
    }

    /// The bytes for a client that wants a stream.
    pub(crate) fn into_stream(self: Box<Self>, mut call: Call) -> BoxStream<'static, Bytes> {
        call.is_streamed = true;
        stream::unfold((self, call), |(mut answer, mut call)| async move {
            let bytes = answer.next(&mut call).await?;
            call.first_byte();
            // The client may leave, and has had so much.
            call.answer_bytes = answer.delivery.content_bytes;
            Some((bytes, (answer, call)))
        })
        .boxed()
    }

    /// The next bytes of the stream; none at its end.
    async fn next(&mut self, call: &mut Call) -> Option<Bytes> {
        let pause = Duration::from_millis(self.world.config.limits.ping_interval_ms);
        loop {
            if !self.delivery.out.is_empty() {
                return Some(std::mem::take(&mut self.delivery.out).into());
            }
            if self.delivery.ended {
                self.drain();
                self.note(call);
                self.conclude(call);
                return None;
            }
            match self.step(&mut call.session, pause).await {
                Ok(Step::Silent) => self.delivery.ping(),
                Ok(Step::Moved) => {}
                Err(error) => {
                    self.delivery.fail(&error.kind, &error.message);
                    self.fault = Some(error);
                }
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
        if left.is_zero() || read.is_err() && left < idle_left {
            return Err(self.overdue());
        }
        let mut events = Vec::new();
        {
            let (watched, delivery) = (self.watched, &mut self.delivery);
            let upstream = &self.world.config.upstreams[self.upstream];
            let mut failed = false;
            let mut sink = |event: Event<'_>| {
                failed |= matches!(event, Event::Error { .. });
                let event = scrubbed(event, upstream);
                if watched {
                    events.push(event.into_owned())
                } else {
                    delivery.take(event)
                }
            };
            match read {
                Ok(Ok(Some(bytes))) => self.source.feed(&bytes, &mut sink),
                Ok(Ok(None)) => self.source.finish(&mut sink),
                Ok(Err(error)) => self.source.broken(&error.to_string(), &mut sink),
                Err(_) => self.source.silent(idle_ms, &mut sink),
            }
            self.source.failed |= failed;
        }
        if self.watched {
            self.pass_hooks(session, events).await?;
        }
        Ok(Step::Moved)
    }

    /// When the answer must be there: the call's end, or the upstream's own.
    fn end(&self) -> Instant {
        let own = self.upstream_deadline;
        own.map_or(self.deadline, |own| own.min(self.deadline))
    }

    /// The answer has lasted until its end.
    fn overdue(&self) -> Error {
        let config = &self.world.config;
        match config.patience(self.upstream).total_ms {
            Some(total) if self.end() < self.deadline => {
                Error::overdue_upstream(&self.upstream().name, total)
            }
            _ => Error::overdue(config.limits.total_timeout_ms),
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
        if self.source.decoder.is_ended() && matches!(flow, Flow::Continue) {
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
                        .abort("the upstream sent an event beyond every bound", sink);
                }
            }
            Framing::Whole(body) if body.len() + bytes.len() > WHOLE_BYTES_MAX => {
                self.decoder
                    .abort("the upstream's answer exceeds every bound", sink);
            }
            Framing::Whole(body) => body.extend_from_slice(bytes),
        }
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
            self.decoder.abort(&format!("the upstream {why}"), sink);
        }
    }

    fn silent(&mut self, idle_ms: u64, sink: Sink<'_>) {
        if self.decoder.is_finished() {
            self.finish(sink);
        } else {
            self.was_silent = true;
            self.decoder.abort(
                &format!("the upstream sent nothing for {} s", idle_ms / 1_000),
                sink,
            );
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
            Form::Whole(message) => message.push(event),
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
