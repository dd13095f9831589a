//! `docs/conformance.md`, generated from the tables: an entry that is listed as
//! passing is one that the other tests of this crate run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::table::{Entry, TABLES, entries};

/// The report, from this crate's folder.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");

const HEAD: &str = "\
# Conformance

What the translation promises, case by case. This page is generated from the tables in
`gateway/codec/tests/conformance/fixtures`, and the tests there run each entry marked ✓. To change it,
change a table and run

```sh
UPDATE_CONFORMANCE=1 cargo test -p sluice-codec --test conformance
```

The columns name pairings of a client's dialect and an upstream's: **M→C** is a Messages client on a Chat
Completions upstream. *Whole* and *streamed* are the form of the answer: a request runs in both; an error
stands in the place of the answer, with an HTTP status, or inside its stream. Every streamed answer is also
cut at every byte, gathered whole, and checked against the order of events (`ir::Order`) and the grammar
that Messages clients rely on.
";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passes,
    NotYet,
    Elsewhere,
}

#[test]
fn the_report_says_what_the_tables_say() {
    let report = report();
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(REPORT, report).expect("the report can be written");
        return;
    }
    let written = std::fs::read_to_string(REPORT).unwrap_or_default();
    assert!(
        written == report,
        "docs/conformance.md is not what the tables say; rewrite it with\n\
         UPDATE_CONFORMANCE=1 cargo test -p sluice-codec --test conformance"
    );
}

/// An end-to-end test that a table names exists.
#[test]
fn elsewhere_is_somewhere() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    for entry in TABLES.iter().flat_map(|(title, ..)| entries(title)) {
        let Some(place) = entry.argument("elsewhere") else {
            continue;
        };
        let mut names = place.split('`').skip(1).step_by(2);
        let Some(file) = names.next() else {
            assert!(
                place.starts_with("the pairing "),
                "{}: {place}",
                entry.name()
            );
            continue;
        };
        let source = std::fs::read_to_string(format!("{folder}{file}")).unwrap_or_default();
        for name in names {
            let is_there = source.contains(&format!("fn {name}("));
            assert!(is_there, "{}: no test {name} in {file}", entry.name());
        }
    }
}

fn report() -> String {
    let mut tables = String::new();
    let mut outcomes: BTreeMap<&str, Vec<Outcome>> = BTreeMap::new();
    for (title, ..) in TABLES {
        _ = write!(
            tables,
            "\n## {title}\n\n| case | behaviour | M→C whole | M→C streamed | note |\n|---|---|---|---|---|\n"
        );
        for entry in entries(title) {
            outcomes.entry(entry.id).or_default().push(outcome(&entry));
            tables.push_str(&row(&entry));
        }
    }
    format!("{HEAD}{}{tables}", totals(&outcomes))
}

fn outcome(entry: &Entry) -> Outcome {
    if entry.argument("not yet").is_some() {
        Outcome::NotYet
    } else if entry.argument("elsewhere").is_some() {
        Outcome::Elsewhere
    } else {
        Outcome::Passes
    }
}

fn row(entry: &Entry) -> String {
    let (id, behaviour) = (entry.id, entry.behaviour.replace('|', "\\|"));
    let note = |word, argument| {
        entry
            .argument(argument)
            .map(|reason| format!("| {id} | {behaviour} | – | – | {word}: {reason} |\n"))
    };
    note("not yet", "not yet")
        .or_else(|| note("elsewhere", "elsewhere"))
        .unwrap_or_else(|| {
            let [whole, streamed] = forms(entry).map(|runs| if runs { "✓" } else { "–" });
            let note = entry.argument("unstable").unwrap_or("");
            format!("| {id} | {behaviour} | {whole} | {streamed} | {note} |\n")
        })
}

/// Whether an entry runs whole, and streamed.
fn forms(entry: &Entry) -> [bool; 2] {
    let has = |name: &str| entry.text(name).is_some();
    if !has("error") {
        return [true, true];
    }
    [has("body") || has("statuses"), has("stream")]
}

fn totals(outcomes: &BTreeMap<&str, Vec<Outcome>>) -> String {
    let entries = |wanted| {
        let all = outcomes.values().flatten();
        all.filter(|outcome| **outcome == wanted).count()
    };
    let (mut pass, mut part, mut not_yet, mut elsewhere) = (0, 0, 0, 0);
    for outcomes in outcomes.values() {
        let has = |wanted| outcomes.contains(&wanted);
        match (has(Outcome::Passes), has(Outcome::NotYet)) {
            (true, false) => pass += 1,
            (true, true) => part += 1,
            (false, true) => not_yet += 1,
            (false, false) => elsewhere += 1,
        }
    }
    format!(
        "\n| | in all | pass | pass in part | not yet | elsewhere |\n|---|---|---|---|---|---|\n\
         | cases | {} | {pass} | {part} | {not_yet} | {elsewhere} |\n\
         | entries | {} | {} | – | {} | {} |\n\n\
         An entry that is *not yet* says what is missing; one that is *elsewhere* names the end-to-end test that\n\
         runs it, or the pairing that it belongs to, and counts neither for nor against its case.\n",
        outcomes.len(),
        outcomes.values().map(Vec::len).sum::<usize>(),
        entries(Outcome::Passes),
        entries(Outcome::NotYet),
        entries(Outcome::Elsewhere),
    )
}
