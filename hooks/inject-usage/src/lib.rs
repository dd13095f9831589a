//! Supplies token counts where the upstream sends none that can be used.

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Action, Call, Event, Failure, Hook, Kind, Kinds, Watcher, hook};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectUsage {
    /// Bytes of text that count as one token: 4 fits English and code.
    #[serde(default = "four")]
    bytes_per_token: f64,
}

fn four() -> f64 {
    4.0
}

#[hook]
impl Hook for InjectUsage {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Supplies token counts where the upstream sends none.",
            config: json!({
                "type": "object",
                "properties": { "bytes_per_token": { "type": "number", "exclusiveMinimum": 0 } },
                "additionalProperties": false,
            }),
            ..About::default()
        }
    }

    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        Ok(Some(Box::new(Counter {
            bytes_per_token: self.bytes_per_token,
            counted: false,
        })))
    }
}

/// Watches for counts, and for the stop that they must come before.
struct Counter {
    bytes_per_token: f64,
    counted: bool,
}

impl Watcher for Counter {
    fn wants(&self) -> Kinds {
        Kinds::USAGE | Kinds::STOP
    }

    fn on_events(&mut self, call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        self.counted |= events.iter().any(is_usable);
        if self.counted || !events.iter().any(|event| event.kind == Kind::Stop) {
            return Ok(Action::Keep);
        }
        let tokens =
            |measure| (call.measure(measure).unwrap_or(0.0) / self.bytes_per_token).ceil() as u64;
        let usage = json!({
            "input_tokens": tokens("request-bytes"),
            "output_tokens": tokens("answer-bytes"),
            "estimated": true,
        });
        let rest = events.into_iter().filter(|event| event.kind != Kind::Usage);
        Ok(Action::Emit(
            [Event::usage(&usage)].into_iter().chain(rest).collect(),
        ))
    }
}

/// Whether an event holds counts of something: the gateway's own guess is none.
fn is_usable(event: &Event) -> bool {
    let data = event.data();
    let counts = ["input_tokens", "output_tokens", "cache_read_input_tokens"];
    event.kind == Kind::Usage
        && data["estimated"] != true
        && counts
            .iter()
            .any(|key| data[*key].as_u64().is_some_and(|count| count > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_hook_sdk::testing::TestCall;

    fn stop() -> Event {
        Event {
            kind: Kind::Stop,
            block: 0,
            text: None,
            data: Some(r#"{"stop_reason":"end_turn"}"#.into()),
        }
    }

    #[track_caller]
    fn check(usage: Option<serde_json::Value>, expected: serde_json::Value) {
        let hook = InjectUsage {
            bytes_per_token: 4.0,
        };
        let mut test = TestCall::new("{}")
            .measure("request-bytes", 401.0)
            .measure("answer-bytes", 8.0);
        let mut events = vec![Event::text(0, "hello wo")];
        events.extend(usage.as_ref().map(Event::usage));
        events.push(stop());
        let out = test.stream(&hook, &[events]).unwrap();
        // The last counts are those that count.
        let mut usages = out.iter().filter(|event| event.kind == Kind::Usage);
        assert_eq!(usages.next_back().map(Event::data), Some(expected));
        assert_eq!(out.last().map(|event| event.kind), Some(Kind::Stop));
    }

    #[test]
    fn missing_counts_are_estimated_and_marked() {
        check(
            None,
            json!({"input_tokens": 101, "output_tokens": 2, "estimated": true}),
        );
    }

    #[test]
    fn a_guess_gives_way() {
        check(
            Some(json!({"input_tokens": 7, "output_tokens": 1, "estimated": true})),
            json!({"input_tokens": 101, "output_tokens": 2, "estimated": true}),
        );
    }

    #[test]
    fn real_counts_stay() {
        let real = json!({"input_tokens": 7, "output_tokens": 0});
        check(Some(real.clone()), real);
    }
}
