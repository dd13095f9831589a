//! What the compiler does not check: the direction of dependencies.

use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below `folder`, as paths relative to it, with their text.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at)
            .expect("a folder of the workspace")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(folder)
                    .expect("below it")
                    .display()
                    .to_string();
                found.push((name, std::fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found
}

/// Code without comments.
fn code(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn each_outside_crate_has_one_home() {
    let homes: [(&str, &[&str]); 13] = [
        ("axum", &["server/", "app/", "demo.rs"]),
        ("hyper_util", &["app/connections.rs"]),
        ("reqwest", &["upstream", "hook/outbound.rs"]),
        ("wasmtime::", &["hook/"]),
        ("wasmtime_", &["hook/"]),
        ("notify::", &["config/watch.rs"]),
        ("arc_swap", &["snapshot.rs"]),
        ("redb::", &["kv/disk.rs"]),
        ("redis::aio", &["kv/redis.rs"]),
        ("serde_yaml", &["config/"]),
        ("opentelemetry", &["telemetry.rs", "telemetry/"]),
        ("prost::", &["telemetry/"]),
        ("clap", &["cli/"]),
    ];
    for (file, text) in sources(&workspace().join("gateway/src")) {
        for (name, homes) in homes {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            assert!(
                at_home || !code(&text).contains(name),
                "gateway/src/{file} uses `{name}`, whose home is {homes:?}"
            );
        }
    }
}

#[test]
fn modules_know_only_what_lies_below_them() {
    let strangers: [(&str, &[&str]); 12] = [
        (
            "config/",
            &[
                "crate::server",
                "crate::hook",
                "crate::upstream",
                "crate::pipeline",
                "crate::app",
            ],
        ),
        (
            "hook/",
            &[
                "crate::server",
                "crate::upstream",
                "crate::pipeline",
                "sluice_codec::dialect",
            ],
        ),
        (
            "kv/",
            &[
                "crate::app",
                "crate::call",
                "crate::hook",
                "crate::pipeline",
                "crate::server",
            ],
        ),
        (
            "route/",
            &[
                "crate::hook",
                "crate::upstream",
                "crate::server",
                "crate::health",
            ],
        ),
        (
            "accounts",
            &[
                "crate::call",
                "crate::pipeline",
                "crate::server",
                "crate::hook",
            ],
        ),
        (
            "gate.rs",
            &["crate::call", "crate::pipeline", "crate::server"],
        ),
        (
            "health.rs",
            &["crate::pipeline", "crate::snapshot", "crate::server"],
        ),
        (
            "upstream.rs",
            &["sluice_codec::ir", "crate::hook", "crate::pipeline"],
        ),
        (
            "telemetry",
            &[
                "crate::call",
                "crate::pipeline",
                "crate::server",
                "crate::snapshot",
            ],
        ),
        ("pipeline", &["crate::server", "crate::app"]),
        ("answer.rs", &["crate::server", "crate::app"]),
        ("server/", &["crate::app", "crate::upstream"]),
    ];
    for (file, text) in sources(&workspace().join("gateway/src")) {
        for (module, strangers) in strangers {
            for stranger in strangers {
                let knows = file.starts_with(module) && code(&text).contains(stranger);
                assert!(!knows, "gateway/src/{file} knows `{stranger}`");
            }
        }
    }
}

/// Settings name an accent, counting tokens is of Messages alone, and errors have
/// its kinds: whatever else differs between dialects differs in one file.
#[test]
fn one_file_chooses_between_dialects() {
    const ACCENTS: [&str; 2] = [
        "sluice_codec::dialect::chat::Accent",
        "sluice_codec::dialect::messages::Accent",
    ];
    let homes = ["codecs.rs", "error.rs", "server/tokens.rs"];
    for (file, text) in sources(&workspace().join("gateway/src")) {
        let mut text = code(text.split("#[cfg(test)]").next().unwrap_or(""));
        for accent in ACCENTS {
            text = text.replace(accent, "");
        }
        let knows = text.contains("sluice_codec::dialect") && !file.ends_with("tests.rs");
        assert!(
            !knows || homes.contains(&&*file),
            "gateway/src/{file} names a dialect's codec, which is for `codecs.rs` to do"
        );
    }
}

#[test]
fn the_codec_does_no_io() {
    let manifest =
        std::fs::read_to_string(workspace().join("gateway/codec/Cargo.toml")).expect("text");
    for name in [
        "tokio", "axum", "reqwest", "wasmtime", "tracing", "fastrand",
    ] {
        assert!(!manifest.contains(name), "the codec depends on `{name}`");
    }
    for (file, text) in sources(&workspace().join("gateway/codec/src")) {
        for name in ["std::time", "std::fs", "std::net", "println!"] {
            assert!(
                !code(&text).contains(name),
                "gateway/codec/src/{file} uses `{name}`"
            );
        }
        let dialects = [
            ("dialect/chat", "dialect::messages"),
            ("dialect/messages", "dialect::chat"),
        ];
        for (dialect, other) in dialects {
            let imports = file.starts_with(dialect) && code(&text).contains(other);
            assert!(!imports, "gateway/codec/src/{file} imports another dialect");
        }
    }
}

#[test]
fn every_guest_is_built_and_every_bundled_hook_is_documented() {
    let script = std::fs::read_to_string(workspace().join("tests/build.rs")).expect("text");
    for guest in std::fs::read_dir(workspace().join("tests/guests"))
        .expect("a folder")
        .flatten()
    {
        let name = guest.file_name().display().to_string();
        assert!(
            script.contains(&format!("\"guest-{name}\"")),
            "tests/build.rs does not build `{name}`"
        );
    }
    for hook in std::fs::read_dir(workspace().join("hooks"))
        .expect("a folder")
        .flatten()
        .filter(|hook| hook.file_name() != "examples")
    {
        let readme = hook.path().join("README.md");
        assert!(readme.is_file(), "{} is missing", readme.display());
        for (file, text) in sources(&hook.path().join("src")) {
            let alone = code(text.split("#[cfg(test)]").next().unwrap_or(""));
            let lines = alone.lines().filter(|line| !line.trim().is_empty());
            // A hook is a template. Its schema takes twenty lines; what needs more, a
            // parser or a state machine, is a file of its own, on one screen or two.
            let most = if file == "lib.rs" { 85 } else { 170 };
            let lines = lines.count();
            assert!(
                lines <= most,
                "{}/src/{file} is no template any more: {lines} lines",
                hook.path().display()
            );
        }
    }
}

#[test]
fn every_example_is_built_and_documented() {
    let script = std::fs::read_to_string(workspace().join("tests/build.rs")).expect("text");
    let folders = std::fs::read_dir(workspace().join("hooks/examples"))
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.path().is_dir());
    for example in folders {
        let readme = example.path().join("README.md");
        assert!(readme.is_file(), "{} is missing", readme.display());
        let name = example.file_name().display().to_string();
        assert!(
            script.contains(&format!("\"redact-{name}\"")),
            "tests/build.rs knows nothing of the example in `{name}`"
        );
    }
}
