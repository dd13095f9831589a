//! The signature of reasoning that a foreign upstream gave.
//!
//! Clients return thinking blocks with their signature verbatim, so the
//! signature carries what the next request needs to know: whose reasoning it
//! is, the field it came in, and what the text cannot hold (`payload.rs`).
//! Versioned, and never sent to Anthropic.
//!
//! ```text
//! sluice1.FIELD.FAMILY
//! sluice2.FIELD.LENGTH.FAMILY PAYLOAD     LENGTH: bytes of FAMILY, no space
//! ```

/// Begins an envelope without a payload.
const PLAIN: &str = "sluice1.";

/// Begins an envelope with a payload.
const LOADED: &str = "sluice2.";

/// What a signature of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// The upstream that the reasoning belongs to.
    pub(super) family: &'a str,
    /// The field it came in.
    pub(super) field: &'a str,
    /// What must go back beside the text: JSON, but whoever opens the envelope
    /// has it from the client, and checks that it is.
    pub(super) payload: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// The signature's text.
    pub(super) fn seal(&self) -> String {
        let Self {
            family,
            field,
            payload,
        } = self;
        match payload {
            None => format!("{PLAIN}{field}.{family}"),
            Some(payload) => format!("{LOADED}{field}.{}.{family}{payload}", family.len()),
        }
    }

    /// Read a signature; none if it is not one of ours.
    pub(super) fn open(signature: &'a str) -> Option<Self> {
        let (field, family, payload) = match signature.strip_prefix(PLAIN) {
            Some(rest) => {
                let (field, family) = rest.split_once('.')?;
                (field, family, None)
            }
            None => {
                let (field, rest) = signature.strip_prefix(LOADED)?.split_once('.')?;
                let (length, rest) = rest.split_once('.')?;
                let (family, payload) = rest.split_at_checked(length.parse().ok()?)?;
                (field, family, Some(payload))
            }
        };
        matches!(
            field,
            "reasoning"
                | "reasoning_content"
                | "reasoning_text"
                | "reasoning_details"
                | "content"
                | "extra_content"
                | "tags"
        )
        .then_some(Self {
            family,
            field,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        for payload in [None, Some(r#"[{"type":"a.b"}]"#), Some("")] {
            let envelope = Envelope {
                family: "up.stream",
                field: "reasoning",
                payload,
            };
            assert_eq!(Envelope::open(&envelope.seal()), Some(envelope));
        }
        for foreign in [
            "",
            "sluice1.",
            "sluice1.x",
            "sluice1.evil\".f",
            "EqQBCkgIBhABGAIiQL8",
            "sluice2.reasoning.f",
            "sluice2.reasoning.9.f",
            "sluice2.reasoning.1.\u{e9}",
            "sluice3.reasoning.f",
        ] {
            assert_eq!(Envelope::open(foreign), None, "{foreign}");
        }
    }
}
