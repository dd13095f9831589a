//! The book: one page of it is generated from the WIT, and its links lead somewhere.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

// === the reference of the stages ===

const HEAD: &str = "\
# The interface, stage by stage

`sluice:hooks` 0.1.0, from its WIT ([wit/0.1.0](../../wit/0.1.0)): first the stages, in the order in which a
call meets them, then the functions that every hook may import, then the words they share. What a version
promises: [wit/CHANGELOG.md](../../wit/CHANGELOG.md). This page is generated; to change it, change a comment
there and run

```sh
UPDATE_STAGES=1 cargo test -p sluice-tests --test e2e docs
```
";

/// The parts of the page, and the file of each.
const PARTS: [(&str, &[&str]); 4] = [
    ("Stages", &["stages.wit"]),
    ("What a hook may import", &["call.wit", "host.wit"]),
    ("Shared words", &["types.wit"]),
    ("Worlds", &["worlds.wit"]),
];

#[test]
fn the_reference_says_what_the_wit_says() {
    let page = workspace().join("docs/hooks/stages.md");
    let reference = reference();
    if std::env::var_os("UPDATE_STAGES").is_some() {
        std::fs::write(&page, reference).expect("the page can be written");
        return;
    }
    assert!(
        std::fs::read_to_string(&page).unwrap_or_default() == reference,
        "docs/hooks/stages.md is not what the WIT says; rewrite it with\n\
         UPDATE_STAGES=1 cargo test -p sluice-tests --test e2e docs"
    );
}

fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (title, files) in PARTS {
        _ = writeln!(page, "\n## {title}");
        for file in files {
            section(&mut page, &read(&workspace().join("wit/0.1.0").join(file)));
        }
    }
    page
}

/// One file: a heading for each interface or world, and an item for each line in it,
/// with what its comment says.
fn section(page: &mut String, wit: &str) {
    let mut comment: Vec<&str> = Vec::new();
    for line in wit.lines() {
        let depth = (line.len() - line.trim_start().len()) / 4;
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
            continue;
        }
        let name = line.trim_end_matches([',', ';', '{', ' ']);
        if name.is_empty()
            || name == "}"
            || name.starts_with("use ")
            || name.starts_with("package ")
        {
            continue;
        }
        if depth == 0 {
            let (_, heading) = name.split_once(' ').unwrap_or(("", name));
            _ = write!(page, "\n### {heading}\n\n");
            let prose = comment.join("\n");
            page.push_str(&prose);
            page.push_str(if prose.is_empty() { "" } else { "\n\n" });
        } else {
            let indent = "  ".repeat(depth - 1);
            let break_indent = format!("\n{indent}  ");
            let says = if comment.is_empty() { "" } else { ": " };
            _ = writeln!(
                page,
                "{indent}- `{name}`{says}{}",
                comment.join(&break_indent)
            );
        }
        comment.clear();
    }
}

// === links ===

/// The pages: all Markdown that is under version control, but for fixtures.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let is_foreign = ["target", "build", "node_modules", "templates"]
            .iter()
            .any(|it| name == *it);
        if path.is_dir() && !is_foreign && !name.display().to_string().starts_with('.') {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The headings of a page, as they are linked to.
fn anchors(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|title| {
            let title = title.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
            title
                .chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut found = Vec::new();
    pages(&workspace(), &mut found);
    let mut dead = Vec::new();
    for page in found {
        let text = read(&page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = match path {
                "" => page.clone(),
                path => page.parent().expect("a page has a folder").join(path),
            };
            let is_there = to.exists()
                && (anchor.is_empty() || anchors(&read(&to)).iter().any(|it| it == anchor));
            if !is_there {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links to nowhere:\n{}", dead.join("\n"));
}
