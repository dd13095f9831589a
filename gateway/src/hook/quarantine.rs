//! A hook that fails again and again is left alone for a while.
//!
//! ```text
//! failing in a row:  1  2  3  4  5 ─▶ away for 1 s ─▶ one call ─▶ well: back
//!                                          ▲             │
//!                                          └─ twice as long ◀─ fails
//! ```
//! Meanwhile its failure policy holds, at no cost: calls are refused, or go on
//! without it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that send a hook away.
const FAILURES_MAX: u32 = 5;

/// The first absence, and the longest: each one is twice the one before.
const AWAY_MIN: Duration = Duration::from_secs(1);
const AWAY_MAX: Duration = Duration::from_secs(300);

/// Whether a hook may run.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// Failures in a row; the rest is looked at only where there are any.
    failures: AtomicU32,
    away: Mutex<Away>,
}

#[derive(Debug, Default)]
struct Away {
    until: Option<Instant>,
    /// How often it was sent away without having been well since.
    times: u32,
    /// Whether a call is trying it out.
    on_trial: bool,
}

impl Quarantine {
    /// How long the hook must still be left alone; none if it may run. The first
    /// that asks when the time is over tries it out, alone.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        if self.failures.load(Ordering::Relaxed) < FAILURES_MAX {
            return None;
        }
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let until = away.until?;
        if until <= now {
            // The others wait for how it goes, but not for ever.
            away.until = Some(now + length(away.times));
            away.on_trial = true;
            return None;
        }
        Some(until - now)
    }

    /// For how many seconds more it is left alone, for a list.
    pub(super) fn left_s(&self) -> u64 {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let left = away
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        left.map_or(0, |left| left.as_secs_f64().ceil() as u64)
    }

    /// It ran, and did no harm.
    pub(super) fn did_well(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Away::default();
        }
    }

    /// It trapped, or ran out of time, or broke the interface. True if it is sent
    /// away for that.
    pub(super) fn did_harm(&self, now: Instant) -> bool {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if failures < FAILURES_MAX {
            return false;
        }
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls that began before it was sent away may fail after it was.
        if away.until.is_some() && !away.on_trial {
            return false;
        }
        *away = Away {
            until: Some(now + length(away.times)),
            times: away.times + 1,
            on_trial: false,
        };
        true
    }
}

fn length(times: u32) -> Duration {
    AWAY_MIN.saturating_mul(1 << times.min(16)).min(AWAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_a_row_send_it_away_and_twice_as_long_each_time() {
        let quarantine = Quarantine::default();
        let mut now = Instant::now();
        for _ in 1..FAILURES_MAX {
            assert!(!quarantine.did_harm(now));
            assert_eq!(quarantine.left(now), None);
        }
        for away in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(quarantine.did_harm(now), "{away}");
            let away = Duration::from_secs(away);
            assert_eq!(quarantine.left(now), Some(away));
            now += away;
            assert_eq!(quarantine.left(now), None, "one tries it out");
            assert!(quarantine.left(now).is_some(), "and the others wait");
        }
        quarantine.did_well();
        assert_eq!(quarantine.left(now), None);
        assert!(!quarantine.did_harm(now), "it begins anew");
    }

    #[test]
    fn one_that_is_well_in_between_stays() {
        let quarantine = Quarantine::default();
        let now = Instant::now();
        for _ in 0..100 {
            for _ in 1..FAILURES_MAX {
                assert!(!quarantine.did_harm(now));
            }
            quarantine.did_well();
        }
        assert_eq!(quarantine.left(now), None);
    }
}
