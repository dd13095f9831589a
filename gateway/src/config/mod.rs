//! The configuration as used, and the way from a file to it.
//!
//! ```text
//! file ─▶ document (values, lines, variables) ─▶ native | litellm ─▶ Config
//! ```
//! A [`Config`] cannot be wrong any more: whatever is wrong in a file becomes a
//! [`Diagnostic`], all of them in one run. Nothing here knows what a hook does
//! with its settings, or opens a socket.

mod accent;
mod attempts;
mod catalogue;
mod ccr;
mod diagnostic;
mod document;
mod hosts;
mod import;
mod include;
pub(crate) mod keys;
pub(crate) mod keys_file;
mod litellm;
mod models;
mod native;
mod prices;
mod schema;
mod telemetry;
#[cfg(test)]
mod tests;
mod variables;
pub mod watch;
mod write;

pub use attempts::{Act, Attempts, Failure, Policy, Then};
pub use diagnostic::{Diagnostic, Severity};
pub(crate) use diagnostic::{counted, lines};
pub use hosts::HostGrant;
pub use import::{Format, Imported, MovedKey, import};
pub use include::{digest, included};

pub(crate) use keys::NANO_USD;
pub use keys::{Amount, Budget, Client, Found, Keys, Period, Previous, Unpriced};
pub use prices::{Price, Prices};
pub use schema::schema;
pub use telemetry::Telemetry;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::provider::{Accent, Auth, Dialect};
use crate::secret::Secret;
use catalogue::Catalogue;
use document::Document;
use native::Surroundings;

/// Where clients connect unless the file says otherwise.
pub(crate) const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4000));

/// Most memory that a hook can be given, in bytes: the interpreters of Python
/// and JavaScript hooks start at a tenth of it.
pub(crate) const HOOK_MEMORY_BYTES_CEILING: usize = 256 << 20;

/// What the store in memory holds when nothing is said, in bytes: a small part of
/// the memory that a gateway has.
pub(crate) const KV_MEMORY_BYTES_MAX: u64 = 64 << 20;

/// The longest time that clocks reckon with, whatever a file says.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The list of hooks that may run, beside the config file.
pub(crate) const HOOK_LOCK: &str = "hooks.lock";

/// A configuration, and what is worth knowing about its file.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings and notes; no errors.
    pub diagnostics: Vec<Diagnostic>,
}

/// Read the file at `path`, native or LiteLLM's, with the variables of
/// `environment`.
///
/// # Errors
/// Every finding, if any of them is an error.
pub fn load(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let (file, text) = text(path).map_err(|error| vec![error])?;
    parse(&file, &text, Some(folder(path)), environment)
}

/// The hooks that the file at `path` names, whatever else is wrong with it; none if
/// nothing can be read of it.
pub fn hooks_of(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Option<Hooks> {
    let (file, text) = text(path).ok()?;
    let gathered = gather(&file, &text, Some(folder(path)), environment).ok()?;
    Some(gathered.config.hooks)
}

/// A file's name in messages, and what is in it.
fn text(path: &Path) -> Result<(String, String), Diagnostic> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(unreadable(&file, &error)),
    }
}

/// The file's own folder, not that of what a symlink leads to.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// What `sluice serve` runs without a file: the model `demo` at
/// `demo_base_url`, upstreams for the key variables that are set, and those
/// local servers that `is_up` finds.
///
/// # Errors
/// As [`load`]: a variable may hold what no key can be.
pub fn embedded_default(
    demo_base_url: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    is_up: &dyn Fn(SocketAddr) -> bool,
) -> Result<Loaded, Vec<Diagnostic>> {
    let with_demo = |name: &str| match name {
        "SLUICE_DEMO_URL" => Some(demo_base_url.to_owned()),
        _ => environment(name),
    };
    let text = include_str!("../../../config/default.yaml");
    let mut loaded = parse("the embedded default", text, None, &with_demo)?;
    for (provider, row) in Catalogue::embedded().rows() {
        let Some(base_url) = row.base_url.clone() else {
            continue;
        };
        let api_key = match &row.key_variable {
            Some(name) => match environment(name) {
                Some(key) if !key.is_empty() => Some(Secret::new(key)),
                _ => continue,
            },
            None if local_address(&base_url).is_some_and(is_up) => None,
            None => continue,
        };
        let upstream = loaded.config.upstreams.len();
        loaded.config.upstreams.push(Upstream {
            name: provider.to_owned(),
            provider: provider.to_owned(),
            dialect: row.dialect,
            auth: row.auth.unwrap_or(row.dialect.auth()),
            base_url,
            api_keys: api_key.into_iter().collect(),
            calls_max: None,
            timeouts: Timeouts::default(),
            headers: Vec::new(),
            accent: accent::of(Some(row), row.dialect, None),
        });
        let target = Target::new(upstream, "*");
        let route = Route::new(format!("{provider}/*"), vec![target]);
        loaded.config.models.routes.push(route);
    }
    Ok(loaded)
}

/// The address of a server on this machine; none for one elsewhere.
fn local_address(base_url: &str) -> Option<SocketAddr> {
    let authority = base_url.strip_prefix("http://")?.split('/').next()?;
    authority
        .parse()
        .ok()
        .filter(|address: &SocketAddr| address.ip().is_loopback())
}

fn parse(
    file: &str,
    text: &str,
    folder: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let gathered = gather(file, text, folder, environment).map_err(|error| vec![error])?;
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    match gathered.diagnostics.iter().any(is_error) {
        true => Err(gathered.diagnostics),
        false => Ok(gathered),
    }
}

/// What the text says, with errors among the findings: what is wrong is left out.
fn gather(
    file: &str,
    text: &str,
    folder: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Diagnostic> {
    let mut document = Document::read(file, text, folder)?;
    let own = litellm::variables(&document.root());
    let layered = |name: &str| own.get(name).cloned().or_else(|| environment(name));
    match litellm::is_one(&document.root()) {
        true => document.resolve_or(&layered, &litellm::unset),
        false => document.resolve(&layered),
    }
    let (catalogue, providers) = catalogue(&document.root(), folder);
    let (beside, keys_file) = keys_file(&document.root(), folder, &layered);
    let keys = beside.as_ref().map(Document::root);
    let around = Surroundings {
        catalogue: &catalogue,
        keys: keys.as_ref(),
        environment: &layered,
        folder,
    };
    let config = match litellm::is_one(&document.root()) {
        true => litellm::read(&document.root(), &around).0,
        false => native::read(&document.root(), &around),
    };
    warn_of_keyless(&document, &config.upstreams, &catalogue);
    let hooks = Hooks {
        lock: folder.map(|folder| folder.join(HOOK_LOCK)),
        ..config.hooks
    };
    let config = Config {
        providers,
        keys_file,
        hooks,
        ..config
    };
    let mut diagnostics = document.into_findings();
    drop(keys);
    diagnostics.extend(beside.map(Document::into_findings).unwrap_or_default());
    Ok(Loaded {
        config,
        diagnostics,
    })
}

/// Say which vendors are asked without a key, which they refuse.
fn warn_of_keyless(document: &Document, upstreams: &[Upstream], catalogue: &Catalogue) {
    for upstream in upstreams {
        let row = catalogue.row(&upstream.provider);
        let variable = row.and_then(|row| row.key_variable.as_deref());
        let has_credential = !upstream.api_keys.is_empty()
            || upstream
                .headers
                .iter()
                .any(|(name, _)| import::is_credential(name));
        let Some(variable) = variable.filter(|_| !has_credential) else {
            continue;
        };
        // A server on this machine that speaks as the vendor does needs none.
        if !is_on_loopback(&upstream.base_url) {
            let Upstream { name, provider, .. } = upstream;
            // LiteLLM's file has no upstreams that could be pointed at.
            let path = match litellm::is_one(&document.root()) {
                true => String::new(),
                false => format!("upstreams.{name}"),
            };
            document.warn(
                &path,
                format!("`{variable}` is not set, so `{provider}` is asked without a key"),
                Some("set it, or write `api_key:`".into()),
            );
        }
    }
}

/// Whether it is on this machine for sure.
fn is_on_loopback(base_url: &str) -> bool {
    let url = base_url.parse::<http::Uri>().ok();
    url.as_ref()
        .and_then(http::Uri::host)
        .is_some_and(is_loopback)
}

/// Whether a host, in brackets if it is one of IPv6, is this machine for sure.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The catalogue, with the operator's own rows over it if the file names some,
/// and where those are.
fn catalogue(root: &document::Node<'_>, folder: Option<&Path>) -> (Catalogue, Option<PathBuf>) {
    let named = root.value().get("providers");
    let (Some(named), Some(folder)) = (named.and_then(|value| value.as_str()), folder) else {
        return (Catalogue::embedded(), None);
    };
    let path = folder.join(named);
    let overlaid = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|text| Catalogue::embedded().overlaid(&text));
    let catalogue = overlaid.unwrap_or_else(|why| {
        let members = root.members().into_iter();
        for (_, node) in members.filter(|(name, _)| name == "providers") {
            node.error(format!("`{}`: {why}", path.display()), None);
        }
        Catalogue::embedded()
    });
    (catalogue, Some(path))
}

/// The file of keys beside the configuration, if that names one, and where it is. One
/// that does not exist yet has no keys.
fn keys_file(
    root: &document::Node<'_>,
    folder: Option<&Path>,
    environment: variables::Environment<'_>,
) -> (Option<Document>, Option<PathBuf>) {
    let named = root.value().get(KEYS_FILE);
    let (Some(named), Some(folder)) = (named.and_then(|value| value.as_str()), folder) else {
        return (None, None);
    };
    let path = folder.join(named);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok("[]".to_owned()),
        read => read.map_err(|error| format!("cannot be read: {error}")),
    };
    let file = path.display().to_string();
    let document = text
        .and_then(|text| Document::read(&file, &text, None).map_err(|error| error.message))
        .map(|mut document| {
            document.resolve(environment);
            document
        });
    match document {
        Ok(document) => (Some(document), Some(path)),
        Err(why) => {
            let members = root.members().into_iter();
            for (_, node) in members.filter(|(name, _)| name == KEYS_FILE) {
                node.error(format!("`{file}`: {why}"), None);
            }
            (None, Some(path))
        }
    }
}

/// The setting that names the file that `sluice keys` writes.
pub(crate) const KEYS_FILE: &str = "keys_file";

/// A small YAML file of the gateway's own, read into its type.
pub(crate) fn from_yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

fn unreadable(file: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: file.to_owned(),
        line: None,
        path: String::new(),
        message: format!("cannot be read: {error}"),
        help: None,
    }
}

/// Below this likeness a suggestion would puzzle more than help.
const LIKENESS_MIN: f64 = 0.7;

/// The one of `known` that is most like `name`.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let likeness = |known: &'k str| (strsim::jaro_winkler(name, known), known);
    let best = known
        .into_iter()
        .map(likeness)
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}

/// Everything one snapshot is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where that is written, for messages; none if nothing says it.
    pub listen_place: Option<String>,
    /// Who may ask; anybody on loopback if nothing is said.
    pub keys: Keys,
    /// The file of further keys, watched.
    pub keys_file: Option<PathBuf>,
    /// What targets' tokens cost.
    pub prices: Prices,
    /// Where the gateway keeps what keys have used up.
    pub state: State,
    /// Sizes and times.
    pub limits: Limits,
    /// How a call is tried until a target answers.
    pub attempts: Attempts,
    /// Endpoints; a `Target` names one by its position here.
    pub upstreams: Vec<Upstream>,
    /// Requested model names to targets.
    pub models: Models,
    /// The hook folder and the chain.
    pub hooks: Hooks,
    /// The operator's own file of provider rows, watched.
    pub providers: Option<PathBuf>,
    /// How long stopping may take.
    pub drain: Drain,
    /// Where traces and metrics go; none without it.
    pub telemetry: Option<Telemetry>,
}

/// Loopback, nobody to ask, nothing to ask for.
impl Default for Config {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            listen_place: None,
            keys: Keys::default(),
            keys_file: None,
            prices: Prices::default(),
            state: State::default(),
            limits: Limits::default(),
            attempts: Attempts::default(),
            upstreams: Vec::new(),
            models: Models::default(),
            hooks: Hooks::default(),
            providers: None,
            drain: Drain::default(),
            telemetry: None,
        }
    }
}

impl Config {
    /// How long the upstream at `position` is waited for: as it says, or as `limits` do.
    pub fn patience(&self, position: usize) -> Patience {
        let (own, limits) = (&self.upstreams[position].timeouts, &self.limits);
        let first_byte_ms = own.first_byte_ms.unwrap_or(limits.first_byte_timeout_ms);
        Patience {
            first_byte_ms,
            stream_first_byte_ms: own.stream_first_byte_ms.unwrap_or(first_byte_ms),
            idle_ms: own.idle_ms.unwrap_or(limits.idle_timeout_ms),
            total_ms: own.total_ms,
        }
    }

    /// The files that the gateway itself writes all the time.
    pub fn store_files(&self) -> Vec<&Path> {
        let stores = [&self.hooks.kv.store, &self.state.store];
        stores.into_iter().filter_map(KvStore::path).collect()
    }

    /// What is wrong with listening where it says: others reach it and need no key.
    pub fn exposure(&self) -> Option<Diagnostic> {
        let address = self.listen;
        let is_exposed = self.keys.is_open() && !address.ip().is_loopback();
        is_exposed.then(|| Diagnostic {
            severity: Severity::Error,
            file: "listen".into(),
            line: None,
            path: String::new(),
            message: format!(
                "`{address}` can be reached from other machines, and no keys are configured"
            ),
            help: Some("add `keys:`, or listen on 127.0.0.1".into()),
        })
    }

    /// What is wrong with taking this up while `old` runs: nobody would need a key any
    /// more, and the file does not say that this is meant.
    pub fn opening(&self, old: &Self) -> Option<Diagnostic> {
        let opens = self.keys.is_open() && !old.keys.is_open();
        (opens && !self.keys.is_open_by_word()).then(|| Diagnostic {
            severity: Severity::Error,
            file: "keys".into(),
            line: None,
            path: String::new(),
            message: "none are left, and anyone on this machine could ask without one".into(),
            help: Some("if that is meant, write `keys: []`, or start the gateway anew".into()),
        })
    }
}

/// Bounds on sizes and times, each with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Largest client body, in bytes: 32 MiB, Anthropic's own limit.
    pub body_bytes_max: usize,
    /// Bodies of all calls whose answer has not begun, in bytes. In memory each may
    /// stand three times: as it came, as it is sent, and as hooks see it.
    pub bytes_in_flight_max: usize,
    /// Calls at once: each costs memory and sockets until its last byte.
    pub calls_max: usize,
    /// Calls that may wait for room of each kind.
    pub queue_max: usize,
    /// How long they may, in ms: clients have retries of their own.
    pub queue_wait_ms: u64,
    /// How long a stream's status waits for an early upstream error, in ms.
    pub head_hold_ms: u64,
    /// Pause between keep-alives while an upstream is silent, in ms.
    pub ping_interval_ms: u64,
    /// Time to connect to an upstream, in ms.
    pub connect_timeout_ms: u64,
    /// Time to an upstream's first byte, in ms.
    pub first_byte_timeout_ms: u64,
    /// Longest silence inside an upstream's answer, in ms: below the 300 s at
    /// which Claude Code gives up, so that the error is ours and names the cause.
    pub idle_timeout_ms: u64,
    /// Time for a call, from its first byte to its last, in ms: longer than any sound
    /// answer takes, so that nothing lasts for ever.
    pub total_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            bytes_in_flight_max: 512 << 20,
            calls_max: 1024,
            queue_max: 256,
            queue_wait_ms: 10_000,
            head_hold_ms: 10_000,
            ping_interval_ms: 15_000,
            connect_timeout_ms: 10_000,
            first_byte_timeout_ms: 600_000,
            idle_timeout_ms: 280_000,
            total_timeout_ms: 3_600_000,
        }
    }
}

/// How long stopping may take. Both times together stay below the 30 s after which
/// Kubernetes kills.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination> (seen 2026-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long new calls are still taken after the signal, in ms: who looks at
    /// `/readyz`, or is told by the orchestrator, needs a moment to send them elsewhere.
    pub announce_ms: u64,
    /// How long running calls may last after that, in ms.
    pub streams_ms: u64,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            announce_ms: 2_000,
            streams_ms: 25_000,
        }
    }
}

/// What is shorter is looked for in no message: words would be struck out that
/// give nothing away.
const SECRET_BYTES_MIN: usize = 4;

/// A configured endpoint of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// The provider's name in the catalogue.
    pub provider: String,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// The header its key is sent in.
    pub auth: Auth,
    /// URL without a trailing slash; the dialect's path is appended.
    pub base_url: String,
    /// Sent as `auth` says, each call with one of them.
    pub api_keys: Vec<Secret>,
    /// Calls that it answers at once, if there is a limit.
    pub calls_max: Option<usize>,
    /// How long it is waited for, where `limits` do not say it.
    pub timeouts: Timeouts,
    /// Further headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// How the endpoint deviates from its dialect.
    pub accent: Accent,
}

/// Times of one upstream's own: a model on the next desk and one behind a fast cloud
/// are not waited for alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// As `limits.first_byte_timeout_ms`.
    pub first_byte_ms: Option<u64>,
    /// The same for streamed calls, whose first byte comes long before the last.
    pub stream_first_byte_ms: Option<u64>,
    /// As `limits.idle_timeout_ms`.
    pub idle_ms: Option<u64>,
    /// Time for one attempt, from its request to its answer's last byte.
    pub total_ms: Option<u64>,
}

/// How long an upstream is waited for, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    first_byte_ms: u64,
    stream_first_byte_ms: u64,
    /// Longest silence inside an answer.
    pub idle_ms: u64,
    /// Time for one attempt, if it has a limit of its own.
    pub total_ms: Option<u64>,
}

impl Patience {
    /// When an attempt that was `begun` must be over, if it must before its call.
    pub fn deadline(&self, begun: Instant) -> Option<Instant> {
        let total = self.total_ms.map(Duration::from_millis);
        total.map(|total| begun + total.min(FOREVER))
    }

    /// Time to the first byte of an answer that is streamed, or is not.
    pub fn first_byte_ms(&self, is_stream: bool) -> u64 {
        let first_byte = match is_stream {
            true => self.stream_first_byte_ms,
            false => self.first_byte_ms,
        };
        self.total_ms
            .map_or(first_byte, |total| total.min(first_byte))
    }
}

impl Upstream {
    /// `message` of the upstream's, without the keys that it quotes.
    pub fn scrubbed<'m>(&self, mut message: Cow<'m, str>) -> Cow<'m, str> {
        let headers = self.headers.iter().map(|(_, value)| value);
        for secret in self.api_keys.iter().chain(headers).map(Secret::expose) {
            if secret.len() >= SECRET_BYTES_MIN && message.contains(secret) {
                message = Cow::Owned(message.replace(secret, "[key]"));
            }
        }
        message
    }
}

/// Where requested model names go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Models {
    /// Exact names and patterns, in file order.
    pub routes: Vec<Route>,
    /// Whole families of Claude's names, where nothing above matches.
    pub tiers: Vec<(Tier, Route)>,
    /// Every other name; none is refused without it.
    pub default: Option<Route>,
}

/// A family of Claude's model names, which clients ask for by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// `claude-*haiku*`: also titles and other background work.
    Haiku,
    /// `claude-*sonnet*`
    Sonnet,
    /// `claude-*opus*`
    Opus,
    /// `claude-*fable*`
    Fable,
    /// Whatever name of Claude's a subagent asks for.
    Subagent,
}

impl Tier {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("haiku", Self::Haiku),
        ("sonnet", Self::Sonnet),
        ("opus", Self::Opus),
        ("fable", Self::Fable),
        ("subagent", Self::Subagent),
    ];
}

impl Models {
    /// All routes: of names, of tiers, of every other name.
    pub fn every_route(&self) -> impl Iterator<Item = &Route> {
        let tiers = self.tiers.iter().map(|(_, route)| route);
        self.routes.iter().chain(tiers).chain(&self.default)
    }
}

/// One requested name (or pattern with `*`) and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Exact name, or a pattern in which `*` stands for any run of characters;
    /// of a tier or the default the place in the file, `tiers.haiku`.
    pub pattern: String,
    /// Tried in order; never empty.
    pub targets: Vec<Target>,
    /// Which of them is tried first.
    pub pick: Pick,
    /// Whether it depends on the session.
    pub affinity: Affinity,
    /// Names that are tried after all of the targets.
    pub fallbacks: Vec<String>,
    /// Names that are tried where the prompt does not fit.
    pub on_overflow: Vec<String>,
    /// Names that are tried where a vendor's policy forbids the request.
    pub on_content_policy: Vec<String>,
    /// What becomes of a call whose request cannot be carried whole.
    pub on_loss: OnLoss,
    /// What becomes of an answer that breaks off after its beginning was given out.
    pub on_broken_stream: OnBrokenStream,
}

impl Route {
    /// From `pattern` to `targets`, with every setting's default.
    pub(crate) fn new(pattern: impl Into<String>, targets: Vec<Target>) -> Self {
        Self {
            pattern: pattern.into(),
            targets,
            pick: Pick::default(),
            affinity: Pick::default().affinity(),
            fallbacks: Vec::new(),
            on_overflow: Vec::new(),
            on_content_policy: Vec::new(),
            on_loss: OnLoss::default(),
            on_broken_stream: OnBrokenStream::default(),
        }
    }

    /// The tokens that fit into every target's window, as far as it is known.
    pub fn context_window(&self) -> Option<u64> {
        let windows = self.targets.iter();
        windows.filter_map(|target| target.context_window).min()
    }

    /// The tokens that every target answers with if asked to, as far as it is known.
    pub fn output_limit(&self) -> Option<u64> {
        let limits = self.targets.iter();
        limits.filter_map(|target| target.output_limit).min()
    }
}

/// Which of several targets is tried first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// As they are written.
    #[default]
    Ordered,
    /// At random, by weight.
    Weighted,
    /// The one with the fewest calls.
    LeastBusy,
    /// The one that began to answer fastest.
    Latency,
}

impl Pick {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("ordered", Self::Ordered),
        ("weighted", Self::Weighted),
        ("least-busy", Self::LeastBusy),
        ("latency", Self::Latency),
    ];

    /// The affinity if nothing is said: whoever wants load or latency to decide does
    /// not want the session to.
    pub fn affinity(self) -> Affinity {
        match self {
            Self::Ordered | Self::Weighted => Affinity::Session,
            Self::LeastBusy | Self::Latency => Affinity::None,
        }
    }
}

/// What keeps a call at the target of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing.
    None,
    /// The client's session, so that the prompt cache there is warm.
    Session,
}

/// What becomes of an answer that breaks off after its beginning was given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBrokenStream {
    /// It ends with an error: the client knows best whether to ask again.
    #[default]
    Fail,
    /// Another attempt goes on with it.
    Continue,
}

/// What becomes of a call whose request cannot be carried whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// It goes on; the losses are in a header and in the log.
    #[default]
    Report,
    /// It is refused, with what would be lost.
    Refuse,
}

/// An upstream and the model name to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Position in `Config::upstreams`.
    pub upstream: usize,
    /// Name to send; a `*` is filled by what the pattern's `*` matched.
    pub model: String,
    /// From 1: targets of the least are asked first, and the others where all of those fail.
    pub priority: u32,
    /// Its share of the calls, beside the others'; with 0 it comes after them.
    pub weight: u32,
    /// Tokens of prompt and answer together that the model takes.
    pub context_window: Option<u64>,
    /// Most tokens of an answer: larger `max_tokens` are lowered, and reported.
    pub output_limit: Option<u64>,
}

impl Target {
    /// `model` of `upstream`, with every setting's default.
    pub(crate) fn new(upstream: usize, model: impl Into<String>) -> Self {
        Self {
            upstream,
            model: model.into(),
            priority: 1,
            weight: 1,
            context_window: None,
            output_limit: None,
        }
    }
}

/// The hook folder and the chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hooks {
    /// Watched folder of `.wasm` files.
    pub folder: Option<PathBuf>,
    /// Hooks in the order they run on requests (answers run in reverse).
    pub chain: Vec<HookEntry>,
    /// Where they keep what outlives a call.
    pub kv: Kv,
    /// Where a list of what may run would be; without that file anything may.
    pub lock: Option<PathBuf>,
}

/// Where hooks keep what outlives a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kv {
    /// The store.
    pub store: KvStore,
    /// Where it is written, for messages: `sluice.yaml:12: hooks.kv`.
    pub place: String,
}

/// Where the gateway keeps what outlives a call and is its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The store.
    pub store: KvStore,
    /// What becomes of calls while it fails.
    pub on_failure: OnStoreFailure,
    /// Where it is written, for messages.
    pub place: String,
}

/// What becomes of a call that nobody can count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStoreFailure {
    /// It goes on: a lost store stops nobody's work.
    #[default]
    Allow,
    /// It is refused: no budget is ever exceeded.
    Refuse,
}

/// A store of keys and values, with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvStore {
    /// In the process: gone when it ends.
    Memory {
        /// Keys and values of all hooks, in bytes.
        bytes_max: usize,
    },
    /// In a file.
    Disk {
        /// The file.
        path: PathBuf,
        /// Keys and values of all hooks, in bytes.
        bytes_max: usize,
    },
    /// On a Redis or Valkey server, which several gateways may share.
    Redis {
        /// `redis://` or `rediss://`, perhaps with a password.
        url: Secret,
    },
}

impl KvStore {
    /// Its name in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "memory",
            Self::Disk { .. } => "disk",
            Self::Redis { .. } => "redis",
        }
    }

    /// The file that it writes, if it does.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Disk { path, .. } => Some(path),
            _ => None,
        }
    }
}

impl Default for KvStore {
    fn default() -> Self {
        Self::Memory {
            bytes_max: KV_MEMORY_BYTES_MAX as usize,
        }
    }
}

/// One hook's place in the chain, and the terms it runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct HookEntry {
    /// A bundled hook's name, or a file's in the folder without `.wasm`.
    pub name: String,
    /// False keeps the entry and runs nothing.
    pub enabled: bool,
    /// The calls it runs on.
    pub matching: Match,
    /// Handed to the hook as JSON.
    pub config: serde_json::Value,
    /// What it may use up.
    pub limits: HookLimits,
    /// What becomes of a call on which it fails; none is the stage's default.
    pub on_failure: Option<OnFailure>,
    /// Whether a hook without `on-stream` may hold a streamed answer back.
    pub hold_streams: bool,
    /// Whether instances serve one call after the other.
    pub isolation: Isolation,
    /// Whether what it decides is done.
    pub mode: Mode,
    /// Whether it must stand a trial call before it is let in.
    pub trial: bool,
    /// What it may see and change.
    pub grants: Grants,
    /// Where it is written, for messages: `sluice.yaml:12: hooks.chain[0]`.
    pub place: String,
}

impl HookEntry {
    /// `name` with every setting's default, written at `place`.
    pub(crate) fn named(name: impl Into<String>, place: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            enabled: true,
            matching: Match::default(),
            config: serde_json::Value::Null,
            limits: HookLimits::default(),
            on_failure: None,
            hold_streams: false,
            isolation: Isolation::default(),
            mode: Mode::default(),
            trial: true,
            grants: Grants::default(),
            place: place.into(),
        }
    }
}

/// The calls a hook runs on; an empty list matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Patterns of requested model names.
    pub models: Vec<String>,
    /// Names of upstreams.
    pub upstreams: Vec<String>,
}

/// What one hook may use up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookLimits {
    /// Wall clock for one stage of one call, in ms.
    pub time_ms: u64,
    /// Linear memory of one instance, in bytes.
    pub memory_bytes_max: usize,
    /// Instances alive at once, of which a watched stream holds one until its end.
    pub instances_max: usize,
    /// How long a call waits for one of them, in ms; 0 fails at once.
    pub wait_ms: u64,
    /// Calls after which an instance is replaced by a fresh one.
    pub calls_per_instance_max: u32,
    /// What one stage may write into a body or a stream, in bytes.
    pub output_bytes_max: usize,
    /// What a watcher may hold back of an answer, or swallow, in bytes.
    pub held_bytes_max: usize,
    /// Time for one request of its own, until the answer's end, in ms; it does not
    /// count as the hook's own.
    pub http_time_ms: u64,
    /// Requests of its own in one stage.
    pub http_requests_max: u32,
    /// Body of one such request, and of its answer, in bytes.
    pub http_bytes_max: usize,
}

impl Default for HookLimits {
    fn default() -> Self {
        Self {
            time_ms: 100,
            memory_bytes_max: 64 << 20,
            instances_max: 1024,
            wait_ms: 100,
            calls_per_instance_max: 10_000,
            output_bytes_max: 8 << 20,
            held_bytes_max: 8 << 20,
            // Longer than a call should have to wait for anything beside a model.
            http_time_ms: 5_000,
            http_requests_max: 8,
            http_bytes_max: 1 << 20,
        }
    }
}

/// What becomes of a call on which a hook fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The call goes on as if the hook were not there.
    Skip,
    /// The call is refused.
    Refuse,
}

/// How calls are kept apart in a hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// An instance serves one call after the other: nothing but the hook's own code
    /// keeps one from the next.
    #[default]
    Reuse,
    /// Every call, at every stage, has a fresh instance.
    Call,
}

/// Whether what a hook decides is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    #[default]
    Act,
    /// It is written down, and nothing else.
    Shadow,
    /// As in the shadow, on a call of the gateway's own at load.
    Trial,
}

impl Mode {
    /// Its name, for hooks and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Shadow => "shadow",
            Self::Trial => "trial",
        }
    }
}

/// What a hook may see and change; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// What was said, by user and model.
    pub prompt: Prompt,
    /// Keys and values that outlive a call.
    pub kv: bool,
    /// Names of environment variables.
    pub env: Vec<String>,
    /// Where it may send requests of its own.
    pub http: Vec<HostGrant>,
}

/// Access to what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prompt {
    /// Neither seen nor changed.
    #[default]
    None,
    /// Seen.
    Read,
    /// Seen and changed.
    Write,
}
