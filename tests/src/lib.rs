//! The harness of the end-to-end tests: a gateway, an upstream that does as it
//! is told, and a client, all over real sockets on loopback.

mod client;
mod collector;
pub mod ending;
pub mod faults;
mod gateway;
pub mod guests;
#[cfg(target_os = "linux")]
pub mod process;
mod rogue;
mod tls;
mod upstream;
mod wait;

pub use client::{Answer, Client, sse};
pub use collector::{Attributes, Collector, Series, Span, Told};
pub use gateway::TestGateway;
pub use rogue::Rogue;
pub use tls::{Authority, Certified, again};
pub use upstream::{FakeUpstream, Recorded, Script, Speaker, chunk, finish, text_stream};
pub use wait::{PATIENCE, until};
