//! What a refusal teaches about an endpoint: that earlier reasoning must come
//! back, or must not; what limits an answer's length; that it wants to be asked for a
//! stream, or for no `stream_options`.
//!
//! Vendors differ in it, and their models do, and change their minds. A refusal
//! names the field, so one more try can be made with the field the other way.

use super::accent::{Accent, OutputLimit, ReasoningBack};

/// Fields that hold reasoning.
const FIELDS: [&str; 4] = [
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "reasoning_text",
];

/// Words of a refusal that asks for the field; without them it refuses the field.
const DEMANDS: [&str; 6] = [
    "missing",
    "must be passed",
    "must be provided",
    "must include",
    "is required",
    "required field",
];

/// Words of a refusal that does not know a field.
const UNKNOWN: [&str; 6] = [
    "extra_forbidden",
    "not permitted",
    "unexpected",
    "unknown",
    "unrecognized",
    "unsupported",
];

/// Words of a refusal that asks for a stream.
const STREAM_DEMANDS: [&str; 2] = ["must have stream=true", "only support stream mode"];

/// What stands where there was no reasoning: some count an empty text as none.
const PLACEHOLDER: &str = " ";

impl Accent {
    /// This accent as `refusal`, the message of an upstream's 400 or 422, corrects
    /// it; none if it is about something else, or teaches nothing new.
    ///
    /// - "thinking is enabled but reasoning_content is missing in assistant tool
    ///   call message at index 2" (Moonshot)
    /// - "property 'messages.1.reasoning_content' is unsupported" (Groq)
    /// - "Requests with max_tokens > 4096 must have stream=true" (Fireworks)
    /// - "This model only support stream mode, please enable the stream parameter to
    ///   access the model." (Alibaba Cloud)
    /// - "Unsupported parameter: 'max_tokens' is not supported with this model. Use
    ///   'max_completion_tokens' instead." (OpenAI)
    /// - "Unrecognized request argument supplied: stream_options" (Azure)
    pub fn corrected(&self, refusal: &str) -> Option<Self> {
        let lower = refusal.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| lower.contains(words));
        let mut corrected = self.clone();
        if says(&STREAM_DEMANDS) {
            corrected.stream_only = true;
        } else if names(refusal, &["max_completion_tokens"]) {
            match self.output_limit {
                OutputLimit::MaxTokens if says(&["instead"]) => {
                    corrected.output_limit = OutputLimit::MaxCompletionTokens;
                }
                OutputLimit::MaxCompletionTokens if says(&UNKNOWN) => {
                    corrected.output_limit = OutputLimit::MaxTokens;
                }
                _ => {}
            }
        } else if names(refusal, &["stream_options"]) {
            corrected.stream_usage &= !says(&UNKNOWN);
        } else if names(refusal, &FIELDS) {
            corrected.reasoning_back = match says(&DEMANDS) {
                true => ReasoningBack::Always,
                false => ReasoningBack::Never,
            };
            if corrected.reasoning_placeholder.is_empty() {
                corrected.reasoning_placeholder = PLACEHOLDER.into();
            }
        }
        let is_new = corrected.reasoning_back != self.reasoning_back
            || corrected.output_limit != self.output_limit
            || (corrected.stream_only, corrected.stream_usage)
                != (self.stream_only, self.stream_usage);
        is_new.then_some(corrected)
    }
}

/// Whether a text names one of `fields`. `reasoning` is a word as well: it is
/// the field only as a part of a path, or in quotes.
fn names(text: &str, fields: &[&str]) -> bool {
    let is_of_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let mut before = ' ';
    text.split_inclusive(|c| !is_of_name(c)).any(|piece| {
        let name = piece.trim_end_matches(|c| !is_of_name(c));
        let is_marked = matches!(before, '.' | '\'' | '"' | '`');
        before = piece.chars().next_back().unwrap_or(' ');
        fields.contains(&name) && (name != "reasoning" || is_marked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: ReasoningBack, refusal: &str, expected: Option<ReasoningBack>) {
        let accent = Accent {
            reasoning_back: before,
            ..Accent::default()
        };
        let corrected = accent.corrected(refusal);
        let after = corrected.as_ref().map(|accent| accent.reasoning_back);
        assert_eq!(after, expected, "{refusal}");
    }

    #[test]
    fn a_refusal_that_names_the_field_teaches() {
        use ReasoningBack::{Always, Never, Same};
        let missing = "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2";
        check(Same, missing, Some(Always));
        check(Never, missing, Some(Always));
        check(Always, missing, None);
        let must = "The `reasoning_content` in the thinking mode must be passed back to the API.";
        check(Same, must, Some(Always));
        for refusal in [
            "property 'messages.1.reasoning_content' is unsupported",
            "messages.2.assistant.reasoning_content: Extra inputs are not permitted",
            "Unrecognized request argument supplied: reasoning_details",
            "'messages.3' : for 'role:assistant' the following must be satisfied[('messages.3' : property 'reasoning' is unsupported)]",
            "unknown field `reasoning`",
        ] {
            check(Same, refusal, Some(Never));
            check(Always, refusal, Some(Never));
            check(Never, refusal, None);
        }
    }

    #[test]
    fn a_refusal_that_wants_a_stream_teaches() {
        for refusal in [
            "Requests with max_tokens > 4096 must have stream=true",
            "This model only support stream mode, please enable the stream parameter to access the model. ",
        ] {
            let corrected = Accent::default().corrected(refusal);
            let corrected = corrected.expect("a lesson");
            assert!(corrected.stream_only, "{refusal}");
            assert_eq!(corrected.corrected(refusal), None);
        }
    }

    #[test]
    fn a_refusal_of_a_limit_teaches_the_other_name() {
        use OutputLimit::{MaxCompletionTokens, MaxTokens};
        let check = |before: OutputLimit, refusal: &str, expected: Option<OutputLimit>| {
            let accent = Accent {
                output_limit: before,
                ..Accent::default()
            };
            let corrected = accent.corrected(refusal);
            assert_eq!(corrected.map(|it| it.output_limit), expected, "{refusal}");
        };
        let newer = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        check(MaxTokens, newer, Some(MaxCompletionTokens));
        let other = "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens' instead.";
        check(MaxCompletionTokens, other, Some(MaxTokens));
        let large = "max_completion_tokens is too large: 32000";
        check(MaxCompletionTokens, large, None);
        let older = "body.max_completion_tokens: Extra inputs are not permitted";
        check(MaxCompletionTokens, older, Some(MaxTokens));
        check(MaxTokens, older, None);
    }

    #[test]
    fn a_refusal_of_stream_options_teaches() {
        let refusal = "Unrecognized request argument supplied: stream_options";
        let corrected = Accent::default().corrected(refusal).expect("a lesson");
        assert!(!corrected.stream_usage);
        assert_eq!(corrected.corrected(refusal), None);
    }

    #[test]
    fn other_refusals_teach_nothing() {
        for refusal in [
            "",
            "this model does not support reasoning",
            "reasoning_effort: unsupported value `max`",
            "`reasoning_effort` is not permitted",
            "messages.1.content is missing",
            "my_reasoning_content",
            "stream: Input should be a valid boolean",
            "this model does not support stream=true",
            "max_tokens is too large: 32000. This model supports at most 8192 completion tokens",
        ] {
            check(ReasoningBack::Same, refusal, None);
        }
    }

    #[test]
    fn a_placeholder_of_the_vendors_stays() {
        let accent = Accent {
            reasoning_placeholder: "none".into(),
            ..Accent::default()
        };
        let corrected = accent.corrected("reasoning_content is missing");
        assert_eq!(
            corrected.map(|it| it.reasoning_placeholder),
            Some("none".into())
        );
        let corrected = Accent::default().corrected("reasoning_content is missing");
        assert_eq!(
            corrected.map(|it| it.reasoning_placeholder),
            Some(" ".into())
        );
    }
}
