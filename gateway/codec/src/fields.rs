//! Reading an object one level deep: take what you know, keep the rest.
//!
//! Values stay raw slices of the body until somebody asks for their type, so a
//! tool schema or a long text is scanned and never built into a tree. Errors
//! carry the path: ``messages[2].role: expected a string, got `7` ``.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Text, as_count, as_str};

/// Members that nobody took, in the order they came.
pub type Extras<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Where in a body something stands; built on the stack, written on error.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// The body itself.
    Root,
    /// A member of an object.
    Key(&'p Path<'p>, &'p str),
    /// An item of an array.
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    /// The member `key` of what stands here.
    pub fn key(&'p self, key: &'p str) -> Path<'p> {
        Path::Key(self, key)
    }

    /// The item `index` of what stands here.
    pub fn index(&'p self, index: usize) -> Path<'p> {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A body that does not fit its dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Where: `messages[2].role`; empty for the whole body.
    pub path: String,
    /// What: ``expected a string, got `7` ``.
    pub message: String,
}

impl DecodeError {
    /// `message` about what stands at `path`.
    pub fn at(path: &Path<'_>, message: impl Into<String>) -> Self {
        Self {
            path: path.to_string(),
            message: message.into(),
        }
    }

    fn expected(path: &Path<'_>, what: &str, got: &RawValue) -> Self {
        Self::at(path, format!("expected {what}, got {}", shown(got)))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

/// A value in an error message: its kind, or itself where it is short and
/// cannot be part of a prompt.
fn shown(raw: &RawValue) -> String {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a string".into(),
        Some(b'{') => "an object".into(),
        Some(b'[') => "an array".into(),
        _ => format!("`{}`", raw.get()),
    }
}

/// The members of one object.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    members: Extras<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Fields { members })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A key, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
pub(crate) struct Key<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'a> Fields<'a> {
    /// The members of the object that `text` is.
    pub fn parse(text: &'a str, path: &Path<'_>) -> Result<Self, DecodeError> {
        serde_json::from_str(text).map_err(|error| DecodeError::at(path, plain(&error)))
    }

    /// The members of the object in `raw`.
    pub fn of(raw: &'a RawValue, path: &Path<'_>) -> Result<Self, DecodeError> {
        if !raw.get().starts_with('{') {
            return Err(DecodeError::expected(path, "an object", raw));
        }
        Self::parse(raw.get(), path)
    }

    /// Take the member `key`; `null` counts as absent. Of a repeated key the
    /// last counts, as in every common parser.
    pub fn take(&mut self, key: &str) -> Option<&'a RawValue> {
        let mut found = None;
        self.members.retain(|(name, value)| {
            let hit = name == key;
            if hit {
                found = Some(*value);
            }
            !hit
        });
        found.filter(|raw| raw.get() != "null")
    }

    /// Look at the member `key` without taking it.
    pub fn peek(&self, key: &str) -> Option<&'a RawValue> {
        let of_that_name = |(name, _): &&(Cow<'a, str>, &'a RawValue)| name == key;
        self.members.iter().rfind(of_that_name).map(|(_, raw)| *raw)
    }

    /// Take a string.
    pub fn take_str(
        &mut self,
        key: &str,
        path: &Path<'_>,
    ) -> Result<Option<Cow<'a, str>>, DecodeError> {
        self.take_as(key, path, "a string", as_str)
    }

    /// Take a string as the literal it is.
    pub fn take_text(
        &mut self,
        key: &str,
        path: &Path<'_>,
    ) -> Result<Option<Text<'a>>, DecodeError> {
        self.take_as(key, path, "a string", Text::from_raw)
    }

    /// Take a whole number.
    pub fn take_count(&mut self, key: &str, path: &Path<'_>) -> Result<Option<u64>, DecodeError> {
        self.take_as(key, path, "a whole number", |raw| {
            (!raw.get().starts_with('"'))
                .then(|| as_count(raw))
                .flatten()
        })
    }

    /// Take a number as the literal it is.
    pub fn take_number(
        &mut self,
        key: &str,
        path: &Path<'_>,
    ) -> Result<Option<&'a RawValue>, DecodeError> {
        self.take_as(key, path, "a number", |raw| {
            raw.get()
                .starts_with(|c: char| c == '-' || c.is_ascii_digit())
                .then_some(raw)
        })
    }

    /// Take a boolean.
    pub fn take_bool(&mut self, key: &str, path: &Path<'_>) -> Result<Option<bool>, DecodeError> {
        self.take_as(key, path, "a boolean", |raw| raw.get().parse().ok())
    }

    /// Take an object.
    pub fn take_object(
        &mut self,
        key: &str,
        path: &Path<'_>,
    ) -> Result<Option<Fields<'a>>, DecodeError> {
        self.take(key)
            .map(|raw| Fields::of(raw, &path.key(key)))
            .transpose()
    }

    /// Take an object as it stands.
    pub fn take_raw_object(
        &mut self,
        key: &str,
        path: &Path<'_>,
    ) -> Result<Option<&'a RawValue>, DecodeError> {
        self.take_as(key, path, "an object", |raw| {
            raw.get().starts_with('{').then_some(raw)
        })
    }

    /// Take an array of raw items.
    pub fn take_array(
        &mut self,
        key: &str,
        path: &Path<'_>,
    ) -> Result<Option<Vec<&'a RawValue>>, DecodeError> {
        self.take_as(key, path, "an array", |raw| {
            serde_json::from_str(raw.get()).ok()
        })
    }

    fn take_as<T>(
        &mut self,
        key: &str,
        path: &Path<'_>,
        what: &str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Result<Option<T>, DecodeError> {
        let Some(raw) = self.take(key) else {
            return Ok(None);
        };
        match read(raw) {
            Some(value) => Ok(Some(value)),
            None => Err(DecodeError::expected(&path.key(key), what, raw)),
        }
    }

    /// Add a member that has no place where it stood, under its path from here.
    pub(crate) fn put_back(&mut self, path: String, value: &'a RawValue) {
        self.members.push((Cow::Owned(path), value));
    }

    /// Whether nothing is left to take.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What nobody took, of a repeated member the last one.
    pub fn distinct(mut self) -> Extras<'a> {
        let mut seen = HashSet::with_capacity(self.members.len());
        self.members.reverse();
        self.members.retain(|(key, _)| seen.insert(key.clone()));
        self.members.reverse();
        self.members
    }

    /// What nobody took.
    pub fn rest(self) -> Extras<'a> {
        self.members
    }
}

/// The objects of an array, in one pass.
pub fn objects<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Vec<Fields<'a>>, DecodeError> {
    if let Ok(items) = serde_json::from_str(raw.get()) {
        return Ok(items);
    }
    // One of them is no object: find out which.
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| DecodeError::expected(path, "an array", raw))?;
    items
        .into_iter()
        .enumerate()
        .map(|(i, item)| Fields::of(item, &path.index(i)))
        .collect()
}

/// A present value, or an error that it is missing.
pub fn required<T>(value: Option<T>, path: &Path<'_>, key: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::at(&path.key(key), "required, and missing"))
}

fn plain(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early".into(),
        // Its wording would quote the value, which may be a prompt.
        serde_json::error::Category::Data => "expected an object".into(),
        _ => format!("not valid JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        fn read(json: &str) -> Result<String, DecodeError> {
            let path = Path::Root;
            let at = path.key("messages");
            let at = at.index(2);
            let mut fields = Fields::parse(json, &at)?;
            let role = required(fields.take_str("role", &at)?, &at, "role")?;
            let count = fields.take_count("n", &at)?;
            let rest: Vec<_> = fields
                .rest()
                .into_iter()
                .map(|(key, _)| key.into_owned())
                .collect();
            Ok(format!("{role} {count:?} {rest:?}"))
        }
        let got = read(json).unwrap_or_else(|error| error.to_string());
        assert_eq!(got, expected);
    }

    #[test]
    fn takes_what_it_knows_and_keeps_the_rest() {
        check(r#"{"role":"user","x":1,"y":{}}"#, r#"user None ["x", "y"]"#);
        check(r#"{"role":"us\u0065r","n":3}"#, "user Some(3) []");
        check(r#"{"role":"a","role":"b","n":null}"#, "b None []");
    }

    #[test]
    fn says_where_and_what() {
        check(
            r#"{"role":7}"#,
            "messages[2].role: expected a string, got `7`",
        );
        check(
            r#"{"role":{"secret":1}}"#,
            "messages[2].role: expected a string, got an object",
        );
        check(
            r#"{"role":"u","n":"3"}"#,
            "messages[2].n: expected a whole number, got a string",
        );
        check(r#"{"n":1}"#, "messages[2].role: required, and missing");
        check(r#"{"role":"#, "messages[2]: the JSON ends too early");
    }
}
