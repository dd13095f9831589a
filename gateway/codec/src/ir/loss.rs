//! Fields that could not be carried, and why.

use std::fmt;

/// One field that the target's dialect has no place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it stood: `messages[3].content[0].citations`.
    pub path: String,
    /// Why it was dropped.
    pub reason: &'static str,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Most losses that are listed one by one; a body can hold a million fields.
const LISTED_MAX: usize = 64;

/// What one call lost.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    listed: Vec<Loss>,
    unlisted: usize,
}

impl Losses {
    /// Report that what stood at `path` was dropped.
    pub fn report(&mut self, path: impl fmt::Display, reason: &'static str) {
        if self.listed.len() < LISTED_MAX {
            self.listed.push(Loss {
                path: path.to_string(),
                reason,
            });
        } else {
            self.unlisted += 1;
        }
    }

    /// The losses, as many as are listed.
    pub fn listed(&self) -> &[Loss] {
        &self.listed
    }

    /// How many there were in all.
    pub fn count(&self) -> usize {
        self.listed.len() + self.unlisted
    }

    /// Add those of another part of the call.
    pub fn append(&mut self, other: Losses) {
        for loss in other.listed {
            self.report(loss.path, loss.reason);
        }
        self.unlisted += other.unlisted;
    }
}
