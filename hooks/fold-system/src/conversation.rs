//! A conversation, edited in place: what no pointer names stays as it was.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sluice_hook_sdk::{Call, Failure};

/// What a message says: a text, or blocks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

#[derive(Deserialize)]
struct Block {
    text: Option<String>,
}

/// Whose message it is; none behind the last.
pub(crate) fn role(call: &Call<'_>, at: usize) -> Result<Option<String>, Failure> {
    call.get(&format!("/messages/{at}/role"))
}

/// The text of the system messages from `at` on; all but the first are removed.
pub(crate) fn take(call: &mut Call<'_>, at: usize) -> Result<String, Failure> {
    let mut texts = Vec::new();
    loop {
        match call.get(&format!("/messages/{at}/content"))? {
            Some(Content::Text(text)) => texts.push(text),
            Some(Content::Blocks(blocks)) => {
                texts.extend(blocks.into_iter().filter_map(|it| it.text))
            }
            None => {}
        }
        if role(call, at + 1)?.as_deref() != Some("system") {
            break;
        }
        call.remove(&format!("/messages/{at}"))?;
    }
    texts.retain(|text| !text.trim().is_empty());
    Ok(texts.join("\n\n"))
}

/// Put a text into a message: at its end, or ahead of what it says, but behind the
/// results of tools, which come first by law.
pub(crate) fn add(call: &mut Call<'_>, at: usize, text: &str, ahead: bool) -> Result<(), Failure> {
    let content = format!("/messages/{at}/content");
    let block = |text: &str| json!({ "type": "text", "text": text });
    let Some(blocks) = call.len(&content)? else {
        let said: String = call.get(&content)?.unwrap_or_default();
        let said = said.as_str();
        let both = if ahead { [text, said] } else { [said, text] };
        return call.set(&content, both.map(block));
    };
    if !ahead {
        return call.set(&format!("{content}/-"), block(text));
    }
    let mut results = 0;
    while results < blocks {
        let kind: Option<String> = call.get(&format!("{content}/{results}/type"))?;
        if kind.as_deref() != Some("tool_result") {
            break;
        }
        results += 1;
    }
    let mut all: Vec<Box<RawValue>> = call.get(&content)?.unwrap_or_default();
    let raw = serde_json::value::to_raw_value(&block(text));
    all.insert(results, raw.map_err(|error| Failure(error.to_string()))?);
    call.set(&content, all)
}

/// Put a text to the end of `system`, whichever form that has.
pub(crate) fn join(call: &mut Call<'_>, text: &str) -> Result<(), Failure> {
    if call.len("/system")?.is_some() {
        return call.set("/system/-", json!({ "type": "text", "text": text }));
    }
    match call
        .get::<String>("/system")?
        .filter(|said| !said.is_empty())
    {
        Some(said) => call.set("/system", format!("{said}\n\n{text}")),
        None => call.set("/system", text),
    }
}
