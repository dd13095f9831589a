//! Wire dialects of language-model APIs, and the inner form between them.
//!
//! ```text
//!  client bytes ──decode──▶ ir::Request ──encode──▶ upstream bytes
//!  client bytes ◀──encode── ir::Event*  ◀──decode── upstream bytes
//! ```
//!
//! Everything here is sans-IO: bytes in, events out, and any split of the same
//! bytes gives the same result. No clock, no randomness, no log: ids and time
//! are arguments. Whatever arrives, nothing panics, and nothing is lost
//! silently: a field is mapped, kept, reported as a [`ir::Loss`], or refused.
//!
//! Start with [`ir`], then read one dialect: [`dialect::messages`].

pub mod content_policy;
pub mod dialect;
mod documents;
pub mod fields;
mod hash;
pub mod ir;
pub mod json;
mod members;
pub mod overflow;
mod reason;
pub mod sse;
