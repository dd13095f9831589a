//! Whether the pairings of a client's dialect and an upstream's keep their
//! promises, case by case.
//!
//! A case is an entry of a table in `fixtures/`: its id, the behaviour in one
//! line, what is given, what is expected. `docs/conformance.md` is generated
//! from the same tables (`report.rs`), so it cannot claim what is not tested.
//! An entry that does not run says so: `not yet` with what is missing, or
//! `elsewhere` with the test that runs it; `without` with a pairing of its table
//! in which it has no meaning. Where a pairing has no entry of a case at all,
//! `reasons.rs` says why.

mod answers;
mod chat_client;
mod chat_requests;
mod errors;
mod laws;
mod lines;
mod messages_client;
mod messages_upstream;
mod pairing;
mod reasons;
mod report;
mod requests;
mod table;
mod turns;
