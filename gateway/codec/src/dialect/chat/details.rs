//! `reasoning_details`: reasoning in pieces with signatures and encrypted parts,
//! which must go back as they came. They travel in the envelope of the thinking
//! block. <https://openrouter.ai/docs/use-cases/reasoning-tokens> (seen 2026-11)

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::json::{as_str, write_array, write_str};

/// Most bytes that are kept: clients store them with the conversation.
const BYTES_MAX: usize = 1 << 20;

/// The details of one thinking block, gathered from a stream.
#[derive(Debug, Default)]
pub(super) struct Details {
    items: Vec<Vec<(String, Value)>>,
    bytes: usize,
}

#[derive(Debug, PartialEq)]
enum Value {
    /// Text that may go on in the next piece.
    Text(String),
    /// JSON text.
    Raw(String),
}

impl Details {
    /// Add a detail, or go on with the last one. False if there is no room for it.
    pub(super) fn add(&mut self, raw: &RawValue) -> bool {
        let Ok(fields) = Fields::of(raw, &Path::Root) else {
            return true;
        };
        self.bytes += raw.get().len();
        if self.bytes > BYTES_MAX {
            self.items.clear();
            return false;
        }
        let members = fields.rest().into_iter().map(|(key, raw)| {
            let text = as_str(raw).filter(|_| matches!(&*key, "text" | "summary"));
            let value = text.map_or_else(
                || Value::Raw(raw.get().to_owned()),
                |text| Value::Text(text.into_owned()),
            );
            (key.into_owned(), value)
        });
        let members: Vec<_> = members.collect();
        match self.items.last_mut().filter(|last| goes_on(last, &members)) {
            Some(last) => merge(last, members),
            None => self.items.push(members),
        }
        true
    }

    /// The array as JSON text, if there is one; the next block begins anew.
    pub(super) fn take(&mut self) -> Option<String> {
        let items = std::mem::take(&mut self.items);
        self.bytes = 0;
        if items.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        write_array(&mut out, &items, |out, item| {
            for (i, (key, value)) in item.iter().enumerate() {
                out.push(if i == 0 { b'{' } else { b',' });
                write_str(out, key);
                out.push(b':');
                match value {
                    Value::Text(text) => write_str(out, text),
                    Value::Raw(json) => out.extend_from_slice(json.as_bytes()),
                }
            }
            out.extend_from_slice(if item.is_empty() { b"{}" } else { b"}" });
        });
        String::from_utf8(out).ok()
    }

    /// Whether nothing has come since the last block.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

fn member<'m>(item: &'m [(String, Value)], key: &str) -> Option<&'m Value> {
    let mut members = item.iter();
    members
        .find(|(known, _)| known == key)
        .map(|(_, value)| value)
}

/// Pieces of one text have one index and one type; encrypted ones are whole.
fn goes_on(last: &[(String, Value)], next: &[(String, Value)]) -> bool {
    let same = |key| member(last, key).is_some() && member(last, key) == member(next, key);
    same("index") && same("type") && member(next, "data").is_none()
}

fn merge(last: &mut Vec<(String, Value)>, next: Vec<(String, Value)>) {
    for (key, value) in next {
        match (last.iter_mut().find(|(known, _)| *known == key), value) {
            (Some((_, Value::Text(text))), Value::Text(more)) => text.push_str(&more),
            (Some(_), Value::Raw(json)) if json == "null" => {}
            (Some((_, known)), value) => *known = value,
            (None, value) => last.push((key, value)),
        }
    }
}
