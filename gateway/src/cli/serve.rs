//! `sluice serve`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::app::{App, Overrides, Source};

/// Run until a signal comes.
pub(super) fn run(config: Option<PathBuf>, overrides: Overrides) -> ExitCode {
    let filter = EnvFilter::try_from_env("SLUICE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "The runtime did not start.");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let source = config.map_or(Source::Embedded, Source::File);
        match App::start(source, overrides).await {
            Ok(app) => {
                tokio::select! {
                    () = stop_signal() => {}
                    () = reload_signals(&app) => {}
                }
                tracing::info!("Stopping: running calls end first; a second signal stops at once.");
                tokio::select! {
                    () = app.shut_down() => {}
                    () = stop_signal() => {}
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Reload at every SIGHUP, for ever.
async fn reload_signals(app: &App) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut hangup) = signal(SignalKind::hangup()) {
            while hangup.recv().await.is_some() {
                tracing::info!("Reloading, as SIGHUP asks.");
                app.reload();
            }
        }
    }
    std::future::pending().await
}

/// Ctrl-C, or the service manager's SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
