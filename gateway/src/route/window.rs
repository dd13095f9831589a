//! Whether a request fits into a model's window, by an estimate. Pure.
//!
//! The estimate counts as another tokenizer would, so both answers are careful: what
//! may fit is sent, and the answer's limit is lowered to what is surely left.

/// Room for an answer below which a prompt does not fit, in tokens: a model that must
/// stop after a few words helps nobody.
const ANSWER_MIN: u64 = 4_096;

/// Bytes of a body for which no model counts more than a token: markup and foreign
/// scripts have two and more.
const BYTES_PER_TOKEN_MIN: u64 = 2;

/// How much more a model may count than the estimate, in parts of it.
const TOLERANCE_PARTS: u64 = 10;

/// How a request fits into a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// With as long an answer as was asked for.
    Whole,
    /// With an answer of at most so many tokens.
    Limited(u64),
    /// Not at all: a prompt may have at most so many tokens.
    Not(u64),
}

/// Whether a body of `bytes` is large enough to be counted.
pub fn is_close(window: u64, bytes: u64, answer: Option<u64>) -> bool {
    bytes / BYTES_PER_TOKEN_MIN + answer.unwrap_or(ANSWER_MIN) > window
}

/// How a prompt of about `prompt` tokens fits, with an answer of at most `answer`.
pub fn fit(window: u64, prompt: u64, answer: Option<u64>) -> Fit {
    let least = answer.unwrap_or(ANSWER_MIN).min(ANSWER_MIN);
    let prompt_max = window.saturating_sub(least);
    if prompt > prompt_max {
        return Fit::Not(prompt_max);
    }
    let surely = window.saturating_sub(prompt + prompt / TOLERANCE_PARTS);
    match answer {
        Some(answer) if answer > surely => Fit::Limited(surely.max(least)),
        _ => Fit::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_fit_with_an_answer_worth_having() {
        for (window, prompt, answer, expected) in [
            (32_768, 10_000, Some(1_000), Fit::Whole),
            (32_768, 10_000, None, Fit::Whole),
            (32_768, 10_000, Some(32_000), Fit::Limited(21_768)),
            (32_768, 28_000, Some(32_000), Fit::Limited(4_096)),
            (32_768, 28_672, Some(32_000), Fit::Limited(4_096)),
            (32_768, 28_673, Some(32_000), Fit::Not(28_672)),
            (32_768, 28_673, None, Fit::Not(28_672)),
            // A short answer needs no more room than it asks for.
            (32_768, 32_758, Some(10), Fit::Limited(10)),
            (32_768, 32_759, Some(10), Fit::Not(32_758)),
            (1_000, 1, Some(5_000), Fit::Not(0)),
            (1_000, 10, Some(100), Fit::Whole),
        ] {
            assert_eq!(
                fit(window, prompt, answer),
                expected,
                "{window} {prompt} {answer:?}"
            );
        }
    }

    #[test]
    fn small_bodies_are_not_counted() {
        for (window, bytes, answer, expected) in [
            (131_072, 100_000, Some(32_000), false),
            (131_072, 200_000, Some(32_000), true),
            (131_072, 200, Some(128_000), false),
            (131_072, 10_000, Some(128_000), true),
            (8_192, 9_000, None, true),
        ] {
            assert_eq!(
                is_close(window, bytes, answer),
                expected,
                "{window} {bytes}"
            );
        }
    }
}
