//! The harness of the end-to-end tests: a gateway, an upstream that does as it
//! is told, and a client, all over real sockets on loopback.

mod client;
mod gateway;
pub mod guests;
mod tls;
mod upstream;

pub use client::{Answer, Client, sse};
pub use gateway::TestGateway;
pub use tls::{Authority, Certified};
pub use upstream::{FakeUpstream, Recorded, Script, Speaker, chunk, finish, text_stream};
