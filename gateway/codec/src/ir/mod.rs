//! The inner form that every dialect decodes into and encodes from.
//!
//! Its vocabulary is Anthropic Messages, extended where other dialects say
//! more. A request ([`Request`]) borrows from the body it was decoded from; an
//! answer is a sequence of [`Event`]s, streamed or not, in one lawful order
//! ([`Order`]). [`Sequencer`] makes loose pieces lawful, [`Message`] is the
//! answer whole.

mod assemble;
mod beside;
mod error;
mod event;
mod loss;
mod order;
mod relay;
mod request;
mod sequence;
mod signature;

pub(crate) use assemble::citation_delta;
pub use assemble::{Message, MessageBlock};
pub(crate) use beside::{CHAT_DELTA, STANDING, STANDING_BYTES_MAX, chat_delta, chat_members};
pub use beside::{CHAT_MEMBERS, STOP_MEMBERS};
pub use error::{Refused, UpstreamError};
pub use event::{BlockStart, Delta, Event, Kept, Stop, StopReason, Usage, tokens_of};
pub use loss::{Loss, Losses};
pub use order::Order;
pub use relay::Relay;
pub use request::{
    Block, ImageSource, Message as RequestMessage, Request, Role, Thinking, Tool, ToolChoice,
    ToolChoiceKind,
};
pub use sequence::{Sequencer, Sink};
pub use signature::{SIGNATURE_PREFIX, is_own_signature};
