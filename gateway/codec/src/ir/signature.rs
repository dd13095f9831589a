//! Signatures of ours: what marks reasoning that a foreign upstream gave.

/// Begins every signature that the gateway wrote; its version and a dot follow.
/// The rest is the business of the dialect that wrote it.
pub const SIGNATURE_PREFIX: &str = "sluice";

/// Whether the gateway wrote this signature: Anthropic would refuse it.
pub fn is_own_signature(signature: &str) -> bool {
    let rest = signature.strip_prefix(SIGNATURE_PREFIX);
    rest.is_some_and(|rest| {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < rest.len() && digits.starts_with('.')
    })
}
