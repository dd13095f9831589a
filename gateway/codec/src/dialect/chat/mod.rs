//! OpenAI Chat Completions: `POST {base_url}/chat/completions`.
//!
//! The format that dozens of vendors and servers speak, each with an accent
//! ([`Accent`]). Reference:
//! <https://platform.openai.com/docs/api-reference/chat> (seen 2026-11).

mod accent;
mod calls;
mod choice;
mod chunk;
mod client;
mod content;
mod details;
mod envelope;
mod error;
mod ids;
mod lesson;
mod marks;
mod names;
mod payload;
mod prefill;
mod replay;
mod request;
mod sampling;
mod schema;
mod stops;
mod stream;
mod tags;
mod typed;
mod usage;

pub use accent::{
    Accent, CacheMarks, Choice, Content, EmptyContent, MidSystem, OmittedReasoning, OutputLimit,
    OutputSchema, Prefill, ReasoningAsk, ReasoningBack, Schema, ToolIds,
};
pub use client::{
    ClientRequest, Completion, CompletionStreamEncoder, check_translatable, decode_client_request,
    encode_completion, encode_error, forward_request,
};
pub use error::decode_error;
pub use names::Names;
pub use prefill::GO_ON;
pub use request::{EncodeOptions, Encoded, encode_request};
pub use stream::{DecodeOptions, StreamDecoder};
