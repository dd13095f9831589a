//! An answer in lines, a block a line: the form in which tables say what is
//! expected.
//!
//! ```text
//! start with MEMBERS                      text "..." [with MEMBERS]
//! thinking "..." SIGNATURE [with MEMBERS] tool_use ID NAME INPUT [with MEMBERS]
//! {another block} [+ {its delta}]*        usage in N out N read N written N [KEY VALUE]*
//! stop REASON ["SEQUENCE"] [with MEMBERS] error KIND MESSAGE
//! ```

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sluice_codec::ir::{Kept, Message, MessageBlock};

/// Longer texts are told by their length.
const TEXT_BYTES_MAX: usize = 4_096;

/// What a Messages client reads.
pub(crate) fn lines(message: &Message) -> String {
    let mut lines: Vec<String> = message.blocks.iter().map(block).collect();
    if !message.extras.is_empty() {
        lines.insert(0, format!("start{}", with(&[], &message.extras)));
    }
    if let Some(usage) = &message.usage {
        let extras = usage
            .extras
            .iter()
            .map(|(key, value)| format!(" {key} {value}"));
        lines.push(format!(
            "usage in {} out {} read {} written {}{}",
            usage.input,
            usage.output,
            usage.cache_read,
            usage.cache_write,
            extras.collect::<String>()
        ));
    }
    if let Some(stop) = &message.stop {
        let sequence = stop
            .sequence
            .as_deref()
            .map(|text| format!(" {}", json!(text)));
        lines.push(format!(
            "stop {}{}{}",
            stop.reason.word(),
            sequence.unwrap_or_default(),
            with(&[], &stop.extras)
        ));
    }
    if let Some((kind, text)) = &message.error {
        lines.push(format!("error {kind} {text}"));
    }
    lines.join("\n")
}

fn block(block: &MessageBlock) -> String {
    let line = match block {
        MessageBlock::Text { text, .. } if text.len() > TEXT_BYTES_MAX => {
            format!("text of {} bytes", text.len())
        }
        MessageBlock::Text {
            text,
            citations,
            extras,
        } => format!("text {}{}", json!(text), with(citations, extras)),
        MessageBlock::Thinking {
            text,
            signature,
            extras,
        } => format!("thinking {} {signature}{}", json!(text), with(&[], extras)),
        MessageBlock::ToolUse {
            id,
            name,
            input,
            extras,
        } => format!("tool_use {id} {name} {input}{}", with(&[], extras)),
        MessageBlock::Other { block, deltas } => {
            let deltas = deltas.iter().map(|delta| format!(" + {delta}"));
            format!("{block}{}", deltas.collect::<String>())
        }
    };
    line.trim_end().to_owned()
}

/// What a block says beside its own; `null` says nothing.
fn with(citations: &[Box<RawValue>], extras: &Kept) -> String {
    let mut members: serde_json::Map<String, Value> = extras
        .iter()
        .filter(|(_, raw)| raw.get() != "null")
        .map(|(key, raw)| (key.clone(), value(raw)))
        .collect();
    if !citations.is_empty() {
        let citations = citations.iter().map(|raw| value(raw)).collect();
        members.insert("citations".into(), Value::Array(citations));
    }
    match members.is_empty() {
        true => String::new(),
        false => format!(" with {}", Value::Object(members)),
    }
}

fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("raw values are JSON")
}

/// The lines of an answer, with those that arguments of several lines go on in.
pub(crate) fn items(answer: &str) -> Vec<&str> {
    const WORDS: [&str; 8] = [
        "start ",
        "text ",
        "thinking ",
        "tool_use ",
        "usage ",
        "stop ",
        "error ",
        "{",
    ];
    let mut starts = vec![0];
    for (at, _) in answer.match_indices('\n') {
        if WORDS.iter().any(|word| answer[at + 1..].starts_with(word)) {
            starts.push(at + 1);
        }
    }
    starts.push(answer.len());
    let item = |pair: &[usize]| answer[pair[0]..pair[1]].trim_end_matches('\n');
    starts.windows(2).map(item).collect::<Vec<_>>()
}
