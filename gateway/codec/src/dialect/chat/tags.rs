//! Reasoning that a model writes at the head of its text, between tags, as
//! servers without a reasoning parser pass it on.
//!
//! Only the very beginning of an answer is looked at: further down, a tag is
//! what the model talks about. A tag that comes in pieces is held until it is
//! whole, and no longer.

use super::stops::begun;

/// Most blanks ahead of a tag, in bytes: models write a line or two. More are what
/// a model that has lost its way writes, and not to be held back.
const BLANKS_MAX: usize = 256;

/// What a piece of content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text,
    Thinking,
}

/// Tells text and tagged reasoning apart, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// What is looked for.
    tags: Vec<Tag>,
    state: State,
    /// What may still turn out to be a tag.
    held: String,
}

#[derive(Debug)]
struct Tag {
    open: String,
    close: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but blanks and the beginning of a tag so far.
    #[default]
    Head,
    /// Inside, until the end of this tag.
    Inside(usize),
    /// After the closing tag: the blanks that set it off are no text.
    Blanks,
    /// Nothing to look for any more.
    Plain,
}

impl Tags {
    /// Looks for these tags; for none, all content is text.
    pub(super) fn new(names: &[String]) -> Self {
        let tag = |name: &String| Tag {
            open: format!("<{name}>"),
            close: format!("</{name}>"),
        };
        Self {
            tags: names.iter().map(tag).collect(),
            state: match names {
                [] => State::Plain,
                _ => State::Head,
            },
            held: String::new(),
        }
    }

    /// Whether all further content is text as it stands.
    pub(super) fn is_plain(&self) -> bool {
        self.state == State::Plain
    }

    /// Take in content; `out` gets what is certain.
    pub(super) fn feed(&mut self, content: &str, out: &mut dyn FnMut(Piece, &str)) {
        self.held.push_str(content);
        while self.step(out) {}
    }

    /// No more content: what was held is what it seems to be.
    pub(super) fn finish(&mut self, out: &mut dyn FnMut(Piece, &str)) {
        let piece = match self.state {
            State::Inside(_) => Piece::Thinking,
            _ => Piece::Text,
        };
        out(piece, &std::mem::take(&mut self.held));
        self.state = State::Plain;
    }

    /// Move on by one state; false if more content is needed.
    fn step(&mut self, out: &mut dyn FnMut(Piece, &str)) -> bool {
        match self.state {
            State::Head => {
                let seen = self.held.trim_start();
                if self.held.len() - seen.len() > BLANKS_MAX {
                    self.state = State::Plain;
                    return true;
                }
                if let Some(at) = self.tags.iter().position(|tag| seen.starts_with(&tag.open)) {
                    self.held = seen[self.tags[at].open.len()..].to_owned();
                    self.state = State::Inside(at);
                    return true;
                }
                if self.tags.iter().any(|tag| tag.open.starts_with(seen)) {
                    return false;
                }
                self.state = State::Plain;
                true
            }
            State::Inside(at) => {
                let close = &self.tags[at].close;
                if let Some(at) = self.held.find(close) {
                    out(Piece::Thinking, &self.held[..at]);
                    self.held.drain(..at + close.len());
                    self.state = State::Blanks;
                    return true;
                }
                let certain = self.held.len() - begun(&self.held, close);
                out(Piece::Thinking, &self.held[..certain]);
                self.held.drain(..certain);
                false
            }
            State::Blanks => {
                self.held = self.held.trim_start().to_owned();
                if !self.held.is_empty() {
                    self.state = State::Plain;
                }
                !self.held.is_empty()
            }
            State::Plain => {
                out(Piece::Text, &std::mem::take(&mut self.held));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `content`, cut at every byte, is `thinking` and then `text`.
    #[track_caller]
    fn check(content: &str, thinking: &str, text: &str) {
        for cut in (0..=content.len()).filter(|at| content.is_char_boundary(*at)) {
            let names = ["think", "mm:think", "reasoning"].map(String::from);
            let (mut tags, mut got) = (Tags::new(&names), [String::new(), String::new()]);
            let mut out = |piece, part: &str| got[usize::from(piece == Piece::Text)].push_str(part);
            tags.feed(&content[..cut], &mut out);
            tags.feed(&content[cut..], &mut out);
            tags.finish(&mut out);
            assert_eq!(got, [thinking, text], "{content} cut at {cut}");
        }
    }

    #[test]
    fn tags_at_the_head_hold_reasoning() {
        check("<think>a b</think>\n\nc", "a b", "c");
        check("\n<mm:think>é</mm:think>c </think>", "é", "c </think>");
        check("<reasoning></reasoning>", "", "");
        check("<think>a < b </thin k", "a < b </thin k", "");
        check("<think>a<", "a<", "");
    }

    #[test]
    fn tags_elsewhere_are_text() {
        check("say <think>x</think>", "", "say <think>x</think>");
        check("<thin", "", "<thin");
        check("  ", "", "  ");
        let blanks = format!("{}<think>x</think>", " ".repeat(BLANKS_MAX + 1));
        check(&blanks, "", &blanks);
        check("<b>", "", "<b>");
    }
}
