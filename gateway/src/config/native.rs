//! Sluice's own schema: a document to the configuration as used.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::accent;
use super::attempts;
use super::catalogue::{Catalogue, GENERIC, Row};
use super::document::Node;
use super::variables::Environment;
use super::{
    Config, Drain, Grants, HookEntry, HookLimits, Hooks, HostGrant, Isolation, KV_MEMORY_BYTES_MAX,
    Keys, Kv, KvStore, Limits, Match, Mode, Models, OnFailure, OnStoreFailure, Prices, Prompt,
    Route, State, Timeouts, Upstream, keys, models, prices, telemetry,
};
use crate::provider::{Auth, Dialect};
use crate::secret::Secret;

/// The settings of each mapping; `config/sluice.yaml` shows them all.
pub(super) mod settings {
    pub(in crate::config) const TOP: [&str; 16] = [
        "include",
        "listen",
        "keys",
        "keys_file",
        "prices",
        "state",
        "limits",
        "attempts",
        "providers",
        "upstreams",
        "models",
        "tiers",
        "default",
        "hooks",
        "drain",
        "telemetry",
    ];
    pub(in crate::config) const KEY: [&str; 11] = [
        "name",
        "key",
        "hash",
        "expires",
        "previous",
        "models",
        "calls_max",
        "requests_per_minute",
        "tokens_per_minute",
        "budget",
        "admin",
    ];
    pub(in crate::config) const PREVIOUS: [&str; 2] = ["hash", "expires"];
    pub(in crate::config) const BUDGET: [&str; 4] = ["tokens", "usd", "per", "unpriced"];
    pub(in crate::config) const PRICE: [&str; 4] = ["input", "output", "cache_read", "cache_write"];
    pub(in crate::config) const STATE: [&str; 5] =
        ["store", "path", "url", "bytes_max", "on_store_failure"];
    pub(in crate::config) const DRAIN: [&str; 2] = ["announce_ms", "streams_ms"];
    pub(in crate::config) const TELEMETRY: [&str; 8] = [
        "endpoint",
        "headers",
        "service_name",
        "attributes",
        "sampling_ratio",
        "interval_ms",
        "propagate",
        "prompts",
    ];
    pub(in crate::config) const LIMITS: [&str; 11] = [
        "body_bytes_max",
        "bytes_in_flight_max",
        "calls_max",
        "queue_max",
        "queue_wait_ms",
        "head_hold_ms",
        "ping_interval_ms",
        "connect_timeout_ms",
        "first_byte_timeout_ms",
        "idle_timeout_ms",
        "total_timeout_ms",
    ];
    pub(in crate::config) const UPSTREAM: [&str; 13] = [
        "provider",
        "dialect",
        "base_url",
        "api_key",
        "api_keys",
        "auth",
        "calls_max",
        "first_byte_timeout_ms",
        "stream_first_byte_timeout_ms",
        "idle_timeout_ms",
        "total_timeout_ms",
        "headers",
        "accent",
    ];
    pub(in crate::config) const TIERS: [&str; 5] = ["haiku", "sonnet", "opus", "fable", "subagent"];
    pub(in crate::config) const ROUTE: [&str; 10] = [
        "targets",
        "pick",
        "affinity",
        "fallbacks",
        "on_overflow",
        "on_content_policy",
        "on_loss",
        "on_broken_stream",
        "context_window",
        "output_limit",
    ];
    pub(in crate::config) const TARGET: [&str; 6] = [
        "upstream",
        "model",
        "priority",
        "weight",
        "context_window",
        "output_limit",
    ];
    pub(in crate::config) const ATTEMPTS: [&str; 8] = [
        "retries",
        "attempts_max",
        "pause_ms",
        "pause_ms_max",
        "failures_max",
        "cooldown_ms",
        "cooldown_ms_max",
        "on",
    ];
    pub(in crate::config) const HOOKS: [&str; 3] = ["folder", "kv", "chain"];
    pub(in crate::config) const KV: [&str; 4] = ["store", "path", "url", "bytes_max"];
    pub(in crate::config) const ENTRY: [&str; 11] = [
        "hook",
        "enabled",
        "match",
        "config",
        "limits",
        "on_failure",
        "hold_streams",
        "isolation",
        "mode",
        "trial",
        "grants",
    ];
    pub(in crate::config) const MATCH: [&str; 2] = ["models", "upstreams"];
    pub(in crate::config) const HOOK_LIMITS: [&str; 10] = [
        "time_ms",
        "memory_bytes_max",
        "instances_max",
        "wait_ms",
        "calls_per_instance_max",
        "output_bytes_max",
        "held_bytes_max",
        "http_time_ms",
        "http_requests_max",
        "http_bytes_max",
    ];
    pub(in crate::config) const GRANTS: [&str; 5] = ["headers", "prompt", "kv", "env", "http"];
}

/// The folder that is watched for hooks when the file names none.
pub(super) const HOOK_FOLDER: &str = "hooks";

/// What surrounds a file.
pub(super) struct Surroundings<'s> {
    pub(super) catalogue: &'s Catalogue,
    pub(super) environment: Environment<'s>,
    /// The list in the file that `keys_file` names, if it names one.
    pub(super) keys: Option<&'s Node<'s>>,
    /// The folder that relative paths begin at; none for the embedded default.
    pub(super) folder: Option<&'s Path>,
}

/// The variable that names the folder of stores: where the configuration lies, a service
/// may not be allowed to write.
const STATE_VARIABLE: &str = "SLUICE_STATE";

impl Surroundings<'_> {
    /// Where stores on disk lie, unless their path is absolute.
    fn store_folder(&self) -> PathBuf {
        let named = (self.environment)(STATE_VARIABLE).filter(|folder| !folder.is_empty());
        let beside = || self.folder.unwrap_or(Path::new("")).to_owned();
        named.map_or_else(beside, PathBuf::from)
    }
}

/// Read the whole file. What is wrong is reported at its node, and left out of
/// the result, which is then not to be used.
pub(super) fn read(root: &Node<'_>, around: &Surroundings<'_>) -> Config {
    let members = root.object(&settings::TOP);
    let upstreams = members
        .get("upstreams")
        .map(|node| upstreams(node, around))
        .unwrap_or_default();
    let names: Vec<_> = upstreams
        .iter()
        .map(|upstream| upstream.name.clone())
        .collect();
    let models = models::read(&members, &names);
    if !["models", "tiers", "default"]
        .iter()
        .any(|name| members.contains_key(*name))
    {
        let help = "add `models:` with a name and its targets; `config/minimal.yaml` is an example";
        root.error("no models, so nothing can be asked for", Some(help.into()));
    }
    let keys = keys::read(members.get("keys"), around.keys);
    let prices = members.get("prices").map(prices::read).unwrap_or_default();
    let prices = prices.and_listed(&upstreams, around.catalogue);
    warn_of_unpriced(root, &keys, &models, &prices, &names);
    let state = state(members.get("state"), &keys, around);
    let hooks = hooks(members.get("hooks"), &names, around);
    if let Some(path) = state.store.path()
        && hooks.kv.store.path() == Some(path)
    {
        let node = members.get("state").unwrap_or(root);
        let help = "name another `path`: what hooks fill must not stop the gateway's counting";
        let message = format!("`state` and `hooks.kv` have one file, `{}`", path.display());
        node.error(message, Some(help.into()));
    }
    Config {
        listen: members
            .get("listen")
            .and_then(listen)
            .unwrap_or(super::LISTEN),
        listen_place: members.get("listen").map(Node::place),
        state,
        keys,
        keys_file: None,
        prices,
        limits: members.get("limits").map(limits).unwrap_or_default(),
        attempts: members
            .get("attempts")
            .map(attempts::read)
            .unwrap_or_default(),
        upstreams,
        models,
        hooks,
        providers: None,
        drain: members.get("drain").map(drain).unwrap_or_default(),
        telemetry: members
            .get("telemetry")
            .map(|node| telemetry::read(node, around.environment)),
    }
}

fn listen(node: &Node<'_>) -> Option<SocketAddr> {
    let text = node.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        let help = "write it as `127.0.0.1:4000`, or `0.0.0.0:4000` for all interfaces";
        node.error("not an address with a port", Some(help.into()));
    }
    address
}

/// Say which targets a budget of money has no price for.
fn warn_of_unpriced(
    root: &Node<'_>,
    keys: &Keys,
    models: &Models,
    prices: &Prices,
    upstreams: &[String],
) {
    for client in keys.list().iter().filter(|client| client.counts_money()) {
        // Names that a pattern or a tier stands for are nobody's to list.
        let may_lead = |route: &&Route| {
            let is_name = models
                .routes
                .iter()
                .any(|known| known.pattern == route.pattern);
            !is_name || route.pattern.contains('*') || client.may_ask_for(&route.pattern)
        };
        let routes = models.every_route().filter(may_lead);
        let mut unpriced = Vec::new();
        for target in routes.flat_map(|route| &route.targets) {
            // A name that is wrong is reported already.
            let Some(upstream) = upstreams.get(target.upstream) else {
                continue;
            };
            let name = format!("{upstream}/{}", target.model);
            if prices.of(&name).is_none() && !unpriced.contains(&name) {
                unpriced.push(name);
            }
        }
        if !unpriced.is_empty() {
            let (consequence, help) = match client.needs_prices() {
                true => (
                    "is refused there, since it has a budget in dollars",
                    "add it to `prices`, or `unpriced: allow` to the budget",
                ),
                false => ("takes nothing from its budget there", "add it to `prices`"),
            };
            let (targets, name) = (unpriced.join("`, `"), &client.name);
            let message = format!("no price of `{targets}`, so key `{name}` {consequence}");
            root.warn(message, Some(help.into()));
        }
    }
}

/// A credential: not empty, and fit for a header.
pub(super) fn secret(node: &Node<'_>) -> Option<Secret> {
    let text = node.text()?;
    if text.is_empty() || http::HeaderValue::try_from(text).is_err() {
        node.error("expected a key: one line of visible characters", None);
        return None;
    }
    Some(Secret::new(text))
}

fn limits(node: &Node<'_>) -> Limits {
    let members = node.object(&settings::LIMITS);
    let default = Limits::default();
    let count = |name: &str, default: u64| {
        members
            .get(name)
            .and_then(|node| node.count(1))
            .unwrap_or(default)
    };
    Limits {
        body_bytes_max: size(count("body_bytes_max", default.body_bytes_max as u64)),
        bytes_in_flight_max: size(count(
            "bytes_in_flight_max",
            default.bytes_in_flight_max as u64,
        )),
        calls_max: size(count("calls_max", default.calls_max as u64)),
        queue_max: members
            .get("queue_max")
            .and_then(|node| node.count(0))
            .map_or(default.queue_max, size),
        queue_wait_ms: count("queue_wait_ms", default.queue_wait_ms),
        head_hold_ms: count("head_hold_ms", default.head_hold_ms),
        ping_interval_ms: count("ping_interval_ms", default.ping_interval_ms),
        connect_timeout_ms: count("connect_timeout_ms", default.connect_timeout_ms),
        first_byte_timeout_ms: count("first_byte_timeout_ms", default.first_byte_timeout_ms),
        idle_timeout_ms: count("idle_timeout_ms", default.idle_timeout_ms),
        total_timeout_ms: count("total_timeout_ms", default.total_timeout_ms),
    }
}

fn drain(node: &Node<'_>) -> Drain {
    let members = node.object(&settings::DRAIN);
    let default = Drain::default();
    let ms = |name: &str| members.get(name).and_then(|node| node.count(0));
    Drain {
        announce_ms: ms("announce_ms").unwrap_or(default.announce_ms),
        streams_ms: ms("streams_ms").unwrap_or(default.streams_ms),
    }
}

pub(super) fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

// === upstreams ===

fn upstreams(node: &Node<'_>, around: &Surroundings<'_>) -> Vec<Upstream> {
    node.members()
        .into_iter()
        .filter_map(|(name, node)| upstream(name, &node, around))
        .collect()
}

/// An upstream, even a faulty one: models that name it are not to blame.
fn upstream(name: String, node: &Node<'_>, around: &Surroundings<'_>) -> Option<Upstream> {
    let members = node.object(&settings::UPSTREAM);
    let provider = members
        .get("provider")
        .and_then(Node::text)
        .unwrap_or(GENERIC);
    let row = around.catalogue.row(provider);
    if let (None, Some(node)) = (row, members.get("provider")) {
        node.unknown("provider", provider, around.catalogue.names());
    }
    let dialect = members
        .get("dialect")
        .and_then(|node| node.choice(&Dialect::ALL))
        .or(row.map(|row| row.dialect))
        .unwrap_or_default();
    let auth = members
        .get("auth")
        .and_then(|node| node.choice(&Auth::ALL))
        .or(row.and_then(|row| row.auth))
        .unwrap_or(dialect.auth());
    let written = members.get("base_url");
    let base_url = written
        .and_then(|node| base_url(node, dialect))
        .or_else(|| row.and_then(|row| row.base_url.clone()));
    if base_url.is_none() && written.is_none() && row.is_some() {
        node.error(
            format!("no `base_url`, and provider `{provider}` has none by default"),
            Some(format!(
                "add the URL that `{}` is appended to",
                dialect.path()
            )),
        );
    }
    Some(Upstream {
        name,
        provider: provider.to_owned(),
        dialect,
        auth,
        base_url: base_url.unwrap_or_default(),
        api_keys: api_keys(&members, row, around),
        calls_max: members
            .get("calls_max")
            .and_then(|node| node.count(1))
            .map(size),
        timeouts: timeouts(&members),
        headers: members.get("headers").map(headers).unwrap_or_default(),
        accent: accent::of(row, dialect, members.get("accent")),
    })
}

/// The upstream's own times.
fn timeouts(members: &HashMap<String, Node<'_>>) -> Timeouts {
    let ms = |name: &str| members.get(name).and_then(|node| node.count(1));
    Timeouts {
        first_byte_ms: ms("first_byte_timeout_ms"),
        stream_first_byte_ms: ms("stream_first_byte_timeout_ms"),
        idle_ms: ms("idle_timeout_ms"),
        total_ms: ms("total_timeout_ms"),
    }
}

/// The keys that calls take in turn.
fn api_keys(
    members: &HashMap<String, Node<'_>>,
    row: Option<&Row>,
    around: &Surroundings<'_>,
) -> Vec<Secret> {
    match (members.get("api_key"), members.get("api_keys")) {
        (Some(_), Some(keys)) => {
            let help = "put all of them into `api_keys`";
            keys.error("`api_key` is there as well", Some(help.into()));
            Vec::new()
        }
        (Some(key), None) => secret(key).into_iter().collect(),
        (None, Some(keys)) => {
            if keys.value().as_sequence().is_some_and(Vec::is_empty) {
                keys.error("no keys", Some("leave it out if there are none".into()));
            }
            keys.list().iter().filter_map(secret).collect()
        }
        (None, None) => row
            .and_then(|row| key_of(row, around))
            .into_iter()
            .collect(),
    }
}

/// The key in the variable that is the vendor's custom.
pub(super) fn key_of(row: &Row, around: &Surroundings<'_>) -> Option<Secret> {
    let key = (around.environment)(row.key_variable.as_deref()?)?;
    (!key.is_empty() && http::HeaderValue::try_from(&key).is_ok()).then(|| Secret::new(key))
}

/// A URL to append the dialect's path to.
pub(super) fn base_url(node: &Node<'_>, dialect: Dialect) -> Option<String> {
    let text = node.text()?.trim_end_matches('/');
    // An importer leaves variables to whoever loads what it writes.
    if text.contains("${") && !text.contains(['@', '?']) {
        return Some(text.to_owned());
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    let Some(uri) = uri else {
        node.error("not an `http://` or `https://` URL", None);
        return None;
    };
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
        || uri.query().is_some()
    {
        let help = "put the credential into `api_key` or `headers`";
        node.error(
            "a base URL takes no user, password or query",
            Some(help.into()),
        );
        return None;
    }
    let path = dialect.path();
    match text.strip_suffix(path) {
        Some(base) => {
            node.warn(format!("`{path}` is appended by Sluice; taken off"), None);
            Some(base.to_owned())
        }
        None => Some(text.to_owned()),
    }
}

/// Headers of every request to an upstream, or to a collector.
pub(super) fn headers(node: &Node<'_>) -> Vec<(String, Secret)> {
    /// These say how the body travels, which is not the operator's to say.
    const RESERVED: [&str; 5] = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    ];
    let header = |(name, node): (String, Node<'_>)| {
        let name = name.to_ascii_lowercase();
        if http::HeaderName::try_from(&name).is_err() || RESERVED.contains(&name.as_str()) {
            node.error(format!("`{name}` is no header that can be set"), None);
            return None;
        }
        Some((name, secret(&node)?))
    };
    node.members().into_iter().filter_map(header).collect()
}

// === hooks ===

/// The chain when the file says nothing: what makes answers complete.
const DEFAULT_CHAIN: [&str; 1] = ["inject-usage"];

fn hooks(node: Option<&Node<'_>>, upstreams: &[String], around: &Surroundings<'_>) -> Hooks {
    let members = node
        .map(|node| node.object(&settings::HOOKS))
        .unwrap_or_default();
    let folder = members
        .get("folder")
        .and_then(Node::text)
        .unwrap_or(HOOK_FOLDER);
    let chain = match members.get("chain") {
        Some(node) => node
            .list()
            .iter()
            .filter_map(|item| entry(item, upstreams))
            .collect(),
        None => default_chain(),
    };
    let kv = members.get("kv").map(|node| kv(node, around));
    Hooks {
        folder: around.folder.map(|base| base.join(folder)),
        chain,
        kv: kv.unwrap_or_default(),
        lock: None,
    }
}

/// The file of `hooks.kv` when it names none.
const KV_FILE: &str = "sluice.redb";

/// The file of `state` when it names none: hooks cannot fill it.
const STATE_FILE: &str = "sluice-state.redb";

/// What a store on disk holds when nothing is said: disks are larger than memories.
const KV_DISK_BYTES_MAX: u64 = 1 << 30;

fn kv(node: &Node<'_>, around: &Surroundings<'_>) -> Kv {
    let members = node.object(&settings::KV);
    let file = around.store_folder().join(KV_FILE);
    Kv {
        store: store(node, &members, Kind::Memory, &file),
        place: node.place(),
    }
}

/// Where the gateway keeps its own counts: on disk if some are to last, and if there
/// is a folder for it.
fn state(node: Option<&Node<'_>>, keys: &Keys, around: &Surroundings<'_>) -> State {
    let has_budgets = keys.list().iter().any(|client| client.budget.is_some());
    let kind = match has_budgets && around.folder.is_some() {
        true => Kind::Disk,
        false => Kind::Memory,
    };
    let file = around.store_folder().join(STATE_FILE);
    let Some(node) = node else {
        let place = "state";
        return State {
            store: kind.of_its_own(&file),
            on_failure: OnStoreFailure::default(),
            place: place.into(),
        };
    };
    let members = node.object(&settings::STATE);
    let policies = [
        ("allow", OnStoreFailure::Allow),
        ("refuse", OnStoreFailure::Refuse),
    ];
    State {
        store: store(node, &members, kind, &file),
        on_failure: members
            .get("on_store_failure")
            .and_then(|node| node.choice(&policies))
            .unwrap_or_default(),
        place: node.place(),
    }
}

/// Kinds of stores, before it is known what they need.
#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    Memory,
    Disk,
    Redis,
}

impl Kind {
    /// The store that needs no setting.
    fn of_its_own(self, file: &Path) -> KvStore {
        match self {
            Self::Disk => KvStore::Disk {
                path: file.to_owned(),
                bytes_max: size(KV_DISK_BYTES_MAX),
            },
            Self::Memory | Self::Redis => KvStore::default(),
        }
    }
}

/// The store that `members` of `node` describe; `kind` and `file` if they do not say.
fn store(node: &Node<'_>, members: &HashMap<String, Node<'_>>, kind: Kind, file: &Path) -> KvStore {
    use Kind::{Disk, Memory, Redis};
    let kinds = [("memory", Memory), ("disk", Disk), ("redis", Redis)];
    let kind = match members.get("store") {
        Some(node) => node.choice(&kinds),
        None => Some(kind),
    };
    let owners = [
        ("path", &[Disk][..], "is of `store: disk`"),
        ("url", &[Redis], "is of `store: redis`"),
        (
            "bytes_max",
            &[Memory, Disk],
            "is of `memory` and `disk`; a server has its own limit, `maxmemory`",
        ),
    ];
    for (name, of, why) in owners {
        if let (Some(node), Some(kind)) = (members.get(name), kind)
            && !of.contains(&kind)
        {
            node.error(format!("`{name}` {why}"), None);
        }
    }
    let bytes_max = |default: u64| {
        let written = members.get("bytes_max").and_then(|node| node.count(1));
        size(written.unwrap_or(default))
    };
    match kind.unwrap_or_default() {
        Memory => KvStore::Memory {
            bytes_max: bytes_max(KV_MEMORY_BYTES_MAX),
        },
        Disk => {
            let written = members.get("path").and_then(Node::text);
            KvStore::Disk {
                path: written.map_or_else(|| file.to_owned(), |path| file.with_file_name(path)),
                bytes_max: bytes_max(KV_DISK_BYTES_MAX),
            }
        }
        Redis => KvStore::Redis {
            url: redis_url(node, members.get("url")).unwrap_or_else(|| Secret::new("")),
        },
    }
}

/// A server's URL; reported, without its value, if it is none.
fn redis_url(kv: &Node<'_>, node: Option<&Node<'_>>) -> Option<Secret> {
    let example =
        || Some("write it as `redis://:PASSWORD@HOST:6379/0`, or `rediss://` for TLS".into());
    let Some(node) = node else {
        kv.error("no `url`, and `store: redis` needs one", example());
        return None;
    };
    let text = node.text()?;
    let rest = ["redis://", "rediss://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split('/').next()?.rsplit('@').next());
    if host.is_none_or(|host| host.is_empty() || host.starts_with(':')) {
        node.error("not a `redis://` or `rediss://` URL with a host", example());
        return None;
    }
    Some(Secret::new(text))
}

/// The chain of a file that has none.
pub(super) fn default_chain() -> Vec<HookEntry> {
    DEFAULT_CHAIN
        .iter()
        .map(|name| HookEntry::named(*name, "the default chain"))
        .collect()
}

fn entry(node: &Node<'_>, upstreams: &[String]) -> Option<HookEntry> {
    if let Some(name) = node.value().as_str() {
        return Some(HookEntry::named(name, node.place()));
    }
    let members = node.object(&settings::ENTRY);
    let Some(name) = members.get("hook") else {
        node.error(
            "no `hook`",
            Some("name a bundled hook, or a file of the folder without `.wasm`".into()),
        );
        return None;
    };
    let policies = [("skip", OnFailure::Skip), ("refuse", OnFailure::Refuse)];
    let isolations = [("reuse", Isolation::Reuse), ("call", Isolation::Call)];
    let modes = [("act", Mode::Act), ("shadow", Mode::Shadow)];
    let flag =
        |name: &str, default: bool| members.get(name).and_then(Node::flag).unwrap_or(default);
    Some(HookEntry {
        enabled: flag("enabled", true),
        matching: members
            .get("match")
            .map(|node| matching(node, upstreams))
            .unwrap_or_default(),
        config: members.get("config").map(config).unwrap_or_default(),
        limits: members.get("limits").map(hook_limits).unwrap_or_default(),
        on_failure: members
            .get("on_failure")
            .and_then(|node| node.choice(&policies)),
        hold_streams: flag("hold_streams", false),
        isolation: members
            .get("isolation")
            .and_then(|node| node.choice(&isolations))
            .unwrap_or_default(),
        mode: members
            .get("mode")
            .and_then(|node| node.choice(&modes))
            .unwrap_or_default(),
        trial: flag("trial", true),
        grants: members.get("grants").map(grants).unwrap_or_default(),
        ..HookEntry::named(name.text()?, node.place())
    })
}

fn matching(node: &Node<'_>, upstreams: &[String]) -> Match {
    let members = node.object(&settings::MATCH);
    for node in members.get("upstreams").map(Node::list).unwrap_or_default() {
        if let Some(name) = node.text()
            && !upstreams.iter().any(|known| known == name)
        {
            node.unknown("upstream", name, upstreams.iter().map(String::as_str));
        }
    }
    let texts = |name: &str| members.get(name).map(Node::texts).unwrap_or_default();
    Match {
        models: texts("models"),
        upstreams: texts("upstreams"),
    }
}

/// The hook's own settings, which only the hook can judge.
fn config(node: &Node<'_>) -> serde_json::Value {
    serde_json::to_value(node.value()).unwrap_or_else(|error| {
        node.error(format!("cannot be handed to a hook as JSON: {error}"), None);
        serde_json::Value::Null
    })
}

fn hook_limits(node: &Node<'_>) -> HookLimits {
    /// What the pool of memories reserves for an instance; no hook gets more.
    const MEMORY_BYTES_CEILING: u64 = crate::config::HOOK_MEMORY_BYTES_CEILING as u64;
    let members = node.object(&settings::HOOK_LIMITS);
    let default = HookLimits::default();
    let count = |name: &str, default: u64| {
        members
            .get(name)
            .and_then(|node| node.count(1))
            .unwrap_or(default)
    };
    let memory = count("memory_bytes_max", default.memory_bytes_max as u64);
    if let Some(node) = members.get("memory_bytes_max")
        && memory > MEMORY_BYTES_CEILING
    {
        node.error(format!("at most {MEMORY_BYTES_CEILING}"), None);
    }
    HookLimits {
        time_ms: count("time_ms", default.time_ms),
        memory_bytes_max: size(memory),
        instances_max: size(count("instances_max", default.instances_max as u64)),
        wait_ms: members
            .get("wait_ms")
            .and_then(|node| node.count(0))
            .unwrap_or(default.wait_ms),
        calls_per_instance_max: u32::try_from(count(
            "calls_per_instance_max",
            u64::from(default.calls_per_instance_max),
        ))
        .unwrap_or(u32::MAX),
        output_bytes_max: size(count("output_bytes_max", default.output_bytes_max as u64)),
        held_bytes_max: size(count("held_bytes_max", default.held_bytes_max as u64)),
        http_time_ms: count("http_time_ms", default.http_time_ms),
        http_requests_max: u32::try_from(count(
            "http_requests_max",
            u64::from(default.http_requests_max),
        ))
        .unwrap_or(u32::MAX),
        http_bytes_max: size(count("http_bytes_max", default.http_bytes_max as u64)),
    }
}

fn grants(node: &Node<'_>) -> Grants {
    let members = node.object(&settings::GRANTS);
    let texts = |name: &str| members.get(name).map(Node::texts).unwrap_or_default();
    let levels = [
        ("none", Prompt::None),
        ("read", Prompt::Read),
        ("write", Prompt::Write),
    ];
    Grants {
        headers: texts("headers")
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        prompt: members
            .get("prompt")
            .and_then(|node| node.choice(&levels))
            .unwrap_or_default(),
        kv: members.get("kv").and_then(Node::flag).unwrap_or(false),
        env: texts("env"),
        http: members.get("http").map(hosts).unwrap_or_default(),
    }
}

fn hosts(node: &Node<'_>) -> Vec<HostGrant> {
    let host = |node: &Node<'_>| {
        let host = HostGrant::parse(node.text()?);
        if host.is_none() {
            let help = "write it as `api.example.com`, `*.example.com` or `10.0.0.5:8200`, without scheme and path";
            node.error("not a host", Some(help.into()));
        }
        host
    };
    node.list().iter().filter_map(host).collect()
}
