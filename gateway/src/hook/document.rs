//! A JSON body that hooks read and edit by pointer, without a tree of it.
//!
//! ```text
//! bytes:  {"model":"m","messages":[ ...170 KB... ],"max_tokens":64000}
//! nodes:  Object[ model: Raw, messages: Raw, max_tokens: Raw ]   <- one level
//! ```
//! A node is a raw slice of the body until a pointer leads into it; then one
//! level of it is taken apart. What no pointer names stays byte for byte as it
//! was, and a body that nobody edited is handed back as the very bytes.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluice_codec::json::{Member, write_array, write_object};

/// Deepest pointer that is followed, so that hostile ones end.
const DEPTH_MAX: usize = 64;

/// A body, and the edits made to it.
#[derive(Clone, Debug)]
pub struct Document {
    original: Bytes,
    /// The body as committed.
    root: Node,
    edited: bool,
    /// The body as the hook at hand sees it, from its first edit on.
    staged: Option<Node>,
    notes: Vec<EditNote>,
}

/// One edit, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditNote {
    /// Where.
    pub pointer: String,
    /// What stood there, shown so that no prompt is.
    pub before: String,
    /// What stands there now, likewise.
    pub after: String,
}

/// Why a pointer or a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// The pointer is not one of RFC 6901.
    #[error("`{0}` is no JSON pointer: it must be empty or begin with `/`")]
    Malformed(String),
    /// What the pointer's parent names is missing, or is no object or array.
    #[error("`{0}`: its parent is no object or array")]
    NoParent(String),
    /// An array index out of range.
    #[error("`{0}`: no such index")]
    NoIndex(String),
    /// The value is not JSON.
    #[error("the value for `{0}` is not JSON")]
    NotJson(String),
}

#[derive(Clone, Debug)]
enum Node {
    /// JSON text as it stood, not taken apart.
    Raw(Bytes),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

impl Document {
    /// A document of JSON text.
    pub fn new(body: Bytes) -> Self {
        Self {
            root: Node::Raw(body.clone()),
            original: body,
            edited: false,
            staged: None,
            notes: Vec::new(),
        }
    }

    /// A document of an object whose members are known to stand at `members`.
    pub fn with_members(body: Bytes, members: Vec<Member>) -> Self {
        let text =
            |range: std::ops::Range<usize>| String::from_utf8_lossy(&body[range]).into_owned();
        // Keys with escapes are rare enough to be looked for the slow way.
        if members
            .iter()
            .any(|member| body[member.key.clone()].contains(&b'\\'))
        {
            return Self::new(body);
        }
        let nodes = members
            .into_iter()
            .map(|m| (text(m.key), Node::Raw(body.slice(m.value))))
            .collect();
        Self {
            root: Node::Object(nodes),
            original: body,
            edited: false,
            staged: None,
            notes: Vec::new(),
        }
    }

    /// The JSON text at `pointer`; none if there is nothing.
    pub fn get(&mut self, pointer: &str) -> Result<Option<Cow<'_, str>>, PointerError> {
        let path = parts(pointer)?;
        let node = self.current().find(&path);
        Ok(node.map(|node| node.text()))
    }

    /// How many members or items stand at `pointer`; none for anything else.
    pub fn count(&mut self, pointer: &str) -> Result<Option<usize>, PointerError> {
        let path = parts(pointer)?;
        let Some(node) = self.current().find(&path) else {
            return Ok(None);
        };
        node.expand();
        Ok(match node {
            Node::Raw(_) => None,
            Node::Object(members) => Some(members.len()),
            Node::Array(items) => Some(items.len()),
        })
    }

    /// Put JSON text at `pointer`.
    pub fn set(&mut self, pointer: &str, value: &str) -> Result<(), PointerError> {
        let path = parts(pointer)?;
        let value: &RawValue =
            serde_json::from_str(value).map_err(|_| PointerError::NotJson(pointer.to_owned()))?;
        let new = Node::Raw(Bytes::copy_from_slice(value.get().as_bytes()));
        let after = shown(value.get());
        let before = self.stage().put(&path, new, pointer)?;
        let before = before.map_or_else(|| "none".into(), |mut node| shown(&node.text()));
        self.notes.push(EditNote {
            pointer: pointer.to_owned(),
            before,
            after,
        });
        Ok(())
    }

    /// Remove what stands at `pointer`; false if there was nothing.
    pub fn remove(&mut self, pointer: &str) -> Result<bool, PointerError> {
        let path = parts(pointer)?;
        if self.current().find(&path).is_none() {
            return Ok(false);
        }
        let Some(mut before) = self.stage().cut(&path) else {
            return Ok(false);
        };
        self.notes.push(EditNote {
            pointer: pointer.to_owned(),
            before: shown(&before.text()),
            after: "none".into(),
        });
        Ok(true)
    }

    /// Make the staged edits stand, and say what they were.
    pub fn commit(&mut self) -> Vec<EditNote> {
        if let Some(staged) = self.staged.take() {
            self.root = staged;
            self.edited = true;
        }
        std::mem::take(&mut self.notes)
    }

    /// Forget the staged edits; what they were.
    pub fn rollback(&mut self) -> Vec<EditNote> {
        self.staged = None;
        std::mem::take(&mut self.notes)
    }

    /// Whether any edit stands.
    pub fn is_edited(&self) -> bool {
        self.edited
    }

    /// The body: the original bytes if no edit stands.
    pub fn into_bytes(self) -> Bytes {
        if !self.edited {
            return self.original;
        }
        let mut out = Vec::with_capacity(self.original.len() + 256);
        self.root.write(&mut out);
        out.into()
    }

    /// What reads see.
    fn current(&mut self) -> &mut Node {
        self.staged.as_mut().unwrap_or(&mut self.root)
    }

    /// What edits go to: a copy of the nodes (not of the bytes) on first use.
    fn stage(&mut self) -> &mut Node {
        self.staged.get_or_insert_with(|| self.root.clone())
    }
}

impl Node {
    /// The node that `path` leads to, taking apart what lies on the way.
    fn find(&mut self, path: &[String]) -> Option<&mut Node> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        self.expand();
        let next = match self {
            Node::Raw(_) => None,
            Node::Object(members) => members
                .iter_mut()
                .find(|(key, _)| key == first)
                .map(|(_, node)| node),
            Node::Array(items) => items.get_mut(index(first)?),
        }?;
        next.find(rest)
    }

    /// Put `new` at `path`; what stood there comes back.
    fn put(
        &mut self,
        path: &[String],
        new: Node,
        pointer: &str,
    ) -> Result<Option<Node>, PointerError> {
        let Some((last, parents)) = path.split_last() else {
            return Ok(Some(std::mem::replace(self, new)));
        };
        let no_parent = || PointerError::NoParent(pointer.to_owned());
        let parent = self.find(parents).ok_or_else(no_parent)?;
        parent.expand();
        match parent {
            Node::Raw(_) => Err(no_parent()),
            Node::Object(members) => match members.iter_mut().find(|(key, _)| key == last) {
                Some((_, node)) => Ok(Some(std::mem::replace(node, new))),
                None => {
                    members.push((last.clone(), new));
                    Ok(None)
                }
            },
            Node::Array(items) if last == "-" => {
                items.push(new);
                Ok(None)
            }
            Node::Array(items) => match index(last).and_then(|at| items.get_mut(at)) {
                Some(node) => Ok(Some(std::mem::replace(node, new))),
                None => Err(PointerError::NoIndex(pointer.to_owned())),
            },
        }
    }

    /// Take out what stands at `path`. The whole document stays.
    fn cut(&mut self, path: &[String]) -> Option<Node> {
        let (last, parents) = path.split_last()?;
        let parent = self.find(parents)?;
        parent.expand();
        match parent {
            Node::Raw(_) => None,
            Node::Object(members) => {
                let at = members.iter().position(|(key, _)| key == last)?;
                Some(members.remove(at).1)
            }
            Node::Array(items) => {
                let at = index(last).filter(|at| *at < items.len())?;
                Some(items.remove(at))
            }
        }
    }

    /// Take one level of a raw object or array apart.
    fn expand(&mut self) {
        let Node::Raw(bytes) = self else { return };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let slice = |raw: &RawValue| Node::Raw(bytes.slice_ref(raw.get().as_bytes()));
        let expanded = match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') => serde_json::from_str(text).ok().map(|Members(members)| {
                Node::Object(
                    members
                        .into_iter()
                        .map(|(key, raw)| (key, slice(raw)))
                        .collect(),
                )
            }),
            Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text)
                .ok()
                .map(|items| Node::Array(items.into_iter().map(slice).collect())),
            _ => None,
        };
        if let Some(expanded) = expanded {
            *self = expanded;
        }
    }

    fn text(&mut self) -> Cow<'_, str> {
        match self {
            Node::Raw(bytes) => String::from_utf8_lossy(bytes),
            _ => {
                let mut out = Vec::new();
                self.write(&mut out);
                Cow::Owned(String::from_utf8_lossy(&out).into_owned())
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Node::Raw(bytes) => out.extend_from_slice(bytes),
            Node::Object(members) => {
                let members = members.iter().map(|(key, node)| (key, node));
                write_object(out, members, |out, node| node.write(out));
            }
            Node::Array(items) => write_array(out, items, |out, node| node.write(out)),
        }
    }
}

/// The members of an object. Of a repeated key the last counts.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::with_capacity(16);
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    match members.iter_mut().find(|(known, _)| *known == key) {
                        Some(member) => member.1 = value,
                        None => members.push((key, value)),
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// The parts of a pointer, unescaped.
fn parts(pointer: &str) -> Result<Vec<String>, PointerError> {
    let malformed = || PointerError::Malformed(pointer.to_owned());
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or_else(malformed)?;
    let parts: Vec<_> = rest
        .split('/')
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    if parts.len() > DEPTH_MAX {
        Err(malformed())
    } else {
        Ok(parts)
    }
}

/// An array index: no sign, no leading zero.
fn index(part: &str) -> Option<usize> {
    let plain =
        part == "0" || (!part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| part.parse().ok()).flatten()
}

/// A value for the record: itself where it cannot be a prompt, else its kind
/// and size.
fn shown(json: &str) -> String {
    let json = json.trim();
    match json.as_bytes().first() {
        Some(b'"') => format!("string({})", json.len().saturating_sub(2)),
        Some(b'{') => format!("object({} bytes)", json.len()),
        Some(b'[') => format!("array({} bytes)", json.len()),
        _ => json.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations, one a line: `get /p`, `set /p json`, `remove /p`.
    #[track_caller]
    fn check(body: &str, operations: &[&str], results: &[&str], expected: &str) {
        let mut document = Document::new(Bytes::copy_from_slice(body.as_bytes()));
        let mut got = Vec::new();
        for operation in operations {
            let (verb, rest) = operation.split_once(' ').unwrap();
            got.push(match verb {
                "get" => match document.get(rest) {
                    Ok(found) => found.map_or("none".into(), Cow::into_owned),
                    Err(error) => error.to_string(),
                },
                "count" => document
                    .count(rest)
                    .map_or_else(|e| e.to_string(), |n| format!("{n:?}")),
                "set" => {
                    let (pointer, value) = rest.split_once(' ').unwrap();
                    document
                        .set(pointer, value)
                        .map_or_else(|e| e.to_string(), |()| "ok".into())
                }
                "remove" => document
                    .remove(rest)
                    .map_or_else(|e| e.to_string(), |b| b.to_string()),
                "rollback" => {
                    document.rollback();
                    "ok".into()
                }
                "commit" => format!("{}", document.commit().len()),
                _ => unreachable!("{verb}"),
            });
        }
        assert_eq!(got, results);
        document.commit();
        assert_eq!(document.into_bytes(), expected.as_bytes());
    }

    #[test]
    fn what_is_not_named_stays_byte_for_byte() {
        let body = r#" {"a" : 1, "b":[ 1,{"c":"\u00e9"} ]} "#;
        check(
            body,
            &["get /b/1/c", "count /b", "count /a", "get /x"],
            &[r#""\u00e9""#, "Some(2)", "None", "none"],
            body,
        );
        check(
            body,
            &["set /a 2"],
            &["ok"],
            r#"{"a":2,"b":[ 1,{"c":"\u00e9"} ]}"#,
        );
        check(
            body,
            &["set /b/1/c 2"],
            &["ok"],
            r#"{"a":1,"b":[1,{"c":2}]}"#,
        );
    }

    #[test]
    fn edits_add_replace_append_and_remove() {
        let body = r#"{"a":{"b":1},"l":[1,2]}"#;
        check(
            body,
            &["set /a/c true"],
            &["ok"],
            r#"{"a":{"b":1,"c":true},"l":[1,2]}"#,
        );
        check(
            body,
            &["set /l/- 3", "set /l/0 9"],
            &["ok", "ok"],
            r#"{"a":{"b":1},"l":[9,2,3]}"#,
        );
        check(
            body,
            &["remove /l/0", "remove /l/7", "remove /a"],
            &["true", "false", "true"],
            r#"{"l":[2]}"#,
        );
        check(
            body,
            &["set /x~1y~0 1"],
            &["ok"],
            r#"{"a":{"b":1},"l":[1,2],"x/y~":1}"#,
        );
        check(body, &["set  []"], &["ok"], "[]");
    }

    #[test]
    fn bad_pointers_and_values_change_nothing() {
        let body = r#"{"a":1}"#;
        check(
            body,
            &[
                "set a 1",
                "set /a/b 1",
                "set /x/y 1",
                "set /a {",
                "remove /a/b",
                "get /a/0",
            ],
            &[
                "`a` is no JSON pointer: it must be empty or begin with `/`",
                "`/a/b`: its parent is no object or array",
                "`/x/y`: its parent is no object or array",
                "the value for `/a` is not JSON",
                "false",
                "none",
            ],
            body,
        );
    }

    #[test]
    fn a_rollback_leaves_the_committed_edits() {
        let body = r#"{"a":1,"b":2}"#;
        check(
            body,
            &[
                "set /a 5",
                "get /a",
                "commit ",
                "remove /b",
                "rollback ",
                "get /b",
            ],
            &["ok", "5", "1", "true", "ok", "2"],
            r#"{"a":5,"b":2}"#,
        );
        check(body, &["set /a 5", "rollback "], &["ok", "ok"], body);
    }

    #[test]
    fn notes_show_numbers_and_hide_texts() {
        let mut document = Document::new(Bytes::from_static(br#"{"n":64000,"s":"secret"}"#));
        document.set("/n", "4096").unwrap();
        document.set("/s", "[1]").unwrap();
        document.remove("/n").unwrap();
        let notes: Vec<_> = document
            .commit()
            .into_iter()
            .map(|n| format!("{} {} -> {}", n.pointer, n.before, n.after))
            .collect();
        assert_eq!(
            notes,
            [
                "/n 64000 -> 4096",
                "/s string(6) -> array(3 bytes)",
                "/n 4096 -> none"
            ]
        );
    }

    #[test]
    fn known_members_need_no_scan() {
        let mut object = sluice_codec::json::ObjectWriter::with_capacity(0);
        object.raw("a", "1");
        object.string("b", "x");
        let (body, members) = object.finish();
        let mut document = Document::with_members(body.into(), members);
        assert_eq!(document.get("/b").unwrap().as_deref(), Some("\"x\""));
        document.set("/a", "2").unwrap();
        document.commit();
        assert_eq!(document.into_bytes(), r#"{"a":2,"b":"x"}"#.as_bytes());
    }
}
