//! The configurations that are compared.

use std::net::SocketAddr;
use std::path::Path;

use sluice_tests::guests::{GUEST_ONLOOKER, REDACT_RUST};

/// Bundled hooks in the order in which they join the chain. The first four are what
/// many a vendor needs.
const BUNDLED: [&str; 10] = [
    "{ hook: cap-max-tokens, config: { max: 16000 } }",
    "{ hook: drop-params, config: { params: [temperature] } }",
    "{ hook: force-stream }",
    "{ hook: inject-usage }",
    "{ hook: rename-model, config: { models: { other: all } } }",
    "{ hook: fold-system, grants: { prompt: write } }",
    "{ hook: long-context, config: { models: { \"*\": { window: 1000000, to: all } } } }",
    "{ hook: strip-thinking, grants: { prompt: write } }",
    "{ hook: think-tags, grants: { prompt: write } }",
    "{ hook: tool-rescue, grants: { prompt: write } }",
];

/// A chain of hooks, and the files that it needs.
pub(crate) struct Chain {
    pub(crate) name: String,
    entries: Vec<String>,
    pub(crate) files: Vec<(String, &'static Path)>,
    /// The settings of `telemetry`, if there is any.
    telemetry: Option<&'static str>,
}

impl Chain {
    pub(crate) fn none() -> Self {
        Self::bundled(0)
    }

    /// The first so many of the bundled hooks.
    pub(crate) fn bundled(count: usize) -> Self {
        Self {
            name: format!("{count} hooks"),
            entries: BUNDLED[..count]
                .iter()
                .map(|entry| (*entry).to_owned())
                .collect(),
            files: Vec::new(),
            telemetry: None,
        }
    }

    /// No hooks, and a collector that is told of calls as `settings` have it.
    pub(crate) fn told(name: &str, settings: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            telemetry: Some(settings),
            ..Self::none()
        }
    }

    /// So many hooks that look at every piece of text.
    pub(crate) fn onlookers(count: usize) -> Self {
        let more = "grants: { prompt: read }";
        Self::copies(
            &format!("{count} that look"),
            Path::new(GUEST_ONLOOKER),
            count,
            more,
        )
    }

    /// So many hooks that write every piece of text anew.
    pub(crate) fn redactors(count: usize) -> Self {
        Self::redact(
            &format!("{count} that rewrite"),
            Path::new(REDACT_RUST),
            count,
            "",
        )
    }

    /// The example of all languages, in one of them.
    pub(crate) fn example(language: &str, wasm: &'static Path, more: &str) -> Self {
        Self::redact(language, wasm, 1, more)
    }

    fn redact(name: &str, wasm: &'static Path, count: usize, more: &str) -> Self {
        let more = format!(
            "config: {{ max_tokens: 4096 }}, grants: {{ prompt: write, headers: [x-redacted-by] }}{more}"
        );
        Self::copies(name, wasm, count, &more)
    }

    fn copies(name: &str, wasm: &'static Path, count: usize, more: &str) -> Self {
        let names = (0..count).map(|number| format!("hook-{number}"));
        Self {
            name: name.to_owned(),
            entries: names
                .clone()
                .map(|hook| format!("{{ hook: {hook}, {more} }}"))
                .collect(),
            files: names.map(|hook| (hook, wasm)).collect(),
            telemetry: None,
        }
    }

    /// The file of a gateway with this chain.
    pub(crate) fn config(&self, upstream: SocketAddr) -> String {
        let entries: String = self
            .entries
            .iter()
            .map(|entry| format!("    - {entry}\n"))
            .collect();
        let chain = if entries.is_empty() {
            " []\n".to_owned()
        } else {
            format!("\n{entries}")
        };
        // The upstream takes whatever it is sent.
        let telemetry = self.telemetry.map_or_else(String::new, |settings| {
            format!(
                "telemetry: {{ endpoint: \"http://{upstream}\", interval_ms: 1000, {settings} }}\n"
            )
        });
        format!(
            "{telemetry}upstreams:\n  up: {{ base_url: \"http://{upstream}/v1\", api_key: sk-x }}\n\
             models:\n  \"*\": {{ upstream: up, model: \"*\" }}\n\
             hooks:\n  folder: hooks\n  chain:{chain}"
        )
    }
}
