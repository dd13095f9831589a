//! Builds hooks from a build script, so that one plain `cargo build` makes the
//! gateway and the components inside it.
//!
//! Runs the same cargo again for `wasm32-wasip2`, in a target directory of its
//! own (its own lock, so no deadlock) and without the outer build's variables
//! (its flags are for another target).

#![expect(
    clippy::print_stdout,
    reason = "build scripts speak to cargo on standard output"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables of the outer build that would change the inner one.
const FOREIGN: [&str; 9] = [
    "RUSTC",
    "RUSTFLAGS",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "TARGET",
    "HOST",
    "OUT_DIR",
    "CLIPPY_ARGS",
    "MAKEFLAGS",
];

/// What hooks are built for.
const TARGET: &str = "wasm32-wasip2";

/// The folder of the package whose build script this is: asked for when it runs,
/// because a target directory may be kept while its checkout moves.
///
/// # Panics
/// If it is not called from a build script.
pub fn manifest_dir() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    PathBuf::from(folder.expect("cargo sets CARGO_MANIFEST_DIR for build scripts"))
}

/// Build `packages` of the workspace at `workspace` and return their components
/// by package name.
///
/// # Panics
/// If it is not called from a build script, or the build fails: with what to do.
pub fn build<'p>(workspace: &Path, packages: &[&'p str]) -> Vec<(&'p str, PathBuf)> {
    let out =
        PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let target_dir = out.join("hooks");
    add_target(workspace);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace)
        .args(["build", "--release", "--locked", "--target", TARGET]);
    command.arg("--target-dir").arg(&target_dir);
    for package in packages {
        command.args(["--package", package]);
    }
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_foreign = FOREIGN.contains(&&*name)
            || name.starts_with("RUSTC_")
            || name.starts_with("DEP_")
            || (name.starts_with("CARGO_")
                && name != "CARGO_HOME"
                && !name.starts_with("CARGO_NET")
                && !name.starts_with("CARGO_HTTP")
                && !name.starts_with("CARGO_REGIST"));
        if is_foreign {
            command.env_remove(&*name);
        }
    }
    // Small files, and nothing in them of the machine that built them.
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    command
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("RUSTFLAGS", remap(workspace, "."));
    let status = command.status().expect("cargo can be run again");
    assert!(
        status.success(),
        "building the hooks {packages:?} failed; if the target is missing: `rustup target add {TARGET}`"
    );
    let release = target_dir.join(TARGET).join("release");
    packages
        .iter()
        .map(|package| {
            let stem = package.replace('-', "_");
            watch_sources(&release.join(format!("{stem}.d")), workspace);
            (*package, release.join(format!("{stem}.wasm")))
        })
        .collect()
}

/// `rust-toolchain.toml` names the target, and rustup installs it, unless it was
/// told not to (`RUSTUP_AUTO_INSTALL=0`). Without rustup the build itself will
/// say what is missing.
fn add_target(workspace: &Path) {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let found = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let is_there = found.is_ok_and(|found| {
        let folder = String::from_utf8_lossy(&found.stdout);
        Path::new(folder.trim()).is_dir()
    });
    if !is_there {
        let _ = Command::new("rustup")
            .current_dir(workspace)
            .args(["target", "add", TARGET])
            .status();
    }
}

/// Have cargo run the build script again when a source of the hook changes.
fn watch_sources(dep_info: &Path, workspace: &Path) {
    println!(
        "cargo::rerun-if-changed={}",
        workspace.join("Cargo.lock").display()
    );
    println!(
        "cargo::rerun-if-changed={}",
        workspace.join("wit").display()
    );
    let Ok(text) = std::fs::read_to_string(dep_info) else {
        return;
    };
    let sources = text
        .split_once(": ")
        .map_or("", |(_, sources)| sources.lines().next().unwrap_or(""));
    // Make's escape for a space in a path is the only one that cargo writes.
    for source in sources.replace("\\ ", "\u{0}").split(' ') {
        println!("cargo::rerun-if-changed={}", source.replace('\u{0}', " "));
    }
}
