//! A hook that does what its config says: for tests of what hooks can do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sluice_hook_sdk::{
    Action, Call, Ending, Event, Failure, Hook, Kind, Kinds, Refusal, Reply, Verdict, Watcher, hook,
};

/// The script.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scripted {
    /// The stage with a document that `set` and the like apply to.
    stage: String,
    set: BTreeMap<String, Value>,
    remove: Vec<String>,
    set_header: BTreeMap<String, String>,
    reply: Option<String>,
    refuse: Option<u16>,
    skip: Option<String>,
    /// What to do with streams: `uppercase`, `hold` (a block's text, to its
    /// end), `hold-all` (to the end of the answer), `end`, `end-with-error`.
    stream: Option<String>,
}

#[hook]
impl Hook for Scripted {
    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        self.play("on-request", call)
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        self.play("on-upstream-request", call)
    }

    fn on_response(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        self.play("on-response", call)
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        let watcher = |act: &String| {
            Box::new(Player {
                act: act.clone(),
                held: String::new(),
            }) as Box<dyn Watcher>
        };
        Ok(self.stream.as_ref().map(watcher))
    }
}

impl Scripted {
    fn play(&self, stage: &str, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        if self.stage != stage {
            return Ok(Verdict::Next);
        }
        for (pointer, value) in &self.set {
            call.set(pointer, value)?;
        }
        for pointer in &self.remove {
            call.remove(pointer)?;
        }
        for (name, value) in &self.set_header {
            call.set_header(name, value)?;
        }
        if let Some(text) = &self.reply {
            return Ok(Verdict::Reply(Reply::Text(text.clone())));
        }
        if let Some(status) = self.refuse {
            return Ok(Verdict::Refuse(refusal(status)));
        }
        if let Some(why) = &self.skip {
            return Ok(Verdict::SkipTarget(why.clone()));
        }
        Ok(Verdict::Next)
    }
}

fn refusal(status: u16) -> Refusal {
    Refusal {
        status,
        code: "permission_error".into(),
        message: "refused as scripted".into(),
        retry_after_ms: None,
    }
}

struct Player {
    act: String,
    held: String,
}

impl Watcher for Player {
    fn wants(&self) -> Kinds {
        Kinds::TEXT | Kinds::BLOCK_STOP
    }

    fn on_events(&mut self, _call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        let mut out = Vec::new();
        for event in events {
            let text = event.text.clone().unwrap_or_default();
            match (self.act.as_str(), event.kind) {
                ("uppercase", Kind::Text) => {
                    out.push(Event::text(event.block, text.to_uppercase()))
                }
                ("hold" | "hold-all", Kind::Text) => self.held.push_str(&text),
                ("hold", Kind::BlockStop) if !self.held.is_empty() => {
                    out.push(Event::text(event.block, std::mem::take(&mut self.held)));
                    out.push(event);
                }
                ("end", _) => return Ok(Action::End(None)),
                ("end-with-error", _) => return Ok(Action::End(Some(refusal(403)))),
                _ => out.push(event),
            }
        }
        Ok(Action::Emit(out))
    }

    fn finish(&mut self, _call: &mut Call<'_>, _ending: Ending) -> Result<Vec<Event>, Failure> {
        if self.held.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Event::text(99, std::mem::take(&mut self.held))])
    }
}
