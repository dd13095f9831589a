//! The world of all stages, bound.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the WIT files carry the docs"
)]

wit_bindgen::generate!({
    world: "every-stage",
    path: "../../../wit/0.1.0",
    pub_export_macro: true,
    generate_all,
});
