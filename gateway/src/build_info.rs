//! What this binary was built from, for `--version`, `/metrics` and bug reports. The
//! values come from `build.rs`.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::hook::bundled;

/// Of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit; `unknown` outside of a clone, and in debug builds, which would be built
/// anew with each commit.
pub const COMMIT: &str = env!("SLUICE_COMMIT");

/// The triple that it was built for.
pub const TARGET: &str = env!("SLUICE_TARGET");

/// The engine's version, as locked.
pub const WASMTIME: &str = env!("SLUICE_WASMTIME");

/// The version of the hook interface.
pub const WIT: &str = env!("SLUICE_WIT");

/// Bytes of a digest that are shown: enough to tell builds apart.
const DIGEST_BYTES: usize = 6;

/// All of it, a fact a line, and the bundled hooks.
pub(crate) fn long() -> String {
    let mut text = format!(
        "{VERSION}\ncommit    {COMMIT}\ntarget    {TARGET}\nwasmtime  {WASMTIME}\ninterface sluice:hooks@{WIT}\nhooks"
    );
    for hook in bundled() {
        text.push_str("\n  ");
        for byte in &Sha256::digest(hook.wasm)[..DIGEST_BYTES] {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, " {}", hook.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_there() {
        let long = long();
        for (name, fact) in [("target", TARGET), ("wasmtime", WASMTIME)] {
            assert!(!fact.is_empty() && fact != "unknown", "{name}: {fact}");
            assert!(long.contains(fact), "{fact} in\n{long}");
        }
        let hooks = long.lines().filter(|line| line.starts_with("  "));
        assert_eq!(hooks.count(), bundled().len());
    }
}
