//! Native tests of hooks: a call in memory, everything granted.

mod answer;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::call::Host;
use crate::{Action, Call, Ending, Event, Failure, Hook, Kind, Kinds, Target, Watcher};

/// Largest piece that [`TestCall::answer`] cuts texts into, in characters: beyond
/// the marks that hooks look for, whole texts are the more telling case.
const PIECE_MAX: usize = 16;

/// A call for a test.
#[derive(Debug, Default)]
pub struct TestCall {
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) measures: BTreeMap<String, f64>,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
    pub(crate) now_ms: u64,
    body: Value,
}

impl TestCall {
    /// A call with this body, JSON text.
    ///
    /// # Panics
    /// If `body` is not JSON.
    pub fn new(body: &str) -> Self {
        let body = serde_json::from_str(body).expect("a test's body is JSON");
        Self {
            body,
            ..Self::default()
        }
    }

    /// With an attribute.
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a measure.
    pub fn measure(mut self, name: &str, value: f64) -> Self {
        self.measures.insert(name.to_owned(), value);
        self
    }

    /// With a header of the client's request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// At this time, in milliseconds since 1970; 0 by default.
    pub fn at(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// With a target of the route, behind those that there are.
    pub fn target(mut self, upstream: &str, model: &str) -> Self {
        self.targets.push(Target {
            upstream: upstream.to_owned(),
            model: model.to_owned(),
        });
        self
    }

    /// With a value that the hook has kept.
    pub fn kept(mut self, key: &str, value: &[u8]) -> Self {
        self.kept.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The call, for a stage.
    pub fn call(&mut self) -> Call<'_> {
        Call(Host::Test(self))
    }

    /// The body as it is now, JSON text.
    pub fn body(&self) -> String {
        self.body.to_string()
    }

    /// What becomes of an answer, in Anthropic's form, that passes the hook's
    /// watcher; with its texts whole, and cut into pieces of every size.
    ///
    /// # Panics
    /// If it matters how the answer is cut.
    pub fn answer(&mut self, hook: &impl Hook, answer: &Value) -> Result<Value, Failure> {
        let whole = answer::gather(&self.stream(hook, &[answer::split(answer, 0)])?);
        for size in 1..=PIECE_MAX {
            let events = answer::split(answer, size);
            let batches = [
                vec![events.clone()],
                events.into_iter().map(|event| vec![event]).collect(),
            ];
            for batches in batches {
                let cut = answer::gather(&self.stream(hook, &batches)?);
                assert_eq!(cut, whole, "in pieces of {size} characters");
            }
        }
        Ok(whole)
    }

    /// Pass events through a hook's watcher, one batch after the other, and
    /// gather what comes out as the gateway does: what the watcher holds back to
    /// the end goes ahead of the `stop`.
    pub fn stream(
        &mut self,
        hook: &impl Hook,
        batches: &[Vec<Event>],
    ) -> Result<Vec<Event>, Failure> {
        let Some(mut watcher) = hook.on_stream(&mut self.call())? else {
            return Ok(batches.concat());
        };
        let wants = watcher.wants();
        let (mut out, mut last) = (Vec::new(), Vec::new());
        for batch in batches {
            for run in
                batch.chunk_by(|a, b| wants.contains(kind_flag(a)) && wants.contains(kind_flag(b)))
            {
                let mut run = run.to_vec();
                if wants.contains(kind_flag(&run[0])) {
                    match watcher.on_events(&mut self.call(), run.clone())? {
                        Action::Keep => {}
                        Action::Emit(events) => run = events,
                        Action::End(_) => return Ok(out),
                    }
                }
                let end = run.iter().position(is_end).unwrap_or(run.len());
                last.extend(run.split_off(end));
                out.append(&mut run);
            }
        }
        let ending = match last.iter().any(|event| event.kind == Kind::Stop) {
            true => Ending::Complete,
            false => Ending::UpstreamFailed,
        };
        out.extend(Watcher::finish(&mut *watcher, &mut self.call(), ending)?);
        out.append(&mut last);
        Ok(out)
    }

    pub(crate) fn get(&self, pointer: &str) -> Option<String> {
        self.body.pointer(pointer).map(Value::to_string)
    }

    pub(crate) fn len(&self, pointer: &str) -> Option<usize> {
        match self.body.pointer(pointer)? {
            Value::Array(items) => Some(items.len()),
            Value::Object(members) => Some(members.len()),
            _ => None,
        }
    }

    pub(crate) fn set(&mut self, pointer: &str, json: &str) -> Result<(), Failure> {
        let value: Value =
            serde_json::from_str(json).map_err(|error| Failure(error.to_string()))?;
        if let Some(place) = self.body.pointer_mut(pointer) {
            *place = value;
            return Ok(());
        }
        let missing = || {
            Failure(format!(
                "invalid: `{pointer}`: its parent is no object or array"
            ))
        };
        let (parent, key) = pointer.rsplit_once('/').ok_or_else(missing)?;
        match self.body.pointer_mut(parent) {
            Some(Value::Object(members)) => {
                members.insert(key.replace("~1", "/").replace("~0", "~"), value);
                Ok(())
            }
            Some(Value::Array(items)) if key == "-" => {
                items.push(value);
                Ok(())
            }
            _ => Err(missing()),
        }
    }

    pub(crate) fn remove(&mut self, pointer: &str) -> bool {
        let Some((parent, key)) = pointer.rsplit_once('/') else {
            return false;
        };
        match self.body.pointer_mut(parent) {
            Some(Value::Object(members)) => members
                .shift_remove(&key.replace("~1", "/").replace("~0", "~"))
                .is_some(),
            Some(Value::Array(items)) => match key.parse::<usize>() {
                Ok(at) if at < items.len() => {
                    items.remove(at);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event.kind, Kind::Stop | Kind::Error)
}

fn kind_flag(event: &Event) -> Kinds {
    Kinds::from_bits_retain(1 << event.kind as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Holds;

    /// Holds all text back, to the end.
    struct Holding(String);

    impl Hook for Holds {
        fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
            Ok(Some(Box::new(Holding(String::new()))))
        }
    }

    impl Watcher for Holding {
        fn wants(&self) -> Kinds {
            Kinds::TEXT | Kinds::STOP
        }

        fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
            match event.kind {
                Kind::Text => self.0.push_str(event.text.as_deref().unwrap_or("")),
                _ => out.push(event),
            }
            Ok(())
        }

        fn finish(&mut self, _call: &mut Call<'_>, how: Ending) -> Result<Vec<Event>, Failure> {
            Ok(vec![Event::text(9, format!("{how:?}: {}", self.0))])
        }
    }

    #[test]
    fn what_is_held_to_the_end_goes_ahead_of_the_stop() {
        let mut test = TestCall::new("{}");
        let stopped = [
            vec![Event::text(0, "a"), Event::text(0, "b")],
            vec![Event::stop("end_turn")],
        ];
        let expected = [
            Event::text(9, "Ending::Complete: ab"),
            Event::stop("end_turn"),
        ];
        let out = test.stream(&Holds, &stopped).unwrap();
        assert_eq!(format!("{out:?}"), format!("{expected:?}"));
        let broken = test.stream(&Holds, &stopped[..1]).unwrap();
        assert!(format!("{broken:?}").contains("UpstreamFailed: ab"));
    }

    #[test]
    #[should_panic(expected = "in pieces of 1 characters")]
    fn a_watcher_that_counts_pieces_is_found_out() {
        struct Counting;
        impl Watcher for Counting {
            fn wants(&self) -> Kinds {
                Kinds::TEXT
            }
            fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
                out.push(Event::text(event.block, "x"));
                Ok(())
            }
        }
        #[derive(serde::Deserialize)]
        struct Counts;
        impl Hook for Counts {
            fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
                Ok(Some(Box::new(Counting)))
            }
        }
        let answer = serde_json::json!({ "content": [{ "type": "text", "text": "two" }] });
        let _ = TestCall::new("{}").answer(&Counts, &answer);
    }
}
