//! What goes wrong on either side of a translation, in terms that every dialect
//! can render.

/// A request that cannot be carried without changing its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where: `thread`.
    pub path: String,
    /// Why, and what to do.
    pub message: &'static str,
    /// Machine-readable details for the error body, JSON text.
    pub details: Option<&'static str>,
}

/// An upstream's error, in the inner form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// HTTP status for the client.
    pub status: u16,
    /// The upstream's own error type in the vocabulary of Anthropic's errors,
    /// where it gave one; otherwise the status says it.
    pub kind: Option<String>,
    /// What went wrong, in words that Claude Code acts upon where it knows any.
    pub message: String,
    /// What else it says to programs (`error.details` of Messages): JSON text,
    /// verbatim. Anthropic's SDKs fall back by the `error_code` in it.
    pub details: Option<String>,
}
