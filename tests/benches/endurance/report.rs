//! What a driver found: figures, and bars that were held or missed.

use std::process::ExitCode;

/// Prints as it goes, so that a run that is ended early has told something.
pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(title: &str) -> Self {
        println!("## {title}\n");
        Self { missed: Vec::new() }
    }

    pub(crate) fn figure(&mut self, name: &str, value: &str) {
        println!("      {name}: {value}");
    }

    /// Something that must be so.
    pub(crate) fn bar(&mut self, name: &str, held: bool, seen: &str) {
        let word = if held { "pass" } else { "FAIL" };
        println!("{word}  {name}: {seen}");
        if !held {
            self.missed.push(name.to_owned());
        }
    }

    /// The same, of things of which there must be none; the first are shown.
    pub(crate) fn none(&mut self, name: &str, found: &[String]) {
        self.bar(name, found.is_empty(), &format!("{} of them", found.len()));
        for example in found.iter().take(10) {
            println!("      - {example}");
        }
    }

    pub(crate) fn end(self) -> ExitCode {
        println!();
        match self.missed.as_slice() {
            [] => ExitCode::SUCCESS,
            missed => {
                println!("missed: {}", missed.join("; "));
                ExitCode::FAILURE
            }
        }
    }
}

/// `p50 1.2, p99 3.4, max 5.6` of these times, in ms.
pub(crate) fn spread(times_ms: &mut [f64]) -> String {
    times_ms.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = times_ms.len().saturating_sub(1);
        times_ms
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or(0.0)
    };
    format!(
        "p50 {:.1}, p99 {:.1}, max {:.1} ms, of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        times_ms.len()
    )
}

/// What a log says of panics.
pub(crate) fn panics(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains("panicked"));
    lines.map(str::to_owned).collect()
}
