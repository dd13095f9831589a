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

/// What a stage cannot decide.
pub fn impossible(verdict: &Verdict) -> String {
    let name = match verdict {
        Verdict::Next => "next",
        Verdict::Reply(_) => "reply",
        Verdict::Refuse(_) => "refuse",
        Verdict::SkipTarget(_) => "skip-target",
    };
    format!("the verdict `{name}` is not possible in this stage")
}

/// A watcher behind the component's resource.
pub struct WatcherCell(RefCell<Box<dyn Watcher>>);

impl WatcherCell {
    /// Open a hook's watcher.
    pub fn open(hook: &impl Hook) -> Result<Option<Self>, String> {
        let watcher = hook.on_stream(&mut call()).map_err(|Failure(why)| why)?;
        Ok(watcher.map(|watcher| Self(RefCell::new(watcher))))
    }

    /// The kinds it wants.
    pub fn wants(&self) -> Kinds {
        self.0.borrow().wants()
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

/// Export one stage; `hook()` and `Component` are in scope.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_stage {
    (on_request) => {
        const _: () = {
            use $crate::bindings::on_request::exports::sluice::hooks::on_request::{Guest, Verdict};
            impl Guest for Component {
                fn handle() -> ::core::result::Result<Verdict, ::std::string::String> {
                    use $crate::{Failure, Hook as _};
                    match hook()?.on_request(&mut export::call()).map_err(|Failure(why)| why)? {
                        $crate::Verdict::Next => Ok(Verdict::Next),
                        $crate::Verdict::Reply(reply) => Ok(Verdict::Reply(reply)),
                        $crate::Verdict::Refuse(refusal) => Ok(Verdict::Refuse(refusal)),
                        other => Err(export::impossible(&other)),
                    }
                }
            }
        };
        $crate::bindings::on_request::__export_on_request!(Component with_types_in $crate::bindings::on_request);
    };
    (on_upstream_request) => {
        const _: () = {
            use $crate::bindings::on_upstream_request::exports::sluice::hooks::on_upstream_request::{Guest, Verdict};
            impl Guest for Component {
                fn handle() -> ::core::result::Result<Verdict, ::std::string::String> {
                    use $crate::{Failure, Hook as _};
                    Ok(match hook()?.on_upstream_request(&mut export::call()).map_err(|Failure(why)| why)? {
                        $crate::Verdict::Next => Verdict::Next,
                        $crate::Verdict::Reply(reply) => Verdict::Reply(reply),
                        $crate::Verdict::Refuse(refusal) => Verdict::Refuse(refusal),
                        $crate::Verdict::SkipTarget(why) => Verdict::SkipTarget(why),
                    })
                }
            }
        };
        $crate::bindings::on_upstream_request::__export_on_upstream_request!(
            Component with_types_in $crate::bindings::on_upstream_request
        );
    };
    (on_response) => {
        const _: () = {
            use $crate::bindings::on_response::exports::sluice::hooks::on_response::{Guest, Verdict};
            impl Guest for Component {
                fn handle() -> ::core::result::Result<Verdict, ::std::string::String> {
                    use $crate::{Failure, Hook as _};
                    match hook()?.on_response(&mut export::call()).map_err(|Failure(why)| why)? {
                        $crate::Verdict::Next => Ok(Verdict::Next),
                        $crate::Verdict::Refuse(refusal) => Ok(Verdict::Refuse(refusal)),
                        other => Err(export::impossible(&other)),
                    }
                }
            }
        };
        $crate::bindings::on_response::__export_on_response!(Component with_types_in $crate::bindings::on_response);
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
                fn open() -> ::core::result::Result<Option<wit::Watcher>, ::std::string::String> {
                    let cell = export::WatcherCell::open(hook()?)?;
                    Ok(cell.map(|cell| wit::Watcher::new(Watching(cell))))
                }
                fn wants(&self) -> wit::Kinds {
                    self.0.wants()
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
