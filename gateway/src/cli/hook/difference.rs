//! What differs between two texts, line by line, and between two JSON values,
//! pointer by pointer.

use serde_json::Value;

/// Longest value that is shown whole, in characters: a line for people.
const SHOWN_MAX: usize = 120;

/// Pairs of lines that are compared at most, a few MB of memory; beyond, what
/// went is shown before what came.
const PAIRS_MAX: usize = 4 << 20;

/// How a line came from one list into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stayed,
    Went,
    Came,
}

impl Fate {
    fn mark(self) -> char {
        match self {
            Self::Stayed => ' ',
            Self::Went => '-',
            Self::Came => '+',
        }
    }
}

/// The lines of both lists with their marks: what stayed, went and came.
pub(super) fn marked<S: AsRef<str>>(before: &[S], after: &[S]) -> Vec<String> {
    let fates = fates(before, after).into_iter();
    fates
        .map(|(fate, line)| format!("{} {line}", fate.mark()))
        .collect()
}

/// The lines that went and came between two texts.
pub(in crate::cli) fn line_changes(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let fates = fates(&before, &after).into_iter();
    let changes = fates.filter(|(fate, _)| *fate != Fate::Stayed);
    changes
        .map(|(fate, line)| format!("{} {line}", fate.mark()))
        .collect()
}

fn fates<'l, S: AsRef<str>>(before: &'l [S], after: &'l [S]) -> Vec<(Fate, &'l str)> {
    let is_same = |a: &S, b: &S| a.as_ref() == b.as_ref();
    let mut pairs = before.iter().zip(after);
    let head = pairs.position(|(a, b)| !is_same(a, b));
    let head = head.unwrap_or(before.len().min(after.len()));
    let (head, before) = before.split_at(head);
    let after = &after[head.len()..];
    let mut pairs = before.iter().rev().zip(after.iter().rev());
    let tail = pairs.position(|(a, b)| !is_same(a, b));
    let tail = tail.unwrap_or(before.len().min(after.len()));
    let (before, tail) = before.split_at(before.len() - tail);
    let after = &after[..after.len() - tail.len()];

    let stayed = |line: &'l S| (Fate::Stayed, line.as_ref());
    let mut fates: Vec<_> = head.iter().map(stayed).collect();
    if before.len().saturating_mul(after.len()) > PAIRS_MAX {
        fates.extend(before.iter().map(|line| (Fate::Went, line.as_ref())));
        fates.extend(after.iter().map(|line| (Fate::Came, line.as_ref())));
    } else {
        common(before, after, &mut fates);
    }
    fates.extend(tail.iter().map(stayed));
    fates
}

/// The longest common subsequence, and what is not in it.
fn common<'l, S: AsRef<str>>(before: &'l [S], after: &'l [S], fates: &mut Vec<(Fate, &'l str)>) {
    // longest[i][j]: of before[i..] and after[j..].
    let width = after.len() + 1;
    let mut longest = vec![0_u32; (before.len() + 1) * width];
    let is_same = |i: usize, j: usize| before[i].as_ref() == after[j].as_ref();
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            longest[i * width + j] = match is_same(i, j) {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        let is_pair = i < before.len() && j < after.len() && is_same(i, j);
        let goes = j == after.len()
            || (i < before.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]);
        if is_pair {
            fates.push((Fate::Stayed, before[i].as_ref()));
            (i, j) = (i + 1, j + 1);
        } else if goes {
            fates.push((Fate::Went, before[i].as_ref()));
            i += 1;
        } else {
            fates.push((Fate::Came, after[j].as_ref()));
            j += 1;
        }
    }
}

// === JSON ===

/// What differs, `/max_tokens 64000 -> 4096` a line.
pub(in crate::cli) fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    compare(&mut String::new(), Some(before), Some(after), &mut changes);
    changes
}

fn compare(
    pointer: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<String>,
) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let part = key.replace('~', "~0").replace('/', "~1");
                below(pointer, &part, old.get(key), new.get(key), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                below(pointer, &at.to_string(), old.get(at), new.get(at), changes);
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(format!("{pointer} {} -> {}", shown(before), shown(after))),
    }
}

fn below(
    pointer: &mut String,
    part: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<String>,
) {
    let end = pointer.len();
    pointer.push('/');
    pointer.push_str(part);
    compare(pointer, before, after, changes);
    pointer.truncate(end);
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "none".into();
    };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_lines(before: &str, after: &str, expected: &str) {
        let before: Vec<_> = before.split_whitespace().collect();
        let after: Vec<_> = after.split_whitespace().collect();
        let marked: Vec<_> = marked(&before, &after)
            .iter()
            .map(|line| line.replacen(' ', "", 1).trim().to_owned())
            .collect();
        assert_eq!(marked.join(" "), expected);
    }

    #[test]
    fn lines_stay_go_and_come() {
        check_lines("a b c", "a b c", "a b c");
        check_lines("a b c", "a x c", "a -b +x c");
        check_lines("a b c d e", "b x d", "-a b -c +x d -e");
        check_lines("", "a", "+a");
        check_lines("a a", "a", "a -a");
        check_lines("a stop", "a usage stop", "a +usage stop");
    }

    #[test]
    fn changes_leave_out_what_stays() {
        assert_eq!(line_changes("a\nb\nc\n", "a\nc\nd\n"), ["- b", "+ d"]);
    }

    #[track_caller]
    fn check(before: &Value, after: &Value, expected: &[&str]) {
        assert_eq!(changes(before, after), expected);
    }

    #[test]
    fn values_differ_by_pointer() {
        let before = json!({ "a": 1, "b": { "c/d": [1, 2] }, "e": "x" });
        check(&before, &before, &[]);
        let after = json!({ "a": 2, "b": { "c/d": [1, 3, null] }, "f": {} });
        check(
            &before,
            &after,
            &[
                "/a 1 -> 2",
                "/b/c~1d/1 2 -> 3",
                "/b/c~1d/2 none -> null",
                "/e \"x\" -> none",
                "/f none -> {}",
            ],
        );
        check(&json!(1), &json!([]), &[" 1 -> []"]);
        let long = json!({ "t": "y".repeat(300) });
        let shown = &changes(&json!({}), &long)[0];
        assert!(
            shown.ends_with("y... (302 bytes)") && shown.len() < 160,
            "{shown}"
        );
    }
}
