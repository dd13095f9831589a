//! A hook that looks at every piece of text and changes nothing: what it costs is
//! what looking costs.

use sluice_hook_sdk::{Action, Call, Event, Failure, Hook, Kinds, Watcher, hook};

#[derive(serde::Deserialize)]
struct Onlooker {}

#[hook]
impl Hook for Onlooker {
    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        Ok(Some(Box::new(Text { bytes: 0 })))
    }
}

/// Counts the text of one answer.
struct Text {
    bytes: usize,
}

impl Watcher for Text {
    fn wants(&self) -> Kinds {
        Kinds::TEXT
    }

    fn on_events(&mut self, _call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        let texts = events.iter().filter_map(|event| event.text.as_deref());
        self.bytes += texts.map(str::len).sum::<usize>();
        Ok(Action::Keep)
    }
}
