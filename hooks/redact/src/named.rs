//! Patterns that the hook knows by name.

use serde::Deserialize;

/// A name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    Email,
    Secret,
}

/// Mail addresses. The last character is a letter: a full stop ends the sentence.
const EMAIL: [&str; 1] = [r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]*[A-Za-z]"];

/// Keys that say by their form what they are.
const SECRET: [&str; 9] = [
    // OpenAI, Anthropic, DeepSeek, OpenRouter, ...
    r"sk-[A-Za-z0-9_-]{20,}",
    // GitHub: <https://github.blog/engineering/behind-githubs-new-authentication-token-formats/>
    r"gh[opsur]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{22,}",
    // AWS: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
    r"AKIA[0-9A-Z]{16}",
    r"ASIA[0-9A-Z]{16}",
    // Google.
    r"AIza[0-9A-Za-z_-]{35}",
    // Slack.
    r"xox[abeoprs]-[0-9A-Za-z-]{10,}",
    // JSON web tokens.
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    // Private keys, to the dashes that end them.
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s]*",
];

impl Name {
    pub(crate) fn patterns(self) -> &'static [&'static str] {
        match self {
            Self::Email => &EMAIL,
            Self::Secret => &SECRET,
        }
    }
}
