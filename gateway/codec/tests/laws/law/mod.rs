//! What holds for any input at all: each law takes bytes and panics where it is
//! broken. Fuzz targets and tests run the same ones.
//!
//! ```text
//! sse_split         frames of any bytes, however they are cut
//! chat_answer       a Chat Completions upstream's answer, to either client
//! messages_answer   a Messages upstream's answer, to either client
//! messages_request  a Messages client's request, to either upstream
//! chat_request      a Chat Completions client's request, to either upstream
//! ```
//! The input is the wire's own bytes, so a captured body or stream is a seed as
//! it stands; where it is cut follows from the bytes themselves ([`cuts`]).

mod accents;
mod answers;
mod client;
mod cuts;
mod requests;
mod sse;

/// A law: panics where `input` breaks it.
pub(crate) type Law = fn(input: &[u8]);

/// All laws by their names, which are those of the fuzz targets and the folders
/// of the corpus.
pub(crate) const LAWS: [(&str, Law); 5] = [
    ("sse_split", sse::split),
    ("chat_answer", answers::chat),
    ("messages_answer", answers::messages),
    ("messages_request", requests::messages),
    ("chat_request", requests::chat),
];
