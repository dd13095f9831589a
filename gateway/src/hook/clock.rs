//! The time that a guest has for one stage. Waiting for the host is not its doing
//! and does not count: that has limits of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest wait of one host function for a server, in ms.
pub(super) const IO_MS_MAX: u64 = 1_000;

/// Longest wait of one run for servers, in ms: a loop of short ones ends as well.
const IO_MS_OF_RUN_MAX: u64 = 5_000;

/// A deadline that its guest's store and the call into it share.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    base: Instant,
    times: Arc<Times>,
}

/// In microseconds.
#[derive(Debug, Default)]
struct Times {
    /// After `base`.
    deadline: AtomicU64,
    /// Spent outside since the deadline was set.
    waited: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            times: Arc::default(),
        }
    }

    /// Give the guest so much time from now on.
    pub(super) fn arm(&self, time_ms: u64) {
        let deadline = self.base.elapsed() + Duration::from_millis(time_ms);
        self.set(deadline.as_micros() as u64);
        self.times.waited.store(0, Ordering::Relaxed);
    }

    pub(super) fn deadline(&self) -> Instant {
        self.base + Duration::from_micros(self.times.deadline.load(Ordering::Relaxed))
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    /// Time spent outside since the clock was armed.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_micros(self.times.waited.load(Ordering::Relaxed))
    }

    fn set(&self, deadline_us: u64) {
        self.times.deadline.store(deadline_us, Ordering::Relaxed);
    }

    /// Wait for `io`, without spending the guest's time; none if it takes too long,
    /// or the guest has waited too much.
    pub(super) async fn outside<T>(&self, io: impl Future<Output = T>) -> Option<T> {
        if self.waited() >= Duration::from_millis(IO_MS_OF_RUN_MAX) {
            return None;
        }
        let before = self.times.deadline.load(Ordering::Relaxed);
        let began = Instant::now();
        self.set(before + 2 * IO_MS_MAX * 1_000);
        let result = tokio::time::timeout(Duration::from_millis(IO_MS_MAX), io).await;
        let waited = began.elapsed().as_micros() as u64;
        self.times.waited.fetch_add(waited, Ordering::Relaxed);
        self.set(before + waited);
        result.ok()
    }
}
