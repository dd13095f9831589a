//! An answer as events: the form in which every stream is decoded, passed
//! through hooks and encoded. The order they come in is a law (`order.rs`).

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Members that only the upstream's dialect knows: verbatim, in order, `null`s
/// included, so that what it says reaches a client of the same dialect whole.
pub type Kept = Vec<(String, Box<RawValue>)>;

/// One event of an answer. Blocks are numbered from 0 without gaps and never
/// overlap.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The answer begins. Ids are minted by the gateway, never an upstream's.
    Start {
        /// The model's name as the upstream gave it, if it did.
        model: Option<Cow<'a, str>>,
        /// The counts that are known so early; the first [`Event::Usage`]
        /// replaces them.
        usage: Option<Usage>,
        /// Other members of the answer (`container`, `diagnostics`, ...).
        extras: Kept,
    },
    /// A block begins.
    BlockStart {
        /// Position of the block in the answer, from 0.
        index: u32,
        /// What kind of block.
        block: BlockStart<'a>,
        /// Its other members (`caller`, `citations`); none of a
        /// [`BlockStart::Other`], which holds its own.
        extras: Kept,
    },
    /// A piece of the open block.
    Delta {
        /// The open block's position.
        index: u32,
        /// The piece.
        delta: Delta<'a>,
    },
    /// The open block ends.
    BlockStop {
        /// The open block's position.
        index: u32,
    },
    /// Token counts; a later one replaces an earlier one.
    Usage(Usage),
    /// The model stopped. Nothing but the end of the stream follows.
    Stop(Stop<'a>),
    /// The upstream failed in mid-answer. Nothing follows.
    Error {
        /// Error type in the vocabulary of Anthropic's errors (`api_error`, ...).
        kind: Cow<'a, str>,
        /// What the client's user reads.
        message: Cow<'a, str>,
    },
}

/// The kind of a block that begins, and what is known of it then.
#[derive(Clone, Debug)]
pub enum BlockStart<'a> {
    /// Text for the client's user.
    Text,
    /// Reasoning; its signature comes as a delta.
    Thinking,
    /// A call of one of the client's tools; its arguments come as deltas.
    ToolUse {
        /// Unique in the conversation.
        id: Cow<'a, str>,
        /// The tool's name as the client knows it.
        name: Cow<'a, str>,
    },
    /// A block that only its own dialect knows: the JSON object, verbatim.
    Other(Cow<'a, RawValue>),
}

/// A piece of a block.
#[derive(Clone, Debug)]
pub enum Delta<'a> {
    /// More text.
    Text(Cow<'a, str>),
    /// More reasoning.
    Thinking(Cow<'a, str>),
    /// The signature of a thinking block: whole, once, last in its block.
    Signature(Cow<'a, str>),
    /// More of a tool call's arguments: a fragment of JSON text.
    ToolInput(Cow<'a, str>),
    /// A delta that only its own dialect knows: the JSON object, verbatim.
    Other(Cow<'a, RawValue>),
}

/// Token counts, in Anthropic's meaning: `input` excludes what was read from
/// or written to a cache.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Prompt tokens neither read from nor written to a cache.
    pub input: u64,
    /// Answer tokens, reasoning included.
    pub output: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache.
    pub cache_write: u64,
    /// Other counts (`server_tool_use`, `service_tier`, ...).
    pub extras: Kept,
}

/// Bytes a token, where nobody counts: about four characters at Gemini and OpenAI.
/// <https://ai.google.dev/gemini-api/docs/tokens> (seen 2026-11).
const BYTES_PER_TOKEN: u64 = 4;

/// A guess at the tokens of so many bytes of text.
pub fn tokens_of(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

impl Usage {
    /// Counts that are guesses, and say so.
    pub fn estimated(input: u64, output: u64) -> Self {
        let yes = serde_json::value::to_raw_value(&true);
        Self {
            input,
            output,
            extras: yes
                .ok()
                .map(|yes| ("estimated".into(), yes))
                .into_iter()
                .collect(),
            ..Self::default()
        }
    }

    /// All tokens of the prompt, wherever they were read from or written to. Upstreams
    /// may count anything, so sums end at the largest number.
    pub fn prompt(&self) -> u64 {
        let caches = self.cache_read.saturating_add(self.cache_write);
        self.input.saturating_add(caches)
    }

    /// These counts, with the prompt of `other` beside their own.
    #[must_use]
    pub fn and_prompt_of(self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            ..self
        }
    }
}

/// Why the model stopped.
#[derive(Clone, Debug)]
pub struct Stop<'a> {
    /// The reason.
    pub reason: StopReason<'a>,
    /// The stop sequence that was met, with `StopReason::StopSequence`.
    pub sequence: Option<Cow<'a, str>>,
    /// Other members that are known only now (`stop_details`, `container`, ...).
    pub extras: Kept,
}

/// Anthropic's stop reasons, and others verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason<'a> {
    /// The model had said all.
    EndTurn,
    /// The output limit was reached.
    MaxTokens,
    /// A stop sequence was met.
    StopSequence,
    /// The model waits for a tool's result.
    ToolUse,
    /// The model or its vendor declined.
    Refusal,
    /// Prompt and answer filled the context window.
    ContextWindowExceeded,
    /// Another word, verbatim (`pause_turn`, ...).
    Other(Cow<'a, str>),
}

impl<'a> Event<'a> {
    /// The beginning of an answer of which no more than this is known.
    pub fn start(model: Option<Cow<'a, str>>) -> Self {
        Self::Start {
            model,
            usage: None,
            extras: Kept::new(),
        }
    }

    /// The beginning of a block of which no more than this is known.
    pub fn block_start(index: u32, block: BlockStart<'a>) -> Self {
        Self::BlockStart {
            index,
            block,
            extras: Kept::new(),
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Start {
                model,
                usage,
                extras,
            } => Event::Start {
                model: model.map(owned),
                usage,
                extras,
            },
            Self::BlockStart {
                index,
                block,
                extras,
            } => Event::BlockStart {
                index,
                block: block.into_owned(),
                extras,
            },
            Self::Delta { index, delta } => Event::Delta {
                index,
                delta: delta.into_owned(),
            },
            Self::BlockStop { index } => Event::BlockStop { index },
            Self::Usage(usage) => Event::Usage(usage),
            Self::Stop(stop) => Event::Stop(stop.into_owned()),
            Self::Error { kind, message } => Event::Error {
                kind: owned(kind),
                message: owned(message),
            },
        }
    }
}

impl BlockStart<'_> {
    fn into_owned(self) -> BlockStart<'static> {
        match self {
            Self::Text => BlockStart::Text,
            Self::Thinking => BlockStart::Thinking,
            Self::ToolUse { id, name } => BlockStart::ToolUse {
                id: owned(id),
                name: owned(name),
            },
            Self::Other(raw) => BlockStart::Other(Cow::Owned(raw.into_owned())),
        }
    }
}

impl Delta<'_> {
    /// What it adds to what the model said, in bytes; signatures are nobody's words.
    pub fn content_bytes(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Thinking(text) | Self::ToolInput(text) => text.len() as u64,
            Self::Signature(_) | Self::Other(_) => 0,
        }
    }

    /// Whether it adds nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text)
            | Self::Thinking(text)
            | Self::Signature(text)
            | Self::ToolInput(text) => text.is_empty(),
            Self::Other(_) => false,
        }
    }

    fn into_owned(self) -> Delta<'static> {
        match self {
            Self::Text(text) => Delta::Text(owned(text)),
            Self::Thinking(text) => Delta::Thinking(owned(text)),
            Self::Signature(text) => Delta::Signature(owned(text)),
            Self::ToolInput(text) => Delta::ToolInput(owned(text)),
            Self::Other(raw) => Delta::Other(Cow::Owned(raw.into_owned())),
        }
    }
}

impl<'a> Stop<'a> {
    /// A stop for this reason, and no more than that.
    pub fn new(reason: StopReason<'a>) -> Self {
        Self {
            reason,
            sequence: None,
            extras: Kept::new(),
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Stop<'static> {
        Stop {
            reason: self.reason.into_owned(),
            sequence: self.sequence.map(owned),
            extras: self.extras,
        }
    }
}

impl<'a> StopReason<'a> {
    /// The reason that Anthropic's `word` stands for.
    pub fn from_word(word: Cow<'a, str>) -> Self {
        match &*word {
            "end_turn" => Self::EndTurn,
            "max_tokens" => Self::MaxTokens,
            "stop_sequence" => Self::StopSequence,
            "tool_use" => Self::ToolUse,
            "refusal" => Self::Refusal,
            "model_context_window_exceeded" => Self::ContextWindowExceeded,
            _ => Self::Other(word),
        }
    }

    /// Anthropic's word for it.
    pub fn word(&self) -> &str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::Refusal => "refusal",
            Self::ContextWindowExceeded => "model_context_window_exceeded",
            Self::Other(word) => word,
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> StopReason<'static> {
        StopReason::from_word(owned(Cow::Borrowed(self.word())))
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
