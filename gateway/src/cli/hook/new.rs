//! `sluice hook new`: a folder with a hook that builds, and a test of it.
//!
//! The templates are the files of `gateway/templates`, one folder a language, all
//! of the same hook. What they need of the project, the interface and the Rust
//! SDK, comes with them, in the version of this very gateway.

use std::path::{Path, PathBuf};

use super::{Report, write};

/// The name that templates have where a hook's goes.
const PLACEHOLDER: &str = "my-hook";

/// Where a folder keeps the interface.
const WIT: &str = "wit/deps/sluice-hooks";

/// Where a folder keeps the Rust SDK.
const SDK: &str = "sdk/";

/// A text, and where it goes below a folder.
type File = (&'static str, &'static str);

/// A language, and the files of its template.
struct Template {
    language: &'static str,
    files: &'static [File],
}

include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What to make.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The hook's language: rust, python, js, go or c.
    #[arg(long, value_name = "LANGUAGE")]
    pub lang: String,
    /// The folder to make; its last part is the hook's name.
    #[arg(value_name = "NAME")]
    pub folder: PathBuf,
    /// Rust: refer to the SDK at this path (`hook-sdk` of a clone), in place of a
    /// copy of it.
    #[arg(long, value_name = "PATH")]
    pub sdk: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<Report, String> {
        new(&self.lang, &self.folder, self.sdk.as_deref())
    }
}

/// Make `folder`, with a hook of its name in `language`.
///
/// # Errors
/// If the language, the name or the folder will not do.
pub fn new(language: &str, folder: &Path, sdk: Option<&Path>) -> Result<Report, String> {
    let template = template(language)?;
    let name = name(folder)?;
    if folder.exists() {
        return Err(format!("{}: there is something already", folder.display()));
    }
    let sdk = match sdk {
        Some(sdk) => Some(
            std::path::absolute(sdk)
                .ok()
                .filter(|sdk| sdk.join("Cargo.toml").is_file())
                .ok_or_else(|| format!("--sdk {}: no Cargo.toml there", sdk.display()))?,
        ),
        None => None,
    };
    for (path, text) in files(template, name, sdk.as_deref()) {
        write(&folder.join(path), &text)?;
    }
    let place = folder.display();
    Ok(Report::good(&[
        format!("{place}: a hook in {language}; its README.md says what is where. Next:"),
        format!("  cd {place}"),
        "  sluice hook build".into(),
    ]))
}

fn template(language: &str) -> Result<&'static Template, String> {
    let known = TEMPLATES.iter();
    let names: Vec<_> = known.map(|template| template.language).collect();
    let found = TEMPLATES
        .iter()
        .find(|template| template.language == language);
    found.ok_or_else(|| {
        format!(
            "no template for `{language}`; there are {}",
            names.join(", ")
        )
    })
}

/// The hook's name: of packages in every language, of a file, and of a chain entry.
fn name(folder: &Path) -> Result<&str, String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let is_name = |name: &&str| {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(letters)
            && !name.ends_with('-')
            && !name.contains("--")
    };
    name.filter(is_name).ok_or_else(|| {
        format!(
            "{}: a hook's name is lower case letters, digits and single `-`, and begins with a letter",
            folder.display()
        )
    })
}

/// The files of a folder, by their path in it.
fn files(template: &Template, name: &str, sdk: Option<&Path>) -> Vec<(String, String)> {
    let named = |text: &str| {
        text.replace(PLACEHOLDER, name)
            .replace(&PLACEHOLDER.replace('-', "_"), &name.replace('-', "_"))
    };
    let own = template
        .files
        .iter()
        .map(|(path, text)| (named(path), named(text)));
    let mut files: Vec<_> = own.collect();
    let is_rust = template.language == "rust";
    let brought: Vec<_> = match (is_rust, sdk) {
        (true, Some(path)) => {
            let [copy, there] = [format!("{SDK}hook-sdk"), path.display().to_string()];
            for (_, text) in &mut files {
                *text = text.replace(&format!("\"{copy}\""), &format!("'{there}'"));
            }
            Vec::new()
        }
        (true, None) => SDK_FILES
            .iter()
            .map(|(path, text)| (format!("{SDK}{path}"), *text))
            .collect(),
        (false, _) => WIT_FILES
            .iter()
            .map(|(path, text)| (format!("{WIT}/{path}"), *text))
            .collect(),
    };
    files.extend(
        brought
            .into_iter()
            .map(|(path, text)| (path, text.to_owned())),
    );
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(folder: &str, expected: Result<&str, &str>) {
        match (name(Path::new(folder)), expected) {
            (Ok(name), Ok(expected)) => assert_eq!(name, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[test]
    fn names_are_names_everywhere() {
        check("a", Ok("a"));
        check("some/where/cool-down-2", Ok("cool-down-2"));
        for name in [
            "",
            "2cool",
            "Cool",
            "cool_down",
            "cool-",
            "co--ol",
            "cöl",
            "..",
        ] {
            check(name, Err("a hook's name is"));
        }
    }

    #[test]
    fn every_template_is_whole() {
        for template in TEMPLATES {
            let files = files(template, "cool-down", None);
            let has = |path: &str| files.iter().any(|(known, _)| known == path);
            let language = template.language;
            for path in [
                "README.md",
                ".gitignore",
                "tests/request.json",
                "tests/expected.txt",
            ] {
                assert!(has(path), "{language} has no {path}");
            }
            assert!(has("hook.yaml") || has("Cargo.toml"), "{language}");
            assert!(has("wit/deps/sluice-hooks/stages.wit") || has("sdk/hook-sdk/Cargo.toml"));
            for (path, text) in &files {
                assert!(
                    !path.contains(PLACEHOLDER) && !text.contains(PLACEHOLDER),
                    "{path}"
                );
                // Nothing that only a workspace can read.
                assert!(!text.contains("workspace = true"), "{path}");
            }
        }
    }

    #[test]
    fn templates_are_one_hook_in_many_languages() {
        let tests = |template: &Template| {
            let files = template.files.iter();
            let tests: Vec<_> = files
                .filter(|(path, _)| path.starts_with("tests/"))
                .collect();
            format!("{tests:?}")
        };
        for template in TEMPLATES {
            assert_eq!(
                tests(template),
                tests(&TEMPLATES[0]),
                "{}",
                template.language
            );
        }
        let languages: Vec<_> = TEMPLATES.iter().map(|it| it.language).collect();
        assert_eq!(languages, ["c", "go", "js", "python", "rust"]);
    }

    #[test]
    fn an_unknown_language_says_which_there_are() {
        let error = new("cobol", Path::new("a"), None).unwrap_err();
        assert!(
            error.starts_with("no template for `cobol`; there are "),
            "{error}"
        );
    }
}
