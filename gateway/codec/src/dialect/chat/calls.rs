//! Tool calls as they trickle in: fragments to whole calls, told apart by
//! whatever the upstream gives to tell them apart.
//!
//! Only one block of an answer is open at a time, so fragments of a second call
//! wait until the first has all its arguments.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::chunk::{Function, ToolCall, parse};
use super::payload::{TOO_LARGE, is_signed};
use crate::hash::hash;
use crate::json::{as_count, as_str, trimmed};

/// One call.
#[derive(Debug, Default)]
pub(super) struct Call {
    index: Option<u64>,
    /// The upstream's id, if it gave one.
    id: Option<String>,
    /// The client's, once its block has begun.
    pub(super) client_id: String,
    /// `extra_content` that must come back with the call, until it is on its way.
    pub(super) extra: Option<String>,
    /// Whether there was such a thing.
    is_signed: bool,
    pub(super) name: String,
    /// Arguments so far: JSON text.
    pub(super) arguments: String,
    /// How many bytes of them have been passed on: `sent <= arguments.len()`.
    pub(super) sent: usize,
    pub(super) state: State,
    /// It was given out as text, since its arguments make no call.
    pub(super) is_void: bool,
    braces: Braces,
    /// Where a comma stands that may turn out to be a trailing one:
    /// `sent <= comma`.
    comma: Option<usize>,
}

/// What a call can become whose block has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// More of it must come first.
    Wait,
    /// A block.
    Begin,
    /// Text: its arguments were cut off.
    Incomplete,
    /// Text: its arguments are no JSON object.
    Unreadable,
}

/// Where a call stands on its way to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Its block has not begun.
    #[default]
    Waiting,
    /// Its block is open.
    Open,
    /// Its block has ended.
    Closed,
}

/// One fragment, whatever its shape.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    index: Option<u64>,
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    arguments: Cow<'a, str>,
    extra: Option<&'a str>,
}

impl<'a> Fragment<'a> {
    /// Read an item of `tool_calls`, or a `function_call`.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        let call: ToolCall<'a> = parse(raw)?;
        // `function_call` has the function's members itself.
        let function = match call.function {
            Some(raw) => parse::<Function<'a>>(raw)?,
            None => Function {
                name: call.name,
                arguments: call.arguments,
                rest: Vec::new(),
            },
        };
        let text = |raw: Option<&'a RawValue>| raw.and_then(as_str).filter(|text| !text.is_empty());
        Some(Self {
            index: call
                .index
                .filter(|raw| !raw.get().starts_with('"'))
                .and_then(as_count),
            id: text(call.id),
            name: text(function.name),
            arguments: match function.arguments {
                Some(raw) => as_str(raw).unwrap_or(Cow::Borrowed(raw.get())),
                None => Cow::Borrowed(""),
            },
            extra: call
                .extra_content
                .filter(|raw| is_signed(raw))
                .map(RawValue::get),
        })
    }
}

impl Call {
    /// Whether its arguments have come to their end: a closed object, or nothing
    /// that begins like one.
    pub(super) fn is_complete(&self) -> bool {
        !trimmed(&self.arguments).starts_with('{') || self.has_closed()
    }

    /// Whether an object has come, and closed. A call without any arguments so
    /// far has not: they may follow those of the next call.
    pub(super) fn has_closed(&self) -> bool {
        self.braces.is_closed()
    }

    /// The id for the client: the upstream's, unless it gave none or one that
    /// the conversation already holds. Then `mint` makes one.
    pub(super) fn new_id(&self, taken: &mut Vec<u64>, mint: impl FnOnce() -> String) -> String {
        let own = self
            .id
            .clone()
            .filter(|id| !taken.contains(&hash(id.as_bytes())));
        let id = own.unwrap_or_else(mint);
        taken.push(hash(id.as_bytes()));
        id
    }

    /// Whether its block can begin. What was passed on cannot be recalled, so a
    /// call that does not begin like an object is judged only when it `has_ended`.
    pub(super) fn readiness(&mut self, has_ended: bool) -> Readiness {
        let is_object = trimmed(&self.arguments).starts_with('{');
        let is_whole = has_ended || is_object && self.has_closed();
        if !is_whole {
            return if is_object {
                Readiness::Begin
            } else {
                Readiness::Wait
            };
        }
        if let Some(bare) = unwrapped(&self.arguments) {
            self.arguments = bare.to_owned();
        }
        let arguments = trimmed(&self.arguments);
        if arguments.is_empty() {
            return Readiness::Begin;
        }
        match serde_json::from_str::<IgnoredAny>(arguments) {
            Ok(_) if arguments.starts_with('{') => Readiness::Begin,
            Err(error) if error.is_eof() && arguments.starts_with('{') => Readiness::Incomplete,
            _ => Readiness::Unreadable,
        }
    }

    /// The arguments that can be passed on now. A lone `{}` is held: some
    /// vendors (Databricks, seen 2026-11) send it ahead of the real text.
    pub(super) fn unsent(&mut self) -> &str {
        if self.state == State::Open && self.arguments == "{}" {
            return "";
        }
        let held = self.comma.filter(|_| self.state == State::Open);
        let to = held.unwrap_or(self.arguments.len());
        let from = std::mem::replace(&mut self.sent, to);
        &self.arguments[from..to]
    }

    fn add(&mut self, fragment: &str) {
        // Relays send the whole text once more at the end.
        if !fragment.is_empty() && fragment == self.arguments && self.braces.is_closed() {
            return;
        }
        if self.arguments == "{}" && self.sent == 0 && trimmed(fragment).starts_with('{') {
            self.arguments.clear();
            self.braces = Braces::default();
            self.comma = None;
        }
        let mut at = self.arguments.len();
        self.arguments.push_str(fragment);
        for byte in fragment.bytes() {
            if self.braces.depth > 0 && !self.braces.in_string {
                at -= usize::from(self.drop_trailing_comma(byte, at));
            }
            self.braces.feed(byte);
            at += 1;
        }
    }

    /// Models write `[1, 2,]`, which no parser takes. Whether a comma is a
    /// trailing one shows with the next `byte`, here `at`; true if it was.
    fn drop_trailing_comma(&mut self, byte: u8, at: usize) -> bool {
        match byte {
            b',' => self.comma = Some(at),
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'}' | b']' => {
                if let Some(comma) = self.comma.take() {
                    self.arguments.remove(comma);
                    return true;
                }
            }
            _ => self.comma = None,
        }
        false
    }
}

/// Arguments without what some models put around them: a code fence, or `null`
/// for none at all.
fn unwrapped(arguments: &str) -> Option<&str> {
    let text = arguments.trim();
    if text == "null" {
        return Some("");
    }
    let inner = text.strip_prefix("```")?.strip_suffix("```")?;
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    Some(inner.trim())
}

/// Most bytes of what must come back with the calls of one answer.
const EXTRA_BYTES_MAX: usize = 256 << 10;

/// Most calls of one answer: many times what any model makes at once, and few
/// enough to be looked through for each fragment.
const CALLS_MAX: usize = 1_024;

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct Calls(pub(super) Vec<Call>);

impl Calls {
    /// Add a fragment to its call, or say why it has no place.
    pub(super) fn add(&mut self, fragment: Fragment<'_>) -> Result<(), &'static str> {
        let at = match self.find(&fragment) {
            Some(at) => at,
            None if self.0.len() == CALLS_MAX => return Err("more calls than can be kept apart"),
            None => {
                self.0.push(Call {
                    index: fragment.index,
                    ..Call::default()
                });
                self.0.len() - 1
            }
        };
        let signed = self.add_extra(at, fragment.extra);
        let call = &mut self.0[at];
        if call.id.is_none() {
            call.id = fragment.id.map(Cow::into_owned);
        }
        // Assigned, never appended: vendors repeat it on every fragment.
        if let Some(name) = fragment.name
            && call.name.is_empty()
        {
            call.name = name.into_owned();
        }
        if call.state == State::Closed {
            let is_new =
                !trimmed(&fragment.arguments).is_empty() && fragment.arguments != call.arguments;
            return match is_new {
                true => Err("arguments that came after their call had ended"),
                false => signed,
            };
        }
        call.add(&fragment.arguments);
        signed
    }

    /// A signature comes whole, once or on every fragment.
    fn add_extra(&mut self, at: usize, extra: Option<&str>) -> Result<(), &'static str> {
        let Some(extra) = extra.filter(|_| !self.0[at].is_signed) else {
            return Ok(());
        };
        let held = self.0.iter().filter_map(|call| call.extra.as_deref());
        if held.map(str::len).sum::<usize>() + extra.len() > EXTRA_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        self.0[at].extra = Some(extra.to_owned());
        self.0[at].is_signed = true;
        Ok(())
    }

    /// The call that a fragment belongs to: by index where that is consistent
    /// with the id, else by id, else the last one, unless a name says that
    /// another begins.
    fn find(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let by_id = |id: &str| {
            self.0
                .iter()
                .rposition(|call| call.id.as_deref() == Some(id))
        };
        let last = self.0.len().checked_sub(1)?;
        match (fragment.index, fragment.id.as_deref()) {
            (Some(index), id) => {
                let Some(at) = self.0.iter().rposition(|call| call.index == Some(index)) else {
                    // A name at a new index is a new call, whatever id it repeats.
                    return id.and_then(by_id).filter(|_| fragment.name.is_none());
                };
                let differs = matches!((id, &self.0[at].id), (Some(new), Some(old)) if new != old);
                if differs {
                    id.and_then(by_id)
                } else {
                    self.unless_begun_anew(at, fragment)
                }
            }
            (None, Some(id)) => by_id(id).or_else(|| {
                // An id that comes after the call began.
                (self.0[last].id.is_none() && fragment.name.is_none()).then_some(last)
            }),
            (None, None) => self.unless_begun_anew(last, fragment),
        }
    }

    /// `at`, unless the fragment names a call and that one is whole already.
    fn unless_begun_anew(&self, at: usize, fragment: &Fragment<'_>) -> Option<usize> {
        let call = &self.0[at];
        let repeats = fragment.arguments == call.arguments || fragment.arguments.is_empty();
        let anew = fragment.name.is_some()
            && fragment.id.is_none()
            && call.braces.is_closed()
            && !(repeats && fragment.name.as_deref() == Some(&*call.name));
        (!anew).then_some(at)
    }
}

/// Follows the braces of JSON text piece by piece, to know where an object ends
/// without parsing it again and again.
#[derive(Debug, Default)]
struct Braces {
    depth: usize,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    fn feed(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => {
                self.begun = true;
                self.depth += 1;
            }
            b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn is_closed(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_beyond_every_bound_are_refused() {
        let mut calls = Calls::default();
        for i in 0..=CALLS_MAX {
            let json = format!(r#"{{"index":{i},"function":{{"name":"f"}}}}"#);
            let raw: &RawValue = serde_json::from_str(&json).unwrap();
            let added = calls.add(Fragment::read(raw).unwrap());
            assert_eq!(added.is_ok(), i < CALLS_MAX, "{i}");
        }
    }
}
