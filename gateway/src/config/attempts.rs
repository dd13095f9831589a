//! `attempts`: how often a call is tried, and what is done about each failure.

use std::collections::HashMap;

use super::document::Node;
use super::native::settings;

/// How a call is tried until a target answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Rounds after the first, of those targets whose failure may pass. None by
    /// default: clients have retries of their own (Claude Code ten, the SDKs two), and
    /// these would multiply them just when an upstream has too much to do.
    pub retries: u32,
    /// Attempts of one call in all: of many targets and keys, each has its rounds.
    pub attempts_max: u32,
    /// Bound of the pause before the first of these rounds, in ms; it doubles.
    pub pause_ms: u64,
    /// Its largest value, in ms. An upstream that asks to be left alone for longer
    /// is not waited for: the client knows better whether it has the time.
    pub pause_ms_max: u64,
    /// Failures in a row that cool a target down.
    pub failures_max: u32,
    /// How long a target is left alone, in ms; it doubles if it still fails.
    pub cooldown_ms: u64,
    /// The longest time, in ms, even if the target asks for more.
    pub cooldown_ms_max: u64,
    /// What is done about each failure.
    pub policy: Policy,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            retries: 0,
            attempts_max: 10,
            pause_ms: 500,
            pause_ms_max: 8_000,
            failures_max: 3,
            cooldown_ms: 5_000,
            cooldown_ms_max: 300_000,
            policy: Policy::default(),
        }
    }
}

/// What an attempt failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection.
    Connect,
    /// No answer began in time.
    Timeout,
    /// The prompt does not fit into the model's window.
    Overflow,
    /// The vendor's policy on content forbids the request.
    ContentPolicy,
    /// The upstream answered with this HTTP status, or with an error that stands for
    /// it; a broken connection is a 502.
    Status(u16),
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// What becomes of the call.
    pub then: Then,
    /// Whether this one failure cools its target down.
    pub cool: bool,
}

impl Act {
    /// No more than `then`.
    pub const fn of(then: Then) -> Self {
        Self { then, cool: false }
    }

    const fn cooling(then: Then) -> Self {
        Self { then, cool: true }
    }
}

/// What becomes of a call after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It fails.
    Fail,
    /// Other targets are tried.
    Next,
    /// Other targets are tried, and then this one again.
    Retry,
}

/// The failures that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Is(Failure),
    /// All statuses with this first digit.
    Class(u16),
}

impl When {
    /// Its name in the file.
    fn name(self) -> String {
        match self {
            Self::Is(Failure::Connect) => "connect".into(),
            Self::Is(Failure::Timeout) => "timeout".into(),
            Self::Is(Failure::Overflow) => "overflow".into(),
            Self::Is(Failure::ContentPolicy) => "content_policy".into(),
            Self::Is(Failure::Status(status)) => status.to_string(),
            Self::Class(class) => format!("{class}xx"),
        }
    }
}

/// What is done about each failure. A status has its own row, or that of its class.
#[derive(Clone, Debug, Eq)]
pub struct Policy(Vec<(When, Act)>);

/// Two that do the same about every failure are alike, whatever their rows' order.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|row| other.0.contains(row))
    }
}

impl Default for Policy {
    fn default() -> Self {
        use Failure::{Connect, ContentPolicy, Overflow, Status, Timeout};
        use When::{Class, Is};
        Self(vec![
            (Is(Connect), Act::of(Then::Retry)),
            // It has taken minutes already.
            (Is(Timeout), Act::of(Then::Next)),
            // These two have fallbacks of their own.
            (Is(Overflow), Act::of(Then::Fail)),
            (Is(ContentPolicy), Act::of(Then::Fail)),
            // What is wrong with the request is wrong for every target.
            (Is(Status(400)), Act::of(Then::Fail)),
            (Is(Status(413)), Act::of(Then::Fail)),
            (Is(Status(422)), Act::of(Then::Fail)),
            // The key is wrong or exhausted, and will be for a while.
            (Is(Status(401)), Act::cooling(Then::Next)),
            (Is(Status(402)), Act::cooling(Then::Next)),
            (Is(Status(403)), Act::cooling(Then::Next)),
            (Is(Status(408)), Act::of(Then::Retry)),
            (Is(Status(409)), Act::of(Then::Retry)),
            (Is(Status(429)), Act::cooling(Then::Retry)),
            (Class(4), Act::of(Then::Next)),
            (Class(5), Act::of(Then::Retry)),
        ])
    }
}

impl Policy {
    /// What is done about `failure`.
    pub fn act(&self, failure: Failure) -> Act {
        let row = |when| self.0.iter().find(|(known, _)| *known == when);
        let class = match failure {
            Failure::Status(status) => row(When::Class(status / 100)),
            _ => None,
        };
        let row = row(When::Is(failure)).or(class);
        row.map_or(Act::of(Then::Fail), |(_, act)| *act)
    }

    /// The rows that `other` has not, by their names in the file.
    pub(super) fn unlike(&self, other: &Self) -> Vec<(String, Act)> {
        let rows = self.0.iter().filter(|row| !other.0.contains(row));
        rows.map(|(when, act)| (when.name(), *act)).collect()
    }

    /// After `failure` the call goes on as `then` says; its target is left alone as
    /// before.
    pub(super) fn go_on(&mut self, failure: Failure, then: Then) {
        let act = self.act(failure);
        self.set(When::Is(failure), Act { then, ..act });
    }

    fn set(&mut self, when: When, act: Act) {
        self.0.retain(|(known, _)| *known != when);
        self.0.push((when, act));
    }
}

/// Read `attempts`.
pub(super) fn read(node: &Node<'_>) -> Attempts {
    let members = node.object(&settings::ATTEMPTS);
    let default = Attempts::default();
    let count = |name: &str, min: u64, default: u64| {
        let written = members.get(name).and_then(|node| node.count(min));
        written.unwrap_or(default)
    };
    let small = |name: &str, min: u64, default: u32| {
        u32::try_from(count(name, min, default.into())).unwrap_or(u32::MAX)
    };
    Attempts {
        retries: small("retries", 0, default.retries),
        attempts_max: small("attempts_max", 1, default.attempts_max),
        pause_ms: count("pause_ms", 0, default.pause_ms),
        pause_ms_max: count("pause_ms_max", 0, default.pause_ms_max),
        failures_max: small("failures_max", 1, default.failures_max),
        cooldown_ms: count("cooldown_ms", 0, default.cooldown_ms),
        cooldown_ms_max: count("cooldown_ms_max", 0, default.cooldown_ms_max),
        policy: policy(&members),
    }
}

fn policy(members: &HashMap<String, Node<'_>>) -> Policy {
    let mut policy = Policy::default();
    for (name, node) in members.get("on").map(Node::members).unwrap_or_default() {
        let Some(when) = when(&name) else {
            let help = "write a status (`429`), a class (`5xx`), `connect`, `timeout`, `overflow` or `content_policy`";
            node.error(format!("`{name}` is no failure"), Some(help.into()));
            continue;
        };
        if let Some(act) = act(&node) {
            policy.set(when, act);
        }
    }
    policy
}

fn when(name: &str) -> Option<When> {
    match name {
        "connect" => return Some(When::Is(Failure::Connect)),
        "timeout" => return Some(When::Is(Failure::Timeout)),
        "overflow" => return Some(When::Is(Failure::Overflow)),
        "content_policy" => return Some(When::Is(Failure::ContentPolicy)),
        "4xx" => return Some(When::Class(4)),
        "5xx" => return Some(When::Class(5)),
        _ => {}
    }
    let status = name.parse().ok();
    let status = status.filter(|status| (400..600).contains(status))?;
    Some(When::Is(Failure::Status(status)))
}

/// `retry`, or `[retry, cool]`.
fn act(node: &Node<'_>) -> Option<Act> {
    const THEN: [(&str, Then); 3] = [
        ("fail", Then::Fail),
        ("next", Then::Next),
        ("retry", Then::Retry),
    ];
    if node.value().is_string() {
        return node.choice(&THEN).map(Act::of);
    }
    let words = node.list();
    let (cools, words): (Vec<_>, Vec<_>) = words
        .iter()
        .partition(|word| word.value().as_str() == Some("cool"));
    match (words.as_slice(), cools.len()) {
        ([word], 0) => word.choice(&THEN).map(Act::of),
        ([word], 1) => word.choice(&THEN).map(Act::cooling),
        _ => {
            let help = "write `retry`, `next` or `fail`, or `[retry, cool]`";
            node.error("not what can be done about a failure", Some(help.into()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_own_row_or_that_of_its_class() {
        let default = Policy::default();
        let mut own = default.clone();
        own.set(When::Class(5), Act::of(Then::Next));
        own.set(When::Is(Failure::Status(503)), Act::cooling(Then::Retry));
        let status = Failure::Status;
        for (failure, expected, expected_own) in [
            (Failure::Connect, Act::of(Then::Retry), Act::of(Then::Retry)),
            (Failure::Timeout, Act::of(Then::Next), Act::of(Then::Next)),
            (Failure::Overflow, Act::of(Then::Fail), Act::of(Then::Fail)),
            (status(400), Act::of(Then::Fail), Act::of(Then::Fail)),
            (
                status(401),
                Act::cooling(Then::Next),
                Act::cooling(Then::Next),
            ),
            (status(404), Act::of(Then::Next), Act::of(Then::Next)),
            (
                status(429),
                Act::cooling(Then::Retry),
                Act::cooling(Then::Retry),
            ),
            (status(500), Act::of(Then::Retry), Act::of(Then::Next)),
            (status(503), Act::of(Then::Retry), Act::cooling(Then::Retry)),
            (status(302), Act::of(Then::Fail), Act::of(Then::Fail)),
        ] {
            assert_eq!(default.act(failure), expected, "{failure:?}");
            assert_eq!(own.act(failure), expected_own, "{failure:?}");
        }
    }
}
