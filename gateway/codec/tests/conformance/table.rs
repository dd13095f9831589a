//! The tables of cases: plain text, one entry a case or a variant of one.
//!
//! ```text
//! === RQ04 results in another order than their calls
//! --- section: argument
//! its text
//! ```
//! Lines before the first entry are a comment.

/// The tables, in the order of the report: title and text.
pub(crate) const TABLES: [(&str, &str); 9] = [
    ("Requests", include_str!("fixtures/requests.txt")),
    ("Answers", include_str!("fixtures/answers.txt")),
    ("Framing", include_str!("fixtures/framing.txt")),
    ("Tool calls", include_str!("fixtures/calls.txt")),
    ("Reasoning", include_str!("fixtures/reasoning.txt")),
    ("Usage and stop reasons", include_str!("fixtures/usage.txt")),
    ("Errors", include_str!("fixtures/errors.txt")),
    ("Reasoning over turns", include_str!("fixtures/turns.txt")),
    ("Elsewhere", include_str!("fixtures/other.txt")),
];

/// Every section there is: a misspelt one would expect nothing.
const SECTIONS: [&str; 22] = [
    "accent",
    "answer",
    "body",
    "choice",
    "chunks",
    "elsewhere",
    "error",
    "estimate",
    "foreign",
    "history",
    "law",
    "losses",
    "messages",
    "not yet",
    "only",
    "request",
    "sse",
    "statuses",
    "stream",
    "turns",
    "typed",
    "unstable",
];

/// One entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The case: `RQ04`.
    pub(crate) id: &'static str,
    /// What should happen, in one line.
    pub(crate) behaviour: &'static str,
    /// Name, argument and text of each section.
    pub(crate) sections: Vec<(&'static str, &'static str, &'static str)>,
}

impl Entry {
    /// The text of the section `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&'static str> {
        let mut sections = self.sections.iter();
        sections
            .find(|(known, ..)| *known == name)
            .map(|(_, _, text)| *text)
    }

    /// The text of the section `name` with this argument, or with none.
    pub(crate) fn text_for(&self, name: &str, argument: &str) -> Option<&'static str> {
        let with = |wanted: &str| {
            self.sections
                .iter()
                .find(|(known, given, _)| *known == name && *given == wanted)
        };
        with(argument)
            .or_else(|| with(""))
            .map(|(_, _, text)| *text)
    }

    /// The argument of the section `name`.
    pub(crate) fn argument(&self, name: &str) -> Option<&'static str> {
        let mut sections = self.sections.iter();
        sections
            .find(|(known, ..)| *known == name)
            .map(|(_, argument, _)| *argument)
    }

    /// For messages of a failed test.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.id, self.behaviour)
    }
}

/// The entries of the table titled `title`.
pub(crate) fn entries(title: &str) -> Vec<Entry> {
    let (_, text) = TABLES
        .iter()
        .find(|(known, _)| *known == title)
        .expect("tests name tables that exist");
    let chunks = text.split("\n=== ").skip(1);
    chunks.map(entry).collect()
}

/// The entries that run in this table: neither `not yet` nor `elsewhere`.
pub(crate) fn running(title: &str) -> Vec<Entry> {
    let mut entries = entries(title);
    entries.retain(|entry| {
        entry.argument("not yet").is_none() && entry.argument("elsewhere").is_none()
    });
    entries
}

fn entry(text: &'static str) -> Entry {
    let mut parts = text.split("\n--- ");
    let head = parts.next().expect("split gives at least one part").trim();
    let (id, behaviour) = head.split_once(' ').unwrap_or((head, ""));
    let sections = parts.map(|part| {
        let (head, text) = part.split_once('\n').unwrap_or((part, ""));
        let (name, argument) = head.split_once(": ").unwrap_or((head, ""));
        assert!(
            SECTIONS.contains(&name),
            "{id}: no section is called {name}"
        );
        (name.trim(), argument.trim(), text.trim_end_matches('\n'))
    });
    Entry {
        id,
        behaviour,
        sections: sections.collect(),
    }
}
