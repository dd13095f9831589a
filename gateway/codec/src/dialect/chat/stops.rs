//! The client's stop sequences, looked for in the answer's text: upstreams take
//! only so many of them, and some take none.
//!
//! What may turn out to begin a sequence is held until that is known, and no
//! longer.

/// Cuts text at the first stop sequence.
#[derive(Debug, Default)]
pub(super) struct Stops {
    sequences: Vec<String>,
    /// What may still turn out to be a sequence.
    held: String,
}

impl Stops {
    pub(super) fn new(sequences: impl Iterator<Item = String>) -> Self {
        Self {
            sequences: sequences.filter(|text| !text.is_empty()).collect(),
            held: String::new(),
        }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Whether the client named this sequence.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.sequences.iter().any(|known| known == text)
    }

    /// Take in text: what of it is certain, and the sequence that ends it, if
    /// one was met.
    pub(super) fn feed(&mut self, text: &str) -> (String, Option<String>) {
        self.held.push_str(text);
        let met = self
            .sequences
            .iter()
            .filter_map(|sequence| Some((self.held.find(sequence)?, sequence)))
            .min_by_key(|(at, _)| *at);
        if let Some((at, sequence)) = met {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), Some(sequence.clone()));
        }
        let begun = self
            .sequences
            .iter()
            .map(|sequence| begun(&self.held, sequence));
        let certain = self.held.len() - begun.max().unwrap_or(0);
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// The text ends here, or something else comes before more of it.
    pub(super) fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end of `text` begin `tag`.
pub(super) fn begun(text: &str, tag: &str) -> usize {
    let longest = tag.len().min(text.len());
    let is_begun = |length: &usize| text.as_bytes().ends_with(&tag.as_bytes()[..*length]);
    (1..=longest).rev().find(is_begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text`, cut anywhere, gives `certain` and then `met`.
    #[track_caller]
    fn check(sequences: &[&str], text: &str, certain: &str, met: Option<&str>) {
        for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let mut stops = Stops::new(sequences.iter().map(|text| text.to_string()));
            let mut got = String::new();
            let mut found = None;
            for piece in [&text[..cut], &text[cut..]] {
                if found.is_none() {
                    let (more, stop) = stops.feed(piece);
                    got.push_str(&more);
                    found = stop;
                }
            }
            got.push_str(&stops.flush());
            assert_eq!((&*got, found.as_deref()), (certain, met), "cut at {cut}");
        }
    }

    #[test]
    fn text_is_cut_at_the_first_sequence() {
        check(&["END"], "aENDb", "a", Some("END"));
        check(&["x", "END"], "ENENDx", "EN", Some("END"));
        check(&["é!"], "ééé!", "éé", Some("é!"));
        check(&["END"], "the EN", "the EN", None);
        check(&[], "END", "END", None);
    }
}
