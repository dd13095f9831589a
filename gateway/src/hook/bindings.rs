//! The WIT package `sluice:hooks`, bound. Only the macro's call lives here.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the WIT files carry the docs"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "every-stage",
    exports: { default: async },
});
