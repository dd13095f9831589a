//! How targets fare: whether they should be left alone for a while, what they are
//! busy with, and how long they take to begin.
//!
//! ```text
//! closed ──failures in a row, or one that says so──▶ cooling ──its time is over──▶ probing
//!    ▲                                                  ▲                             │
//!    └────────────────── it answers ────────────────────┼──────── it fails ───────────┘
//! ```
//! A stream answers once it has begun, but failures in a row are forgiven at its end only.
//! A target is an upstream's URL, one of its keys and a model's name, so what is known
//! of it outlives reloads. Time is an argument. What follows from a standing is for
//! `route::order` to say: a target is never closed to a call that has no other.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::{Attempts, FOREVER};
use crate::route::Standing;

/// Most targets that are remembered: names of models may come from clients.
const TARGETS_MAX: usize = 10_000;

/// How fast an old latency is forgotten: what a model's vendor suffers from often
/// lasts for minutes.
const LATENCY_DECAY: Duration = Duration::from_secs(60);

/// How often in a row a cooldown is doubled before its bound surely holds.
const DOUBLINGS_MAX: u32 = 16;

/// One target: an upstream's URL, a key, a model's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetId(u64);

impl TargetId {
    /// The id of `model` at `url`, asked for with `key`.
    pub fn new(url: &str, key: &[u8], model: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (url, key, model).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Tells targets apart.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// How all targets fare.
#[derive(Debug, Default)]
pub struct Health(Mutex<HashMap<TargetId, State>>);

#[derive(Debug)]
struct State {
    name: String,
    busy: u32,
    failures: u32,
    cooldowns: u32,
    cooling_until: Option<Instant>,
    is_probed: bool,
    latency: Option<Latency>,
}

/// What an attempt's failure says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// Several in a row are too many.
    Counts,
    /// This one is enough; the target may have asked for a time.
    Cools(Option<Duration>),
}

/// One target's books, for the operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetReport {
    /// Upstream, key and model.
    pub target: String,
    /// Calls that it is answering.
    pub busy: u32,
    /// Failures in a row.
    pub failures: u32,
    /// For how long it is left alone, in ms.
    pub cooling_ms: u64,
    /// Time to its first byte, the latest peak decaying, in ms.
    pub latency_ms: f64,
}

impl Health {
    /// How `id` fares.
    pub fn standing(&self, id: TargetId, now: Instant) -> Standing {
        let states = self.states();
        let state = states.get(&id);
        state.map_or_else(Standing::default, |state| state.standing(now))
    }

    /// An attempt at `id` begins; `name` is what operators know it by.
    pub fn begin(self: &Arc<Self>, id: TargetId, name: &str, now: Instant) -> Load {
        let mut states = self.states();
        if states.len() >= TARGETS_MAX && !states.contains_key(&id) {
            states.retain(|_, state| state.matters(now));
        }
        let mut is_probe = false;
        if states.len() < TARGETS_MAX || states.contains_key(&id) {
            let state = states.entry(id).or_insert_with(|| State::new(name));
            state.busy += 1;
            is_probe = state.is_due(now);
            state.is_probed |= is_probe;
        }
        Load {
            health: self.clone(),
            id,
            is_probe,
            began: now,
        }
    }

    /// The books of all targets that were tried.
    pub fn report(&self, now: Instant) -> Vec<TargetReport> {
        let states = self.states();
        let mut reports: Vec<_> = states.values().map(|state| state.report(now)).collect();
        reports.sort_by(|a, b| a.target.cmp(&b.target));
        reports
    }

    fn states(&self) -> MutexGuard<'_, HashMap<TargetId, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, id: TargetId, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.states().get_mut(&id) {
            change(state);
        }
    }
}

/// What one attempt loads upon its target, until it is dropped. Unless it reports
/// something, it says nothing of the target: the client may have left.
#[derive(Debug)]
pub struct Load {
    health: Arc<Health>,
    id: TargetId,
    is_probe: bool,
    began: Instant,
}

impl Load {
    /// Whom it is upon.
    pub fn target(&self) -> TargetId {
        self.id
    }

    /// The target has answered, to the end.
    pub fn answered(&self) {
        self.health.update(self.id, |state| {
            (state.failures, state.cooldowns, state.cooling_until) = (0, 0, None);
        });
    }

    /// The target has begun to answer, a stream.
    pub fn begun(&self, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        let ms = took.as_secs_f64() * 1_000.0;
        self.health.update(self.id, |state| {
            state.latency = Some(Latency::with(state.latency, ms, now));
            state.cooling_until = None;
        });
    }

    /// The attempt failed. Whether the target is left alone from now on.
    pub fn failed(&self, blow: Blow, terms: &Attempts, now: Instant) -> bool {
        let mut cools = false;
        self.health.update(self.id, |state| {
            state.failures += 1;
            let asked = match blow {
                Blow::Counts if state.failures < terms.failures_max && !self.is_probe => return,
                Blow::Counts => None,
                Blow::Cools(asked) => asked,
            };
            let time = state.cool(asked, terms);
            let (target, ms) = (&state.name, time.as_millis() as u64);
            tracing::warn!(target, ms, "A target is left alone for a while.");
            state.cooling_until = Some(now + time);
            cools = true;
        });
        cools
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let is_probe = self.is_probe;
        self.health.update(self.id, |state| {
            state.busy = state.busy.saturating_sub(1);
            state.is_probed &= !is_probe;
        });
    }
}

impl State {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            busy: 0,
            failures: 0,
            cooldowns: 0,
            cooling_until: None,
            is_probed: false,
            latency: None,
        }
    }

    fn standing(&self, now: Instant) -> Standing {
        Standing {
            busy: self.busy,
            latency_ms: self.latency.map_or(0.0, |latency| latency.at(now)),
            is_cooling: self.cooling_until.is_some() && !self.is_due(now),
        }
    }

    /// Whether the next attempt is the one that finds out.
    fn is_due(&self, now: Instant) -> bool {
        self.cooling_until.is_some_and(|until| until <= now) && !self.is_probed
    }

    fn matters(&self, now: Instant) -> bool {
        self.busy > 0 || self.cooling_until.is_some_and(|until| until > now)
    }

    /// How long the target is left alone: twice as long each time, or as it asks.
    fn cool(&mut self, asked: Option<Duration>, terms: &Attempts) -> Duration {
        let first = Duration::from_millis(terms.cooldown_ms);
        let doubled = first.saturating_mul(1 << self.cooldowns.min(DOUBLINGS_MAX));
        self.cooldowns += 1;
        self.failures = 0;
        let most = Duration::from_millis(terms.cooldown_ms_max);
        asked.unwrap_or(doubled).min(most).min(FOREVER)
    }

    fn report(&self, now: Instant) -> TargetReport {
        let left = self
            .cooling_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        TargetReport {
            target: self.name.clone(),
            busy: self.busy,
            failures: self.failures,
            cooling_ms: left.as_millis() as u64,
            latency_ms: self.standing(now).latency_ms,
        }
    }
}

/// A moving average that follows every peak at once and forgets it slowly.
#[derive(Clone, Copy, Debug)]
struct Latency {
    ms: f64,
    seen: Instant,
}

impl Latency {
    fn with(before: Option<Self>, ms: f64, now: Instant) -> Self {
        let ms = match before {
            Some(before) if before.at(now) > ms => {
                let weight = before.weight(now);
                before.ms * weight + ms * (1.0 - weight)
            }
            _ => ms,
        };
        Self { ms, seen: now }
    }

    /// What is left of it: a target that nobody asks becomes worth a try again.
    fn at(self, now: Instant) -> f64 {
        self.ms * self.weight(now)
    }

    fn weight(self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.seen);
        (-age.as_secs_f64() / LATENCY_DECAY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TargetId = TargetId(1);

    fn terms() -> Attempts {
        Attempts {
            failures_max: 3,
            cooldown_ms: 1_000,
            cooldown_ms_max: 3_000,
            ..Attempts::default()
        }
    }

    /// One target, and a clock in ms.
    struct Case {
        health: Arc<Health>,
        zero: Instant,
    }

    impl Case {
        fn new() -> Self {
            Self {
                health: Arc::default(),
                zero: Instant::now(),
            }
        }

        fn at(&self, ms: u64) -> Instant {
            self.zero + Duration::from_millis(ms)
        }

        fn begin(&self, ms: u64) -> Load {
            self.health.begin(ID, "up/m", self.at(ms))
        }

        fn fail(&self, ms: u64, blow: Blow) -> Option<u64> {
            self.begin(ms).failed(blow, &terms(), self.at(ms));
            let left = self.health.report(self.at(ms))[0].cooling_ms;
            (left > 0).then_some(left)
        }

        #[track_caller]
        fn check(&self, ms: u64, is_cooling: bool) {
            let standing = self.health.standing(ID, self.at(ms));
            assert_eq!(standing.is_cooling, is_cooling, "at {ms} ms");
        }
    }

    #[test]
    fn failures_in_a_row_cool_a_target_and_an_answer_forgives_them() {
        let case = Case::new();
        case.check(0, false);
        assert_eq!(case.fail(0, Blow::Counts), None);
        assert_eq!(case.fail(0, Blow::Counts), None);
        case.begin(0).answered();
        assert_eq!(case.fail(0, Blow::Counts), None);
        assert_eq!(case.fail(0, Blow::Counts), None);
        case.check(0, false);
        assert_eq!(case.fail(0, Blow::Counts), Some(1_000));
        case.check(999, true);
        case.check(1_000, false);
    }

    #[test]
    fn one_probe_finds_out_whether_it_is_over() {
        let case = Case::new();
        assert_eq!(case.fail(0, Blow::Cools(None)), Some(1_000));
        let probe = case.begin(1_000);
        case.check(1_000, true);
        // The client left: another may find out.
        drop(probe);
        case.check(1_000, false);
        assert_eq!(case.fail(1_000, Blow::Counts), Some(2_000), "one is enough");
        case.check(2_999, true);
        assert_eq!(case.fail(3_000, Blow::Counts), Some(3_000), "at most");
        let probe = case.begin(6_000);
        probe.begun(case.at(6_000));
        case.check(6_000, false);
        probe.answered();
        case.check(6_000, false);
        assert_eq!(
            case.fail(6_000, Blow::Counts),
            None,
            "as if nothing had been"
        );
        assert_eq!(case.fail(6_000, Blow::Cools(None)), Some(1_000));
    }

    #[test]
    fn a_target_is_left_alone_for_as_long_as_it_asks_within_bounds() {
        let case = Case::new();
        let asked = |ms| Blow::Cools(Some(Duration::from_millis(ms)));
        assert_eq!(case.fail(0, asked(200)), Some(200));
        case.check(200, false);
        assert_eq!(case.fail(200, asked(90_000)), Some(3_000));
    }

    #[test]
    fn loads_are_counted_while_they_last() {
        let case = Case::new();
        let busy = || case.health.standing(ID, case.zero).busy;
        let (one, two) = (case.begin(0), case.begin(0));
        assert_eq!(busy(), 2);
        drop(one);
        assert_eq!(busy(), 1);
        drop(two);
        assert_eq!(busy(), 0);
        assert_eq!(case.health.report(case.zero)[0].target, "up/m");
    }

    #[test]
    fn latency_follows_peaks_at_once_and_forgets_them_slowly() {
        let case = Case::new();
        let seen = |ms, took| {
            case.begin(ms).begun(case.at(ms + took));
            case.health
                .standing(ID, case.at(ms + took))
                .latency_ms
                .round()
        };
        assert_eq!(seen(0, 100), 100.0);
        assert_eq!(seen(0, 900), 900.0);
        assert_eq!(seen(0, 100), 900.0);
        // After a minute, 1/e of the old is left in the mean.
        assert_eq!(seen(60_000, 100), 394.0);
        assert_eq!(seen(60_001, 500), 500.0);
        let later = case.health.standing(ID, case.at(360_001)).latency_ms;
        assert!(later < 4.0, "{later}");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let case = Case::new();
        let held = case.begin(0);
        for id in 0..=TARGETS_MAX as u64 {
            drop(case.health.begin(TargetId(id + 2), "x", case.zero));
        }
        assert!(case.health.report(case.zero).len() <= TARGETS_MAX);
        assert_eq!(case.health.standing(ID, case.zero).busy, 1);
        drop(held);
    }
}
