//! What a reload changed, for the log and the operator.
//!
//! Parts are compared by their names: what is shown of one may be told, and that
//! the rest of it changed, but never what that is.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::config::{HookEntry, KvStore, Route, Telemetry, Upstream};
use crate::hook::HookInfo;
use crate::secret::Secret;
use crate::snapshot::Snapshot;

/// A part of a snapshot, to be compared with that of another.
struct Part {
    name: String,
    /// What there is to show of it.
    state: String,
    /// Stands for the rest, which may be long, or secret.
    rest: u64,
}

impl Part {
    fn new(name: impl Into<String>, state: String, rest: &[&str]) -> Self {
        let mut hasher = DefaultHasher::new();
        rest.hash(&mut hasher);
        Self {
            name: name.into(),
            state,
            rest: hasher.finish(),
        }
    }
}

/// The parts of one kind.
type Parts = fn(&Snapshot) -> Vec<Part>;

/// What a reload changed, a line each.
pub(super) fn between(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let kinds: [(&str, Parts); 6] = [
        ("upstream", upstreams),
        ("model", models),
        ("store", stores),
        ("key", keys),
        ("hook", hooks),
        ("setting", settings),
    ];
    let lines = kinds
        .iter()
        .map(|(what, parts)| difference(what, &parts(old), &parts(new)));
    lines.flatten().collect()
}

fn upstreams(snapshot: &Snapshot) -> Vec<Part> {
    let part = |upstream: &Upstream| {
        let state = format!("{} {}", upstream.provider, upstream.base_url);
        let headers = upstream.headers.iter().map(|(_, value)| value);
        let secrets = upstream.api_keys.iter().chain(headers);
        let mut rest: Vec<_> = secrets.map(Secret::expose).collect();
        let shown = format!("{upstream:?}");
        rest.push(&shown);
        Part::new(&upstream.name, state, &rest)
    };
    snapshot.config.upstreams.iter().map(part).collect()
}

fn models(snapshot: &Snapshot) -> Vec<Part> {
    let upstream = |at: usize| snapshot.config.upstreams[at].name.as_str();
    let part = |route: &Route| {
        let targets = route.targets.iter();
        let targets =
            targets.map(|target| format!("{}/{}", upstream(target.upstream), target.model));
        let state = targets.collect::<Vec<_>>().join(", ");
        // Where an upstream stands in the file means nothing.
        let mut rest = route.clone();
        rest.targets
            .iter_mut()
            .for_each(|target| target.upstream = 0);
        Part::new(&route.pattern, state, &[&format!("{rest:?}")])
    };
    snapshot.config.models.every_route().map(part).collect()
}

fn stores(snapshot: &Snapshot) -> Vec<Part> {
    let config = &snapshot.config;
    let part = |(name, store): (&str, &KvStore)| {
        // A server's address may hold a password.
        let place = store.path().map(|path| format!(" {}", path.display()));
        let state = format!("{}{}", store.name(), place.unwrap_or_default());
        Part::new(name, state, &[])
    };
    let stores = [
        ("kv", &config.hooks.kv.store),
        ("state", &config.state.store),
    ];
    stores.map(part).into()
}

/// Those that have names.
fn keys(snapshot: &Snapshot) -> Vec<Part> {
    let keys = snapshot.config.keys.list().iter();
    let named = keys.filter(|client| !client.name.is_empty());
    named
        .map(|client| Part::new(&client.name, client.terms(), &[&client.hash()]))
        .collect()
}

fn hooks(snapshot: &Snapshot) -> Vec<Part> {
    let chain = &snapshot.config.hooks.chain;
    // Where an entry stands in the file means nothing.
    let shown = |entry: &HookEntry| {
        let place = String::new();
        format!(
            "{:?}",
            HookEntry {
                place,
                ..entry.clone()
            }
        )
    };
    let described = |info: HookInfo| {
        let state = format!("{} {:.12}", info.source, info.digest);
        let own = chain.iter().filter(|entry| entry.name == info.name);
        let own: Vec<_> = own.map(shown).collect();
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        Part::new(info.name, state, &own)
    };
    snapshot
        .hooks
        .describe()
        .into_iter()
        .map(described)
        .collect()
}

/// What is of the whole gateway.
fn settings(snapshot: &Snapshot) -> Vec<Part> {
    let config = &snapshot.config;
    // Those that have names are told of one by one.
    let keys = config.keys.list().iter();
    let keys: Vec<_> = keys.filter(|client| client.name.is_empty()).collect();
    let shown = |value: &dyn Debug| format!("{value:?}");
    vec![
        Part::new("listen", config.listen.to_string(), &[]),
        Part::new("keys", format!("{} of them", keys.len()), &[&shown(&keys)]),
        Part::new("prices", String::new(), &[&shown(&config.prices)]),
        Part::new("limits", String::new(), &[&shown(&config.limits)]),
        Part::new("attempts", String::new(), &[&shown(&config.attempts)]),
        Part::new("drain", String::new(), &[&shown(&config.drain)]),
        telemetry(config.telemetry.as_ref()),
    ]
}

fn telemetry(telemetry: Option<&Telemetry>) -> Part {
    let place = telemetry.map_or("none", |telemetry| &telemetry.endpoint);
    let headers = telemetry.iter().flat_map(|telemetry| &telemetry.headers);
    let mut rest: Vec<_> = headers.map(|(_, value)| value.expose()).collect();
    let shown = format!("{telemetry:?}");
    rest.push(&shown);
    Part::new("telemetry", place.to_owned(), &rest)
}

/// Parts added, changed and removed between two lists.
fn difference(what: &str, old: &[Part], new: &[Part]) -> Vec<String> {
    let find = |list: &'_ [Part], name: &str| list.iter().position(|part| part.name == name);
    let mut lines = Vec::new();
    for Part { name, state, rest } in new {
        match find(old, name).map(|at| &old[at]) {
            None => lines.push(format!("{what} `{name}` added ({state})")),
            Some(before) if before.state != *state => {
                let before = &before.state;
                lines.push(format!("{what} `{name}` changed ({before} -> {state})"));
            }
            Some(before) if before.rest != *rest => {
                lines.push(format!("{what} `{name}` changed"));
            }
            Some(_) => {}
        }
    }
    let removed = old.iter().filter(|part| find(new, &part.name).is_none());
    lines.extend(removed.map(|part| format!("{what} `{}` removed", part.name)));
    lines
}
