//! All patterns of a hook as one list of steps, for the scanner to follow.

use crate::pattern::Step;

/// Patterns, and what stands in the place of their matches.
#[derive(Debug)]
pub(crate) struct Set {
    /// All steps of all patterns; none where a pattern has come to its end.
    pub(crate) steps: Vec<Option<Step>>,
    pub(crate) begins: Vec<Begin>,
    pub(crate) replacement: String,
}

/// Where a pattern begins.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub(crate) step: usize,
    /// Which ASCII characters it begins with.
    pub(crate) with: [bool; 128],
    /// ASCII characters that every match has.
    pub(crate) needs: Vec<u8>,
}

impl Set {
    pub(crate) fn new(replacement: String) -> Self {
        Self {
            steps: Vec::new(),
            begins: Vec::new(),
            replacement,
        }
    }

    pub(crate) fn add(&mut self, pattern: Vec<Step>) {
        let needed = pattern.iter().position(|step| !step.is_optional);
        let first = &pattern[..=needed.unwrap_or(0)];
        self.begins.push(Begin {
            step: self.steps.len(),
            with: std::array::from_fn(|c| first.iter().any(|step| step.ascii[c])),
            needs: pattern.iter().filter_map(Step::needs).collect(),
        });
        self.steps.extend(pattern.into_iter().map(Some));
        self.steps.push(None);
    }
}
