//! How the signature of reasoning travels through a Chat Completions client.
//!
//! Chat Completions has no place for it. Clients that know OpenRouter return
//! `reasoning_details` as they got them, so an item of that list carries it,
//! beside the text in `reasoning_content`:
//! <https://openrouter.ai/docs/client-sdks/python/components/reasoningdetail.md>
//! (seen 2026-11).
//!
//! ```json
//! {"type":"reasoning.text","id":"sluice1.0","signature":"...","index":0}
//! ```
//! A client that returns the text alone loses the signature, and with it the
//! proof of whose reasoning it is. None is invented: a made-up one would be
//! refused by Anthropic, and would hand one vendor's reasoning to another.

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::json::{as_str, write_count, write_str};

/// Begins the `id` of every item of ours.
pub(super) const ID_PREFIX: &str = "sluice1.";

/// Append the item that carries `signature` of the thinking block `index`.
pub(super) fn write(out: &mut Vec<u8>, index: u64, signature: &str) {
    out.extend_from_slice(b"{\"type\":\"reasoning.text\",\"id\":\"");
    out.extend_from_slice(ID_PREFIX.as_bytes());
    write_count(out, index);
    out.extend_from_slice(b"\",\"signature\":");
    write_str(out, signature);
    out.extend_from_slice(b",\"index\":");
    write_count(out, index);
    out.push(b'}');
}

/// The signature in an item of `reasoning_details`, if the item is ours.
pub(super) fn read(item: &RawValue) -> Option<String> {
    let mut fields = Fields::of(item, &Path::Root).ok()?;
    let is_ours = as_str(fields.take("id")?)?.starts_with(ID_PREFIX);
    let signature = as_str(fields.take("signature")?)?;
    is_ours.then(|| signature.into_owned())
}
