//! The course of a call's attempts: each target once, in order; then those whose
//! failure may pass, again after a pause. Pure: nothing here sends or waits.
//!
//! ```text
//! round 0: a ✗retry  b ✗next  c ✗retry      a pause, at random up to its bound
//! round 1: a ✗retry           c ✗retry      a pause, twice as long
//! round 2: a                  c
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{Act, Attempts, Then};

/// The attempts of one call that are still to come.
#[derive(Clone, Debug)]
pub struct Course<C> {
    terms: Terms,
    /// Of this round.
    queue: VecDeque<(C, Duration)>,
    /// Of the next one, with how long they want to be left alone.
    again: Vec<(C, Duration)>,
    round: u32,
    begun: u32,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    retries: u32,
    attempts_max: u32,
    pause: Duration,
    pause_max: Duration,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// The next target is tried.
    SkipTarget,
    /// One that was tried before is tried again, after a pause.
    Retry,
    /// The call fails.
    Fail,
}

impl Outlook {
    /// Its name, for hooks and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipTarget => "skip-target",
            Self::Retry => "retry",
            Self::Fail => "fail",
        }
    }
}

impl<C> Course<C> {
    /// All of `candidates`, in order.
    pub fn new(candidates: impl IntoIterator<Item = C>, terms: &Attempts) -> Self {
        Self {
            terms: Terms {
                retries: terms.retries,
                attempts_max: terms.attempts_max,
                pause: Duration::from_millis(terms.pause_ms),
                pause_max: Duration::from_millis(terms.pause_ms_max),
            },
            queue: at_once(candidates),
            again: Vec::new(),
            round: 0,
            begun: 0,
        }
    }

    /// The next attempt, and the pause before it; `random` is drawn from all numbers.
    pub fn next(&mut self, random: u64) -> Option<(C, Duration)> {
        if self.begun >= self.terms.attempts_max {
            return None;
        }
        if self.queue.is_empty() && !self.again.is_empty() {
            let mut again = std::mem::take(&mut self.again);
            again.sort_by_key(|(_, asked)| *asked);
            let asked = again.first().map_or(Duration::ZERO, |(_, asked)| *asked);
            // On top, or all whom one answer sent away would come back in one moment.
            let pause = asked + self.backoff(random);
            self.queue = at_once(again.into_iter().map(|(candidate, _)| candidate));
            if let Some((_, first)) = self.queue.front_mut() {
                *first = pause;
            }
            self.round += 1;
        }
        let next = self.queue.pop_front()?;
        self.begun += 1;
        Some(next)
    }

    /// Whether there is another attempt in this round.
    pub fn has_next(&self) -> bool {
        !self.queue.is_empty() && self.begun < self.terms.attempts_max
    }

    /// What follows if a failure of the latest attempt is met with `act`; `asked` is
    /// how long the upstream wants to be left alone.
    pub fn outlook(&self, act: Act, asked: Option<Duration>) -> Outlook {
        let comes_again = act.then == Then::Retry && self.may_come_again(asked);
        match act.then {
            Then::Fail => Outlook::Fail,
            _ if self.begun >= self.terms.attempts_max => Outlook::Fail,
            _ if !self.queue.is_empty() => Outlook::SkipTarget,
            _ if comes_again || !self.again.is_empty() => Outlook::Retry,
            _ => Outlook::Fail,
        }
    }

    /// The latest attempt's failure may pass: `candidate` is tried again in the next
    /// round, if there is one and it does not want to be left alone for too long.
    pub fn later(&mut self, candidate: C, asked: Option<Duration>) {
        if self.may_come_again(asked) {
            self.again.push((candidate, asked.unwrap_or_default()));
        }
    }

    /// `candidate` is tried once more before all others, after `pause`.
    pub fn at_once(&mut self, candidate: C, pause: Duration) {
        self.queue.push_front((candidate, pause));
    }

    /// From now on only `candidates` are tried.
    pub fn divert(&mut self, candidates: impl IntoIterator<Item = C>) {
        self.queue = at_once(candidates);
        self.again.clear();
    }

    /// Those of this round for which `is_last` holds come after the others.
    pub fn put_last(&mut self, is_last: impl Fn(&C) -> bool) {
        let queue = self.queue.make_contiguous();
        queue.sort_by_key(|(candidate, _)| is_last(candidate));
    }

    /// Change all of this round.
    pub fn each(&mut self, change: impl FnMut(&mut C)) {
        let queue = self.queue.iter_mut();
        queue.map(|(candidate, _)| candidate).for_each(change);
    }

    fn may_come_again(&self, asked: Option<Duration>) -> bool {
        self.round < self.terms.retries && asked.unwrap_or_default() <= self.terms.pause_max
    }

    /// A random part of a bound that doubles each round: calls that failed together
    /// do not come back together.
    /// <https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>
    fn backoff(&self, random: u64) -> Duration {
        let doubled = self.terms.pause.saturating_mul(1 << self.round.min(16));
        let part = (random >> 11) as f64 / (1_u64 << 53) as f64;
        doubled.min(self.terms.pause_max).mul_f64(part)
    }
}

fn at_once<C>(candidates: impl IntoIterator<Item = C>) -> VecDeque<(C, Duration)> {
    let candidates = candidates.into_iter();
    candidates
        .map(|candidate| (candidate, Duration::ZERO))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Act = Act::of(Then::Retry);
    const NEXT: Act = Act::of(Then::Next);
    const FAIL: Act = Act::of(Then::Fail);

    fn course(candidates: &str) -> Course<char> {
        let terms = Attempts {
            retries: 2,
            attempts_max: 10,
            pause_ms: 100,
            pause_ms_max: 150,
            ..Attempts::default()
        };
        Course::new(candidates.chars().collect::<Vec<_>>(), &terms)
    }

    /// The attempts at `candidates`, with their pauses in ms, if those at `x` fail
    /// with what `acts` says of it, until one is not in `acts`.
    #[track_caller]
    fn check(candidates: &str, acts: &[(char, Act, u64)], expected: &str) {
        let mut course = course(candidates);
        let mut got = String::new();
        let mut outlook = None;
        while let Some((candidate, pause)) = course.next(u64::MAX) {
            assert_ne!(outlook, Some(Outlook::Fail), "{candidates}");
            if pause.as_millis() > 0 {
                got.push_str(&format!("({})", pause.as_millis()));
            }
            got.push(candidate);
            let Some((_, act, asked)) = acts.iter().find(|(name, ..)| *name == candidate) else {
                got.push('!');
                break;
            };
            let asked = (*asked > 0).then(|| Duration::from_millis(*asked));
            outlook = Some(course.outlook(*act, asked));
            match act.then {
                Then::Fail => break,
                Then::Retry => course.later(candidate, asked),
                Then::Next => {}
            }
        }
        assert_eq!(got, expected, "{candidates}");
    }

    #[test]
    fn each_once_and_then_those_that_may_come_again() {
        check("a", &[], "a!");
        check("a", &[('a', FAIL, 0)], "a");
        check("a", &[('a', NEXT, 0)], "a");
        check("ab", &[('a', FAIL, 0)], "a");
        check("ab", &[('a', NEXT, 0)], "ab!");
        check("ab", &[('a', RETRY, 0)], "ab!");
        check("a", &[('a', RETRY, 0)], "a(100)a(150)a");
        check("ab", &[('a', NEXT, 0), ('b', RETRY, 0)], "ab(100)b(150)b");
        check("ab", &[('a', RETRY, 0), ('b', FAIL, 0)], "ab");
    }

    #[test]
    fn upstreams_are_left_alone_for_as_long_as_they_ask_if_that_is_not_too_long() {
        check("a", &[('a', RETRY, 120)], "a(220)a(270)a");
        check("a", &[('a', RETRY, 150)], "a(250)a(300)a");
        check("a", &[('a', RETRY, 151)], "a");
        // The one that may come first is first.
        check(
            "ab",
            &[('a', RETRY, 140), ('b', RETRY, 110)],
            "ab(210)ba(260)ba",
        );
        check(
            "ab",
            &[('a', RETRY, 9_000), ('b', RETRY, 0)],
            "ab(100)b(150)b",
        );
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut many = course(&"a".repeat(30));
        let mut begun = 0;
        while let Some((candidate, _)) = many.next(0) {
            begun += 1;
            let expected = if begun < 10 {
                Outlook::SkipTarget
            } else {
                Outlook::Fail
            };
            assert_eq!(many.outlook(RETRY, None), expected);
            many.later(candidate, None);
        }
        assert_eq!(begun, 10);
    }

    #[test]
    fn a_diversion_leaves_the_rest_behind() {
        let mut course = course("abc");
        let (first, _) = course.next(0).unwrap();
        course.later(first, None);
        course.divert(['x', 'y']);
        assert_eq!(course.next(0).unwrap().0, 'x');
        course.at_once('x', Duration::from_millis(5));
        assert_eq!(course.next(0), Some(('x', Duration::from_millis(5))));
        assert_eq!(course.next(0).unwrap().0, 'y');
        assert_eq!(course.next(0), None);
    }
}
