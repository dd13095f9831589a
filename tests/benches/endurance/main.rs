//! Whether Sluice can be left running: drivers that put a gateway in a process of its
//! own under load for minutes, report what it did and held, and fail where a bar is
//! missed.
//!
//! ```text
//! cargo bench -p sluice-tests --bench endurance -- reloads  # 1,000 changes of its files
//! ```
//! `--minutes`, `--changes`, `--rate`, `--seed` and `--sluice PATH` say how much of it,
//! and which binary; `-- --help` tells more. Clients and upstreams
//! are in this process, so that what is measured of the gateway's is its own.
#![expect(clippy::print_stdout, reason = "a driver prints its report")]

#[cfg(target_os = "linux")]
mod caller;
#[cfg(target_os = "linux")]
mod reloads;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod settings;
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
    if std::env::args()
        .nth(1)
        .is_some_and(|first| first == "serve")
    {
        return sluice::cli::run();
    }
    let arguments = settings::Arguments::parse();
    let settings = &arguments.settings;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match arguments.driver {
        None => {
            println!("name a driver: reloads");
            std::process::ExitCode::SUCCESS
        }
        Some(settings::Driver::Reloads) => runtime.block_on(reloads::run(settings)),
    }
}
