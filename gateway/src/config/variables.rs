//! Environment variables in a file: `${NAME}`, `${NAME:-default}`, and LiteLLM's
//! `os.environ/NAME`. `$${` stands for `${`.

use std::fmt;

/// Looks variables up.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// A variable that is not set, or one that is written wrongly.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Unset(String),
    Unclosed,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => write!(f, "the environment variable `{name}` is not set"),
            Self::Unclosed => f.write_str("`${` is never closed"),
        }
    }
}

impl Missing {
    pub(super) fn help(&self) -> String {
        match self {
            Self::Unset(name) => format!("set it, or write `${{{name}:-a default}}`"),
            Self::Unclosed => {
                "close it with `}`, or write `$${` for the characters themselves".into()
            }
        }
    }
}

/// `text` with the values of its variables.
pub(super) fn resolve(text: &str, environment: Environment<'_>) -> Result<String, Missing> {
    let lookup = |name: &str| environment(name).filter(|value| !value.is_empty());
    if let Some(name) = text.strip_prefix("os.environ/") {
        return lookup(name).ok_or_else(|| Missing::Unset(name.to_owned()));
    }
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        rest = &rest[at + 2..];
        if let Some(before) = before.strip_suffix('$') {
            resolved.push_str(before);
            resolved.push_str("${");
            continue;
        }
        resolved.push_str(before);
        let (inside, after) = rest.split_once('}').ok_or(Missing::Unclosed)?;
        rest = after;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match lookup(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => resolved.push_str(&value),
            None => return Err(Missing::Unset(name.to_owned())),
        }
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// `text` with its variables written as native files have them.
pub(super) fn reference(text: &str) -> Option<String> {
    let name = text.strip_prefix("os.environ/")?;
    Some(format!("${{{name}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, Missing>) {
        let environment = |name: &str| match name {
            "KEY" => Some("k".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(
            resolve(text, &environment),
            expected.map(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn variables_are_replaced() {
        check("plain", Ok("plain"));
        check("a ${KEY} b ${KEY}", Ok("a k b k"));
        check("os.environ/KEY", Ok("k"));
        check("x os.environ/KEY", Ok("x os.environ/KEY"));
        check("${GONE:-d}", Ok("d"));
        check("${EMPTY:-d}", Ok("d"));
        check("${GONE:-}", Ok(""));
        check("$${KEY} costs $5", Ok("${KEY} costs $5"));
    }

    #[test]
    fn unset_ones_are_named() {
        check("${GONE}", Err(Missing::Unset("GONE".into())));
        check("os.environ/GONE", Err(Missing::Unset("GONE".into())));
        check("${EMPTY}", Err(Missing::Unset("EMPTY".into())));
        check("${KEY", Err(Missing::Unclosed));
    }
}
