//! Tool names that Chat Completions accepts, and the way back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::hash::hash;

/// Longest function name that OpenAI accepts.
const NAME_CHARS_MAX: usize = 64;

/// Names that had to be changed in one request: sent, and as the client knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// The name to send for `name`: itself if it is legal, otherwise a slug with
    /// a hash that keeps two long names apart.
    pub(super) fn legal<'a>(&mut self, name: &'a str) -> Cow<'a, str> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_legal) {
            return Cow::Borrowed(name);
        }
        let slug: String = name
            .chars()
            .map(|c| if is_legal(c) { c } else { '_' })
            .take(NAME_CHARS_MAX - 9)
            .collect();
        let sent = format!("{slug}_{:08x}", hash(name.as_bytes()) as u32);
        self.0
            .entry(sent.clone())
            .or_insert_with(|| name.to_owned());
        Cow::Owned(sent)
    }

    /// The client's name for a tool that the model called `sent`.
    pub fn restore<'a>(&'a self, sent: &'a str) -> &'a str {
        self.0.get(sent).map_or(sent, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_names_go_there_and_back() {
        let mut names = Names::default();
        assert_eq!(names.legal("Bash"), "Bash");
        let long = format!("mcp__server.with.dots__{}", "x".repeat(80));
        let twin = format!("{long}y");
        for name in [&long, &twin, &"ünï".to_owned()] {
            let sent = names.legal(name).into_owned();
            assert!(
                sent.len() <= 64 && sent.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                "{sent}"
            );
            assert_eq!(names.restore(&sent), name);
        }
        assert_ne!(names.legal(&long), names.legal(&twin));
    }
}
