//! Ids of tool calls that an upstream accepts.
//!
//! A client's history holds ids of other vendors. Where an upstream refuses
//! their form, each is replaced by a hash of itself: the same in every request,
//! so prompt caches hold. An answer never names an earlier call, so nothing has
//! to be turned back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::accent::ToolIds;
use crate::hash::hash;

/// Longest id where ids are limited.
/// <https://learn.microsoft.com/azure/ai-foundry/openai/reference> (seen 2026-11).
const CHARS_MAX: usize = 40;

/// Length of Mistral's ids. <https://docs.mistral.ai/capabilities/function_calling>
/// (seen 2026-11).
const MISTRAL_CHARS: usize = 9;

/// The ids of one request.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// Ids in use, and how often the client used each.
    times: HashMap<String, usize>,
    /// As they are made legal, by what they were before.
    known: HashMap<String, String>,
    sent: HashSet<String>,
}

impl Ids {
    /// The id to send for one more call. Two calls under one id could not be told
    /// apart by their results: the second one's gets a number.
    pub(super) fn unused(&mut self, id: &str, form: ToolIds) -> String {
        let mut unused = id.to_owned();
        while self.times.contains_key(&unused) {
            let times = self.times.entry(id.to_owned()).or_insert(1);
            *times += 1;
            unused = format!("{id}_{times}");
        }
        self.times.insert(unused.clone(), 1);
        self.legal(&unused, form).into_owned()
    }

    /// The id to send for `id`: itself if it is legal, otherwise its hash, and
    /// never one that another call of this request already has.
    fn legal<'a>(&mut self, id: &'a str, form: ToolIds) -> Cow<'a, str> {
        if form == ToolIds::Any {
            return Cow::Borrowed(id);
        }
        if let Some(sent) = self.known.get(id) {
            return Cow::Owned(sent.clone());
        }
        let mut sent = id.to_owned();
        while !is_legal(&sent, form) || self.sent.contains(&sent) {
            sent = hashed(&sent, form);
        }
        self.sent.insert(sent.clone());
        self.known.insert(id.to_owned(), sent.clone());
        Cow::Owned(sent)
    }
}

fn is_legal(id: &str, form: ToolIds) -> bool {
    match form {
        ToolIds::Any => true,
        ToolIds::Alphanumeric9 => {
            id.len() == MISTRAL_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
        ToolIds::Max40 => (1..=CHARS_MAX).contains(&id.chars().count()),
    }
}

fn hashed(id: &str, form: ToolIds) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = hash(id.as_bytes());
    if form != ToolIds::Alphanumeric9 {
        return format!("call_{hash:016x}");
    }
    let mut rest = hash;
    let digit = |_| {
        let digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
        char::from(digit)
    };
    (0..MISTRAL_CHARS).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illegal_ids_are_replaced_and_stay_apart() {
        let mut ids = Ids::default();
        let form = ToolIds::Alphanumeric9;
        let sent = ids.legal("toolu_01", form).into_owned();
        assert!(is_legal(&sent, form), "{sent}");
        assert_eq!(ids.legal("toolu_01", form), sent, "one call, one id");
        assert_eq!(
            Ids::default().legal("toolu_01", form),
            sent,
            "in any request"
        );
        assert_eq!(ids.legal("D681PevKs", form), "D681PevKs");
        assert_ne!(ids.legal(&sent, form), sent, "taken by another call");
    }

    #[test]
    fn calls_with_one_id_stay_apart() {
        for form in [ToolIds::Any, ToolIds::Alphanumeric9, ToolIds::Max40] {
            let mut ids = Ids::default();
            let mut sent: Vec<_> = ["a", "a", "a_2", "a"]
                .map(|id| ids.unused(id, form))
                .to_vec();
            assert!(sent.iter().all(|id| is_legal(id, form)), "{sent:?}");
            sent.sort();
            sent.dedup();
            assert_eq!(sent.len(), 4, "{sent:?}");
        }
    }

    #[test]
    fn long_ids_become_short() {
        let (mut ids, long) = (Ids::default(), "x".repeat(41));
        assert_eq!(ids.legal("functions.f:0", ToolIds::Max40), "functions.f:0");
        assert_eq!(ids.legal(&long, ToolIds::Any), long);
        assert!(ids.legal(&long, ToolIds::Max40).len() <= CHARS_MAX);
    }
}
