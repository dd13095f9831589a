//! The body's top-level members, held against what the upstream accepts.

use std::borrow::Cow;

use super::accent::Accent;
use crate::fields::Key;
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
    // As it is meant, not as it is written: a key may hold escapes.
    let name = |member: &Member| -> Cow<'_, str> {
        let literal = &text[member.key.start - 1..=member.key.end];
        serde_json::from_slice(literal).map_or_else(|_| Cow::default(), |Key(name)| name)
    };
    if members
        .iter()
        .all(|member| is_accepted(&name(member), accent))
    {
        return (text, members);
    }
    let mut kept = ObjectWriter::with_capacity(text.len());
    for member in &members {
        let name = name(member);
        if is_accepted(&name, accent) {
            kept.member(&name, |out| {
                out.extend_from_slice(&text[member.value.clone()]);
            });
        } else {
            losses.report(name, "the upstream refuses this parameter");
        }
    }
    kept.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_escapes_is_written_as_it_was() {
        let mut body = ObjectWriter::with_capacity(0);
        body.raw("a\"b\\", "1");
        body.raw("gone", "2");
        let accent = Accent {
            drop: vec!["gone".to_owned()],
            ..Accent::default()
        };
        let (text, members) = retain(body, &accent, &mut Losses::default());
        assert_eq!(text, br#"{"a\"b\\":1}"#);
        assert_eq!(&text[members[0].key.clone()], br#"a\"b\\"#);
    }
}
