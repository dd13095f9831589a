//! The configuration as used: what `check` made of the files, which cannot be
//! wrong any more. Knows nothing of YAML lines, hooks' code or sockets.

mod diagnostic;

pub use diagnostic::{Diagnostic, Severity};

use std::{net::SocketAddr, path::PathBuf};

use crate::provider::Dialect;
use crate::secret::Secret;

/// Everything one snapshot is built from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Keys a client may show; empty means none is asked for (loopback only).
    pub keys: Vec<Secret>,
    /// Sizes and times.
    pub limits: Limits,
    /// Endpoints; a `Target` names one by its position here.
    pub upstreams: Vec<Upstream>,
    /// Requested model names to targets.
    pub models: Models,
    /// The hook folder and the chain.
    pub hooks: Hooks,
}

/// Bounds on sizes and times, each with its reason.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest client body, in bytes: 32 MiB, Anthropic's own limit.
    pub body_bytes_max: usize,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            head_hold_ms: 10_000,
            ping_interval_ms: 15_000,
            connect_timeout_ms: 10_000,
            first_byte_timeout_ms: 600_000,
            idle_timeout_ms: 280_000,
        }
    }
}

/// A configured endpoint of a provider.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// The provider's name in the catalogue.
    pub provider: String,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// URL without a trailing slash; the dialect's path is appended.
    pub base_url: String,
    /// Sent as the provider's auth form says.
    pub api_key: Option<Secret>,
    /// Further headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// How the endpoint deviates from its dialect.
    pub accent: sluice_codec::dialect::chat::Accent,
}

/// Requested model names, in file order.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// Exact names and patterns.
    pub routes: Vec<Route>,
}

/// One requested name (or pattern with `*`) and where it goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// Exact name, or a pattern in which `*` stands for any run of characters.
    pub pattern: String,
    /// Tried in order; never empty.
    pub targets: Vec<Target>,
}

/// An upstream and the model name to send it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Position in `Config::upstreams`.
    pub upstream: usize,
    /// Name to send; a `*` is filled by what the pattern's `*` matched.
    pub model: String,
}

/// The hook folder and the chain.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// Watched folder of `.wasm` files.
    pub folder: Option<PathBuf>,
    /// Hooks in the order they run on requests (answers run in reverse).
    pub chain: Vec<HookEntry>,
}

/// One hook's place in the chain, and the terms it runs on.
#[derive(Clone, Debug)]
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
    /// What it may see and change.
    pub grants: Grants,
    /// Where it is written, for messages: `sluice.yaml:12: hooks.chain[0]`.
    pub place: String,
}

/// The calls a hook runs on; an empty list matches all.
#[derive(Clone, Debug, Default)]
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
    /// Instances alive at once; calls beyond wait within `time_ms`.
    pub instances_max: usize,
    /// Calls after which an instance is replaced by a fresh one.
    pub calls_per_instance_max: u32,
    /// What one stage may write into a body or a stream, in bytes.
    pub output_bytes_max: usize,
}

impl Default for HookLimits {
    fn default() -> Self {
        Self {
            time_ms: 50,
            memory_bytes_max: 64 << 20,
            instances_max: 64,
            calls_per_instance_max: 10_000,
            output_bytes_max: 8 << 20,
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

/// What a hook may see and change; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// What was said, by user and model.
    pub prompt: Prompt,
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
