//! The words of OpenTelemetry's semantic conventions, and what ours are in them.
//!
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/>, moved on since to
//! <https://github.com/open-telemetry/semantic-conventions-genai> (`docs/gen-ai`, seen
//! 2026-11-25). They are in development there: names may still change.

use sluice_codec::ir::StopReason;

pub(super) const OPERATION_NAME: &str = "gen_ai.operation.name";
pub(super) const PROVIDER_NAME: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(super) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(super) const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(super) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
pub(super) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(super) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(super) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const HTTP_METHOD: &str = "http.request.method";
pub(super) const HTTP_ROUTE: &str = "http.route";
pub(super) const HTTP_STATUS: &str = "http.response.status_code";

/// The one operation that calls are.
pub(super) const CHAT: &str = "chat";

/// Bounds of `gen_ai.client.operation.duration`, in s.
pub(super) const DURATION_BOUNDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// Bounds of `gen_ai.client.token.usage`.
pub(super) const TOKEN_BOUNDS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Bounds of `gen_ai.server.time_to_first_token`, in s.
pub(super) const FIRST_TOKEN_BOUNDS: [f64; 16] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Bounds of `gen_ai.server.time_per_output_token`, in s.
pub(super) const OUTPUT_TOKEN_BOUNDS: [f64; 13] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];

/// Vendors of the catalogue that the conventions call something else.
const PROVIDERS: [(&str, &str); 7] = [
    ("azure", "azure.ai.openai"),
    ("bedrock-openai", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("mistral", "mistral_ai"),
    ("moonshot", "moonshot_ai"),
    ("moonshot-cn", "moonshot_ai"),
    ("xai", "x_ai"),
];

/// What the conventions call a provider of the catalogue, whichever of its dialects it
/// speaks.
pub(crate) fn provider_name(provider: &str) -> &str {
    let vendor = provider.strip_suffix("-messages").unwrap_or(provider);
    let known = PROVIDERS.iter().find(|(ours, _)| *ours == vendor);
    known.map_or(vendor, |(_, theirs)| theirs)
}

/// Longest word of an upstream's that is taken for a reason or a model, in bytes.
const WORD_BYTES_MAX: usize = 200;

/// Why an answer ended, in the conventions' words.
pub(super) fn finish_reason<'r>(reason: &'r StopReason<'_>) -> &'r str {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence => "stop",
        StopReason::MaxTokens | StopReason::ContextWindowExceeded => "length",
        StopReason::ToolUse => "tool_call",
        StopReason::Refusal => "content_filter",
        StopReason::Other(word) => cut(word),
    }
}

/// `word`, as far as it may be long.
pub(super) fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(WORD_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_have_the_conventions_names() {
        let check = |provider: &str, expected: &str| assert_eq!(provider_name(provider), expected);
        check("openai", "openai");
        check("anthropic", "anthropic");
        check("deepseek-messages", "deepseek");
        check("moonshot-cn-messages", "moonshot_ai");
        check("mistral", "mistral_ai");
        check("my-own", "my-own");
        let catalogue = include_str!("../../../config/providers.yaml");
        for (ours, _) in PROVIDERS {
            assert!(catalogue.contains(&format!("\n{ours}:")), "{ours}");
        }
    }

    #[test]
    fn words_of_upstreams_are_cut_between_letters() {
        let long = "é".repeat(WORD_BYTES_MAX);
        assert_eq!(cut(&long).len(), WORD_BYTES_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), WORD_BYTES_MAX - 1);
        assert_eq!(cut("stop"), "stop");
    }
}
