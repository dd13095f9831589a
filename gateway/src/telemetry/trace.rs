//! The spans of one call: noted while it runs, made when it is over.
//!
//! ```text
//! client's span (traceparent) ─▶ SERVER `chat MODEL` ─┬▶ CLIENT `chat MODEL`, an attempt
//!                                                     └▶ CLIENT ..., the next one
//! ```
//! No key, no header and no body is in them, and no prompt without the grant; errors
//! are told by their kind, since messages of upstreams quote requests.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData};
use sluice_codec::ir::{Losses, Request};

use super::Exporter;
use super::content::Prompt;
use super::conventions::*;
use super::ear::{Ear, Heard};
use crate::hook::{Edit, FailureKind, HookFailure};
use crate::tally::{Ended, Outcome};

/// One call's trace.
#[derive(Debug)]
pub(crate) struct Trace {
    exporter: Arc<Exporter>,
    /// Of the span that the call is.
    context: SpanContext,
    /// The client's span; invalid if it has none.
    parent: SpanContext,
    began: SystemTime,
    clock: Instant,
    http_route: String,
    asked: Vec<KeyValue>,
    prompt: Option<Prompt>,
    attempts: Vec<Attempt>,
}

/// Where an attempt goes.
#[derive(Debug)]
pub(crate) struct Place {
    /// The upstream's name.
    pub(crate) upstream: String,
    /// Its provider, as the conventions call it.
    pub(crate) provider: String,
    /// The model's name as it is sent.
    pub(crate) model: String,
    /// The same as it is configured.
    pub(crate) configured_model: String,
    /// Its host.
    pub(crate) address: String,
    /// Its port.
    pub(crate) port: u16,
}

/// A request to an upstream, and its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) place: Place,
    pub(super) began: Instant,
    id: SpanId,
    ended: Option<Instant>,
    status: Option<u16>,
    error: Option<String>,
    ear: Ear,
}

/// A call that ended, as far as it is told of.
#[derive(Debug)]
pub(crate) struct Finished<'c> {
    pub(crate) id: &'c str,
    pub(crate) model: &'c str,
    pub(crate) stream: bool,
    /// `upstream/model` of the latest attempt.
    pub(crate) target: Option<&'c str>,
    pub(crate) generation: u64,
    /// What is counted of it, too.
    pub(crate) ended: Ended<'c>,
    pub(crate) tried: &'c [String],
    pub(crate) losses: &'c Losses,
    pub(crate) edits: &'c [Edit],
    pub(crate) failures: &'c [HookFailure],
    pub(crate) usd: Option<f64>,
}

impl Trace {
    /// A call begins, with these headers, at this endpoint.
    pub(super) fn begin(exporter: Arc<Exporter>, headers: &HeaderMap, path: &str) -> Self {
        let context = TraceContextPropagator::new().extract(&Carrier(headers));
        let parent = context.span().span_context().clone();
        let ids = RandomIdGenerator::default();
        let (trace_id, is_sampled) = match parent.is_valid() {
            true => (parent.trace_id(), parent.is_sampled()),
            false => {
                let id = ids.new_trace_id();
                (id, exporter.samples(id))
            }
        };
        let flags = TraceFlags::default().with_sampled(is_sampled);
        let state = parent.trace_state().clone();
        Self {
            context: SpanContext::new(trace_id, ids.new_span_id(), flags, false, state),
            parent,
            began: SystemTime::now(),
            clock: Instant::now(),
            http_route: format!("/v1{path}"),
            asked: Vec::new(),
            prompt: None,
            attempts: Vec::new(),
            exporter,
        }
    }

    /// What the targets are asked, after hooks have had it.
    pub(crate) fn request(&mut self, request: &Request<'_>) {
        if !self.context.is_sampled() {
            return;
        }
        let max_tokens = request.max_tokens.and_then(|it| i64::try_from(it).ok());
        let max_tokens = max_tokens.map(|it| KeyValue::new(REQUEST_MAX_TOKENS, it));
        let temperature = request.temperature.and_then(|it| it.get().parse().ok());
        let temperature = temperature.map(|it: f64| KeyValue::new(REQUEST_TEMPERATURE, it));
        self.asked = max_tokens.into_iter().chain(temperature).collect();
        self.prompt = self.exporter.keeps_prompts().then(|| Prompt::of(request));
    }

    /// A request goes to `place`, with these headers; what listens to its answer.
    pub(crate) fn attempt(&mut self, place: Place, headers: &mut HeaderMap) -> Ear {
        let id = RandomIdGenerator::default().new_span_id();
        if self.exporter.propagates() {
            let context = Context::new().with_remote_span_context(self.context_of(id));
            TraceContextPropagator::new().inject_context(&context, &mut CarrierMut(headers));
        }
        let ear = match self.prompt {
            Some(_) => Ear::with_words(),
            None => Ear::default(),
        };
        self.attempts.push(Attempt {
            place,
            began: Instant::now(),
            id,
            ended: None,
            status: None,
            error: None,
            ear: ear.clone(),
        });
        ear
    }

    /// The upstream answers with this status.
    pub(crate) fn replied(&mut self, status: u16) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = Some(status);
        }
    }

    /// The latest attempt came to nothing, for this reason, if it was one: what was
    /// not sent is none.
    pub(crate) fn missed(&mut self, error: impl ToString) {
        let latest = self.attempts.last_mut();
        if let Some(attempt) = latest.filter(|attempt| attempt.ended.is_none()) {
            attempt.ended = Some(Instant::now());
            attempt.error = Some(error.to_string());
        }
    }

    /// The call is over.
    pub(crate) fn finish(mut self, call: &Finished<'_>) {
        // What still runs ends with the call.
        match call.ended.outcome {
            Outcome::Answered => {}
            Outcome::ClientLeft => self.missed("cancelled"),
            Outcome::Failed | Outcome::TurnedAway => self.missed(call.ended.status),
        }
        for attempt in &mut self.attempts {
            attempt.ended.get_or_insert_with(Instant::now);
        }
        let instruments = &self.exporter.instruments;
        instruments.call(&call.ended);
        for attempt in &self.attempts {
            instruments.attempt(attempt, &attempt.ear.heard(), attempt.error.as_deref());
        }
        if self.context.is_sampled() {
            let spans = self.spans(call);
            self.exporter.queue.offer(spans);
        }
    }

    fn spans(&self, call: &Finished<'_>) -> Spans {
        let attempts = self.attempts.iter();
        let clients = attempts.map(|attempt| self.client_span(attempt, call.stream));
        let spans: Vec<_> = clients.chain([self.server_span(call)]).collect();
        Spans {
            bytes: spans.iter().map(bytes_of).sum(),
            spans,
        }
    }

    fn server_span(&self, call: &Finished<'_>) -> SpanData {
        let ended = &call.ended;
        let mut attributes = vec![
            KeyValue::new(OPERATION_NAME, CHAT),
            KeyValue::new(HTTP_METHOD, "POST"),
            KeyValue::new(HTTP_ROUTE, self.http_route.clone()),
            KeyValue::new(HTTP_STATUS, i64::from(ended.status)),
            KeyValue::new("sluice.call", call.id.to_owned()),
            KeyValue::new("sluice.generation", call.generation as i64),
            KeyValue::new("sluice.outcome", ended.outcome.name()),
        ];
        attributes.extend(self.asked.iter().cloned());
        let named = [
            (REQUEST_MODEL, Some(cut(call.model))),
            ("sluice.client", Some(ended.client)),
            ("sluice.route", ended.route),
            ("sluice.target", call.target),
        ];
        for (name, text) in named {
            let text = text.filter(|text| !text.is_empty());
            attributes.extend(text.map(|text| KeyValue::new(name, text.to_owned())));
        }
        let lists = [
            ("sluice.tried", call.tried.to_vec()),
            ("sluice.losses", paths(call.losses)),
            (
                "sluice.hook.edits",
                call.edits.iter().map(Edit::to_string).collect(),
            ),
            (
                "sluice.hook.failures",
                call.failures.iter().map(failure).collect(),
            ),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            attributes.push(KeyValue::new(name, array(list)));
        }
        if call.stream {
            attributes.push(KeyValue::new(REQUEST_STREAM, true));
        }
        let first = ended.first_byte_seconds.filter(|_| call.stream);
        attributes.extend(first.map(|it| KeyValue::new(TIME_TO_FIRST_CHUNK, it)));
        attributes.extend(call.usd.map(|usd| KeyValue::new("sluice.usd", usd)));
        let is_failed = ended.outcome == Outcome::Failed;
        if is_failed {
            attributes.push(KeyValue::new(ERROR_TYPE, ended.status.to_string()));
        }
        SpanData {
            span_context: self.context.clone(),
            parent_span_id: self.parent.span_id(),
            parent_span_is_remote: self.parent.is_valid(),
            span_kind: SpanKind::Server,
            // A name that nobody wrote down is for the attributes alone.
            name: match ended.route {
                Some(_) => format!("{CHAT} {}", cut(call.model)).into(),
                None => CHAT.into(),
            },
            end_time: self.began + Duration::from_secs_f64(ended.seconds),
            // The client's mistakes are no errors of a server's.
            status: status(is_failed && ended.status >= 500),
            ..self.span(self.began, attributes)
        }
    }

    fn client_span(&self, attempt: &Attempt, stream: bool) -> SpanData {
        let place = &attempt.place;
        let heard = attempt.ear.heard();
        let mut attributes = vec![
            KeyValue::new(OPERATION_NAME, CHAT),
            KeyValue::new(PROVIDER_NAME, place.provider.clone()),
            KeyValue::new(REQUEST_MODEL, place.model.clone()),
            KeyValue::new(SERVER_ADDRESS, place.address.clone()),
            KeyValue::new(SERVER_PORT, i64::from(place.port)),
            KeyValue::new("sluice.upstream", place.upstream.clone()),
        ];
        attributes.extend(self.asked.iter().cloned());
        if stream {
            attributes.push(KeyValue::new(REQUEST_STREAM, true));
        }
        let status_code = attempt.status.map(i64::from);
        attributes.extend(status_code.map(|it| KeyValue::new(HTTP_STATUS, it)));
        let error = attempt.error.clone();
        attributes.extend(error.map(|it| KeyValue::new(ERROR_TYPE, it)));
        attributes.extend(answer(&heard, attempt.began));
        if let Some(prompt) = &self.prompt {
            attributes.push(KeyValue::new(
                SYSTEM_INSTRUCTIONS,
                StringValue::from(prompt.system.clone()),
            ));
            attributes.push(KeyValue::new(
                INPUT_MESSAGES,
                StringValue::from(prompt.messages.clone()),
            ));
        }
        let began = self.began + attempt.began.saturating_duration_since(self.clock);
        SpanData {
            span_context: self.context_of(attempt.id),
            parent_span_id: self.context.span_id(),
            span_kind: SpanKind::Client,
            name: format!("{CHAT} {}", place.model).into(),
            end_time: began + attempt.lasted(),
            status: status(attempt.error.is_some()),
            ..self.span(began, attributes)
        }
    }

    /// A span that began then, with the rest to be filled in.
    fn span(&self, began: SystemTime, attributes: Vec<KeyValue>) -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: CHAT.into(),
            start_time: began,
            end_time: began,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: scope(),
        }
    }

    /// The context of another span of this trace.
    fn context_of(&self, id: SpanId) -> SpanContext {
        let (trace_id, flags) = (self.context.trace_id(), self.context.trace_flags());
        let state: TraceState = self.context.trace_state().clone();
        SpanContext::new(trace_id, id, flags, false, state)
    }
}

impl Attempt {
    pub(super) fn lasted(&self) -> Duration {
        let ended = self.ended.unwrap_or(self.began);
        ended.saturating_duration_since(self.began)
    }
}

/// The spans of one call, and about what memory they take.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) spans: Vec<SpanData>,
    pub(super) bytes: usize,
}

/// What names these spans and numbers as the gateway's.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("sluice")
        .with_version(crate::build_info::VERSION)
        .build()
}

/// What an answer says of itself.
fn answer(heard: &Heard, began: Instant) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    let model = heard.model.clone();
    attributes.extend(model.map(|it| KeyValue::new(RESPONSE_MODEL, it)));
    let reason = heard.reason.clone();
    attributes.extend(reason.map(|it| KeyValue::new(RESPONSE_FINISH_REASONS, array(vec![it]))));
    let first = heard.first_after(began);
    attributes.extend(first.map(|it| KeyValue::new(TIME_TO_FIRST_CHUNK, it)));
    if let Some(usage) = heard.counted() {
        // The conventions count what was cached as input, too.
        let counts = [
            (INPUT_TOKENS, usage.prompt()),
            (OUTPUT_TOKENS, usage.output),
            (CACHE_READ_TOKENS, usage.cache_read),
            (CACHE_CREATION_TOKENS, usage.cache_write),
        ];
        attributes.extend(counts.map(|(name, count)| KeyValue::new(name, count as i64)));
    }
    let words = heard.words.as_ref();
    let said = words.map(|words| words.message(heard.reason.as_deref()));
    attributes.extend(said.map(|said| KeyValue::new(OUTPUT_MESSAGES, said)));
    attributes
}

fn status(is_error: bool) -> Status {
    match is_error {
        true => Status::error(""),
        false => Status::Unset,
    }
}

fn paths(losses: &Losses) -> Vec<String> {
    let listed = losses.listed().iter();
    listed.map(|loss| loss.path.clone()).collect()
}

/// Which hook failed where and how, without its own words, which may quote a prompt.
fn failure(failure: &HookFailure) -> String {
    let how = match failure.kind {
        FailureKind::Away(_) => "away",
        FailureKind::Busy => "busy",
        FailureKind::Invalid(_) => "invalid",
        FailureKind::Reported(_) => "reported",
        FailureKind::TimedOut(_) => "timed out",
        FailureKind::Trapped(_) => "trapped",
    };
    format!("{}: {} {how}", failure.hook, failure.stage)
}

fn array(items: Vec<String>) -> Value {
    Value::Array(Array::String(items.into_iter().map(Into::into).collect()))
}

/// What a span takes beside its texts, in bytes: about so many words for each attribute.
const SPAN_BYTES: usize = 1 << 10;

/// About what a span takes in memory.
fn bytes_of(span: &SpanData) -> usize {
    let texts = span
        .attributes
        .iter()
        .map(|attribute| match &attribute.value {
            Value::String(text) => text.as_str().len(),
            Value::Array(Array::String(texts)) => texts.iter().map(|it| it.as_str().len()).sum(),
            _ => 0,
        });
    SPAN_BYTES + span.name.len() + texts.sum::<usize>()
}

// === traceparent, tracestate ===

struct Carrier<'h>(&'h HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct CarrierMut<'h>(&'h mut HeaderMap);

impl Injector for CarrierMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::try_from(key);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
