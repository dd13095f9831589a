//! What upstreams' refusals have taught: accents, corrected while running.
//!
//! A model may deviate from what its vendor's row says. Where a refusal names the
//! very field, one more try is made with the field the other way; if it fares
//! better, the lesson is kept for the life of the snapshot.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::provider::Accent;

/// Most lessons that are kept: names of models may come from clients.
const LESSONS_MAX: usize = 1_000;

/// Corrected accents, by the upstream's position and the model's name there.
#[derive(Debug, Default)]
pub struct Lessons(RwLock<HashMap<(usize, String), Arc<Accent>>>);

impl Lessons {
    /// The accent that was learnt, if one was.
    pub fn of(&self, upstream: usize, model: &str) -> Option<Arc<Accent>> {
        let lessons = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if lessons.is_empty() {
            return None;
        }
        lessons.get(&(upstream, model.to_owned())).cloned()
    }

    /// Keep a lesson.
    pub fn learn(&self, upstream: usize, model: &str, accent: Arc<Accent>) {
        let mut lessons = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if lessons.len() < LESSONS_MAX {
            lessons.insert((upstream, model.to_owned()), accent);
        }
    }
}
