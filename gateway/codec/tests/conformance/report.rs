//! `docs/conformance.md`, generated from the tables: an entry that is listed as
//! passing is one that the other tests of this crate run.

use std::fmt::Write as _;

use crate::pairing::{PAIRINGS, Pairing};
use crate::reasons::{cases, reason};
use crate::table::{Entry, TABLES, entries};

/// The report, from this crate's folder.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");

const HEAD: &str = "\
# Conformance

What the translation promises, case by case, in each pairing of a client's dialect and an upstream's.
This page is generated from the tables in `gateway/codec/tests/conformance/fixtures`, and the tests there
run each entry marked ✓. To change it, change a table and run

```sh
UPDATE_CONFORMANCE=1 cargo test -p sluice-codec --test conformance
```

**M→C** is a Messages client on a Chat Completions upstream, **C→M** a Chat Completions client on a
Messages upstream; **C→C** and **M→M** have one dialect on both sides, whose requests are forwarded.

Every request runs with and without `stream`, and every conversation turn by turn: what goes upstream for
one turn must begin what goes for the next. Every streamed answer is also cut at every byte, gathered
whole, and read by a client that forgives nothing: the order of events (`ir::Order`), the grammar of a
Messages stream, what OpenAI's SDKs expect of chunks. Of a Messages upstream's answer to a Messages
client, all must arrive but its id and its model's name.
";

const KEY: &str = "
✓ passes, with the number of entries; *part*: some entries pass and some are not there yet; *not yet*: an
entry below says what is missing; *e2e*: an end-to-end test, named below, shows it; –: no meaning in this
pairing, and why not.
";

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
        let file = names.next().expect("a place is a file and its tests");
        let source = std::fs::read_to_string(format!("{folder}{file}")).unwrap_or_default();
        for name in names {
            let is_there = source.contains(&format!("fn {name}("));
            assert!(is_there, "{}: no test {name} in {file}", entry.name());
        }
    }
}

fn report() -> String {
    let all: Vec<Entry> = TABLES
        .iter()
        .flat_map(|(title, ..)| entries(title))
        .collect();
    let mut report = format!("{HEAD}{}{}", totals(&all), matrix(&all));
    for (title, _, pairings) in TABLES {
        let columns = pairings.iter().map(|pairing| format!(" {pairing} |"));
        _ = write!(
            report,
            "\n## {title}\n\n{}| case | behaviour |{} note |\n|---|---|{}---|\n",
            intro(title),
            columns.collect::<String>(),
            "---|".repeat(pairings.len())
        );
        for entry in entries(title) {
            report.push_str(&row(&entry, pairings));
        }
    }
    report
}

/// What the entries of a table say of each pairing.
fn intro(title: &str) -> &'static str {
    match title {
        "Requests" => {
            "What each says of its body is said of M→C. In M→M the upstream gets the client's bytes but for the\n\
             model's name, and for thinking that this gateway signed (TR08).\n\n"
        }
        "Requests of Chat clients" => {
            "What each says of its body is said of C→M. In C→C the upstream gets the client's members in their\n\
             bytes but for the model's name and what its vendor options demand.\n\n"
        }
        "Errors" => {
            "The error of an upstream of either dialect, as a client of either reads it.\n\n"
        }
        "Reasoning over turns" => {
            "What a Chat upstream gave, on its way back to it, to another, and to a Messages upstream.\n\n"
        }
        "Reasoning of Messages upstreams over turns" => {
            "The same of what a Messages upstream gave.\n\n"
        }
        _ => "",
    }
}

// === entries ===

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passes,
    NotYet,
    Elsewhere,
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

fn row(entry: &Entry, pairings: &[Pairing]) -> String {
    let of_entry = entry.pairings();
    let runs = outcome(entry) == Outcome::Passes;
    let mut cells = String::new();
    let mut notes: Vec<String> = Vec::new();
    for pairing in pairings {
        let runs = runs && of_entry.contains(pairing);
        _ = write!(cells, " {} |", if runs { form(entry) } else { "–" });
        let without = entry.without(*pairing).filter(|_| !of_entry.is_empty());
        notes.extend(without.map(|why| format!("{pairing}: {why}")));
    }
    for word in ["not yet", "elsewhere", "unstable"] {
        let label = if word == "unstable" { "turns" } else { word };
        let why = entry.argument(word);
        notes.extend(why.map(|why| format!("{label}: {why}")));
    }
    let behaviour = entry.behaviour.replace('|', "\\|");
    let note = notes.join("; ").replace('|', "\\|");
    format!("| {} | {behaviour} |{cells} {note} |\n", entry.id)
}

/// In which form an entry runs: an error stands in the place of the answer, or
/// inside its stream.
fn form(entry: &Entry) -> &'static str {
    let has = |name: &str| entry.text(name).is_some();
    match (has("body") || has("statuses"), has("stream")) {
        (true, false) if has("error") => "✓ whole",
        (false, true) if has("error") => "✓ streamed",
        _ => "✓",
    }
}

// === cases ===

/// How a case stands in a pairing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Passes(usize),
    InPart(usize, usize),
    NotYet,
    Elsewhere,
    NoMeaning,
}

fn standing(all: &[Entry], id: &str, pairing: Pairing) -> Standing {
    let of_case = all
        .iter()
        .filter(|entry| entry.id == id && entry.pairings().contains(&pairing));
    let outcomes: Vec<_> = of_case.map(outcome).collect();
    let count = |wanted| {
        outcomes
            .iter()
            .filter(|outcome| **outcome == wanted)
            .count()
    };
    let (passes, not_yet) = (count(Outcome::Passes), count(Outcome::NotYet));
    match (passes, not_yet, count(Outcome::Elsewhere)) {
        (0, 0, 0) => Standing::NoMeaning,
        (0, 0, _) => Standing::Elsewhere,
        (0, _, 0) => Standing::NotYet,
        (_, 0, _) => Standing::Passes(passes),
        (_, _, e2e) => Standing::InPart(passes + e2e, outcomes.len()),
    }
}

/// How many cases and entries there are of each kind, by pairing.
fn totals(all: &[Entry]) -> String {
    let mut rows = String::from(
        "\n| pairing | cases pass | in part | not yet | e2e | no meaning | entries that run |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for pairing in PAIRINGS {
        let standings: Vec<_> = cases()
            .iter()
            .map(|(id, _)| standing(all, id, pairing))
            .collect();
        let count = |is: fn(&Standing) -> bool| standings.iter().filter(|it| is(it)).count();
        let runs = all.iter().filter(|entry| {
            outcome(entry) == Outcome::Passes && entry.pairings().contains(&pairing)
        });
        _ = writeln!(
            rows,
            "| {pairing} | {} | {} | {} | {} | {} | {} |",
            count(|it| matches!(it, Standing::Passes(_))),
            count(|it| matches!(it, Standing::InPart(..))),
            count(|it| *it == Standing::NotYet),
            count(|it| *it == Standing::Elsewhere),
            count(|it| *it == Standing::NoMeaning),
            runs.count(),
        );
    }
    rows
}

/// Every case in every pairing.
fn matrix(all: &[Entry]) -> String {
    let columns = PAIRINGS.map(|pairing| format!(" {pairing} |")).concat();
    let mut matrix = format!(
        "{KEY}\n## Cases\n\n| case | |{columns} why not |\n|---|---|---|---|---|---|---|\n"
    );
    for (id, title) in cases() {
        let cells = PAIRINGS.map(|pairing| match standing(all, id, pairing) {
            Standing::Passes(entries) => format!(" ✓ {entries} |"),
            Standing::InPart(passes, entries) => format!(" part: {passes} of {entries} |"),
            Standing::NotYet => " not yet |".into(),
            Standing::Elsewhere => " e2e |".into(),
            Standing::NoMeaning => " – |".into(),
        });
        _ = writeln!(
            matrix,
            "| {id} | {title} |{} {} |",
            cells.concat(),
            why_not(all, id)
        );
    }
    matrix
}

/// The reasons for which a case has no meaning in some pairings, each once.
fn why_not(all: &[Entry], id: &str) -> String {
    let mut reasons: Vec<(String, &str)> = Vec::new();
    for pairing in PAIRINGS {
        let Some(why) = reason(id, pairing) else {
            continue;
        };
        if standing(all, id, pairing) != Standing::NoMeaning {
            continue;
        }
        match reasons.iter_mut().find(|(_, known)| *known == why) {
            Some((pairings, _)) => _ = write!(pairings, ", {pairing}"),
            None => reasons.push((pairing.to_string(), why)),
        }
    }
    let all = PAIRINGS.map(|pairing| pairing.to_string()).join(", ");
    let reasons = reasons
        .iter()
        .map(|(pairings, why)| match *pairings == all {
            true => (*why).to_owned(),
            false => format!("{pairings}: {why}"),
        });
    reasons.collect::<Vec<_>>().join("; ")
}
