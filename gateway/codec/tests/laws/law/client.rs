//! A Messages client, as Anthropic's SDKs are: reads a stream, gathers the
//! message, and forgives nothing.
//!
//! What the gateway writes must read here. What an upstream wrote is well-formed
//! if it reads here, and then means the same when it has passed the gateway.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sluice_codec::sse::{Frame, FrameReader};

/// What a stream amounts to.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// A message, without its id and its model's name. Blocks of unknown kinds
    /// hold their deltas as [`DELTAS`].
    Message(Value),
    /// An error came.
    Failed,
    /// JSON that is valid, and beyond what a tree can hold: nested too deep, a
    /// number too large, half a surrogate pair.
    Unreadable,
}

/// The member in which a block of an unknown kind keeps its deltas.
pub(crate) const DELTAS: &str = "deltas";

/// White space as JSON has it.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Whether frames must name their type in the `event` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {
    /// They must.
    Named,
    /// They need not.
    Any,
}

/// Read a whole stream, or say which part of the grammar it breaks.
pub(crate) fn read(bytes: &[u8], events: Events) -> Result<Answer, String> {
    let mut reader = FrameReader::default();
    let mut client = Client::default();
    let mut outcome = Ok(());
    let mut take = |frame: Frame<'_>| {
        if outcome.is_ok() {
            outcome = client.frame(frame, events);
        }
    };
    reader.feed(bytes, &mut take).map_err(|_| "too large")?;
    reader.finish(&mut take);
    match outcome {
        Err(Broken::Unreadable) => return Ok(Answer::Unreadable),
        Err(Broken::Grammar(why)) => return Err(why),
        Ok(()) => {}
    }
    match client.stage {
        Stage::Failed => Ok(Answer::Failed),
        Stage::Stopped => {
            client
                .message
                .insert("content".into(), client.blocks.into());
            Ok(Answer::Message(client.message.into()))
        }
        _ => Err("the stream ends before `message_stop`".into()),
    }
}

/// Whether an answer's calls can be read as far as they go, and bear out its stop
/// reason; where they do not, the gateway sets it right, or tries to.
pub(crate) fn is_borne_out(said: &Value) -> bool {
    let blocks = said["content"].as_array().into_iter().flatten();
    let mut calls = blocks
        .filter(|block| block["type"] == "tool_use")
        .peekable();
    let is_read = |call: &Value| !call["input"].is_string() || is_cut(call);
    if !calls.clone().all(is_read) {
        return false;
    }
    match said["stop_reason"].as_str() {
        Some("end_turn") => calls.peek().is_none(),
        Some("tool_use") => calls.peek().is_some() && calls.all(|call| call["input"].is_object()),
        _ => true,
    }
}

/// Whether a call's arguments begin like an object that never ends.
pub(crate) fn is_cut(call: &Value) -> bool {
    let text = call["input"].as_str().unwrap_or_default();
    let read = serde_json::from_str::<&RawValue>(text);
    text.starts_with('{') && read.is_err_and(|error| error.is_eof())
}

enum Broken {
    Grammar(String),
    Unreadable,
}

impl From<&str> for Broken {
    fn from(why: &str) -> Self {
        Self::Grammar(why.into())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Waiting,
    Started,
    Ending,
    Stopped,
    Failed,
}

#[derive(Default)]
struct Client {
    stage: Stage,
    message: Map<String, Value>,
    blocks: Vec<Value>,
    open: Option<Open>,
}

struct Open {
    block: Map<String, Value>,
    input: String,
}

const COUNTS: [&str; 4] = [
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
];

/// Members of a message that are not for its end to say.
const NOT_AT_END: [&str; 8] = [
    "id",
    "type",
    "role",
    "model",
    "content",
    "usage",
    "message_delta",
    OWN_NAME,
];

/// What the inner form calls something of its own.
const OWN_NAME: &str = "chat_completion";

/// Most members of usage, and of what is said at the end: the codec keeps no
/// more than 64 of each from a whole stream.
const MEMBERS_MAX: usize = 30;

impl Client {
    fn frame(&mut self, frame: Frame<'_>, events: Events) -> Result<(), Broken> {
        let text = std::str::from_utf8(frame.data).map_err(|_| "no UTF-8")?;
        serde_json::from_str::<&RawValue>(text).map_err(|_| "a frame is no JSON")?;
        let mut frame_value: Value = serde_json::from_str(text).map_err(|_| Broken::Unreadable)?;
        let Some(members) = frame_value.as_object_mut() else {
            return Err("a frame is no object".into());
        };
        let kind = text_of(members, "type")?;
        if events == Events::Named && kind.as_bytes() != frame.event {
            return Err("`event` differs from `type`".into());
        }
        match (&*kind, self.stage) {
            (_, Stage::Stopped | Stage::Failed) => Err("something follows the end".into()),
            ("ping", _) => Ok(()),
            ("error", _) => {
                let error = members.get("error").and_then(Value::as_object);
                let error = error.ok_or("`error` without its object")?;
                text_of(error, "message")?;
                text_of(error, "type")?;
                self.stage = Stage::Failed;
                Ok(())
            }
            ("message_start", Stage::Waiting) => self.start(members),
            ("content_block_start", Stage::Started) => self.block_start(members),
            ("content_block_delta", Stage::Started) => self.block_delta(members),
            ("content_block_stop", Stage::Started) => self.block_stop(members),
            ("message_delta", Stage::Started) => self.message_delta(members),
            ("message_stop", Stage::Ending) => {
                self.stage = Stage::Stopped;
                Ok(())
            }
            (kind, stage) => Err(Broken::Grammar(format!("`{kind}` at {stage:?}"))),
        }
    }

    fn start(&mut self, members: &mut Map<String, Value>) -> Result<(), Broken> {
        let message = members.get_mut("message").and_then(Value::as_object_mut);
        self.message = std::mem::take(message.ok_or("`message_start` without its message")?);
        if self.message.get("content") != Some(&json!([])) {
            return Err("a message begins with content".into());
        }
        if self.message.get("type") != Some(&json!("message"))
            || self.message.get("role") != Some(&json!("assistant"))
        {
            return Err("a message of another kind".into());
        }
        if self.message.contains_key(OWN_NAME) {
            return Err("a name of the inner form's own".into());
        }
        for key in ["id", "model"] {
            text_of(&self.message, key)?;
            self.message.remove(key);
        }
        let usage = self.message.remove("usage");
        self.message.insert("usage".into(), json!({}));
        self.usage(usage)?;
        self.stage = Stage::Started;
        Ok(())
    }

    fn usage(&mut self, more: Option<Value>) -> Result<(), Broken> {
        let Some(Value::Object(more)) = more else {
            return Err("`usage` is no object".into());
        };
        if more.contains_key(OWN_NAME) {
            return Err("a name of the inner form's own".into());
        }
        if more.len() > MEMBERS_MAX {
            return Err("more members of `usage` than are kept".into());
        }
        for key in COUNTS {
            if more
                .get(key)
                .is_some_and(|count| !count.is_u64() && !count.is_null())
            {
                return Err("a count is no count".into());
            }
        }
        let usage = self.message["usage"].as_object_mut().expect("made above");
        overlay(usage, more);
        for key in COUNTS {
            let count = usage.entry(key).or_insert(json!(0));
            if count.is_null() {
                *count = json!(0);
            }
        }
        Ok(())
    }

    fn block_start(&mut self, members: &mut Map<String, Value>) -> Result<(), Broken> {
        self.expect_index(members)?;
        if self.open.is_some() {
            return Err("blocks overlap".into());
        }
        let block = members
            .get_mut("content_block")
            .and_then(Value::as_object_mut);
        let block = std::mem::take(block.ok_or("a block is no object")?);
        match &*text_of(&block, "type")? {
            "" => return Err("a block without a type".into()),
            "text" => {
                text_of(&block, "text")?;
            }
            "thinking" => {
                text_of(&block, "thinking")?;
                text_of(&block, "signature")?;
            }
            "tool_use" => {
                text_of(&block, "name")?;
                let id = text_of(&block, "id")?;
                let is_known = |known: &Value| known["type"] == "tool_use" && known["id"] == *id;
                if id.is_empty() || self.blocks.iter().any(is_known) {
                    return Err("the id of a call is empty, or another's".into());
                }
                if !block.get("input").is_some_and(Value::is_object) {
                    return Err("`input` is no object".into());
                }
            }
            _ => {}
        }
        let input = String::new();
        self.open = Some(Open { block, input });
        Ok(())
    }

    fn block_delta(&mut self, members: &mut Map<String, Value>) -> Result<(), Broken> {
        self.expect_index(members)?;
        let delta = members.get_mut("delta").and_then(Value::as_object_mut);
        let delta = std::mem::take(delta.ok_or("a delta is no object")?);
        let Some(Open { block, input }) = &mut self.open else {
            return Err("a delta without its block".into());
        };
        let at = text_of(block, "type")?;
        let kind = text_of(&delta, "type")?;
        if kind.is_empty() {
            return Err("a delta without a type".into());
        }
        if kind == "chat_completion_delta" {
            return Err("a name of the inner form's own".into());
        }
        if !matches!(&*at, "text" | "thinking" | "tool_use") {
            let deltas = block.entry(DELTAS).or_insert(json!([]));
            let deltas = deltas
                .as_array_mut()
                .ok_or("taken by this model of a client")?;
            deltas.push(delta.into());
            return Ok(());
        }
        let (home, key) = match &*kind {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "signature_delta" => ("thinking", "signature"),
            "input_json_delta" => ("tool_use", "partial_json"),
            "citations_delta" if at == "text" => {
                if let Some(citation) = delta.get("citation").filter(|it| !it.is_null()) {
                    let citations = block.entry("citations").or_insert(json!([]));
                    match citations.as_array_mut() {
                        Some(citations) => citations.push(citation.clone()),
                        None => *citations = json!([citation]),
                    }
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let text = match delta.get(key) {
            None => String::new(),
            Some(_) => text_of(&delta, key)?,
        };
        match key {
            _ if text.is_empty() => {}
            _ if home != at => return Err("a delta does not fit its block".into()),
            "partial_json" => input.push_str(&text),
            "signature" => drop(block.insert(key.into(), text.into())),
            _ => {
                let joined = text_of(block, key)? + &text;
                block.insert(key.into(), joined.into());
            }
        }
        Ok(())
    }

    fn block_stop(&mut self, members: &Map<String, Value>) -> Result<(), Broken> {
        self.expect_index(members)?;
        let Some(Open { mut block, input }) = self.open.take() else {
            return Err("no block is open".into());
        };
        // Blanks at the head say nothing.
        let input = input.trim_start_matches(BLANKS);
        if !input.is_empty() {
            let is_json = serde_json::from_str::<&RawValue>(input).is_ok();
            let value = match serde_json::from_str(input) {
                Ok(value) => value,
                Err(_) if is_json => return Err(Broken::Unreadable),
                Err(_) => Value::String(input.to_owned()),
            };
            block.insert("input".into(), value);
        }
        self.blocks.push(block.into());
        Ok(())
    }

    fn message_delta(&mut self, members: &mut Map<String, Value>) -> Result<(), Broken> {
        if self.open.is_some() {
            return Err("a block is open at the end".into());
        }
        let delta = members.get_mut("delta").and_then(Value::as_object_mut);
        let delta = std::mem::take(delta.ok_or("`message_delta` without its delta")?);
        text_of(&delta, "stop_reason")?;
        self.usage(members.remove("usage"))?;
        let mut said = delta;
        for (key, value) in std::mem::take(members) {
            match &*key {
                "type" | "delta" => {}
                "context_management" | "stop_details" | "container" => {
                    overlay(&mut said, Map::from_iter([(key, value)]))
                }
                _ => drop(said.entry(key).or_insert(value)),
            }
        }
        if said.len() > MEMBERS_MAX || said.keys().any(|key| NOT_AT_END.contains(&&**key)) {
            return Err("the end says what is not its to say".into());
        }
        overlay(&mut self.message, said);
        // Absent and `null` are the same.
        self.message.entry("stop_sequence").or_insert(Value::Null);
        self.stage = Stage::Ending;
        Ok(())
    }

    fn expect_index(&self, members: &Map<String, Value>) -> Result<(), Broken> {
        let expected = self.blocks.len() as u64;
        match members.get("index").and_then(Value::as_u64) {
            Some(index) if index == expected => Ok(()),
            _ => Err("blocks are not numbered in order".into()),
        }
    }
}

/// Later members count, unless they say nothing.
fn overlay(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        if !value.is_null() || !members.contains_key(&key) {
            members.insert(key, value);
        }
    }
}

fn text_of(members: &Map<String, Value>, key: &str) -> Result<String, Broken> {
    let text = members.get(key).and_then(Value::as_str);
    let text = text.ok_or_else(|| Broken::Grammar(format!("`{key}` is no string")))?;
    Ok(text.to_owned())
}
