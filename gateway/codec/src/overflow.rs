//! Errors that a client can heal: a prompt that does not fit, an output limit that
//! is too large.
//!
//! Every vendor says them in words of its own, on endpoints of any dialect; clients
//! act upon Anthropic's. Reads words alone, and leaves all other errors as they are.

/// Words by which vendors say that the prompt does not fit: OpenAI and whoever
/// copies it, llama.cpp, xAI, Moonshot, Gemini, Copilot, DashScope, Groq, Ollama,
/// Z.ai (seen 2026-11).
const OVERFLOW: [&str; 14] = [
    "context length",
    "context_length",
    "context window",
    "context size",
    "maximum context",
    "maximum prompt length",
    "model token limit",
    "input token count",
    "prompt token count",
    "range of input length",
    "reduce the length of the messages",
    "too many tokens",
    "prompt is too long",
    "prompt exceeds max length",
];

/// Anthropic's own words for the same, and those of another gateway of this kind.
/// <https://docs.claude.com/en/docs/build-with-claude/context-windows> (seen 2026-11)
const OWN: [&str; 4] = [
    "prompt is too long:",
    "prompt is too long (",
    "exceed context limit:",
    "which is the maximum allowed number of output tokens",
];

/// Smallest number that is taken for a prompt's limit: smaller ones are output
/// limits or error codes (MiniMax's 2013).
const CONTEXT_TOKENS_MIN: u64 = 2_048;

/// Whether `message`, as a decoder of ours has it, says that the prompt does not fit.
pub fn is_overflow(message: &str) -> bool {
    let lower = message.to_lowercase();
    OWN[..3].iter().any(|words| lower.contains(words))
}

/// Two failures in the words upon which Claude Code compacts the conversation,
/// or lowers its `max_tokens`; the upstream's own words follow.
pub(crate) fn reworded(message: String) -> String {
    let lower = message.to_lowercase();
    if OWN.iter().any(|words| lower.contains(words)) {
        return message;
    }
    if let Some((asked, limit)) = output_limit(&lower) {
        return format!(
            "max_tokens: {asked} > {limit}, which is the maximum allowed number of output tokens for this model ({message})"
        );
    }
    if !OVERFLOW.iter().any(|words| lower.contains(words)) {
        return message;
    }
    match context_limit(&lower) {
        Some((tokens, limit)) => {
            format!("prompt is too long: {tokens} tokens > {limit} maximum ({message})")
        }
        None => format!("prompt is too long ({message})"),
    }
}

/// The output tokens asked for and allowed, if an error is about them.
fn output_limit(lower: &str) -> Option<(u64, u64)> {
    if !lower.contains("max_tokens") && !lower.contains("max_completion_tokens") {
        return None;
    }
    let numbers: Vec<u64> = numbers(lower).map(|(_, number)| number).collect();
    // vLLM: the context's length, less the prompt's.
    if let [asked, context, prompt, ..] = numbers[..]
        && lower.contains("is too large:")
        && lower.contains("context length")
        && asked > context.saturating_sub(prompt)
    {
        return Some((asked, context.saturating_sub(prompt)));
    }
    let about_output = ["too large", "at most", "maximum", "less than", "exceed"]
        .iter()
        .any(|words| lower.contains(words));
    let is_overflow = OVERFLOW.iter().any(|words| lower.contains(words));
    let (asked, limit) = (*numbers.iter().max()?, *numbers.iter().min()?);
    (about_output && !is_overflow && asked > limit).then_some((asked, limit))
}

/// The prompt's tokens and the most allowed. Where the prompt's are not told,
/// one more than allowed.
fn context_limit(lower: &str) -> Option<(u64, u64)> {
    let numbers: Vec<_> = numbers(lower)
        .filter(|(_, number)| *number >= CONTEXT_TOKENS_MIN)
        .collect();
    let is_limit = |(at, number): &&(usize, u64)| {
        let before = &lower[..*at];
        let sentence = before
            .rfind(|c: char| c.is_ascii_digit())
            .map_or(0, |at| at + 1);
        let about = [
            "maximum",
            "limit",
            "context",
            "allowed",
            "input length",
            "at most",
        ];
        about.iter().any(|words| before[sentence..].contains(words))
            || lower[*at..].starts_with(&format!("{number} maximum"))
    };
    let (_, limit) = numbers.iter().find(is_limit).copied().or_else(|| {
        let smallest = numbers.iter().min_by_key(|(_, number)| *number);
        smallest.copied()
    })?;
    let most = numbers.iter().map(|(_, number)| *number).max()?;
    Some((most.max(limit.saturating_add(1)), limit))
}

/// The whole numbers in a text and where they begin, `1,234` included.
fn numbers(text: &str) -> impl Iterator<Item = (usize, u64)> {
    let is_part = |c: char| c.is_ascii_digit() || c == ',';
    let mut next = 0;
    text.split_inclusive(move |c| !is_part(c))
        .filter_map(move |piece| {
            let at = next;
            next += piece.len();
            let digits = piece.trim_end_matches(|c| !is_part(c)).replace(',', "");
            Some((at, digits.parse().ok()?))
        })
}
