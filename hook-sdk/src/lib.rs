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
//!   stage within a call goes into [`Call::set_note`], what outlives a call is
//!   kept ([`Call::keep`], [`Call::increment`]).
//! - What a hook may see is granted by the operator. Without a grant,
//!   everything that was said, and every header, is closed.

// The book's recipes, run as they stand there; a copy of the SDK goes without.
#[cfg(doctest)]
#[doc = include_str!("../../docs/hooks/recipes.md")]
mod recipes {}

#[doc(hidden)]
pub mod bindings;
mod call;
mod event;
#[doc(hidden)]
pub mod export;
mod patterns;
pub mod testing;

use serde::de::DeserializeOwned;

pub use bindings::base::sluice::hooks::kv::Error as KvError;
pub use bindings::base::sluice::hooks::log::Level;
pub use bindings::base::sluice::hooks::types::{Refusal, Reply};
pub use bindings::on_stream::exports::sluice::hooks::on_stream::{
    Action, Ending, Event, Kind, Kinds,
};
pub use call::{Call, Failure, Target};
pub use event::held_back;
pub use patterns::{Patterns, glob, matched};
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

    /// When an attempt, or the call, has failed; what a hook refuses is final, and is
    /// not shown here. The body is the error in the inner form; edits are what the
    /// client reads.
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

/// A hook's state for one answer, streamed or not: a whole answer comes as the
/// same events, its texts in one piece each.
///
/// Write [`on_event`](Watcher::on_event) to look at one event after the other;
/// or `on_events`, if whole batches are to be left untouched, or the answer ended.
///
/// ```
/// use sluice_hook_sdk::{Call, Event, Failure, Kind, Kinds, Watcher};
///
/// /// Says everything louder.
/// struct Louder;
///
/// impl Watcher for Louder {
///     fn wants(&self) -> Kinds {
///         Kinds::TEXT
///     }
///
///     fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
///         let text = event.text.unwrap_or_default().to_uppercase();
///         out.push(Event::text(event.block, text));
///         Ok(())
///     }
/// }
/// ```
///
/// Text comes in pieces of any size, so a watcher that looks for something in it
/// must find it across their borders: hold back what may be its beginning
/// ([`held_back`]), and give it out with the rest, or when the block ends.
/// [`TestCall::answer`](testing::TestCall::answer) cuts an answer in every way and
/// checks that the outcome is the same.
pub trait Watcher {
    /// The kinds of events to be shown; the others pass by untouched.
    fn wants(&self) -> Kinds;

    /// One event of those kinds; what is put into `out` takes its place: nothing
    /// swallows it or holds it back, more inserts.
    fn on_event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        out.push(event);
        Ok(())
    }

    /// Events of those kinds: one, or several that arrived together.
    fn on_events(&mut self, _call: &mut Call<'_>, events: Vec<Event>) -> Result<Action, Failure> {
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.on_event(event, &mut out)?;
        }
        Ok(Action::Emit(out))
    }

    /// After the last event: what was held back. It goes ahead of the `stop`.
    fn finish(&mut self, _call: &mut Call<'_>, _ending: Ending) -> Result<Vec<Event>, Failure> {
        Ok(Vec::new())
    }
}
