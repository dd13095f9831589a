//! Whether Sluice can be left running: drivers that put a gateway in a process of its
//! own under load for minutes, report what it did and held, and fail where a bar is
//! missed.
//!
//! ```text
//! cargo bench -p sluice-tests --bench endurance -- reloads  # 1,000 changes of its files
//! cargo bench -p sluice-tests --bench endurance -- chaos    # upstreams that misbehave
//! cargo bench -p sluice-tests --bench endurance -- streams  # 1,000 slow streams at once
//! cargo bench -p sluice-tests --bench endurance -- files    # no more files to open
//! ```
//! `--minutes`, `--changes`, `--rate`, `--streams`, `--events`, `--seed` and `--sluice PATH` say how much of it,
//! and which binary; `-- --help` tells more. Clients and upstreams
//! are in this process, so that what is measured of the gateway's is its own.
#![expect(clippy::print_stdout, reason = "a driver prints its report")]

#[cfg(target_os = "linux")]
mod caller;
#[cfg(target_os = "linux")]
mod chaos;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod reloads;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod settings;
#[cfg(target_os = "linux")]
mod streams;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("reads /proc, so it runs on Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use clap::Parser;
    // Without `--sluice` the gateway is this very program, called as `sluice`.
    if let Some(code) = sluice_tests::process::served() {
        return code;
    }
    let arguments = settings::Arguments::parse();
    let settings = &arguments.settings;
    raise_files();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match arguments.driver {
        None => {
            println!("name a driver: reloads, chaos, streams, files");
            std::process::ExitCode::SUCCESS
        }
        Some(settings::Driver::Reloads) => runtime.block_on(reloads::run(settings)),
        Some(settings::Driver::Chaos) => runtime.block_on(chaos::run(settings)),
        Some(settings::Driver::Streams) => runtime.block_on(streams::run(settings)),
        Some(settings::Driver::Files) => runtime.block_on(files::run(settings)),
    }
}

/// Let this process, and the gateways that it starts, open as many files as they may:
/// each stream is two connections here and two there.
#[cfg(target_os = "linux")]
fn raise_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Then it is what it is, and a run says what it lacked.
    let _ = setrlimit(Resource::Nofile, limit);
}
