//! A YAML file as a document: its values, the lines they stand on, the
//! variables in them, and everything found wrong with it.
//!
//! Reading goes on after a finding, so that one run reports them all. Messages
//! name keys and choices, never a value that could be a secret.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use saphyr_parser::{Event, Parser};
use serde_yaml::Value;

use super::variables::{self, Environment, Missing};
use super::{Diagnostic, Severity, include, nearest};

/// What others call settings of ours.
const SYNONYMS: [(&str, &str); 1] = [
    // claude-code-router's role.
    ("background", "haiku"),
];

/// One file, with those that it includes.
pub(super) struct Document {
    /// Names; the first is that of the file itself.
    files: Vec<String>,
    root: Value,
    lines: HashMap<String, Spot>,
    /// Variables that are not set, by the path of the value that names one.
    unset: HashMap<String, String>,
    findings: RefCell<Vec<Diagnostic>>,
}

/// What becomes of a value whose variable is not set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// It is a mistake.
    Error,
    /// The value counts as absent, which is said.
    Absent,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Position in `Document::files`.
    pub(super) file: usize,
    pub(super) line: usize,
}

impl Document {
    /// Read `text` and what it includes, with paths from `folder`. Its variables are
    /// still to be resolved, or referred to.
    pub(super) fn read(file: &str, text: &str, folder: Option<&Path>) -> Result<Self, Diagnostic> {
        let mut root: Value =
            serde_yaml::from_str(text).map_err(|error| malformed(file, &error))?;
        root.apply_merge()
            .map_err(|error| malformed(file, &error))?;
        let spot = |(path, line)| (path, Spot { file: 0, line });
        let mut document = Self {
            files: vec![file.to_owned()],
            lines: lines(text).into_iter().map(spot).collect(),
            unset: HashMap::new(),
            findings: RefCell::default(),
            root: Value::Null,
        };
        if let Some(folder) = folder {
            include::merge(&mut document, &mut root, folder);
        }
        Ok(Self { root, ..document })
    }

    /// Put the variables' values, taken from `environment`, in place of their names.
    pub(super) fn resolve(&mut self, environment: Environment<'_>) {
        self.resolve_or(environment, &|_| Unset::Error);
    }

    /// The same, where `unset` tells by its path what becomes of a value that is no more
    /// than LiteLLM's reference to a variable which is not set.
    pub(super) fn resolve_or(
        &mut self,
        environment: Environment<'_>,
        unset: &dyn Fn(&str) -> Unset,
    ) {
        let mut root = std::mem::take(&mut self.root);
        let mut absent = HashMap::new();
        self.resolve_at(&mut root, "", environment, &mut |path, name| {
            let is_absent = unset(path) == Unset::Absent;
            if is_absent {
                absent.insert(path.to_owned(), name.to_owned());
            }
            is_absent
        });
        self.root = root;
        self.unset = absent;
    }

    /// Leave the variables alone, but for how they are written.
    pub(super) fn refer(&mut self) {
        refer(&mut self.root);
    }

    /// Where reading begins.
    pub(super) fn root(&self) -> Node<'_> {
        Node {
            document: self,
            value: &self.root,
            path: String::new(),
        }
    }

    /// What was found, in the order of the files.
    pub(super) fn into_findings(self) -> Vec<Diagnostic> {
        let mut findings = self.findings.into_inner();
        let file = |finding: &Diagnostic| self.files.iter().position(|file| *file == finding.file);
        findings.sort_by_key(|finding| (file(finding), finding.line));
        findings
    }

    fn resolve_at(
        &self,
        value: &mut Value,
        path: &str,
        environment: Environment<'_>,
        is_absent: &mut dyn FnMut(&str, &str) -> bool,
    ) {
        match value {
            Value::String(text) => match variables::resolve(text, environment) {
                Ok(resolved) => *text = resolved,
                Err(Missing::Unset(name))
                    if variables::reference(text).is_some() && is_absent(path, &name) =>
                {
                    let help = "so this counts as absent, as in LiteLLM";
                    let message = Missing::Unset(name).to_string();
                    self.find(Severity::Warning, path, message, Some(help.into()));
                    *value = Value::Null;
                }
                Err(missing) => {
                    self.find(
                        Severity::Error,
                        path,
                        missing.to_string(),
                        Some(missing.help()),
                    );
                }
            },
            Value::Sequence(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.resolve_at(item, &format!("{path}[{i}]"), environment, is_absent);
                }
            }
            Value::Mapping(members) => {
                for (key, member) in members.iter_mut() {
                    let path = child(path, &key_text(key));
                    self.resolve_at(member, &path, environment, is_absent);
                }
            }
            Value::Tagged(tagged) => {
                self.resolve_at(&mut tagged.value, path, environment, is_absent);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn find(&self, severity: Severity, path: &str, message: String, help: Option<String>) {
        let spot = self.spot(path);
        let diagnostic = Diagnostic {
            severity,
            file: self.name(spot.map_or(0, |spot| spot.file)).to_owned(),
            line: spot.map(|spot| spot.line),
            path: path.to_owned(),
            message,
            help,
        };
        self.findings.borrow_mut().push(diagnostic);
    }

    /// Report that nothing can start like this.
    pub(super) fn error(&self, path: &str, message: &str) {
        self.find(Severity::Error, path, message.to_owned(), None);
    }

    /// Report that it works, but not as it seems.
    pub(super) fn warn(&self, path: &str, message: String, help: Option<String>) {
        self.find(Severity::Warning, path, message, help);
    }

    /// The same of a value that got no further than its file.
    pub(super) fn error_in(&self, file: usize, line: Option<usize>, path: &str, message: String) {
        self.findings.borrow_mut().push(Diagnostic {
            severity: Severity::Error,
            file: self.name(file).to_owned(),
            line,
            path: path.to_owned(),
            message,
            help: None,
        });
    }

    /// The position of a further file.
    pub(super) fn file(&mut self, name: String) -> usize {
        self.files.push(name);
        self.files.len() - 1
    }

    pub(super) fn name(&self, file: usize) -> &str {
        &self.files[file]
    }

    pub(super) fn place(&mut self, path: String, spot: Spot) {
        self.lines.insert(path, spot);
    }

    /// Where `path` stands, or what holds it where an alias stands for it.
    pub(super) fn spot(&self, path: &str) -> Option<Spot> {
        let mut path = path;
        loop {
            if let Some(spot) = self.lines.get(path) {
                return Some(*spot);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// One value, and where it stands.
#[derive(Clone)]
pub(super) struct Node<'d> {
    document: &'d Document,
    value: &'d Value,
    path: String,
}

impl<'d> Node<'d> {
    /// `line 12: hooks.chain[0]`
    pub(super) fn origin(&self) -> String {
        match self.document.spot(&self.path) {
            Some(Spot { file: 0, line }) => format!("line {line}: {}", self.path),
            Some(_) => self.place(),
            None => self.path.clone(),
        }
    }

    /// Report that nothing can start like this.
    pub(super) fn error(&self, message: impl Into<String>, help: Option<String>) {
        self.document
            .find(Severity::Error, &self.path, message.into(), help);
    }

    /// Report that it works, but not as written.
    pub(super) fn warn(&self, message: impl Into<String>, help: Option<String>) {
        self.document
            .find(Severity::Warning, &self.path, message.into(), help);
    }

    /// Report that `name` is none of the `known` ones.
    pub(super) fn unknown<'k>(
        &self,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let known: Vec<_> = known.into_iter().collect();
        let synonym = SYNONYMS.iter().find(|(other, _)| *other == name);
        let synonym = synonym.map(|(_, known)| *known);
        let meant = synonym.filter(|meant| known.contains(meant));
        let help = meant
            .or_else(|| nearest(name, known))
            .map(|nearest| format!("did you mean `{nearest}`?"));
        self.error(format!("no {what} named `{name}`"), help);
    }

    /// The variable that the member `name` names, if that is not set.
    pub(super) fn unset(&self, name: &str) -> Option<&'d str> {
        let variable = self.document.unset.get(&child(&self.path, name));
        variable.map(String::as_str)
    }

    /// The line that it begins at.
    pub(super) fn line(&self) -> Option<usize> {
        self.document.spot(&self.path).map(|spot| spot.line)
    }

    /// `sluice.yaml:12: hooks.chain[0]`
    pub(super) fn place(&self) -> String {
        match self.document.spot(&self.path) {
            Some(Spot { file, line }) => {
                format!("{}:{line}: {}", self.document.name(file), self.path)
            }
            None => format!("{}: {}", self.document.name(0), self.path),
        }
    }

    pub(super) fn value(&self) -> &'d Value {
        self.value
    }

    /// The text; reported if it is something else.
    pub(super) fn text(&self) -> Option<&'d str> {
        if self.value.as_str().is_none() {
            self.mismatch("a string");
        }
        self.value.as_str()
    }

    /// A whole number from `min`; reported if it is something else.
    pub(super) fn count(&self, min: u64) -> Option<u64> {
        // A variable's value is text, whatever it says.
        let count = self
            .value
            .as_u64()
            .or_else(|| self.value.as_str()?.parse().ok());
        match count {
            Some(count) if count >= min => Some(count),
            _ => {
                self.mismatch(&format!("a whole number{} from {min}", self.unit()));
                None
            }
        }
    }

    /// What a count's name says that it is of: ` of milliseconds`.
    fn unit(&self) -> &'static str {
        let name = self.path.rsplit('.').next().unwrap_or_default();
        match name {
            _ if name.ends_with("_ms") || name.ends_with("_ms_max") => " of milliseconds",
            _ if name.contains("bytes") => " of bytes",
            _ => "",
        }
    }

    /// A number from 0, perhaps a broken one; reported if it is something else.
    pub(super) fn number(&self) -> Option<f64> {
        let number = self
            .value
            .as_f64()
            .or_else(|| self.value.as_str()?.parse().ok());
        let number = number.filter(|number| *number >= 0.0 && number.is_finite());
        if number.is_none() {
            self.mismatch("a number from 0");
        }
        number
    }

    /// `true` or `false`; reported if it is something else.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self
            .value
            .as_bool()
            .or_else(|| self.value.as_str()?.parse().ok());
        if flag.is_none() {
            self.mismatch("`true` or `false`");
        }
        flag
    }

    /// One of `choices`, by name; reported if it is something else.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let name = self.text()?;
        let choice = choices
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value);
        if choice.is_none() {
            let known: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            self.error(format!("`{name}` is not one of {}", known.join(", ")), None);
        }
        choice
    }

    /// The items; reported if it is no list.
    pub(super) fn list(&self) -> Vec<Self> {
        let Some(items) = self.value.as_sequence() else {
            self.mismatch("a list");
            return Vec::new();
        };
        let item = |(i, value)| Node {
            document: self.document,
            value,
            path: format!("{}[{i}]", self.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The items of a list, or a text that stands alone.
    pub(super) fn one_or_list(&self) -> Vec<Self> {
        match self.value.is_string() {
            true => vec![self.clone()],
            false => self.list(),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Vec<String> {
        self.list()
            .iter()
            .filter_map(|item| item.text().map(str::to_owned))
            .collect()
    }

    /// The members by key, those that are `null` left out; reported if it is no
    /// mapping.
    pub(super) fn members(&self) -> Vec<(String, Self)> {
        let Some(members) = self.value.as_mapping() else {
            self.mismatch("a mapping");
            return Vec::new();
        };
        let member = |(key, value)| {
            let key = key_text(key);
            let path = child(&self.path, &key);
            (
                key,
                Node {
                    document: self.document,
                    value,
                    path,
                },
            )
        };
        members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(member)
            .collect()
    }

    /// The members that are `known`; every other is reported.
    pub(super) fn object(&self, known: &[&str]) -> HashMap<String, Self> {
        let (members, others): (Vec<_>, Vec<_>) = self
            .members()
            .into_iter()
            .partition(|(key, _)| known.contains(&key.as_str()));
        for (key, node) in others {
            node.unknown("setting", &key, known.iter().copied());
        }
        members.into_iter().collect()
    }

    fn mismatch(&self, expected: &str) {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Tagged(_) => "a tagged value",
        };
        self.error(format!("expected {expected}, got {found}"), None);
    }
}

/// Write LiteLLM's references as native ones.
fn refer(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(reference) = variables::reference(text) {
                *text = reference;
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(refer),
        Value::Mapping(members) => members.iter_mut().for_each(|(_, member)| refer(member)),
        Value::Tagged(tagged) => refer(&mut tagged.value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The lines of all paths, counted from 1.
pub(super) fn lines(text: &str) -> HashMap<String, usize> {
    let mut lines = HashMap::new();
    // After an error it gives that for ever: what follows has no lines.
    let mut events = Parser::new_from_str(text).map_while(Result::ok).peekable();
    while let Some((event, _)) = events.peek() {
        if is_node(event) {
            locate(&mut events, String::new(), &mut lines);
        } else {
            events.next();
        }
    }
    lines
}

fn is_node(event: &Event<'_>) -> bool {
    use Event::{Alias, MappingStart, Scalar, SequenceStart};
    matches!(
        event,
        Alias(_) | MappingStart(..) | Scalar(..) | SequenceStart(..)
    )
}

/// Note the lines of the node that `events` is at, and move past it.
fn locate<'t>(
    events: &mut std::iter::Peekable<impl Iterator<Item = (Event<'t>, saphyr_parser::Span)>>,
    path: String,
    lines: &mut HashMap<String, usize>,
) {
    let Some((event, span)) = events.next() else {
        return;
    };
    let line = span.start.line();
    match event {
        Event::MappingStart(..) => {
            while let Some((event, span)) = events.peek()
                && !matches!(event, Event::MappingEnd)
            {
                // The key's line: a mapping below it begins on the next.
                let line = span.start.line();
                let key = match event {
                    Event::Scalar(text, ..) => text.to_string(),
                    _ => String::new(),
                };
                let path = child(&path, &key);
                locate(events, String::from("?"), lines);
                locate(events, path.clone(), lines);
                lines.insert(path, line);
            }
            events.next();
        }
        Event::SequenceStart(..) => {
            let mut i = 0;
            while let Some((event, _)) = events.peek()
                && !matches!(event, Event::SequenceEnd)
            {
                locate(events, format!("{path}[{i}]"), lines);
                i += 1;
            }
            events.next();
        }
        _ => {}
    }
    lines.insert(path, line);
}

fn malformed(file: &str, error: &serde_yaml::Error) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: file.to_owned(),
        line: error.location().map(|at| at.line()),
        path: String::new(),
        message: format!("not YAML: {error}"),
        help: None,
    }
}

pub(super) fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        _ => "?".into(),
    }
}

pub(super) fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
