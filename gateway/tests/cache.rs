//! Where compiled hooks are kept: in a folder that nobody else has anything in.

use std::process::Command;

/// Wasmtime deletes whatever it does not know beside its own files.
#[test]
fn a_folder_that_has_something_else_in_it_keeps_that() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("notes.txt"), "mine").expect("it takes a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let done = command
        .arg("check")
        .env("SLUICE_CACHE", folder.path())
        .env_remove("SLUICE_CONFIG")
        .output()
        .expect("the binary was built");
    assert!(done.status.success(), "{done:?}");
    let entries = std::fs::read_dir(folder.path()).expect("it is there");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["compiled", "notes.txt"]);
}
