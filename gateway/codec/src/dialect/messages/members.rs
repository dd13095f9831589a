//! The body's top-level members, held against what the upstream accepts.

use std::borrow::Cow;

use super::accent::Accent;
use crate::fields::Key;
use crate::ir::Losses;
use crate::json::{Member, ObjectWriter};

/// Members without which there is no request: never dropped.
const VITAL: [&str; 4] = ["model", "messages", "max_tokens", "stream"];

/// Add what `accent` adds, drop what it refuses, and report that.
pub(super) fn settle(
    mut body: ObjectWriter,
    accent: &Accent,
    losses: &mut Losses,
) -> (Vec<u8>, Vec<Member>) {
    for (name, value) in &accent.add {
        if !body.has(name) {
            body.raw(name, &value.to_string());
        }
    }
    let (text, members) = body.finish();
    // As it is meant, not as it is written: a key may hold escapes.
    let name = |member: &Member| -> Cow<'_, str> {
        let literal = &text[member.key.start - 1..=member.key.end];
        serde_json::from_slice(literal).map_or_else(|_| Cow::default(), |Key(name)| name)
    };
    if members.iter().all(|member| accepts(accent, &name(member))) {
        return (text, members);
    }
    let mut kept = ObjectWriter::with_capacity(text.len());
    for member in &members {
        let name = name(member);
        if accepts(accent, &name) {
            kept.member(&name, |out| {
                out.extend_from_slice(&text[member.value.clone()]);
            });
        } else if &text[member.value.clone()] != b"null" {
            losses.report(name, "the upstream has no use for this parameter");
        }
    }
    kept.finish()
}

fn accepts(accent: &Accent, name: &str) -> bool {
    let is_in = |list: &[String]| list.iter().any(|known| known == name);
    VITAL.contains(&name)
        || (accent.params.is_empty() || is_in(&accent.params)) && !is_in(&accent.drop)
}
