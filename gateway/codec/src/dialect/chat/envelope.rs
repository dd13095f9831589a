//! The signature of reasoning that a foreign upstream gave.
//!
//! Clients return thinking blocks with their signature verbatim, so the
//! signature carries what the next request needs to know: whose reasoning it
//! is, and the field it came in. Versioned, and never sent to Anthropic.

use crate::ir::SIGNATURE_PREFIX as PREFIX;

/// What a signature of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// The upstream that the reasoning belongs to.
    pub(super) family: &'a str,
    /// The field it came in.
    pub(super) field: &'a str,
}

impl<'a> Envelope<'a> {
    /// The signature's text.
    pub(super) fn seal(&self) -> String {
        format!("{PREFIX}{}.{}", self.field, self.family)
    }

    /// Read a signature; none if it is not one of ours.
    pub(super) fn open(signature: &'a str) -> Option<Self> {
        let (field, family) = signature.strip_prefix(PREFIX)?.split_once('.')?;
        matches!(
            field,
            "reasoning"
                | "reasoning_content"
                | "reasoning_text"
                | "reasoning_details"
                | "content"
                | "tags"
        )
        .then_some(Self { family, field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let envelope = Envelope {
            family: "up.stream",
            field: "reasoning",
        };
        assert_eq!(Envelope::open(&envelope.seal()), Some(envelope));
        for foreign in [
            "",
            "sluice1.",
            "sluice1.x",
            "sluice1.evil\".f",
            "EqQBCkgIBhABGAIiQL8",
            "sluice2.reasoning.f",
        ] {
            assert_eq!(Envelope::open(foreign), None, "{foreign}");
        }
    }
}
