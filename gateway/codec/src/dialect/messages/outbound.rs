//! A Messages request, encoded from the inner form: for clients of another
//! dialect. (A client of this one keeps its bytes: `forward.rs`.)
//!
//! ```text
//! system blocks, leading system messages   -> `system`
//! assistant messages in a row              -> one assistant turn
//! everything between two of them           -> one user turn: first the results
//!                                             of the calls before it, in call
//!                                             order, then the rest
//! ```
//! What it writes for a turn depends on that turn and earlier ones alone, so the
//! next body begins with this one's, as prompt caches demand. Knows what
//! Anthropic refuses in any model; what one model refuses is not known here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::accent::{
    Accent, IMAGE_BEHIND, LOWERED, MOVED, MidSystem, NO_BUDGET, NO_FIELD, NO_SCHEMA, NO_THINKING,
    NOT_TAKEN, OutputSchema, Place, ThinkingBack, ThinkingType,
};
use super::blocks::{
    BLANK_THINKING, NO_USER, StandIn, is_billing_line, loaded, reminder, schema_instruction,
    stand_in, text_block, write_blocks, write_text,
};
use crate::fields::{Extras, Path};
use crate::ir::{
    Block, ImageSource, Losses, Refused, Request, RequestMessage, Role, Thinking, Tool,
    ToolChoiceKind, is_own_signature,
};
use crate::json::{Member, ObjectWriter, Text, write_array, write_count, write_str};

/// `max_tokens` of a request that names no limit, which Messages demands. The
/// most that every model since Claude 3.5 accepts: less would cut long answers,
/// more would be refused by the older ones.
/// <https://docs.claude.com/en/docs/about-claude/models> (seen 2026-11).
pub const MAX_TOKENS_DEFAULT: u64 = 8_192;

/// Smallest budget of reasoning that is accepted.
/// <https://docs.claude.com/en/docs/build-with-claude/extended-thinking> (seen 2026-11).
pub(super) const BUDGET_TOKENS_MIN: u64 = 1_024;

/// What stands in for a tool result that the conversation lacks.
const NO_RESULT: &str = "[no result was recorded for this call]";

/// Blocks of a user that only Messages knows; results of Anthropic's own tools
/// end in `_tool_result`.
const USER_KINDS: [&str; 2] = ["search_result", "container_upload"];

/// A request in Messages.
#[derive(Debug)]
pub struct Encoded {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Where its members stand.
    pub members: Vec<Member>,
    /// What it could not carry.
    pub losses: Losses,
}

/// Encode `request` for an upstream with `accent` that calls the model `model`.
pub fn encode_request(
    request: &Request<'_>,
    model: &str,
    accent: &Accent,
) -> Result<Encoded, Refused> {
    let mut encoder = Encoder {
        request,
        accent,
        losses: Losses::default(),
        refused: None,
        turns: Vec::new(),
        ids: HashSet::new(),
        twins: HashMap::new(),
    };
    let mut body = ObjectWriter::with_capacity(4_096);
    body.string("model", model);
    encoder.system(&mut body);
    encoder.messages();
    if let Some(refused) = encoder.refused {
        return Err(refused);
    }
    let turns = std::mem::take(&mut encoder.turns);
    body.member("messages", |out| {
        out.reserve(turns.iter().map(Turn::size_hint).sum());
        write_array(out, &turns, |out, turn| turn.write(out))
    });
    encoder.tools(&mut body);
    encoder.limits(&mut body);
    encoder.sampling(&mut body);
    encoder.output(&mut body);
    if request.stream {
        body.raw("stream", "true");
    }
    encoder.report_extras(&request.extras, &Path::Root);
    let mut losses = encoder.losses;
    let (body, members) = accent.settle(body, &mut losses);
    Ok(Encoded {
        body,
        members,
        losses,
    })
}

struct Encoder<'r> {
    request: &'r Request<'r>,
    accent: &'r Accent,
    losses: Losses,
    /// The first thing that cannot be left out.
    refused: Option<Refused>,
    turns: Vec<Turn<'r>>,
    /// Call ids sent so far: they must differ in the whole conversation.
    ids: HashSet<String>,
    /// How many calls came with what became the same id.
    twins: HashMap<String, usize>,
}

/// What one side says until the other speaks.
struct Turn<'r> {
    role: Role,
    /// Of an assistant: its calls. Of a user: the same calls, to be answered.
    calls: Vec<Call<'r>>,
    /// Of a user: where the calls are that wait for a result, by their id; the
    /// first of an id on top.
    waiting: HashMap<&'r str, Vec<usize>>,
    /// Everything but results: blocks as JSON text.
    blocks: Vec<Vec<u8>>,
    /// Of an assistant: whether a thought is among them.
    thinks: bool,
}

/// A tool call, and its result once it is known.
#[derive(Clone)]
struct Call<'r> {
    id: &'r str,
    sent_id: String,
    result: Option<Vec<u8>>,
}

// === messages ===

impl<'r> Encoder<'r> {
    /// System blocks and leading system messages.
    fn system(&mut self, body: &mut ObjectWriter) {
        let request = self.request;
        let root = Path::Root;
        let mut blocks = Vec::new();
        let at = root.key("system");
        self.system_blocks(&request.system, &at, &mut blocks);
        let at = root.key("messages");
        let leading = self.leading();
        for (i, message) in request.messages.iter().enumerate() {
            if self.is_hoisted(message, i, leading) {
                let at = at.index(i);
                self.report_extras(&message.extras, &at);
                self.system_blocks(&message.content, &at.key("content"), &mut blocks);
            }
        }
        if self.accent.output_schema == OutputSchema::Instruction {
            blocks.extend(request.output_schema.map(schema_instruction));
        }
        if !blocks.is_empty() {
            body.member("system", |out| write_blocks(out, &blocks));
        }
    }

    fn system_blocks(&mut self, from: &'r [Block<'r>], at: &Path<'_>, into: &mut Vec<Vec<u8>>) {
        for (i, block) in from.iter().enumerate() {
            match block {
                _ if !self.accent.billing_line && is_billing_line(block) => {}
                Block::Text { text, extras } => into.extend(self.text(text, extras, &at.index(i))),
                _ => self
                    .losses
                    .report(at.index(i), "only text can be a system instruction"),
            }
        }
    }

    /// How many messages at the head are system messages.
    fn leading(&self) -> usize {
        let is_system = |message: &&RequestMessage<'_>| message.role == Role::System;
        self.request.messages.iter().take_while(is_system).count()
    }

    /// Whether the message at `index` becomes part of `system`.
    fn is_hoisted(&self, message: &RequestMessage<'_>, index: usize, leading: usize) -> bool {
        let hoists = self.accent.mid_system == MidSystem::Hoist;
        message.role == Role::System && (index < leading || hoists)
    }

    fn messages(&mut self) {
        let root = Path::Root;
        let at = root.key("messages");
        let leading = self.leading();
        for (i, message) in self.request.messages.iter().enumerate() {
            if self.is_hoisted(message, i, leading) {
                continue;
            }
            let at = at.index(i);
            self.report_extras(&message.extras, &at);
            let at = at.key("content");
            match message.role {
                Role::Assistant => self.assistant(message, &at),
                role => {
                    for (j, block) in message.content.iter().enumerate() {
                        self.user_block(block, role, &at.index(j));
                    }
                }
            }
        }
        // Calls at the very end wait for results as well.
        let waits = self.turns.last().is_some_and(|turn| !turn.calls.is_empty());
        if waits || self.turns.is_empty() {
            self.turn(Role::User);
        }
        if let Some(first) = self.turns.first_mut()
            && first.is_empty()
        {
            first.blocks.push(text_block(&Text::new(NO_USER)));
        }
        if self.accent.thinking_back == ThinkingBack::Always {
            let thoughtless = |turn: &&mut Turn<'_>| {
                turn.role == Role::Assistant && !turn.calls.is_empty() && !turn.thinks
            };
            for turn in self.turns.iter_mut().filter(thoughtless) {
                turn.blocks.insert(0, BLANK_THINKING.to_vec());
            }
        }
    }

    /// The turn of this side: the one at hand, or a new one. The conversation
    /// begins with a user.
    fn turn(&mut self, role: Role) -> &mut Turn<'r> {
        if self.turns.is_empty() {
            self.turns.push(Turn::new(Role::User, Vec::new()));
        }
        let last = self.turns.len() - 1;
        let last = &self.turns[last];
        if last.role != role {
            let calls = match role {
                Role::Assistant => Vec::new(),
                _ => last.calls.clone(),
            };
            self.turns.push(Turn::new(role, calls));
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    /// The model's own message. One that says nothing here begins no turn.
    fn assistant(&mut self, message: &'r RequestMessage<'r>, at: &Path<'_>) {
        for (j, block) in message.content.iter().enumerate() {
            let at = at.index(j);
            let written = match block {
                _ if !self.accent.takes(block, Place::Message) => self.stand_in(block, &at),
                Block::Text { text, extras } => self.text(text, extras, &at),
                Block::Thinking { text, signature } => {
                    let thought = self.thinking(text, signature, &at);
                    if thought.is_some() {
                        self.turn(Role::Assistant).thinks = true;
                    }
                    thought
                }
                Block::ToolUse {
                    id,
                    name,
                    input,
                    extras,
                } => {
                    self.call(id, name, input, extras, &at);
                    None
                }
                Block::Other { kind, raw } if is_assistant_kind(kind) => {
                    Some(raw.get().as_bytes().to_vec())
                }
                _ => {
                    self.losses
                        .report(at, "no equivalent in an assistant message of Messages");
                    None
                }
            };
            if let Some(block) = written {
                self.turn(Role::Assistant).blocks.push(block);
            }
        }
    }

    fn call(
        &mut self,
        id: &'r str,
        name: &str,
        input: &RawValue,
        extras: &Extras<'_>,
        at: &Path<'_>,
    ) {
        let sent_id = self.sent_id(id);
        let mut out = b"{\"type\":\"tool_use\",\"id\":".to_vec();
        write_str(&mut out, &sent_id);
        out.extend_from_slice(b",\"name\":");
        write_str(&mut out, name);
        out.extend_from_slice(b",\"input\":");
        match input.get() {
            text if text.starts_with('{') => out.extend_from_slice(text.as_bytes()),
            _ => {
                self.losses
                    .report(at.key("input"), "arguments that are no object");
                out.extend_from_slice(b"{}");
            }
        }
        self.cache_control(&mut out, extras, at);
        out.push(b'}');
        let turn = self.turn(Role::Assistant);
        turn.blocks.push(out);
        turn.calls.push(Call {
            id,
            sent_id,
            result: None,
        });
    }

    /// Anthropic wants ids of `[a-zA-Z0-9_-]`, no two alike; others number them
    /// anew in every answer (`functions.Bash:0`).
    fn sent_id(&mut self, id: &str) -> String {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let legal = |c| if is_legal(c) { c } else { '_' };
        let mut base: String = id.chars().map(legal).collect();
        if base.is_empty() {
            base.push_str("call");
        }
        let twins = self.twins.entry(base.clone()).or_default();
        loop {
            *twins += 1;
            let sent = match *twins {
                1 => base.clone(),
                nth => format!("{base}_{nth}"),
            };
            if self.ids.insert(sent.clone()) {
                return sent;
            }
        }
    }

    /// Reasoning goes back to Anthropic with Anthropic's signature, or not.
    fn thinking(&mut self, text: &Text<'_>, signature: &str, at: &Path<'_>) -> Option<Vec<u8>> {
        if signature.is_empty() || is_own_signature(signature) {
            let why = match signature {
                "" => "reasoning without a signature that fits it",
                _ => "reasoning goes back only to the upstream it came from",
            };
            self.losses.report(at, why);
            return None;
        }
        let mut out = b"{\"type\":\"thinking\",\"thinking\":\"".to_vec();
        out.extend_from_slice(text.escaped().as_bytes());
        out.extend_from_slice(b"\",\"signature\":");
        write_str(&mut out, signature);
        out.push(b'}');
        Some(out)
    }

    fn user_block(&mut self, block: &'r Block<'r>, role: Role, at: &Path<'_>) {
        if let Block::ToolResult {
            id,
            content,
            is_error,
            extras,
        } = block
        {
            return self.result(id, content, *is_error, extras, at);
        }
        let written = match block {
            Block::Text { text, extras } if role == Role::System => {
                self.text(&reminder(text), extras, at)
            }
            Block::ToolReference { name } => Some(text_block(&Text::new(&loaded(name)))),
            _ => self.content_block(block, Place::Message, at),
        };
        if let Some(block) = written {
            self.turn(Role::User).blocks.push(block);
        }
    }

    /// A block that stands in user messages and in results alike.
    fn content_block(&mut self, block: &Block<'_>, place: Place, at: &Path<'_>) -> Option<Vec<u8>> {
        match block {
            Block::Other { kind, .. } if !is_user_kind(kind) => {
                self.refused.get_or_insert_with(|| Refused {
                    path: at.to_string(),
                    message: "no equivalent in Messages; refused, dropping it would change the answer",
                    details: None,
                });
                None
            }
            _ if !self.accent.takes(block, place) => self.stand_in(block, at),
            Block::Text { text, extras } => self.text(text, extras, at),
            Block::Image { source, extras } => {
                let mut out = b"{\"type\":\"image\",\"source\":".to_vec();
                write_source(&mut out, source);
                self.cache_control(&mut out, extras, at);
                out.push(b'}');
                Some(out)
            }
            Block::Document(raw) => Some(raw.get().as_bytes().to_vec()),
            Block::ToolReference { name } => {
                let mut out = b"{\"type\":\"tool_reference\",\"tool_name\":".to_vec();
                write_str(&mut out, name);
                out.push(b'}');
                Some(out)
            }
            Block::Other { raw, .. } => Some(raw.get().as_bytes().to_vec()),
            Block::ToolUse { .. } | Block::ToolResult { .. } | Block::Thinking { .. } => {
                self.losses.report(at, "a block that does not belong here");
                None
            }
        }
    }

    /// What goes in the place of a block that the upstream does not take.
    fn stand_in(&mut self, block: &Block<'_>, at: &Path<'_>) -> Option<Vec<u8>> {
        let (text, is_whole) = match stand_in(block) {
            StandIn::Whole(text) => (Some(text), true),
            StandIn::Notice(text) => (Some(text), false),
            StandIn::Nothing => (None, false),
        };
        if !is_whole {
            self.losses.report(at, NOT_TAKEN);
        }
        text
    }

    /// A tool's result joins its call; one without a call becomes text.
    fn result(
        &mut self,
        id: &str,
        content: &[Block<'_>],
        is_error: bool,
        extras: &Extras<'_>,
        at: &Path<'_>,
    ) {
        let at_content = at.key("content");
        let mut blocks = Vec::new();
        let mut behind = Vec::new();
        for (k, block) in content.iter().enumerate() {
            let at = &at_content.index(k);
            if self.accent.goes_behind(block) {
                blocks.push(text_block(&Text::new(IMAGE_BEHIND)));
                behind.extend(self.content_block(block, Place::Message, at));
            } else {
                blocks.extend(self.content_block(block, Place::Result, at));
            }
        }
        let turn = self.turn(Role::User);
        turn.blocks.append(&mut behind);
        let Some(c) = turn.waiting.get_mut(id).and_then(Vec::pop) else {
            let text = format!("[result of call {id}, which is not in this conversation]");
            turn.blocks.push(text_block(&Text::new(&text)));
            turn.blocks.append(&mut blocks);
            return;
        };
        let length: usize = blocks.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(length + 256);
        out.extend_from_slice(b"{\"type\":\"tool_result\",\"tool_use_id\":");
        write_str(&mut out, &turn.calls[c].sent_id);
        if !blocks.is_empty() {
            out.extend_from_slice(b",\"content\":");
            write_blocks(&mut out, &blocks);
        }
        if is_error {
            out.extend_from_slice(b",\"is_error\":true");
        }
        self.cache_control(&mut out, extras, at);
        out.push(b'}');
        self.turn(Role::User).calls[c].result = Some(out);
    }

    /// A text block; Anthropic refuses blank ones, which say nothing anyway.
    fn text(&mut self, text: &Text<'_>, extras: &Extras<'_>, at: &Path<'_>) -> Option<Vec<u8>> {
        if text.is_blank() {
            return None;
        }
        let mut out = text_block(text);
        out.pop();
        self.cache_control(&mut out, extras, at);
        out.push(b'}');
        Some(out)
    }

    /// Of a block's other members, `cache_control` is known to clients of other
    /// dialects as well. The rest is reported.
    fn cache_control(&mut self, out: &mut Vec<u8>, extras: &Extras<'_>, at: &Path<'_>) {
        let mut written = false;
        for (key, value) in extras {
            if key == "cache_control" && value.get().starts_with('{') && !written {
                written = true;
                out.extend_from_slice(b",\"cache_control\":");
                out.extend_from_slice(value.get().as_bytes());
            } else {
                self.report_extra(key, value, at);
            }
        }
    }

    fn report_extras(&mut self, extras: &Extras<'_>, at: &Path<'_>) {
        for (key, value) in extras {
            self.report_extra(key, value, at);
        }
    }

    fn report_extra(&mut self, key: &str, value: &RawValue, at: &Path<'_>) {
        // Absent in all but name.
        if !matches!(value.get(), "null" | "[]" | "{}") {
            self.losses.report(at.key(key), "no equivalent in Messages");
        }
    }
}

impl<'r> Turn<'r> {
    fn new(role: Role, calls: Vec<Call<'r>>) -> Self {
        let mut waiting: HashMap<_, Vec<_>> = HashMap::new();
        for (c, call) in calls.iter().enumerate().rev() {
            waiting.entry(call.id).or_default().push(c);
        }
        Self {
            role,
            calls,
            waiting,
            blocks: Vec::new(),
            thinks: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.calls.is_empty()
    }

    /// About how many bytes it takes.
    fn size_hint(&self) -> usize {
        let results = self.calls.iter().filter_map(|call| call.result.as_ref());
        let pieces = results.chain(&self.blocks);
        pieces.map(|piece| piece.len() + 1).sum::<usize>() + 64
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.role == Role::Assistant {
            out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
            write_blocks(out, &self.blocks);
        } else {
            out.extend_from_slice(b"{\"role\":\"user\",\"content\":");
            let results = self.calls.iter().map(Call::answer);
            let blocks = self.blocks.iter().map(|block| Cow::Borrowed(&**block));
            write_array(out, results.chain(blocks), |out, block| {
                out.extend_from_slice(&block);
            });
        }
        out.push(b'}');
    }
}

impl Call<'_> {
    /// The call's result, or what stands in for it.
    fn answer(&self) -> Cow<'_, [u8]> {
        if let Some(result) = &self.result {
            return Cow::Borrowed(result);
        }
        let mut out = b"{\"type\":\"tool_result\",\"tool_use_id\":".to_vec();
        write_str(&mut out, &self.sent_id);
        out.extend_from_slice(b",\"content\":");
        write_str(&mut out, NO_RESULT);
        out.push(b'}');
        Cow::Owned(out)
    }
}

/// An image's source. Other dialects write base64 as a URL.
fn write_source(out: &mut Vec<u8>, source: &ImageSource<'_>) {
    let base64 = |out: &mut Vec<u8>, media_type: &str, data: &str| {
        for piece in [
            "{\"type\":\"base64\",\"media_type\":\"",
            media_type,
            "\",\"data\":\"",
            data,
            "\"}",
        ] {
            out.extend_from_slice(piece.as_bytes());
        }
    };
    match source {
        ImageSource::Base64 { media_type, data } => {
            base64(out, media_type.escaped(), data.escaped());
        }
        ImageSource::Url(url) => match data_url(url.escaped()) {
            Some((media_type, data)) => base64(out, media_type, data),
            None => {
                out.extend_from_slice(b"{\"type\":\"url\",\"url\":");
                write_text(out, url);
                out.push(b'}');
            }
        },
        ImageSource::Other(raw) => out.extend_from_slice(raw.get().as_bytes()),
    }
}

/// Media type and base64 of a `data:` URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next()?, data))
}

fn is_user_kind(kind: &str) -> bool {
    USER_KINDS.contains(&kind) || kind.ends_with("_tool_result")
}

/// What a model of Anthropic said and wants back as it was.
fn is_assistant_kind(kind: &str) -> bool {
    matches!(
        kind,
        "redacted_thinking"
            | "server_tool_use"
            | "mcp_tool_use"
            | "mcp_tool_result"
            | "container_upload"
            | "compaction"
    ) || kind.ends_with("_tool_result")
}

// === everything but messages ===

impl Encoder<'_> {
    fn tools(&mut self, body: &mut ObjectWriter) {
        let request = self.request;
        let root = Path::Root;
        let at = root.key("tools");
        let mut tools = Vec::with_capacity(request.tools.len());
        for (i, tool) in request.tools.iter().enumerate() {
            if tool.vendor_kind.is_some() && tool.schema.is_none() {
                self.losses
                    .report(at.index(i), "a tool that only its vendor runs");
            } else {
                tools.push(self.tool(tool, &at.index(i)));
            }
        }
        if tools.is_empty() {
            return;
        }
        body.member("tools", |out| write_blocks(out, &tools));
        let Some(choice) = &request.tool_choice else {
            return;
        };
        body.member("tool_choice", |out| {
            let (word, name) = match &choice.kind {
                ToolChoiceKind::Auto => ("auto", None),
                ToolChoiceKind::Any => ("any", None),
                ToolChoiceKind::None => ("none", None),
                ToolChoiceKind::Tool(name) => ("tool", Some(name)),
            };
            out.extend_from_slice(b"{\"type\":");
            write_str(out, word);
            if let Some(name) = name {
                out.extend_from_slice(b",\"name\":");
                write_str(out, name);
            }
            if choice.disable_parallel && word != "none" {
                out.extend_from_slice(b",\"disable_parallel_tool_use\":true");
            }
            out.push(b'}');
        });
    }

    fn tool(&mut self, tool: &Tool<'_>, at: &Path<'_>) -> Vec<u8> {
        let mut out = b"{\"name\":".to_vec();
        write_str(&mut out, &tool.name);
        if let Some(description) = tool.description.as_ref().filter(|text| !text.is_empty()) {
            out.extend_from_slice(b",\"description\":");
            write_text(&mut out, description);
        }
        out.extend_from_slice(b",\"input_schema\":");
        write_schema(&mut out, tool.schema);
        if let Some(strict) = tool.strict
            && self.takes_field("strict", strict, at)
        {
            out.extend_from_slice(format!(",\"strict\":{strict}").as_bytes());
        }
        if tool.deferred && self.takes_field("defer_loading", true, at) {
            out.extend_from_slice(b",\"defer_loading\":true");
        }
        if self.accent.takes_field("cache_control") {
            self.cache_control(&mut out, &tool.extras, at);
        } else {
            self.report_extras(&tool.extras, at);
        }
        out.push(b'}');
        out
    }

    /// Whether a tool may have the flag `name`; one that says no is no loss.
    fn takes_field(&mut self, name: &str, value: bool, at: &Path<'_>) -> bool {
        let takes = self.accent.takes_field(name);
        if !takes && value {
            self.losses.report(at.key(name), NO_FIELD);
        }
        takes
    }

    /// `max_tokens` and `thinking`, whose budget must be below it.
    fn limits(&mut self, body: &mut ObjectWriter) {
        let wanted = self.request.max_tokens;
        let thinking = self.wanted_thinking();
        let max_tokens = self.lowered(match (wanted, thinking) {
            (Some(wanted), _) => wanted,
            // The answer comes on top of the reasoning.
            (None, Some(Thinking::Enabled { budget_tokens })) => {
                budget_tokens.saturating_add(MAX_TOKENS_DEFAULT)
            }
            (None, _) => MAX_TOKENS_DEFAULT,
        });
        body.member("max_tokens", |out| write_count(out, max_tokens));
        let Some(wanted) = thinking else { return };
        let Some(sent) = self.sent_thinking(wanted) else {
            return;
        };
        let most = max_tokens.saturating_sub(1).max(BUDGET_TOKENS_MIN);
        let budget = match wanted {
            Thinking::Enabled { budget_tokens } => budget_tokens.clamp(BUDGET_TOKENS_MIN, most),
            _ => most,
        };
        match sent {
            ThinkingType::Disabled => body.raw("thinking", r#"{"type":"disabled"}"#),
            ThinkingType::Adaptive => body.raw("thinking", r#"{"type":"adaptive"}"#),
            ThinkingType::Enabled => {
                if matches!(wanted, Thinking::Enabled { budget_tokens } if budget_tokens != budget)
                {
                    self.losses.report("thinking.budget_tokens", MOVED);
                }
                body.member("thinking", |out| {
                    out.extend_from_slice(b"{\"type\":\"enabled\",\"budget_tokens\":");
                    write_count(out, budget);
                    out.push(b'}');
                });
            }
        }
    }

    /// A limit of the answer's length, within what the upstream accepts.
    fn lowered(&mut self, wanted: u64) -> u64 {
        let sent = wanted.min(self.accent.output_limit_max.unwrap_or(u64::MAX));
        if sent < wanted && self.request.max_tokens.is_some() {
            self.losses.report("max_tokens", LOWERED);
        }
        sent
    }

    /// What the wish to reason is sent as.
    fn sent_thinking(&mut self, wanted: Thinking) -> Option<ThinkingType> {
        let sent = self.accent.nearest_thinking(wanted);
        match (wanted, sent) {
            (_, None) => self.losses.report("thinking", NO_THINKING),
            (Thinking::Enabled { .. }, Some(ThinkingType::Adaptive)) => {
                self.losses.report("thinking.budget_tokens", NO_BUDGET);
            }
            _ => {}
        }
        sent
    }

    /// Whether to reason, as far as Anthropic lets one.
    fn wanted_thinking(&mut self) -> Option<Thinking> {
        let request = self.request;
        if request.thinking.is_none() && request.effort.as_deref() == Some("none") {
            return Some(Thinking::Disabled);
        }
        let thinking = request.thinking?;
        let is_on = thinking != Thinking::Disabled;
        let forced = request.tool_choice.as_ref().is_some_and(|choice| {
            matches!(choice.kind, ToolChoiceKind::Any | ToolChoiceKind::Tool(_))
        });
        let no_room = matches!(thinking, Thinking::Enabled { .. })
            && request
                .max_tokens
                .is_some_and(|most| most <= BUDGET_TOKENS_MIN);
        if is_on && forced && !request.tools.is_empty() {
            self.losses
                .report("thinking", "not together with a forced tool call");
            return None;
        }
        if no_room {
            self.losses
                .report("thinking", "`max_tokens` leaves no room for it");
            return None;
        }
        Some(thinking)
    }

    fn sampling(&mut self, body: &mut ObjectWriter) {
        let request = self.request;
        let number = |raw: &RawValue| raw.get().parse::<f64>().unwrap_or(1.0);
        if let Some(raw) = request.temperature {
            let temperature = number(raw);
            if temperature > 1.0 {
                self.losses.report("temperature", "lowered to 1, the most");
                body.raw("temperature", "1");
            } else if temperature < 0.0 {
                self.losses.report("temperature", "raised to 0, the least");
                body.raw("temperature", "0");
            } else {
                body.raw("temperature", raw.get());
            }
        }
        match request.top_p {
            // All of it is what happens anyway, and newer models refuse both
            // <https://docs.claude.com/en/api/messages> (seen 2026-11).
            Some(raw) if number(raw) >= 1.0 => {}
            Some(_) if request.temperature.is_some() => {
                self.losses.report("top_p", "not together with temperature");
            }
            Some(raw) => body.raw("top_p", raw.get()),
            None => {}
        }
        if let Some(raw) = request.top_k {
            body.raw("top_k", raw.get());
        }
        let (stops, blank): (Vec<_>, Vec<_>) = request
            .stop_sequences
            .iter()
            .partition(|text| !text.is_blank());
        if !blank.is_empty() {
            self.losses
                .report("stop_sequences", "blank ones are not accepted");
        }
        if !stops.is_empty() {
            body.member("stop_sequences", |out| write_array(out, stops, write_text));
        }
    }

    fn output(&mut self, body: &mut ObjectWriter) {
        let request = self.request;
        let effort = request.effort.as_deref().and_then(|word| self.effort(word));
        let schema = match self.accent.output_schema {
            OutputSchema::JsonSchema => request.output_schema,
            OutputSchema::Instruction => {
                if request.output_schema.is_some() {
                    self.losses.report("output_config.format", NO_SCHEMA);
                }
                None
            }
        };
        if effort.is_some() || schema.is_some() {
            body.member("output_config", |out| {
                out.push(b'{');
                if let Some(effort) = effort {
                    out.extend_from_slice(b"\"effort\":");
                    write_str(out, effort);
                }
                if let Some(schema) = schema {
                    if effort.is_some() {
                        out.push(b',');
                    }
                    out.extend_from_slice(b"\"format\":{\"type\":\"json_schema\",\"schema\":");
                    out.extend_from_slice(schema.get().as_bytes());
                    out.push(b'}');
                }
                out.push(b'}');
            });
        }
        if let Some(user) = request.user_id.as_ref().filter(|user| !user.is_empty()) {
            body.member("metadata", |out| {
                out.extend_from_slice(b"{\"user_id\":");
                write_text(out, user);
                out.push(b'}');
            });
        }
    }

    /// Anthropic's word for an effort; OpenAI's scale begins lower.
    fn effort<'a>(&mut self, word: &'a str) -> Option<&'a str> {
        match word {
            "low" | "medium" | "high" | "xhigh" | "max" => Some(word),
            "minimal" => {
                self.losses.report("effort", "raised to `low`, the least");
                Some("low")
            }
            "none" => None,
            _ => {
                self.losses.report("effort", "a word that Messages lacks");
                None
            }
        }
    }
}

/// A tool's schema: always that of an object, as Anthropic demands.
fn write_schema(out: &mut Vec<u8>, schema: Option<&RawValue>) {
    let text = schema.map_or("", RawValue::get);
    let Some(inner) = text.strip_prefix('{') else {
        return out.extend_from_slice(br#"{"type":"object","properties":{}}"#);
    };
    if inner.trim_start().starts_with('}') {
        return out.extend_from_slice(br#"{"type":"object","properties":{}}"#);
    }
    let has_type = crate::fields::Fields::parse(text, &Path::Root)
        .is_ok_and(|fields| fields.peek("type").is_some());
    if has_type {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(b"{\"type\":\"object\",");
        out.extend_from_slice(inner.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::decode_request;
    use super::*;

    /// `{"model":"m","messages":MESSAGES REST}`, encoded.
    fn encode(messages: &str, rest: &str) -> (Value, Vec<String>) {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        let request = decode_request(&body).unwrap();
        let encoded = encode_request(&request, "claude", &Accent::default()).unwrap();
        for member in &encoded.members {
            let value = &encoded.body[member.value.clone()];
            serde_json::from_slice::<&RawValue>(value).unwrap();
        }
        let losses = encoded.losses.listed().iter();
        (
            serde_json::from_slice(&encoded.body).unwrap(),
            losses.map(|loss| loss.path.clone()).collect(),
        )
    }

    /// The messages become these.
    #[track_caller]
    fn check_messages(messages: &str, expected: Value) {
        let (body, _) = encode(messages, "");
        assert_eq!(body["messages"], expected);
    }

    /// The members beside messages become these, with these losses.
    #[track_caller]
    fn check(rest: &str, mut expected: Value, losses: &[&str]) {
        let (body, lost) = encode(r#"[{"role":"user","content":"a"}]"#, rest);
        expected["model"] = json!("claude");
        expected["messages"] = json!([user(&[text("a")])]);
        if expected.get("max_tokens").is_none() {
            expected["max_tokens"] = json!(MAX_TOKENS_DEFAULT);
        }
        assert_eq!(body, expected);
        assert_eq!(lost, losses);
    }

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    fn user(blocks: &[Value]) -> Value {
        json!({ "role": "user", "content": blocks })
    }

    fn assistant(blocks: &[Value]) -> Value {
        json!({ "role": "assistant", "content": blocks })
    }

    fn call(id: &str) -> Value {
        json!({ "type": "tool_use", "id": id, "name": "n", "input": { "a": 1 } })
    }

    fn result(id: &str, said: &str) -> Value {
        json!({ "type": "tool_result", "tool_use_id": id, "content": [text(said)] })
    }

    fn no_result(id: &str) -> Value {
        json!({ "type": "tool_result", "tool_use_id": id, "content": NO_RESULT })
    }

    #[test]
    fn roles_alternate_and_results_come_first() {
        // Tool messages of a Chat client, in another order, after other words.
        check_messages(
            &json!([
                { "role": "user", "content": "a" }, { "role": "user", "content": "b" },
                { "role": "assistant", "content": "c" }, { "role": "assistant", "content": [call("1"), call("2"), call("3")] },
                { "role": "user", "content": "d" },
                { "role": "user", "content": [result("2", "two")] }, { "role": "user", "content": [result("1", "one")] },
            ]).to_string(),
            json!([
                user(&[text("a"), text("b")]),
                assistant(&[text("c"), call("1"), call("2"), call("3")]),
                user(&[result("1", "one"), result("2", "two"), no_result("3"), text("d")]),
            ]),
        );
        // Calls at the end; a result without a call; an answer of nothing.
        check_messages(
            &json!([
                { "role": "user", "content": [result("9", "x")] },
                { "role": "assistant", "content": [{ "type": "thinking", "thinking": "t", "signature": "sluice1.reasoning.f" }] },
                { "role": "user", "content": "b" },
                { "role": "assistant", "content": [call("1")] },
            ])
            .to_string(),
            json!([
                user(&[
                    text("[result of call 9, which is not in this conversation]"),
                    text("x"),
                    text("b")
                ]),
                assistant(&[call("1")]),
                user(&[no_result("1")]),
            ]),
        );
        check_messages(
            &json!([{ "role": "assistant", "content": "a" }]).to_string(),
            json!([user(&[text(NO_USER)]), assistant(&[text("a")])]),
        );
        check_messages(
            &json!([{ "role": "system", "content": "a" }]).to_string(),
            json!([user(&[text(NO_USER)])]),
        );
    }

    #[test]
    fn ids_become_legal_and_differ() {
        check_messages(
            &json!([
                { "role": "user", "content": "a" },
                { "role": "assistant", "content": [call("f.B:0")] }, { "role": "user", "content": [result("f.B:0", "x")] },
                { "role": "assistant", "content": [call("f.B:0")] }, { "role": "user", "content": [result("f.B:0", "y")] },
            ]).to_string(),
            json!([
                user(&[text("a")]),
                assistant(&[call("f_B_0")]), user(&[result("f_B_0", "x")]),
                assistant(&[call("f_B_0_2")]), user(&[result("f_B_0_2", "y")]),
            ]),
        );
    }

    #[test]
    fn blocks_find_their_place() {
        let image = |source: Value| json!({ "type": "image", "source": source });
        let document = json!({ "type": "document", "source": { "type": "url", "url": "u" } });
        let real = json!({ "type": "thinking", "thinking": "t\n", "signature": "EqQB" });
        let redacted = json!({ "type": "redacted_thinking", "data": "d" });
        let base64 = json!({ "type": "base64", "media_type": "image/png", "data": "AA==" });
        let url = json!({ "type": "url", "url": "https://x/y.png" });
        let cached =
            json!({ "type": "text", "text": "c", "cache_control": { "type": "ephemeral" } });
        check_messages(
            &json!([
                { "role": "user", "content": [
                    text(" \n"), cached, image(json!({ "type": "url", "url": "data:image/png;base64,AA==" })),
                    image(url.clone()), image(json!({ "type": "file", "file_id": "f" })), document,
                ] },
                { "role": "assistant", "content": [real, redacted, { "type": "thinking", "thinking": "", "signature": "" }, text("x")] },
                { "role": "system", "content": "be\nbrief" },
            ]).to_string(),
            json!([
                user(&[
                    cached, image(base64), image(url), image(json!({ "type": "file", "file_id": "f" })), document,
                ]),
                assistant(&[real, redacted, text("x")]),
                user(&[text("<system-reminder>\nbe\nbrief\n</system-reminder>")]),
            ]),
        );
        let (body, losses) = encode(
            &json!([
                { "role": "system", "content": [text("b"), text("")] }, { "role": "user", "content": "x" },
                { "role": "assistant", "content": [image(json!({ "type": "url", "url": "u" })), text("y")] },
            ])
            .to_string(),
            r#","system":"a""#,
        );
        assert_eq!(body["system"], json!([text("a"), text("b")]));
        assert_eq!(losses, ["messages[2].content[0]"]);
    }

    #[test]
    fn what_cannot_be_left_out_is_refused() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}"#;
        let request = decode_request(body).unwrap();
        let refused = encode_request(&request, "claude", &Accent::default()).unwrap_err();
        assert_eq!(refused.path, "messages[0].content[0]");
    }

    #[test]
    fn limits_and_sampling_stay_within_bounds() {
        check("", json!({}), &[]);
        check(
            r#","max_tokens":7,"stream":true"#,
            json!({ "max_tokens": 7, "stream": true }),
            &[],
        );
        check(r#","temperature":0.70"#, json!({ "temperature": 0.7 }), &[]);
        check(
            r#","temperature":1.5"#,
            json!({ "temperature": 1 }),
            &["temperature"],
        );
        check(
            r#","temperature":-1"#,
            json!({ "temperature": 0 }),
            &["temperature"],
        );
        check(
            r#","temperature":0.5,"top_p":1"#,
            json!({ "temperature": 0.5 }),
            &[],
        );
        check(
            r#","temperature":0.5,"top_p":0.9"#,
            json!({ "temperature": 0.5 }),
            &["top_p"],
        );
        check(
            r#","top_p":0.9,"top_k":5"#,
            json!({ "top_p": 0.9, "top_k": 5 }),
            &[],
        );
        check(
            r#","stop_sequences":["a\n","\n"]"#,
            json!({ "stop_sequences": ["a\n"] }),
            &["stop_sequences"],
        );
        check(
            r#","metadata":{"user_id":"u"},"seed":1,"logprobs":null"#,
            json!({ "metadata": { "user_id": "u" } }),
            &["seed"],
        );
    }

    #[test]
    fn reasoning_and_output_are_asked_for() {
        let effort = |effort: &str| json!({ "output_config": { "effort": effort } });
        check(
            r#","output_config":{"effort":"xhigh"}"#,
            effort("xhigh"),
            &[],
        );
        check(
            r#","output_config":{"effort":"minimal"}"#,
            effort("low"),
            &["effort"],
        );
        check(
            r#","output_config":{"effort":"wild"}"#,
            json!({}),
            &["effort"],
        );
        check(
            r#","output_config":{"effort":"none"}"#,
            json!({ "thinking": { "type": "disabled" } }),
            &[],
        );
        check(
            r#","output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}}"#,
            json!({ "output_config": { "effort": "low", "format": { "type": "json_schema", "schema": { "type": "object" } } } }),
            &[],
        );
        for kind in ["disabled", "adaptive"] {
            check(
                &format!(r#","thinking":{{"type":"{kind}"}}"#),
                json!({ "thinking": { "type": kind } }),
                &[],
            );
        }
        let budget = |tokens: u64| json!({ "type": "enabled", "budget_tokens": tokens });
        let wanted = r#","thinking":{"type":"enabled","budget_tokens":2000}"#;
        check(
            wanted,
            json!({ "thinking": budget(2000), "max_tokens": 2000 + MAX_TOKENS_DEFAULT }),
            &[],
        );
        check(
            &format!(r#"{wanted},"max_tokens":1500"#),
            json!({ "thinking": budget(1499), "max_tokens": 1500 }),
            &["thinking.budget_tokens"],
        );
        check(
            &format!(r#"{wanted},"max_tokens":1024"#),
            json!({ "max_tokens": 1024 }),
            &["thinking"],
        );
    }

    #[test]
    fn tools_have_object_schemas() {
        let schemas = [
            (
                r#"{"type":"object","x":1.50}"#,
                r#"{"type":"object","x":1.50}"#,
            ),
            (r#"{ }"#, r#"{"type":"object","properties":{}}"#),
            (
                r#"{"properties":{}}"#,
                r#"{"type":"object","properties":{}}"#,
            ),
        ];
        for (schema, expected) in schemas {
            let raw: &RawValue = serde_json::from_str(schema).unwrap();
            let mut out = Vec::new();
            write_schema(&mut out, Some(raw));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let tool = r#""tools":[{"name":"n","description":"d\n","strict":true,"cache_control":{"type":"ephemeral"},"x":1},{"name":"v","type":"vendor_1"}]"#;
        let tools = json!([{ "name": "n", "description": "d\n", "strict": true, "cache_control": { "type": "ephemeral" },
            "input_schema": { "type": "object", "properties": {} } }]);
        let losses = ["tools[0].x", "tools[1]"];
        for (choice, sent) in [
            (
                r#"{"type":"auto","disable_parallel_tool_use":true}"#,
                r#"{"type":"auto","disable_parallel_tool_use":true}"#,
            ),
            (r#"{"type":"any"}"#, r#"{"type":"any"}"#),
            (
                r#"{"type":"none","disable_parallel_tool_use":true}"#,
                r#"{"type":"none"}"#,
            ),
            (
                r#"{"type":"tool","name":"n"}"#,
                r#"{"type":"tool","name":"n"}"#,
            ),
        ] {
            let sent: Value = serde_json::from_str(sent).unwrap();
            check(
                &format!(r#",{tool},"tool_choice":{choice}"#),
                json!({ "tools": tools, "tool_choice": sent }),
                &losses,
            );
        }
        // A choice among nothing; reasoning before a forced call.
        check(r#","tool_choice":{"type":"auto"}"#, json!({}), &[]);
        check(
            &format!(r#",{tool},"tool_choice":{{"type":"any"}},"thinking":{{"type":"adaptive"}}"#),
            json!({ "tools": tools, "tool_choice": { "type": "any" } }),
            &["tools[0].x", "tools[1]", "thinking"],
        );
    }

    fn any_message() -> impl Strategy<Value = Value> {
        let id = prop_oneof![Just("1"), Just("2"), Just("f.0")];
        let block = prop_oneof![
            Just(text("t")),
            Just(text("")),
            id.clone().prop_map(call),
            id.prop_map(|id| result(id, "r")),
            Just(json!({ "type": "thinking", "thinking": "t", "signature": "" })),
        ];
        let role = prop_oneof![Just("user"), Just("assistant"), Just("system")];
        (role, prop::collection::vec(block, 0..4))
            .prop_map(|(role, content)| json!({ "role": role, "content": content }))
    }

    proptest! {
        /// Roles alternate from the user on, no content is empty, and each turn
        /// of calls is followed by exactly their results.
        #[test]
        fn any_conversation_becomes_valid(messages in prop::collection::vec(any_message(), 1..10)) {
            let (body, _) = encode(&json!(messages).to_string(), "");
            let mut waiting: Vec<Value> = Vec::new();
            let mut seen = HashSet::new();
            for (i, turn) in body["messages"].as_array().unwrap().iter().enumerate() {
                prop_assert_eq!(&turn["role"], ["user", "assistant"][i % 2]);
                let blocks = turn["content"].as_array().unwrap();
                prop_assert!(!blocks.is_empty());
                let results: Vec<Value> = blocks.iter().filter(|b| b["type"] == "tool_result").map(|b| b["tool_use_id"].clone()).collect();
                prop_assert!(blocks[..results.len()].iter().all(|b| b["type"] == "tool_result"));
                prop_assert_eq!(results, std::mem::take(&mut waiting));
                waiting = blocks.iter().filter(|b| b["type"] == "tool_use").map(|b| b["id"].clone()).collect();
                prop_assert!(waiting.iter().all(|id| seen.insert(id.clone())));
            }
            prop_assert!(waiting.is_empty());
        }

        /// What prompt caches demand.
        #[test]
        fn the_next_body_begins_with_this_one(mut messages in prop::collection::vec(any_message(), 0..10)) {
            let said = |role: &str| json!({ "role": role, "content": "q" });
            let written = |messages: &[Value]| {
                let body = format!(r#"{{"model":"m","messages":{}}}"#, json!(messages));
                let body = encode_request(&decode_request(&body).unwrap(), "claude", &Accent::default()).unwrap();
                let at = body.members.iter().find(|member| &body.body[member.key.clone()] == b"messages").unwrap();
                String::from_utf8(body.body[..at.value.end - 1].to_vec()).unwrap()
            };
            messages.push(said("user"));
            let this = written(&messages);
            messages.extend([said("assistant"), said("user")]);
            let next = written(&messages);
            prop_assert!(next.starts_with(&this), "{} {}", this, next);
        }
    }
}
