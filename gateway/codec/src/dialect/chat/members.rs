//! The body's top-level members, held against what the upstream accepts.

use super::accent::Accent;
use crate::ir::Losses;
use crate::json::{Member, ObjectWriter};

/// Members without which there is no request: never dropped.
const VITAL: [&str; 3] = ["model", "messages", "stream"];

/// Add the members that `accent` adds, unless they are there.
pub(super) fn add(body: &mut ObjectWriter, accent: &Accent) {
    for (name, value) in &accent.add {
        if !body.has(name) {
            body.raw(name, &value.to_string());
        }
    }
}

/// Whether the upstream takes the member `name`.
pub(super) fn is_accepted(name: &str, accent: &Accent) -> bool {
    let is_in = |list: &[String]| list.iter().any(|known| known == name);
    VITAL.contains(&name)
        || (accent.params.is_empty() || is_in(&accent.params)) && !is_in(&accent.drop)
}

/// Drop the members that the upstream refuses, and report them.
pub(super) fn retain(
    body: ObjectWriter,
    accent: &Accent,
    losses: &mut Losses,
) -> (Vec<u8>, Vec<Member>) {
    let (text, members) = body.finish();
    let name = |member: &Member| std::str::from_utf8(&text[member.key.clone()]).unwrap_or_default();
    if members
        .iter()
        .all(|member| is_accepted(name(member), accent))
    {
        return (text, members);
    }
    let mut kept = ObjectWriter::with_capacity(text.len());
    for member in &members {
        let name = name(member);
        if is_accepted(name, accent) {
            kept.member(name, |out| {
                out.extend_from_slice(&text[member.value.clone()]);
            });
        } else {
            losses.report(name, "the upstream refuses this parameter");
        }
    }
    kept.finish()
}
