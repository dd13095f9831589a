//! Providers: vendors that speak a dialect with an accent. Pure data.

use std::borrow::Cow;

use serde::Deserialize;
use sluice_codec::dialect::chat::Accent as ChatAccent;
use sluice_codec::dialect::messages::Accent as MessagesAccent;

/// A wire format, as a client or an upstream speaks it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Anthropic Messages.
    AnthropicMessages,
    /// OpenAI Chat Completions.
    #[default]
    ChatCompletions,
}

impl Dialect {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 2] = [
        ("anthropic-messages", Self::AnthropicMessages),
        ("chat-completions", Self::ChatCompletions),
    ];

    /// Its name in config files, logs and hooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic-messages",
            Self::ChatCompletions => "chat-completions",
        }
    }

    /// Appended to an upstream's base URL: never another endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "/messages",
            Self::ChatCompletions => "/chat/completions",
        }
    }

    /// How its vendors take keys, unless their row says otherwise.
    pub fn auth(self) -> Auth {
        match self {
            Self::AnthropicMessages => Auth::XApiKey,
            Self::ChatCompletions => Auth::Bearer,
        }
    }
}

/// How an endpoint deviates from its dialect.
#[derive(Clone, Debug, PartialEq)]
pub enum Accent {
    /// From Chat Completions.
    Chat(ChatAccent),
    /// From Anthropic Messages.
    Messages(MessagesAccent),
}

impl Accent {
    /// The default one of `dialect`.
    pub fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::AnthropicMessages => Self::Messages(MessagesAccent::default()),
            Dialect::ChatCompletions => Self::Chat(ChatAccent::default()),
        }
    }

    /// The dialect that it is one of.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Chat(_) => Dialect::ChatCompletions,
            Self::Messages(_) => Dialect::AnthropicMessages,
        }
    }

    /// This accent with answers of at most `tokens`, if that is less than it allows.
    pub fn limited_to(&self, tokens: Option<u64>) -> Cow<'_, Self> {
        let most = match self {
            Self::Chat(accent) => accent.output_limit_max,
            Self::Messages(accent) => accent.output_limit_max,
        };
        let Some(tokens) = tokens.filter(|tokens| most.is_none_or(|most| *tokens < most)) else {
            return Cow::Borrowed(self);
        };
        let mut limited = self.clone();
        match &mut limited {
            Self::Chat(accent) => accent.output_limit_max = Some(tokens),
            Self::Messages(accent) => accent.output_limit_max = Some(tokens),
        }
        Cow::Owned(limited)
    }

    /// This accent as `refusal`, the words of an upstream's 400 or 422, corrects
    /// it; none if they teach nothing.
    pub fn corrected(&self, refusal: &str) -> Option<Self> {
        match self {
            Self::Chat(accent) => accent.corrected(refusal).map(Self::Chat),
            Self::Messages(_) => None,
        }
    }
}

/// The header that a key is sent in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `api-key: KEY`
    ApiKey,
    /// `authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
}

impl Auth {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 3] = [
        ("api-key", Self::ApiKey),
        ("bearer", Self::Bearer),
        ("x-api-key", Self::XApiKey),
    ];
}
