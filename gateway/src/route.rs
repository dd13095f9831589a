//! Requested model name to targets. Pure.
//!
//! Exact names win; then patterns, the longest first. A `*` in a target's model
//! name is filled by what the pattern's `*` matched, left to right.

use std::borrow::Cow;

use crate::config::{Models, Route, Target};

/// Suggestions in an error message: more would not be read.
const NEAREST_MAX: usize = 3;

/// An upstream (its position in the configuration) and the model name to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<'m> {
    /// Position in `Config::upstreams`.
    pub upstream: usize,
    /// Name to send.
    pub model: Cow<'m, str>,
}

/// The route for `name`, and its targets in order; none if no route matches.
pub fn resolve<'m>(models: &'m Models, name: &str) -> Option<(&'m Route, Vec<Resolved<'m>>)> {
    let targets = |route: &'m Route, captures: &[&str]| {
        let targets = route.targets.iter();
        targets.map(|target| filled(target, captures)).collect()
    };
    if let Some(route) = models.routes.iter().find(|route| route.pattern == name) {
        return Some((route, targets(route, &[])));
    }
    let patterns = models
        .routes
        .iter()
        .filter(|route| route.pattern.contains('*'));
    let matching = patterns.filter_map(|route| Some((route, captures(&route.pattern, name)?)));
    let (route, captures) = matching.max_by_key(|(route, _)| route.pattern.len())?;
    Some((route, targets(route, &captures)))
}

/// The configured names that are most like `name`.
pub fn nearest(models: &Models, name: &str) -> Vec<String> {
    let mut names: Vec<_> = models
        .routes
        .iter()
        .map(|route| {
            (
                strsim::jaro_winkler(name, &route.pattern),
                route.pattern.as_str(),
            )
        })
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    names
        .into_iter()
        .take(NEAREST_MAX)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Whether `name` matches `pattern`, in which `*` stands for any characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    captures(pattern, name).is_some()
}

/// What each `*` of `pattern` stands for in `name`: as little as possible, the
/// last one the rest.
fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let parts: Vec<_> = parts.collect();
    let mut captured = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        let at = if i + 1 == parts.len() {
            rest.len()
                .checked_sub(part.len())
                .filter(|_| rest.ends_with(part))?
        } else {
            rest.find(part)?
        };
        captured.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(captured)
}

fn filled<'m>(target: &'m Target, captures: &[&str]) -> Resolved<'m> {
    let mut captures = captures.iter();
    let model = if target.model.contains('*') {
        let mut model = String::with_capacity(target.model.len());
        for (i, part) in target.model.split('*').enumerate() {
            if i > 0 {
                model.push_str(captures.next().unwrap_or(&""));
            }
            model.push_str(part);
        }
        Cow::Owned(model)
    } else {
        Cow::Borrowed(target.model.as_str())
    };
    Resolved {
        upstream: target.upstream,
        model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnLoss;

    fn models() -> Models {
        let route = |pattern: &str, model: &str| Route {
            pattern: pattern.into(),
            targets: vec![Target {
                upstream: 0,
                model: model.into(),
            }],
            on_loss: OnLoss::Report,
        };
        Models {
            routes: vec![
                route("kimi", "k"),
                route("claude-*", "generic"),
                route("claude-haiku-*", "small-*"),
                route("*/*", "*--*"),
            ],
        }
    }

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        let models = models();
        let got = resolve(&models, name).map(|(_, targets)| targets[0].model.to_string());
        assert_eq!(got.as_deref(), expected, "{name}");
    }

    #[test]
    fn exact_then_longest_pattern() {
        check("kimi", Some("k"));
        check("kimi2", None);
        check("claude-opus", Some("generic"));
        check("claude-haiku-4", Some("small-4"));
        check("a/b/c", Some("a--b/c"));
        check("", None);
    }

    #[test]
    fn stars_match_whole_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "x", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
            ("a", "a", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn suggests_what_is_like_it() {
        assert_eq!(nearest(&models(), "kimmi")[0], "kimi");
        assert_eq!(nearest(&Models::default(), "x"), Vec::<String>::new());
    }
}
