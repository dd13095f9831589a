//! A Messages request, decoded.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::fields::{DecodeError, Fields, Path, objects, required};
use crate::ir::{
    Block, ImageSource, Request, RequestMessage, Role, Thinking, Tool, ToolChoice, ToolChoiceKind,
};
use crate::json::{Text, as_str};

/// Decode the body of a request. Unknown members are kept in `extras`.
pub fn decode_request(body: &str) -> Result<Request<'_>, DecodeError> {
    let at = &Path::Root;
    let mut fields = Fields::parse(body, at)?;
    let mut request = Request {
        model: required(fields.take_str("model", at)?, at, "model")?,
        stream: fields.take_bool("stream", at)?.unwrap_or(false),
        max_tokens: fields.take_count("max_tokens", at)?,
        system: blocks(fields.take("system"), Place::Message, &at.key("system"))?,
        messages: messages(required(fields.take("messages"), at, "messages")?)?,
        tools: tools(fields.take("tools"))?,
        tool_choice: fields
            .take_object("tool_choice", at)?
            .map(tool_choice)
            .transpose()?,
        stop_sequences: stop_sequences(&mut fields)?,
        temperature: fields.take_number("temperature", at)?,
        top_p: fields.take_number("top_p", at)?,
        top_k: fields.take_number("top_k", at)?,
        thinking: None,
        omits_reasoning: false,
        effort: None,
        output_schema: None,
        user_id: None,
        extras: Vec::new(),
    };
    if let Some(fields) = fields.take_object("thinking", at)? {
        let display = fields.peek("display").and_then(as_str);
        request.omits_reasoning = display.as_deref() == Some("omitted");
        request.thinking = Some(thinking(fields)?);
    }
    output_config(fields.take_object("output_config", at)?, &mut request)?;
    if let Some(mut metadata) = fields.take_object("metadata", at)? {
        request.user_id = metadata.take_text("user_id", &at.key("metadata"))?;
        request.extras.extend(metadata.rest());
    }
    request.extras.extend(fields.rest());
    Ok(request)
}

fn messages(raw: &RawValue) -> Result<Vec<RequestMessage<'_>>, DecodeError> {
    let at = Path::Root;
    let at = at.key("messages");
    let items = objects(raw, &at)?;
    if items.is_empty() {
        return Err(DecodeError::at(&at, "at least one message is required"));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(i, fields)| message(fields, &at.index(i)))
        .collect()
}

fn message<'a>(mut fields: Fields<'a>, at: &Path<'_>) -> Result<RequestMessage<'a>, DecodeError> {
    let role = match &*required(fields.take_str("role", at)?, at, "role")? {
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "user" => Role::User,
        _ => {
            return Err(DecodeError::at(
                &at.key("role"),
                "expected `user`, `assistant` or `system`",
            ));
        }
    };
    let content = required(fields.take("content"), at, "content")?;
    Ok(RequestMessage {
        role,
        content: blocks(Some(content), Place::Message, &at.key("content"))?,
        extras: fields.rest(),
    })
}

/// What blocks are part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Message,
    ToolResult,
}

/// Content: a string, an array of blocks, or nothing.
fn blocks<'a>(
    raw: Option<&'a RawValue>,
    place: Place,
    at: &Path<'_>,
) -> Result<Vec<Block<'a>>, DecodeError> {
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    if let Some(text) = Text::from_raw(raw) {
        return Ok(vec![Block::Text {
            text,
            extras: Vec::new(),
        }]);
    }
    if !raw.get().starts_with('[') {
        return Err(DecodeError::at(
            at,
            "expected a string or an array of content blocks",
        ));
    }
    // The raw items are needed whole only for kinds that travel verbatim.
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    items
        .into_iter()
        .enumerate()
        .map(|(i, item)| block(item, place, &at.index(i)))
        .collect()
}

fn block<'a>(raw: &'a RawValue, place: Place, at: &Path<'_>) -> Result<Block<'a>, DecodeError> {
    let mut fields = Fields::of(raw, at)?;
    let kind = required(fields.take_str("type", at)?, at, "type")?;
    Ok(match &*kind {
        "text" => Block::Text {
            text: required(fields.take_text("text", at)?, at, "text")?,
            extras: fields.rest(),
        },
        "image" => Block::Image {
            source: image_source(
                required(fields.take("source"), at, "source")?,
                &at.key("source"),
            )?,
            extras: fields.rest(),
        },
        "tool_use" => Block::ToolUse {
            id: required(fields.take_str("id", at)?, at, "id")?,
            name: required(fields.take_str("name", at)?, at, "name")?,
            input: Cow::Borrowed(required(fields.take("input"), at, "input")?),
            extras: fields.rest(),
        },
        // One inside another is in no dialect: it stays as it is, however deep.
        "tool_result" if place == Place::Message => Block::ToolResult {
            id: required(fields.take_str("tool_use_id", at)?, at, "tool_use_id")?,
            content: blocks(
                fields.take("content"),
                Place::ToolResult,
                &at.key("content"),
            )?,
            is_error: fields.take_bool("is_error", at)?.unwrap_or(false),
            extras: fields.rest(),
        },
        "thinking" => Block::Thinking {
            text: required(fields.take_text("thinking", at)?, at, "thinking")?,
            signature: fields.take_str("signature", at)?.unwrap_or_default(),
        },
        "tool_reference" => Block::ToolReference {
            name: required(fields.take_str("tool_name", at)?, at, "tool_name")?,
        },
        "document" => Block::Document(Cow::Borrowed(raw)),
        _ => Block::Other {
            kind,
            raw: Cow::Borrowed(raw),
        },
    })
}

fn image_source<'a>(raw: &'a RawValue, at: &Path<'_>) -> Result<ImageSource<'a>, DecodeError> {
    let mut fields = Fields::of(raw, at)?;
    Ok(
        match &*required(fields.take_str("type", at)?, at, "type")? {
            "base64" => ImageSource::Base64 {
                media_type: required(fields.take_text("media_type", at)?, at, "media_type")?,
                data: required(fields.take_text("data", at)?, at, "data")?,
            },
            "url" => ImageSource::Url(required(fields.take_text("url", at)?, at, "url")?),
            _ => ImageSource::Other(raw),
        },
    )
}

fn tools(raw: Option<&RawValue>) -> Result<Vec<Tool<'_>>, DecodeError> {
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    let at = Path::Root;
    let at = at.key("tools");
    objects(raw, &at)?
        .into_iter()
        .enumerate()
        .map(|(i, fields)| tool(fields, &at.index(i)))
        .collect()
}

fn tool<'a>(mut fields: Fields<'a>, at: &Path<'_>) -> Result<Tool<'a>, DecodeError> {
    let kind = fields.take_str("type", at)?;
    // A vendor's own set of tools has no name beside its kind.
    let name = fields.take_str("name", at)?;
    let name = name.or_else(|| kind.clone().filter(|kind| kind != "custom"));
    Ok(Tool {
        name: required(name, at, "name")?,
        description: fields.take_text("description", at)?,
        schema: fields.take_raw_object("input_schema", at)?,
        vendor_kind: kind.filter(|kind| kind != "custom"),
        strict: fields.take_bool("strict", at)?,
        deferred: fields.take_bool("defer_loading", at)?.unwrap_or(false),
        extras: fields.rest(),
    })
}

fn tool_choice(mut fields: Fields<'_>) -> Result<ToolChoice<'_>, DecodeError> {
    let at = Path::Root;
    let at = &at.key("tool_choice");
    let kind = match &*required(fields.take_str("type", at)?, at, "type")? {
        "auto" => ToolChoiceKind::Auto,
        "any" => ToolChoiceKind::Any,
        "none" => ToolChoiceKind::None,
        "tool" => ToolChoiceKind::Tool(required(fields.take_str("name", at)?, at, "name")?),
        _ => {
            return Err(DecodeError::at(
                &at.key("type"),
                "expected `auto`, `any`, `tool` or `none`",
            ));
        }
    };
    let disable_parallel = fields
        .take_bool("disable_parallel_tool_use", at)?
        .unwrap_or(false);
    Ok(ToolChoice {
        kind,
        disable_parallel,
    })
}

fn stop_sequences<'a>(fields: &mut Fields<'a>) -> Result<Vec<Text<'a>>, DecodeError> {
    let at = &Path::Root;
    let items = fields.take_array("stop_sequences", at)?.unwrap_or_default();
    let at = &at.key("stop_sequences");
    let text = |(i, raw)| {
        Text::from_raw(raw).ok_or_else(|| DecodeError::at(&at.index(i), "expected a string"))
    };
    items.into_iter().enumerate().map(text).collect()
}

fn thinking(mut fields: Fields<'_>) -> Result<Thinking, DecodeError> {
    let at = Path::Root;
    let at = &at.key("thinking");
    Ok(
        match &*required(fields.take_str("type", at)?, at, "type")? {
            "disabled" => Thinking::Disabled,
            "enabled" => Thinking::Enabled {
                budget_tokens: required(
                    fields.take_count("budget_tokens", at)?,
                    at,
                    "budget_tokens",
                )?,
            },
            // `adaptive`, `between_tools`, and what may come: reasoning is wanted.
            _ => Thinking::Adaptive,
        },
    )
}

fn output_config<'a>(
    fields: Option<Fields<'a>>,
    request: &mut Request<'a>,
) -> Result<(), DecodeError> {
    let at = Path::Root;
    let at = &at.key("output_config");
    let Some(mut fields) = fields else {
        return Ok(());
    };
    request.effort = fields.take_str("effort", at)?;
    if let Some(mut format) = fields.take_object("format", at)? {
        let kind = format
            .take("type")
            .and_then(as_str)
            .unwrap_or(Cow::Borrowed(""));
        if kind != "json_schema" {
            return Err(DecodeError::at(
                &at.key("format").key("type"),
                "expected `json_schema`",
            ));
        }
        request.output_schema = format.take_raw_object("schema", &at.key("format"))?;
        request.extras.extend(format.rest());
    }
    request.extras.extend(fields.rest());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_an_object() {
        for (members, path) in [
            (
                r#""tools":[{"name":"f","input_schema":"s"}]"#,
                "tools[0].input_schema",
            ),
            (
                r#""output_config":{"format":{"type":"json_schema","schema":[]}}"#,
                "output_config.format.schema",
            ),
        ] {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"u"}}],{members}}}"#
            );
            assert_eq!(decode_request(&body).unwrap_err().path, path);
        }
    }

    #[test]
    fn a_result_inside_a_result_stays_as_it_is() {
        const DEPTH: usize = 20_000;
        let open = r#"[{"type":"tool_result","tool_use_id":"1","content":"#.repeat(DEPTH);
        let close = "}]".repeat(DEPTH);
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":{open}"x"{close}}}]}}"#);
        let request = decode_request(&body).unwrap();
        let [Block::ToolResult { content, .. }] = &*request.messages[0].content else {
            panic!("one result");
        };
        assert!(matches!(&**content, [Block::Other { kind, .. }] if kind == "tool_result"));
    }
}
