//! What `#[hook]` expands to: the component's exports, each a thin way into the
//! [`Hook`](crate::Hook).

use std::cell::RefCell;

use crate::bindings::base::sluice::hooks::config;
use crate::call::Host;
use crate::{Action, Call, Ending, Event, Failure, Hook, Kinds, Verdict, Watcher};

/// The call at hand, from inside a component.
#[cfg(target_family = "wasm")]
pub fn call() -> Call<'static> {
    Call(Host::Gateway)
}

/// Natively there is no gateway, and nothing calls this.
#[cfg(not(target_family = "wasm"))]
pub fn call() -> Call<'static> {
    Call(Host::Test(Box::leak(Box::default())))
}

/// The hook, from the operator's configuration.
pub fn configure<H: Hook>() -> Result<H, String> {
    let config = config::get();
    let hook: H = serde_json::from_str(&config).map_err(|error| {
        // Positions in text that the operator never wrote help nobody.
        let error = error.to_string();
        error
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned()
    })?;
    hook.check()?;
    Ok(hook)
}

/// What a hook says of itself, as JSON.
pub fn describe<H: Hook>() -> String {
    let about = H::describe();
    let mut description = serde_json::json!({ "version": about.version, "summary": about.summary });
    if !about.config.is_null() {
        description["config"] = about.config;
    }
    if !about.needs.is_null() {
        description["needs"] = about.needs;
    }
    description.to_string()
}

/// What a stage cannot decide.
pub fn impossible(verdict: &Verdict) -> String {
    let name = match verdict {
        Verdict::Next => "next",
        Verdict::Reply(_) => "reply",
        Verdict::Refuse(_) => "refuse",
        Verdict::SkipTarget(_) => "skip-target",
        Verdict::Retry(_) => "retry",
        Verdict::Choose(_) => "choose",
        Verdict::Reroute(_) => "reroute",
        Verdict::Count(_) => "count",
    };
    format!("the verdict `{name}` is not possible in this stage")
}

/// A watcher behind the component's resource.
pub struct WatcherCell(RefCell<Box<dyn Watcher>>);

impl WatcherCell {
    /// Open a hook's watcher.
    pub fn open(hook: &impl Hook) -> Result<Option<(Self, Kinds)>, String> {
        let watcher = hook.on_stream(&mut call()).map_err(|Failure(why)| why)?;
        Ok(watcher.map(|watcher| {
            let wants = watcher.wants();
            (Self(RefCell::new(watcher)), wants)
        }))
    }

    /// Events for it.
    pub fn handle(&self, events: Vec<Event>) -> Result<Action, String> {
        self.0
            .borrow_mut()
            .on_events(&mut call(), events)
            .map_err(|Failure(why)| why)
    }

    /// The end.
    pub fn finish(&self, how: Ending) -> Result<Vec<Event>, String> {
        self.0
            .borrow_mut()
            .finish(&mut call(), how)
            .map_err(|Failure(why)| why)
    }
}

/// Export `setup` and the named stages of a hook.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($hook:ty; $($stage:ident)*) => {
        // Natively nobody builds the hook, which is no reason to call it dead.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> ::core::result::Result<$hook, ::std::string::String> =
            $crate::export::configure::<$hook>;
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, clippy::all)]
        const _: () = {
            use $crate::export;

            /// Set once, by `setup.configure`, before any stage runs.
            static HOOK: ::std::sync::OnceLock<$hook> = ::std::sync::OnceLock::new();

            fn hook() -> ::core::result::Result<&'static $hook, ::std::string::String> {
                HOOK.get().ok_or_else(|| "the hook is not configured".to_string())
            }

            struct Component;

            #[allow(dead_code, reason = "only a hook that describes itself needs it")]
            type Described = $hook;

            impl $crate::bindings::setup::exports::sluice::hooks::setup::Guest for Component {
                fn configure() -> ::core::result::Result<(), ::std::string::String> {
                    let _ = HOOK.set(export::configure::<$hook>()?);
                    Ok(())
                }
            }
            $crate::bindings::setup::__export_setup!(Component with_types_in $crate::bindings::setup);
            $($crate::__export_stage!($stage);)*
        };
    };
}

/// Export one stage; `hook()` and `Component` are in scope. The lists are the
/// verdicts that each stage knows.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_stage {
    (on_request) => { $crate::__export_verdict!(on_request __export_on_request: Reply(it), Refuse(it)); };
    (on_route) => {
        $crate::__export_verdict!(on_route __export_on_route: Choose(it), Reroute(it), Reply(it), Refuse(it));
    };
    (on_upstream_request) => {
        $crate::__export_verdict!(
            on_upstream_request __export_on_upstream_request: SkipTarget(it), Reply(it), Refuse(it)
        );
    };
    (on_upstream_response) => {
        $crate::__export_verdict!(
            on_upstream_response __export_on_upstream_response: Retry(it), SkipTarget(it), Refuse(it)
        );
    };
    (on_response) => { $crate::__export_verdict!(on_response __export_on_response: Refuse(it)); };
    (on_error) => {
        $crate::__export_verdict!(on_error __export_on_error: Retry(it), SkipTarget(it), Reply(it), Refuse(it));
    };
    (on_count_tokens) => {
        $crate::__export_verdict!(on_count_tokens __export_on_count_tokens: Count(it), Refuse(it));
    };
    (on_list_models) => { $crate::__export_verdict!(on_list_models __export_on_list_models: Refuse(it)); };
    (on_complete) => {
        const _: () = {
            impl $crate::bindings::on_complete::exports::sluice::hooks::on_complete::Guest for Component {
                fn handle() -> ::core::result::Result<(), ::std::string::String> {
                    use $crate::{Failure, Hook as _};
                    hook()?.on_complete(&mut export::call()).map_err(|Failure(why)| why)
                }
            }
        };
        $crate::bindings::on_complete::__export_on_complete!(Component with_types_in $crate::bindings::on_complete);
    };
    (describe) => {
        const _: () = {
            impl $crate::bindings::about::exports::sluice::hooks::about::Guest for Component {
                fn describe() -> ::std::string::String {
                    export::describe::<Described>()
                }
            }
        };
        $crate::bindings::about::__export_about!(Component with_types_in $crate::bindings::about);
    };
    (on_stream) => {
        const _: () = {
            use $crate::bindings::on_stream::exports::sluice::hooks::on_stream as wit;

            /// The hook's watcher: a type of this crate, as the resource demands.
            struct Watching(export::WatcherCell);

            impl wit::Guest for Component {
                type Watcher = Watching;
            }

            impl wit::GuestWatcher for Watching {
                fn open() -> ::core::result::Result<Option<(wit::Watcher, wit::Kinds)>, ::std::string::String> {
                    let cell = export::WatcherCell::open(hook()?)?;
                    Ok(cell.map(|(cell, wants)| (wit::Watcher::new(Watching(cell)), wants)))
                }
                fn handle(&self, events: Vec<wit::Event>) -> ::core::result::Result<wit::Action, ::std::string::String> {
                    self.0.handle(events)
                }
                fn finish(&self, how: wit::Ending) -> ::core::result::Result<Vec<wit::Event>, ::std::string::String> {
                    self.0.finish(how)
                }
            }
        };
        $crate::bindings::on_stream::__export_on_stream!(Component with_types_in $crate::bindings::on_stream);
    };
}

/// Export a stage that has a verdict: `next` and those that are listed.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_verdict {
    ($stage:ident $export:ident: $($case:ident($value:ident)),*) => {
        const _: () = {
            use $crate::bindings::$stage::exports::sluice::hooks::$stage::{Guest, Verdict};
            impl Guest for Component {
                fn handle() -> ::core::result::Result<Verdict, ::std::string::String> {
                    use $crate::{Failure, Hook as _};
                    match hook()?.$stage(&mut export::call()).map_err(|Failure(why)| why)? {
                        $crate::Verdict::Next => Ok(Verdict::Next),
                        $($crate::Verdict::$case($value) => Ok(Verdict::$case($value)),)*
                        #[allow(unreachable_patterns, reason = "some stages know all")]
                        other => Err(export::impossible(&other)),
                    }
                }
            }
        };
        $crate::bindings::$stage::$export!(Component with_types_in $crate::bindings::$stage);
    };
}
