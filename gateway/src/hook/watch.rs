//! Watchers: hooks on the events of one answer.
//!
//! Events pass the watchers from the last hook to the first, batch by batch. The
//! end of an answer is held until every watcher has flushed what it held back.

use std::time::{Duration, Instant};

use sluice_codec::ir::Event;
use wasmtime::component::ResourceAny;

use super::Stage;
use super::bindings::exports::sluice::hooks::on_stream as wit;
use super::error::{FailureKind, HookError};
use super::events::{from_wit, kind_of, said_bytes, to_wit, visible};
use super::ledger::Run;
use super::lines::event_to_line;
use super::module::{Instance, guard};
use super::pool::{Hook, Lease};
use super::session::{Input, Session};
use super::verdict::Refusal;
use crate::config::HookEntry;

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

/// A hook's watcher of the answer, in the instance that it lives in.
pub(super) struct Watching {
    slot: usize,
    lease: Lease,
    watcher: ResourceAny,
    wants: wit::Kinds,
    /// Bytes of what was said that it took in and has not given out.
    held_bytes: usize,
    /// Whether what it puts out takes the place of what it was shown.
    is_acting: bool,
    /// Events that it was shown; in the shadow, those of them that it would have
    /// replaced.
    shown: usize,
    replaced: usize,
}

impl Session {
    /// An answer begins: open the watchers. True if there are any.
    pub async fn open_streams(&mut self) -> Result<bool, HookError> {
        let order: Vec<_> = self.active(Stage::Stream).rev().collect();
        for at in order {
            let began = Instant::now();
            match self.open_one(at).await {
                Ok(Some(watching)) => self.watching.push(watching),
                Ok(None) => {}
                Err(kind) => {
                    let run = Run {
                        took: began.elapsed(),
                        waited: Duration::ZERO,
                        edits: 0,
                        failure: Some(&kind),
                    };
                    self.slots[at].hook.book(Stage::Stream, &run);
                    self.failed(at, Stage::Stream, kind)?;
                }
            }
        }
        Ok(!self.watching.is_empty())
    }

    async fn open_one(&mut self, at: usize) -> Result<Option<Watching>, FailureKind> {
        let hook = self.slots[at].hook.clone();
        let mut lease = hook.lease_for(Stage::Stream).await?;
        self.enter(at, &mut lease.instance, &mut Input::default());
        let deadline = lease.instance.arm();
        let Instance { store, stages, .. } = &mut lease.instance;
        let guest = stages
            .on_stream
            .as_ref()
            .ok_or_else(|| FailureKind::Invalid("no such stage".into()))?;
        let opened = guard(deadline, guest.watcher().call_open(&mut *store)).await?;
        let Some((watcher, wants)) = opened else {
            hook.release(lease);
            return Ok(None);
        };
        let wants = wants & visible(hook.entry().grants.prompt);
        Ok(Some(Watching {
            slot: at,
            lease,
            watcher,
            wants,
            held_bytes: 0,
            is_acting: self.is_acting(at),
            shown: 0,
            replaced: 0,
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
            let began = Instant::now();
            let flushed = watching.finish(ending, self.answer_bytes).await;
            let hook = &self.slots[watching.slot].hook;
            watching.book(hook, began, flushed.as_ref().err());
            let mut flushed = match flushed {
                Ok(flushed) if watching.is_acting => flushed,
                Ok(_) => {
                    self.left_shadow(&watching);
                    Vec::new()
                }
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
            let began = Instant::now();
            let handled = watching.handle(&run, self.answer_bytes).await;
            let hook = &self.slots[watching.slot].hook;
            watching.book(hook, began, handled.as_ref().err());
            match handled {
                Ok(Handled::Keep) => events.append(&mut run),
                Ok(Handled::Emit(mut emitted)) if watching.is_acting => events.append(&mut emitted),
                Ok(Handled::End(refusal)) if watching.is_acting => {
                    return Ok(Passed::Ended(refusal));
                }
                Ok(Handled::Emit(emitted)) => {
                    watching.count(&run, &emitted);
                    events.append(&mut run);
                }
                Ok(Handled::End(_)) => {
                    events.append(&mut run);
                    events.extend(rest);
                    let watching = self.watching.remove(at);
                    self.left_shadow(&watching);
                    self.decided(watching.slot, Stage::Stream, "end".into());
                    return Ok(Passed::Dropped);
                }
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

    /// A watcher in the shadow is done: what it would have done to the answer.
    fn left_shadow(&mut self, watching: &Watching) {
        let Watching {
            shown,
            replaced,
            slot,
            ..
        } = watching;
        if *replaced > 0 {
            let what = format!("replace {replaced} of {shown} events");
            self.decided(*slot, Stage::Stream, what);
        }
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
    /// The hook's place in the chain.
    fn entry(&self) -> &HookEntry {
        &self.lease.instance.store.data().terms.entry
    }

    /// Write down one batch of events, or the flush.
    fn book(&self, hook: &Hook, began: Instant, failure: Option<&FailureKind>) {
        let run = Run {
            took: began.elapsed(),
            waited: self.lease.instance.store.data().clock.waited(),
            edits: 0,
            failure,
        };
        hook.book(Stage::Stream, &run);
    }

    /// In the shadow: what it would have made of `run`.
    fn count(&mut self, run: &[Event<'_>], emitted: &[Event<'_>]) {
        let same = |(a, b): (&Event<'_>, &Event<'_>)| event_to_line(a) == event_to_line(b);
        let kept = run.iter().zip(emitted).filter(|pair| same(*pair)).count();
        self.replaced += run.len().max(emitted.len()) - kept;
    }

    async fn handle(
        &mut self,
        run: &[Event<'static>],
        answer_bytes: u64,
    ) -> Result<Handled, FailureKind> {
        self.shown += run.len();
        let events: Vec<_> = run.iter().map(to_wit).collect();
        let deadline = self.lease.instance.arm();
        let Instance { store, stages, .. } = &mut self.lease.instance;
        store.data_mut().scope.answer_bytes = answer_bytes;
        let guest = stages
            .on_stream
            .as_ref()
            .ok_or_else(|| FailureKind::Invalid("no such stage".into()))?;
        match guard(
            deadline,
            guest
                .watcher()
                .call_handle(&mut *store, self.watcher, &events),
        )
        .await?
        {
            wit::Action::Keep => Ok(Handled::Keep),
            wit::Action::Emit(events) => {
                let emitted = self.emitted(events)?;
                self.hold(run, &emitted)?;
                Ok(Handled::Emit(emitted))
            }
            wit::Action::End(refusal) => Ok(Handled::End(refusal.map(Into::into))),
        }
    }

    async fn finish(
        &mut self,
        ending: Ending,
        answer_bytes: u64,
    ) -> Result<Vec<Event<'static>>, FailureKind> {
        let deadline = self.lease.instance.arm();
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
            deadline,
            guest
                .watcher()
                .call_finish(&mut *store, self.watcher, ending),
        )
        .await?;
        self.emitted(events)
    }

    /// Keep count of what it holds back, or has swallowed.
    fn hold(&mut self, taken: &[Event<'_>], given: &[Event<'_>]) -> Result<(), FailureKind> {
        let said = |events: &[Event<'_>]| events.iter().map(said_bytes).sum::<usize>();
        self.held_bytes = (self.held_bytes + said(taken)).saturating_sub(said(given));
        let most = self.entry().limits.held_bytes_max;
        if self.held_bytes > most {
            return Err(FailureKind::Invalid(format!(
                "holds back, or swallows, more than {most} bytes of an answer"
            )));
        }
        Ok(())
    }

    fn emitted(&self, events: Vec<wit::Event>) -> Result<Vec<Event<'static>>, FailureKind> {
        let most = self.entry().limits.output_bytes_max;
        let size = |event: &wit::Event| {
            64 + event.text.as_ref().map_or(0, String::len)
                + event.data.as_ref().map_or(0, String::len)
        };
        if events.iter().map(size).sum::<usize>() > most {
            return Err(FailureKind::Invalid(format!(
                "emitted more than {most} bytes at once"
            )));
        }
        let prompt = self.entry().grants.prompt;
        let events = events.into_iter().map(|event| from_wit(event, prompt));
        events
            .collect::<Result<_, _>>()
            .map_err(FailureKind::Invalid)
    }
}
