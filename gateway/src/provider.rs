//! Providers: vendors that speak a dialect with an accent. Pure data.

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
