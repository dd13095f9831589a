//! What an upstream's answer says of itself, noted as it comes: model, reason, counts,
//! times, and, where that is granted, its words.
//!
//! It hears the answer before hooks do. The answer and its call share it, so that what
//! came before a client left is known, too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sluice_codec::ir::{Event, Usage};

use super::content::Words;
use super::conventions::{cut, finish_reason};

/// Listens to one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ear(Arc<Mutex<Heard>>);

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) model: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) usage: Option<Usage>,
    /// It came in pieces, so that its times say something.
    pub(super) is_streamed: bool,
    /// When its first piece came.
    pub(super) first: Option<Instant>,
    /// When it ended.
    pub(super) last: Option<Instant>,
    /// Only if that is granted.
    pub(super) words: Option<Words>,
}

impl Ear {
    /// One that keeps the words, too.
    pub(super) fn with_words() -> Self {
        let heard = Heard {
            words: Some(Words::default()),
            ..Heard::default()
        };
        Self(Arc::new(Mutex::new(heard)))
    }

    /// The answer comes in pieces.
    pub(crate) fn streamed(&self) {
        self.heard().is_streamed = true;
    }

    /// The answer goes on with `event`.
    pub(crate) fn hear(&self, event: &Event<'_>) {
        let mut heard = self.heard();
        match event {
            Event::Start { model, usage, .. } => {
                heard.model = model.as_deref().map(|model| cut(model).to_owned());
                heard.usage.clone_from(usage);
            }
            Event::Delta { .. } if heard.first.is_none() => heard.first = Some(Instant::now()),
            Event::Usage(usage) => heard.usage = Some(usage.clone()),
            Event::Stop(stop) => {
                heard.reason = Some(finish_reason(&stop.reason).to_owned());
                heard.last = Some(Instant::now());
            }
            _ => {}
        }
        if let Some(words) = &mut heard.words {
            words.hear(event);
        }
    }

    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// From `began` to its first piece, in s, of an answer that came in pieces.
    pub(super) fn first_after(&self, began: Instant) -> Option<f64> {
        let first = self.first.filter(|_| self.is_streamed)?;
        Some(first.saturating_duration_since(began).as_secs_f64())
    }

    /// Mean time of a token after the first, in s, of an answer that came in pieces.
    pub(super) fn per_token(&self) -> Option<f64> {
        let (first, last) = (self.first.filter(|_| self.is_streamed)?, self.last?);
        let tokens = self.counted()?.output.checked_sub(1);
        let tokens = tokens.filter(|tokens| *tokens > 0)?;
        Some(last.saturating_duration_since(first).as_secs_f64() / tokens as f64)
    }

    /// The counts, if the upstream counted: what is guessed says so.
    pub(super) fn counted(&self) -> Option<&Usage> {
        let usage = self.usage.as_ref()?;
        let is_guess = usage.extras.iter().any(|(name, _)| name == "estimated");
        (!is_guess).then_some(usage)
    }
}
