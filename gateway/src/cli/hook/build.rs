//! `sluice hook build`: the tools of a hook's language, run in its folder.
//!
//! A folder with a `hook.yaml` is built as that says; one with a `Cargo.toml` alone
//! by cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::{Report, read_text};
use crate::config::from_yaml;

/// How a folder says that it is built.
const RECIPE: &str = "hook.yaml";

/// What Rust hooks are built for.
const TARGET: &str = "wasm32-wasip2";

/// What to build.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The hook's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<Report, String> {
        build(&self.folder, &[])
    }
}

/// Build the hook in `folder`, with these variables for the tools beside the
/// process's own, and say where the component is. The tools print as they like.
///
/// # Errors
/// What is missing and how to get it, or which command failed.
pub fn build(folder: &Path, variables: &[(&str, &str)]) -> Result<Report, String> {
    let recipe = folder.join(RECIPE);
    let wasm = if recipe.is_file() {
        let recipe = Recipe::parse(&read_text(&recipe)?)
            .map_err(|why| format!("{}: {why}", recipe.display()))?;
        recipe.follow(folder, variables)?
    } else if folder.join("Cargo.toml").is_file() {
        cargo(folder, variables)?
    } else {
        return Err(format!(
            "{}: neither `{RECIPE}` nor `Cargo.toml`; `sluice hook new` makes a folder that builds",
            folder.display()
        ));
    };
    let size = std::fs::metadata(&wasm).map_err(|_| {
        let wasm = wasm.display();
        format!("the tools ended well, and made no {wasm}")
    })?;
    let wasm = wasm.strip_prefix("./").unwrap_or(&wasm);
    let lines = [format!("{}: {} bytes", wasm.display(), size.len())];
    Ok(Report::good(&lines))
}

// === recipes ===

/// How a hook is built, `hook.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// Programs, or files of the folder, that must be there, and where each comes from.
    #[serde(default)]
    tools: BTreeMap<String, String>,
    /// Commands, one after the other.
    run: Vec<Step>,
    /// The component that they make.
    output: PathBuf,
}

/// A command. No shell reads it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Step {
    /// Words that are separated by spaces.
    Line(String),
    Words(Vec<String>),
}

impl Step {
    fn words(&self) -> Vec<&str> {
        match self {
            Self::Line(line) => line.split_whitespace().collect(),
            Self::Words(words) => words.iter().map(String::as_str).collect(),
        }
    }
}

impl Recipe {
    fn parse(text: &str) -> Result<Self, String> {
        let recipe: Self = from_yaml(text)?;
        match recipe.run.iter().any(|step| step.words().is_empty()) {
            true => Err("an empty command in `run`".into()),
            false => Ok(recipe),
        }
    }

    fn follow(&self, folder: &Path, variables: &[(&str, &str)]) -> Result<PathBuf, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<_> = std::env::split_paths(&path)
            .chain([folder.to_owned()])
            .collect();
        let missing = self.missing(&|tool| places.iter().any(|it| it.join(tool).is_file()));
        if !missing.is_empty() {
            return Err(missing.join("\n"));
        }
        for step in &self.run {
            let words = step.words();
            let (program, words) = words.split_first().expect("a recipe has no empty command");
            let line = step.words().join(" ");
            let mut command = Command::new(program_in(folder, program));
            command.current_dir(folder).args(words);
            command.envs(variables.iter().copied());
            let ended = command
                .status()
                .map_err(|error| format!("`{line}` cannot be run: {error}"))?;
            if !ended.success() {
                return Err(format!("`{line}` failed: {ended}"));
            }
        }
        Ok(folder.join(&self.output))
    }

    /// What is not there, and how to get it.
    fn missing(&self, is_there: &dyn Fn(&str) -> bool) -> Vec<String> {
        let tools = self.tools.iter();
        let missing = tools.filter(|(tool, _)| !is_there(tool));
        missing
            .map(|(tool, source)| format!("`{tool}` is missing; get it: {source}"))
            .collect()
    }
}

/// A program of the folder by its whole path: whether a relative one is looked
/// for before or after the change of folder differs between systems.
fn program_in(folder: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => std::path::absolute(folder.join(program)).unwrap_or_else(|_| folder.join(program)),
        false => program.into(),
    }
}

// === cargo ===

fn cargo(folder: &Path, variables: &[(&str, &str)]) -> Result<PathBuf, String> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder);
    let asked = rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|_| "`cargo` is missing; get it with rustup: https://rustup.rs".to_owned())?;
    let libraries = String::from_utf8_lossy(&asked.stdout);
    if !Path::new(libraries.trim()).is_dir() {
        return Err(format!(
            "the target {TARGET} is missing; get it: `rustup target add {TARGET}`"
        ));
    }
    let mut command = Command::new("cargo");
    command
        .current_dir(folder)
        .envs(variables.iter().copied())
        .args(["build", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .map_err(|error| format!("`cargo` cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`cargo build` failed: {}", output.status));
    }
    component(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "`cargo build` made no component; `crate-type` must have `cdylib`".into())
}

/// The last component that cargo's messages name: a package is built after what
/// it depends on.
fn component(messages: &str) -> Option<PathBuf> {
    let artifacts = messages
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact");
    let mut files = artifacts.flat_map(|message| {
        let files = message["filenames"].as_array().cloned();
        files.unwrap_or_default()
    });
    files.find_map(|file| {
        let file = file.as_str().filter(|file| file.ends_with(".wasm"));
        file.map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(recipe: &str, there: &[&str], expected: Result<&[&str], &str>) {
        let recipe = Recipe::parse(recipe);
        let missing = recipe.map(|recipe| recipe.missing(&|tool| there.contains(&tool)));
        match (missing, expected) {
            (Ok(missing), Ok(expected)) => assert_eq!(missing, expected),
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[test]
    fn missing_tools_are_named_with_where_they_come_from() {
        let recipe = "tools: { cc: a compiler, py: its site }\nrun: [cc a]\noutput: a.wasm\n";
        check(recipe, &["cc", "py"], Ok(&[]));
        check(
            recipe,
            &["py"],
            Ok(&["`cc` is missing; get it: a compiler"]),
        );
        check("run: [a, ' ']\noutput: a\n", &[], Err("an empty command"));
        check("run: [a]\n", &[], Err("missing field `output`"));
        check("run: [[a, b c]]\noutput: a\n", &[], Ok(&[]));
    }

    #[test]
    fn the_component_is_the_last_one_that_cargo_names() {
        let messages = r#"
{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","filenames":["/t/libother.rlib","/t/other.wasm"]}
{"reason":"compiler-artifact","filenames":["/t/mine.wasm","/t/libmine.rlib"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(component(messages), Some("/t/mine.wasm".into()));
        assert_eq!(component("{}"), None);
    }

    #[test]
    fn a_folder_that_does_not_say_how_is_refused() {
        let error = build(Path::new("/nowhere"), &[]).unwrap_err();
        assert!(
            error.starts_with("/nowhere: neither `hook.yaml`"),
            "{error}"
        );
    }
}
