//! Lines that hooks write into the log, caught instead of written.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The lines that hooks have written, since they were taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Do `work`, whose hooks write here; nothing else is logged meanwhile.
    pub(super) fn catch<T>(&self, work: impl FnOnce() -> T) -> T {
        let subscriber = Registry::default().with(self.clone());
        tracing::subscriber::with_default(subscriber, work)
    }

    /// What was written.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if !line.is_of_hook {
            return;
        }
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let text = format!("log {level}: {} {}", line.message, line.values);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(text.trim_end().to_owned());
    }
}

/// The fields of one line.
#[derive(Default)]
struct Line {
    is_of_hook: bool,
    message: String,
    values: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            // The gateway's own lines about a hook have no values.
            "values" => (self.is_of_hook, self.values) = (true, format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            _ => {}
        }
    }
}
