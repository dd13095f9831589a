//! A Chat Completions request, encoded from the inner form.
//!
//! ```text
//! system blocks, leading system messages   -> one `system` message
//! user texts, mid-conversation system      -> one `user` message a turn
//! tool results (any order, some missing)   -> `tool` messages in call order,
//!                                             their images in the user message
//! thinking blocks that this upstream gave  -> the field they came in
//! ```
//! What it writes for a message depends on that message and earlier ones alone,
//! so the next turn's body begins with this one's, as prompt caches demand.
//! Two things that an accent can ask for are at odds with that: `mid_system:
//! hoist`, and an instruction at the conversation's end for what no parameter says.

mod calls;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use self::calls::{Pending, empty_content};
use super::accent::{
    Accent, CacheMarks, Content, KEPT, MidSystem, OutputLimit, OutputSchema, Prefill, ReasoningAsk,
};
use super::choice::{Plan, Sent};
use super::content::{Media, Piece, TurnContent, escaped, search_result};
use super::ids::Ids;
use super::marks;
use super::names::Names;
use super::prefill;
use super::replay::{FOREIGN, Replay, write_joined};
use super::sampling;
use super::schema::{Root, write_schema};
use super::typed;
use crate::fields::{Extras, Path};
use crate::hash::hash;
use crate::ir::{Block, Losses, Refused, Request, RequestMessage, Role, Thinking, Tool};
use crate::json::{Member, ObjectWriter, write_array, write_count, write_str};
use crate::members;

/// Claude Code's first system block changes with every build and prompt; sent
/// on, it would spoil every prompt cache. <https://github.com/vllm-project/vllm>
/// strips it too (seen 2026-11).
const BILLING_LINE: &str = "x-anthropic-billing-header";

/// What the model says between a tool's result and the user's next word, where
/// the one may not follow the other.
const BETWEEN: &str = "I have read the result.";

/// Top-level members without which the answer would be another one.
const REFUSED: [(&str, &str, Option<&str>); 2] = [
    (
        "thread",
        "server-held threads are not supported; send the whole conversation",
        // The official SDKs fall back to the full history when they read this.
        Some(r#"{"error_code":"thread_unsupported_request","unsupported":["thread"]}"#),
    ),
    (
        "mcp_servers",
        "the upstream cannot reach MCP servers; configure them in the client",
        None,
    ),
];

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions<'o> {
    /// The model name to send.
    pub model: &'o str,
    /// How the endpoint deviates.
    pub accent: &'o Accent,
    /// Whose reasoning may go back: the name under which answers were decoded.
    pub family: &'o str,
}

/// A request in Chat Completions.
#[derive(Debug)]
pub struct Encoded {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Where its members stand.
    pub members: Vec<Member>,
    /// What it could not carry.
    pub losses: Losses,
    /// Tool names that were changed.
    pub names: Names,
}

/// Encode `request` for one target.
pub fn encode_request(
    request: &Request<'_>,
    options: EncodeOptions<'_>,
) -> Result<Encoded, Refused> {
    if let Some((path, message, details)) = REFUSED
        .iter()
        .find(|(key, ..)| request.extras.iter().any(|(name, _)| name == key))
    {
        return Err(Refused {
            path: (*path).to_owned(),
            message,
            details: *details,
        });
    }
    let mut encoder = Encoder {
        request,
        options,
        accent: options.accent,
        losses: Losses::default(),
        names: Names::default(),
        ids: Ids::default(),
        plan: Plan::default(),
        instructions: Vec::new(),
        after_tool: false,
        replays: false,
        prefill: None,
        mark: None,
        out: Vec::new(),
    };
    encoder.plan();
    let mut body = ObjectWriter::with_capacity(encoder.size_hint());
    body.string("model", options.model);
    body.member("messages", |out| encoder.messages(out));
    encoder.tools(&mut body);
    encoder.limits(&mut body);
    encoder.reasoning(&mut body);
    encoder.stream(&mut body);
    if let Some(prefill) = encoder.prefill {
        prefill::add(&mut body, prefill);
    }
    encoder.report_extras(&request.extras, &Path::Root);
    members::add(&mut body, &options.accent.add);
    let (body, members) = options.accent.accepted().retain(body, &mut encoder.losses);
    Ok(Encoded {
        body,
        members,
        losses: encoder.losses,
        names: encoder.names,
    })
}

struct Encoder<'r, 'o> {
    request: &'r Request<'r>,
    options: EncodeOptions<'o>,
    accent: &'o Accent,
    losses: Losses,
    names: Names,
    ids: Ids,
    plan: Plan<'r>,
    /// What the conversation ends with, for want of parameters that say it.
    instructions: Vec<String>,
    /// Whether the message before is a tool's.
    after_tool: bool,
    /// Whether earlier reasoning goes back.
    replays: bool,
    /// How the model goes on with the last message, if it can.
    prefill: Option<Prefill>,
    /// The cache mark of what the next message says.
    mark: Option<&'r RawValue>,
    /// The messages array being written.
    out: Vec<u8>,
}

// === messages ===

impl<'r> Encoder<'r, '_> {
    fn messages(&mut self, out: &mut Vec<u8>) {
        self.out = std::mem::take(out);
        self.out.push(b'[');
        let messages = &self.request.messages;
        let leading = messages
            .iter()
            .take_while(|message| message.role == Role::System)
            .count();
        self.system(&messages[..leading]);
        let mut at = leading;
        let mut pending = Vec::new();
        while at < messages.len() {
            if speaks(&messages[at]) {
                self.user_turn(at, &[], std::mem::take(&mut pending));
                pending = self.assistant(at, &messages[at]);
                at += 1;
            } else {
                let run = messages[at..]
                    .iter()
                    .take_while(|message| !speaks(message))
                    .count();
                self.user_turn(at, &messages[at..at + run], std::mem::take(&mut pending));
                at += run;
            }
        }
        self.user_turn(at, &[], pending);
        self.out.push(b']');
        *out = std::mem::take(&mut self.out);
    }

    /// Begin a message; the caller writes its members and calls `end_message`.
    fn begin_message(&mut self, role: &str) {
        let after_tool = std::mem::replace(&mut self.after_tool, role == "tool");
        if after_tool && !self.accent.user_after_tool && !matches!(role, "tool" | "assistant") {
            self.begin_message("assistant");
            write_str(&mut self.out, BETWEEN);
            self.end_message();
        }
        if self.out.last() != Some(&b'[') {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"role\":\"");
        self.out.extend_from_slice(role.as_bytes());
        self.out.extend_from_slice(b"\",\"content\":");
    }

    fn end_message(&mut self) {
        self.out.push(b'}');
    }

    /// System blocks and leading system messages, as one message.
    fn system(&mut self, leading: &'r [RequestMessage<'r>]) {
        let at = Path::Root;
        let mut texts: Vec<Piece<'r>> = Vec::new();
        let blocks = self
            .request
            .system
            .iter()
            .map(|block| (block, at.key("system")));
        let at_messages = at.key("messages");
        let hoisted = self.request.messages[leading.len()..]
            .iter()
            .filter(|message| {
                self.accent.mid_system == MidSystem::Hoist && message.role == Role::System
            });
        let more = leading
            .iter()
            .chain(hoisted)
            .flat_map(|message| &message.content)
            .map(|block| (block, at_messages));
        for (i, (block, at)) in blocks.chain(more).enumerate() {
            match block {
                Block::Text { text, .. } if text.escaped().starts_with(BILLING_LINE) => {}
                Block::Text { text, extras } => {
                    self.block_extras(extras, &at.index(i));
                    if !text.is_empty() {
                        texts.push(Cow::Borrowed(text.escaped()));
                    }
                }
                _ => self
                    .losses
                    .report(at.index(i), "only text can be a system instruction here"),
            }
        }
        let mark = self.mark.take();
        if !texts.is_empty() {
            self.begin_message("system");
            marks::write_text(&mut self.out, &texts, "\\n\\n", mark);
            self.end_message();
        }
    }

    /// A run of user and system messages: first the results of the calls that
    /// are pending, in call order, then everything else as one user message.
    fn user_turn(
        &mut self,
        first: usize,
        run: &'r [RequestMessage<'r>],
        mut pending: Vec<Pending<'r>>,
    ) {
        let root = Path::Root;
        let at = root.key("messages");
        let mut rest = Vec::new();
        // Of calls with one id the first waits on top.
        let mut waiting: HashMap<&str, Vec<usize>> = HashMap::new();
        for (c, call) in pending.iter().enumerate().rev() {
            waiting.entry(call.id).or_default().push(c);
        }
        for (i, message) in (first..).zip(run) {
            if message.role == Role::Assistant {
                // It says nothing; written out, it would be refused.
                self.assistant(i, message);
                continue;
            }
            self.report_extras(&message.extras, &at.index(i));
            for (j, block) in message.content.iter().enumerate() {
                match block {
                    Block::ToolResult {
                        id,
                        content,
                        is_error,
                        extras,
                    } => {
                        let at = at.index(i);
                        let at = at.key("content");
                        self.block_extras(extras, &at.index(j));
                        let mark = self.mark.take();
                        match waiting.get_mut(&**id).and_then(Vec::pop) {
                            Some(c) => {
                                let at = at.index(j).to_string();
                                pending[c].result = Some((content, *is_error, at));
                                pending[c].mark = mark;
                            }
                            None => rest.push((i, j, message.role, block)),
                        }
                    }
                    _ => rest.push((i, j, message.role, block)),
                }
            }
        }
        let takes_parts = self.accent.content == Content::Parts;
        let mut content = TurnContent::new(Media {
            images: takes_parts && self.accent.images,
            files: takes_parts && self.accent.files,
        });
        for call in pending {
            self.tool_message(call, &mut content);
        }
        for (i, j, role, block) in rest {
            let at = at.index(i);
            let at = at.key("content");
            let at = at.index(j);
            match self.accent.mid_system {
                MidSystem::Native if role == Role::System => {
                    self.user_message(&mut content);
                    self.native_system(block, &at);
                }
                // They stand in the first message.
                MidSystem::Hoist if role == Role::System => {}
                _ => self.user_block(block, role, &at, &mut content),
            }
        }
        if first + run.len() == self.request.messages.len() {
            for instruction in std::mem::take(&mut self.instructions) {
                content.text(escaped(&format!(
                    "<system-reminder>\n{instruction}\n</system-reminder>"
                )));
            }
        }
        self.user_message(&mut content);
    }

    fn user_block(
        &mut self,
        block: &'r Block<'r>,
        role: Role,
        at: &Path<'_>,
        content: &mut TurnContent<'r>,
    ) {
        match block {
            Block::Text { text, extras } => {
                self.block_extras(extras, at);
                if role == Role::System && !text.is_empty() {
                    content.text(Cow::Owned(format!(
                        "<system-reminder>\\n{}\\n</system-reminder>",
                        text.escaped()
                    )));
                } else {
                    content.text(Cow::Borrowed(text.escaped()));
                }
            }
            Block::Image { source, extras } => {
                self.block_extras(extras, at);
                content.image(source, at, &mut self.losses);
            }
            Block::Document(raw) => content.document(raw, at, &mut self.losses),
            Block::ToolReference { name } => {
                let name = self.names.legal(name).into_owned();
                content.text(escaped(&format!(
                    "Tool {name} is loaded and can be called now."
                )));
            }
            Block::ToolResult {
                id,
                content: blocks,
                ..
            } => {
                content.text(escaped(&format!(
                    "[result of call {id}, which is not in this conversation]"
                )));
                for block in blocks {
                    self.user_block(block, role, at, content);
                }
            }
            Block::Other { kind, raw } if kind == "search_result" => {
                content.text(search_result(raw));
            }
            Block::ToolUse { .. } | Block::Thinking { .. } | Block::Other { .. } => {
                self.losses
                    .report(at, "a block that only an Anthropic upstream understands");
            }
        }
    }

    fn native_system(&mut self, block: &'r Block<'r>, at: &Path<'_>) {
        match block {
            Block::Text { text, extras } => {
                self.block_extras(extras, at);
                let mark = self.mark.take();
                self.begin_message("system");
                marks::write_text(&mut self.out, &[Cow::Borrowed(text.escaped())], "", mark);
                self.end_message();
            }
            _ => self
                .losses
                .report(at, "only text can be a system instruction here"),
        }
    }

    fn user_message(&mut self, content: &mut TurnContent<'r>) {
        let mark = self.mark.take();
        if content.is_empty() {
            return;
        }
        self.begin_message("user");
        if content.has_media() {
            write_array(&mut self.out, content.parts(), |out, part| part.write(out));
            marks::mark_last_part(&mut self.out, mark);
        } else {
            marks::write_text(&mut self.out, content.texts(), "\\n", mark);
        }
        self.end_message();
        content.clear();
    }

    /// The model's own message; returns the calls that now wait for results.
    fn assistant(&mut self, index: usize, message: &'r RequestMessage<'r>) -> Vec<Pending<'r>> {
        let root = Path::Root;
        let at = root.key("messages");
        let at = at.index(index);
        self.report_extras(&message.extras, &at);
        let at = at.key("content");
        let (mut texts, mut calls) = (Vec::new(), Vec::new());
        let mut replay = Replay::new(self.accent, self.options.family);
        for (j, block) in message.content.iter().enumerate() {
            match block {
                Block::Text { text, extras } => {
                    self.block_extras(extras, &at.index(j));
                    if !text.is_empty() {
                        texts.push(Cow::Borrowed(text.escaped()));
                    }
                }
                Block::Thinking { text, signature } => {
                    if !replay.add(text, signature) {
                        self.losses.report(at.index(j), FOREIGN);
                    }
                }
                Block::ToolUse {
                    id,
                    name,
                    input,
                    extras,
                } => {
                    self.block_extras(extras, &at.index(j));
                    calls.push((&**id, &**name, &**input));
                }
                _ => self.losses.report(
                    at.index(j),
                    "a block that only an Anthropic upstream understands",
                ),
            }
        }
        if self.mark.take().is_some() {
            self.losses
                .report(at.key(marks::KEY), "a mark in a message of the model's");
        }
        if texts.is_empty() && calls.is_empty() {
            if !replay.is_empty() {
                self.losses
                    .report(at, "reasoning that neither text nor a call follows");
            }
            return Vec::new();
        }
        self.replays |= !replay.is_empty();
        self.begin_message("assistant");
        if !replay.write_content(&mut self.out, &texts) {
            self.out
                .extend_from_slice(empty_content(self.accent.empty_content));
        }
        replay.write_members(&mut self.out);
        let pending = self.tool_calls(&calls, &mut replay);
        if index + 1 == self.request.messages.len()
            && let Some(member) = self.prefill.and_then(prefill::member)
        {
            self.out.push(b',');
            write_str(&mut self.out, member);
            self.out.extend_from_slice(b":true");
        }
        self.end_message();
        pending
    }

    /// What a block says beside its content: a cache mark is its message's, where
    /// the upstream knows such marks.
    fn block_extras(&mut self, extras: &Extras<'r>, at: &Path<'_>) {
        let passes =
            self.accent.cache_marks == CacheMarks::Pass && self.accent.content == Content::Parts;
        let is_mark = |(key, value): &&(Cow<'r, str>, &'r RawValue)| {
            passes && key == marks::KEY && value.get().starts_with('{')
        };
        if let Some((_, mark)) = extras.iter().rfind(is_mark) {
            self.mark = Some(mark);
        }
        for extra in extras.iter().filter(|extra| !is_mark(extra)) {
            self.report_extra(extra, at);
        }
    }

    fn report_extras(&mut self, extras: &Extras<'_>, at: &Path<'_>) {
        for extra in extras {
            self.report_extra(extra, at);
        }
    }

    fn report_extra(&mut self, (key, value): &(Cow<'_, str>, &RawValue), at: &Path<'_>) {
        // Absent in all but name.
        if !matches!(value.get(), "null" | "[]" | "{}") {
            self.losses
                .report(at.key(key), "no equivalent in Chat Completions");
        }
    }
}

/// Whether an assistant's message has anything to say in Chat Completions.
fn speaks(message: &RequestMessage<'_>) -> bool {
    let says = |block: &Block<'_>| match block {
        Block::Text { text, .. } => !text.is_empty(),
        Block::ToolUse { .. } => true,
        _ => false,
    };
    message.role == Role::Assistant && message.content.iter().any(says)
}

// === everything but messages ===

impl<'r> Encoder<'r, '_> {
    /// Decide on the tools: what the conversation ends with depends on it.
    fn plan(&mut self) {
        let tools = self.callable_tools();
        let choice = self.request.tool_choice.as_ref().map(|choice| &choice.kind);
        let has_calls = self.request.call_ids().next().is_some();
        let accepted = self.accent.choices(self.request.thinking);
        self.plan = Plan::new(tools, choice, accepted, has_calls);
        if let Some(loss) = self.plan.loss {
            self.losses.report("tool_choice", loss);
        }
        self.instructions.extend(self.plan.instruction.take());
        if let Some(schema) = self.request.output_schema
            && self.accent.output_schema != OutputSchema::JsonSchema
        {
            let schema = schema.get();
            self.instructions.push(format!(
                "Answer with one JSON object and nothing else. It must fit this JSON schema:\n{schema}"
            ));
            self.losses.report(
                "output_config.format",
                "the upstream takes no schema; an instruction says it instead",
            );
        }
        self.plan_prefill();
    }

    /// An instruction behind the last message would hide it from a model that could
    /// go on with it: then that is one more instruction.
    fn plan_prefill(&mut self) {
        if prefill::text(self.request).is_none() {
            return;
        }
        if self.accent.prefill != Prefill::Instruct && self.instructions.is_empty() {
            self.prefill = Some(self.accent.prefill);
            return;
        }
        self.instructions.push(prefill::GO_ON.to_owned());
        let last = self.request.messages.len() - 1;
        self.losses
            .report(Path::Root.key("messages").index(last), prefill::INSTRUCTED);
    }

    fn tools(&mut self, body: &mut ObjectWriter) {
        let tools = std::mem::take(&mut self.plan.tools);
        if tools.is_empty() {
            return;
        }
        body.member("tools", |out| {
            write_array(out, &tools, |out, tool| self.tool(out, tool));
        });
        let Some(choice) = &self.request.tool_choice else {
            return;
        };
        if let Some(sent) = self.plan.choice {
            let names = &mut self.names;
            body.member("tool_choice", |out| match sent {
                Sent::Word(word) => write_str(out, word),
                Sent::Named(name) => {
                    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
                    write_str(out, &names.legal(name));
                    out.extend_from_slice(b"}}");
                }
            });
        }
        if choice.disable_parallel {
            if self.accent.parallel_tool_calls {
                body.raw("parallel_tool_calls", "false");
            } else {
                self.losses.report(
                    "tool_choice.disable_parallel_tool_use",
                    "the upstream has no such switch",
                );
            }
        }
    }

    fn tool(&mut self, out: &mut Vec<u8>, tool: &Tool<'_>) {
        let root = Path::Root;
        let at = root.key("tools");
        let at = at.key(&tool.name);
        out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
        write_str(out, &self.names.legal(&tool.name));
        if let Some((description, _)) = typed::written_out(tool).filter(|_| tool.schema.is_none()) {
            out.extend_from_slice(b",\"description\":");
            write_str(out, description);
        } else if let Some(description) = &tool.description {
            out.extend_from_slice(b",\"description\":");
            write_joined(out, &[Cow::Borrowed(description.escaped())], "");
        }
        out.extend_from_slice(b",\"parameters\":");
        match typed::schema(tool) {
            Some(schema) => {
                let (dialect, at) = (self.accent.schema, at.key("input_schema"));
                write_schema(out, schema, dialect, Root::Object, &at, &mut self.losses);
            }
            None => out.extend_from_slice(br#"{"type":"object","properties":{}}"#),
        }
        match tool.strict {
            Some(strict) if self.accent.strict_tools => {
                out.extend_from_slice(b",\"strict\":");
                out.extend_from_slice(if strict { b"true" } else { b"false" });
            }
            Some(true) => self
                .losses
                .report(at.key("strict"), "the upstream has no such switch"),
            _ => {}
        }
        out.extend_from_slice(b"}}");
    }

    /// The tools that the model may call: those of the client, and deferred ones
    /// once a result has named them, in the order they were named.
    fn callable_tools(&mut self) -> Vec<&'r Tool<'r>> {
        let root = Path::Root;
        let at = root.key("tools");
        let mut tools = Vec::with_capacity(self.request.tools.len());
        for (i, tool) in self.request.tools.iter().enumerate() {
            if !typed::is_callable(tool) {
                self.losses
                    .report(at.index(i), "a tool that only Anthropic runs");
            } else if !tool.deferred {
                tools.push(tool);
            }
            self.report_extras(&tool.extras, &at.index(i));
        }
        let mut known: HashSet<&str> = tools.iter().map(|tool| &*tool.name).collect();
        let deferred = self.request.tools.iter().filter(|tool| tool.deferred);
        // Of two under one name the first.
        let deferred: HashMap<&str, _> = deferred.rev().map(|tool| (&*tool.name, tool)).collect();
        for name in self.request.referenced_tools() {
            if let Some(tool) = deferred.get(&**name)
                && known.insert(name)
            {
                tools.push(*tool);
            }
        }
        tools
    }

    fn limits(&mut self, body: &mut ObjectWriter) {
        let request = self.request;
        if let Some(wanted) = request.max_tokens {
            let key = match self.accent.output_limit {
                OutputLimit::MaxTokens => "max_tokens",
                OutputLimit::MaxCompletionTokens => "max_completion_tokens",
            };
            let most = self.accent.output_limit_max.unwrap_or(u64::MAX);
            if wanted > most {
                self.losses.report(
                    "max_tokens",
                    "lowered to the most that the upstream accepts",
                );
            }
            // 0 asks only to warm a cache; the smallest answer is the nearest thing.
            body.member(key, |out| write_count(out, wanted.clamp(1, most)));
        }
        if let Some(value) = request.temperature {
            let value = sampling::temperature(value, self.accent, &mut self.losses);
            body.raw("temperature", &value);
        }
        if let Some(value) = request.top_p {
            body.raw("top_p", value.get());
        }
        match request.top_k {
            Some(value) if self.accent.top_k => body.raw("top_k", value.get()),
            Some(_) => self
                .losses
                .report("top_k", "the upstream has no such parameter"),
            None => {}
        }
        let stops: Vec<_> = request
            .stop_sequences
            .iter()
            .filter(|text| !text.is_empty())
            .collect();
        // The decoder looks for all of them, also for those that are not sent: none
        // is lost.
        let is_sent = self.accent.stop_max > 0 && self.accent.accepted().takes("stop");
        if !stops.is_empty() && is_sent {
            body.member("stop", |out| {
                write_array(out, stops.iter().take(self.accent.stop_max), |out, text| {
                    write_joined(out, &[Cow::Borrowed(text.escaped())], "");
                });
            });
        }
        match (self.accent.output_schema, request.output_schema) {
            (OutputSchema::JsonSchema, Some(schema)) => body.member("response_format", |out| {
                out.extend_from_slice(
                    b"{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":",
                );
                let root = Path::Root;
                let at = root.key("output_config");
                let (dialect, at) = (self.accent.schema, at.key("format"));
                write_schema(out, schema, dialect, Root::Any, &at, &mut self.losses);
                out.extend_from_slice(b"}}");
            }),
            (OutputSchema::JsonObject, Some(_)) => {
                body.raw("response_format", r#"{"type":"json_object"}"#);
            }
            _ => {}
        }
        if let Some(user) = request
            .user_id
            .as_ref()
            .filter(|user| self.accent.user && !user.is_empty())
        {
            // The name itself holds device and session ids: none of the vendor's business.
            body.string("user", &format!("{:016x}", hash(user.escaped().as_bytes())));
        }
        if let Some(user) = request.user_id.as_ref().filter(|_| self.accent.cache_key) {
            body.string("prompt_cache_key", &marks::cache_key(&user.decoded()));
        }
    }

    fn reasoning(&mut self, body: &mut ObjectWriter) {
        let wanted = self.wanted_effort();
        let effort = wanted.and_then(|effort| nearest_effort(effort, &self.accent.efforts));
        let is_on = self.request.thinking != Some(Thinking::Disabled);
        match self.accent.reasoning_ask {
            ReasoningAsk::Effort => {
                if let Some(effort) = effort {
                    body.string("reasoning_effort", effort);
                }
            }
            ReasoningAsk::Reasoning => self.reasoning_object(body, effort),
            ReasoningAsk::ThinkingEffort | ReasoningAsk::ThinkingKeptEffort => {
                self.reasoning_switch(body);
                // Where it is off, an effort beside it is refused.
                if let Some(effort) = effort.filter(|_| is_on) {
                    body.string("reasoning_effort", effort);
                }
            }
            ReasoningAsk::Thinking
            | ReasoningAsk::ThinkingKept
            | ReasoningAsk::EnableThinking
            | ReasoningAsk::ChatTemplate => {
                self.reasoning_switch(body);
                if is_on && self.request.effort.is_some() {
                    self.losses.report(
                        "output_config.effort",
                        "the upstream switches reasoning on and off, without levels",
                    );
                }
            }
            ReasoningAsk::None if wanted.is_some() => {
                self.losses
                    .report("thinking", "the upstream has no switch for reasoning");
            }
            ReasoningAsk::None => {}
        }
    }

    /// Reasoning on or off, if the client says which.
    fn reasoning_switch(&self, body: &mut ObjectWriter) {
        let Some(thinking) = self.request.thinking else {
            // It is on without a word.
            if self.replays && self.accent.reasoning_ask.keeps() {
                body.raw("thinking", KEPT);
            }
            return;
        };
        let is_on = thinking != Thinking::Disabled;
        match self.accent.reasoning_ask {
            ReasoningAsk::EnableThinking => {
                body.raw("enable_thinking", if is_on { "true" } else { "false" });
                if let Thinking::Enabled { budget_tokens } = thinking {
                    body.member("thinking_budget", |out| write_count(out, budget_tokens));
                }
            }
            ReasoningAsk::ChatTemplate => {
                let switch = format!(r#"{{"enable_thinking":{is_on},"thinking":{is_on}}}"#);
                body.raw("chat_template_kwargs", &switch);
            }
            ask if is_on && ask.keeps() => body.raw("thinking", KEPT),
            _ if is_on => body.raw("thinking", r#"{"type":"enabled"}"#),
            _ => body.raw("thinking", r#"{"type":"disabled"}"#),
        }
    }

    /// OpenRouter's object, which takes a budget or an effort.
    fn reasoning_object(&self, body: &mut ObjectWriter, effort: Option<&str>) {
        match (self.request.thinking, effort) {
            (Some(Thinking::Enabled { budget_tokens }), _) => {
                body.raw("reasoning", &format!(r#"{{"max_tokens":{budget_tokens}}}"#));
            }
            (_, Some(effort)) => body.member("reasoning", |out| {
                out.extend_from_slice(b"{\"effort\":");
                write_str(out, effort);
                out.push(b'}');
            }),
            (Some(thinking), None) => {
                let is_on = thinking != Thinking::Disabled;
                body.raw("reasoning", &format!(r#"{{"enabled":{is_on}}}"#));
            }
            (None, None) => {}
        }
    }

    /// The effort asked for, in Anthropic's words and `none`. A budget of tokens
    /// counts as the effort whose usual budget it is.
    fn wanted_effort(&self) -> Option<&'r str> {
        match self.request.thinking {
            Some(Thinking::Disabled) => Some("none"),
            Some(Thinking::Enabled { budget_tokens }) => Some(match budget_tokens {
                0..4_096 => "low",
                4_096..16_384 => "medium",
                16_384..32_768 => "high",
                _ => "max",
            }),
            Some(Thinking::Adaptive) | None => self.request.effort.as_deref(),
        }
    }

    /// The gateway streams to its client whatever the upstream does.
    fn stream(&mut self, body: &mut ObjectWriter) {
        let is_whole = self.accent.unstreamed_tools && body.has("tools");
        if (self.request.stream || self.accent.stream_only) && !is_whole {
            body.raw("stream", "true");
            if self.accent.stream_usage {
                body.raw("stream_options", r#"{"include_usage":true}"#);
            }
        }
    }

    fn size_hint(&self) -> usize {
        let text = |block: &Block<'_>| match block {
            Block::Text { text, .. } => text.escaped().len() + 16,
            Block::ToolUse { input, .. } => input.get().len() + 128,
            Block::ToolResult { content, .. } => 96 + 1_024 * content.len(),
            _ => 64,
        };
        let messages: usize = self
            .request
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .map(text)
            .sum();
        let tools = self.request.tools.iter().map(|tool| {
            96 + tool
                .description
                .as_ref()
                .map_or(0, |text| text.escaped().len())
                + tool.schema.map_or(0, |schema| schema.get().len())
        });
        512 + messages + tools.sum::<usize>() + self.request.system.iter().map(text).sum::<usize>()
    }
}

/// The value that the upstream knows and that is nearest to `wanted`. `none`
/// is sent only where it is known: elsewhere the vendor's default stands.
fn nearest_effort<'a>(wanted: &str, known: &'a [String]) -> Option<&'a str> {
    const SCALE: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    let rank = |word: &str| SCALE.iter().position(|known| *known == word);
    let wanted_rank = rank(wanted)?;
    if wanted_rank == 0 {
        return known
            .iter()
            .map(String::as_str)
            .find(|word| *word == "none");
    }
    let usable = known
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "none");
    usable.min_by_key(|word| rank(word).map_or(usize::MAX, |rank| rank.abs_diff(wanted_rank)))
}
