//! A configuration as native YAML, for what another format was imported from.
//!
//! Only what differs from the defaults is written, so that the text says what the
//! other file said. Whatever an importer makes can be written; the text of
//! anything else may say less than the configuration.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::attempts::Act;
use super::catalogue::{Catalogue, GENERIC};
use super::native::default_chain;
use super::{
    Affinity, Attempts, Config, HookEntry, LISTEN, Limits, OnLoss, Pick, Prices, Prompt, Route,
    Target, Then, Upstream, accent,
};
use crate::provider::{Accent, Auth};
use crate::secret::Secret;

/// What parts of a configuration came from, by their paths in the native file.
#[derive(Debug, Default)]
pub(super) struct Origins {
    paths: HashMap<String, Vec<String>>,
    /// The key that clients show, as it is written: the configuration has its hash.
    pub(super) key: Option<Secret>,
}

impl Origins {
    /// `path` came from `origin`, too.
    pub(super) fn note(&mut self, path: impl Into<String>, origin: impl Into<String>) {
        self.paths
            .entry(path.into())
            .or_default()
            .push(origin.into());
    }
}

/// `config` as native YAML, with `head` as a comment at its top.
pub(super) fn text(
    config: &Config,
    catalogue: &Catalogue,
    origins: &Origins,
    head: &[String],
) -> String {
    let mut page = Page {
        text: String::new(),
        origins,
    };
    for line in head {
        page.comment(0, line);
    }
    page.top(config);
    page.upstreams(config, catalogue);
    page.prices(&config.prices);
    page.models(config);
    page.chain(&config.hooks.chain);
    page.text
}

struct Page<'p> {
    text: String,
    origins: &'p Origins,
}

impl Page<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let indent = "  ".repeat(depth);
        self.text.push_str(&format!("{indent}{text}\n"));
    }

    fn comment(&mut self, depth: usize, text: &str) {
        self.line(depth, format!("# {text}").trim_end());
    }

    /// `key: value` at `path`, below what it came from.
    fn member(&mut self, depth: usize, path: &str, text: &str) {
        for origin in self.origins.paths.get(path).into_iter().flatten() {
            self.comment(depth, origin);
        }
        self.line(depth, text);
    }

    /// A part of the file, after a blank line.
    fn part(&mut self, path: &str, text: &str) {
        self.text.push('\n');
        self.member(0, path, text);
    }

    fn top(&mut self, config: &Config) {
        if config.listen != LISTEN {
            self.part("listen", &format!("listen: {}", config.listen));
        }
        if let Some(key) = &self.origins.key {
            let key = scalar(key.expose());
            self.part("keys", "keys:");
            self.line(1, &format!("- {key}"));
        }
        for (name, settings) in [
            ("limits", limits(&config.limits)),
            ("attempts", attempts(&config.attempts)),
        ] {
            if !settings.is_empty() {
                self.part(name, &format!("{name}:"));
            }
            for (setting, value) in settings {
                let path = format!("{name}.{setting}");
                self.member(1, &path, &format!("{setting}: {value}"));
            }
        }
    }

    fn upstreams(&mut self, config: &Config, catalogue: &Catalogue) {
        if config.upstreams.is_empty() {
            return;
        }
        self.part("upstreams", "upstreams:");
        for upstream in &config.upstreams {
            let path = format!("upstreams.{}", upstream.name);
            let settings = settings(upstream, catalogue);
            // A row of the catalogue may say all that there is.
            let empty = if settings.is_empty() { " {}" } else { "" };
            self.member(1, &path, &format!("{}:{empty}", scalar(&upstream.name)));
            for setting in settings {
                self.line(2, &setting);
            }
        }
    }

    fn prices(&mut self, prices: &Prices) {
        for (i, (target, price)) in prices.per_million().enumerate() {
            if i == 0 {
                self.part("prices", "prices: # US dollars per million tokens");
            }
            let [input, output, read, write] = price;
            let mut parts = vec![format!("input: {input}"), format!("output: {output}")];
            for (name, usd) in [("cache_read", read), ("cache_write", write)] {
                if usd != input {
                    parts.push(format!("{name}: {usd}"));
                }
            }
            self.line(
                1,
                &format!("{}: {{ {} }}", scalar(target), parts.join(", ")),
            );
        }
    }

    fn models(&mut self, config: &Config) {
        let models = &config.models;
        let upstream = |at: usize| config.upstreams[at].name.as_str();
        if !models.routes.is_empty() {
            self.part("models", "models:");
        }
        for (i, route) in models.routes.iter().enumerate() {
            let path = format!("models.{}", route.pattern);
            let alias = original(&models.routes[..i], route);
            self.route(1, &path, &route.pattern, route, alias, &upstream);
        }
        if !models.tiers.is_empty() {
            self.part("tiers", "tiers:");
        }
        for (_, route) in &models.tiers {
            let name = route.pattern.trim_start_matches("tiers.");
            let alias = original(&models.routes, route);
            self.route(1, &route.pattern, name, route, alias, &upstream);
        }
        if let Some(route) = &models.default {
            self.text.push('\n');
            let alias = original(&models.routes, route);
            self.route(0, "default", "default", route, alias, &upstream);
        }
    }

    fn route<'c>(
        &mut self,
        depth: usize,
        path: &str,
        name: &str,
        route: &Route,
        alias: Option<&str>,
        upstream: &dyn Fn(usize) -> &'c str,
    ) {
        let name = scalar(name);
        let target = |target: &Target| flow_target(target, upstream(target.upstream));
        let settings = route_settings(route);
        if let Some(alias) = alias {
            self.member(depth, path, &format!("{name}: {}", scalar(alias)));
        } else if let ([only], true) = (route.targets.as_slice(), settings.is_empty()) {
            self.member(depth, path, &format!("{name}: {}", target(only)));
        } else {
            self.member(depth, path, &format!("{name}:"));
            self.line(depth + 1, "targets:");
            for one in &route.targets {
                self.line(depth + 2, &format!("- {}", target(one)));
            }
            for setting in settings {
                self.line(depth + 1, &setting);
            }
        }
    }

    fn chain(&mut self, chain: &[HookEntry]) {
        let names = |chain: &[HookEntry]| chain.iter().map(without_place).collect::<Vec<_>>();
        if names(chain) == names(&default_chain()) {
            return;
        }
        self.part("hooks", "hooks:");
        self.line(1, "chain:");
        for (i, entry) in chain.iter().enumerate() {
            let path = format!("hooks.chain[{i}]");
            let settings = hook_settings(entry);
            if settings.is_empty() {
                self.member(2, &path, &format!("- {}", scalar(&entry.name)));
            } else {
                self.member(2, &path, &format!("- hook: {}", scalar(&entry.name)));
            }
            for setting in settings {
                self.line(3, &setting);
            }
        }
    }
}

fn without_place(entry: &HookEntry) -> HookEntry {
    HookEntry {
        place: String::new(),
        ..entry.clone()
    }
}

/// The earlier entry of `models` that says the same as `route`.
fn original<'r>(earlier: &'r [Route], route: &Route) -> Option<&'r str> {
    let is_same = |known: &&Route| {
        let renamed = Route {
            pattern: known.pattern.clone(),
            ..route.clone()
        };
        **known == renamed
    };
    let original = earlier.iter().find(is_same)?;
    Some(&original.pattern)
}

fn limits(limits: &Limits) -> Vec<(&'static str, String)> {
    let default = Limits::default();
    let all = [
        (
            "body_bytes_max",
            limits.body_bytes_max as u64,
            default.body_bytes_max as u64,
        ),
        (
            "bytes_in_flight_max",
            limits.bytes_in_flight_max as u64,
            default.bytes_in_flight_max as u64,
        ),
        (
            "calls_max",
            limits.calls_max as u64,
            default.calls_max as u64,
        ),
        (
            "queue_max",
            limits.queue_max as u64,
            default.queue_max as u64,
        ),
        ("queue_wait_ms", limits.queue_wait_ms, default.queue_wait_ms),
        ("head_hold_ms", limits.head_hold_ms, default.head_hold_ms),
        (
            "ping_interval_ms",
            limits.ping_interval_ms,
            default.ping_interval_ms,
        ),
        (
            "connect_timeout_ms",
            limits.connect_timeout_ms,
            default.connect_timeout_ms,
        ),
        (
            "first_byte_timeout_ms",
            limits.first_byte_timeout_ms,
            default.first_byte_timeout_ms,
        ),
        (
            "idle_timeout_ms",
            limits.idle_timeout_ms,
            default.idle_timeout_ms,
        ),
        (
            "total_timeout_ms",
            limits.total_timeout_ms,
            default.total_timeout_ms,
        ),
    ];
    unlike_default(&all)
}

fn attempts(attempts: &Attempts) -> Vec<(&'static str, String)> {
    let default = Attempts::default();
    let all = [
        ("retries", attempts.retries.into(), default.retries.into()),
        (
            "attempts_max",
            attempts.attempts_max.into(),
            default.attempts_max.into(),
        ),
        ("pause_ms", attempts.pause_ms, default.pause_ms),
        ("pause_ms_max", attempts.pause_ms_max, default.pause_ms_max),
        (
            "failures_max",
            attempts.failures_max.into(),
            default.failures_max.into(),
        ),
        ("cooldown_ms", attempts.cooldown_ms, default.cooldown_ms),
        (
            "cooldown_ms_max",
            attempts.cooldown_ms_max,
            default.cooldown_ms_max,
        ),
    ];
    let mut settings = unlike_default(&all);
    let rows: Vec<_> = attempts
        .policy
        .unlike(&default.policy)
        .into_iter()
        .map(|(failure, act)| format!("{failure}: {}", flow_act(act)))
        .collect();
    if !rows.is_empty() {
        settings.push(("on", format!("{{ {} }}", rows.join(", "))));
    }
    settings
}

fn unlike_default(all: &[(&'static str, u64, u64)]) -> Vec<(&'static str, String)> {
    let unlike = all.iter().filter(|(_, value, default)| value != default);
    unlike
        .map(|(name, value, _)| (*name, value.to_string()))
        .collect()
}

fn flow_act(act: Act) -> String {
    let then = match act.then {
        Then::Fail => "fail",
        Then::Next => "next",
        Then::Retry => "retry",
    };
    match act.cool {
        true => format!("[{then}, cool]"),
        false => then.into(),
    }
}

/// The settings of an upstream that its provider's row does not have.
fn settings(upstream: &Upstream, catalogue: &Catalogue) -> Vec<String> {
    let row = catalogue.row(&upstream.provider);
    let mut lines = Vec::new();
    if upstream.provider != GENERIC {
        lines.push(format!("provider: {}", scalar(&upstream.provider)));
    }
    if row.is_none_or(|row| row.dialect != upstream.dialect) {
        lines.push(format!("dialect: {}", upstream.dialect.name()));
    }
    if row.and_then(|row| row.base_url.as_ref()) != Some(&upstream.base_url) {
        lines.push(format!("base_url: {}", scalar(&upstream.base_url)));
    }
    match upstream.api_keys.as_slice() {
        [] => {}
        [key] => lines.push(format!("api_key: {}", scalar(key.expose()))),
        keys => {
            let keys: Vec<_> = keys.iter().map(|key| flow(key.expose())).collect();
            lines.push(format!("api_keys: [{}]", keys.join(", ")));
        }
    }
    let customary = row
        .and_then(|row| row.auth)
        .unwrap_or(upstream.dialect.auth());
    if upstream.auth != customary {
        let auth = Auth::ALL.iter().find(|(_, auth)| *auth == upstream.auth);
        lines.extend(auth.map(|(name, _)| format!("auth: {name}")));
    }
    if let Some(most) = upstream.calls_max {
        lines.push(format!("calls_max: {most}"));
    }
    let times = &upstream.timeouts;
    for (name, ms) in [
        ("first_byte_timeout_ms", times.first_byte_ms),
        ("stream_first_byte_timeout_ms", times.stream_first_byte_ms),
        ("idle_timeout_ms", times.idle_ms),
        ("total_timeout_ms", times.total_ms),
    ] {
        lines.extend(ms.map(|ms| format!("{name}: {ms}")));
    }
    if !upstream.headers.is_empty() {
        lines.push("headers:".into());
        let header = |(name, value): &(String, Secret)| {
            format!("  {}: {}", scalar(name), scalar(value.expose()))
        };
        lines.extend(upstream.headers.iter().map(header));
    }
    let of_row = fields(&accent::of(row, upstream.dialect, None));
    let own = fields(&upstream.accent).into_iter();
    let own: Vec<_> = own
        .filter(|(name, value)| of_row.get(name) != Some(value))
        .collect();
    if !own.is_empty() {
        lines.push("accent:".into());
    }
    lines.extend(own.iter().map(|(name, value)| format!("  {name}: {value}")));
    lines
}

/// The fields of an accent. As JSON they are YAML, too.
fn fields(accent: &Accent) -> BTreeMap<String, Value> {
    let value = match accent {
        Accent::Chat(accent) => serde_json::to_value(accent),
        Accent::Messages(accent) => serde_json::to_value(accent),
    };
    let value = value.expect("an accent has names for keys");
    serde_json::from_value(value).expect("an accent is an object")
}

fn flow_target(target: &Target, upstream: &str) -> String {
    let mut members = vec![
        format!("upstream: {}", flow(upstream)),
        format!("model: {}", flow(&target.model)),
    ];
    for (name, value) in [("priority", target.priority), ("weight", target.weight)] {
        members.extend((value != 1).then(|| format!("{name}: {value}")));
    }
    for (name, value) in [
        ("context_window", target.context_window),
        ("output_limit", target.output_limit),
    ] {
        members.extend(value.map(|value| format!("{name}: {value}")));
    }
    format!("{{ {} }}", members.join(", "))
}

fn route_settings(route: &Route) -> Vec<String> {
    let mut lines = Vec::new();
    if route.pick != Pick::default() {
        let pick = Pick::ALL.iter().find(|(_, pick)| *pick == route.pick);
        lines.extend(pick.map(|(name, _)| format!("pick: {name}")));
    }
    if route.affinity != route.pick.affinity() {
        let affinity = match route.affinity {
            Affinity::None => "none",
            Affinity::Session => "session",
        };
        lines.push(format!("affinity: {affinity}"));
    }
    for (name, names) in [
        ("fallbacks", &route.fallbacks),
        ("on_overflow", &route.on_overflow),
        ("on_content_policy", &route.on_content_policy),
    ] {
        if !names.is_empty() {
            lines.push(format!("{name}: {}", flow_list(names)));
        }
    }
    if route.on_loss == OnLoss::Refuse {
        lines.push("on_loss: refuse".into());
    }
    lines
}

fn hook_settings(entry: &HookEntry) -> Vec<String> {
    let mut lines = Vec::new();
    let lists = [
        ("models", &entry.matching.models),
        ("upstreams", &entry.matching.upstreams),
    ];
    let lists: Vec<_> = lists
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}: {}", flow_list(list)))
        .collect();
    if !lists.is_empty() {
        lines.push(format!("match: {{ {} }}", lists.join(", ")));
    }
    if !entry.config.is_null() {
        lines.push(format!("config: {}", entry.config));
    }
    let prompt = match entry.grants.prompt {
        Prompt::None => None,
        Prompt::Read => Some("read"),
        Prompt::Write => Some("write"),
    };
    lines.extend(prompt.map(|level| format!("grants: {{ prompt: {level} }}")));
    lines
}

fn flow_list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| flow(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A text as it stands alone: without quotes where it can do without.
fn scalar(text: &str) -> String {
    let variable = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@+-".contains(c);
    let is_text = || serde_yaml::from_str(text).ok() == Some(serde_yaml::Value::from(text));
    match variable.is_some_and(is_name) || (ends && text.chars().all(plain) && is_text()) {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

/// A text inside brackets or braces.
fn flow(text: &str) -> String {
    match text.contains([':', '{']) {
        true => Value::from(text).to_string(),
        false => scalar(text),
    }
}
