//! Write a [Sluice](https://github.com/sluice) hook in Rust.
//!
//! A hook is a type that is built from the operator's configuration, and a
//! [`Hook`] implementation with the stages it wants. The stages you write are
//! the stages that run:
//!
//! ```
//! use sluice_hook_sdk::{Call, Failure, Hook, Verdict};
//!
//! /// Lowers `temperature` to a maximum.
//! #[derive(serde::Deserialize)]
//! struct CoolDown {
//!     max: f64,
//! }
//!
//! #[sluice_hook_sdk::hook]
//! impl Hook for CoolDown {
//!     fn on_upstream_request(&self, call: &mut Call) -> Result<Verdict, Failure> {
//!         if call.get::<f64>("/temperature")?.is_some_and(|it| it > self.max) {
//!             call.set("/temperature", self.max)?;
//!         }
//!         Ok(Verdict::Next)
//!     }
//! }
//!
//! // A native test of it: no WebAssembly, no gateway.
//! let mut test = sluice_hook_sdk::testing::TestCall::new(r#"{"temperature": 1.5}"#);
//! let hook = CoolDown { max: 0.7 };
//! hook.on_upstream_request(&mut test.call()).unwrap();
//! assert_eq!(test.body(), r#"{"temperature":0.7}"#);
//! ```
//!
//! Build it as a `cdylib` for `wasm32-wasip2`, and drop the `.wasm` file into
//! the gateway's hook folder.
//!
//! What to know:
//! - Edits take effect when the stage returns [`Verdict::Next`]; after an error
//!   or a panic none does.
//! - An instance serves many calls, one after the other. What must outlive a
//!   stage within a call goes into [`Call::set_note`]; nothing outlives a call.
//! - What a hook may see is granted by the operator. Without a grant,
//!   everything that was said, and every header, is closed.

#[doc(hidden)]
pub mod bindings;
mod call;
#[doc(hidden)]
pub mod export;
pub mod testing;

use serde::de::DeserializeOwned;

pub use bindings::base::sluice::hooks::kv::Error as KvError;
pub use bindings::base::sluice::hooks::log::Level;
pub use bindings::base::sluice::hooks::types::{Refusal, Reply};
pub use bindings::on_stream::exports::sluice::hooks::on_stream::{
    Action, Ending, Event, Kind, Kinds,
};
pub use call::{Call, Failure, Target};
pub use sluice_hook_macros::hook;

/// What a stage decides. A verdict that its stage does not know is a failure.
#[derive(Debug)]
pub enum Verdict {
    /// Go on, with this hook's edits.
    Next,
    /// Answer the client now; no upstream is asked (in `on_request`, `on_route`,
    /// `on_upstream_request`, `on_error`).
    Reply(Reply),
    /// Refuse the call.
    Refuse(Refusal),
    /// Try the route's next target, for this reason (in `on_upstream_request`,
    /// `on_upstream_response`, `on_error`).
    SkipTarget(String),
    /// Send the same again after so many ms (in `on_upstream_response`,
    /// `on_error`).
    Retry(u32),
    /// Try these targets, by their number, in this order (in `on_route`).
    Choose(Vec<u32>),
    /// Try the targets of this model instead (in `on_route`).
    Reroute(String),
    /// So many tokens (in `on_count_tokens`).
    Count(u64),
}

/// What a hook says of itself: for lists, and for checks at load.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its version.
    pub version: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// A JSON Schema of its configuration; `null` for none.
    pub config: serde_json::Value,
    /// The grants without which it is of no use, as in the operator's file;
    /// `null` for none.
    pub needs: serde_json::Value,
}

/// A hook: the type is its configuration, the methods are its stages. Put
/// [`macro@hook`] on the implementation.
pub trait Hook: DeserializeOwned {
    /// At load: say what is wrong with a configuration that has the right shape.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// What the hook says of itself.
    fn describe() -> About {
        About::default()
    }

    /// Before routing, once a call. The body is the request in the inner form,
    /// the Anthropic Messages vocabulary, whatever the client speaks.
    fn on_request(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// After routing, once a call: which targets, in which order
    /// ([`Call::targets`]). The body is the request, and cannot be edited.
    fn on_route(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// Before sending, once an attempt. The body is what the upstream will get.
    fn on_upstream_request(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// When an upstream's status (the attribute `status`) and headers are there,
    /// and its body is not, once an attempt. There is no body.
    fn on_upstream_response(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// After a whole answer, once a call. The body is the answer in the inner
    /// form. A hook without `on_stream` sees streamed answers here only if the
    /// operator lets it hold them.
    fn on_response(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// When an attempt, or the call, has failed. The body is the error in the
    /// inner form; edits are what the client reads.
    fn on_error(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// After the last byte, whatever became of the call; nobody waits. The body is
    /// the call's record.
    fn on_complete(&self, _call: &mut Call<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// When a client asks how many tokens a request has. The body is the request.
    fn on_count_tokens(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// When a client asks which models there are. The body is Anthropic's list.
    fn on_list_models(&self, _call: &mut Call<'_>) -> Result<Verdict, Failure> {
        Ok(Verdict::Next)
    }

    /// At the start of an answer, streamed or not: a watcher of its events, or
    /// none to leave this answer alone.
    fn on_stream(&self, _call: &mut Call<'_>) -> Result<Option<Box<dyn Watcher>>, Failure> {
        Ok(None)
    }
}

/// A hook's state for one answer.
pub trait Watcher {
    /// The kinds of events to be shown; the others pass by untouched.
    fn wants(&self) -> Kinds;

    /// Events of those kinds: one, or several that arrived together.
    fn on_events(&mut self, call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure>;

    /// After the last event: what was held back.
    fn finish(&mut self, _call: &mut Call<'_>, _ending: Ending) -> Result<Vec<Event>, Failure> {
        Ok(Vec::new())
    }
}

impl Event {
    /// A piece of text of block `block`.
    pub fn text(block: u32, text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Text,
            block,
            text: Some(text.into()),
            data: None,
        }
    }

    /// Token counts: Anthropic's `usage` object.
    pub fn usage(usage: &serde_json::Value) -> Self {
        Self {
            kind: Kind::Usage,
            block: 0,
            text: None,
            data: Some(usage.to_string()),
        }
    }

    /// The event's `data`, parsed; `null` if there is none.
    pub fn data(&self) -> serde_json::Value {
        let data = self
            .data
            .as_deref()
            .and_then(|data| serde_json::from_str(data).ok());
        data.unwrap_or(serde_json::Value::Null)
    }
}

/// Whether `name` matches `pattern`, in which `*` stands for any characters.
pub fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len())
        .filter(|at| rest.is_char_boundary(*at))
        .any(|at| glob(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("kimi-*", "kimi-k2", true),
            ("*", "", true),
            ("a*b*", "axxbyy", true),
            ("a*b", "axxc", false),
            ("a", "ab", false),
            ("*ü", "xü", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
