//! Sluice: a gateway that lets any Anthropic- or OpenAI-speaking client run on
//! any model, reprogrammed by sandboxed WebAssembly hooks.
//!
//! A tour, in the order in which a call meets the modules:
//!
//! 1. [`server`] takes the HTTP request and checks who asks.
//! 2. [`pipeline`] is the request path, top to bottom; it reads the world from a
//!    [`snapshot`] and keeps the books in a [`call::Call`]; what a key has used up is
//!    in [`accounts`].
//! 3. [`hook`] runs the WebAssembly hooks, [`route`] finds the targets.
//! 4. [`upstream`] sends, and the `answer` module brings the answer back, event
//!    by event; formats are the business of the crate `sluice-codec`.
//! 5. When it is over, its log line is written, [`tally`] counts it, and [`telemetry`]
//!    tells a collector, if there is one.
//! 6. Whatever goes wrong is an [`error::Error`], and leaves through one exit.
//!
//! [`app`] puts it all together from a [`config`], and swaps the snapshot when
//! files change. `ARCHITECTURE.md` beside this crate has the decisions.

pub mod accounts;
mod answer;
pub mod app;
pub mod build_info;
pub mod calendar;
pub mod call;
pub mod cli;
pub mod closing;
mod codecs;
pub mod config;
pub mod demo;
pub mod error;
pub mod exits;
pub mod gate;
pub mod health;
pub mod hook;
pub mod kv;
pub mod lessons;
pub mod metrics;
pub mod pipeline;
pub mod provider;
pub mod route;
pub mod secret;
pub mod server;
pub mod snapshot;
pub mod tally;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
