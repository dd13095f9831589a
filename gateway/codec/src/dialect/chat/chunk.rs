//! The JSON of a stream's chunk, or of a whole answer, taken apart without a
//! tree: each value stays a raw slice until somebody asks for its type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::fields::Key;
use crate::json::as_count;

/// Members that say something, and that nothing here takes.
pub(super) type Rest<'a> = [(Cow<'a, str>, &'a RawValue)];

/// A struct of raw members. Members that are `null` count as absent; those that
/// nobody knows are the rest.
macro_rules! members {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* } ignored { $($ignored:literal),* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: Option<&'a RawValue>,)*
            pub(super) rest: Vec<(Cow<'a, str>, &'a RawValue)>,
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;
                impl<'de> Visitor<'de> for Members {
                    type Value = $name<'de>;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut found = $name::default();
                        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                            let value = (value.get() != "null").then_some(value);
                            match &*key {
                                $(stringify!($field) => found.$field = value,)*
                                $($ignored => {})*
                                _ => found.rest.extend(value.map(|value| (key, value))),
                            }
                        }
                        Ok(found)
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
    };
}

members! {
    /// A chunk, or a whole answer.
    Chunk { choices, usage, error, model, object, message, code, base_resp, x_groq, detail, msg }
    // The gateway has its own, or there is nothing in it.
    ignored { "id", "created", "obfuscation", "request_id", "type" }
}

members! {
    /// One of a chunk's choices.
    Choice { index, delta, message, finish_reason, usage, stop_reason, matched_stop, text }
    ignored { }
}

members! {
    /// What a choice adds, or says as a whole.
    Delta {
        content, reasoning_content, reasoning, reasoning_text, reasoning_details, tool_calls, function_call, refusal,
        extra_content
    }
    ignored { "role", "name", "tool_call_id" }
}

members! {
    /// A tool call, or a piece of one.
    ToolCall { index, id, function, name, arguments, extra_content }
    ignored { "type" }
}

members! {
    /// A function's name and arguments, or pieces of them.
    Function { name, arguments }
    ignored { "description", "thought_signature" }
}

members! {
    /// A part of content that is a list, or a reasoning detail.
    ContentPart { r#type, text, thinking, summary, content }
    ignored { "index", "format", "id", "signature", "data", "annotations" }
}

/// The first choice; others are counted.
#[derive(Debug, Default)]
pub(super) struct Choices<'a> {
    pub(super) first: Option<Choice<'a>>,
    /// Whether there were choices beside the first (`n` > 1).
    pub(super) others: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Choices<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of choices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut choices = Choices {
                    first: seq.next_element()?,
                    others: false,
                };
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    choices.others = true;
                }
                // A later choice that comes in a chunk of its own.
                if choices
                    .first
                    .as_ref()
                    .and_then(|choice| choice.index)
                    .and_then(as_count)
                    .is_some_and(|i| i > 0)
                {
                    choices = Choices {
                        first: None,
                        others: true,
                    };
                }
                Ok(choices)
            }
        }
        deserializer.deserialize_seq(Items)
    }
}

/// The members of the object in `raw`; none if it is no object.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// The items of an array, or the one value that stands in its place.
pub(super) fn items(raw: &RawValue) -> Vec<&RawValue> {
    if raw.get().starts_with('[') {
        serde_json::from_str(raw.get()).unwrap_or_default()
    } else {
        vec![raw]
    }
}
