//! Hooks at work on one call.
//!
//! Requests pass the chain from first to last, answers from last to first. An
//! edit takes effect when its hook returns `next`; a failure costs that hook's
//! edits and, by its policy, nothing more or the call.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sluice_codec::ir::Event;

use super::document::{Document, EditNote};
use super::error::{FailureKind, HookError};
use super::ledger::Run;
use super::module::Instance;
use super::pool::Hook;
use super::shadow::{SHADOWS_MAX, Shadow};
use super::state::Notes;
use super::verdict::{self, Verdict};
use super::watch::Watching;
use super::{Stage, StageSet};
use crate::config::{Mode, OnFailure, Prompt};

/// Host functions only borrow what a stage is shown.
const TAKEN_BACK: &str = "a stage's input comes back from it";

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
    /// The name of the client's key; empty if it has none.
    pub client: String,
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

/// One target of a route, for `on-route`.
#[derive(Clone, Debug)]
pub struct TargetFacts {
    /// The upstream's name.
    pub upstream: String,
    /// The model's name as it will be sent.
    pub model: String,
    /// The upstream's dialect.
    pub dialect: &'static str,
    /// The upstream's row in the catalogue.
    pub provider: String,
}

/// What is known of a failure, for `on-error`.
#[derive(Clone, Copy, Debug)]
pub struct FailureFacts {
    /// HTTP status for the client.
    pub status: u16,
    /// Who is at fault.
    pub origin: &'static str,
    /// What happens on `next`.
    pub decision: &'static str,
}

/// What a stage is shown, beside the call.
#[derive(Default)]
pub(super) struct Input {
    pub(super) document: Option<Document>,
    /// Headers of the message at hand; none for the client's own.
    pub(super) headers: Option<HeaderMap>,
    /// What the hook that ran last changed in them.
    header_notes: Vec<EditNote>,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) targets: Vec<TargetFacts>,
    /// What may be changed.
    pub(super) editable: Editable,
}

impl Input {
    /// Write down `edits` of headers, and do them if they are to take effect.
    fn take_headers(&mut self, edits: Vec<(HeaderName, Option<HeaderValue>)>, is_acting: bool) {
        let Some(headers) = &mut self.headers else {
            return;
        };
        let word = |is_set: bool| if is_set { "set" } else { "none" };
        for (name, value) in edits {
            self.header_notes.push(EditNote {
                pointer: format!("header {name}"),
                before: word(headers.contains_key(&name)).into(),
                after: word(value.is_some()).into(),
            });
            match value {
                _ if !is_acting => None,
                Some(value) => headers.insert(name, value),
                None => headers.remove(name),
            };
        }
    }
}

/// What a stage may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Editable {
    #[default]
    Nothing,
    Document,
    DocumentAndHeaders,
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
    pub(super) slots: Vec<Slot>,
    wanted: StageSet,
    pub(super) watching: Vec<Watching>,
    /// `stop` or `error`, held until the watchers have flushed.
    pub(super) last: Vec<Event<'static>>,
    pub(super) answer_bytes: u64,
    edits: Vec<Edit>,
    failures: Vec<HookFailure>,
    shadows: Vec<Shadow>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} hooks)", self.slots.len())
    }
}

pub(super) struct Slot {
    pub(super) hook: Arc<Hook>,
    /// Whether it matches the upstream of the attempt at hand.
    active: bool,
    notes: Notes,
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
            let upstreams = &slot.hook.entry().matching.upstreams;
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

    /// What hooks in the shadow would have done so far.
    pub fn shadows(&self) -> &[Shadow] {
        &self.shadows
    }

    /// Fuel that its hooks have used so far, those that failed aside; none if the
    /// engine is not metered.
    pub fn fuel(&self) -> Option<u64> {
        self.slots.iter().map(|slot| slot.hook.fuel()).sum()
    }

    pub(super) fn active(&self, stage: Stage) -> impl DoubleEndedIterator<Item = usize> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(move |(_, slot)| slot.active && slot.hook.stages.has(stage))
            .map(|(at, _)| at)
    }

    // === the stages ===

    /// Before routing.
    pub async fn on_request(&mut self, body: Document) -> Result<(Document, Verdict), HookError> {
        self.on_document(Stage::Request, body, Vec::new()).await
    }

    /// After routing.
    pub async fn on_route(
        &mut self,
        body: Document,
        targets: Vec<TargetFacts>,
    ) -> Result<Verdict, HookError> {
        let mut input = Input {
            document: Some(body),
            targets,
            ..Input::default()
        };
        self.run(Stage::Route, &mut input).await
    }

    /// Before sending.
    pub async fn on_upstream_request(
        &mut self,
        body: Document,
        headers: &mut HeaderMap,
    ) -> Result<(Document, Verdict), HookError> {
        let mut input = Input {
            document: Some(body),
            headers: Some(std::mem::take(headers)),
            editable: Editable::DocumentAndHeaders,
            ..Input::default()
        };
        let verdict = self.run(Stage::UpstreamRequest, &mut input).await;
        *headers = input.headers.take().expect(TAKEN_BACK);
        Ok((input.document.expect(TAKEN_BACK), verdict?))
    }

    /// When an upstream's status and headers are there.
    pub async fn on_upstream_response(
        &mut self,
        status: u16,
        headers: &HeaderMap,
    ) -> Result<Verdict, HookError> {
        let mut input = Input {
            headers: Some(headers.clone()),
            attributes: vec![("status", status.to_string())],
            ..Input::default()
        };
        self.run(Stage::UpstreamResponse, &mut input).await
    }

    /// After a whole answer.
    pub async fn on_response(&mut self, body: Document) -> Result<(Document, Verdict), HookError> {
        self.on_document(Stage::Response, body, Vec::new()).await
    }

    /// When an attempt, or the call, has failed.
    pub async fn on_error(
        &mut self,
        error: Document,
        facts: FailureFacts,
    ) -> Result<(Document, Verdict), HookError> {
        let attributes = vec![
            ("status", facts.status.to_string()),
            ("origin", facts.origin.to_owned()),
            ("decision", facts.decision.to_owned()),
        ];
        self.on_document(Stage::Error, error, attributes).await
    }

    /// After the last byte.
    pub async fn on_complete(&mut self, record: Document, status: u16) -> Result<(), HookError> {
        let mut input = Input {
            document: Some(record),
            attributes: vec![("status", status.to_string())],
            ..Input::default()
        };
        self.run(Stage::Complete, &mut input).await.map(drop)
    }

    /// The call has ended: show `record` to the hooks, aside. When too many records
    /// wait, this one is dropped and counted.
    pub fn complete(mut self, record: &Value, status: u16) {
        let Some(slot) = self.slots.first() else {
            return;
        };
        let services = slot.hook.terms.services.clone();
        let runtime = tokio::runtime::Handle::try_current();
        let permit = services.completions.try_acquire_owned();
        let (Ok(runtime), Ok(permit)) = (runtime, permit) else {
            services.metrics.add("sluice_records_dropped_total", 1, &[]);
            return;
        };
        // The watchers hold instances that nobody needs any more.
        self.watching.clear();
        let record = Document::new(record.to_string().into());
        let showing = async move {
            // What fails is in the log.
            let _ = self.on_complete(record, status).await;
            drop(permit);
        };
        services.afterwards.spawn_on(showing, &runtime);
    }

    /// When a request's tokens are counted.
    pub async fn on_count_tokens(&mut self, request: Document) -> Result<Verdict, HookError> {
        let mut input = Input {
            document: Some(request),
            ..Input::default()
        };
        self.run(Stage::CountTokens, &mut input).await
    }

    /// When the models are listed.
    pub async fn on_list_models(
        &mut self,
        list: Document,
    ) -> Result<(Document, Verdict), HookError> {
        self.on_document(Stage::ListModels, list, Vec::new()).await
    }

    async fn on_document(
        &mut self,
        stage: Stage,
        document: Document,
        attributes: Vec<(&'static str, String)>,
    ) -> Result<(Document, Verdict), HookError> {
        let mut input = Input {
            document: Some(document),
            attributes,
            editable: Editable::Document,
            ..Input::default()
        };
        let verdict = self.run(stage, &mut input).await?;
        Ok((input.document.expect(TAKEN_BACK), verdict))
    }

    /// The hooks at one stage, until one decides: requests pass them from first to
    /// last, answers from last to first.
    async fn run(&mut self, stage: Stage, input: &mut Input) -> Result<Verdict, HookError> {
        let mut order: Vec<_> = self.active(stage).collect();
        if stage.is_after_sending() {
            order.reverse();
        }
        for at in order {
            let began = Instant::now();
            let (result, waited) = self.run_one(stage, at, input).await;
            let is_next = matches!(result, Ok(Verdict::Next));
            let run = Run {
                took: began.elapsed(),
                waited,
                edits: self.settle(stage, at, input, is_next),
                failure: result.as_ref().err(),
            };
            self.slots[at].hook.book(stage, &run);
            match result {
                Ok(Verdict::Next) => {}
                Ok(verdict) if self.is_acting(at) => return Ok(verdict),
                Ok(verdict) => self.decided(at, stage, verdict.to_string()),
                Err(kind) => self.failed(at, stage, kind)?,
            }
        }
        Ok(Verdict::Next)
    }

    /// Edits take effect when their hook says `next`, and is not in the shadow. How
    /// many there were.
    fn settle(&mut self, stage: Stage, at: usize, input: &mut Input, is_next: bool) -> usize {
        let is_acting = self.is_acting(at);
        let mut notes = std::mem::take(&mut input.header_notes);
        if let Some(document) = &mut input.document {
            match (is_next, is_acting) {
                (true, true) => notes.append(&mut document.commit()),
                (true, false) => notes.append(&mut document.rollback()),
                (false, _) => drop(document.rollback()),
            }
        }
        let hook = &self.slots[at].hook.entry().name;
        let count = notes.len();
        let edits = notes.into_iter().map(|note| Edit {
            hook: hook.clone(),
            stage,
            note,
        });
        if is_acting {
            self.edits.extend(edits);
        } else {
            let room = SHADOWS_MAX.saturating_sub(self.shadows.len());
            self.shadows.extend(edits.map(Shadow::Edited).take(room));
        }
        count
    }

    /// Whether what the hook decides is done.
    pub(super) fn is_acting(&self, at: usize) -> bool {
        self.slots[at].hook.entry().mode == Mode::Act
    }

    /// A hook in the shadow would have done this.
    pub(super) fn decided(&mut self, at: usize, stage: Stage, what: String) {
        let hook = self.slots[at].hook.entry().name.clone();
        self.shadowed(Shadow::Decided { hook, stage, what });
    }

    fn shadowed(&mut self, shadow: Shadow) {
        if self.shadows.len() < SHADOWS_MAX {
            self.shadows.push(shadow);
        }
    }

    /// One hook at one stage, and how long it waited for the host. Its body edits are
    /// staged in the document; its header edits are applied if it says `next`.
    async fn run_one(
        &mut self,
        stage: Stage,
        at: usize,
        input: &mut Input,
    ) -> (Result<Verdict, FailureKind>, Duration) {
        let hook = self.slots[at].hook.clone();
        let mut lease = match hook.lease_for(stage).await {
            Ok(lease) => lease,
            Err(kind) => return (Err(kind), Duration::ZERO),
        };
        self.enter(at, &mut lease.instance, input);
        let result = verdict::call(stage, &mut lease.instance).await;
        let waited = lease.instance.store.data().clock.waited();
        let scope = &mut lease.instance.store.data_mut().scope;
        std::mem::swap(&mut scope.input, input);
        self.slots[at].notes = std::mem::take(&mut scope.notes);
        if matches!(result, Ok(Verdict::Next)) {
            let edits = std::mem::take(&mut scope.header_edits);
            input.take_headers(edits, self.is_acting(at));
        }
        if !matches!(
            result,
            Err(FailureKind::TimedOut(_) | FailureKind::Trapped(_))
        ) {
            hook.release(lease);
        }
        (result, waited)
    }

    /// Put the call into an instance.
    pub(super) fn enter(&mut self, at: usize, instance: &mut Instance, input: &mut Input) {
        let scope = &mut instance.store.data_mut().scope;
        scope.facts.clone_from(&self.facts);
        scope.attempt.clone_from(&self.attempt);
        scope.answer_bytes = self.answer_bytes;
        scope.notes = std::mem::take(&mut self.slots[at].notes);
        std::mem::swap(&mut scope.input, input);
    }

    /// A hook failed: an error under the policy `refuse`, a record otherwise.
    pub(super) fn failed(
        &mut self,
        at: usize,
        stage: Stage,
        kind: FailureKind,
    ) -> Result<(), HookError> {
        let entry = self.slots[at].hook.entry();
        if entry.mode != Mode::Act {
            let hook = entry.name.clone();
            self.shadowed(Shadow::Failed { hook, stage, kind });
            return Ok(());
        }
        let policy = entry.on_failure.unwrap_or_else(|| stage.on_failure());
        let error = HookError {
            hook: entry.name.clone(),
            stage,
            kind,
            policy,
        };
        let call = self.facts.as_ref().map_or("", |facts| facts.id.as_str());
        let words = error.kind.words();
        match entry.grants.prompt {
            _ if words.is_empty() => tracing::warn!(call, "{error}."),
            Prompt::None => tracing::warn!(call, words, "{error}."),
            // The words may be a prompt's.
            Prompt::Read | Prompt::Write => {
                tracing::warn!(call, "{error}.");
                tracing::debug!(
                    call,
                    words,
                    "Hook `{}` wrote before it trapped.",
                    entry.name
                );
            }
        }
        if policy == OnFailure::Refuse {
            return Err(error);
        }
        self.failures.push(error);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use tracing_subscriber::filter::LevelFilter;

    use super::super::bundled::bundled;
    use super::super::engine::Engine;
    use super::super::error::Trap;
    use super::super::module::Module;
    use super::super::terms::Terms;
    use super::*;
    use crate::config::HookEntry;
    use crate::kv::{Memory, Stores};

    /// What is logged, as text.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log of a hook with this grant that traps with these last words.
    fn log(prompt: Prompt, words: &str) -> String {
        let engine = Engine::new(Stores::rehearsal()).unwrap();
        let wasm = bundled()[0].wasm;
        let mut entry = HookEntry::named("it", "here");
        entry.grants.prompt = prompt;
        let terms = Terms::new(entry, engine.services.clone(), Arc::new(Memory::new(0)));
        let module = Arc::new(Module::compile(&engine, wasm).unwrap());
        let hook = Hook::new(terms, String::new(), String::new(), module, None);
        let facts = Facts {
            id: "c".into(),
            dialect: "anthropic-messages",
            model: "m".into(),
            stream: false,
            client: String::new(),
            request_bytes: 2,
            headers: Arc::default(),
        };
        let mut session = Session::new([Arc::new(hook)].into_iter(), facts);
        let kind = FailureKind::Trapped(Trap {
            cause: "unreachable".into(),
            words: words.into(),
        });
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::DEBUG)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer({
                let log = log.clone();
                move || log.clone()
            })
            .finish();
        let refused = tracing::subscriber::with_default(subscriber, || {
            session.failed(0, Stage::Request, kind)
        });
        assert!(!refused.unwrap_err().to_string().contains("secret"));
        let text = log.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[track_caller]
    fn check(prompt: Prompt, words: &str, expected: &[&str]) {
        let log = log(prompt, words);
        let lines: Vec<_> = log.lines().map(str::trim).collect();
        assert_eq!(lines, expected, "{prompt:?}");
    }

    #[test]
    fn last_words_of_who_may_read_prompts_are_for_debugging_alone() {
        let trapped = |more: &str| {
            format!(
                "WARN hook `it` trapped (unreachable) in on-request; policy `refuse`. call=\"c\"{more}"
            )
        };
        let with_words = trapped(" words=\"a secret\"");
        let without = trapped("");
        let apart = "DEBUG Hook `it` wrote before it trapped. call=\"c\" words=\"a secret\"";
        check(Prompt::None, "", &[&without]);
        check(Prompt::Write, "", &[&without]);
        check(Prompt::None, "a secret", &[&with_words]);
        check(Prompt::Read, "a secret", &[&without, apart]);
        check(Prompt::Write, "a secret", &[&without, apart]);
    }
}
