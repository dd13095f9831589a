//! Anthropic Messages: `POST /v1/messages`.
//!
//! The inner form's own vocabulary, so decoding is mostly naming. Reference:
//! <https://docs.claude.com/en/api/messages> (seen 2026-11).

mod error;
mod request;
mod response;
mod stream;

pub use error::{ErrorBody, kind_of_status, status_of_kind};
pub use request::decode_request;
pub use response::{decode_message, encode_message};
pub use stream::StreamEncoder;
