//! A Chat Completions client, as OpenAI's SDKs are: reads a whole answer or a
//! stream, forgives nothing, and says in lines what it read.
//!
//! ```text
//! content "..."                 reasoning "..."          signature ...
//! call ID NAME ARGUMENTS        usage prompt N cached N written N completion N reasoning N
//! finish REASON ["SEQUENCE"]    error TYPE MESSAGE
//! beside completion|choice|message|usage MEMBERS     what else stands there
//! ```
//! <https://platform.openai.com/docs/api-reference/chat-streaming> and the SDKs'
//! accumulators, which join strings piece by piece (seen 2026-11).

use serde_json::{Map, Value, json};
use sluice_codec::dialect::chat::{CompletionStreamEncoder, encode_completion, encode_error};
use sluice_codec::dialect::messages::status_of_kind;
use sluice_codec::ir::{Event, Losses, Message};

use crate::lines::items;

/// Whether the client asks for token counts at a stream's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Asked,
    Unasked,
}

// === what the gateway writes ===

/// The stream for a client, and what it could not carry.
pub(crate) fn stream(events: &[Event<'static>], counts: Counts) -> (Vec<u8>, Losses) {
    let asked = counts == Counts::Asked;
    let mut encoder = CompletionStreamEncoder::new("chatcmpl-1", "m", 7, asked);
    let mut bytes = Vec::new();
    for event in events {
        encoder.encode(event, &mut bytes);
    }
    let losses = encoder.take_losses();
    (bytes, losses)
}

/// The body for a client, an error's included, and what it could not carry.
pub(crate) fn body(message: &Message) -> (Vec<u8>, Losses) {
    match &message.error {
        Some((kind, text)) => {
            let body = encode_error(status_of_kind(kind), kind, text, "req_1");
            (body, Losses::default())
        }
        None => {
            let completion = encode_completion(message, "chatcmpl-1", "m", 7);
            (completion.body, completion.losses)
        }
    }
}

// === reading ===

/// What a client has read.
#[derive(Debug, Default)]
struct Read {
    content: String,
    reasoning: String,
    signatures: Vec<String>,
    /// Id, name, arguments.
    calls: Vec<[String; 3]>,
    usage: Option<Value>,
    finish: Option<(String, Option<String>)>,
    error: Option<String>,
    /// Members of the completion, its choice, the message and the counts that only
    /// some upstreams have.
    beside: [Map<String, Value>; 4],
}

/// Where members stand.
const PLACES: [&str; 4] = ["completion", "choice", "message", "usage"];
const COMPLETION: usize = 0;
const CHOICE: usize = 1;
const MESSAGE: usize = 2;
const USAGE: usize = 3;

type Result<T> = std::result::Result<T, String>;

/// Read a stream to its end, or say what an SDK would stumble over.
pub(crate) fn read_stream(bytes: &[u8], counts: Counts) -> Result<Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no UTF-8")?;
    let mut read = Read::default();
    let mut frames = text.split_terminator("\n\n");
    let mut first = true;
    let done = loop {
        let Some(frame) = frames.next() else {
            break false;
        };
        let data = frame.strip_prefix("data: ").ok_or("a frame without data")?;
        if data == "[DONE]" {
            break true;
        }
        if read.error.is_some() || read.usage.is_some() {
            return Err(format!("after the end: {data}"));
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| "a frame is no JSON")?;
        let is_first = std::mem::take(&mut first);
        read.chunk(&chunk, is_first, counts)
            .map_err(|why| format!("{why}: {data}"))?;
    };
    if frames.next().is_some() {
        return Err("something follows `[DONE]`".into());
    }
    if done == read.error.is_some() || done != read.finish.is_some() {
        return Err("ends neither in an error nor in `[DONE]` after a finish".into());
    }
    read.lines()
}

/// Read a whole answer, or an error.
pub(crate) fn read_body(bytes: &[u8]) -> Result<Vec<String>> {
    let body: Value = serde_json::from_slice(bytes).map_err(|_| "no JSON")?;
    let mut read = Read::default();
    if body.get("error").is_some() {
        read.error(&body)?;
        return read.lines();
    }
    check_head(&body, "chat.completion")?;
    let [choice] = array(&body, "choices")? else {
        return Err("not one choice".into());
    };
    read.message(object(choice, "message")?)?;
    read.beside(&body, choice);
    read.finish(choice)?;
    if read.finish.is_none() {
        return Err("no finish".into());
    }
    if let Some(usage) = body.get("usage") {
        read.usage(usage)?;
    }
    read.lines()
}

fn check_head(chunk: &Value, object: &str) -> Result<()> {
    let expected = [
        ("id", json!("chatcmpl-1")),
        ("object", json!(object)),
        ("created", json!(7)),
        ("model", json!("m")),
    ];
    let wrong = expected.iter().find(|(key, value)| chunk[key] != *value);
    wrong.map_or(Ok(()), |(key, _)| Err(format!("`{key}` is wrong")))
}

/// A member of a stream's piece joins what came before, as SDKs have it.
fn grow(members: &mut Map<String, Value>, key: &str, more: &Value) {
    match (members.get_mut(key), more) {
        (Some(Value::Array(items)), Value::Array(more)) => items.extend(more.iter().cloned()),
        (Some(Value::Object(object)), Value::Object(more)) => {
            more.iter().for_each(|(key, more)| grow(object, key, more));
        }
        (Some(Value::String(text)), Value::String(more)) if key != "id" => text.push_str(more),
        _ => drop(members.insert(key.to_owned(), more.clone())),
    }
}

fn without(object: &Value, keys: &[&str]) -> Value {
    let mut rest = object.clone();
    if let Some(members) = rest.as_object_mut() {
        members.retain(|key, _| !keys.contains(&&**key));
    }
    rest
}

impl Read {
    fn chunk(&mut self, chunk: &Value, first: bool, counts: Counts) -> Result<()> {
        if chunk.get("error").is_some() {
            return self.error(chunk);
        }
        check_head(chunk, "chat.completion.chunk")?;
        if chunk.get("usage").is_some() != (counts == Counts::Asked) {
            return Err("`usage` on every chunk to those who asked, to others on none".into());
        }
        let choices = array(chunk, "choices")?;
        let usage = chunk.get("usage").filter(|usage| !usage.is_null());
        match (choices, usage) {
            ([], Some(usage)) if self.finish.is_some() => {
                self.beside(chunk, &Value::Null);
                self.usage(usage)
            }
            ([choice], None) if self.finish.is_none() => {
                if choice["index"] != 0 {
                    return Err("no index".into());
                }
                let delta = object(choice, "delta")?;
                if (delta.get("role") == Some(&json!("assistant"))) != first {
                    return Err("the role comes first, and once".into());
                }
                self.delta(delta)?;
                self.beside(chunk, choice);
                self.finish(choice)
            }
            _ => Err("neither a choice nor counts, or out of order".into()),
        }
    }

    /// What stands beside a choice, and in it beside what every choice has.
    fn beside(&mut self, completion: &Value, choice: &Value) {
        let own = ["id", "object", "created", "model", "choices", "usage"];
        for (key, value) in completion.as_object().into_iter().flatten() {
            if !own.contains(&&**key) {
                self.beside[COMPLETION].insert(key.clone(), value.clone());
            }
        }
        let own = ["index", "delta", "message", "finish_reason", "stop_reason"];
        for (key, value) in choice.as_object().into_iter().flatten() {
            if !own.contains(&&**key) && !value.is_null() {
                grow(&mut self.beside[CHOICE], key, value);
            }
        }
    }

    fn delta(&mut self, delta: &Map<String, Value>) -> Result<()> {
        for (key, value) in delta {
            match &**key {
                "role" => {}
                "content" => self.content += text(value)?,
                "reasoning_content" => self.reasoning += text(value)?,
                "reasoning_details" => self.details(value)?,
                "tool_calls" => {
                    for piece in value.as_array().ok_or("calls are no array")? {
                        self.call_piece(piece)?;
                    }
                }
                _ => grow(&mut self.beside[MESSAGE], key, value),
            }
        }
        Ok(())
    }

    /// The first piece has the call's id and name, later ones arguments alone.
    fn call_piece(&mut self, piece: &Value) -> Result<()> {
        let index = piece["index"].as_u64().ok_or("a call without its index")?;
        let function = object(piece, "function")?;
        let arguments = text(function.get("arguments").ok_or("no arguments")?)?;
        let known = self.calls.len() as u64;
        if index == known {
            self.call(piece, function)?;
            return Ok(());
        }
        let is_bare = piece.get("id").is_none()
            && piece.get("type").is_none()
            && function.get("name").is_none();
        if index + 1 != known || !is_bare {
            return Err("a call goes on that is not the last, or says its name again".into());
        }
        if let Some([_, _, so_far]) = self.calls.last_mut() {
            so_far.push_str(arguments);
        }
        Ok(())
    }

    fn call(&mut self, call: &Value, function: &Map<String, Value>) -> Result<()> {
        if call["type"] != "function" {
            return Err("a call of no type".into());
        }
        let id = text(&call["id"])?;
        let name = text(function.get("name").ok_or("no name")?)?;
        let arguments = text(function.get("arguments").ok_or("no arguments")?)?;
        if id.is_empty() || name.is_empty() || self.calls.iter().any(|[known, ..]| known == id) {
            return Err("an id or a name is empty, or an id is another's".into());
        }
        self.calls.push([id, name, arguments].map(str::to_owned));
        Ok(())
    }

    fn message(&mut self, message: &Map<String, Value>) -> Result<()> {
        for (key, value) in message {
            match &**key {
                "role" if value == "assistant" => {}
                "content" if value.is_null() && message.contains_key("tool_calls") => {}
                "content" => self.content = text(value)?.into(),
                "refusal" if value.is_null() => {}
                "reasoning_content" => self.reasoning = text(value)?.into(),
                "reasoning_details" => self.details(value)?,
                "tool_calls" => {
                    for call in value.as_array().ok_or("calls are no array")? {
                        self.call(call, object(call, "function")?)?;
                    }
                }
                _ => grow(&mut self.beside[MESSAGE], key, value),
            }
        }
        ["role", "content", "refusal"]
            .iter()
            .all(|key| message.contains_key(*key))
            .then_some(())
            .ok_or_else(|| "a message lacks what it must have".into())
    }

    fn details(&mut self, items: &Value) -> Result<()> {
        for item in items.as_array().ok_or("details are no array")? {
            if item["type"] != "reasoning.text" || item["index"] != self.signatures.len() {
                return Err("details of another kind, or out of order".into());
            }
            self.signatures.push(text(&item["signature"])?.into());
        }
        Ok(())
    }

    fn finish(&mut self, choice: &Value) -> Result<()> {
        let word = match choice.get("finish_reason").ok_or("no finish_reason")? {
            Value::Null => return Ok(()),
            Value::String(word) => word,
            _ => return Err("a finish_reason of another type".into()),
        };
        if !["stop", "length", "tool_calls", "content_filter"].contains(&&**word) {
            return Err("an unknown finish_reason".into());
        }
        if (word == "tool_calls") && self.calls.is_empty() {
            return Err("no call to wait for".into());
        }
        let sequence = choice.get("stop_reason").map(text).transpose()?;
        self.finish = Some((word.clone(), sequence.map(str::to_owned)));
        Ok(())
    }

    fn usage(&mut self, usage: &Value) -> Result<()> {
        let sum = usage["prompt_tokens"]
            .as_u64()
            .zip(usage["completion_tokens"].as_u64())
            .map(|(prompt, completion)| prompt + completion);
        if sum.is_none() || usage["total_tokens"].as_u64() != sum {
            return Err("counts are missing, or do not add up".into());
        }
        self.usage = Some(usage.clone());
        let own = ["prompt_tokens", "completion_tokens", "total_tokens"];
        for (key, value) in usage.as_object().into_iter().flatten() {
            let more = match &**key {
                "prompt_tokens_details" => without(value, &["cached_tokens", "cache_write_tokens"]),
                "completion_tokens_details" => without(value, &["reasoning_tokens"]),
                key if own.contains(&key) => continue,
                _ => value.clone(),
            };
            if more != json!({}) {
                self.beside[USAGE].insert(key.clone(), more);
            }
        }
        Ok(())
    }

    fn error(&mut self, body: &Value) -> Result<()> {
        let error = object(body, "error")?;
        for key in ["message", "type", "param", "code"] {
            error.get(key).ok_or("an error lacks a member")?;
        }
        let (kind, message) = (text(&error["type"])?, text(&error["message"])?);
        self.error = Some(match error["code"].as_str() {
            Some(code) => format!("error {kind} {code} {message}"),
            None => format!("error {kind} {message}"),
        });
        Ok(())
    }

    fn lines(self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let quoted = |text: &str| json!(text).to_string();
        if !self.content.is_empty() {
            lines.push(format!("content {}", quoted(&self.content)));
        }
        if !self.reasoning.is_empty() {
            lines.push(format!("reasoning {}", quoted(&self.reasoning)));
        }
        lines.extend(self.signatures.iter().map(|it| format!("signature {it}")));
        let calls = self.calls.iter().map(|call| call.join(" "));
        lines.extend(calls.map(|call| format!("call {}", call.trim_end())));
        if let Some(usage) = &self.usage {
            let count = |value: &Value| value.as_u64().ok_or("a count is missing");
            let (prompt, answer) = (
                &usage["prompt_tokens_details"],
                &usage["completion_tokens_details"],
            );
            lines.push(format!(
                "usage prompt {} cached {} written {} completion {} reasoning {}",
                count(&usage["prompt_tokens"])?,
                count(&prompt["cached_tokens"])?,
                count(&prompt["cache_write_tokens"])?,
                count(&usage["completion_tokens"])?,
                count(&answer["reasoning_tokens"])?,
            ));
        }
        if let Some((word, sequence)) = &self.finish {
            let sequence = sequence.as_deref().map(|text| format!(" {}", quoted(text)));
            lines.push(format!("finish {word}{}", sequence.unwrap_or_default()));
        }
        lines.extend(self.error);
        let beside = PLACES.iter().zip(&self.beside);
        let beside = beside.filter(|(_, members)| !members.is_empty());
        lines.extend(beside.map(|(place, members)| format!("beside {place} {}", json!(members))));
        Ok(lines)
    }
}

fn object<'v>(value: &'v Value, key: &str) -> Result<&'v Map<String, Value>> {
    let object = value.get(key).and_then(Value::as_object);
    object.ok_or_else(|| format!("`{key}` is no object"))
}

fn array<'v>(value: &'v Value, key: &str) -> Result<&'v [Value]> {
    let array = value.get(key).and_then(Value::as_array);
    array
        .map(Vec::as_slice)
        .ok_or_else(|| format!("`{key}` is no array"))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| format!("no text: {value}"))
}

// === what it should read ===

/// What a client should read of an answer that a Messages client reads as
/// `answer` (the lines of `lines.rs`): texts joined, and set apart by a blank
/// line where something stood between them; reasoning beside them; OpenAI's
/// words and arithmetic.
pub(crate) fn expected(answer: &str) -> Vec<String> {
    let mut expected = Read::default();
    let mut last = "";
    let mut error = None;
    for item in items(answer) {
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        match word {
            "text" => {
                let apart = last != "text";
                join(&mut expected.content, first_string(rest).0, apart);
            }
            "thinking" => {
                let (text, signature) = first_string(rest);
                join(&mut expected.reasoning, text, true);
                let signature = signature.split(" with ").next().unwrap_or_default();
                expected
                    .signatures
                    .extend((!signature.is_empty()).then(|| signature.to_owned()));
            }
            "tool_use" => {
                let rest = rest.split(" with ").next().unwrap_or_default();
                let mut parts = rest.splitn(3, ' ').map(str::to_owned);
                let mut part = || parts.next().filter(|part| !part.is_empty());
                let [id, name] = [part(), part()].map(Option::unwrap_or_default);
                let input = part().unwrap_or_else(|| "{}".into());
                expected.calls.push([id, name, input]);
            }
            "usage" => expected.usage = Some(usage_of(rest)),
            "stop" => expected.finish = Some(finish_of(rest)),
            "error" => error = Some(error_of(rest)),
            _ => {}
        }
        last = word;
    }
    if error.is_some() {
        // Counts come after the finish, which never comes.
        expected.usage = None;
    }
    expected.error = error;
    expected.lines().expect("made above")
}

fn join(into: &mut String, more: String, apart: bool) {
    if apart && !into.is_empty() && !more.is_empty() {
        into.push_str("\n\n");
    }
    into.push_str(&more);
}

/// The JSON string that `text` begins with, and what follows it.
fn first_string(text: &str) -> (String, &str) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next().expect("a string").expect("a string");
    (value, text[values.byte_offset()..].trim_start())
}

/// `in N out N read N written N`, and what else was counted.
fn usage_of(rest: &str) -> Value {
    let mut counts = rest
        .split(' ')
        .skip(1)
        .step_by(2)
        .map(|count| count.parse::<u64>().ok());
    let mut count = || counts.next().flatten().expect("four counts");
    let (input, output, cached, written) = (count(), count(), count(), count());
    let reasoning = rest
        .split_once("\"thinking_tokens\":")
        .and_then(|(_, rest)| rest.split('}').next()?.parse::<u64>().ok());
    let prompt = input + cached + written;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": { "cached_tokens": cached, "cache_write_tokens": written },
        "completion_tokens_details": { "reasoning_tokens": reasoning.unwrap_or(0) },
    })
}

fn finish_of(rest: &str) -> (String, Option<String>) {
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let finish = match word {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    };
    let sequence = rest.starts_with('"').then(|| first_string(rest).0);
    (finish.into(), sequence)
}

/// OpenAI's type and code for a kind of error:
/// <https://platform.openai.com/docs/guides/error-codes> (seen 2026-11).
pub(crate) fn error_of(rest: &str) -> String {
    let (kind, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let kind = match kind {
        "invalid_request_error" | "request_too_large"
            if message.starts_with("prompt is too long")
                || message.contains("exceed context limit") =>
        {
            "invalid_request_error context_length_exceeded"
        }
        "authentication_error" => "invalid_request_error invalid_api_key",
        "not_found_error" if message.contains("model") => "invalid_request_error model_not_found",
        "invalid_request_error"
        | "request_too_large"
        | "conflict_error"
        | "permission_error"
        | "not_found_error" => "invalid_request_error",
        "billing_error" => "insufficient_quota insufficient_quota",
        "rate_limit_error" => "rate_limit_error rate_limit_exceeded",
        _ => "server_error",
    };
    format!("error {kind} {message}")
}
