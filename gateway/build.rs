//! Builds the bundled hooks and lists them for `hook::bundled`.

use std::fmt::Write;
use std::path::PathBuf;

/// The folders of `hooks/` that ship inside the binary.
const HOOKS: [&str; 12] = [
    "cap-max-tokens",
    "cost-cap",
    "drop-params",
    "fold-system",
    "force-stream",
    "inject-usage",
    "long-context",
    "redact",
    "rename-model",
    "strip-thinking",
    "think-tags",
    "tool-rescue",
];

fn main() {
    let workspace = sluice_hook_build::manifest_dir().join("..");
    let mut list = String::from(
        "/// The hooks inside the binary.\npub fn bundled() -> &'static [Bundled] {\n    &[\n",
    );
    for (name, wasm) in sluice_hook_build::build(&workspace, &HOOKS) {
        let _ = writeln!(
            list,
            "        Bundled {{ name: {name:?}, wasm: include_bytes!({wasm:?}) }},"
        );
    }
    list.push_str("    ]\n}\n");
    let out =
        PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    std::fs::write(out.join("bundled.rs"), list).expect("OUT_DIR can be written");
}
