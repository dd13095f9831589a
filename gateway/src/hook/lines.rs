//! Events of an answer as lines of JSON: for files that people write and compare.
//!
//! `{"kind":"text","block":0,"text":"hello"}`: the names of the interface's
//! `on-stream.event`, with `data` as the object that its JSON text stands for.

use serde_json::{Value, json};
use sluice_codec::ir::Event;

use super::bindings::exports::sluice::hooks::on_stream as wit;
use super::events::{from_wit, to_wit};
use crate::config::Prompt;

/// The kinds of events, by name.
const KINDS: [(&str, wit::Kind); 10] = [
    ("start", wit::Kind::Start),
    ("block-start", wit::Kind::BlockStart),
    ("text", wit::Kind::Text),
    ("reasoning", wit::Kind::Reasoning),
    ("tool-input", wit::Kind::ToolInput),
    ("block-stop", wit::Kind::BlockStop),
    ("usage", wit::Kind::Usage),
    ("stop", wit::Kind::Stop),
    ("error", wit::Kind::Error),
    ("other", wit::Kind::Other),
];

/// The event that a line says.
///
/// # Errors
/// What is wrong with the line.
pub fn event_from_line(line: &str) -> Result<Event<'static>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    let members = value.as_object().ok_or("no object")?;
    if let Some(name) = members
        .keys()
        .find(|name| !["kind", "block", "text", "data"].contains(&name.as_str()))
    {
        return Err(format!("an event has no `{name}`"));
    }
    let name = value["kind"].as_str().ok_or("no `kind`")?;
    let known = KINDS.iter().find(|(known, _)| *known == name);
    let (_, kind) = known.ok_or_else(|| format!("no event of the kind `{name}`"))?;
    let block = match members.get("block") {
        None => 0,
        Some(block) => block
            .as_u64()
            .and_then(|block| u32::try_from(block).ok())
            .ok_or("`block` is no number of a block")?,
    };
    let event = wit::Event {
        kind: *kind,
        block,
        text: value["text"].as_str().map(str::to_owned),
        data: members.get("data").map(Value::to_string),
    };
    from_wit(event, Prompt::Write)
}

/// The line that says `event`.
pub fn event_to_line(event: &Event<'_>) -> String {
    let wit::Event {
        kind,
        block,
        text,
        data,
    } = to_wit(event);
    let name = KINDS.iter().find(|(_, known)| *known == kind);
    let mut line = json!({ "kind": name.map(|(name, _)| name) });
    let has_block = !matches!(
        kind,
        wit::Kind::Start | wit::Kind::Usage | wit::Kind::Stop | wit::Kind::Error
    );
    if has_block {
        line["block"] = block.into();
    }
    if let Some(text) = text {
        line["text"] = text.into();
    }
    if let Some(data) = data {
        line["data"] = serde_json::from_str(&data).unwrap_or(Value::String(data));
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let read = event_from_line(line);
        let read = read.map_or_else(|why| why, |event| event_to_line(&event));
        assert_eq!(read, expected);
    }

    #[test]
    fn there_and_back() {
        for line in [
            r#"{"kind":"start","data":{"model":"m"}}"#,
            r#"{"kind":"block-start","block":0,"data":{"type":"text"}}"#,
            r#"{"kind":"text","block":0,"text":"hé\n"}"#,
            r#"{"kind":"tool-input","block":1,"text":"{\"a\""}"#,
            r#"{"kind":"other","block":1,"data":{"type":"signature_delta","signature":"s"}}"#,
            r#"{"kind":"block-stop","block":0}"#,
            r#"{"kind":"stop","data":{"stop_reason":"end_turn","stop_sequence":null}}"#,
        ] {
            check(line, line);
        }
    }

    #[test]
    fn what_is_no_event_says_why() {
        check(
            "{",
            "no JSON: EOF while parsing an object at line 1 column 1",
        );
        check("[]", "no object");
        check("{}", "no `kind`");
        check(r#"{"kind":"texts"}"#, "no event of the kind `texts`");
        check(r#"{"kind":"text","index":1}"#, "an event has no `index`");
        check(
            r#"{"kind":"text","block":-1}"#,
            "`block` is no number of a block",
        );
        check(r#"{"kind":"text","block":1}"#, "Kind::Text without `text`");
    }
}
