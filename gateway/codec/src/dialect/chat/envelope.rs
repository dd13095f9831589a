//! The signature of reasoning that a foreign upstream gave.
//!
//! Clients return thinking blocks with their signature verbatim, so the
//! signature carries what the next request needs to know: whose reasoning it
//! is, and the field it came in. Versioned, and never sent to Anthropic.

use serde_json::value::RawValue;

/// Begins every envelope of this version.
const PREFIX: &str = "sluice1.";

/// What a signature of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// The upstream that the reasoning belongs to.
    pub(super) family: &'a str,
    /// The field it came in.
    pub(super) field: &'a str,
    /// Its `reasoning_details`, an array as JSON text, if it came with any.
    pub(super) details: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// The signature's text.
    pub(super) fn seal(&self) -> String {
        let head = format!("{PREFIX}{}.{}", self.field, self.family);
        self.details
            .map_or_else(|| head.clone(), |details| format!("{head}\n{details}"))
    }

    /// Read a signature; none if it is not one of ours.
    pub(super) fn open(signature: &'a str) -> Option<Self> {
        let (field, rest) = signature.strip_prefix(PREFIX)?.split_once('.')?;
        let (family, details) = match rest.split_once('\n') {
            Some((family, details)) => (family, Some(details)),
            None => (rest, None),
        };
        // What a client sends back goes into a body: it must be what we sealed.
        let is_array = |text: &str| serde_json::from_str::<Vec<&RawValue>>(text).is_ok();
        if !details.is_none_or(is_array) {
            return None;
        }
        matches!(
            field,
            "reasoning"
                | "reasoning_content"
                | "reasoning_text"
                | "reasoning_details"
                | "content"
                | "tags"
        )
        .then_some(Self {
            family,
            field,
            details,
        })
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
            details: None,
        };
        assert_eq!(Envelope::open(&envelope.seal()), Some(envelope));
        let envelope = Envelope {
            details: Some("[{\"x\":\"\\n\"}]"),
            ..envelope
        };
        assert_eq!(Envelope::open(&envelope.seal()), Some(envelope));
        for foreign in [
            "",
            "sluice1.",
            "sluice1.x",
            "sluice1.evil\".f",
            "EqQBCkgIBhABGAIiQL8",
            "sluice2.reasoning.f",
            "sluice1.reasoning.f\n[],\"x\":[]",
        ] {
            assert_eq!(Envelope::open(foreign), None, "{foreign}");
        }
    }
}
