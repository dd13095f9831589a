//! A hook that does wrong in one way, at one stage, as its config says.

use serde::Deserialize;
use sluice_hook_sdk::{Action, Call, Event, Failure, Hook, Kinds, Verdict, Watcher, hook};

/// What to do wrong, and where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Misbehave {
    stage: String,
    act: String,
    /// Also in the call on which a gateway tries hooks out.
    in_trial: bool,
}

impl Default for Misbehave {
    /// Dropped in bare, it loops.
    fn default() -> Self {
        Self {
            stage: "on-upstream-request".into(),
            act: "loop".into(),
            in_trial: false,
        }
    }
}

#[hook]
impl Hook for Misbehave {
    fn check(&self) -> Result<(), String> {
        if self.act == "bad-config" {
            Err("stage: this is no stage".into())
        } else {
            Ok(())
        }
    }

    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        self.act("on-request", call)
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        self.act("on-upstream-request", call)
    }

    fn on_response(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        self.act("on-response", call)
    }

    fn on_stream(&self, call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        if self.stage == "on-stream" && !self.is_good(call) {
            Ok(Some(Box::new(self.clone())))
        } else {
            Ok(None)
        }
    }
}

impl Misbehave {
    /// Whether it is being tried out, and good as long as that lasts.
    fn is_good(&self, call: &Call<'_>) -> bool {
        !self.in_trial && call.attribute("mode").as_deref() == Some("trial")
    }

    fn act(&self, stage: &str, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        if self.stage != stage || self.is_good(call) {
            return Ok(Verdict::Next);
        }
        match self.act.as_str() {
            "loop" => spin(),
            "trap" => panic!("as told"),
            "recurse" => {
                std::hint::black_box(recurse(0));
            }
            "allocate" => {
                let mut held = Vec::new();
                loop {
                    held.push(vec![1u8; 1 << 20]);
                    std::hint::black_box(&held);
                }
            }
            "fail" => return Err(Failure("as told".into())),
            "half-edit-then-trap" => {
                call.set("/temperature", 0.123)?;
                panic!("after an edit");
            }
            "bad-pointer" => call.set("no-pointer", 1)?,
            "flood" => call.set("/flood", "x".repeat(9 << 20))?,
            _ => {}
        }
        Ok(Verdict::Next)
    }
}

impl Watcher for Misbehave {
    fn wants(&self) -> Kinds {
        Kinds::all()
    }

    fn on_events(&mut self, call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        if self.act == "emit-text" {
            return Ok(Action::Emit(vec![Event::text(0, "ungranted")]));
        }
        self.act("on-stream", call)?;
        drop(events);
        Ok(Action::Keep)
    }
}

fn spin() {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "its purpose")]
fn recurse(n: u64) -> u64 {
    std::hint::black_box([n; 64]);
    recurse(n + 1) + 1
}
