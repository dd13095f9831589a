//! The tables of cases: plain text, one entry a case or a variant of one.
//!
//! ```text
//! === RQ04 results in another order than their calls
//! --- section: argument
//! its text
//! ```
//! Lines before the first entry are a comment.

use crate::pairing::{CC, CM, Dialect, MC, MM, PAIRINGS, Pairing};

/// A table: its title, its text, and the pairings that its entries run in.
pub(crate) type Table = (&'static str, &'static str, &'static [Pairing]);

/// The tables, in the order of the report.
pub(crate) const TABLES: [Table; 13] = [
    ("Requests", include_str!("fixtures/requests.txt"), &[MC, MM]),
    (
        "Requests of Chat clients",
        include_str!("fixtures/chat_requests.txt"),
        &[CM, CC],
    ),
    ("Answers", include_str!("fixtures/answers.txt"), &[MC, CC]),
    ("Framing", include_str!("fixtures/framing.txt"), &[MC, CC]),
    ("Tool calls", include_str!("fixtures/calls.txt"), &[MC, CC]),
    (
        "Reasoning",
        include_str!("fixtures/reasoning.txt"),
        &[MC, CC],
    ),
    (
        "Usage and stop reasons",
        include_str!("fixtures/usage.txt"),
        &[MC, CC],
    ),
    (
        "Answers of Messages upstreams",
        include_str!("fixtures/messages_answers.txt"),
        &[CM, MM],
    ),
    ("Errors", include_str!("fixtures/errors.txt"), &PAIRINGS),
    (
        "Errors of Messages upstreams",
        include_str!("fixtures/messages_errors.txt"),
        &[CM, MM],
    ),
    (
        "Reasoning over turns",
        include_str!("fixtures/turns.txt"),
        &PAIRINGS,
    ),
    (
        "Reasoning of Messages upstreams over turns",
        include_str!("fixtures/messages_turns.txt"),
        &PAIRINGS,
    ),
    ("Elsewhere", include_str!("fixtures/other.txt"), &[MC]),
];

/// Every section there is: a misspelt one would expect nothing.
const SECTIONS: [&str; 32] = [
    "accent",
    "answer",
    "body",
    "chat answer",
    "chat request",
    "choice",
    "chunks",
    "elsewhere",
    "error",
    "estimate",
    "events",
    "foreign",
    "forwarded",
    "history",
    "law",
    "losses",
    "message",
    "messages",
    "beside",
    "not yet",
    "only",
    "refused",
    "request",
    "returned",
    "sent",
    "sse",
    "statuses",
    "stream",
    "turns",
    "typed",
    "unstable",
    "without",
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
    /// The pairings of its table.
    pairings: &'static [Pairing],
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
        self.exact(name, argument).or_else(|| self.exact(name, ""))
    }

    /// The text of the section `name` with exactly this argument.
    pub(crate) fn exact(&self, name: &str, argument: &str) -> Option<&'static str> {
        let mut sections = self.sections.iter();
        sections
            .find(|(known, given, _)| *known == name && *given == argument)
            .map(|(_, _, text)| *text)
    }

    /// The argument of the section `name`.
    pub(crate) fn argument(&self, name: &str) -> Option<&'static str> {
        let mut sections = self.sections.iter();
        sections
            .find(|(known, ..)| *known == name)
            .map(|(_, argument, _)| *argument)
    }

    /// The pairings that the entry says something of: those of its table but for
    /// which it says `without`. What is not there yet is missing at one upstream's
    /// side, the table's first; a test that runs elsewhere has one client and one
    /// upstream.
    pub(crate) fn pairings(&self) -> Vec<Pairing> {
        let first = self.pairings[0];
        let counts = |pairing: &Pairing| {
            let of_kind = match (self.argument("elsewhere"), self.argument("not yet")) {
                (Some(_), _) => *pairing == first,
                (_, Some(_)) => pairing.upstream == first.upstream,
                _ => self.is_checked(*pairing),
            };
            of_kind && self.without(*pairing).is_none()
        };
        self.pairings.iter().copied().filter(counts).collect()
    }

    /// Whether the entry says what is expected in a pairing: of a table of turns,
    /// at one of the upstreams, or for one of the clients.
    fn is_checked(&self, pairing: Pairing) -> bool {
        let has = |name: &str| self.argument(name).is_some();
        let is_turn = has("history") || has("foreign") || has("returned");
        match pairing.upstream {
            _ if self.pairings.len() < PAIRINGS.len() => true,
            _ if has("messages") => pairing.client == Dialect::Messages,
            Dialect::Chat if is_turn => has("history") || has("foreign"),
            Dialect::Messages if is_turn => has("returned"),
            _ => true,
        }
    }

    /// Why the entry does not run in a pairing of its table: `without: C→C why`.
    pub(crate) fn without(&self, pairing: Pairing) -> Option<&'static str> {
        let wanted = pairing.to_string();
        let mut sections = self.sections.iter();
        sections.find_map(|(name, argument, _)| {
            let (of, why) = argument.split_once(' ')?;
            (*name == "without" && of == wanted).then_some(why)
        })
    }

    /// For messages of a failed test.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.id, self.behaviour)
    }
}

/// The entries of the table titled `title`.
pub(crate) fn entries(title: &str) -> Vec<Entry> {
    let (_, text, pairings) = TABLES
        .iter()
        .find(|(known, ..)| *known == title)
        .expect("tests name tables that exist");
    let chunks = text.split("\n=== ").skip(1);
    chunks.map(|text| entry(text, pairings)).collect()
}

/// The entries that run in this table: neither `not yet` nor `elsewhere`.
pub(crate) fn running(title: &str) -> Vec<Entry> {
    let mut entries = entries(title);
    entries.retain(|entry| {
        entry.argument("not yet").is_none() && entry.argument("elsewhere").is_none()
    });
    entries
}

fn entry(text: &'static str, pairings: &'static [Pairing]) -> Entry {
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
        pairings,
    }
}
