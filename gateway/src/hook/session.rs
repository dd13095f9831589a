//! Hooks at work on one call.
//!
//! Requests pass the chain from first to last, answers from last to first. An
//! edit takes effect when its hook returns `next`; a failure costs that hook's
//! edits and, by its policy, nothing more or the call.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_codec::ir::Event;
use wasmtime::component::ResourceAny;

use super::bindings::exports::sluice::hooks as exports;
use super::bindings::sluice::hooks::types;
use super::document::{Document, EditNote};
use super::error::{FailureKind, HookError};
use super::events::{from_wit, kind_of, said_bytes, to_wit, visible};
use super::module::{Instance, guard};
use super::pool::{Hook, Lease};
use super::state::Notes;
use super::{Stage, StageSet};
use crate::config::{OnFailure, Prompt};
use exports::on_stream as wit;

/// What is known of a call from its request.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The call's id.
    pub id: String,
    /// The client's dialect.
    pub dialect: &'static str,
    /// The model's name as requested.
    pub model: String,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Size of the client's body.
    pub request_bytes: usize,
    /// The client's headers; a hook sees those it was granted.
    pub headers: Arc<HeaderMap>,
}

/// What is known of one attempt.
#[derive(Clone, Debug)]
pub struct AttemptFacts {
    /// The upstream's name.
    pub upstream: String,
    /// The model's name as sent.
    pub upstream_model: String,
    /// The upstream's dialect.
    pub upstream_dialect: &'static str,
    /// Counted from 1.
    pub attempt: u32,
}

/// What a stage decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on.
    Next,
    /// Answer the client with this.
    Reply(Reply),
    /// Refuse the call.
    Refuse(Refusal),
    /// Try the next target, for this reason.
    SkipTarget(String),
}

/// An answer in the model's place.
#[derive(Debug)]
pub enum Reply {
    /// A message of one text.
    Text(String),
    /// A whole message in the inner form, JSON text.
    Message(String),
}

/// A refusal by a hook.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error's kind.
    pub code: String,
    /// What the client's user reads.
    pub message: String,
    /// When trying again makes sense.
    pub retry_after_ms: Option<u32>,
}

/// Whether an answer goes on.
#[derive(Debug)]
pub enum Flow {
    /// It does.
    Continue,
    /// A hook ended it, cleanly or with an error.
    End(Option<Refusal>),
}

/// How an answer came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a `stop`.
    Complete,
    /// With an error.
    UpstreamFailed,
}

/// One edit, and whose it was.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The hook's name.
    pub hook: String,
    /// Where.
    pub stage: Stage,
    /// What.
    pub note: EditNote,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EditNote {
            pointer,
            before,
            after,
        } = &self.note;
        write!(f, "{}: {pointer} {before} -> {after}", self.hook)
    }
}

/// A failure that the call went on after.
pub type HookFailure = HookError;

/// The hooks of one call.
#[derive(Default)]
pub struct Session {
    facts: Option<Arc<Facts>>,
    attempt: Option<Arc<AttemptFacts>>,
    /// Hooks that match the requested model, in the chain's order.
    slots: Vec<Slot>,
    wanted: StageSet,
    watching: Vec<Watching>,
    /// `stop` or `error`, held until the watchers have flushed.
    last: Vec<Event<'static>>,
    answer_bytes: u64,
    edits: Vec<Edit>,
    failures: Vec<HookFailure>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} hooks)", self.slots.len())
    }
}

struct Slot {
    hook: Arc<Hook>,
    /// Whether it matches the upstream of the attempt at hand.
    active: bool,
    notes: Notes,
}

/// A hook's watcher of the answer, in the instance that it lives in.
struct Watching {
    slot: usize,
    lease: Lease,
    watcher: ResourceAny,
    wants: wit::Kinds,
}

impl Session {
    pub(super) fn new(hooks: impl Iterator<Item = Arc<Hook>>, facts: Facts) -> Self {
        let slots: Vec<_> = hooks
            .map(|hook| Slot {
                hook,
                active: true,
                notes: Notes::new(),
            })
            .collect();
        let mut session = Self {
            slots,
            ..Self::default()
        };
        if !session.slots.is_empty() {
            session.facts = Some(Arc::new(facts));
            session.find_wanted();
        }
        session
    }

    /// An attempt begins: from now on hooks that match its upstream run.
    pub fn attempt(&mut self, facts: AttemptFacts) {
        for slot in &mut self.slots {
            let upstreams = &slot.hook.entry.matching.upstreams;
            slot.active = upstreams.is_empty() || upstreams.contains(&facts.upstream);
        }
        self.watching.clear();
        self.last.clear();
        self.answer_bytes = 0;
        self.find_wanted();
        self.attempt = Some(Arc::new(facts));
    }

    fn find_wanted(&mut self) {
        let active = self.slots.iter().filter(|slot| slot.active);
        self.wanted = active.fold(StageSet::default(), |set, slot| set.with(slot.hook.stages));
    }

    /// Whether some hook runs at `stage`: nothing need be made for it otherwise.
    pub fn wants(&self, stage: Stage) -> bool {
        self.wanted.has(stage)
    }

    /// Whether some hook needs a streamed answer whole, and may hold it.
    pub fn needs_hold(&self) -> bool {
        self.active(Stage::Response)
            .any(|at| !self.slots[at].hook.stages.has(Stage::Stream))
    }

    /// Every change so far.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Every failure that the call went on after.
    pub fn failures(&self) -> &[HookFailure] {
        &self.failures
    }

    fn active(&self, stage: Stage) -> impl DoubleEndedIterator<Item = usize> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(move |(_, slot)| slot.active && slot.hook.stages.has(stage))
            .map(|(at, _)| at)
    }

    // === stages with a document ===

    /// Before routing.
    pub async fn on_request(&mut self, body: Document) -> Result<(Document, Verdict), HookError> {
        let order: Vec<_> = self.active(Stage::Request).collect();
        self.run(Stage::Request, order, body, None).await
    }

    /// Before sending.
    pub async fn on_upstream_request(
        &mut self,
        body: Document,
        headers: &mut HeaderMap,
    ) -> Result<(Document, Verdict), HookError> {
        let order: Vec<_> = self.active(Stage::UpstreamRequest).collect();
        self.run(Stage::UpstreamRequest, order, body, Some(headers))
            .await
    }

    /// After a whole answer.
    pub async fn on_response(&mut self, body: Document) -> Result<(Document, Verdict), HookError> {
        let order: Vec<_> = self.active(Stage::Response).rev().collect();
        self.run(Stage::Response, order, body, None).await
    }

    async fn run(
        &mut self,
        stage: Stage,
        order: Vec<usize>,
        mut body: Document,
        mut headers: Option<&mut HeaderMap>,
    ) -> Result<(Document, Verdict), HookError> {
        for at in order {
            let (returned, result) = self.run_one(stage, at, body, headers.as_deref_mut()).await;
            body = returned;
            match result {
                Ok(Verdict::Next) => {
                    let hook = &self.slots[at].hook.entry.name;
                    let notes = body.commit().into_iter();
                    self.edits.extend(notes.map(|note| Edit {
                        hook: hook.clone(),
                        stage,
                        note,
                    }));
                }
                Ok(verdict) => {
                    body.rollback();
                    return Ok((body, verdict));
                }
                Err(kind) => {
                    body.rollback();
                    self.failed(at, stage, kind)?;
                }
            }
        }
        Ok((body, Verdict::Next))
    }

    /// One hook at one stage. Its header edits are applied if it says `next`;
    /// its body edits are staged in the document.
    async fn run_one(
        &mut self,
        stage: Stage,
        at: usize,
        body: Document,
        headers: Option<&mut HeaderMap>,
    ) -> (Document, Result<Verdict, FailureKind>) {
        let hook = self.slots[at].hook.clone();
        let mut lease = match hook.lease().await {
            Ok(lease) => lease,
            Err(kind) => return (body, Err(kind)),
        };
        self.enter(at, &mut lease.instance);
        let scope = &mut lease.instance.store.data_mut().scope;
        scope.document = Some(body);
        // A hook without the grant can reach none of them: spare the copy.
        let granted = !hook.entry.grants.headers.is_empty();
        scope.headers = headers.as_deref().map(|all| {
            if granted {
                all.clone()
            } else {
                HeaderMap::new()
            }
        });
        let result = call_stage(stage, &mut lease.instance).await;
        let scope = &mut lease.instance.store.data_mut().scope;
        let body = scope
            .document
            .take()
            .expect("host functions only borrow the document");
        self.slots[at].notes = std::mem::take(&mut scope.notes);
        if let (Ok(Verdict::Next), Some(headers)) = (&result, headers) {
            let edits = std::mem::take(&mut scope.header_edits);
            self.apply_headers(at, stage, edits, headers);
        }
        if !matches!(
            result,
            Err(FailureKind::TimedOut(_) | FailureKind::Trapped(_))
        ) {
            hook.release(lease);
        }
        (body, result)
    }

    /// Put the call into an instance.
    fn enter(&mut self, at: usize, instance: &mut Instance) {
        let scope = &mut instance.store.data_mut().scope;
        scope.facts.clone_from(&self.facts);
        scope.attempt.clone_from(&self.attempt);
        scope.answer_bytes = self.answer_bytes;
        scope.notes = std::mem::take(&mut self.slots[at].notes);
    }

    fn apply_headers(
        &mut self,
        at: usize,
        stage: Stage,
        edits: Vec<(HeaderName, Option<HeaderValue>)>,
        headers: &mut HeaderMap,
    ) {
        let hook = self.slots[at].hook.entry.name.clone();
        for (name, value) in edits {
            let pointer = format!("header {name}");
            let after = if value.is_some() { "set" } else { "none" };
            let before = match value {
                Some(value) => headers.insert(name, value),
                None => headers.remove(name),
            };
            let before = if before.is_some() { "set" } else { "none" };
            let note = EditNote {
                pointer,
                before: before.into(),
                after: after.into(),
            };
            self.edits.push(Edit {
                hook: hook.clone(),
                stage,
                note,
            });
        }
    }

    /// A hook failed: an error under the policy `refuse`, a record otherwise.
    fn failed(&mut self, at: usize, stage: Stage, kind: FailureKind) -> Result<(), HookError> {
        let entry = &self.slots[at].hook.entry;
        // Before an answer exists, a hook that failed may have been a guard.
        let by_stage = match stage {
            Stage::Request | Stage::UpstreamRequest => OnFailure::Refuse,
            Stage::Response | Stage::Stream => OnFailure::Skip,
        };
        let policy = entry.on_failure.unwrap_or(by_stage);
        let error = HookError {
            hook: entry.name.clone(),
            stage,
            kind,
            policy,
        };
        let call = self.facts.as_ref().map_or("", |facts| facts.id.as_str());
        tracing::warn!(call, "{error}.");
        if policy == OnFailure::Refuse {
            return Err(error);
        }
        self.failures.push(error);
        Ok(())
    }
}

// === the stream ===

impl Session {
    /// An answer begins: open the watchers. True if there are any.
    pub async fn open_streams(&mut self) -> Result<bool, HookError> {
        let order: Vec<_> = self.active(Stage::Stream).rev().collect();
        for at in order {
            match self.open_one(at).await {
                Ok(Some(watching)) => self.watching.push(watching),
                Ok(None) => {}
                Err(kind) => self.failed(at, Stage::Stream, kind)?,
            }
        }
        Ok(!self.watching.is_empty())
    }

    async fn open_one(&mut self, at: usize) -> Result<Option<Watching>, FailureKind> {
        let hook = self.slots[at].hook.clone();
        let mut lease = hook.lease().await?;
        self.enter(at, &mut lease.instance);
        let time_ms = lease.instance.arm();
        let Instance { store, stages, .. } = &mut lease.instance;
        let guest = stages
            .on_stream
            .as_ref()
            .ok_or_else(|| FailureKind::Invalid("no such stage".into()))?;
        let opened = guard(time_ms, guest.watcher().call_open(&mut *store)).await?;
        let Some(watcher) = opened else {
            hook.release(lease);
            return Ok(None);
        };
        let wants = guard(time_ms, async {
            guest
                .watcher()
                .call_wants(&mut *store, watcher)
                .await
                .map(Ok)
        });
        let wants = wants.await? & visible(hook.entry.grants.prompt);
        Ok(Some(Watching {
            slot: at,
            lease,
            watcher,
            wants,
        }))
    }

    /// Pass events through every watcher, in place. `stop` and `error` come out
    /// of `finish`.
    pub async fn on_events(&mut self, events: &mut Vec<Event<'static>>) -> Result<Flow, HookError> {
        self.answer_bytes += events.iter().map(said_bytes).sum::<usize>() as u64;
        let mut flow = Flow::Continue;
        let mut at = 0;
        while at < self.watching.len() {
            match self.pass(at, events).await? {
                Passed::On => at += 1,
                Passed::Dropped => {}
                Passed::Ended(refusal) => {
                    flow = Flow::End(refusal);
                    at += 1;
                }
            }
        }
        let is_last = |event: &Event<'_>| matches!(event, Event::Stop(_) | Event::Error { .. });
        if let Some(from) = events.iter().position(is_last) {
            self.last.extend(events.drain(from..));
        }
        Ok(flow)
    }

    /// The answer has ended: flush what the watchers held, each flush through
    /// the watchers after it, then let go what was kept for last.
    pub async fn finish(
        &mut self,
        ending: Ending,
        events: &mut Vec<Event<'static>>,
    ) -> Result<(), HookError> {
        while !self.watching.is_empty() {
            let mut watching = self.watching.remove(0);
            let mut flushed = match watching.finish(ending, self.answer_bytes).await {
                Ok(flushed) => flushed,
                Err(kind) => {
                    self.failed(watching.slot, Stage::Stream, kind)?;
                    continue;
                }
            };
            let hook = self.slots[watching.slot].hook.clone();
            if watching
                .lease
                .instance
                .drop_resource(watching.watcher)
                .await
                .is_ok()
            {
                hook.release(watching.lease);
            }
            let mut at = 0;
            while at < self.watching.len() && !flushed.is_empty() {
                if !matches!(self.pass(at, &mut flushed).await?, Passed::Dropped) {
                    at += 1;
                }
            }
            events.append(&mut flushed);
        }
        events.append(&mut self.last);
        Ok(())
    }

    /// Events through one watcher. A watcher that fails is dropped, and its
    /// events go on as they were.
    async fn pass(
        &mut self,
        at: usize,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Passed, HookError> {
        let prompt = self.slots[self.watching[at].slot].hook.entry.grants.prompt;
        let watching = &mut self.watching[at];
        let wants = watching.wants;
        if !events.iter().any(|event| wants.contains(kind_of(event))) {
            return Ok(Passed::On);
        }
        let mut rest = std::mem::take(events).into_iter().peekable();
        while let Some(event) = rest.next() {
            if !wants.contains(kind_of(&event)) {
                events.push(event);
                continue;
            }
            let mut run = vec![event];
            while let Some(event) = rest.next_if(|event| wants.contains(kind_of(event))) {
                run.push(event);
            }
            match watching.handle(&run, self.answer_bytes, prompt).await {
                Ok(Handled::Keep) => events.append(&mut run),
                Ok(Handled::Emit(mut emitted)) => events.append(&mut emitted),
                Ok(Handled::End(refusal)) => return Ok(Passed::Ended(refusal)),
                Err(kind) => {
                    events.append(&mut run);
                    events.extend(rest);
                    let slot = self.watching.remove(at).slot;
                    self.failed(slot, Stage::Stream, kind)?;
                    return Ok(Passed::Dropped);
                }
            }
        }
        Ok(Passed::On)
    }
}

/// What became of a watcher that events were passed through.
enum Passed {
    On,
    Dropped,
    Ended(Option<Refusal>),
}

/// What a watcher made of a run of events.
enum Handled {
    Keep,
    Emit(Vec<Event<'static>>),
    End(Option<Refusal>),
}

impl Watching {
    async fn handle(
        &mut self,
        run: &[Event<'static>],
        answer_bytes: u64,
        prompt: Prompt,
    ) -> Result<Handled, FailureKind> {
        let events: Vec<_> = run.iter().map(to_wit).collect();
        let time_ms = self.lease.instance.arm();
        let Instance { store, stages, .. } = &mut self.lease.instance;
        store.data_mut().scope.answer_bytes = answer_bytes;
        let guest = stages
            .on_stream
            .as_ref()
            .ok_or_else(|| FailureKind::Invalid("no such stage".into()))?;
        match guard(
            time_ms,
            guest
                .watcher()
                .call_handle(&mut *store, self.watcher, &events),
        )
        .await?
        {
            wit::Action::Keep => Ok(Handled::Keep),
            wit::Action::Emit(events) => Ok(Handled::Emit(self.emitted(events, prompt)?)),
            wit::Action::End(refusal) => Ok(Handled::End(refusal.map(Into::into))),
        }
    }

    async fn finish(
        &mut self,
        ending: Ending,
        answer_bytes: u64,
    ) -> Result<Vec<Event<'static>>, FailureKind> {
        let time_ms = self.lease.instance.arm();
        let prompt = self.lease.instance.store.data().grants.prompt;
        let Instance { store, stages, .. } = &mut self.lease.instance;
        store.data_mut().scope.answer_bytes = answer_bytes;
        let guest = stages
            .on_stream
            .as_ref()
            .ok_or_else(|| FailureKind::Invalid("no such stage".into()))?;
        let ending = match ending {
            Ending::Complete => wit::Ending::Complete,
            Ending::UpstreamFailed => wit::Ending::UpstreamFailed,
        };
        let events = guard(
            time_ms,
            guest
                .watcher()
                .call_finish(&mut *store, self.watcher, ending),
        )
        .await?;
        self.emitted(events, prompt)
    }

    fn emitted(
        &self,
        events: Vec<wit::Event>,
        prompt: Prompt,
    ) -> Result<Vec<Event<'static>>, FailureKind> {
        let most = self.lease.instance.store.data().output_bytes_max;
        let size = |event: &wit::Event| {
            64 + event.text.as_ref().map_or(0, String::len)
                + event.data.as_ref().map_or(0, String::len)
        };
        if events.iter().map(size).sum::<usize>() > most {
            return Err(FailureKind::Invalid(format!(
                "emitted more than {most} bytes at once"
            )));
        }
        let events = events.into_iter().map(|event| from_wit(event, prompt));
        events
            .collect::<Result<_, _>>()
            .map_err(FailureKind::Invalid)
    }
}

/// Call the one function of a stage that has a document.
async fn call_stage(stage: Stage, instance: &mut Instance) -> Result<Verdict, FailureKind> {
    let time_ms = instance.arm();
    let Instance { store, stages, .. } = instance;
    let missing = || FailureKind::Invalid("no such stage".into());
    Ok(match stage {
        Stage::Request => {
            let guest = stages.on_request.as_ref().ok_or_else(missing)?;
            match guard(time_ms, guest.call_handle(store)).await? {
                exports::on_request::Verdict::Next => Verdict::Next,
                exports::on_request::Verdict::Reply(reply) => Verdict::Reply(reply.into()),
                exports::on_request::Verdict::Refuse(refusal) => Verdict::Refuse(refusal.into()),
            }
        }
        Stage::UpstreamRequest => {
            let guest = stages.on_upstream_request.as_ref().ok_or_else(missing)?;
            match guard(time_ms, guest.call_handle(store)).await? {
                exports::on_upstream_request::Verdict::Next => Verdict::Next,
                exports::on_upstream_request::Verdict::SkipTarget(why) => Verdict::SkipTarget(why),
                exports::on_upstream_request::Verdict::Reply(reply) => Verdict::Reply(reply.into()),
                exports::on_upstream_request::Verdict::Refuse(refusal) => {
                    Verdict::Refuse(refusal.into())
                }
            }
        }
        Stage::Response => {
            let guest = stages.on_response.as_ref().ok_or_else(missing)?;
            match guard(time_ms, guest.call_handle(store)).await? {
                exports::on_response::Verdict::Next => Verdict::Next,
                exports::on_response::Verdict::Refuse(refusal) => Verdict::Refuse(refusal.into()),
            }
        }
        Stage::Stream => return Err(FailureKind::Invalid("a stream has no document".into())),
    })
}

impl From<types::Reply> for Reply {
    fn from(reply: types::Reply) -> Self {
        match reply {
            types::Reply::Text(text) => Self::Text(text),
            types::Reply::Message(json) => Self::Message(json),
        }
    }
}

impl From<types::Refusal> for Refusal {
    fn from(refusal: types::Refusal) -> Self {
        let types::Refusal {
            status,
            code,
            message,
            retry_after_ms,
        } = refusal;
        Self {
            status,
            code,
            message,
            retry_after_ms,
        }
    }
}
