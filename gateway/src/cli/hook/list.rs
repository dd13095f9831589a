//! `sluice hook list`

use super::Report;
use crate::app::{self, Locking, Overrides, Source};
use crate::config::{HookEntry, OnFailure};
use crate::hook::{HookInfo, written};

/// The chain as `serve` would load it, and every note on the way.
///
/// # Errors
/// Whatever `serve` would end with.
pub fn list(source: Source, overrides: Overrides) -> Result<Report, String> {
    let loaded = app::hooks(source, overrides, Locking::Kept);
    let (chain, notes) = loaded.map_err(|error| error.to_string())?;
    let hooks = chain.describe().into_iter().zip(chain.entries());
    let mut lines: Vec<_> = notes.iter().map(ToString::to_string).collect();
    lines.extend(hooks.flat_map(|(info, entry)| lines_of(&info, entry)));
    if chain.describe().is_empty() {
        lines.push("No hooks.".into());
    }
    Ok(Report::good(&lines))
}

/// A hook: what it is, and below it on which terms it runs.
fn lines_of(info: &HookInfo, entry: &HookEntry) -> Vec<String> {
    let HookInfo {
        name,
        source,
        digest,
        stages,
        ..
    } = info;
    let mut lines = vec![
        format!("{name} ({source})"),
        format!("  digest    {digest}"),
        format!("  stages    {stages}"),
        format!("  grants    {}", written(&entry.grants)),
    ];
    let limits = &entry.limits;
    lines.push(format!(
        "  limits    {} ms, {} MiB, {} instances, {} calls each, {} MiB out",
        limits.time_ms,
        limits.memory_bytes_max >> 20,
        limits.instances_max,
        limits.calls_per_instance_max,
        limits.output_bytes_max >> 20,
    ));
    let matching = &entry.matching;
    let matches = [
        ("models", &matching.models),
        ("upstreams", &matching.upstreams),
    ];
    for (what, patterns) in matches.into_iter().filter(|(_, it)| !it.is_empty()) {
        lines.push(format!("  {what:<9} {}", patterns.join(", ")));
    }
    if let Some(policy) = entry.on_failure {
        let policy = match policy {
            OnFailure::Skip => "skip",
            OnFailure::Refuse => "refuse",
        };
        lines.push(format!("  failing   {policy}"));
    }
    lines
}
