//! Why a case has no entry in a pairing.

use std::collections::BTreeSet;

use crate::pairing::{CC, CM, MC, MM, PAIRINGS, Pairing};
use crate::table::{Entry, TABLES, entries};

/// Cases, in which pairings they have no meaning, and why.
const REASONS: &[(&[&str], &[Pairing], &str)] = &[
    (
        &["RQ03"],
        CHAT_CLIENTS,
        "Claude Code alone sends it, and speaks Messages",
    ),
    (
        &["RQ09"],
        CHAT_CLIENTS,
        "no mark of a failed result in Chat Completions: its text says so",
    ),
    (
        &["RQ15", "RQ16"],
        CHAT_CLIENTS,
        "OpenAI's own rule for names is no wider than Anthropic's",
    ),
    (&["RQ17"], CHAT_CLIENTS, "no such thing in Chat Completions"),
    (&["RQ19"], CHAT_CLIENTS, "no such tools in Chat Completions"),
    (
        &["RS06", "SR02"],
        MESSAGES_UPSTREAMS,
        "one place for reasoning in Messages: a block (SR01)",
    ),
    (
        &["RS07", "RS11"],
        MESSAGES_UPSTREAMS,
        "no such shapes in Messages",
    ),
    (
        &["ST05", "ST06"],
        MESSAGES_UPSTREAMS,
        "id and name stand in a block's start alone",
    ),
    (
        &["SR03"],
        MESSAGES_UPSTREAMS,
        "one block at a time in Messages (SF09, ST01)",
    ),
    (
        &["SR06"],
        MESSAGES_UPSTREAMS,
        "tags are left in the text (RS08)",
    ),
    (
        &["SR08"],
        MESSAGES_UPSTREAMS,
        "the upstream heeds it itself (SR07)",
    ),
    (
        &["US03"],
        MESSAGES_UPSTREAMS,
        "one place for usage in Messages",
    ),
    (
        &["US10"],
        MESSAGES_UPSTREAMS,
        "no counts after `message_delta`, which ends it",
    ),
    (&["ER08"], &[CM, CC, MM], WHATEVER),
    (&["US10"], &[CC], WHATEVER),
    (&["ER09", "ER10", "ER11"], &[CM, CC, MM], WHATEVER),
    (&["RQ29"], &[MM], "forwarded as every other message is"),
    (
        &["TR01", "TR02", "TR03", "TR05"],
        MESSAGES_UPSTREAMS,
        "what others gave goes to no Messages upstream (TR08)",
    ),
    (
        &["TR06"],
        &[MC, CC],
        "about Messages upstreams; their reasoning at others: TR07",
    ),
    (
        &["TR10"],
        CHAT_CLIENTS,
        "a Chat client gets no block that it could return; reported with the answer (TR06)",
    ),
    (
        &["TR04"],
        MESSAGES_UPSTREAMS,
        "no Messages endpoint of Gemini's",
    ),
    (
        &["IN01", "IN02", "IN03", "IN04"],
        &[MC, MM],
        "about Chat clients",
    ),
    (
        &["CC01", "CC02", "CC03", "CC04", "CC05", "CC06"],
        CHAT_CLIENTS,
        "Claude Code speaks Messages",
    ),
    (
        &["CC01", "CC02", "CC03", "CC04", "CC05", "CC06"],
        &[MM],
        "its bytes are forwarded (TR06); the rest is the gateway's, as in M→C",
    ),
    (
        &["RP01", "RP02", "RP03", "RP04", "RP05", "RP06"],
        &PAIRINGS,
        "no Responses dialect yet",
    ),
    (
        &["GM01", "GM02", "GM03", "GM04"],
        &PAIRINGS,
        "no Gemini dialect yet",
    ),
];

const CHAT_CLIENTS: &[Pairing] = &[CM, CC];
const MESSAGES_UPSTREAMS: &[Pairing] = &[CM, MM];

/// Of what the gateway does around the codec.
const WHATEVER: &str = "the gateway's, whatever the dialects: M→C's test shows it";

/// All cases: id and title.
pub(crate) fn cases() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("fixtures/cases.txt").lines();
    lines
        .map(|line| line.split_once(' ').expect("an id and a title"))
        .collect()
}

/// Why the case `id` has no entry in `pairing`.
pub(crate) fn reason(id: &str, pairing: Pairing) -> Option<&'static str> {
    REASONS
        .iter()
        .find(|(ids, pairings, _)| ids.contains(&id) && pairings.contains(&pairing))
        .map(|(_, _, why)| *why)
}

/// Every case has, in every pairing, an entry or a reason.
#[test]
fn every_case_is_answered_for_in_every_pairing() {
    let tables = TABLES.iter();
    let all: Vec<Entry> = tables.flat_map(|(title, ..)| entries(title)).collect();
    let known: BTreeSet<_> = cases().into_iter().map(|(id, _)| id).collect();
    for entry in &all {
        assert!(
            known.contains(entry.id),
            "{} is missing in cases.txt",
            entry.id
        );
    }
    let mut open = Vec::new();
    for (id, _) in cases() {
        let of_case: Vec<_> = all.iter().filter(|entry| entry.id == id).collect();
        for pairing in PAIRINGS {
            let mut entries = of_case.iter();
            let has_entry = entries.any(|entry| entry.pairings().contains(&pairing));
            if !has_entry && reason(id, pairing).is_none() {
                open.push(format!("{id} {pairing}"));
            }
        }
    }
    assert!(open.is_empty(), "neither an entry nor a reason: {open:?}");
}
