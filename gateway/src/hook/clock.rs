//! The time that a guest has for one stage. While it waits for something outside,
//! a store or a request of its own, that time stands still: what is waited for has
//! limits of its own.
//!
//! ```text
//!  guest runs ─▶ waits, something is outside ─▶ runs ─▶ waits for nothing outside
//!  ├─ counts ──┤├──── does not count ─────────┤├──────── counts ────────────────
//! ```
//! Running counts always, also while a request is on its way. But a machine that has
//! no time for the guest must not cost it its call: a guest that runs is out of time
//! only once it has also been seen running at as many ticks of the engine.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::engine::TICK;

/// Longest wait of one host function for a server, in ms.
pub(super) const IO_MS_MAX: u64 = 1_000;

/// Longest wait of one run for stores, in all: a loop of short ones ends as well.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A deadline that its guest's store and the call into it share.
#[derive(Clone, Debug)]
pub(super) struct Clock(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    deadline: Instant,
    /// Ticks at which the guest was seen running in this stage, and how many of them
    /// its time has.
    ticks: u64,
    ticks_max: u64,
    /// Whether it waits for the host.
    waits: bool,
    /// Counts the stages, so that what an earlier one left outside gives a later
    /// one no time.
    stage: u64,
    /// How many things are outside, and when the last of them ends at the latest.
    outside: u32,
    outside_until: Instant,
    /// Since when the guest waits while something is outside.
    stands_since: Option<Instant>,
    /// What the guest has waited in this stage.
    waited: Duration,
}

impl Times {
    fn until(&self) -> Instant {
        match self.stands_since {
            Some(_) => self.deadline.max(self.outside_until),
            None => self.deadline,
        }
    }

    /// Time runs again: what it stood still is added.
    fn run_on(&mut self) {
        if let Some(since) = self.stands_since.take() {
            let waited = since.elapsed();
            self.deadline += waited;
            self.waited += waited;
        }
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Times {
            deadline: now,
            ticks: 0,
            ticks_max: 0,
            waits: false,
            stage: 0,
            outside: 0,
            outside_until: now,
            stands_since: None,
            waited: Duration::ZERO,
        })))
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Give the guest so much time from now on.
    pub(super) fn arm(&self, time_ms: u64) {
        let mut times = self.times();
        times.deadline = Instant::now() + Duration::from_millis(time_ms);
        times.ticks = 0;
        times.ticks_max = time_ms / TICK.as_millis() as u64;
        times.waits = false;
        times.stage += 1;
        times.outside = 0;
        times.stands_since = None;
        times.waited = Duration::ZERO;
    }

    /// What the guest has waited for things outside since the clock was armed.
    pub(super) fn waited(&self) -> Duration {
        self.times().waited
    }

    /// When the guest must be done, as far as is known now.
    pub(super) fn deadline(&self) -> Instant {
        self.times().until()
    }

    /// The guest was seen running at a tick. True if it has used up its time.
    pub(super) fn tick(&self) -> bool {
        self.times().ticks += 1;
        self.has_passed()
    }

    /// Whether the guest has used up its time.
    pub(super) fn has_passed(&self) -> bool {
        let times = self.times();
        let had_its_time = times.waits || times.ticks >= times.ticks_max;
        had_its_time && Instant::now() >= times.until()
    }

    /// Run `call`, a call into the guest, by this clock.
    pub(super) async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        poll_fn(|context| {
            let ticks = {
                let mut times = self.times();
                times.run_on();
                times.ticks
            };
            let polled = call.as_mut().poll(context);
            let mut times = self.times();
            times.waits = polled.is_pending() && times.ticks == ticks;
            if polled.is_pending() && times.outside > 0 {
                times.stands_since = Some(Instant::now());
            }
            polled
        })
        .await
    }

    /// Something goes outside, for at most `limit`; it is back when dropped.
    pub(super) fn leave(&self, limit: Duration) -> Outside {
        let mut times = self.times();
        let until = Instant::now() + limit;
        times.outside_until = match times.outside {
            0 => until,
            _ => times.outside_until.max(until),
        };
        times.outside += 1;
        Outside {
            clock: self.clone(),
            stage: times.stage,
        }
    }

    /// Wait for `io`, at most [`IO_MS_MAX`], without spending the guest's time; none if
    /// it takes longer, or the guest has waited too much.
    pub(super) async fn outside<T>(&self, io: impl Future<Output = T>) -> Option<T> {
        if self.waited() >= WAIT_MAX {
            return None;
        }
        let limit = Duration::from_millis(IO_MS_MAX);
        let _outside = self.leave(limit);
        tokio::time::timeout(limit, io).await.ok()
    }
}

/// Something outside, for which the guest may wait.
#[derive(Debug)]
pub(super) struct Outside {
    clock: Clock,
    stage: u64,
}

impl Drop for Outside {
    fn drop(&mut self) {
        let mut times = self.clock.times();
        if times.stage != self.stage {
            return;
        }
        times.outside -= 1;
        if times.outside == 0 {
            times.run_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A clock whose guest had 50 ms and has been given all of them.
    fn run_out() -> Clock {
        let clock = Clock::new();
        clock.arm(50);
        clock.times().deadline -= Duration::from_millis(50);
        clock
    }

    #[test]
    fn a_guest_that_the_machine_has_no_time_for_is_not_out_of_time() {
        let clock = run_out();
        let ends = (1..=6).map(|_| clock.tick()).collect::<Vec<_>>();
        assert_eq!(ends, [false, false, false, false, true, true]);
    }

    #[test]
    fn a_guest_that_waits_for_the_host_is() {
        let clock = run_out();
        let mut context = Context::from_waker(Waker::noop());
        // It runs, then it sleeps.
        let mut polls = 0;
        let mut call = pin!(clock.run(poll_fn(|_| {
            polls += 1;
            if polls == 1 {
                clock.tick();
            }
            Poll::<()>::Pending
        })));
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(!clock.has_passed(), "it ran");
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(clock.has_passed(), "it waits");
    }
}
