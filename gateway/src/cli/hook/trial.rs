//! A hook on one captured call, through the very machinery of calls, and what it
//! did.
//!
//! ```text
//! request ─▶ on-request ─▶ on-route ─▶ (encoded) ─▶ on-upstream-request
//! events  ─▶ on-stream, event by event ─▶ (gathered) ─▶ on-response
//! ```
//! With a stage named, just that one runs, and the document is its own as it
//! stands. Nothing is sent anywhere, and a hook's keys and values are its own for
//! the run.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use sluice_codec::ir::{Event, Message, Sequencer};

use super::difference::{changes, marked};
use super::facts::{TrialFacts, dialect};
use super::log::Lines;
use crate::codecs::{self, Recipient};
use crate::config::{HookEntry, OnFailure};
use crate::hook::{
    Chain, Document, Ending, Engine, Flow, HookError, Refusal, Reply, Session, Stage, StageSet,
    Verdict, event_to_line,
};
use crate::kv::Stores;
use crate::provider::{Accent, Dialect};

/// A hook, and the call to try it on.
#[derive(Debug)]
pub struct Trial {
    /// The hook's terms.
    pub entry: HookEntry,
    /// Its component.
    pub wasm: Vec<u8>,
    /// The one stage to run; without, all that the input allows.
    pub stage: Option<Stage>,
    /// The request, or that stage's document: JSON.
    pub document: Option<Vec<u8>>,
    /// The answer.
    pub events: Option<Vec<Event<'static>>>,
    /// Facts about the call, over those that the request says.
    pub attributes: Vec<(String, String)>,
    /// Headers of the message at hand.
    pub headers: HeaderMap,
    /// Targets of the route, `UPSTREAM/MODEL`.
    pub targets: Vec<String>,
}

/// What a trial came to.
#[derive(Debug)]
pub struct Outcome {
    parts: Vec<Part>,
    /// Whether the hook loaded and did not fail.
    pub is_good: bool,
}

/// Whether what differs from run to run is a part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// It is.
    Shown,
    /// It is not.
    LeftOut,
}

/// What one stage did.
#[derive(Debug, Default)]
struct Part {
    /// `on-request: next`.
    head: String,
    used: Option<Used>,
    lines: Vec<String>,
    /// Whether it may differ from run to run.
    varies: bool,
}

/// What a stage used: its time, and about so many instructions.
#[derive(Debug)]
struct Used {
    took: Duration,
    fuel: Option<u64>,
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.took.as_secs_f64() * 1e3)?;
        match self.fuel {
            Some(fuel) => write!(f, ", {fuel} fuel"),
            None => Ok(()),
        }
    }
}

/// Clock and fuel at one moment.
struct Reading {
    at: Instant,
    fuel: Option<u64>,
}

impl Reading {
    fn take(session: &Session) -> Self {
        Self {
            at: Instant::now(),
            fuel: session.fuel(),
        }
    }

    /// What has been used since. A hook that failed took its count along.
    fn used(&self, session: &Session) -> Used {
        Used {
            took: self.at.elapsed(),
            fuel: session.fuel().and_then(|fuel| fuel.checked_sub(self.fuel?)),
        }
    }
}

impl Outcome {
    /// Every stage and what it did, without a line end after it.
    pub fn text(&self, times: Times) -> String {
        let mut lines = Vec::new();
        let is_shown = |part: &&Part| times == Times::Shown || !part.varies;
        for part in self.parts.iter().filter(is_shown) {
            lines.push(match (times, &part.used) {
                (Times::Shown, Some(used)) => format!("{} ({used})", part.head),
                _ => part.head.clone(),
            });
            lines.extend(part.lines.iter().map(|line| format!("    {line}")));
        }
        lines.join("\n")
    }
}

impl Trial {
    /// Load the hook and run its stages.
    ///
    /// # Errors
    /// What is wrong with the input. A hook that does not load, or fails, is an
    /// outcome.
    pub fn run(self) -> Result<Outcome, String> {
        let facts = TrialFacts::new(&self)?;
        let engine = Engine::metered(Stores::rehearsal()).map_err(|error| error.to_string())?;
        let entry = HookEntry {
            // Whatever goes wrong is to be seen, and an answer may be held.
            on_failure: Some(OnFailure::Refuse),
            hold_streams: true,
            // This is its trial.
            trial: false,
            ..self.entry
        };
        let chain = match Chain::of_one(&engine, entry, self.wasm) {
            Ok((chain, _)) => chain,
            Err(findings) => {
                let part = Part {
                    head: "does not load".into(),
                    lines: findings.iter().map(ToString::to_string).collect(),
                    ..Part::default()
                };
                return Ok(Outcome {
                    parts: vec![part],
                    is_good: false,
                });
            }
        };
        let stages = chain.stages();
        if let Some(stage) = self.stage.filter(|stage| !stages.has(*stage)) {
            return Err(format!("the hook has no {stage}; it has {stages}"));
        }
        let lines = Lines::default();
        let mut run = Run {
            session: chain.session(facts.call.clone()),
            facts,
            headers: self.headers,
            lines: lines.clone(),
            parts: Vec::new(),
            is_good: true,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| error.to_string())?;
        let document = self.document.map(Bytes::from);
        lines.catch(|| {
            runtime.block_on(async {
                match self.stage {
                    Some(stage) => run.only(stage, document, self.events).await,
                    None => run.all(stages, document, self.events).await,
                }
            })
        })?;
        run.counted(&engine.services.metrics.render_of_hooks());
        Ok(Outcome {
            parts: run.parts,
            is_good: run.is_good,
        })
    }
}

// === a run ===

/// A trial under way.
struct Run {
    session: Session,
    facts: TrialFacts,
    headers: HeaderMap,
    lines: Lines,
    parts: Vec<Part>,
    is_good: bool,
}

/// What a stage with a document came to.
type Done = Result<(Bytes, Verdict), HookError>;

impl Run {
    /// Every stage that the input allows, as in a call.
    async fn all(
        &mut self,
        stages: StageSet,
        request: Option<Bytes>,
        events: Option<Vec<Event<'static>>>,
    ) -> Result<(), String> {
        let goes_on = match request {
            Some(request) => self.requests(stages, request).await?,
            None => true,
        };
        if let Some(events) = events.filter(|_| goes_on) {
            self.answer(stages, events).await?;
        }
        let rest = Stage::ALL.into_iter().filter(|stage| {
            let head = format!("{stage}: ");
            stages.has(*stage) && !self.parts.iter().any(|part| part.head.starts_with(&head))
        });
        let rest: StageSet = rest.collect();
        if !rest.is_empty() {
            self.parts.push(Part {
                head: format!("not run: {rest}"),
                ..Part::default()
            });
        }
        Ok(())
    }

    /// The stages before an answer; whether one would be asked for.
    async fn requests(&mut self, stages: StageSet, mut body: Bytes) -> Result<bool, String> {
        for stage in [Stage::Request, Stage::Route] {
            if stages.has(stage) {
                match self.stage(stage, body).await? {
                    Some(edited) => body = edited,
                    None => return Ok(false),
                }
            }
        }
        self.session.attempt(self.facts.attempt.clone());
        if !stages.has(Stage::UpstreamRequest) {
            return Ok(true);
        }
        let body = self.encoded(&body)?;
        Ok(self.stage(Stage::UpstreamRequest, body).await?.is_some())
    }

    /// A request of Messages as the upstream would get it.
    fn encoded(&self, body: &[u8]) -> Result<Bytes, String> {
        let attempt = &self.facts.attempt;
        let accent = Accent::of(dialect(attempt.upstream_dialect)?);
        let recipient = Recipient {
            accent: &accent,
            family: &attempt.upstream,
            model: &attempt.upstream_model,
        };
        let encode = || {
            let decoded = codecs::decode_request(Dialect::AnthropicMessages, body)?;
            let from = Dialect::AnthropicMessages;
            codecs::encode_request(from, Some(body), &decoded.request, recipient)
        };
        let encoded = encode();
        encoded
            .map(|encoded| encoded.body.into())
            .map_err(|error| format!("the request: {}", error.message))
    }

    /// One stage alone.
    async fn only(
        &mut self,
        stage: Stage,
        document: Option<Bytes>,
        events: Option<Vec<Event<'static>>>,
    ) -> Result<(), String> {
        let is_before = matches!(
            stage,
            Stage::Request | Stage::Route | Stage::CountTokens | Stage::ListModels
        );
        if !is_before {
            self.session.attempt(self.facts.attempt.clone());
        }
        match (stage, document, events) {
            (Stage::Stream, _, Some(events)) => self.stream(events).await.map(drop),
            (Stage::Stream, _, None) => Err("on-stream needs `--events`".into()),
            (Stage::UpstreamResponse, _, _) => self
                .stage(stage, Bytes::from_static(b"null"))
                .await
                .map(drop),
            (stage, Some(document), _) => self.stage(stage, document).await.map(drop),
            (stage, None, _) => Err(format!("{stage} needs `--request` with its document")),
        }
    }

    /// One stage with a document; what became of it if the call goes on.
    async fn stage(&mut self, stage: Stage, body: Bytes) -> Result<Option<Bytes>, String> {
        let json = |body: &[u8]| {
            serde_json::from_slice::<Value>(body).map_err(|error| format!("not JSON: {error}"))
        };
        let before = json(&body)?;
        let headers = self.headers.clone();
        let meter = Reading::take(&self.session);
        let done = self.call(stage, body).await;
        let used = meter.used(&self.session);
        let (head, after) = match &done {
            Ok((after, verdict)) => (said(verdict), Some(after)),
            Err(error) => (self.failed(error), None),
        };
        let mut lines = match after {
            Some(after) => changes(&before, &json(after)?),
            None => Vec::new(),
        };
        let edited = changes(&listed(&headers), &listed(&self.headers));
        lines.extend(edited.iter().map(|line| line.replacen('/', "header ", 1)));
        self.note(format!("{stage}: {head}"), Some(used), lines);
        Ok(done
            .ok()
            .and_then(|(body, verdict)| goes_on(&verdict).then_some(body)))
    }

    async fn call(&mut self, stage: Stage, body: Bytes) -> Done {
        let document = Document::new(body.clone());
        let failure = self.facts.failure;
        let status = self.facts.status;
        let session = &mut self.session;
        let edited = |(document, verdict): (Document, Verdict)| (document.into_bytes(), verdict);
        let kept = |verdict| (body.clone(), verdict);
        match stage {
            Stage::Request => session.on_request(document).await.map(edited),
            Stage::Route => {
                let targets = self.facts.targets.clone();
                session.on_route(document, targets).await.map(kept)
            }
            Stage::UpstreamRequest => {
                let sent = session.on_upstream_request(document, &mut self.headers);
                sent.await.map(edited)
            }
            Stage::UpstreamResponse => {
                let answered = session.on_upstream_response(status, &self.headers);
                answered.await.map(kept)
            }
            Stage::Response => session.on_response(document).await.map(edited),
            Stage::Error => session.on_error(document, failure).await.map(edited),
            Stage::Complete => {
                let completed = session.on_complete(document, status).await;
                completed.map(|()| kept(Verdict::Next))
            }
            Stage::CountTokens => session.on_count_tokens(document).await.map(kept),
            Stage::ListModels => session.on_list_models(document).await.map(edited),
            Stage::Stream => unreachable!("a stream has no document"),
        }
    }

    /// An answer: through the watcher, and gathered to the whole.
    async fn answer(
        &mut self,
        stages: StageSet,
        events: Vec<Event<'static>>,
    ) -> Result<(), String> {
        let is_watched = stages.has(Stage::Stream);
        let events = match is_watched {
            true => self.stream(events).await?,
            false => events,
        };
        // Of an answer that streams on to the client there is no whole.
        let is_gathered = !self.facts.call.stream || !is_watched;
        if stages.has(Stage::Response) && is_gathered {
            let (mut sequencer, mut message) = (Sequencer::default(), Message::default());
            for event in events {
                sequencer.push(event, &mut |event| message.push(event));
            }
            let body = codecs::encode_for_hooks(&message, &self.facts.call.model);
            self.stage(Stage::Response, body.into()).await?;
        }
        Ok(())
    }

    /// Events through the watcher, each as if it came alone; what came out.
    async fn stream(&mut self, events: Vec<Event<'static>>) -> Result<Vec<Event<'static>>, String> {
        let before: Vec<_> = events.iter().map(event_to_line).collect();
        let mut out = Vec::new();
        let meter = Reading::take(&self.session);
        let ended = self.watch(events, &mut out).await;
        let used = meter.used(&self.session);
        let after: Vec<_> = out.iter().map(event_to_line).collect();
        let count = format!("{} events in, {} out", before.len(), after.len());
        let head = match &ended {
            Ok(Watched::Through) => count,
            Ok(Watched::Alone) => "leaves this answer alone".to_owned(),
            Ok(Watched::Ended(None)) => format!("{count}; ends the answer"),
            Ok(Watched::Ended(Some(refusal))) => {
                format!("{count}; ends the answer with {}", refused(refusal))
            }
            Err(error) => self.failed(error),
        };
        let lines = match ended {
            Ok(Watched::Alone) => Vec::new(),
            _ => marked(&before, &after),
        };
        self.note(format!("on-stream: {head}"), Some(used), lines);
        Ok(out)
    }

    async fn watch(
        &mut self,
        events: Vec<Event<'static>>,
        out: &mut Vec<Event<'static>>,
    ) -> Result<Watched, HookError> {
        if !self.session.open_streams().await? {
            *out = events;
            return Ok(Watched::Alone);
        }
        let is_error = |event: &Event<'_>| matches!(event, Event::Error { .. });
        let ending = match events.iter().any(is_error) {
            true => Ending::UpstreamFailed,
            false => Ending::Complete,
        };
        for event in events {
            let mut batch = vec![event];
            let flow = self.session.on_events(&mut batch).await?;
            out.append(&mut batch);
            if let Flow::End(refusal) = flow {
                return Ok(Watched::Ended(refusal));
            }
        }
        self.session.finish(ending, out).await?;
        Ok(Watched::Through)
    }

    fn failed(&mut self, error: &HookError) -> String {
        self.is_good = false;
        format!("failed, it {}", error.kind.in_full())
    }

    /// Note what a stage did, and what the hook wrote into the log meanwhile.
    fn note(&mut self, head: String, used: Option<Used>, mut lines: Vec<String>) {
        lines.append(&mut self.lines.take());
        self.parts.push(Part {
            head,
            used,
            lines,
            varies: false,
        });
    }

    /// Note what the hook counted, as `/metrics` shows it.
    fn counted(&mut self, metrics: &str) {
        let is_series = |line: &&str| line.starts_with("sluice_hook_");
        let mut lines: Vec<_> = metrics
            .lines()
            .filter(is_series)
            .map(str::to_owned)
            .collect();
        if !lines.is_empty() {
            lines.sort();
            self.parts.push(Part {
                head: "metrics".into(),
                lines,
                // Histograms hold times.
                varies: true,
                used: None,
            });
        }
    }
}

/// How a watcher's answer came to its end.
enum Watched {
    Through,
    /// There was no watcher.
    Alone,
    Ended(Option<Refusal>),
}

/// Whether a call goes on after this.
fn goes_on(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Next | Verdict::Choose(_) | Verdict::Reroute(_) | Verdict::Count(_)
    )
}

/// A verdict in words.
fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Next => "next".into(),
        Verdict::Reply(Reply::Text(text)) => {
            format!("reply with the text {}", Value::from(text.as_str()))
        }
        Verdict::Reply(Reply::Message(json)) => format!("reply with the message {json}"),
        Verdict::Refuse(refusal) => format!("refuse with {}", refused(refusal)),
        Verdict::SkipTarget(why) => format!("skip this target: {why}"),
        Verdict::Retry(ms) => format!("retry after {ms} ms"),
        Verdict::Choose(targets) => {
            let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
            format!("choose {}", targets.join(", "))
        }
        Verdict::Reroute(model) => format!("reroute to {model}"),
        Verdict::Count(tokens) => format!("count {tokens}"),
    }
}

fn refused(refusal: &Refusal) -> String {
    let Refusal {
        status,
        code,
        message,
        retry_after_ms,
    } = refusal;
    let again = retry_after_ms.map_or_else(String::new, |ms| format!(" (again after {ms} ms)"));
    format!("{status} {code}: {message}{again}")
}

/// Headers as an object, so that they differ by pointer, too.
fn listed(headers: &HeaderMap) -> Value {
    let names = headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (name.to_string(), Value::from(values.join(", ")))
    });
    Value::Object(names.collect())
}
