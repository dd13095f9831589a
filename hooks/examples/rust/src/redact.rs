//! Redacts e-mail addresses in text that arrives in pieces, cut anywhere.
//!
//! A word (a run of the characters that addresses are made of) is held until it
//! ends, so any cut gives the same text. Knows nothing of gateways.

/// No address is longer (RFC 5321), so no longer word is held.
const WORD_BYTES_MAX: usize = 254;

/// The state between two pieces.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    word: String,
    /// Inside a word that is too long for an address: it passes.
    passing: bool,
}

impl Redactor {
    /// A piece in; what is certain by now out.
    pub(crate) fn feed(&mut self, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            if !is_of_word(c) {
                out += &self.finish();
                out.push(c);
            } else if self.passing {
                out.push(c);
            } else {
                self.word.push(c);
                if self.word.len() > WORD_BYTES_MAX {
                    out += &std::mem::take(&mut self.word);
                    self.passing = true;
                }
            }
        }
        out
    }

    /// The word that was held, which has ended.
    pub(crate) fn finish(&mut self) -> String {
        self.passing = false;
        let word = std::mem::take(&mut self.word);
        let core = word.trim_matches(['.', '-']);
        if is_email(core) {
            return word.replace(core, "[email]");
        }
        word
    }
}

/// Whether addresses are made of such characters.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._%+-@".contains(c)
}

/// `local@domain`, with a dot in the domain.
fn is_email(word: &str) -> bool {
    word.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.contains('@') && domain.bytes().skip(1).any(|c| c == b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cut of `text` into two pieces gives `expected`.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let mut redactor = Redactor::default();
            let mut out = redactor.feed(&text[..at]);
            out += &redactor.feed(&text[at..]);
            out += &redactor.finish();
            assert_eq!(out, expected, "cut at {at}");
        }
    }

    #[test]
    fn addresses_are_redacted() {
        check("to ann.b+c@mail.example.org.", "to [email].");
        check("<a@b.co>, ü@b.co or a@b.co", "<[email]>, ü@b.co or [email]");
        check("-a@b.co-", "-[email]-");
    }

    #[test]
    fn other_words_stay() {
        for text in ["", "1.5 % of ... x@y or @a.b, a@b@c.d", "a@.b -- ü"] {
            check(text, text);
        }
        let long = "a".repeat(250) + "@b.co";
        check(&long, &long);
    }
}
