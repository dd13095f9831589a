//! Builds the components that the tests run, and names their files for them.

use std::fmt::Write;
use std::path::PathBuf;

/// The packages of `guests/`, where a test checks that none is missing here, and
/// the example that needs no other toolchain.
const GUESTS: [&str; 11] = [
    "guest-cap-to-seven",
    "guest-errands",
    "guest-every-stage",
    "guest-misbehave",
    "guest-onlooker",
    "guest-response-only",
    "guest-scripted",
    "guest-stages",
    "guest-tuesday",
    "guest-versioned",
    "redact-rust",
];

/// The examples that `hooks/examples/build` makes.
const LANGUAGES: [&str; 4] = [
    "redact-c",
    "redact-go",
    "redact-javascript",
    "redact-python",
];

/// Where it put them. Then, and only then, there are tests of them.
const LANGUAGES_FOLDER: &str = "SLUICE_LANGUAGES";

fn main() {
    let workspace = sluice_hook_build::manifest_dir().join("..");
    let mut components = sluice_hook_build::build(&workspace, &GUESTS);
    println!("cargo::rerun-if-env-changed={LANGUAGES_FOLDER}");
    println!("cargo::rustc-check-cfg=cfg(languages)");
    if let Some(folder) = std::env::var_os(LANGUAGES_FOLDER) {
        println!("cargo::rustc-cfg=languages");
        let folder = workspace.join(folder);
        components.extend(LANGUAGES.map(|name| (name, folder.join(format!("{name}.wasm")))));
    }
    let mut list = String::new();
    for (name, wasm) in components {
        let constant = name.replace('-', "_").to_uppercase();
        let _ = writeln!(
            list,
            "/// The component `{name}`.\npub const {constant}: &str = {wasm:?};"
        );
    }
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    std::fs::write(PathBuf::from(out).join("guests.rs"), list).expect("OUT_DIR can be written");
}
