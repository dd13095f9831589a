//! Builds the components of `guests/`, and names their files for the tests.

use std::fmt::Write;
use std::path::PathBuf;

/// The packages of `guests/`; a test checks that none is missing here.
const GUESTS: [&str; 7] = [
    "guest-cap-to-seven",
    "guest-errands",
    "guest-misbehave",
    "guest-response-only",
    "guest-scripted",
    "guest-stages",
    "guest-tuesday",
];

fn main() {
    let workspace = sluice_hook_build::manifest_dir().join("..");
    let mut list = String::new();
    for (name, wasm) in sluice_hook_build::build(&workspace, &GUESTS) {
        let constant = name.replace('-', "_").to_uppercase();
        let _ = writeln!(
            list,
            "/// The component `{name}`.\npub const {constant}: &str = {wasm:?};"
        );
    }
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    std::fs::write(PathBuf::from(out).join("guests.rs"), list).expect("OUT_DIR can be written");
}
