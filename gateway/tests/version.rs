//! What `sluice --version` says: what a report of a bug needs.

use std::process::Command;

fn says(argument: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let done = command
        .arg(argument)
        .output()
        .expect("the binary was built");
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn the_long_form_names_what_the_binary_is_made_of() {
    let long = says("--version");
    let first = concat!("sluice ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(long.starts_with(first), "{long}");
    for fact in [
        "commit ",
        "target ",
        "wasmtime ",
        "sluice:hooks@",
        " tool-rescue\n",
    ] {
        assert!(long.contains(fact), "{fact} in\n{long}");
    }
    assert_eq!(says("-V"), first);
}
