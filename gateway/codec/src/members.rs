//! A body's top-level members, held against what an upstream accepts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::fields::Key;
use crate::ir::Losses;
use crate::json::{Member, ObjectWriter};

/// Which members an upstream accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted<'a> {
    /// Without these there is no request: never dropped.
    pub(crate) vital: &'a [&'a str],
    /// Those that are accepted; all, if there are none.
    pub(crate) params: &'a [String],
    /// Those that are refused.
    pub(crate) drop: &'a [String],
}

impl Accepted<'_> {
    /// Whether it takes the member `name`.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|known| known == name);
        self.vital.contains(&name)
            || (self.params.is_empty() || is_in(self.params)) && !is_in(self.drop)
    }

    /// Drop the members that the upstream refuses, and report those that say
    /// anything.
    pub(crate) fn retain(&self, body: ObjectWriter, losses: &mut Losses) -> (Vec<u8>, Vec<Member>) {
        let (text, members) = body.finish();
        // As it is meant, not as it is written: a key may hold escapes.
        let name = |member: &Member| -> Cow<'_, str> {
            let literal = &text[member.key.start - 1..=member.key.end];
            serde_json::from_slice(literal).map_or_else(|_| Cow::default(), |Key(name)| name)
        };
        if members.iter().all(|member| self.takes(&name(member))) {
            return (text, members);
        }
        let mut kept = ObjectWriter::with_capacity(text.len());
        for member in &members {
            let name = name(member);
            let value = &text[member.value.clone()];
            if self.takes(&name) {
                kept.member(&name, |out| out.extend_from_slice(value));
            } else if value != b"null" {
                losses.report(name, "the upstream refuses this parameter");
            }
        }
        kept.finish()
    }
}

/// Add members to a body, unless they are there.
pub(crate) fn add(body: &mut ObjectWriter, members: &BTreeMap<String, Value>) {
    for (name, value) in members {
        if !body.has(name) {
            body.raw(name, &value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_escapes_is_written_as_it_was() {
        let mut body = ObjectWriter::with_capacity(0);
        body.raw("a\"b\\", "1");
        body.raw("gone", "2");
        body.raw("empty", "null");
        let accepted = Accepted {
            vital: &[],
            params: &[],
            drop: &["gone".to_owned(), "empty".to_owned()],
        };
        let mut losses = Losses::default();
        let (text, members) = accepted.retain(body, &mut losses);
        assert_eq!(text, br#"{"a\"b\\":1}"#);
        assert_eq!(&text[members[0].key.clone()], br#"a\"b\\"#);
        assert_eq!(losses.count(), 1);
    }
}
