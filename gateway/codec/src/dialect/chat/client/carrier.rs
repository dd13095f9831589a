//! How the signature of reasoning travels through a Chat Completions client.
//!
//! Chat Completions has no place for it. Clients that know OpenRouter return
//! `reasoning_details` as they got them, so an item of that list carries it, one
//! for each block, beside the text in `reasoning_content`:
//! <https://openrouter.ai/docs/client-sdks/python/components/reasoningdetail.md>
//! (seen 2026-11).
//!
//! ```text
//! {"type":"reasoning.text","id":"sluice1.INDEX.SEAL","signature":"...","index":INDEX}
//! SEAL: BYTES.HASH      of the block's text: several have become one text
//!      .BEFORE.CALLS    how many bytes of `content`, and how many calls, came first
//! ```
//! A client that returns the text alone loses the signature, and with it the
//! proof of whose reasoning it is. None is invented: a made-up one would be
//! refused by Anthropic, and would hand one vendor's reasoning to another. One
//! that returns another text (OpenAI's helper for streams keeps the last piece of
//! any member that it does not know) is found out by the seal. Items without one
//! lie in older conversations.

use serde_json::value::RawValue;

use super::completion::GAP;
use crate::fields::{Fields, Path};
use crate::hash::{Hash, hash};
use crate::json::{as_str, write_count, write_str};

/// Begins the `id` of every item of ours.
pub(super) const ID_PREFIX: &str = "sluice1.";

/// What a block's text was, and where it stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seal {
    bytes: u64,
    hash: Hash,
    /// Bytes of `content` before the block.
    pub(super) before: u64,
    /// Calls before the block.
    pub(super) calls: u64,
}

impl Seal {
    /// Of a block without text so far, behind so much of the answer.
    pub(super) fn new(before: u64, calls: u64) -> Self {
        Self {
            before,
            calls,
            ..Self::default()
        }
    }

    /// Take in more of the text.
    pub(super) fn add(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        self.hash.add(text.as_bytes());
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let bytes = parts.next()?.parse().ok()?;
        let hash = Hash::of(u64::from_str_radix(parts.next()?, 16).ok()?);
        let before = parts.next()?.parse().ok()?;
        let calls = parts.next()?.parse().ok()?;
        Some(Self {
            bytes,
            hash,
            before,
            calls,
        })
    }
}

/// A signature on its way.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) signature: String,
    pub(super) seal: Option<Seal>,
}

/// Append the item that carries `signature` of the thinking block `index`.
pub(super) fn write(out: &mut Vec<u8>, index: u64, seal: Seal, signature: &str) {
    let Seal {
        bytes,
        hash,
        before,
        calls,
    } = seal;
    let hash = hash.get();
    let id = format!("{ID_PREFIX}{index}.{bytes}.{hash:016x}.{before}.{calls}");
    out.extend_from_slice(b"{\"type\":\"reasoning.text\",\"id\":");
    write_str(out, &id);
    out.extend_from_slice(b",\"signature\":");
    write_str(out, signature);
    out.extend_from_slice(b",\"index\":");
    write_count(out, index);
    out.push(b'}');
}

/// What an item of `reasoning_details` carries, if the item is ours.
pub(super) fn read(item: &RawValue) -> Option<Carrier> {
    let mut fields = Fields::of(item, &Path::Root).ok()?;
    let id = as_str(fields.take("id")?)?;
    let seal = id.strip_prefix(ID_PREFIX)?.split_once('.');
    let signature = as_str(fields.take("signature")?)?;
    Some(Carrier {
        signature: signature.into_owned(),
        seal: seal.and_then(|(_, seal)| Seal::read(seal)),
    })
}

/// The text of each block, if `joined` is what they became on the way.
pub(super) fn unjoined<'t>(joined: &'t str, seals: &[Seal]) -> Option<Vec<&'t str>> {
    let mut rest = joined;
    let mut texts = Vec::with_capacity(seals.len());
    for seal in seals {
        let is_apart = seal.bytes > 0 && rest.len() < joined.len();
        rest = if is_apart {
            rest.strip_prefix(GAP)?
        } else {
            rest
        };
        let (text, after) = rest.split_at_checked(usize::try_from(seal.bytes).ok()?)?;
        if hash(text.as_bytes()) != seal.hash.get() {
            return None;
        }
        texts.push(text);
        rest = after;
    }
    rest.is_empty().then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(text: &str) -> Seal {
        let mut seal = Seal::new(3, 1);
        seal.add(text);
        seal
    }

    #[test]
    fn what_was_written_can_be_read() {
        let mut out = Vec::new();
        write(&mut out, 2, seal("r\u{e9}"), "s\"");
        let item = serde_json::from_slice::<&RawValue>(&out).unwrap();
        let carrier = read(item).unwrap();
        assert_eq!(
            (&*carrier.signature, carrier.seal),
            ("s\"", Some(seal("r\u{e9}")))
        );
        for (id, ours) in [
            ("sluice1.0", true),
            ("sluice1.0.x", true),
            ("sluice1.0.1.ff.2", true),
            ("rs_1", false),
        ] {
            let item = format!(r#"{{"id":"{id}","signature":"s"}}"#);
            let carrier = read(serde_json::from_str(&item).unwrap());
            assert_eq!(carrier.is_some(), ours, "{id}");
            assert!(carrier.is_none_or(|carrier| carrier.seal.is_none()), "{id}");
        }
    }

    #[test]
    fn texts_come_apart_as_they_were_joined() {
        #[track_caller]
        fn check(joined: &str, texts: &[&str], fits: bool) {
            let seals: Vec<_> = texts.iter().map(|text| seal(text)).collect();
            let expected = fits.then(|| texts.to_vec());
            assert_eq!(unjoined(joined, &seals), expected, "{joined:?}");
        }
        check("", &[""], true);
        check("", &["", ""], true);
        check("a", &["a"], true);
        check("a\n\nb", &["a", "b"], true);
        check("a\n\n\n\n\u{e9}", &["a\n\n", "\u{e9}"], true);
        check("a\n\nb", &["", "a", "", "b", ""], true);
        check("b", &["a", "b"], false);
        check("a", &["a\n"], false);
        check("a\n", &["a"], false);
        check("ab", &["a", "b"], false);
        check("\u{e9}", &["\u{e8}"], false);
        check("\u{e9}", &["a"], false);
    }
}
