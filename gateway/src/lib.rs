//! Sluice: a gateway that lets any Anthropic- or OpenAI-speaking client run on
//! any model, reprogrammed by sandboxed WebAssembly hooks.

pub mod config;
pub mod provider;
pub mod secret;
