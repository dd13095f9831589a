//! The time that a guest has for one stage. Waiting for the host is not its doing
//! and does not count: that has limits of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest wait of one host function for a server, in ms.
pub(super) const IO_MS_MAX: u64 = 1_000;

/// A deadline that its guest's store and the call into it share.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    base: Instant,
    /// The deadline, in microseconds after `base`.
    deadline_us: Arc<AtomicU64>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            deadline_us: Arc::default(),
        }
    }

    /// Give the guest so much time from now on.
    pub(super) fn arm(&self, time_ms: u64) {
        let deadline = self.base.elapsed() + Duration::from_millis(time_ms);
        self.set(deadline.as_micros() as u64);
    }

    pub(super) fn deadline(&self) -> Instant {
        self.base + Duration::from_micros(self.deadline_us.load(Ordering::Relaxed))
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    fn set(&self, deadline_us: u64) {
        self.deadline_us.store(deadline_us, Ordering::Relaxed);
    }

    /// Wait for `io`, at most [`IO_MS_MAX`], without spending the guest's time.
    pub(super) async fn outside<T>(&self, io: impl Future<Output = T>) -> Option<T> {
        let before = self.deadline_us.load(Ordering::Relaxed);
        let began = Instant::now();
        self.set(before + 2 * IO_MS_MAX * 1_000);
        let result = tokio::time::timeout(Duration::from_millis(IO_MS_MAX), io).await;
        self.set(before + began.elapsed().as_micros() as u64);
        result.ok()
    }
}
