//! Anthropic Messages: `POST /v1/messages`.
//!
//! The inner form's own vocabulary, so both ways are mostly naming. Reference:
//! <https://docs.claude.com/en/api/messages> (seen 2026-11).
//!
//! ```text
//!  client's side   request::decode_request        stream, response: encode
//!  upstream's side forward, outbound: encode      inbound: decode
//!                  accent: how one differs from Anthropic, adapted: the client's
//!                  bytes for such a one
//! ```

mod accent;
mod adapted;
mod blocks;
mod error;
mod forward;
mod inbound;
mod outbound;
mod request;
mod response;
mod stream;

pub use accent::{Accent, MidSystem, OutputSchema, ThinkingBack, ThinkingType};
pub use error::{ErrorBody, decode_upstream_error, kind_of_status, status_of_kind};
pub use forward::forward_request;
pub use inbound::{AnswerDecoder, AnswerOptions};
pub use outbound::{Encoded, MAX_TOKENS_DEFAULT, encode_request};
pub use request::decode_request;
pub use response::{decode_message, encode_message};
pub use stream::StreamEncoder;
