//! `reasoning_details`, gathered from a stream to go back as they came.
//!
//! Pieces of one item follow each other: their texts are joined, whatever else
//! they say is kept, and encrypted items stay single.
//! <https://openrouter.ai/docs/use-cases/reasoning-tokens> (seen 2026-11).

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::json::{ObjectWriter, as_str};

/// Most bytes of one block's details: they lie in the client's transcript, and
/// come back with every request.
const BYTES_MAX: usize = 256 << 10;

/// The members whose pieces are joined.
const JOINED: [&str; 2] = ["text", "summary"];

/// The details of the thinking block that is open.
#[derive(Debug, Default)]
pub(super) struct Details {
    items: Vec<Vec<(String, Value)>>,
    bytes: usize,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Raw(String),
}

impl Details {
    /// Add an item, or a piece of the last one; false if there is no more room.
    pub(super) fn add(&mut self, raw: &RawValue) -> bool {
        let Ok(fields) = Fields::of(raw, &Path::Root) else {
            return true;
        };
        self.bytes += raw.get().len();
        if self.bytes > BYTES_MAX {
            self.items.clear();
            return false;
        }
        let piece: Vec<_> = fields
            .rest()
            .into_iter()
            .map(|(key, value)| {
                let text = as_str(value).filter(|_| JOINED.contains(&&*key));
                let value = match text.map(Cow::into_owned) {
                    Some(text) => Value::Text(text),
                    None => Value::Raw(value.get().to_owned()),
                };
                (key.into_owned(), value)
            })
            .collect();
        match self.items.last_mut().filter(|last| continues(last, &piece)) {
            Some(last) => join(last, piece),
            None => self.items.push(piece),
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All of them as a JSON array, and begin anew; none if there are none.
    pub(super) fn take(&mut self) -> Option<String> {
        let items = std::mem::take(&mut self.items);
        self.bytes = 0;
        let item = |item: &Vec<(String, Value)>| {
            let mut object = ObjectWriter::with_capacity(64);
            for (key, value) in item {
                match value {
                    Value::Text(text) => object.string(key, text),
                    Value::Raw(raw) => object.raw(key, raw),
                }
            }
            String::from_utf8(object.finish().0).expect("written from strings")
        };
        let items: Vec<_> = items.iter().map(item).collect();
        (!items.is_empty()).then(|| format!("[{}]", items.join(",")))
    }
}

fn raw<'v>(item: &'v [(String, Value)], key: &str) -> Option<&'v str> {
    item.iter().find_map(|(known, value)| match value {
        Value::Raw(raw) if known == key => Some(&**raw),
        _ => None,
    })
}

/// Whether `piece` belongs to the item `last`: same type and place, and texts
/// on either side.
fn continues(last: &[(String, Value)], piece: &[(String, Value)]) -> bool {
    let is_text = |item: &[(String, Value)]| {
        let is_encrypted = item.iter().any(|(key, _)| key == "data");
        raw(item, "index").is_some() && !is_encrypted
    };
    let same = |key| raw(last, key) == raw(piece, key);
    is_text(last) && is_text(piece) && same("index") && same("type")
}

/// Append the texts of `piece`; of what else it says, the last counts.
fn join(last: &mut Vec<(String, Value)>, piece: Vec<(String, Value)>) {
    for (key, value) in piece {
        match (last.iter_mut().find(|(known, _)| *known == key), value) {
            (Some((_, Value::Text(text))), Value::Text(more)) => text.push_str(&more),
            (Some(_), Value::Raw(null)) if null == "null" => {}
            (Some((_, known)), value) => *known = value,
            (None, value) => last.push((key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_text_are_joined_and_nothing_else() {
        let mut details = Details::default();
        for json in [
            r#"{"type":"reasoning.text","text":"a\n","index":0,"format":"f","signature":null}"#,
            r#"{"type":"reasoning.text","text":"b","index":0,"format":null}"#,
            r#"{"type":"reasoning.text","signature":"s","index":0}"#,
            r#"{"type":"reasoning.encrypted","data":"x","index":1,"id":"1"}"#,
            r#"{"type":"reasoning.encrypted","data":"y","index":1,"id":"2"}"#,
            "7",
        ] {
            assert!(details.add(serde_json::from_str(json).unwrap()));
        }
        assert_eq!(
            details.take().unwrap(),
            r#"[{"type":"reasoning.text","text":"a\nb","index":0,"format":"f","signature":"s"},{"type":"reasoning.encrypted","data":"x","index":1,"id":"1"},{"type":"reasoning.encrypted","data":"y","index":1,"id":"2"}]"#
        );
        assert!(details.is_empty() && details.take().is_none());
    }

    #[test]
    fn they_do_not_grow_without_bound() {
        let mut details = Details::default();
        let json = format!(
            r#"{{"type":"reasoning.text","text":"{}"}}"#,
            "x".repeat(BYTES_MAX)
        );
        assert!(!details.add(serde_json::from_str(&json).unwrap()));
        assert!(details.take().is_none());
    }
}
