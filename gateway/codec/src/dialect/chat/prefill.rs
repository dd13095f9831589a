//! A conversation that ends in the model's own words, which it is to go on with.
//!
//! Anthropic's models go on where the message ends and answer with the rest alone.
//! Most others take such a message for a turn of theirs and begin a new one, so
//! each vendor that can go on has a way of asking for it:
//!
//! ```text
//! prefix, partial   {"role":"assistant","content":"...","prefix":true}
//! continue          continue_final_message, add_generation_prompt
//! turn              nothing: it goes on by itself
//! instruct          an instruction behind the message
//! ```

use super::accent::Prefill;
use crate::ir::{Block, Request, Role};
use crate::json::ObjectWriter;

/// What a model is told that would begin anew.
pub const GO_ON: &str = "Your last message is not finished. Go on exactly where it ends, without repeating any of it and without a word about doing so.";

/// Why that is reported.
pub(super) const INSTRUCTED: &str =
    "the upstream begins a new message; an instruction asks it to go on";

/// The text that the model is to go on with: the last message, if it is the
/// model's and calls nothing.
pub(super) fn text(request: &Request<'_>) -> Option<String> {
    let last = request.messages.last()?;
    let mut texts = Vec::new();
    for block in &last.content {
        match block {
            Block::Text { text, .. } if !text.is_empty() => texts.push(text.decoded()),
            Block::ToolUse { .. } => return None,
            _ => {}
        }
    }
    (last.role == Role::Assistant && !texts.is_empty()).then(|| texts.join("\n"))
}

/// The same, where the client does not ask for it in an upstream's own words: one
/// that does knows what comes back.
pub(super) fn unasked_text(request: &Request<'_>) -> Option<String> {
    let last = request.messages.last()?;
    let asks = last.extras.iter().any(|(key, _)| key == "prefix");
    text(request).filter(|_| !asks)
}

/// The member that says so in the message itself.
pub(super) fn member(prefill: Prefill) -> Option<&'static str> {
    match prefill {
        Prefill::Prefix | Prefill::PrefixEchoed => Some("prefix"),
        Prefill::Partial => Some("partial"),
        Prefill::Continue | Prefill::Instruct | Prefill::Turn => None,
    }
}

/// Add the members that say so in the body.
pub(super) fn add(body: &mut ObjectWriter, prefill: Prefill) {
    if prefill == Prefill::Continue {
        body.raw("continue_final_message", "true");
        body.raw("add_generation_prompt", "false");
    }
}

/// Takes the text that the model goes on with off the head of its answer, where
/// an endpoint repeats it.
#[derive(Debug, Default)]
pub(super) struct Echo {
    awaited: String,
    /// What has come of it: a beginning of `awaited`.
    held: String,
}

impl Echo {
    pub(super) fn new(awaited: String) -> Self {
        Self {
            awaited,
            held: String::new(),
        }
    }

    /// Whether all further text is the answer's own.
    pub(super) fn is_over(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Take in text; what of it is the answer's own.
    pub(super) fn feed(&mut self, text: &str) -> String {
        self.held.push_str(text);
        if self.awaited.starts_with(&self.held) && self.held != self.awaited {
            return String::new();
        }
        let awaited = std::mem::take(&mut self.awaited);
        let held = std::mem::take(&mut self.held);
        match held.strip_prefix(&awaited) {
            Some(rest) => rest.to_owned(),
            None => held,
        }
    }

    /// The text ends here, or something else comes before more of it.
    pub(super) fn flush(&mut self) -> String {
        self.awaited.clear();
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::client::decode_client_request;

    #[test]
    fn a_client_that_asks_in_the_upstreams_words_gets_the_whole() {
        for (members, expected) in [("", Some("a")), (r#","prefix":true"#, None)] {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"u"}},{{"role":"assistant","content":"a"{members}}}]}}"#
            );
            let decoded = decode_client_request(&body).unwrap();
            assert_eq!(unasked_text(&decoded.request).as_deref(), expected);
        }
    }

    #[test]
    fn only_a_whole_echo_is_taken_off() {
        for (text, expected) in [
            ("abc", "c"),
            ("ab", ""),
            ("a", "a"),
            ("xab", "xab"),
            ("abab", "ab"),
            ("", ""),
        ] {
            for cut in 0..=text.len() {
                let mut echo = Echo::new("ab".into());
                let mut got = echo.feed(&text[..cut]);
                match echo.is_over() {
                    true => got.push_str(&text[cut..]),
                    false => got.push_str(&echo.feed(&text[cut..])),
                }
                got.push_str(&echo.flush());
                assert_eq!(got, expected, "{text} cut at {cut}");
            }
        }
    }
}
