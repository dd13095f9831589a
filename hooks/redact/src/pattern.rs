//! Patterns, read: the part of regular expressions that can be followed as text
//! arrives. Characters, classes and repetitions; alternatives are further
//! patterns, and every match is the longest.

/// Most steps of a pattern, its repetitions written out.
const STEPS_MAX: usize = 1_000;

/// One character of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    class: Class,
    /// Which of the characters below 128 it takes.
    pub(crate) ascii: [bool; 128],
    /// Whether it may be left out.
    pub(crate) is_optional: bool,
    /// Whether it may come again.
    pub(crate) repeats: bool,
}

#[derive(Clone, Debug)]
struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Step {
    fn new(class: Class, is_optional: bool, repeats: bool) -> Self {
        Self {
            ascii: std::array::from_fn(|c| class.takes(char::from(c as u8))),
            class,
            is_optional,
            repeats,
        }
    }

    pub(crate) fn takes(&self, c: char) -> bool {
        let known = self.ascii.get(c as usize);
        known.copied().unwrap_or_else(|| self.class.takes(c))
    }

    /// The one ASCII character that has to be here, if it is only one.
    pub(crate) fn needs(&self) -> Option<u8> {
        match self.class.ranges[..] {
            [(from, to)] if from == to && !self.class.negated && !self.is_optional => {
                u8::try_from(from).ok().filter(u8::is_ascii)
            }
            _ => None,
        }
    }
}

impl Class {
    fn takes(&self, c: char) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(from, to)| (*from..=*to).contains(&c)) != self.negated
    }
}

/// A text as a pattern.
pub(crate) fn literal(text: &str) -> Result<Vec<Step>, String> {
    let steps = text.chars().map(|c| Step::new(one(c), false, false));
    bounded(steps.collect())
}

/// Read a pattern.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut rest = text.chars().peekable();
    let mut steps = Vec::new();
    while let Some(c) = rest.next() {
        let class = match c {
            '\\' => escape(&mut rest)?,
            '[' => class(&mut rest)?,
            '.' => Class {
                negated: true,
                ..one('\n')
            },
            '(' | ')' | '|' => {
                return Err(format!(
                    "`{c}`: there are no groups or alternatives; write several patterns"
                ));
            }
            '^' | '$' => {
                return Err(format!(
                    "`{c}`: a text that arrives has no ends to be bound to"
                ));
            }
            '*' | '+' | '?' | '{' | '}' | ']' => {
                return Err(format!("`{c}` with nothing ahead of it"));
            }
            c => one(c),
        };
        let (least, most) = repetition(&mut rest)?;
        if most.unwrap_or(least) < least || most.unwrap_or(least) > STEPS_MAX {
            return Err(format!(
                "a repetition must be in order, and at most {STEPS_MAX}"
            ));
        }
        let step = |is_optional, repeats| Step::new(class.clone(), is_optional, repeats);
        let optional = most.map_or(0, |most| most - least);
        steps.extend((0..least).map(|_| step(false, false)));
        steps.extend((0..optional).map(|_| step(true, false)));
        match steps.last_mut() {
            Some(last) if most.is_none() && least > 0 => last.repeats = true,
            _ if most.is_none() => steps.push(step(true, true)),
            _ => {}
        }
    }
    bounded(steps)
}

fn bounded(steps: Vec<Step>) -> Result<Vec<Step>, String> {
    if steps.iter().all(|step| step.is_optional) {
        return Err("it would match nothing at all".into());
    }
    if steps.len() > STEPS_MAX {
        return Err(format!("it is longer than {STEPS_MAX} characters"));
    }
    Ok(steps)
}

type Rest<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// How often the step at hand comes: at least, and at most.
fn repetition(rest: &mut Rest<'_>) -> Result<(usize, Option<usize>), String> {
    let bounds = match rest.peek() {
        Some('*') => (0, None),
        Some('+') => (1, None),
        Some('?') => (0, Some(1)),
        Some('{') => {
            let inside: String = rest.skip(1).take_while(|c| *c != '}').collect();
            let number = |text: &str| {
                text.parse()
                    .map_err(|_| format!("`{{{inside}}}` is no repetition"))
            };
            return match inside.split_once(',') {
                None => number(&inside).map(|times| (times, Some(times))),
                Some((least, "")) => Ok((number(least)?, None)),
                Some((least, most)) => Ok((number(least)?, Some(number(most)?))),
            };
        }
        _ => return Ok((1, Some(1))),
    };
    rest.next();
    Ok(bounds)
}

/// What stands behind a backslash.
fn escape(rest: &mut Rest<'_>) -> Result<Class, String> {
    let ranges = match rest.next() {
        Some('d') => vec![('0', '9')],
        Some('w') => vec![('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_')],
        Some('s') => vec![('\t', '\r'), (' ', ' ')],
        Some('n') => vec![('\n', '\n')],
        Some('t') => vec![('\t', '\t')],
        Some(c) if c.is_ascii_punctuation() => vec![(c, c)],
        Some(c) => return Err(format!("`\\{c}` is not known")),
        None => return Err("it ends with `\\`".into()),
    };
    Ok(Class {
        ranges,
        negated: false,
    })
}

/// What stands behind a bracket.
fn class(rest: &mut Rest<'_>) -> Result<Class, String> {
    let mut ranges = Vec::new();
    let negated = rest.next_if_eq(&'^').is_some();
    loop {
        let from = match rest.next() {
            None => return Err("`[` without `]`".into()),
            Some(']') => break,
            Some('\\') => {
                ranges.extend(escape(rest)?.ranges);
                continue;
            }
            Some(c) => c,
        };
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                if to < from {
                    return Err(format!("`{from}-{to}` is no range"));
                }
                ranges.push((from, to));
                *rest = ahead;
            }
            _ => ranges.push((from, from)),
        }
    }
    Ok(Class { ranges, negated })
}

fn one(c: char) -> Class {
    Class {
        ranges: vec![(c, c)],
        negated: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, wrong: &str) {
        let error = parse(pattern).map(|steps| steps.len()).unwrap_err();
        assert!(error.contains(wrong), "{pattern}: {error}");
    }

    #[test]
    fn mistakes_are_named() {
        check("(a)", "`(`");
        check("^a", "`^`");
        check("*", "nothing ahead");
        check("a?", "nothing at all");
        check("", "nothing at all");
        check("[a", "without `]`");
        check("[z-a]", "no range");
        check(r"\b", "not known");
        check("a\\", "ends with");
        check("a{2,1}", "in order");
        check("a{x}", "no repetition");
        check("a{5000}", "at most");
        check("a{900}b{900}", "longer than");
    }

    #[test]
    fn repetitions_are_written_out() {
        for (pattern, steps) in [
            ("a", 1),
            ("a{3}", 3),
            ("a{2,4}", 4),
            ("ba*", 2),
            ("a+", 1),
            ("a{3,}", 3),
            ("ba?", 2),
        ] {
            assert_eq!(parse(pattern).unwrap().len(), steps, "{pattern}");
        }
    }
}
