//! What hooks cost: CPU time and latency of whole calls through a gateway in a
//! process of its own, with and without them, side by side in one run.
//!
//! ```text
//! cargo bench -p sluice-tests --bench hooks              # all tables
//! cargo bench -p sluice-tests --bench hooks -- calls events
//! SLUICE_LANGUAGES=FOLDER cargo bench -p sluice-tests --bench hooks -- languages memory
//! ```
//! Gateways that differ in their chain alone take turns, a block of calls each, so
//! that whatever else the machine does meets all of them. The figures are medians
//! over blocks. CPU time is the gateway's alone, all its threads, as Linux counts it.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[cfg(target_os = "linux")]
mod chains;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod tables;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("reads /proc, so it runs on Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    // The gateways are this very program, called as `sluice`.
    if let Some(code) = sluice_tests::process::served() {
        return code;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let wanted = |name: &str| {
        let mut named = arguments.iter().filter(|word| !word.starts_with('-'));
        named.clone().next().is_none() || named.any(|word| word == name)
    };
    runtime.block_on(async {
        let upstream = load::upstream().await;
        if wanted("calls") {
            tables::calls(upstream).await;
        }
        if wanted("events") {
            tables::events(upstream).await;
        }
        if wanted("telemetry") {
            tables::telemetry(upstream).await;
        }
        if wanted("languages") {
            tables::languages(upstream).await;
        }
        if wanted("memory") {
            tables::memory(upstream).await;
        }
    });
    std::process::ExitCode::SUCCESS
}
