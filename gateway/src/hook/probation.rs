//! A new version of a hook is on probation: if it crashes on its first calls, the
//! version before it runs again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::pool::Hook;

/// Calls that a version must serve well to be trusted.
const WELL_MIN: u32 = 100;

/// Crashes before that with which it is rolled back: one may be a call's own.
const HARM_MAX: u32 = 3;

/// How a hook came to its place, while that matters.
pub(super) struct Probation {
    /// Whether the rest matters at all: a hook that is trusted asks no more.
    is_on: AtomicBool,
    rolled_back: AtomicBool,
    state: Mutex<State>,
}

struct State {
    previous: Option<Arc<Hook>>,
    well: u32,
    harm: u32,
}

impl Probation {
    /// Of a hook that takes the place of `previous`.
    pub(super) fn new(previous: Option<Arc<Hook>>) -> Self {
        Self {
            is_on: AtomicBool::new(previous.is_some()),
            rolled_back: AtomicBool::new(false),
            state: Mutex::new(State {
                previous,
                well: 0,
                harm: 0,
            }),
        }
    }

    /// The version before, if it runs in this one's place.
    pub(super) fn previous_instead(&self) -> Option<Arc<Hook>> {
        if !self.rolled_back.load(Ordering::Relaxed) {
            return None;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.previous.clone()
    }

    /// Another version takes this one's place: what it would itself have gone back to
    /// is wanted no more. Otherwise every version since the last trusted one would be
    /// kept.
    pub(super) fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.previous = None;
    }

    /// Let go of what the version before would have gone back to.
    pub(super) fn end_of_previous(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = state.previous.clone();
        drop(state);
        if let Some(previous) = previous {
            previous.probation.end();
        }
    }

    /// It served a call.
    pub(super) fn did_well(&self) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.well += 1;
        if state.well >= WELL_MIN && !self.rolled_back.load(Ordering::Relaxed) {
            state.previous = None;
            self.is_on.store(false, Ordering::Relaxed);
        }
    }

    /// It crashed. True if it is rolled back for that.
    pub(super) fn did_harm(&self) -> bool {
        if !self.is_on.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.harm += 1;
        state.harm == HARM_MAX && !self.rolled_back.swap(true, Ordering::Relaxed)
    }
}
