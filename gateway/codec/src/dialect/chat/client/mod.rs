//! The client side of Chat Completions: `POST /v1/chat/completions`.
//!
//! ```text
//!  body ──decode──▶ ir::Request ──▶ an upstream of another dialect
//!    └────forward───────────────▶ an upstream of this dialect, byte by byte
//!  chunks or a whole completion ◀──encode── ir::Event*, ir::Message
//! ```
//! What only this side needs; the upstream side is the folder's other files.

mod beside;
mod carrier;
mod completion;
mod conversation;
mod error;
mod forward;
mod request;
mod returned;
mod stream;
mod thoughts;
mod tools;

pub use completion::{Completion, encode_completion};
pub use error::encode_error;
pub use forward::forward_request;
pub use request::{ClientRequest, check_translatable, decode_client_request};
pub use stream::CompletionStreamEncoder;
