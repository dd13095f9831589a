//! `sluice hook list --gateway URL`: the chain of a gateway that runs, and its books.

use super::Report;
use crate::hook::{HookReport, StageReport};
use crate::upstream;

/// What the hooks of the gateway at `url` have done so far.
///
/// # Errors
/// If it cannot be asked, or refuses to say.
pub fn books(url: &str, key: Option<&str>) -> Result<Report, String> {
    let url = format!("{}/admin/hooks", url.trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let asked = runtime.block_on(upstream::ask(&url, key));
    let (status, text) = asked.map_err(|error| format!("the gateway at {url} {error}"))?;
    if status != 200 {
        return Err(format!(
            "the gateway at {url} answered {status}; does it want a `--key`?"
        ));
    }
    let hooks: Vec<HookReport> = serde_json::from_str(&text)
        .map_err(|error| format!("{url} does not tell of hooks ({error})"))?;
    if hooks.is_empty() {
        return Ok(Report::good(&["No hooks.".to_owned()]));
    }
    let lines: Vec<_> = hooks.iter().flat_map(lines_of).collect();
    Ok(Report::good(&lines))
}

/// A hook, and below it what its stages did.
fn lines_of(hook: &HookReport) -> Vec<String> {
    let HookReport {
        name,
        source,
        digest,
        mode,
        memory_bytes,
        ..
    } = hook;
    let back = if hook.rolled_back {
        ", the version before, rolled back to"
    } else {
        ""
    };
    let digest = digest.get(..12).unwrap_or(digest);
    let memory = memory_bytes >> 10;
    let mut lines = vec![format!(
        "{name} ({source}{back}) {digest}, {mode}, {memory} KiB at most"
    )];
    lines.extend(hook.stages.iter().map(line_of));
    if hook.stages.is_empty() {
        lines.push("  no calls yet".into());
    }
    lines
}

fn line_of(page: &StageReport) -> String {
    let StageReport {
        stage,
        calls,
        edits,
        p50_us,
        p99_us,
        waited_ms,
        ..
    } = page;
    let mut line =
        format!("  {stage:<21} {calls} calls, {edits} edits, p50 {p50_us} us, p99 {p99_us} us");
    for (count, what) in [
        (*waited_ms, "ms waited"),
        (page.traps, "traps"),
        (page.timeouts, "timeouts"),
        (page.other_failures, "other failures"),
        (page.away_s, "s away"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_shown_and_what_did_not_is_left_out() {
        let hook: HookReport = serde_json::from_value(serde_json::json!({
            "name": "cap", "source": "bundled", "digest": "0123456789abcdef", "mode": "act",
            "rolled_back": false, "memory_bytes": 1_114_112,
            "stages": [{ "stage": "on-upstream-request", "calls": 3, "edits": 2, "traps": 1,
                "timeouts": 0, "other_failures": 0, "p50_us": 12, "p99_us": 40, "waited_ms": 0, "away_s": 4 }],
        }))
        .expect("a report");
        let expected = [
            "cap (bundled) 0123456789ab, act, 1088 KiB at most",
            "  on-upstream-request   3 calls, 2 edits, p50 12 us, p99 40 us, 1 traps, 4 s away",
        ];
        assert_eq!(lines_of(&hook), expected);
    }
}
