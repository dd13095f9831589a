//! The time that a guest has for one stage. While it waits for something outside,
//! a store or a request of its own, that time stands still: what is waited for has
//! limits of its own.
//!
//! ```text
//!  guest runs ─▶ waits, something is outside ─▶ runs ─▶ waits for nothing outside
//!  ├─ counts ──┤├──── does not count ─────────┤├──────── counts ────────────────
//! ```
//! Running counts always, also while a request is on its way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
        let times = self.times();
        match times.stands_since {
            Some(_) => times.deadline.max(times.outside_until),
            None => times.deadline,
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    /// Run `call`, a call into the guest, by this clock.
    pub(super) async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        poll_fn(|context| {
            self.times().run_on();
            let polled = call.as_mut().poll(context);
            let mut times = self.times();
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
