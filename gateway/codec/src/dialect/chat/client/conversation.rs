//! The messages of a Chat Completions request, decoded.
//!
//! ```text
//! system, developer before all others  -> `system`
//! system, developer later on           -> Role::System, in place
//! tool tool user                       -> one user message: results, then the rest
//! assistant                            -> thinking, text, calls (thoughts.rs)
//! function_call, function              -> a call and its result, under a made id
//! ```

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::{data_url, keep};
use super::thoughts::{placed, thoughts};
use crate::fields::{DecodeError, Extras, Fields, Path, objects, required};
use crate::ir::{Block, ImageSource, RequestMessage, Role};
use crate::json::{ObjectWriter, Text};

/// Decode `messages`.
pub(super) fn conversation(raw: &RawValue) -> Result<Conversation<'_>, DecodeError> {
    let at = Path::Root;
    let at = at.key("messages");
    let items = objects(raw, &at)?;
    if items.is_empty() {
        return Err(DecodeError::at(&at, "at least one message is required"));
    }
    let mut conversation = Conversation::default();
    for (i, fields) in items.into_iter().enumerate() {
        conversation.message(i, fields, &at.index(i))?;
    }
    conversation.end_turn();
    Ok(conversation)
}

/// A conversation being read.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<RequestMessage<'a>>,
    /// Members of messages that have become part of `system`.
    pub(super) extras: Extras<'a>,
    /// Results of tools, and what the user said directly after them.
    turn: Option<Turn<'a>>,
    /// The last `function_call`, while no `function` message has answered it.
    function: Option<(Cow<'a, str>, String)>,
}

#[derive(Default)]
struct Turn<'a> {
    results: Vec<Block<'a>>,
    rest: Vec<Block<'a>>,
    extras: Extras<'a>,
}

impl<'a> Conversation<'a> {
    fn message(
        &mut self,
        index: usize,
        mut fields: Fields<'a>,
        at: &Path<'_>,
    ) -> Result<(), DecodeError> {
        let role = required(fields.take_str("role", at)?, at, "role")?;
        match &*role {
            "user" => self.user(fields, at),
            "tool" => self.tool(fields, at),
            "function" => self.function(fields, at),
            "assistant" => {
                self.end_turn();
                self.assistant(index, fields, at)
            }
            "system" | "developer" => {
                self.end_turn();
                self.system(fields, at)
            }
            _ => Err(DecodeError::at(
                &at.key("role"),
                "expected `system`, `developer`, `user`, `assistant`, `tool` or `function`",
            )),
        }
    }

    fn system(&mut self, mut fields: Fields<'a>, at: &Path<'_>) -> Result<(), DecodeError> {
        let content = content(&mut fields, at)?;
        if self.messages.is_empty() {
            self.system.extend(content);
            keep(&mut self.extras, at, fields.rest());
        } else {
            self.push(Role::System, content, fields.rest());
        }
        Ok(())
    }

    fn user(&mut self, mut fields: Fields<'a>, at: &Path<'_>) -> Result<(), DecodeError> {
        let content = content(&mut fields, at)?;
        match &mut self.turn {
            Some(turn) => {
                turn.rest.extend(content);
                turn.extras.extend(fields.rest());
            }
            None => self.push(Role::User, content, fields.rest()),
        }
        Ok(())
    }

    fn tool(&mut self, mut fields: Fields<'a>, at: &Path<'_>) -> Result<(), DecodeError> {
        let id = required(fields.take_str("tool_call_id", at)?, at, "tool_call_id")?;
        // Older clients repeat the tool's name, which the call tells.
        fields.take_str("name", at)?;
        self.result(id, fields, at)
    }

    fn function(&mut self, mut fields: Fields<'a>, at: &Path<'_>) -> Result<(), DecodeError> {
        let name = required(fields.take_str("name", at)?, at, "name")?;
        let call = self.function.take_if(|(called, _)| *called == name);
        let id = call.map_or_else(|| format!("call_{name}"), |(_, id)| id);
        self.result(Cow::Owned(id), fields, at)
    }

    fn result(
        &mut self,
        id: Cow<'a, str>,
        mut fields: Fields<'a>,
        at: &Path<'_>,
    ) -> Result<(), DecodeError> {
        let content = content(&mut fields, at)?;
        let turn = self.turn.get_or_insert_default();
        turn.results.push(Block::ToolResult {
            id,
            content,
            is_error: false,
            extras: fields.rest(),
        });
        Ok(())
    }

    fn assistant(
        &mut self,
        index: usize,
        mut fields: Fields<'a>,
        at: &Path<'_>,
    ) -> Result<(), DecodeError> {
        let mut extras = Vec::new();
        let thoughts = thoughts(&mut fields, &mut extras, at)?;
        let mut said = content(&mut fields, at)?;
        if let Some(text) = fields.take_text("refusal", at)? {
            said.extend(text_block(text, Vec::new()));
        }
        let mut called = Vec::new();
        if let Some(calls) = fields.take_array("tool_calls", at)? {
            let at = at.key("tool_calls");
            for (i, raw) in calls.into_iter().enumerate() {
                called.push(tool_call(raw, &at.index(i))?);
            }
        }
        if let Some(mut call) = fields.take_object("function_call", at)? {
            let at = &at.key("function_call");
            let id = format!("call_{index}");
            let function = self::called(&mut call, at)?;
            self.function = Some((function.name.clone(), id.clone()));
            called.push(function.block(Cow::Owned(id), call.rest()));
        }
        extras.extend(fields.rest());
        self.push(Role::Assistant, placed(thoughts, said, called), extras);
        Ok(())
    }

    fn push(&mut self, role: Role, content: Vec<Block<'a>>, extras: Extras<'a>) {
        self.messages.push(RequestMessage {
            role,
            content,
            extras,
        });
    }

    fn end_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            let mut content = turn.results;
            content.extend(turn.rest);
            self.push(Role::User, content, turn.extras);
        }
    }
}

// === the model's own ===

fn tool_call<'a>(raw: &'a RawValue, at: &Path<'_>) -> Result<Block<'a>, DecodeError> {
    let mut call = Fields::of(raw, at)?;
    let kind = call.take_str("type", at)?;
    if let Some(kind) = kind.filter(|kind| kind != "function") {
        let raw = Cow::Borrowed(raw);
        return Ok(Block::Other { kind, raw });
    }
    // Left over from a stream's pieces; the order says the same.
    call.take("index");
    let id = required(call.take_str("id", at)?, at, "id")?;
    let mut function = required(call.take_object("function", at)?, at, "function")?;
    let called = called(&mut function, &at.key("function"))?;
    let mut extras = call.rest();
    extras.extend(function.rest());
    Ok(called.block(id, extras))
}

/// The member that holds a call's arguments which are no object. A model's slip
/// comes back with the history, and must not end the conversation.
const UNPARSED: &str = "unparsed_arguments";

/// A function's name, its arguments, and the arguments as they stood if they are
/// not the text of an object.
struct Called<'a> {
    name: Cow<'a, str>,
    input: Cow<'a, RawValue>,
    unparsed: Option<&'a RawValue>,
}

impl<'a> Called<'a> {
    fn block(self, id: Cow<'a, str>, mut extras: Extras<'a>) -> Block<'a> {
        extras.extend(self.unparsed.map(|raw| (Cow::Borrowed("arguments"), raw)));
        Block::ToolUse {
            id,
            name: self.name,
            input: self.input,
            extras,
        }
    }
}

fn called<'a>(function: &mut Fields<'a>, at: &Path<'_>) -> Result<Called<'a>, DecodeError> {
    let name = required(function.take_str("name", at)?, at, "name")?;
    let raw = function.peek("arguments");
    let text = function.take_str("arguments", at)?.unwrap_or_default();
    let text = match text {
        text if text.trim().is_empty() => Cow::Borrowed("{}"),
        text => text,
    };
    let input = match &text {
        Cow::Borrowed(text) => serde_json::from_str(text).ok().map(Cow::Borrowed),
        Cow::Owned(text) => RawValue::from_string(text.clone()).ok().map(Cow::Owned),
    };
    if let Some(input) = input.filter(|input: &Cow<'_, RawValue>| input.get().starts_with('{')) {
        let unparsed = None;
        return Ok(Called {
            name,
            input,
            unparsed,
        });
    }
    let mut object = ObjectWriter::with_capacity(text.len() + 32);
    object.string(UNPARSED, &text);
    let object = String::from_utf8_lossy(&object.finish().0).into_owned();
    let input = RawValue::from_string(object).expect("an object was written");
    Ok(Called {
        name,
        input: Cow::Owned(input),
        unparsed: raw,
    })
}

// === content ===

/// Content: a string, an array of parts, or nothing.
fn content<'a>(fields: &mut Fields<'a>, at: &Path<'_>) -> Result<Vec<Block<'a>>, DecodeError> {
    let at = &at.key("content");
    let Some(raw) = fields.take("content") else {
        return Ok(Vec::new());
    };
    if let Some(text) = Text::from_raw(raw) {
        return Ok(text_block(text, Vec::new()).into_iter().collect());
    }
    let parts: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| DecodeError::at(at, "expected a string or an array of content parts"))?;
    let mut blocks = Vec::with_capacity(parts.len());
    for (i, raw) in parts.into_iter().enumerate() {
        let (block, rest) = part(raw, &at.index(i))?;
        blocks.extend(block);
        for (key, raw) in rest {
            fields.put_back(format!("content[{i}].{key}"), raw);
        }
    }
    Ok(blocks)
}

/// Text; none where there is nothing in it, since some upstreams refuse that.
fn text_block<'a>(text: Text<'a>, extras: Extras<'a>) -> Option<Block<'a>> {
    (!text.is_empty() || !extras.is_empty()).then_some(Block::Text { text, extras })
}

/// A part's block, and those of its members that the block has no place for.
fn part<'a>(
    raw: &'a RawValue,
    at: &Path<'_>,
) -> Result<(Option<Block<'a>>, Extras<'a>), DecodeError> {
    let mut part = Fields::of(raw, at)?;
    let kind = required(part.take_str("type", at)?, at, "type")?;
    if kind == "file" {
        let (block, rest) = file(raw, part, at)?;
        return Ok((Some(block), rest));
    }
    let block = match &*kind {
        "text" => {
            let text = required(part.take_text("text", at)?, at, "text")?;
            text_block(text, part.rest())
        }
        "refusal" => {
            let text = required(part.take_text("refusal", at)?, at, "refusal")?;
            text_block(text, part.rest())
        }
        "image_url" => Some(image(part, at)?),
        _ => Some(Block::Other {
            kind,
            raw: Cow::Borrowed(raw),
        }),
    };
    Ok((block, Vec::new()))
}

fn image<'a>(mut part: Fields<'a>, at: &Path<'_>) -> Result<Block<'a>, DecodeError> {
    let raw = required(part.take("image_url"), at, "image_url")?;
    let mut extras = part.rest();
    let at = &at.key("image_url");
    let url = match Text::from_raw(raw) {
        // The bare URL, as many servers accept it.
        Some(url) => url,
        None => {
            let mut fields = Fields::of(raw, at)?;
            let url = required(fields.take_text("url", at)?, at, "url")?;
            extras.extend(fields.rest());
            url
        }
    };
    extras.retain(|(key, value)| !(key == "detail" && value.get() == "\"auto\""));
    let source = match data_url(&url) {
        Some((media_type, data)) => ImageSource::Base64 { media_type, data },
        None => ImageSource::Url(url),
    };
    Ok(Block::Image { source, extras })
}

/// A PDF in the body becomes a document; what else a file can be stays as it is.
fn file<'a>(
    raw: &'a RawValue,
    mut part: Fields<'a>,
    at: &Path<'_>,
) -> Result<(Block<'a>, Extras<'a>), DecodeError> {
    let mut file = required(part.take_object("file", at)?, at, "file")?;
    let at = &at.key("file");
    let title = file.take_text("filename", at)?;
    let url = file.take_text("file_data", at)?;
    let pdf = url.as_ref().and_then(data_url);
    let document = pdf
        .filter(|(media_type, _)| media_type.decoded() == "application/pdf")
        .and_then(|(_, data)| document(&data, title.as_ref()));
    let Some(document) = document else {
        let kind = Cow::Borrowed("file");
        let raw = Cow::Borrowed(raw);
        return Ok((Block::Other { kind, raw }, Vec::new()));
    };
    let mut rest = part.rest();
    rest.extend(file.rest());
    Ok((Block::Document(Cow::Owned(document)), rest))
}

/// A document block of the inner form.
fn document(data: &Text<'_>, title: Option<&Text<'_>>) -> Option<Box<RawValue>> {
    let title = match title {
        Some(title) => format!(",\"title\":\"{}\"", title.escaped()),
        None => String::new(),
    };
    let block = format!(
        "{{\"type\":\"document\",\"source\":{{\"type\":\"base64\",\
         \"media_type\":\"application/pdf\",\"data\":\"{}\"}}{title}}}",
        data.escaped()
    );
    RawValue::from_string(block).ok()
}
