//! How one endpoint deviates from Chat Completions, as data.

use serde::Deserialize;

/// Deviations of one endpoint. The default is what the generic
/// `openai-compatible` provider gets: what most servers accept.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Accent {
    /// The field that limits the answer's length.
    pub output_limit: OutputLimit,
    /// Largest value of that field; larger ones are lowered and reported.
    pub output_limit_max: Option<u64>,
    /// How reasoning is asked for.
    pub reasoning_ask: ReasoningAsk,
    /// Values of `reasoning_effort`, weakest first; another value is sent as the
    /// nearest.
    pub efforts: Vec<String>,
    /// In which field earlier reasoning goes back.
    pub reasoning_back: ReasoningBack,
    /// What becomes of `system` messages after the first message.
    pub mid_system: MidSystem,
    /// Whether `parallel_tool_calls` may be sent.
    pub parallel_tool_calls: bool,
    /// Whether `stream_options.include_usage` may be sent.
    pub stream_usage: bool,
    /// Most `stop` sequences; the answer is cut at further ones here.
    pub stop_max: usize,
    /// What an assistant message that only calls tools has as `content`.
    pub empty_content: EmptyContent,
    /// Whether images may be sent; otherwise a text says that one was left out.
    pub images: bool,
    /// Whether `top_k` may be sent.
    pub top_k: bool,
    /// Whether `user` may be sent: a hash of the client's name for its user.
    pub user: bool,
}

impl Default for Accent {
    fn default() -> Self {
        Self {
            output_limit: OutputLimit::MaxTokens,
            output_limit_max: None,
            reasoning_ask: ReasoningAsk::Effort,
            efforts: ["low", "medium", "high"].map(String::from).to_vec(),
            reasoning_back: ReasoningBack::Same,
            mid_system: MidSystem::Fold,
            parallel_tool_calls: true,
            stream_usage: true,
            stop_max: 4,
            empty_content: EmptyContent::Null,
            images: true,
            top_k: false,
            user: true,
        }
    }
}

/// The field that limits the answer's length.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`, which nearly all servers know.
    MaxTokens,
    /// `max_completion_tokens`, OpenAI's newer name.
    MaxCompletionTokens,
}

/// How reasoning is asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningAsk {
    /// `reasoning_effort`.
    Effort,
    /// `thinking: {"type": "enabled" | "disabled"}`.
    Thinking,
    /// Not at all.
    None,
}

/// In which field earlier reasoning goes back to the upstream it came from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
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
}

/// What becomes of `system` messages after the first message.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MidSystem {
    /// Their text joins the neighbouring user message, marked as a reminder.
    Fold,
    /// They stay where they are, with role `system`.
    Native,
}

/// What an assistant message that only calls tools has as `content`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EmptyContent {
    /// `null`.
    Null,
    /// `""`.
    Empty,
}
