//! Text against all patterns at once, as it arrives.
//!
//! ```text
//! so EMP-1 | 23 and        held: from the earliest thread on
//!    ^     ^
//!    |     text so far
//!    thread: a pattern that began here, and what it waits for
//! ```
//! The earliest match counts, and of those the longest; so a match is replaced
//! when no thread that began with it or before it is left. What no thread began
//! in is given out at once. Where the text was cut makes no difference.

use std::sync::Arc;

use crate::set::{Begin, Set};

/// Farthest that a thread is followed, in bytes: what is held back at most. Longer
/// than any key; a private RSA key of 8192 bits is half of it.
const MATCH_BYTES_MAX: usize = 16 << 10;

/// A whole text with everything replaced. Patterns that need what it has not are
/// not looked for: most texts have no `@`.
pub(crate) fn redacted(set: &Arc<Set>, text: &str) -> String {
    let mut has = [false; 256];
    text.bytes().for_each(|byte| has[usize::from(byte)] = true);
    let may_be = |begin: &&Begin| begin.needs.iter().all(|c| has[usize::from(*c)]);
    let begins: Vec<_> = set.begins.iter().filter(may_be).cloned().collect();
    if begins.is_empty() {
        return text.to_owned();
    }
    let mut scanner = Scanner::with(set.clone(), begins);
    let mut out = scanner.feed(text);
    out.push_str(&scanner.finish());
    out
}

/// A pattern under way.
#[derive(Clone, Copy, Debug)]
struct Thread {
    /// The step that takes the next character.
    step: usize,
    /// Where in the held text it began.
    start: usize,
}

/// A text under way.
#[derive(Debug)]
pub(crate) struct Scanner {
    set: Arc<Set>,
    /// The patterns that are looked for.
    begins: Arc<[Begin]>,
    /// Bytes with which one of them may begin.
    opens: [bool; 256],
    /// Text that is not given out. Positions below are in it.
    held: String,
    /// How far it was looked at: `at <= held.len()`.
    at: usize,
    /// In the order of their starts.
    threads: Vec<Thread>,
    /// The best match so far.
    found: Option<(usize, usize)>,
    /// Whether anything was replaced since it was last asked.
    replaced: bool,
    /// Round in which a step last got a thread: it needs no second one.
    marks: Vec<u64>,
    round: u64,
    /// Room for the threads of the next character.
    room: Vec<Thread>,
}

impl Scanner {
    pub(crate) fn new(set: Arc<Set>) -> Self {
        let begins = set.begins.clone();
        Self::with(set, begins)
    }

    fn with(set: Arc<Set>, begins: Vec<Begin>) -> Self {
        let opens = |byte: usize| begins.iter().any(|it| it.with.get(byte) != Some(&false));
        Self {
            marks: vec![0; set.steps.len()],
            set,
            opens: std::array::from_fn(opens),
            begins: begins.into(),
            held: String::new(),
            at: 0,
            threads: Vec::new(),
            found: None,
            replaced: false,
            round: 0,
            room: Vec::new(),
        }
    }

    /// More text; what is certain of it comes back.
    pub(crate) fn feed(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.run(false)
    }

    /// No more text: all of it comes back, and the scanner is as new.
    pub(crate) fn finish(&mut self) -> String {
        self.run(true)
    }

    /// Whether anything was replaced since this was last asked.
    pub(crate) fn has_replaced(&mut self) -> bool {
        std::mem::take(&mut self.replaced)
    }

    fn run(&mut self, ended: bool) -> String {
        let (set, begins) = (self.set.clone(), self.begins.clone());
        let mut out = String::new();
        // Up to here everything is given out or replaced.
        let mut done = 0;
        loop {
            loop {
                self.skip();
                let Some(c) = self.held[self.at..].chars().next() else {
                    break;
                };
                self.step(&set, &begins, c);
                if self.found.is_some() && self.threads.is_empty() {
                    break;
                }
            }
            let is_settled = self.threads.is_empty() || ended;
            match self.found.filter(|_| is_settled) {
                Some((start, end)) => {
                    out.push_str(&self.held[done..start]);
                    out.push_str(&set.replacement);
                    self.replaced = true;
                    (self.found, done, self.at) = (None, end, end);
                    self.threads.clear();
                }
                None => break,
            }
        }
        if ended {
            self.threads.clear();
        }
        let first = self.threads.iter().map(|thread| thread.start);
        let certain = first
            .chain(self.found.map(|(start, _)| start))
            .min()
            .unwrap_or(self.at);
        out.push_str(&self.held[done..certain]);
        self.held.drain(..certain);
        self.at -= certain;
        for thread in &mut self.threads {
            thread.start -= certain;
        }
        if let Some((start, end)) = &mut self.found {
            (*start, *end) = (*start - certain, *end - certain);
        }
        out
    }

    /// On to the next character that a pattern may begin with, if none is under way.
    fn skip(&mut self) {
        if self.threads.is_empty() && self.found.is_none() {
            let rest = &self.held.as_bytes()[self.at..];
            let opens = |byte: &u8| self.opens[usize::from(*byte)];
            self.at += rest.iter().position(opens).unwrap_or(rest.len());
        }
    }

    /// One character further.
    fn step(&mut self, set: &Set, begins: &[Begin], c: char) {
        let mut threads = std::mem::take(&mut self.threads);
        if self.found.is_none() {
            self.round += 1;
            for thread in &threads {
                self.marks[thread.step] = self.round;
            }
            for begin in begins {
                if begin.with.get(c as usize) != Some(&false) {
                    self.add(set, begin.step, self.at, &mut threads);
                }
            }
        }
        self.at += c.len_utf8();
        self.round += 1;
        let mut next = std::mem::take(&mut self.room);
        for Thread { step, start } in threads.drain(..) {
            let is_near = self.at - start <= MATCH_BYTES_MAX;
            let step_taken = set.steps[step].as_ref();
            if let Some(taken) = step_taken.filter(|it| is_near && it.takes(c)) {
                if taken.repeats {
                    self.add(set, step, start, &mut next);
                }
                self.add(set, step + 1, start, &mut next);
            }
        }
        if let Some((start, _)) = self.found {
            next.retain(|thread| thread.start <= start);
        }
        (self.threads, self.room) = (next, threads);
    }

    /// A thread at `step`, and at those behind it that can be reached without a
    /// character. The first to come is the one that began first.
    fn add(&mut self, set: &Set, step: usize, start: usize, threads: &mut Vec<Thread>) {
        if self.marks[step] == self.round {
            return;
        }
        self.marks[step] = self.round;
        match &set.steps[step] {
            None => {
                // Of the earliest, the longest: it has come last.
                if self.found.is_none_or(|(best, _)| start <= best) {
                    self.found = Some((start, self.at));
                }
            }
            Some(here) => {
                threads.push(Thread { step, start });
                if here.is_optional {
                    self.add(set, step + 1, start, threads);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{literal, parse};

    #[track_caller]
    fn check(patterns: &[&str], text: &str, expected: &str) {
        let mut set = Set::new("#".into());
        patterns
            .iter()
            .for_each(|pattern| set.add(parse(pattern).unwrap()));
        let set = Arc::new(set);
        assert_eq!(redacted(&set, text), expected);
        // Cut at every place.
        for (at, _) in text.char_indices() {
            let mut scanner = Scanner::new(set.clone());
            let parts = [
                scanner.feed(&text[..at]),
                scanner.feed(&text[at..]),
                scanner.finish(),
            ];
            assert_eq!(parts.concat(), expected, "cut at {at}");
        }
    }

    #[test]
    fn the_earliest_and_longest_match_counts() {
        check(&["ab", "abcd", "bc"], "abc abcd bc", "#c # #");
        check(&["a+b", "a"], "aaab aaa", "# ###");
        check(&["a.*z", "b"], "a b z b", "# #");
        check(&["a.*z", "b"], "a b\nb", "a #\n#");
        check(&["x[^x]*x"], "x\u{e4}\u{f6}x x", "# x");
        check(&["aab"], "aaab", "a#");
        check(&["[0-9]{2,3}"], "1 12 1234567", "1 # ##7");
        check(&[r"\w+@\w+"], "a@ b@c@d", "a@ #@d");
        check(&[], "as it is", "as it is");
    }

    #[test]
    fn nothing_is_held_that_can_be_no_match() {
        let mut set = Set::new("#".into());
        set.add(literal("secret").unwrap());
        let mut scanner = Scanner::new(Arc::new(set));
        assert_eq!(scanner.feed("a sec"), "a ");
        assert_eq!(scanner.feed("tion s"), "section ");
        assert_eq!(scanner.feed("ecret!"), "#!");
        assert_eq!(scanner.feed("se"), "");
        assert_eq!(scanner.finish(), "se");
    }

    #[test]
    fn a_thread_is_followed_only_so_far() {
        let long = format!("({}", "x".repeat(2 * MATCH_BYTES_MAX));
        let mut set = Set::new("#".into());
        set.add(parse(r"\([^)]*\)").unwrap());
        let mut scanner = Scanner::new(Arc::new(set));
        let out = scanner.feed(&long);
        assert!(long.len() - out.len() <= MATCH_BYTES_MAX);
        assert_eq!(out + &scanner.finish(), long);
    }
}
