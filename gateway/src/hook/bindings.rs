//! The WIT package `sluice:hooks`, bound. Only the macro's call lives here.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the WIT files carry the docs"
)]

wasmtime::component::bindgen!({
    path: "../wit/0.1.0",
    world: "every-stage",
    imports: {
        "sluice:hooks/kv.get": async,
        "sluice:hooks/kv.set": async,
        "sluice:hooks/kv.remove": async,
        "sluice:hooks/kv.increment": async,
        "sluice:hooks/kv.swap": async,
    },
    exports: { default: async },
});
