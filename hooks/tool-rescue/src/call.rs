//! Calls in text. A text is looked at from its beginning, as far as it has come:
//! what it turns out to be does not depend on where it was cut.

use serde::Deserialize;
use serde_json::value::RawValue;
use sluice_hook_sdk::held_back;

/// Longest call, in bytes: it is held back whole, and an event takes 8 MiB.
const CALL_BYTES_MAX: usize = 256 << 10;

/// What calls look like.
pub(crate) struct Forms {
    /// Opening and closing tags.
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) fenced: bool,
    /// Names of the tools that there are.
    pub(crate) tools: Vec<String>,
}

/// A call, as the model wrote it.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) name: String,
    #[serde(alias = "parameters")]
    arguments: Box<RawValue>,
}

/// What the beginning of a text is.
pub(crate) enum Seen {
    /// So many bytes of text.
    Text(usize),
    /// A call, and how many bytes it takes up.
    Call(Written, usize),
    /// More has to come.
    Unsure,
}

impl Written {
    /// The arguments, JSON text of an object; some models write it into a string.
    pub(crate) fn arguments(&self) -> Option<String> {
        let json = self.arguments.get();
        let json = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
        let object: Option<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(&json).ok();
        object.map(|_| json)
    }
}

impl Forms {
    /// What `text` begins with. `whole`: nothing of it was given out yet;
    /// `ended`: no more will come.
    pub(crate) fn look(&self, text: &str, whole: bool, ended: bool) -> Seen {
        if whole && self.fenced {
            match self.fence(text, ended) {
                Seen::Text(_) => {}
                seen => return seen,
            }
        }
        let found = self
            .tags
            .iter()
            .filter_map(|tag| Some((text.find(&tag.0)?, tag)));
        match found.min_by_key(|(at, _)| *at) {
            Some((0, (open, close))) => {
                let seen = self.value(&text[open.len()..], close, ended);
                match seen {
                    Seen::Call(call, bytes) => Seen::Call(call, open.len() + bytes),
                    Seen::Unsure => Seen::Unsure,
                    Seen::Text(_) => Seen::Text(open.len()),
                }
            }
            Some((at, _)) => Seen::Text(at),
            None if ended => Seen::Text(text.len()),
            None => {
                let held = self.tags.iter().map(|(open, _)| held_back(text, open));
                match text.len() - held.max().unwrap_or(0) {
                    0 => Seen::Unsure,
                    certain => Seen::Text(certain),
                }
            }
        }
    }

    /// A text that is a fenced call and nothing else.
    fn fence(&self, text: &str, ended: bool) -> Seen {
        const FENCE: &str = "```json";
        let seen = text.trim_start();
        let Some(inside) = seen.strip_prefix(FENCE) else {
            return match FENCE.starts_with(seen) && !ended {
                true => Seen::Unsure,
                false => Seen::Text(0),
            };
        };
        match self.value(inside, "```", ended) {
            Seen::Call(call, bytes) => match inside[bytes..].trim().is_empty() {
                true if ended => Seen::Call(call, text.len()),
                true => Seen::Unsure,
                false => Seen::Text(0),
            },
            seen => seen,
        }
    }

    /// A call's JSON object, and what closes it.
    fn value(&self, text: &str, close: &str, ended: bool) -> Seen {
        let unsure = if ended { Seen::Text(0) } else { Seen::Unsure };
        let within = text.floor_char_boundary(CALL_BYTES_MAX);
        let mut values = serde_json::Deserializer::from_str(&text[..within]).into_iter::<Written>();
        let call = match values.next() {
            None => return unsure,
            Some(Err(error)) if error.is_eof() && within == text.len() => return unsure,
            Some(Err(_)) => return Seen::Text(0),
            Some(Ok(call)) => call,
        };
        if !self.tools.contains(&call.name) || call.arguments().is_none() {
            return Seen::Text(0);
        }
        let behind = text[values.byte_offset()..].trim_start();
        if behind.starts_with(close) {
            Seen::Call(call, text.len() - behind.len() + close.len())
        } else if !close.starts_with(behind) {
            Seen::Text(0)
        } else if ended {
            // The server took the closing tag for the end of the answer.
            Seen::Call(call, text.len())
        } else {
            Seen::Unsure
        }
    }
}
