//! Builds the bundled hooks and lists them for `hook::bundled`; lists the templates
//! of hooks, and what they bring along, for `cli::hook::new`; tells `build_info` what
//! is built.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of the hook interface.
const WIT: &str = "0.1.0";

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
    std::fs::write(out.join("templates.rs"), templates(&workspace))
        .expect("OUT_DIR can be written");
    facts(&workspace);
}

// === facts of the build ===

/// What `build_info` shows. Nothing here fails: a build without git or lock file knows less.
fn facts(workspace: &Path) {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| UNKNOWN.into());
    let target = variable("TARGET");
    let is_release = variable("PROFILE") == "release";
    let commit = is_release.then(|| commit(workspace)).flatten();
    let commit = commit.unwrap_or_else(|| UNKNOWN.into());
    let wasmtime = locked(workspace, "wasmtime").unwrap_or_else(|| UNKNOWN.into());
    for (name, value) in [
        ("TARGET", &*target),
        ("COMMIT", &commit),
        ("WASMTIME", &wasmtime),
        ("WIT", WIT),
    ] {
        println!("cargo::rustc-env=SLUICE_{name}={value}");
    }
}

const UNKNOWN: &str = "unknown";

/// The commit, if the workspace is a clone. Only release builds ask: others would be
/// built anew with each commit.
fn commit(workspace: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        let done = command.args(arguments).current_dir(workspace).output();
        let said = String::from_utf8(done.ok().filter(|done| done.status.success())?.stdout);
        said.ok().map(|said| said.trim().to_owned())
    };
    // A tarball may have been unpacked inside of another clone.
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if root.canonicalize().ok()? != workspace.canonicalize().ok()? {
        return None;
    }
    // It grows with each commit and checkout.
    let log = workspace.join(git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The version of `package` in the lock file.
fn locked(workspace: &Path, package: &str) -> Option<String> {
    let file = workspace.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", file.display());
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    lines.find(|line| *line == format!("name = \"{package}\""))?;
    let version = lines.next()?.strip_prefix("version = ")?;
    Some(version.trim_matches('"').to_owned())
}

// === templates ===

/// The folders of `templates/`, the interface, and the Rust SDK, as constants.
fn templates(workspace: &Path) -> String {
    let root = workspace.join("gateway/templates");
    println!("cargo::rerun-if-changed={}", root.display());
    let wit = workspace.join("wit").join(WIT);
    let mut sdk = texts(&wit, &format!("wit/{WIT}/"));
    for folder in ["hook-sdk", "hook-sdk/macros"] {
        let at = workspace.join(folder);
        sdk.extend(texts(&at.join("src"), &format!("{folder}/src/")));
        sdk.push((format!("{folder}/Cargo.toml"), manifest(workspace, &at)));
    }
    let mut text = String::from("const TEMPLATES: &[Template] = &[\n");
    for folder in entries(&root) {
        let language = folder.file_name().unwrap_or_default();
        let files = listed(&texts(&folder, ""));
        let _ = writeln!(
            text,
            "Template {{ language: {language:?}, files: {files} }},"
        );
    }
    let wit = listed(&texts(&wit, ""));
    let _ = writeln!(text, "];\nconst WIT_FILES: &[File] = {wit};");
    let _ = writeln!(text, "const SDK_FILES: &[File] = {};", listed(&sdk));
    text
}

/// The text files below `folder`, with `before` before their paths. Cargo runs this
/// script again when one of them changes.
fn texts(folder: &Path, before: &str) -> Vec<(String, String)> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut found = Vec::new();
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().display().to_string();
        if path.is_dir() {
            found.extend(texts(&path, &format!("{before}{name}/")));
        } else {
            let text = std::fs::read_to_string(&path);
            found.push((format!("{before}{name}"), text.expect("templates are text")));
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of the workspace");
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn listed(texts: &[(String, String)]) -> String {
    format!("&{texts:?}")
}

/// A manifest of the SDK as it reads outside the workspace: what it takes from
/// there, in full.
fn manifest(workspace: &Path, package: &Path) -> String {
    let read = |folder: &Path| {
        let file = folder.join("Cargo.toml");
        println!("cargo::rerun-if-changed={}", file.display());
        std::fs::read_to_string(file).expect("a package has a manifest")
    };
    let root = read(workspace);
    let value = |name: &str| {
        let mut lines = root.lines();
        let line = lines.find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.unwrap_or_else(|| panic!("the workspace has no `{name}`"))
    };
    let mut text = String::new();
    let own = read(package);
    let own = own.split("\n[lints]").next().unwrap_or_default();
    for line in own.lines() {
        let _ = match line.strip_suffix(".workspace = true") {
            // The paths of the workspace begin at its root.
            Some(name) => writeln!(text, "{name} = {}", value(name).replace("hook-sdk/", "")),
            None => writeln!(text, "{line}"),
        };
    }
    text
}
