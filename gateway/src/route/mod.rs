//! Requested model name to targets, and the order in which they are tried. Pure.
//!
//! Exact names win; then patterns, the longest first; then the tiers of Claude's
//! names, and the default. A `*` in a target's model name is filled by what the
//! pattern's `*` matched, left to right.

mod course;
mod order;
mod window;

pub use course::{Course, Outlook};
pub use order::{Entrant, Standing, order, rotated};
pub use window::{Fit, fit, is_close};

use std::borrow::Cow;

use crate::config::{Models, Route, Target, Tier};

/// Suggestions in an error message: more would not be read.
const NEAREST_MAX: usize = 3;

/// A target, for the name that was asked for.
#[derive(Clone, Debug)]
pub struct Resolved<'m> {
    /// Position in `Config::upstreams`.
    pub upstream: usize,
    /// Name to send.
    pub model: Cow<'m, str>,
    /// The target as configured.
    pub target: &'m Target,
    /// The route that led here.
    pub route: &'m Route,
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asker {
    /// The conversation itself.
    #[default]
    Main,
    /// An agent that it started.
    Subagent,
}

/// The route for `name`, and its targets in order; none if no route matches.
pub fn resolve<'m>(
    models: &'m Models,
    name: &str,
    asker: Asker,
) -> Option<(&'m Route, Vec<Resolved<'m>>)> {
    let bare = without_suffix(name);
    let targets = |route: &'m Route, captures: &[&str]| {
        let targets = route.targets.iter();
        targets
            .map(|target| filled(route, target, captures))
            .collect()
    };
    let exact = |name: &str| models.routes.iter().find(|route| route.pattern == name);
    if let Some(route) = exact(name).or_else(|| exact(bare)) {
        return Some((route, targets(route, &[])));
    }
    let patterns = models
        .routes
        .iter()
        .filter(|route| route.pattern.contains('*'));
    let matching = patterns.filter_map(|route| {
        // Who writes a bracket means the suffix.
        let name = if route.pattern.contains('[') {
            name
        } else {
            bare
        };
        Some((route, captures(&route.pattern, name)?))
    });
    if let Some((route, captures)) = matching.max_by_key(|(route, _)| route.pattern.len()) {
        return Some((route, targets(route, &captures)));
    }
    let route = tier(models, bare, asker).or(models.default.as_ref())?;
    Some((route, targets(route, &[bare])))
}

/// `name` without what clients add for themselves: Claude Code's `[1m]` asks for a
/// large window, and is no part of any model's name.
/// <https://docs.claude.com/en/docs/claude-code/model-config> (seen 2026-11).
pub(crate) fn without_suffix(name: &str) -> &str {
    let suffix = name
        .strip_suffix(']')
        .and_then(|rest| rest.rsplit_once('['));
    match suffix {
        Some((bare, mark)) if !bare.is_empty() && mark.chars().all(char::is_alphanumeric) => bare,
        _ => name,
    }
}

/// The route of the tier that `name` belongs to.
fn tier<'m>(models: &'m Models, name: &str, asker: Asker) -> Option<&'m Route> {
    let belongs = |tier: Tier| match tier {
        Tier::Haiku => matches("*claude-*haiku*", name),
        Tier::Sonnet => matches("*claude-*sonnet*", name),
        Tier::Opus => matches("*claude-*opus*", name),
        Tier::Fable => matches("*claude-*fable*", name),
        Tier::Subagent => asker == Asker::Subagent && matches("*claude-*", name),
    };
    let tiers = models.tiers.iter().filter(|(tier, _)| belongs(*tier));
    let (_, route) = tiers.max_by_key(|(tier, _)| *tier == Tier::Subagent)?;
    Some(route)
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

fn filled<'m>(route: &'m Route, target: &'m Target, captures: &[&str]) -> Resolved<'m> {
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
        target,
        route,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(pattern: &str, model: &str) -> Route {
        Route::new(pattern, vec![Target::new(0, model)])
    }

    fn models() -> Models {
        Models {
            routes: vec![
                route("kimi", "k"),
                route("claude-*", "generic"),
                route("claude-haiku-*", "small-*"),
                route("*/*", "*--*"),
                route("long*[1m]", "long*"),
                route("glm[1m]", "glm-long"),
            ],
            ..Models::default()
        }
    }

    fn tiers() -> Models {
        Models {
            routes: vec![
                route("claude-opus-4-6", "old"),
                route("claude-fable-*", "f-*"),
            ],
            tiers: vec![
                (Tier::Haiku, route("tiers.haiku", "small")),
                (Tier::Opus, route("tiers.opus", "*")),
                (Tier::Subagent, route("tiers.subagent", "sub")),
            ],
            default: None,
        }
    }

    #[track_caller]
    fn check(models: &Models, name: &str, expected: Option<&str>) {
        let got = resolve(models, name, Asker::Main);
        let got = got.map(|(_, targets)| targets[0].model.to_string());
        assert_eq!(got.as_deref(), expected, "{name}");
    }

    #[test]
    fn exact_then_longest_pattern() {
        for (name, expected) in [
            ("kimi", Some("k")),
            ("kimi2", None),
            ("claude-opus", Some("generic")),
            ("claude-haiku-4", Some("small-4")),
            ("a/b/c", Some("a--b/c")),
            ("", None),
        ] {
            check(&models(), name, expected);
        }
    }

    #[test]
    fn suffixes_of_clients_are_no_part_of_a_name() {
        for (name, expected) in [
            ("kimi[1m]", Some("k")),
            ("claude-haiku-4[1m]", Some("small-4")),
            ("a/b[200k]", Some("a--b")),
            ("longer[1m]", Some("longer")),
            ("glm[1m]", Some("glm-long")),
            ("glm", None),
            ("[1m]", None),
            ("kimi[a b]", None),
            ("kimi[]x]", None),
        ] {
            check(&models(), name, expected);
        }
    }

    #[test]
    fn tiers_come_after_names_and_patterns_and_before_the_default() {
        for (name, expected) in [
            ("claude-haiku-5-5", Some("small")),
            ("claude-3-5-haiku-20241022", Some("small")),
            ("anthropic/claude-haiku-4.5", Some("small")),
            ("claude-opus-4-6", Some("old")),
            ("claude-opus-5-5[1m]", Some("claude-opus-5-5")),
            ("claude-fable-5-2", Some("f-5-2")),
            ("claude-sonnet-5-5", None),
            ("haiku", None),
        ] {
            check(&tiers(), name, expected);
        }
        let with_default = Models {
            default: Some(route("default", "any-*")),
            ..tiers()
        };
        check(&with_default, "claude-haiku-5-5", Some("small"));
        check(&with_default, "gpt-5[1m]", Some("any-gpt-5"));
        check(&with_default, "", Some("any-"));
    }

    #[test]
    fn subagents_have_a_tier_of_their_own() {
        let models = tiers();
        for (name, expected) in [
            ("claude-haiku-5-5", Some("sub")),
            ("claude-sonnet-5-5", Some("sub")),
            ("claude-opus-4-6", Some("old")),
            ("kimi", None),
        ] {
            let got = resolve(&models, name, Asker::Subagent);
            let got = got.map(|(_, targets)| targets[0].model.to_string());
            assert_eq!(got.as_deref(), expected, "{name}");
        }
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
