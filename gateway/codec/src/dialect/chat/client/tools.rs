//! The tools of a Chat Completions request, and which of them may be called.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::keep;
use crate::fields::{DecodeError, Extras, Fields, Path, objects, required};
use crate::ir::{Request, Tool, ToolChoice, ToolChoiceKind};
use crate::json::as_str;

/// A function without `parameters` takes none.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// `tools`, and their older form `functions`.
pub(super) fn tools<'a>(fields: &mut Fields<'a>) -> Result<Vec<Tool<'a>>, DecodeError> {
    let root = Path::Root;
    let mut found = Vec::new();
    for (key, read) in [
        (
            "tools",
            tool as fn(Fields<'a>, &Path<'_>) -> Result<Tool<'a>, DecodeError>,
        ),
        ("functions", |fields, at| function(fields, at, Vec::new())),
    ] {
        let at = root.key(key);
        if let Some(raw) = fields.take(key) {
            for (i, fields) in objects(raw, &at)?.into_iter().enumerate() {
                found.push(read(fields, &at.index(i))?);
            }
        }
    }
    Ok(found)
}

fn tool<'a>(mut fields: Fields<'a>, at: &Path<'_>) -> Result<Tool<'a>, DecodeError> {
    let kind = fields.take_str("type", at)?;
    let kind = kind.unwrap_or(Cow::Borrowed("function"));
    if kind == "function" {
        let inner = required(fields.take_object("function", at)?, at, "function")?;
        return function(inner, &at.key("function"), fields.rest());
    }
    // `custom` has its members in an object of that name, others have none.
    let mut inner = fields.take_object(&kind, at)?.unwrap_or_default();
    let name = inner.take_str("name", &at.key(&kind))?;
    let mut extras = fields.rest();
    extras.extend(inner.rest());
    Ok(Tool {
        name: name.unwrap_or_else(|| kind.clone()),
        description: None,
        schema: None,
        vendor_kind: Some(kind),
        strict: None,
        deferred: false,
        extras,
    })
}

fn function<'a>(
    mut fields: Fields<'a>,
    at: &Path<'_>,
    mut extras: Extras<'a>,
) -> Result<Tool<'a>, DecodeError> {
    let schema = fields.take("parameters");
    if let Some(raw) = schema {
        Fields::of(raw, &at.key("parameters"))?;
    }
    let name = required(fields.take_str("name", at)?, at, "name")?;
    let description = fields.take_text("description", at)?;
    let strict = fields.take_bool("strict", at)?;
    extras.extend(fields.rest());
    Ok(Tool {
        name,
        description,
        schema: schema.or_else(|| serde_json::from_str(NO_PARAMETERS).ok()),
        vendor_kind: None,
        strict,
        deferred: false,
        extras,
    })
}

/// `tool_choice`, its older form `function_call`, and `parallel_tool_calls`.
/// Without tools, none of them says anything unless it demands a call.
pub(super) fn tool_choice<'a>(
    fields: &mut Fields<'a>,
    request: &mut Request<'a>,
) -> Result<(), DecodeError> {
    let root = Path::Root;
    let parallel = fields.take_bool("parallel_tool_calls", &root)?;
    let chosen = match (fields.take("tool_choice"), fields.take("function_call")) {
        (Some(raw), _) => Some(kind(raw, &root.key("tool_choice"), request)?),
        (None, Some(raw)) => Some(kind(raw, &root.key("function_call"), request)?),
        (None, None) => None,
    };
    let demands = matches!(chosen, Some(ToolChoiceKind::Any | ToolChoiceKind::Tool(_)));
    if request.tools.is_empty() && !demands {
        return Ok(());
    }
    let disable_parallel = parallel == Some(false);
    if chosen.is_some() || disable_parallel {
        request.tool_choice = Some(ToolChoice {
            kind: chosen.unwrap_or(ToolChoiceKind::Auto),
            disable_parallel,
        });
    }
    Ok(())
}

fn kind<'a>(
    raw: &'a RawValue,
    at: &Path<'_>,
    request: &mut Request<'a>,
) -> Result<ToolChoiceKind<'a>, DecodeError> {
    if let Some(word) = as_str(raw) {
        return word_kind(&word, at);
    }
    let mut fields = Fields::of(raw, at)?;
    let Some(kind) = fields.take_str("type", at)? else {
        // `function_call` is `{"name": ...}`.
        let name = required(fields.take_str("name", at)?, at, "name")?;
        return Ok(ToolChoiceKind::Tool(name));
    };
    let inner = fields.take_object(&kind, at)?;
    let mut inner = required(inner, at, &kind)?;
    keep(&mut request.extras, at, fields.rest());
    let at = &at.key(&kind);
    match &*kind {
        "function" | "custom" => {
            let name = required(inner.take_str("name", at)?, at, "name")?;
            Ok(ToolChoiceKind::Tool(name))
        }
        "allowed_tools" => allowed_tools(inner, at, request),
        _ => Err(DecodeError::at(
            at,
            "expected `function`, `custom` or `allowed_tools`",
        )),
    }
}

fn word_kind(word: &str, at: &Path<'_>) -> Result<ToolChoiceKind<'static>, DecodeError> {
    match word {
        "auto" => Ok(ToolChoiceKind::Auto),
        // Older servers write it so.
        "required" | "any" => Ok(ToolChoiceKind::Any),
        "none" => Ok(ToolChoiceKind::None),
        _ => Err(DecodeError::at(
            at,
            "expected `auto`, `required`, `none` or a named tool",
        )),
    }
}

/// Only some of the tools: the others are left out, which means the same to the
/// model (and costs it its prompt cache).
fn allowed_tools<'a>(
    mut fields: Fields<'a>,
    at: &Path<'_>,
    request: &mut Request<'a>,
) -> Result<ToolChoiceKind<'a>, DecodeError> {
    let mode = fields.take_str("mode", at)?;
    let mode = mode.unwrap_or(Cow::Borrowed("auto"));
    let mode = word_kind(&mode, &at.key("mode"))?;
    let items = required(fields.take("tools"), at, "tools")?;
    let at_items = at.key("tools");
    let mut names = std::collections::HashSet::new();
    for (i, item) in objects(items, &at_items)?.into_iter().enumerate() {
        names.insert(allowed_name(item, &at_items.index(i))?);
    }
    request.tools.retain(|tool| names.contains(&tool.name));
    Ok(mode)
}

fn allowed_name<'a>(mut item: Fields<'a>, at: &Path<'_>) -> Result<Cow<'a, str>, DecodeError> {
    let kind = required(item.take_str("type", at)?, at, "type")?;
    let mut inner = item.take_object(&kind, at)?.unwrap_or_default();
    let name = inner.take_str("name", &at.key(&kind))?;
    Ok(name.unwrap_or(kind))
}
