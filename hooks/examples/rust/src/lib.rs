//! Redacts e-mail addresses in answers, and caps `max_tokens`.

mod redact;

use redact::Redactor;
use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{
    About, Action, Call, Ending, Event, Failure, Hook, Kind, Kinds, Verdict, Watcher, hook,
};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
pub struct Redact {
    /// Most tokens of an answer.
    max_tokens: u64,
}

#[hook]
impl Hook for Redact {
    fn describe() -> About {
        About {
            version: "0.1.0",
            summary: "Redacts e-mail addresses in answers, and caps max_tokens.",
            config: json!({
                "type": "object",
                "properties": { "max_tokens": { "type": "integer", "minimum": 1 } },
                "required": ["max_tokens"],
                "additionalProperties": false,
            }),
            needs: json!({ "prompt": "write", "headers": ["x-redacted-by"] }),
        }
    }

    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let asked = call.get::<u64>("/max_tokens")?;
        if asked.is_some_and(|asked| asked > self.max_tokens) {
            call.set("/max_tokens", self.max_tokens)?;
        }
        call.set_header("x-redacted-by", "rust")?;
        Ok(Verdict::Next)
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        Ok(Some(Box::new(Text::default())))
    }
}

/// Watches the text of one answer.
#[derive(Default)]
struct Text {
    redactor: Redactor,
    block: u32,
}

impl Text {
    fn said(&self, text: String) -> Option<Event> {
        (!text.is_empty()).then(|| Event::text(self.block, text))
    }
}

impl Watcher for Text {
    fn wants(&self) -> Kinds {
        Kinds::TEXT | Kinds::BLOCK_STOP
    }

    fn on_events(&mut self, _call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        let mut out = Vec::new();
        for event in events {
            if event.kind == Kind::Text {
                self.block = event.block;
                let text = self.redactor.feed(event.text.as_deref().unwrap_or(""));
                out.extend(self.said(text));
            } else {
                let text = self.redactor.finish();
                out.extend(self.said(text));
                out.push(event);
            }
        }
        Ok(Action::Emit(out))
    }

    fn finish(&mut self, _call: &mut Call<'_>, _ending: Ending) -> Result<Vec<Event>, Failure> {
        let text = self.redactor.finish();
        Ok(self.said(text).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use sluice_hook_sdk::testing::TestCall;

    use super::*;

    #[test]
    fn larger_limits_are_lowered() {
        for (asked, sent) in [("64000", "4096"), ("100", "100")] {
            let mut test = TestCall::new(&format!(r#"{{"max_tokens":{asked}}}"#));
            let hook = Redact { max_tokens: 4096 };
            let verdict = hook.on_upstream_request(&mut test.call());
            assert!(matches!(verdict, Ok(Verdict::Next)));
            assert_eq!(test.body(), format!(r#"{{"max_tokens":{sent}}}"#));
        }
    }

    #[test]
    fn an_address_is_redacted_across_events() {
        let events = ["from a", "nn@mail.exa", "mple.org"].map(|text| vec![Event::text(0, text)]);
        let hook = Redact { max_tokens: 1 };
        let out = TestCall::new("{}").stream(&hook, &events);
        let text: String = out
            .expect("nothing fails")
            .into_iter()
            .filter_map(|event| event.text)
            .collect();
        assert_eq!(text, "from [email]");
    }
}
