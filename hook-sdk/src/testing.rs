//! Native tests of hooks: a call in memory, everything granted.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::call::Host;
use crate::{Action, Call, Ending, Event, Failure, Hook, Kinds, Target, Watcher};

/// A call for a test.
#[derive(Debug, Default)]
pub struct TestCall {
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) measures: BTreeMap<String, f64>,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
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

    /// Pass events through a hook's watcher, one batch after the other, and
    /// gather what comes out, the flush at the end included.
    pub fn stream(
        &mut self,
        hook: &impl Hook,
        batches: &[Vec<Event>],
    ) -> Result<Vec<Event>, Failure> {
        let Some(mut watcher) = hook.on_stream(&mut self.call())? else {
            return Ok(batches.concat());
        };
        let mut out = Vec::new();
        for batch in batches {
            for event in batch {
                if !watcher.wants().contains(kind_flag(event)) {
                    out.push(event.clone());
                    continue;
                }
                match watcher.on_events(&mut self.call(), vec![event.clone()])? {
                    Action::Keep => out.push(event.clone()),
                    Action::Emit(events) => out.extend(events),
                    Action::End(_) => return Ok(out),
                }
            }
        }
        out.extend(Watcher::finish(
            &mut *watcher,
            &mut self.call(),
            Ending::Complete,
        )?);
        Ok(out)
    }

    pub(crate) fn get(&self, pointer: &str) -> Option<String> {
        self.body.pointer(pointer).map(Value::to_string)
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

fn kind_flag(event: &Event) -> Kinds {
    Kinds::from_bits_retain(1 << event.kind as u16)
}
