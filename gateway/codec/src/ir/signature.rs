//! Signatures of ours: what marks reasoning that a foreign upstream gave.

/// Begins every signature that the gateway wrote, of this version. What follows
/// is the business of the dialect that wrote it.
pub const SIGNATURE_PREFIX: &str = "sluice1.";

/// Whether the gateway wrote this signature: Anthropic would refuse it.
pub fn is_own_signature(signature: &str) -> bool {
    signature.starts_with(SIGNATURE_PREFIX)
}
