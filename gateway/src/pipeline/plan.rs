//! What a call may come to: its targets with their keys, in the order in which they
//! are tried, and where it goes if that fails.
//!
//! Brings together what `route` says, how targets fare, and how large the request is;
//! sends nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sluice_codec::ir::{Request, tokens_of};

use crate::codecs;
use crate::config::{Act, Affinity, Failure, OnBrokenStream, Pick, Route, Then};
use crate::error::{Cause, Error};
use crate::health::TargetId;
use crate::provider::Dialect;
use crate::route::{self, Asker, Course, Entrant, Fit, Outlook, Resolved, Standing};
use crate::snapshot::Snapshot;
use crate::tokens;

use super::Client;

/// How often hooks may have one target tried again.
const RETRIES_MAX: u32 = 3;

/// Stands for every model that is asked for with a key.
const ANY_MODEL: &str = "*";

/// The targets that a call may go to.
pub(super) enum Choice<'w> {
    /// Of a route, which says in which order, and where else.
    Route(Vec<Resolved<'w>>),
    /// A hook chose them: in this order, and nowhere else.
    Hook(Vec<Resolved<'w>>),
}

impl<'w> Choice<'w> {
    /// The route that they are of.
    pub(super) fn route(&self) -> Option<&'w Route> {
        let (Self::Route(targets) | Self::Hook(targets)) = self;
        targets.first().map(|target| target.route)
    }
}

/// A target with one of its upstream's keys.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'w> {
    pub(super) target: Resolved<'w>,
    /// Position among the upstream's keys.
    pub(super) key: usize,
    pub(super) id: TargetId,
    /// That of its key, with any model; none if its upstream has no other.
    pub(super) key_id: Option<TargetId>,
    /// `upstream/model`, or `upstream#2/model` with one of several keys.
    pub(super) name: String,
    /// Most tokens of an answer.
    pub(super) output_limit: Option<u64>,
    standing: Standing,
    /// How often hooks had it tried again.
    retries: u32,
}

impl Candidate<'_> {
    /// What operators know its key by.
    pub(super) fn key_name(&self) -> String {
        let upstream = self.name.split('/').next().unwrap_or_default();
        format!("{upstream}/{ANY_MODEL}")
    }

    /// Whether it has not been tried again by now.
    pub(super) fn is_new(&self) -> bool {
        self.retries == 0
    }

    /// Whether hooks may have it tried again.
    pub(super) fn may_retry(&self) -> bool {
        self.retries < RETRIES_MAX
    }
}

/// The attempts that a call may come to.
pub(super) struct Plan<'w> {
    world: &'w Snapshot,
    course: Course<Candidate<'w>>,
    /// What knows where else to go; none once that is decided.
    route: Option<&'w Route>,
    session: Option<u64>,
    goes_on: bool,
    /// Whose turn it is among an upstream's keys: once a call, however many of its
    /// targets are planned.
    turns: HashMap<usize, usize>,
    size: Size,
}

/// What lies behind an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prospects {
    /// Another target can be tried at once.
    pub(super) has_others: bool,
    /// Others are there for what a vendor's policy forbids.
    pub(super) diverts_refusals: bool,
}

/// How large a request is, in tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// About so many of the prompt; none if it fits everywhere for sure.
    prompt: Option<u64>,
    /// Most of the answer, if the client says.
    answer: Option<u64>,
}

impl<'w> Plan<'w> {
    /// The plan for `choice`.
    ///
    /// # Errors
    /// The prompt fits into no window.
    pub(super) async fn new(
        world: &'w Snapshot,
        client: &Client,
        request: &Request<'_>,
        choice: Choice<'w>,
    ) -> Result<Self, Error> {
        let route = choice.route();
        let policy = route.map(|route| route.on_broken_stream);
        let (targets, route) = match choice {
            Choice::Hook(targets) => (targets, None),
            Choice::Route(targets) => (targets, route),
        };
        let mut plan = Self {
            world,
            course: Course::new([], &world.config.attempts),
            route,
            session: client.session,
            goes_on: policy == Some(OnBrokenStream::Continue),
            turns: HashMap::new(),
            size: Size::default(),
        };
        plan.size = plan.measured(client, request, &targets).await?;
        let candidates = match route {
            Some(route) => plan.along(route, targets)?,
            None => {
                let mut chosen = plan.candidates(targets, Pick::Ordered, Affinity::Session);
                for candidate in &mut chosen {
                    // What a hook chose is tried even if it should not fit.
                    let _ = plan.size.limit(candidate);
                }
                chosen
            }
        };
        plan.course = Course::new(candidates, &world.config.attempts);
        Ok(plan)
    }

    /// Whether another target goes on where an answer breaks off.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Answers have so many tokens at most.
    pub(super) fn limit(&mut self, output: u64) {
        self.course.each(|candidate| {
            let known = candidate.output_limit.unwrap_or(u64::MAX);
            candidate.output_limit = Some(known.min(output));
        });
    }

    /// The target `id` comes after all others.
    pub(super) fn put_last(&mut self, id: TargetId) {
        self.course.put_last(|candidate| candidate.id == id);
    }

    /// The next attempt, and the pause before it.
    pub(super) fn next(&mut self) -> Option<(Candidate<'w>, Duration)> {
        self.course.next(fastrand::u64(..))
    }

    /// What lies behind the latest attempt.
    pub(super) fn prospects(&self) -> Prospects {
        Prospects {
            has_others: self.course.has_next(),
            diverts_refusals: self
                .route
                .is_some_and(|it| !it.on_content_policy.is_empty()),
        }
    }

    /// What follows if nobody objects.
    pub(super) fn outlook(&self, error: &Error, act: Act, asked: Option<Duration>) -> Outlook {
        match self.diversion(error) {
            Some(_) => Outlook::SkipTarget,
            None => self.course.outlook(act, asked),
        }
    }

    /// Go on as [`Self::outlook`] said.
    pub(super) fn go_on(
        &mut self,
        candidate: Candidate<'w>,
        error: &Error,
        act: Act,
        asked: Option<Duration>,
    ) {
        if let Some(names) = self.diversion(error) {
            self.route = None;
            let candidates = self.fallbacks(names);
            self.course
                .divert(self.fitting(candidates).unwrap_or_default());
        } else if act.then == Then::Retry {
            self.course.later(candidate, asked);
        }
    }

    /// `candidate` is to be tried again, after `pause`: not for ever.
    pub(super) fn again(&mut self, mut candidate: Candidate<'w>, pause: Duration) {
        if candidate.may_retry() {
            candidate.retries += 1;
            self.course.at_once(candidate, pause);
        }
    }

    /// The names that the route has for just this failure.
    fn diversion(&self, error: &Error) -> Option<&'w [String]> {
        let route = self.route?;
        let names = match error.cause {
            Cause::Failed(Failure::Overflow) => &route.on_overflow,
            Cause::Failed(Failure::ContentPolicy) => &route.on_content_policy,
            _ => return None,
        };
        Some(names.as_slice()).filter(|names| !names.is_empty())
    }

    // === candidates ===

    /// The route's targets and then its fallbacks', as far as the prompt fits: first
    /// those that nothing is known against. Where it fits into none of the route's own,
    /// there may be others for that.
    fn along(
        &mut self,
        route: &'w Route,
        targets: Vec<Resolved<'w>>,
    ) -> Result<Vec<Candidate<'w>>, Error> {
        let own = self.candidates(targets, route.pick, route.affinity);
        let own = self.fitting(own);
        if own.is_err() && !route.on_overflow.is_empty() {
            self.route = None;
            let candidates = self.fallbacks(&route.on_overflow);
            return self.fitting(candidates);
        }
        let others = self.fallbacks(&route.fallbacks);
        let others = self.fitting(others).unwrap_or_default();
        let mut candidates = match own {
            Err(error) if others.is_empty() => return Err(error),
            own => own.unwrap_or_default(),
        };
        candidates.extend(others);
        candidates.sort_by_key(|candidate| candidate.standing.is_cooling);
        Ok(candidates)
    }

    /// Those of the models that `names` stands for, whose own fallbacks are left out:
    /// so there is an end to it.
    fn fallbacks(&mut self, names: &[String]) -> Vec<Candidate<'w>> {
        let mut candidates = Vec::new();
        for name in names {
            if let Some((route, targets)) = self.resolved(name) {
                candidates.extend(self.candidates(targets, route.pick, route.affinity));
            }
        }
        candidates
    }

    fn resolved(&self, name: &str) -> Option<(&'w Route, Vec<Resolved<'w>>)> {
        route::resolve(&self.world.config.models, name, Asker::Main)
    }

    /// `targets` with all of their keys, in order.
    fn candidates(
        &mut self,
        targets: Vec<Resolved<'w>>,
        pick: Pick,
        affinity: Affinity,
    ) -> Vec<Candidate<'w>> {
        let session = self.session.filter(|_| affinity == Affinity::Session);
        let targets = targets.into_iter();
        let mut keyed: Vec<_> = targets.map(|target| self.keyed(target, session)).collect();
        let entrant = |keys: &Vec<Candidate<'_>>| Entrant {
            identity: self.id(&keys[0].target, &[]).get(),
            priority: keys[0].target.target.priority,
            weight: keys[0].target.target.weight,
            standing: Standing::of_all(keys.iter().map(|candidate| candidate.standing)),
        };
        let entrants: Vec<_> = keyed.iter().map(entrant).collect();
        let order = route::order(pick, &entrants, session, fastrand::u64(..));
        order
            .into_iter()
            .flat_map(|i| std::mem::take(&mut keyed[i]))
            .collect()
    }

    /// `target` with each of its upstream's keys: a session has its own, the others
    /// take turns. Never empty.
    fn keyed(&mut self, target: Resolved<'w>, session: Option<u64>) -> Vec<Candidate<'w>> {
        let turn = self.turn(target.upstream);
        let now = Instant::now();
        let upstream = &self.world.config.upstreams[target.upstream];
        let endpoint = &self.world.endpoints[target.upstream];
        let count = endpoint.keys();
        let candidate = |key: usize| {
            let secret = upstream.api_keys.get(key).map_or("", |key| key.expose());
            let id = self.id(&target, secret.as_bytes());
            let key_id = (count > 1)
                .then(|| TargetId::new(&upstream.base_url, secret.as_bytes(), ANY_MODEL));
            let health = &self.world.health;
            let mut standing = health.standing(id, now);
            standing.is_cooling |= key_id.is_some_and(|id| health.standing(id, now).is_cooling);
            let number = match count {
                1 => String::new(),
                _ => format!("#{}", key + 1),
            };
            Candidate {
                key,
                id,
                key_id,
                name: format!("{}{number}/{}", upstream.name, target.model),
                output_limit: target.target.output_limit,
                standing,
                retries: 0,
                target: target.clone(),
            }
        };
        let mut keyed: Vec<_> = match session.filter(|_| count > 1) {
            None => {
                let turns = route::rotated(count, turn);
                turns.map(candidate).collect()
            }
            Some(_) => {
                let keyed: Vec<_> = (0..count).map(candidate).collect();
                let entrants: Vec<_> = keyed.iter().map(Candidate::entrant).collect();
                let order = route::order(Pick::Weighted, &entrants, session, 0);
                order.into_iter().map(|i| keyed[i].clone()).collect()
            }
        };
        keyed.sort_by_key(|candidate| candidate.standing.is_cooling);
        keyed
    }

    fn turn(&mut self, upstream: usize) -> usize {
        let endpoint = &self.world.endpoints[upstream];
        let turn = self.turns.entry(upstream);
        *turn.or_insert_with(|| endpoint.turn())
    }

    fn id(&self, target: &Resolved<'_>, key: &[u8]) -> TargetId {
        let upstream = &self.world.config.upstreams[target.upstream];
        TargetId::new(&upstream.base_url, key, &target.model)
    }

    // === sizes ===

    /// How large the request is, if that may be too large for any of the targets.
    async fn measured(
        &self,
        client: &Client,
        request: &Request<'_>,
        targets: &[Resolved<'w>],
    ) -> Result<Size, Error> {
        let elsewhere = self.route.into_iter().flat_map(|route| {
            let lists = [
                &route.fallbacks,
                &route.on_overflow,
                &route.on_content_policy,
            ];
            lists.into_iter().flatten()
        });
        let elsewhere = elsewhere.filter_map(|name| self.resolved(name));
        let elsewhere = elsewhere.flat_map(|(_, targets)| targets);
        let windows = targets.iter().cloned().chain(elsewhere);
        let mut windows = windows.filter_map(|target| target.target.context_window);
        let answer = request.max_tokens;
        let is_close = |window| route::is_close(window, client.original.len() as u64, answer);
        let prompt = match windows.any(is_close) {
            true => Some(count(client, request).await?),
            false => None,
        };
        Ok(Size { prompt, answer })
    }

    /// Those of `candidates` that the prompt fits into.
    fn fitting(&self, mut candidates: Vec<Candidate<'w>>) -> Result<Vec<Candidate<'w>>, Error> {
        let mut refusal = None;
        candidates.retain_mut(|candidate| match self.size.limit(candidate) {
            Ok(()) => true,
            Err(prompt_max) => {
                if refusal.is_none_or(|(known, _)| known < prompt_max) {
                    refusal = Some((prompt_max, &candidate.target.route.pattern));
                }
                false
            }
        });
        match refusal {
            Some((prompt_max, model)) if candidates.is_empty() => {
                let prompt = self.size.prompt.unwrap_or_default();
                Err(Error::too_long(prompt, prompt_max, model))
            }
            _ => Ok(candidates),
        }
    }
}

impl Candidate<'_> {
    fn entrant(&self) -> Entrant {
        Entrant {
            identity: self.id.get(),
            priority: 1,
            weight: 1,
            standing: self.standing,
        }
    }
}

impl Size {
    /// Limit the candidate's answer to what its window leaves; an error is the most
    /// tokens that a prompt may have there.
    fn limit(&self, candidate: &mut Candidate<'_>) -> Result<(), u64> {
        let (Some(window), Some(prompt)) = (candidate.target.target.context_window, self.prompt)
        else {
            return Ok(());
        };
        let limits = [self.answer, candidate.output_limit];
        match route::fit(window, prompt, limits.into_iter().flatten().min()) {
            Fit::Whole => Ok(()),
            Fit::Limited(answer) => {
                candidate.output_limit = Some(answer);
                Ok(())
            }
            Fit::Not(prompt_max) => Err(prompt_max),
        }
    }
}

/// About how many tokens the prompt has.
async fn count(client: &Client, request: &Request<'_>) -> Result<u64, Error> {
    let (dialect, body) = match client.body() {
        Some(body) => (client.dialect, body.clone()),
        None => (Dialect::AnthropicMessages, codecs::messages_view(request)?),
    };
    let guess = tokens_of(body.len() as u64);
    // It takes milliseconds: not on a worker of the runtime.
    let counting = tokio::task::spawn_blocking(move || {
        let decoded = codecs::decode_request(dialect, &body)?;
        Ok::<_, Error>(tokens::count(&decoded.request) as u64)
    });
    counting.await.unwrap_or(Ok(guess))
}
