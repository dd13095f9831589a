//! OpenAI Chat Completions: `POST {base_url}/chat/completions`.
//!
//! The format that dozens of vendors and servers speak, each with an accent
//! ([`Accent`]). Reference:
//! <https://platform.openai.com/docs/api-reference/chat> (seen 2026-11).

mod accent;
mod calls;
mod chunk;
mod content;
mod details;
mod envelope;
mod error;
mod names;
mod request;
mod stops;
mod stream;
mod tags;
mod typed;
mod usage;

pub use accent::{Accent, EmptyContent, MidSystem, OutputLimit, ReasoningAsk, ReasoningBack};
pub use error::decode_error;
pub use names::Names;
pub use request::{EncodeOptions, Encoded, encode_request};
pub use stream::{DecodeOptions, StreamDecoder};
