//! Whole calls over real sockets, with real components.

mod answers;
mod attempts;
mod bad_input;
mod bundled;
mod chaos;
mod compat;
mod continuation;
mod dialects;
mod docs;
mod embedded;
mod endpoints;
mod errands;
mod hooks;
mod hostile;
// As `tls`.
#[cfg(target_os = "linux")]
mod http2;
mod imports;
mod keys;
mod languages;
mod ledger;
mod load;
mod metrics;
mod reload;
mod requests;
mod routing;
#[cfg(feature = "server-tests")]
mod servers;
mod sessions;
mod shadow;
mod stages;
mod stopping;
mod swaps;
mod telemetry;
mod tidy;
// Elsewhere the system itself says who is trusted, and no variable.
#[cfg(target_os = "linux")]
mod tls;
mod tools;
mod trial;
