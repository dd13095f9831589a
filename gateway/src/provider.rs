//! Providers: vendors that speak a dialect with an accent. Pure data.

/// The wire format an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    ChatCompletions,
}

impl Dialect {
    /// Its name in config files, logs and hooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat-completions",
        }
    }

    /// Appended to an upstream's base URL: never another endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
        }
    }
}
