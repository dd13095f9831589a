//! The WIT package `sluice:hooks`, bound: one module a world, so that a hook
//! brings in the exports of just the stages it has.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the WIT files carry the docs"
)]

/// What every hook may import.
pub mod base {
    wit_bindgen::generate!({ world: "base", path: "../wit/0.1.0", generate_all });
}

/// A module for one world with one export.
macro_rules! stage {
    ($module:ident, $world:literal, $export:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                world: $world,
                path: "../wit/0.1.0",
                pub_export_macro: true,
                export_macro_name: $export,
                with: {
                    "sluice:hooks/types@0.1.0": crate::bindings::base::sluice::hooks::types,
                    "sluice:hooks/current@0.1.0": crate::bindings::base::sluice::hooks::current,
                    "sluice:hooks/document@0.1.0": crate::bindings::base::sluice::hooks::document,
                    "sluice:hooks/routing@0.1.0": crate::bindings::base::sluice::hooks::routing,
                    "sluice:hooks/log@0.1.0": crate::bindings::base::sluice::hooks::log,
                    "sluice:hooks/config@0.1.0": crate::bindings::base::sluice::hooks::config,
                    "sluice:hooks/kv@0.1.0": crate::bindings::base::sluice::hooks::kv,
                    "sluice:hooks/metrics@0.1.0": crate::bindings::base::sluice::hooks::metrics,
                },
            });
        }
    };
}

stage!(about, "described", "__export_about");
stage!(setup, "configurable", "__export_setup");
stage!(on_request, "request-hook", "__export_on_request");
stage!(on_route, "route-hook", "__export_on_route");
stage!(
    on_upstream_request,
    "upstream-request-hook",
    "__export_on_upstream_request"
);
stage!(
    on_upstream_response,
    "upstream-response-hook",
    "__export_on_upstream_response"
);
stage!(on_stream, "stream-hook", "__export_on_stream");
stage!(on_response, "response-hook", "__export_on_response");
stage!(on_error, "error-hook", "__export_on_error");
stage!(on_complete, "complete-hook", "__export_on_complete");
stage!(
    on_count_tokens,
    "count-tokens-hook",
    "__export_on_count_tokens"
);
stage!(
    on_list_models,
    "list-models-hook",
    "__export_on_list_models"
);
