//! `models`, `tiers` and `default`: requested names to routes.

use std::collections::HashMap;

use super::document::Node;
use super::native::settings;
use super::{Affinity, Models, OnBrokenStream, OnLoss, Pick, Route, Target, Tier};
use crate::route;

/// The pattern of what answers to names that nobody wrote down.
const ANY_NAME: &str = "*";

/// Read all three from the members of the file.
pub(super) fn read(top: &HashMap<String, Node<'_>>, upstreams: &[String]) -> Models {
    let entries = top.get("models").map(Node::members).unwrap_or_default();
    let reader = Reader {
        entries: &entries,
        upstreams,
    };
    let tiers = top.get("tiers").map(|node| node.object(&settings::TIERS));
    let tiers = tiers.unwrap_or_default();
    let tier = |(name, tier)| Some((tier, reader.unnamed(tiers.get(name)?, "tiers.", name)?));
    Models {
        routes: entries
            .iter()
            .filter_map(|(pattern, node)| reader.route(pattern, node))
            .collect(),
        tiers: Tier::ALL.into_iter().filter_map(tier).collect(),
        default: top
            .get("default")
            .and_then(|node| reader.unnamed(node, "", "default")),
    }
}

/// What entries are read against.
struct Reader<'r> {
    /// Of `models`: what an alias may name.
    entries: &'r [(String, Node<'r>)],
    /// Names; a target's upstream is a position here.
    upstreams: &'r [String],
}

impl Reader<'_> {
    /// An entry of `models`.
    fn route(&self, pattern: &str, node: &Node<'_>) -> Option<Route> {
        if pattern.is_empty() {
            node.error("a model's name cannot be empty", None);
        }
        let (name, node) = self.followed(pattern, node)?;
        Some(Route {
            pattern: pattern.to_owned(),
            ..self.entry(name, &node)
        })
    }

    /// An entry that names no model: of `tiers`, or `default`.
    fn unnamed(&self, node: &Node<'_>, group: &str, name: &str) -> Option<Route> {
        let (pattern, node) = self.followed(ANY_NAME, node)?;
        Some(Route {
            pattern: format!("{group}{name}"),
            ..self.entry(pattern, &node)
        })
    }

    /// Where an alias leads: to another entry, perhaps by way of a third.
    fn followed<'n>(&'n self, pattern: &'n str, node: &Node<'n>) -> Option<(&'n str, Node<'n>)> {
        let (mut node, mut name) = (node.clone(), pattern);
        for _ in 0..=self.entries.len() {
            let aliased = node.value().as_str();
            match self
                .entries
                .iter()
                .find(|(known, _)| aliased == Some(known))
            {
                Some((known, entry)) => (node, name) = (entry.clone(), known),
                None => break,
            }
        }
        let Some(name_of_none) = node.value().as_str() else {
            return Some((name, node));
        };
        let names = self.entries.iter().map(|(known, _)| known.as_str());
        if names.clone().any(|known| known == name_of_none) {
            node.error(
                format!("the alias `{name_of_none}` leads back to itself"),
                None,
            );
        } else {
            node.unknown("model", name_of_none, names);
        }
        None
    }

    /// Targets, and what there is to say of all of them.
    fn entry(&self, pattern: &str, node: &Node<'_>) -> Route {
        if node.value().get("targets").is_none() {
            let route = Route::new(pattern, self.targets(node, pattern));
            warn_of_idle_weights(node, &route);
            return route;
        }
        let members = node.object(&settings::ROUTE);
        let targets = members.get("targets");
        let mut route = Route::new(
            pattern,
            targets.map_or_else(Vec::new, |node| self.targets(node, pattern)),
        );
        let count = |name: &str| members.get(name).and_then(|node| node.count(1));
        let (context_window, output_limit) = (count("context_window"), count("output_limit"));
        for target in &mut route.targets {
            target.context_window = target.context_window.or(context_window);
            target.output_limit = target.output_limit.or(output_limit);
        }
        let on_loss = [("report", OnLoss::Report), ("refuse", OnLoss::Refuse)];
        let on_loss = members
            .get("on_loss")
            .and_then(|node| node.choice(&on_loss));
        let on_broken_stream = [
            ("fail", OnBrokenStream::Fail),
            ("continue", OnBrokenStream::Continue),
        ];
        let on_broken_stream = members
            .get("on_broken_stream")
            .and_then(|node| node.choice(&on_broken_stream));
        let pick = members.get("pick").and_then(|node| node.choice(&Pick::ALL));
        let pick = pick.unwrap_or_default();
        let affinity = [("none", Affinity::None), ("session", Affinity::Session)];
        let affinity = members
            .get("affinity")
            .and_then(|node| node.choice(&affinity));
        let names = |name: &str| {
            let node = members.get(name);
            node.map_or_else(Vec::new, |node| self.names(node))
        };
        let route = Route {
            pick,
            affinity: affinity.unwrap_or(pick.affinity()),
            fallbacks: names("fallbacks"),
            on_overflow: names("on_overflow"),
            on_content_policy: names("on_content_policy"),
            on_loss: on_loss.unwrap_or_default(),
            on_broken_stream: on_broken_stream.unwrap_or_default(),
            ..route
        };
        warn_of_idle_weights(node, &route);
        route
    }

    /// Names of models, each of which has an entry. One may stand alone.
    fn names(&self, node: &Node<'_>) -> Vec<String> {
        let name = |node: &Node<'_>| {
            let name = node.text()?;
            let mut known = self.entries.iter().map(|(known, _)| known.as_str());
            if !known.any(|known| route::matches(known, name)) {
                let known = self.entries.iter().map(|(known, _)| known.as_str());
                node.unknown("model", name, known);
            }
            Some(name.to_owned())
        };
        node.one_or_list().iter().filter_map(name).collect()
    }

    fn targets(&self, node: &Node<'_>, pattern: &str) -> Vec<Target> {
        if node.value().is_mapping() {
            return self.target(node, pattern).into_iter().collect();
        }
        let items = node.list();
        if items.is_empty() && node.value().is_sequence() {
            let help = "add `{ upstream: ..., model: ... }`";
            node.error("no targets", Some(help.into()));
        }
        items
            .iter()
            .filter_map(|item| self.target(item, pattern))
            .collect()
    }

    fn target(&self, node: &Node<'_>, pattern: &str) -> Option<Target> {
        let members = node.object(&settings::TARGET);
        let Some(named) = members.get("upstream") else {
            node.error("no `upstream`", Some("name one of `upstreams`".into()));
            return None;
        };
        let name = named.text()?;
        let position = self.upstreams.iter().position(|known| known == name);
        if position.is_none() {
            named.unknown("upstream", name, self.upstreams.iter().map(String::as_str));
        }
        // Without a name the requested one is sent.
        let model = match members.get("model") {
            Some(model) => model.text()?.to_owned(),
            None => pattern.to_owned(),
        };
        let stars = |text: &str| text.matches('*').count();
        if stars(&model) > stars(pattern) && members.contains_key("model") {
            node.error(
                format!("`{model}` has more `*` than the pattern `{pattern}` can fill"),
                None,
            );
        }
        let count = |name: &str| members.get(name).and_then(|node| node.count(1));
        let number = |name: &str, least: u64| {
            let count = members.get(name).and_then(|node| node.count(least));
            count.map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        Some(Target {
            priority: number("priority", 1),
            weight: number("weight", 0),
            context_window: count("context_window"),
            output_limit: count("output_limit"),
            ..Target::new(position?, model)
        })
    }
}

fn warn_of_idle_weights(node: &Node<'_>, route: &Route) {
    let is_weighted = route.targets.iter().any(|target| target.weight != 1);
    if is_weighted && route.pick == Pick::Ordered {
        let help = "add `pick: weighted` beside `targets`";
        node.warn(
            "`weight` has no effect on targets that are tried in order",
            Some(help.into()),
        );
    }
}
