//! How one endpoint deviates from Chat Completions, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::ir::Thinking;
use crate::members::Accepted;

/// Deviations of one endpoint. The default is what the generic
/// `openai-compatible` provider gets: what most servers accept.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Accent {
    /// The field that limits the answer's length.
    pub output_limit: OutputLimit,
    /// Largest value of that field; larger ones are lowered and reported.
    pub output_limit_max: Option<u64>,
    /// How reasoning is asked for.
    pub reasoning_ask: ReasoningAsk,
    /// Words for effort, weakest first; another one is sent as the nearest.
    pub efforts: Vec<String>,
    /// How earlier reasoning goes back.
    pub reasoning_back: ReasoningBack,
    /// What `reasoning_back: always` says where there was no reasoning.
    pub reasoning_placeholder: String,
    /// What the first call of a message has in the place of a signature that the
    /// history lacks; without it, such calls go as they are.
    pub signature_placeholder: Option<String>,
    /// Names of the tags between which reasoning stands at the head of the text:
    /// `think` for `<think>`. None where the server takes it out itself.
    pub think_tags: Vec<String>,
    /// What becomes of reasoning that the client asked to omit.
    pub omitted_reasoning: OmittedReasoning,
    /// Whether `completion_tokens` leaves reasoning out: it is added.
    pub reasoning_outside: bool,
    /// What becomes of `system` messages after the first message.
    pub mid_system: MidSystem,
    /// Values of `tool_choice` that may be sent. For another one the nearest is
    /// sent, and an instruction at the conversation's end says the rest.
    pub tool_choice: Vec<Choice>,
    /// The same while the model reasons, where that makes a difference. It does
    /// unless the client says that it shall not.
    pub tool_choice_thinking: Option<Vec<Choice>>,
    /// What is sent as the result of a tool that said nothing.
    pub empty_result: String,
    /// How a model is asked to go on with a last message of its own.
    pub prefill: Prefill,
    /// Which ids of tool calls are accepted; others are replaced.
    pub tool_ids: ToolIds,
    /// Whether it takes one call a message: of several, each is followed by its
    /// result.
    pub split_calls: bool,
    /// Which JSON schema is understood; what goes beyond it is rewritten.
    pub schema: Schema,
    /// How an answer that must fit a schema is asked for.
    pub output_schema: OutputSchema,
    /// Whether a tool's `strict` may be sent.
    pub strict_tools: bool,
    /// Whether `parallel_tool_calls` may be sent.
    pub parallel_tool_calls: bool,
    /// Whether it only streams: a whole answer is gathered from a stream.
    pub stream_only: bool,
    /// Whether it does not stream where there are tools: it is asked for a whole
    /// answer then.
    pub unstreamed_tools: bool,
    /// Whether `stream_options.include_usage` may be sent.
    pub stream_usage: bool,
    /// Most `stop` sequences; the answer is cut at further ones here.
    pub stop_max: usize,
    /// Whether a user's word may follow a tool's result at once; otherwise one of
    /// the model's stands between.
    pub user_after_tool: bool,
    /// What `content` may be.
    pub content: Content,
    /// What an assistant message that only calls tools has as `content`.
    pub empty_content: EmptyContent,
    /// Whether images may be sent; otherwise a text says that one was left out.
    pub images: bool,
    /// Whether PDFs may be sent, as `file` parts; otherwise as with images.
    pub files: bool,
    /// Least and largest `temperature`; the nearest is sent, and reported.
    pub temperature_min: Option<Number>,
    /// See [`Accent::temperature_min`].
    pub temperature_max: Option<Number>,
    /// Whether `top_k` may be sent.
    pub top_k: bool,
    /// Whether `user` may be sent: a hash of the client's name for its user.
    pub user: bool,
    /// What becomes of `cache_control` in messages.
    pub cache_marks: CacheMarks,
    /// Whether `prompt_cache_key` may be sent: a hash of the client's session.
    pub cache_key: bool,
    /// Top-level members that are accepted; others are dropped and reported.
    /// Empty: all are.
    pub params: Vec<String>,
    /// Top-level members that are refused: dropped and reported.
    pub drop: Vec<String>,
    /// Top-level members that every body gets, unless it has them.
    pub add: BTreeMap<String, serde_json::Value>,
}

impl Default for Accent {
    fn default() -> Self {
        Self {
            output_limit: OutputLimit::MaxTokens,
            output_limit_max: None,
            reasoning_ask: ReasoningAsk::Effort,
            efforts: ["low", "medium", "high"].map(String::from).to_vec(),
            reasoning_back: ReasoningBack::Same,
            reasoning_placeholder: String::new(),
            signature_placeholder: None,
            // Qwen, DeepSeek and most others; MiniMax-M3; gpt-oss on Bedrock:
            // <https://docs.vllm.ai/en/latest/features/reasoning_outputs.html> (seen 2026-11).
            think_tags: ["think", "mm:think", "reasoning"]
                .map(String::from)
                .to_vec(),
            omitted_reasoning: OmittedReasoning::Send,
            reasoning_outside: false,
            mid_system: MidSystem::Fold,
            tool_choice: vec![Choice::Auto, Choice::None, Choice::Required, Choice::Named],
            tool_choice_thinking: None,
            empty_result: String::new(),
            prefill: Prefill::Instruct,
            tool_ids: ToolIds::Any,
            split_calls: false,
            schema: Schema::Pass,
            output_schema: OutputSchema::JsonSchema,
            strict_tools: false,
            parallel_tool_calls: true,
            stream_only: false,
            unstreamed_tools: false,
            stream_usage: true,
            stop_max: 4,
            user_after_tool: true,
            content: Content::Parts,
            empty_content: EmptyContent::Null,
            images: true,
            files: true,
            temperature_min: None,
            temperature_max: None,
            top_k: false,
            user: true,
            cache_marks: CacheMarks::Drop,
            cache_key: false,
            params: Vec::new(),
            drop: Vec::new(),
            add: BTreeMap::new(),
        }
    }
}

impl ReasoningAsk {
    /// Whether earlier reasoning is read only if that is asked for.
    pub(super) fn keeps(self) -> bool {
        matches!(self, Self::ThinkingKept | Self::ThinkingKeptEffort)
    }
}

/// The switch for reasoning that keeps earlier reasoning readable. Reasoning is on by
/// default where there is such a switch:
/// <https://docs.z.ai/guides/capabilities/thinking-mode> (seen 2026-11).
pub(super) const KEPT: &str = r#"{"type":"enabled","clear_thinking":false}"#;

impl Accent {
    /// Which members of a body may be sent.
    pub(super) fn accepted(&self) -> Accepted<'_> {
        Accepted {
            vital: &["model", "messages", "stream"],
            params: &self.params,
            drop: &self.drop,
        }
    }

    /// The values of `tool_choice` that a request may hold which asks for this.
    pub(super) fn choices(&self, thinking: Option<Thinking>) -> &[Choice] {
        match &self.tool_choice_thinking {
            // Where the client says nothing, vendors of such rules reason.
            Some(choices) if thinking != Some(Thinking::Disabled) => choices,
            _ => &self.tool_choice,
        }
    }
}

/// The field that limits the answer's length.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`, which nearly all servers know.
    MaxTokens,
    /// `max_completion_tokens`, OpenAI's newer name.
    MaxCompletionTokens,
}

/// How reasoning is asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningAsk {
    /// `reasoning_effort`.
    Effort,
    /// `thinking: {"type": "enabled" | "disabled"}`.
    Thinking,
    /// `thinking`, and `reasoning_effort` unless it is disabled.
    ThinkingEffort,
    /// `thinking` with `clear_thinking: false`: earlier reasoning stays readable. Where
    /// some goes back, that is said whether or not the client asks for reasoning.
    ThinkingKept,
    /// The same, and `reasoning_effort` unless it is disabled.
    ThinkingKeptEffort,
    /// `enable_thinking`, and `thinking_budget` where there is one.
    EnableThinking,
    /// `chat_template_kwargs` with `enable_thinking` and `thinking`, of which a
    /// model's template reads one.
    ChatTemplate,
    /// `reasoning: {"effort": ...}`, or its `max_tokens` where there is a budget.
    Reasoning,
    /// Not at all.
    None,
}

/// How earlier reasoning goes back to the upstream it came from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningBack {
    /// In the field it came in.
    Same,
    /// In none: some vendors refuse it.
    Never,
    /// In `reasoning_content`, whatever it came in.
    ReasoningContent,
    /// In `reasoning`, whatever it came in.
    Reasoning,
    /// In `reasoning_content` of every message of the model's, with
    /// `reasoning_placeholder` where there was none.
    Always,
    /// As the `reasoning_details` it came with, unmodified; without any, in
    /// `reasoning`.
    Details,
    /// As `thinking` parts ahead of the text.
    Parts,
    /// Between `<think>` tags ahead of the text.
    Tags,
}

/// What becomes of reasoning that the client asked to omit (`display: omitted`).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OmittedReasoning {
    /// Its text is sent all the same: a sign of life, and a small signature.
    Send,
    /// It stays in the signature, from which it goes back.
    Hold,
}

/// What becomes of `system` messages after the first message.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MidSystem {
    /// Their text joins the neighbouring user message, marked as a reminder.
    Fold,
    /// They stay where they are, with role `system`.
    Native,
    /// They join the first message, at the cost of the prompt cache.
    Hoist,
}

/// A value of `tool_choice`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// `"auto"`.
    Auto,
    /// `"none"`.
    None,
    /// `"required"`.
    Required,
    /// An object that names one function.
    Named,
}

/// How a model is asked to go on with a last message of its own (`prefill.rs`).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefill {
    /// With an instruction behind it: it would begin a new message.
    Instruct,
    /// Not at all: it goes on by itself.
    Turn,
    /// With `prefix: true` in the message.
    Prefix,
    /// The same, and the answer repeats the message, which is cut off.
    PrefixEchoed,
    /// With `partial: true` in the message.
    Partial,
    /// With `continue_final_message` and without `add_generation_prompt`.
    Continue,
}

/// Which ids of tool calls are accepted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolIds {
    /// All.
    Any,
    /// Those of exactly nine ASCII letters and digits.
    Alphanumeric9,
    /// Those of at most 40 characters.
    Max40,
}

/// Which JSON schema is understood; `schema.rs` has the tables.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schema {
    /// All of it: schemas go as they came, byte for byte.
    Pass,
    /// Types, properties and enumerations: what grammars are made of.
    Minimal,
    /// Google's subset of OpenAPI.
    Gemini,
    /// Moonshot's flavour.
    Moonshot,
    /// That of Cerebras.
    Cerebras,
}

/// How an answer that must fit a schema is asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputSchema {
    /// `response_format` with the schema.
    JsonSchema,
    /// `response_format: {"type": "json_object"}`, and the schema in words.
    JsonObject,
    /// In words alone.
    Instruction,
}

/// What `content` may be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A string, or parts where there is more than text.
    Parts,
    /// A string: images and files leave a text in their place.
    Strings,
}

/// What becomes of `cache_control` in messages (`marks.rs`).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMarks {
    /// It is dropped, and reported.
    Drop,
    /// It stands on the last part of its message.
    Pass,
}

/// What an assistant message that only calls tools has as `content`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyContent {
    /// `null`.
    Null,
    /// `""`.
    Empty,
    /// `" "`.
    Space,
}
