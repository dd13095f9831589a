//! The laws of `sluice-codec`, for fuzz targets; they are written down in
//! `tests/laws/law`, and run over the corpus by `cargo test -p sluice-codec`.

#[path = "../../tests/laws/law/mod.rs"]
mod law;

/// Hold the law `name` against `input`: panics where it is broken.
pub fn check(name: &str, input: &[u8]) {
    let (_, law) = law::LAWS
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("a law of that name");
    law(input);
}
