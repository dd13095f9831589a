//! The laws of this crate, held over the inputs that are kept.
//!
//! Fuzz targets look for inputs that break a law (`fuzz/`); those that they found,
//! and some to begin with, lie in `fuzz/corpus`, one folder a law. Here each law
//! runs over its folder with the ordinary toolchain.

use std::path::Path;

mod law;

#[test]
fn the_laws_hold_over_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut broken = Vec::new();
    for (name, law) in law::LAWS {
        let folder = std::fs::read_dir(corpus.join(name)).expect("a folder of the law's name");
        let mut files: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "nothing to hold `{name}` against");
        for file in files {
            let input = std::fs::read(&file).expect("a readable file");
            if std::panic::catch_unwind(|| law(&input)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "these break their laws: {broken:?}");
}
