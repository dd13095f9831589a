//! A Chat Completions request, decoded from a client.
//!
//! Members without a place in the inner form stay in `extras`, under their path
//! from the body's root, and become losses where the request is translated. What
//! would not change the answer (`n: 1`, `logprobs: false`) counts as absent.
//! The indexes of the inner form's messages are not the body's: results of tools
//! that follow each other share one message.
//!
//! Nothing is refused here that an upstream of the same dialect could answer:
//! that is [`check_translatable`]'s part, and only where another dialect is spoken.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::conversation::conversation;
use super::tools::{tool_choice, tools};
use crate::fields::{DecodeError, Extras, Fields, Path, required};
use crate::ir::{Block, Refused, Request, RequestMessage, Thinking};
use crate::json::{Text, as_count};

/// Members that say nothing with these values.
const NEUTRAL: [(&str, &[&str]); 9] = [
    ("n", &["1"]),
    ("logprobs", &["false"]),
    ("presence_penalty", &["0", "0.0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("store", &["false"]),
    ("service_tier", &["\"auto\"", "\"default\""]),
    ("modalities", &["[\"text\"]"]),
    ("verbosity", &["\"medium\""]),
    ("stream_options.include_obfuscation", &["false"]),
];

/// A request of a Chat Completions client.
#[derive(Debug)]
pub struct ClientRequest<'a> {
    /// The request.
    pub request: Request<'a>,
    /// Whether the stream ends with a chunk of token counts
    /// (`stream_options.include_usage`).
    pub include_usage: bool,
}

/// Decode the body of a request.
pub fn decode_client_request(body: &str) -> Result<ClientRequest<'_>, DecodeError> {
    let at = &Path::Root;
    let mut fields = Fields::parse(body, at)?;
    let talk = conversation(required(fields.take("messages"), at, "messages")?)?;
    let mut request = Request {
        model: required(fields.take_str("model", at)?, at, "model")?,
        stream: fields.take_bool("stream", at)?.unwrap_or(false),
        max_tokens: None,
        system: talk.system,
        messages: talk.messages,
        tools: tools(&mut fields)?,
        tool_choice: None,
        stop_sequences: stop_sequences(&mut fields)?,
        temperature: fields.take_number("temperature", at)?,
        top_p: fields.take_number("top_p", at)?,
        top_k: fields.take_number("top_k", at)?,
        thinking: None,
        effort: fields.take_str("reasoning_effort", at)?,
        output_schema: None,
        user_id: fields.take_text("user", at)?,
        extras: talk.extras,
    };
    if request.effort.as_deref() == Some("none") {
        request.effort = None;
        request.thinking = Some(Thinking::Disabled);
    }
    output_limit(&mut fields, &mut request)?;
    tool_choice(&mut fields, &mut request)?;
    response_format(&mut fields, &mut request)?;
    let include_usage = stream_options(&mut fields, &mut request)?;
    request.extras.extend(fields.rest());
    request
        .extras
        .retain(|(key, value)| !is_neutral(key, value));
    Ok(ClientRequest {
        request,
        include_usage,
    })
}

/// The newer name wins; a different older one is kept as unheeded.
fn output_limit<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), DecodeError> {
    let at = &Path::Root;
    let newer = fields.take_count("max_completion_tokens", at)?;
    let raw = fields.take("max_tokens");
    let older = raw.map(|raw| count(raw, "max_tokens")).transpose()?;
    if let (Some(raw), Some(newer), Some(older)) = (raw, newer, older)
        && newer != older
    {
        request.extras.push((Cow::Borrowed("max_tokens"), raw));
    }
    request.max_tokens = newer.or(older);
    Ok(())
}

fn count(raw: &RawValue, key: &str) -> Result<u64, DecodeError> {
    let is_number = !raw.get().starts_with('"');
    as_count(raw)
        .filter(|_| is_number)
        .ok_or_else(|| DecodeError::at(&Path::Root.key(key), "expected a whole number"))
}

/// `stop`: a string, or several.
fn stop_sequences<'a>(fields: &mut Fields<'a>) -> Result<Vec<Text<'a>>, DecodeError> {
    let at = Path::Root;
    let at = at.key("stop");
    let Some(raw) = fields.take("stop") else {
        return Ok(Vec::new());
    };
    if let Some(text) = Text::from_raw(raw) {
        return Ok(vec![text]);
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| DecodeError::at(&at, "expected a string or an array of strings"))?;
    let text = |(i, raw)| {
        Text::from_raw(raw).ok_or_else(|| DecodeError::at(&at.index(i), "expected a string"))
    };
    items.into_iter().enumerate().map(text).collect()
}

/// A schema is a schema everywhere; other formats are not (`json_object`, the
/// grammars of some servers). `strict` says nothing: the inner form's schemas
/// always bind.
fn response_format<'a>(
    fields: &mut Fields<'a>,
    request: &mut Request<'a>,
) -> Result<(), DecodeError> {
    let at = Path::Root;
    let at = &at.key("response_format");
    let Some(raw) = fields.take("response_format") else {
        return Ok(());
    };
    let mut format = Fields::of(raw, at)?;
    match &*required(format.take_str("type", at)?, at, "type")? {
        "text" => {}
        "json_schema" => {
            let schema = format.take_object("json_schema", at)?;
            let mut schema = required(schema, at, "json_schema")?;
            let at = &at.key("json_schema");
            request.output_schema = Some(required(schema.take("schema"), at, "schema")?);
            schema.take_bool("strict", at)?;
            keep(&mut request.extras, at, schema.rest());
        }
        _ => {
            request.extras.push((Cow::Borrowed("response_format"), raw));
            return Ok(());
        }
    }
    keep(&mut request.extras, at, format.rest());
    Ok(())
}

fn stream_options<'a>(
    fields: &mut Fields<'a>,
    request: &mut Request<'a>,
) -> Result<bool, DecodeError> {
    let at = &Path::Root;
    let Some(mut options) = fields.take_object("stream_options", at)? else {
        return Ok(false);
    };
    let at = &at.key("stream_options");
    let include_usage = options.take_bool("include_usage", at)?.unwrap_or(false);
    keep(&mut request.extras, at, options.rest());
    Ok(include_usage)
}

/// Keep members under the path of the object they stood in.
pub(super) fn keep<'a>(extras: &mut Extras<'a>, at: &Path<'_>, rest: Extras<'a>) {
    extras.extend(
        rest.into_iter()
            .map(|(key, raw)| (Cow::Owned(at.key(&key).to_string()), raw)),
    );
}

fn is_neutral(key: &str, value: &RawValue) -> bool {
    NEUTRAL
        .iter()
        .any(|(name, values)| *name == key && values.contains(&value.get()))
}

/// Whether a request that [`decode_client_request`] gave can be answered by an
/// upstream of another dialect at all. What can be left out is left to the
/// encoder, which reports it.
pub fn check_translatable(request: &Request<'_>) -> Result<(), Refused> {
    let extra = |key| {
        let mut members = request.extras.iter().filter(|(name, _)| name == key);
        members.next_back().map(|(_, raw)| *raw)
    };
    if extra("n").is_some() {
        return refuse(
            "n",
            "only one answer a request is possible here; send one request for each",
        );
    }
    if extra("audio").is_some_and(|raw| raw.get() != "null")
        || extra("modalities").is_some_and(|raw| raw.get().contains("audio"))
    {
        let message = "the model answers in text; leave `audio` out and ask for `text` alone";
        return refuse("modalities", message);
    }
    if extra("web_search_options").is_some_and(|raw| raw.get() != "null") {
        let message = "the upstream does not search the web; give the model a tool that does";
        return refuse("web_search_options", message);
    }
    let messages = request.messages.iter().enumerate();
    messages
        .map(|(i, message)| check_message(i, message))
        .collect()
}

fn check_message(index: usize, message: &RequestMessage<'_>) -> Result<(), Refused> {
    let root = Path::Root;
    let at = root.key("messages");
    let at = at.index(index);
    let at = at.key("content");
    let mut blocks = message.content.iter().enumerate();
    blocks.try_for_each(|(i, block)| match block {
        Block::ToolResult { content, .. } => {
            let nested = at.index(i);
            let nested = nested.key("content");
            let mut content = content.iter().enumerate();
            content.try_for_each(|(j, block)| check_block(&nested.index(j), block))
        }
        block => check_block(&at.index(i), block),
    })
}

/// A block without an equivalent, whose absence would change the answer.
fn check_block(at: &Path<'_>, block: &Block<'_>) -> Result<(), Refused> {
    let Block::Other { kind, .. } = block else {
        return Ok(());
    };
    refuse(
        &at.to_string(),
        match &**kind {
            // Reasoning written as a part, by Mistral's models: the encoder reports it.
            "thinking" | "reasoning" => return Ok(()),
            "input_audio" => "`input_audio` has no equivalent here; send its transcript as text",
            "file" => {
                "only a PDF in `file_data` (`data:application/pdf;base64,...`) can be sent here; \
                 send other files as text"
            }
            "custom" => "calls of custom tools have no equivalent here; use function tools",
            _ => "a part that only OpenAI understands; dropping it would change the answer",
        },
    )
}

fn refuse(path: &str, message: &'static str) -> Result<(), Refused> {
    Err(Refused {
        path: path.to_owned(),
        message,
        details: None,
    })
}

/// A `data:` URL's media type and base64 text; none for any other URL.
pub(super) fn data_url<'a>(url: &Text<'a>) -> Option<(Text<'a>, Text<'a>)> {
    // Some libraries escape each slash, a few everything.
    let plain = match url.escaped() {
        text if text.starts_with("data:") || !text.contains('\\') => url.clone(),
        _ => Text::new(&url.decoded()),
    };
    let (head, base64) = plain.split_once(";base64,")?;
    let (scheme, media_type) = head.split_once(":")?;
    if scheme.escaped() != "data" {
        return None;
    }
    let media_type = match media_type.split_once(";") {
        Some((media_type, _parameters)) => media_type,
        None => media_type,
    };
    Some((media_type, base64))
}
