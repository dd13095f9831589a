//! A hook that leaves its version at every stage of a call: for tests of swaps.

use std::hint::black_box;

use serde::Deserialize;
use sluice_hook_sdk::{Action, Call, Ending, Event, Failure, Hook, Kinds, Verdict, Watcher, hook};

/// Tests make another build of this one by changing these bytes in the component.
static VERSION: &str = "build-aaaa";

/// Not for the compiler to see through.
fn version() -> &'static str {
    black_box(VERSION)
}

/// It has no settings.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Versioned {}

#[hook]
impl Hook for Versioned {
    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        call.set_note("before", version())?;
        Ok(Verdict::Next)
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        call.set("/before", call.note("before"))?;
        call.set("/version", version())?;
        Ok(Verdict::Next)
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        Ok(Some(Box::new(self.clone())))
    }

    fn on_response(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let text: Option<String> = call.get("/content/0/text")?;
        let text = text.unwrap_or_default();
        call.set("/content/0/text", format!("{text}{} ", version()))?;
        Ok(Verdict::Next)
    }
}

impl Watcher for Versioned {
    fn wants(&self) -> Kinds {
        Kinds::TEXT
    }

    fn on_events(&mut self, _call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        let marked = events.into_iter().map(|event| {
            let text = event.text.as_deref().unwrap_or_default();
            Event::text(event.block, format!("{text}{} ", version()))
        });
        Ok(Action::Emit(marked.collect()))
    }

    fn finish(&mut self, _call: &mut Call<'_>, _ending: Ending) -> Result<Vec<Event>, Failure> {
        Ok(vec![Event::text(99, version())])
    }
}
