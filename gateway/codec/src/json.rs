//! Writing JSON text, and string literals that travel unparsed.
//!
//! Long texts, tool schemas and tool inputs pass from one body into another as
//! the very bytes they arrived in: they are never unescaped and escaped again.

use std::{borrow::Cow, fmt, ops::Range};

use serde_json::value::RawValue;

/// A JSON string literal, its escapes as on the wire; held without its quotes,
/// so that a part of it is a literal as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The literal in `raw`, if it is a string.
    pub fn from_raw(raw: &'a RawValue) -> Option<Self> {
        let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
        Some(Self(Cow::Borrowed(inner)))
    }

    /// A literal for `text`.
    pub fn new(text: &str) -> Text<'static> {
        let mut out = Vec::with_capacity(text.len() + 2);
        write_str(&mut out, text);
        let inner = &out[1..out.len() - 1];
        Text(Cow::Owned(String::from_utf8_lossy(inner).into_owned()))
    }

    /// What stands between the quotes, still escaped.
    pub fn escaped(&self) -> &str {
        &self.0
    }

    /// What stands before and after the first `separator`, which must begin and
    /// end with characters that no escape contains (`;base64,`).
    pub fn split_once(&self, separator: &str) -> Option<(Self, Self)> {
        match &self.0 {
            Cow::Borrowed(text) => {
                let (before, after) = text.split_once(separator)?;
                Some((Self(Cow::Borrowed(before)), Self(Cow::Borrowed(after))))
            }
            Cow::Owned(text) => {
                let (before, after) = text.split_once(separator)?;
                let owned = |part: &str| Self(Cow::Owned(part.to_owned()));
                Some((owned(before), owned(after)))
            }
        }
    }

    /// The text itself.
    pub fn decoded(&self) -> Cow<'_, str> {
        if self.0.contains('\\') {
            Cow::Owned(unescaped(&self.0))
        } else {
            Cow::Borrowed(&self.0)
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing but white space in it.
    pub fn is_blank(&self) -> bool {
        // Mostly the first character tells, and nothing need be unescaped.
        match self.0.chars().find(|c| !c.is_whitespace()) {
            None => true,
            Some('\\') => self.decoded().trim().is_empty(),
            Some(_) => false,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// The string in `raw`, unescaped; none if it is no string. Half a surrogate
/// pair, which JSON allows and no text can hold, becomes U+FFFD.
pub fn as_str(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    Some(match inner.contains('\\') {
        true => Cow::Owned(unescaped(inner)),
        false => Cow::Borrowed(inner),
    })
}

/// What the inside of a literal says.
fn unescaped(inner: &str) -> String {
    let read = |inner: &str| serde_json::from_str(&format!("\"{inner}\""));
    // Servers that cut text by UTF-16 units give half a pair at the end of one
    // piece, and half at the beginning of the next.
    read(inner)
        .or_else(|_| read(&mended(inner)))
        .unwrap_or_default()
}

/// The inside of a literal without halves of surrogate pairs.
fn mended(inner: &str) -> String {
    let unit = |at: usize| -> Option<u16> {
        let digits = inner.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(inner.len());
    let mut at = 0;
    while let Some(escape) = memchr::memchr(b'\\', &inner.as_bytes()[at..]) {
        out.push_str(&inner[at..at + escape]);
        at += escape;
        let length = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => 0,
            (Some(_), _) => 6,
            // A backslash and one ASCII character.
            (None, _) => 2.min(inner.len() - at),
        };
        if length == 0 {
            out.push_str("\\ufffd");
            at += 6;
        } else {
            out.push_str(&inner[at..at + length]);
            at += length;
        }
    }
    out.push_str(&inner[at..]);
    out
}

/// The count in `raw`: a whole number, also written as `12.0` or `"12"`.
pub fn as_count(raw: &RawValue) -> Option<u64> {
    let text = raw.get().trim_matches('"');
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
    })
}

/// JSON text without the white space around it; of Unicode's, JSON has little.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// Append `text` as a string literal.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always serialises into memory");
}

/// Append `number` in decimal.
pub fn write_count(out: &mut Vec<u8>, number: u64) {
    serde_json::to_writer(out, &number).expect("a number always serialises into memory");
}

/// Append JSON text on one line, as a frame's data must be. Line breaks in JSON text
/// stand only between tokens, so a space means the same.
pub(crate) fn write_line(out: &mut Vec<u8>, json: &str) {
    out.extend(json.bytes().map(|byte| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            byte
        }
    }));
}

/// Where in `text` a value that was read from it stands.
pub(crate) fn range_in(text: &str, raw: &RawValue) -> Option<Range<usize>> {
    let start = (raw.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let range = start..start + raw.get().len();
    (text.get(range.clone())? == raw.get()).then_some(range)
}

/// Where a member of an object stands in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key, inside its quotes.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// An object being written, which remembers where its members stand.
#[derive(Debug, Default)]
pub struct ObjectWriter {
    out: Vec<u8>,
    members: Vec<Member>,
}

impl ObjectWriter {
    /// An empty object with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        Self {
            out,
            members: Vec::with_capacity(16),
        }
    }

    /// Write the member `key` with the value that `value` appends.
    pub fn member(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if !self.members.is_empty() {
            self.out.push(b',');
        }
        let at = self.out.len() + 1;
        write_str(&mut self.out, key);
        let key = at..self.out.len() - 1;
        self.out.push(b':');
        let at = self.out.len();
        value(&mut self.out);
        self.members.push(Member {
            key,
            value: at..self.out.len(),
        });
    }

    /// Write a member whose value is the string `value`.
    pub fn string(&mut self, key: &str, value: &str) {
        self.member(key, |out| write_str(out, value));
    }

    /// Write a member whose value is already JSON text.
    pub fn raw(&mut self, key: &str, value: &str) {
        self.member(key, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// Whether the member `key`, which needs no escapes, has been written.
    pub fn has(&self, key: &str) -> bool {
        let written = |member: &Member| &self.out[member.key.clone()] == key.as_bytes();
        self.members.iter().any(written)
    }

    /// The text, and where its members stand.
    pub fn finish(mut self) -> (Vec<u8>, Vec<Member>) {
        self.out.push(b'}');
        (self.out, self.members)
    }
}

/// Write `members` between braces, each value by `value`.
pub fn write_object<K: AsRef<str>, T>(
    out: &mut Vec<u8>,
    members: impl IntoIterator<Item = (K, T)>,
    mut value: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (i, (key, member)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_str(out, key.as_ref());
        out.push(b':');
        value(out, member);
    }
    out.push(b'}');
}

/// Write `items` between brackets, each by `item`.
pub fn write_array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (i, value) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(out, value);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_where_they_say() {
        let mut object = ObjectWriter::with_capacity(0);
        object.string("a\"", "x");
        object.raw("b", "[1]");
        let (text, members) = object.finish();
        let text = String::from_utf8(text).unwrap();
        let read: Vec<_> = members
            .iter()
            .map(|m| (&text[m.key.clone()], &text[m.value.clone()]))
            .collect();
        assert_eq!(read, [("a\\\"", "\"x\""), ("b", "[1]")]);
        assert_eq!(text, r#"{"a\"":"x","b":[1]}"#);
    }

    #[test]
    fn half_a_surrogate_pair_is_a_replacement_character() {
        #[track_caller]
        fn check(json: &str, text: &str) {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(as_str(raw).unwrap(), text, "{json}");
            assert_eq!(Text::from_raw(raw).unwrap().decoded(), text, "{json}");
        }
        check(r#""a\ud83d""#, "a\u{fffd}");
        check(r#""\\ud83d\ude00\n""#, "\\ud83d\u{fffd}\n");
        check(r#""\ud83d\ud83d\ude00\"""#, "\u{fffd}😀\"");
        check(r#""\ude00\n\u00e9""#, "\u{fffd}\n\u{e9}");
        check(r#""\ud83d\ud83d\ude00\\ude00""#, "\u{fffd}\u{1f600}\\ude00");
        check(r#""\ud83d\"é""#, "\u{fffd}\"é");
        check(r#""\ud83d\ude00""#, "\u{1f600}");
    }

    #[test]
    fn blanks_are_blank_however_they_are_written() {
        #[track_caller]
        fn check(json: &str, blank: bool) {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(Text::from_raw(raw).unwrap().is_blank(), blank, "{json}");
        }
        check("\"\"", true);
        check(r#"" \n\u0020 ""#, true);
        check(r#"" \n.""#, false);
        check(r#"" a\n""#, false);
        check(r#""\\""#, false);
    }

    #[test]
    fn counts_are_lenient_and_never_negative() {
        #[track_caller]
        fn check(json: &str, count: Option<u64>) {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(as_count(raw), count, "{json}");
        }
        check("12", Some(12));
        check("12.0", Some(12));
        check("\"12\"", Some(12));
        check("-1", None);
        check("1.5", None);
        check("null", None);
        check("{}", None);
        check("1e300", None);
    }
}
