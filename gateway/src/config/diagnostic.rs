//! What is wrong (or noteworthy) in a file, and where.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing starts, or changes, until it is mended.
    Error,
    /// It works, but not as written.
    Warning,
    /// Worth knowing.
    Note,
}

/// One finding: file, line, path, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file as the operator named it.
    pub file: String,
    /// Line in it, from 1.
    pub line: Option<usize>,
    /// Where in the document: `models.kimi[0].upstream`; may be empty.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Severity {
    /// All of them, the worst first.
    const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl Diagnostic {
    /// All but how bad it is: for a log, whose level says that.
    pub fn statement(&self) -> String {
        let mut text = self.file.clone();
        if let Some(line) = self.line {
            text += &format!(":{line}");
        }
        if !self.path.is_empty() {
            text += &format!(": {}", self.path);
        }
        text += &format!(": {}", self.message);
        if let Some(help) = &self.help {
            text += &format!("; {help}");
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.statement())
    }
}

/// A line each.
pub(crate) fn lines(findings: &[Diagnostic]) -> String {
    let lines = findings.iter().map(|finding| format!("{finding}\n"));
    lines.collect()
}

/// How many there are of each kind: `2 errors, 22 warnings`.
pub(crate) fn counted(findings: &[Diagnostic]) -> String {
    let of = |severity: Severity| {
        let count = findings.iter().filter(|it| it.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {severity}{plural}"))
    };
    let counts: Vec<_> = Severity::ALL.into_iter().filter_map(of).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_by_kind() {
        let of = |severity: Severity| Diagnostic {
            severity,
            file: "f".into(),
            line: Some(3),
            path: String::new(),
            message: "m".into(),
            help: None,
        };
        use Severity::{Error, Note, Warning};
        for (findings, expected) in [
            (&[][..], ""),
            (&[Error], "1 error"),
            (
                &[Warning, Error, Warning, Note, Error],
                "2 errors, 2 warnings, 1 note",
            ),
        ] {
            let findings: Vec<_> = findings.iter().copied().map(of).collect();
            assert_eq!(counted(&findings), expected);
        }
        assert_eq!(of(Note).to_string(), "note: f:3: m");
    }
}
