//! Whole calls over real sockets, with real components.

mod answers;
mod bad_input;
mod dialects;
mod embedded;
mod endpoints;
mod hooks;
mod languages;
mod reload;
mod requests;
mod sessions;
mod stages;
mod tidy;
