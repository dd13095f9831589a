//! What the client says of prompt caches, where an upstream has something for it.
//!
//! A mark (`cache_control`) ends what is to be cached. Clients move theirs on with
//! every turn, and caches compare text, not marks: so a mark changes nothing of a
//! message but its form. It stands on one part with all of the message's text, at
//! the end, whichever block it stood on; without it the same text is a string.

use serde_json::value::RawValue;

use super::content::Piece;
use super::replay::write_joined;
use crate::fields::{Fields, Path};
use crate::hash::hash;

/// The member that is a mark.
pub(super) const KEY: &str = "cache_control";

/// Append `content` of text alone.
pub(super) fn write_text(
    out: &mut Vec<u8>,
    texts: &[Piece<'_>],
    separator: &str,
    mark: Option<&RawValue>,
) {
    if mark.is_none() || texts.is_empty() {
        return write_joined(out, texts, separator);
    }
    out.extend_from_slice(b"[{\"type\":\"text\",\"text\":");
    write_joined(out, texts, separator);
    out.extend_from_slice(b"}]");
    mark_last_part(out, mark);
}

/// Put the mark on the last of the parts that `out` ends with.
pub(super) fn mark_last_part(out: &mut Vec<u8>, mark: Option<&RawValue>) {
    if let Some(mark) = mark
        && out.ends_with(b"}]")
    {
        out.truncate(out.len() - 2);
        out.extend_from_slice(b",\"cache_control\":");
        out.extend_from_slice(mark.get().as_bytes());
        out.extend_from_slice(b"}]");
    }
}

/// What tells one conversation's prompts from another's: a hash of the session in
/// the client's name for its user, or of that name. Claude Code's holds a session,
/// in JSON or behind `_session_`.
pub(super) fn cache_key(user: &str) -> String {
    let at = &Path::Root;
    let session = Fields::parse(user, at)
        .ok()
        .and_then(|mut fields| fields.take_str("session_id", at).ok()?);
    let session = match &session {
        Some(session) => session,
        None => user.rsplit_once("_session_").map_or(user, |(_, id)| id),
    };
    format!("{:016x}", hash(session.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_has_one_key() {
        let key = cache_key("s1");
        for user in [
            r#"{"device_id":"d","account_uuid":"","session_id":"s1"}"#,
            r#"{"session_id":"s1","device_id":"e"}"#,
            "user_ab_account__session_s1",
        ] {
            assert_eq!(cache_key(user), key, "{user}");
        }
        assert_ne!(cache_key(r#"{"session_id":3}"#), key);
        assert_eq!(key.len(), 16);
    }
}
