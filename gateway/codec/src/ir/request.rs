//! A request, borrowing from the body it was decoded from.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{fields::Extras, json::Text};

/// A request for one answer.
#[derive(Debug)]
pub struct Request<'a> {
    /// The model's name as requested.
    pub model: Cow<'a, str>,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Instructions, as text blocks (others are kept as they are).
    pub system: Vec<Block<'a>>,
    /// The conversation.
    pub messages: Vec<Message<'a>>,
    /// Tools the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it may, must or must not call them.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Texts that end the answer.
    pub stop_sequences: Vec<Text<'a>>,
    /// Sampling temperature, as written.
    pub temperature: Option<&'a RawValue>,
    /// Nucleus sampling, as written.
    pub top_p: Option<&'a RawValue>,
    /// Top-k sampling, as written.
    pub top_k: Option<&'a RawValue>,
    /// Whether to reason before answering.
    pub thinking: Option<Thinking>,
    /// Whether the client asked not to see the reasoning.
    pub omits_reasoning: bool,
    /// How hard to try: `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<Cow<'a, str>>,
    /// A JSON schema that the answer must fit.
    pub output_schema: Option<&'a RawValue>,
    /// The client's name for its user, opaque.
    pub user_id: Option<Text<'a>>,
    /// Everything else, with its path from the body's root.
    pub extras: Extras<'a>,
}

/// One message of the conversation.
#[derive(Debug)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Vec<Block<'a>>,
    /// Everything else.
    pub extras: Extras<'a>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model.
    Assistant,
    /// Instructions in mid-conversation.
    System,
    /// The user, or the client's tools.
    User,
}

/// A piece of a message.
#[derive(Debug)]
pub enum Block<'a> {
    /// Text.
    Text {
        /// The text.
        text: Text<'a>,
        /// Everything else.
        extras: Extras<'a>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: ImageSource<'a>,
        /// Everything else.
        extras: Extras<'a>,
    },
    /// A call of a tool, made by the model.
    ToolUse {
        /// Unique in the conversation.
        id: Cow<'a, str>,
        /// The tool's name.
        name: Cow<'a, str>,
        /// The arguments, verbatim.
        input: Cow<'a, RawValue>,
        /// Everything else.
        extras: Extras<'a>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call's id.
        id: Cow<'a, str>,
        /// The answer.
        content: Vec<Block<'a>>,
        /// Whether the tool failed.
        is_error: bool,
        /// Everything else.
        extras: Extras<'a>,
    },
    /// The model's reasoning, earlier in the conversation.
    Thinking {
        /// What it thought; may be empty.
        text: Text<'a>,
        /// Proof of origin; empty or foreign ones occur.
        signature: Cow<'a, str>,
    },
    /// A tool named in a search's result, to be loaded.
    ToolReference {
        /// The tool's name.
        name: Cow<'a, str>,
    },
    /// A document: PDF, text, URL or blocks, verbatim.
    Document(Cow<'a, RawValue>),
    /// A block that only its own dialect knows, verbatim.
    Other {
        /// Its `type`.
        kind: Cow<'a, str>,
        /// The whole block.
        raw: Cow<'a, RawValue>,
    },
}

/// Where a picture is.
#[derive(Debug)]
pub enum ImageSource<'a> {
    /// In the body, as base64.
    Base64 {
        /// `image/png` and the like.
        media_type: Text<'a>,
        /// The picture.
        data: Text<'a>,
    },
    /// Somewhere on the web.
    Url(Text<'a>),
    /// A source that only its own dialect knows, verbatim.
    Other(&'a RawValue),
}

/// A tool the model may call.
#[derive(Debug)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// JSON schema of its arguments, verbatim; none for a vendor's own tools.
    pub schema: Option<&'a RawValue>,
    /// The vendor's own tool (`web_search_20250305`), none for the client's.
    pub vendor_kind: Option<Cow<'a, str>>,
    /// Whether arguments must fit the schema.
    pub strict: Option<bool>,
    /// Withheld from the model until a result names it.
    pub deferred: bool,
    /// Everything else.
    pub extras: Extras<'a>,
}

/// Whether the model may, must or must not call tools.
#[derive(Debug)]
pub struct ToolChoice<'a> {
    /// Which.
    pub kind: ToolChoiceKind<'a>,
    /// At most one call an answer.
    pub disable_parallel: bool,
}

/// Which tools may be called.
#[derive(Debug)]
pub enum ToolChoiceKind<'a> {
    /// As the model likes.
    Auto,
    /// At least one.
    Any,
    /// None.
    None,
    /// This one.
    Tool(Cow<'a, str>),
}

/// Whether to reason before answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// As much as the model likes.
    Adaptive,
    /// No.
    Disabled,
    /// Up to so many tokens.
    Enabled {
        /// Most tokens of reasoning.
        budget_tokens: u64,
    },
}

impl<'a> Request<'a> {
    /// Ids of the calls made so far, to keep new ones apart from.
    pub fn call_ids(&self) -> impl Iterator<Item = &str> {
        self.messages
            .iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                Block::ToolUse { id, .. } => Some(&**id),
                _ => None,
            })
    }

    /// Names of the deferred tools that results have loaded, in order, with
    /// repetitions.
    pub fn referenced_tools(&self) -> impl Iterator<Item = &Cow<'a, str>> {
        fn of<'b, 'a>(block: &'b Block<'a>) -> Option<&'b Cow<'a, str>> {
            match block {
                Block::ToolReference { name } => Some(name),
                _ => None,
            }
        }
        self.messages
            .iter()
            .flat_map(|message| &message.content)
            .flat_map(|block| {
                let nested: &[Block<'a>] = match block {
                    Block::ToolResult { content, .. } => content,
                    _ => &[],
                };
                of(block).into_iter().chain(nested.iter().filter_map(of))
            })
    }
}
