//! Whether the pairing "Messages client, Chat Completions upstream" keeps its
//! promises, case by case.
//!
//! A case is an entry of a table in `fixtures/`: its id, the behaviour in one
//! line, what is given, what is expected. `docs/conformance.md` is generated
//! from the same tables (`report.rs`), so it cannot claim what is not tested.
//! An entry that does not run says so: `not yet` with what is missing, or
//! `elsewhere` with the test that runs it.

mod answers;
mod errors;
mod laws;
mod report;
mod requests;
mod table;
mod turns;
