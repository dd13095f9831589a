//! The command line, one file a command.

mod check;
mod config;
pub mod hook;
mod import;
pub mod keys;
mod log;
mod memory;
pub mod replay;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

use crate::app::Overrides;

/// A gateway that lets Claude Code run on any model.
///
/// Clients that speak the Anthropic Messages API talk to Sluice; Sluice talks to
/// any OpenAI-compatible upstream, and lets WebAssembly hooks see and change
/// every request and answer on the way. Configuration and hooks reload while
/// calls run.
///
/// Try it without a key:
///
///   sluice serve
///   ANTHROPIC_BASE_URL=http://127.0.0.1:4000 ANTHROPIC_AUTH_TOKEN=any ANTHROPIC_MODEL=demo claude
#[derive(Debug, Parser)]
#[command(name = "sluice", version, long_version = long_version(), verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    ///
    /// Without --config it starts its embedded default: loopback only, the model
    /// `demo`, and an upstream for each well-known key variable that is set
    /// (OPENAI_API_KEY, DEEPSEEK_API_KEY, ...). The log level is taken from
    /// SLUICE_LOG (default `info`).
    #[command(verbatim_doc_comment)]
    Serve {
        /// Native YAML or a LiteLLM `config.yaml`; watched, and reloaded on change.
        #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: Option<PathBuf>,
        /// Where clients connect; overrides the file's `listen`.
        #[arg(long, short, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Folder of hooks (`.wasm`), watched; overrides the file's `hooks.folder`.
        #[arg(long, value_name = "FOLDER")]
        hooks: Option<PathBuf>,
        /// How lines of the log look; `auto` is `pretty` on a terminal, `json` elsewhere.
        #[arg(
            long,
            value_name = "FORMAT",
            env = "SLUICE_LOG_FORMAT",
            default_value = "auto"
        )]
        log_format: log::Format,
    },
    /// Check a configuration as `serve` would read it, and print every mistake.
    ///
    /// Loads the hooks too. Exit code 0 if `serve` would start, 1 if not.
    #[command(verbatim_doc_comment)]
    Check {
        /// Native YAML or a LiteLLM `config.yaml`; the embedded default without.
        #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: Option<PathBuf>,
        /// Folder of hooks (`.wasm`); overrides the file's `hooks.folder`.
        #[arg(long, value_name = "FOLDER")]
        hooks: Option<PathBuf>,
    },
    /// Tell what a configuration may hold.
    #[command(subcommand)]
    Config(config::Command),
    /// Write another gateway's configuration anew, as a native file.
    Import(import::Arguments),
    /// Make, build, try, list and lock hooks.
    #[command(subcommand)]
    Hook(hook::Command),
    /// Make, list and revoke keys for clients.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show what a chain of hooks changes in a captured call, offline.
    Replay(replay::Arguments),
}

/// What `--version` says; `-V` says less.
fn long_version() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(crate::build_info::long);
    &LONG
}

/// Run the command that the process was started with.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve {
            config,
            listen,
            hooks,
            log_format,
        } => serve::run(config, Overrides { listen, hooks }, log_format),
        Command::Check { config, hooks } => {
            let listen = None;
            check::run(config.as_deref(), Overrides { listen, hooks })
        }
        Command::Config(command) => config::run(&command),
        Command::Import(arguments) => import::run(&arguments),
        Command::Hook(command) => hook::print(hook::run(command)),
        Command::Keys(command) => hook::print(keys::run(command)),
        Command::Replay(arguments) => hook::print(arguments.run()),
    }
}
