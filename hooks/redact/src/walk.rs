//! What was said in a request. Pictures, signed reasoning and names stay: changed,
//! they would be worth nothing.

use std::sync::Arc;

use serde_json::Value;
use sluice_hook_sdk::{Call, Failure};

use crate::scan::redacted;
use crate::set::Set;

/// Redact a whole request.
pub(crate) fn request(set: &Arc<Set>, call: &mut Call<'_>) -> Result<(), Failure> {
    content(set, call, "/system")?;
    for message in 0..call.len("/messages")?.unwrap_or(0) {
        content(set, call, &format!("/messages/{message}/content"))?;
    }
    Ok(())
}

/// A text, or blocks.
fn content(set: &Arc<Set>, call: &mut Call<'_>, at: &str) -> Result<(), Failure> {
    let Some(blocks) = call.len(at)? else {
        return text(set, call, at);
    };
    for block in 0..blocks {
        let block = format!("{at}/{block}");
        match call.get::<String>(&format!("{block}/type"))?.as_deref() {
            Some("text") => text(set, call, &format!("{block}/text"))?,
            Some("tool_result") => content(set, call, &format!("{block}/content"))?,
            Some("tool_use") => input(set, call, &format!("{block}/input"))?,
            Some("document") => document(set, call, &format!("{block}/source"))?,
            _ => {}
        }
    }
    Ok(())
}

fn document(set: &Arc<Set>, call: &mut Call<'_>, at: &str) -> Result<(), Failure> {
    match call.get::<String>(&format!("{at}/type"))?.as_deref() {
        Some("text") => text(set, call, &format!("{at}/data")),
        Some("content") => content(set, call, &format!("{at}/content")),
        _ => Ok(()),
    }
}

fn text(set: &Arc<Set>, call: &mut Call<'_>, at: &str) -> Result<(), Failure> {
    let Some(said) = call.get::<String>(at)? else {
        return Ok(());
    };
    let redacted = redacted(set, &said);
    match redacted == said {
        true => Ok(()),
        false => call.set(at, redacted),
    }
}

fn input(set: &Arc<Set>, call: &mut Call<'_>, at: &str) -> Result<(), Failure> {
    let before: Value = call.get(at)?.unwrap_or_default();
    let mut input = before.clone();
    redact_strings(set, &mut input);
    match input == before {
        true => Ok(()),
        false => call.set(at, input),
    }
}

/// All strings of a JSON value; keys stay, since programs look for them.
pub(crate) fn redact_strings(set: &Arc<Set>, value: &mut Value) {
    match value {
        Value::String(text) => *text = redacted(set, text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_strings(set, item)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| redact_strings(set, member)),
        _ => {}
    }
}
