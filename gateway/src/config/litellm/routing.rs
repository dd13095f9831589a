//! What LiteLLM's settings say about groups of deployments: which is chosen, what
//! follows on failures, and how long one waits.

use std::collections::HashMap;

use super::super::document::Node;
use super::super::write::Origins;
use super::super::{Attempts, Failure, Limits, Pick, Route, Target, Then};
use super::flag;
use crate::route;

type Members<'d> = HashMap<String, Node<'d>>;

/// One entry of `model_list`, and what its group chooses by.
pub(super) struct Deployment {
    name: String,
    target: Target,
    /// `weight`, `rpm`, `tpm`: the first that the group knows is its measure.
    shares: [Option<f64>; 3],
    order: Option<f64>,
}

impl Deployment {
    pub(super) fn new(name: &str, target: Target, params: &Members<'_>) -> Self {
        let number = |name: &str| params.get(name).and_then(Node::number);
        Self {
            name: name.to_owned(),
            target,
            shares: ["weight", "rpm", "tpm"].map(number),
            order: number("order"),
        }
    }

    fn place(&self) -> f64 {
        self.order.unwrap_or(f64::INFINITY)
    }
}

/// The strategy's way of choosing. LiteLLM's default draws by weight.
pub(super) fn pick(router: &Members<'_>) -> Pick {
    const STRATEGIES: [(&str, Pick); 3] = [
        ("simple-shuffle", Pick::Weighted),
        ("least-busy", Pick::LeastBusy),
        ("latency-based-routing", Pick::Latency),
    ];
    let node = router.get("routing_strategy");
    let Some((node, name)) = node.and_then(|node| Some((node, node.text()?))) else {
        return Pick::Weighted;
    };
    let known = STRATEGIES.iter().find(|(known, _)| *known == name);
    known.map_or_else(
        || {
            let help = "targets are drawn by weight, as with `simple-shuffle`";
            node.warn(format!("no strategy `{name}` in Sluice"), Some(help.into()));
            Pick::Weighted
        },
        |(_, pick)| *pick,
    )
}

/// A route a group. Of the deployments whose `order` is least one is chosen as `pick`
/// says; those of the next one follow, and so on.
pub(super) fn routes(deployments: Vec<Deployment>, pick: Pick) -> Vec<Route> {
    let mut groups: Vec<(String, Vec<Deployment>)> = Vec::new();
    for deployment in deployments {
        match groups.iter_mut().find(|(name, _)| *name == deployment.name) {
            Some((_, group)) => group.push(deployment),
            None => groups.push((deployment.name.clone(), vec![deployment])),
        }
    }
    let route = |(name, group)| route_of(name, group, pick);
    groups.into_iter().map(route).collect()
}

fn route_of(name: String, mut group: Vec<Deployment>, pick: Pick) -> Route {
    group.sort_by(|a, b| a.place().total_cmp(&b.place()));
    let (pattern, group) = as_matched(name, group);
    let equals = || group.chunk_by(|a, b| a.place() == b.place());
    if equals().all(|equals| equals.len() == 1) {
        let targets = group.into_iter().map(|deployment| deployment.target);
        return Route::new(pattern, targets.collect());
    }
    let targets = equals().zip(1..).flat_map(|(equals, priority)| {
        let weighted = equals.iter().zip(weights(equals));
        weighted.map(move |(deployment, weight)| Target {
            priority,
            weight,
            ..deployment.target.clone()
        })
    });
    Route {
        pick,
        affinity: pick.affinity(),
        ..Route::new(pattern, targets.collect())
    }
}

/// What a group's name is here: patterns end in a star.
pub(super) fn pattern(name: &str) -> String {
    match name.contains('*') && !name.ends_with('*') {
        true => format!("{name}*"),
        false => name.to_owned(),
    }
}

/// LiteLLM's patterns begin where a name does, but need not end there; and a model
/// with fewer stars than its pattern is sent the whole name that was asked for.
/// <https://docs.litellm.ai/docs/wildcard_routing> (seen 2026-11).
fn as_matched(name: String, mut group: Vec<Deployment>) -> (String, Vec<Deployment>) {
    let stars = |text: &str| text.matches('*').count();
    if stars(&name) == 0 {
        return (name, group);
    }
    let pattern = pattern(&name);
    for deployment in &mut group {
        let model = &mut deployment.target.model;
        if stars(model) > 0 && stars(&name) > stars(model) {
            model.clone_from(&pattern);
        }
    }
    (pattern, group)
}

/// Whole numbers in the proportion of the group's measure, which is the first that the first
/// deployment has: whoever has none, or 0, is asked after the others, as in LiteLLM's
/// `simple_shuffle` (<https://docs.litellm.ai/docs/routing>, seen 2026-11).
fn weights(group: &[Deployment]) -> Vec<u32> {
    /// Fractions are kept to this part.
    const PARTS: f64 = 1000.0;
    let measure = (0..3).find(|i| group[0].shares[*i].is_some());
    let share = |one: &Deployment| measure.map_or(Some(1.0), |i| one.shares[i]);
    let mut shares: Vec<f64> = group.iter().map(|one| share(one).unwrap_or(0.0)).collect();
    if shares.iter().all(|share| *share == 0.0) {
        shares.fill(1.0);
    }
    let is_whole = shares.iter().all(|share| share.fract() == 0.0);
    let parts = if is_whole { 1.0 } else { PARTS };
    let whole = |share: &f64| match *share {
        0.0 => 0,
        share => ((share * parts).round() as u64).max(1),
    };
    let wholes: Vec<u64> = shares.iter().map(whole).collect();
    let divisor = wholes.iter().copied().fold(0, common_divisor).max(1);
    let weight = |whole: u64| u32::try_from(whole / divisor).unwrap_or(u32::MAX);
    wholes.into_iter().map(weight).collect()
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// The routes, as fallbacks and aliases are added.
pub(super) struct Routing {
    pub(super) routes: Vec<Route>,
    /// Names of models, of which some deployment cannot be had.
    pub(super) left_out: Vec<String>,
    pub(super) origins: Origins,
}

/// A list of names in a route.
type Names = fn(&mut Route) -> &mut Vec<String>;

impl Routing {
    /// The four kinds of fallbacks.
    pub(super) fn fallbacks(&mut self, router: &Members<'_>, aliases: &[(String, Node<'_>)]) {
        let kinds: [(&str, Names); 3] = [
            ("fallbacks", |route| &mut route.fallbacks),
            ("context_window_fallbacks", |route| &mut route.on_overflow),
            ("content_policy_fallbacks", |route| {
                &mut route.on_content_policy
            }),
        ];
        for (kind, names) in kinds {
            if let Some(node) = router.get(kind) {
                self.fallbacks_of(node, names, aliases);
            }
        }
        if let Some(node) = router.get("default_fallbacks") {
            let names = self.known(node, aliases);
            self.default_fallbacks(&names, |route| &mut route.fallbacks);
        }
    }

    /// `[{ group: [name, ...] }, ...]`; the group `*` is all that have none.
    fn fallbacks_of(&mut self, node: &Node<'_>, list: Names, aliases: &[(String, Node<'_>)]) {
        let mut of_all = Vec::new();
        for (group, node) in node.list().iter().flat_map(Node::members) {
            let names = self.known(&node, aliases);
            let known = self.position(&group);
            match known {
                Some(known) => {
                    *list(&mut self.routes[known]) = names;
                    let path = format!("models.{}", pattern(&group));
                    self.origins.note(path, node.origin());
                }
                None if group == "*" => of_all = names,
                None if self.left_out.contains(&group) => {}
                None if self.is_known(&group, aliases) => {
                    let help = "name the entry of `model_list` that it is part of";
                    node.warn(
                        format!("`{group}` has no entry of its own, so this has no effect"),
                        Some(help.into()),
                    );
                }
                None => {
                    let known = self.routes.iter().map(|route| route.pattern.as_str());
                    node.unknown("model", &group, known);
                }
            }
        }
        self.default_fallbacks(&of_all, list);
    }

    fn default_fallbacks(&mut self, names: &[String], list: Names) {
        for route in &mut self.routes {
            let pattern = route.pattern.clone();
            let others = names.iter().filter(|name| **name != pattern);
            let own = list(route);
            if own.is_empty() {
                own.extend(others.cloned());
            }
        }
    }

    /// The names that a model answers to; the others are reported.
    fn known(&self, node: &Node<'_>, aliases: &[(String, Node<'_>)]) -> Vec<String> {
        let name = |node: &Node<'_>| {
            let name = node.text()?;
            if !self.is_known(name, aliases) && self.left_out.iter().any(|known| known == name) {
                node.warn(format!("`{name}` is left out, and no fallback"), None);
                return None;
            }
            if !self.is_known(name, aliases) {
                let known = self.routes.iter().map(|route| route.pattern.as_str());
                node.unknown("model", name, known);
            }
            Some(name.to_owned())
        };
        node.one_or_list().iter().filter_map(name).collect()
    }

    /// The route of the group that is written as `name`.
    fn position(&self, name: &str) -> Option<usize> {
        let pattern = pattern(name);
        self.routes
            .iter()
            .position(|route| route.pattern == pattern)
    }

    fn is_known(&self, name: &str, aliases: &[(String, Node<'_>)]) -> bool {
        let mut routes = self.routes.iter();
        routes.any(|route| route::matches(&route.pattern, name))
            || aliases.iter().any(|(alias, _)| alias == name)
    }

    /// `alias: model`, or `alias: { model: ..., hidden: ... }`.
    pub(super) fn aliases(&mut self, aliases: &[(String, Node<'_>)]) {
        for (alias, node) in aliases {
            let named = match node.value().is_mapping() {
                true => node.object(&["model", "hidden"]).remove("model"),
                false => Some(node.clone()),
            };
            let Some(model) = named.as_ref().and_then(Node::text) else {
                continue;
            };
            let Some(route) = self.position(model).map(|at| &self.routes[at]) else {
                if self.left_out.iter().any(|known| known == model) {
                    node.warn(format!("`{model}` is left out, and so is this"), None);
                    continue;
                }
                let known = self.routes.iter().map(|route| route.pattern.as_str());
                node.unknown("model", model, known);
                continue;
            };
            if !self.routes.iter().any(|route| route.pattern == *alias) {
                self.origins.note(format!("models.{alias}"), node.origin());
                self.routes.push(Route {
                    pattern: alias.clone(),
                    ..route.clone()
                });
            }
        }
    }
}

/// What the settings say of sizes and times.
pub(super) fn limits(
    general: &Members<'_>,
    settings: &Members<'_>,
    origins: &mut Origins,
) -> Limits {
    let mut limits = Limits::default();
    let whole = |node: &Node<'_>| Some(usize::try_from(node.count(1)?).unwrap_or(usize::MAX));
    if let Some(node) = general.get("max_request_size_mb")
        && let Some(megabytes) = whole(node)
    {
        limits.body_bytes_max = megabytes.saturating_mul(1 << 20);
        origins.note("limits.body_bytes_max", node.origin());
    }
    if let Some(node) = general.get("global_max_parallel_requests")
        && let Some(most) = whole(node)
    {
        limits.calls_max = most;
        origins.note("limits.calls_max", node.origin());
    }
    // It is one for reading: for the first byte, and for each silence after it.
    let timeout = settings.get("timeout").or(settings.get("request_timeout"));
    if let Some(node) = timeout
        && let Some(ms) = milliseconds(node)
    {
        limits.first_byte_timeout_ms = ms;
        limits.idle_timeout_ms = limits.idle_timeout_ms.min(ms);
        origins.note("limits.first_byte_timeout_ms", node.origin());
    }
    let pings = [
        "anthropic_sse_ping_interval_seconds",
        "sse_keepalive_ping_interval_seconds",
        "sse_keepalive_interval_seconds",
    ];
    if let Some(node) = pings.iter().find_map(|name| settings.get(*name))
        && let Some(ms) = milliseconds(node)
    {
        limits.ping_interval_ms = ms;
        origins.note("limits.ping_interval_ms", node.origin());
    }
    limits
}

/// Seconds, perhaps parts of them, as whole milliseconds from 1.
pub(super) fn milliseconds(node: &Node<'_>) -> Option<u64> {
    let seconds = node.number()?;
    Some(((seconds * 1000.0).round() as u64).max(1))
}

/// Retries where LiteLLM's file says nothing: those of OpenAI's client.
const RETRIES: u32 = 2;

/// A count; what is beyond every bound is the largest one.
fn small(node: &Node<'_>) -> Option<u32> {
    Some(u32::try_from(node.count(0)?).unwrap_or(u32::MAX))
}

/// What the settings say of trying again, and what `deployments` want of it.
pub(super) fn attempts(
    settings: &Members<'_>,
    deployments: &[Node<'_>],
    origins: &mut Origins,
) -> Attempts {
    let mut attempts = Attempts::default();
    retries(settings, deployments, &mut attempts, origins);
    // So many may fail; ours counts the one that is too many.
    if let Some(node) = settings.get("allowed_fails")
        && let Some(allowed) = small(node)
    {
        attempts.failures_max = allowed.saturating_add(1);
        origins.note("attempts.failures_max", node.origin());
    }
    if let Some(node) = settings.get("retry_after")
        && let Some(ms) = milliseconds(node)
    {
        attempts.pause_ms = ms;
        attempts.pause_ms_max = attempts.pause_ms_max.max(ms);
        origins.note("attempts.pause_ms", node.origin());
    }
    if let Some(node) = settings.get("cooldown_time")
        && let Some(ms) = milliseconds(node)
    {
        attempts.cooldown_ms = ms;
        attempts.cooldown_ms_max = attempts.cooldown_ms_max.max(ms);
        origins.note("attempts.cooldown_ms", node.origin());
    }
    if flag(settings.get("disable_cooldowns")) {
        (attempts.cooldown_ms, attempts.cooldown_ms_max) = (0, 0);
        origins.note("attempts.cooldown_ms", "disable_cooldowns");
    }
    attempts
}

/// How often a call is tried again. LiteLLM counts that by deployment and by kind of
/// error; here it is one number, the largest of them.
fn retries(
    settings: &Members<'_>,
    deployments: &[Node<'_>],
    attempts: &mut Attempts,
    origins: &mut Origins,
) {
    let written = settings.get("num_retries");
    let general = written.and_then(small).unwrap_or(RETRIES);
    let policy = settings.get("retry_policy");
    let by_kind = policy.map(|node| retry_policy(node, attempts));
    let by_kind = by_kind.unwrap_or_default();
    let special = deployments.iter().cloned().chain(by_kind);
    let special: Vec<_> = special
        .filter_map(|node| Some((small(&node)?, node)))
        .collect();
    let most = special.iter().map(|(retries, _)| *retries);
    attempts.retries = most.fold(general, u32::max);
    let decided = special
        .iter()
        .find(|(retries, _)| *retries == attempts.retries && *retries > general)
        .map(|(_, node)| node)
        .or(written);
    let origin = decided.map_or_else(|| "LiteLLM's default".into(), Node::origin);
    origins.note("attempts.retries", origin);
    for (retries, node) in special {
        // Whether there are any is a row of the table, and so kept.
        if retries > 0 && retries != attempts.retries {
            let help = format!("the largest holds for all: {}", attempts.retries);
            node.warn(
                "retries are counted neither by kind nor by deployment",
                Some(help),
            );
        }
    }
    if let Some(node) = policy {
        origins.note("attempts.on", node.origin());
    }
}

/// Retries by LiteLLM's kinds of errors: whether there are any is a row of the
/// policy. How many there are to be is given back.
fn retry_policy<'d>(node: &Node<'d>, attempts: &mut Attempts) -> Vec<Node<'d>> {
    const KINDS: [(&str, &[Failure]); 9] = [
        ("AuthenticationErrorRetries", &[Failure::Status(401)]),
        ("BadRequestErrorRetries", &[Failure::Status(400)]),
        (
            "ContentPolicyViolationErrorRetries",
            &[Failure::ContentPolicy],
        ),
        ("DefaultRetries", &[]),
        ("InternalServerErrorRetries", &[Failure::Status(500)]),
        ("NotFoundErrorRetries", &[Failure::Status(404)]),
        ("RateLimitErrorRetries", &[Failure::Status(429)]),
        ("ServiceUnavailableErrorRetries", &[Failure::Status(503)]),
        (
            "TimeoutErrorRetries",
            &[Failure::Timeout, Failure::Status(408)],
        ),
    ];
    let written = node.object(&KINDS.map(|(name, _)| name));
    let mut wanted = Vec::new();
    for (name, failures) in KINDS {
        let Some(node) = written.get(name) else {
            continue;
        };
        let Some(retries) = node.count(0) else {
            continue;
        };
        let then = if retries > 0 { Then::Retry } else { Then::Next };
        for failure in failures {
            attempts.policy.go_on(*failure, then);
        }
        wanted.push(node.clone());
    }
    wanted
}
