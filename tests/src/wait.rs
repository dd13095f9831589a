//! Waiting for what happens aside, where nobody tells when it has.

use std::time::Duration;

/// No test waits longer than this for anything, so that a hang is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What `ask` finds, as soon as it finds something; it is asked again and again.
///
/// # Panics
/// If it never does, with `what` was waited for.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            // Who finds nothing without waiting must let others do something.
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, asking).await;
    found.unwrap_or_else(|_| panic!("never: {what}"))
}
