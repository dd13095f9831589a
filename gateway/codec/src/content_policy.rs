//! Errors by which a vendor's policy on content forbids a request: another vendor may
//! have another. Reads words alone.

/// Words by which vendors say so: OpenAI, Azure, Anthropic, Gemini, DeepSeek, Moonshot,
/// DashScope (seen 2026-11).
const WORDS: [&str; 11] = [
    "content management policy",
    "content policy",
    "content_policy",
    "content filter",
    "content_filter",
    "content exists risk",
    "considered high risk",
    "inappropriate content",
    "prohibited_content",
    "safety system",
    "usage policies",
];

/// Whether an error with this message is about what may be said.
pub fn is_refusal(message: &str) -> bool {
    let lower = message.to_lowercase();
    WORDS.iter().any(|words| lower.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_say_it_in_words_of_their_own() {
        for (message, expected) in [
            (
                "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
                true,
            ),
            (
                "Your request was rejected as a result of our safety system.",
                true,
            ),
            ("Output blocked by content filtering policy", true),
            ("Content Exists Risk", true),
            (
                "The request was rejected because it was considered high risk",
                true,
            ),
            ("Input data may contain inappropriate content.", true),
            ("messages: content must not be empty", false),
            ("prompt is too long", false),
        ] {
            assert_eq!(is_refusal(message), expected, "{message}");
        }
    }
}
