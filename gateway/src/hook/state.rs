//! What an instance's store holds, and the host functions over it.
//!
//! Between calls a store knows only its hook; for a stage, the call at hand is
//! put into [`Scope`] and taken out again. Nothing here trusts the guest.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use sluice_codec::ir::tokens_of;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

use super::bindings::sluice::hooks::log::Level;
use super::bindings::sluice::hooks::types::AccessError;
use super::bindings::sluice::hooks::{config, current, document, log, metrics, routing, types};
use super::clock::Clock;
use super::document::PointerError;
use super::limits::Limits;
use super::outbound::Requests;
use super::session::{AttemptFacts, Editable, Facts, Input};
use super::terms::Terms;
use super::words::LastWords;
use crate::config::{Grants, Prompt};

/// Longest line that a hook may write into the log, in bytes.
const LOG_LINE_BYTES_MAX: usize = 1_024;

/// Most notes of one hook in one call, and most bytes of each.
const NOTES_MAX: usize = 64;
const NOTE_BYTES_MAX: usize = 64 << 10;

/// Where bodies hold what was said.
const PROMPT_MEMBERS: [&str; 7] = [
    "messages",
    "system",
    "content",
    "input",
    "instructions",
    "prompt",
    sluice_codec::ir::CHAT_MEMBERS,
];

/// What a hook notes for its later stages in the same call.
pub(super) type Notes = Vec<(String, String)>;

/// A store's data.
pub(super) struct State {
    pub(super) terms: Arc<Terms>,
    pub(super) limits: Limits,
    /// When the guest must be done.
    pub(super) clock: Clock,
    pub(super) scope: Scope,
    pub(super) wasi: WasiCtx,
    /// What it wrote there.
    pub(super) words: LastWords,
    pub(super) http: WasiHttpCtx,
    /// What it sends.
    pub(super) requests: Requests,
    pub(super) table: ResourceTable,
}

/// The call at hand.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) facts: Option<Arc<Facts>>,
    pub(super) attempt: Option<Arc<AttemptFacts>>,
    /// What the stage is shown.
    pub(super) input: Input,
    pub(super) header_edits: Vec<(HeaderName, Option<HeaderValue>)>,
    pub(super) notes: Notes,
    pub(super) answer_bytes: u64,
    /// Bytes that this stage has put into the document.
    pub(super) written_bytes: usize,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for State {}

impl State {
    pub(super) fn grants(&self) -> &Grants {
        &self.terms.entry.grants
    }

    /// Whether the hook may reach `pointer`, to read or to write.
    fn permit(&self, pointer: &str, needed: Prompt) -> Result<(), AccessError> {
        let first = pointer
            .strip_prefix('/')
            .map(|rest| rest.split('/').next().unwrap_or(rest));
        let is_prompt = first.is_none_or(|first| PROMPT_MEMBERS.contains(&first));
        if is_prompt && self.grants().prompt < needed {
            let grant = if needed == Prompt::Write {
                "write"
            } else {
                "read"
            };
            return Err(AccessError::Denied(format!(
                "`{pointer}` needs the grant `prompt: {grant}`"
            )));
        }
        Ok(())
    }

    /// Whether the hook may change what stands at `pointer`.
    fn permit_edit(&self, pointer: &str) -> Result<(), AccessError> {
        if self.scope.input.editable == Editable::Nothing {
            return Err(AccessError::Denied(
                "what this stage is shown cannot be edited".into(),
            ));
        }
        self.permit(pointer, Prompt::Write)
    }

    fn permit_header(&self, name: &str) -> Result<HeaderName, AccessError> {
        let name = HeaderName::try_from(name)
            .map_err(|_| AccessError::Invalid("no header name".into()))?;
        if self
            .grants()
            .headers
            .iter()
            .any(|granted| granted == name.as_str())
        {
            Ok(name)
        } else {
            Err(AccessError::Denied(format!(
                "header `{name}` needs the grant `headers: [{name}]`"
            )))
        }
    }

    /// Count bytes against what one stage may write.
    fn charge(&mut self, bytes: usize) -> Result<(), AccessError> {
        self.scope.written_bytes = self.scope.written_bytes.saturating_add(bytes);
        let most = self.terms.entry.limits.output_bytes_max;
        if self.scope.written_bytes > most {
            return Err(AccessError::TooLarge(most as u64));
        }
        Ok(())
    }

    fn edit_header(&mut self, name: String, value: Option<HeaderValue>) -> Result<(), AccessError> {
        let name = self.permit_header(&name)?;
        if self.scope.input.editable != Editable::DocumentAndHeaders {
            return Err(AccessError::Denied(
                "headers can be edited in on-upstream-request only".into(),
            ));
        }
        self.scope.header_edits.push((name, value));
        Ok(())
    }
}

impl current::Host for State {
    fn attribute(&mut self, name: String) -> Option<String> {
        let facts = self.scope.facts.as_ref()?;
        let attempt = self.scope.attempt.as_ref();
        match name.as_str() {
            "id" => Some(facts.id.clone()),
            "mode" => Some(self.terms.entry.mode.name().to_owned()),
            "dialect" => Some(facts.dialect.to_owned()),
            "model" => Some(facts.model.clone()),
            "stream" => Some(facts.stream.to_string()),
            "client" => Some(facts.client.clone()).filter(|name| !name.is_empty()),
            "upstream" => Some(attempt?.upstream.clone()),
            "upstream-model" => Some(attempt?.upstream_model.clone()),
            "upstream-dialect" => Some(attempt?.upstream_dialect.to_owned()),
            "attempt" => Some(attempt?.attempt.to_string()),
            name => {
                let mut known = self.scope.input.attributes.iter();
                known
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.clone())
            }
        }
    }

    fn measure(&mut self, name: String) -> Option<f64> {
        match name.as_str() {
            "request-bytes" => Some(self.scope.facts.as_ref()?.request_bytes as f64),
            "input-tokens" => {
                let bytes = self.scope.facts.as_ref()?.request_bytes;
                Some(tokens_of(bytes as u64) as f64)
            }
            "answer-bytes" => Some(self.scope.answer_bytes as f64),
            _ => None,
        }
    }

    fn note(&mut self, key: String) -> Option<String> {
        self.scope
            .notes
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.clone())
    }

    fn set_note(&mut self, key: String, value: String) -> Result<(), AccessError> {
        if key.len() + value.len() > NOTE_BYTES_MAX {
            return Err(AccessError::TooLarge(NOTE_BYTES_MAX as u64));
        }
        let notes = &mut self.scope.notes;
        if let Some(note) = notes.iter_mut().find(|(known, _)| *known == key) {
            note.1 = value;
            return Ok(());
        }
        if notes.len() >= NOTES_MAX {
            return Err(AccessError::Invalid(format!(
                "at most {NOTES_MAX} notes a call"
            )));
        }
        notes.push((key, value));
        Ok(())
    }

    fn header_values(&mut self, name: String) -> Result<Vec<String>, AccessError> {
        let name = self.permit_header(&name)?;
        let headers = self.scope.input.headers.as_ref().or(self
            .scope
            .facts
            .as_ref()
            .map(|facts| &*facts.headers));
        let values = headers
            .into_iter()
            .flat_map(|headers| headers.get_all(&name));
        Ok(values
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect())
    }

    fn set_header(&mut self, name: String, value: String) -> Result<(), AccessError> {
        self.charge(name.len() + value.len())?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| AccessError::Invalid("no header value".into()))?;
        self.edit_header(name, Some(value))
    }

    fn remove_header(&mut self, name: String) -> Result<(), AccessError> {
        self.edit_header(name, None)
    }
}

impl routing::Host for State {
    fn count(&mut self) -> u32 {
        self.scope.input.targets.len() as u32
    }

    fn attribute(&mut self, target: u32, name: String) -> Option<String> {
        let target = self.scope.input.targets.get(target as usize)?;
        match name.as_str() {
            "upstream" => Some(target.upstream.clone()),
            "model" => Some(target.model.clone()),
            "dialect" => Some(target.dialect.to_owned()),
            "provider" => Some(target.provider.clone()),
            _ => None,
        }
    }

    fn measure(&mut self, _target: u32, _name: String) -> Option<f64> {
        None
    }
}

impl document::Host for State {
    fn get(&mut self, pointer: String) -> Result<Option<String>, AccessError> {
        self.permit(&pointer, Prompt::Read)?;
        let Some(document) = &mut self.scope.input.document else {
            return Ok(None);
        };
        Ok(document.get(&pointer)?.map(Cow::into_owned))
    }

    fn count(&mut self, pointer: String) -> Result<Option<u32>, AccessError> {
        self.permit(&pointer, Prompt::Read)?;
        let Some(document) = &mut self.scope.input.document else {
            return Ok(None);
        };
        Ok(document
            .count(&pointer)?
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
    }

    fn set(&mut self, pointer: String, value: String) -> Result<(), AccessError> {
        self.permit_edit(&pointer)?;
        self.charge(value.len())?;
        match &mut self.scope.input.document {
            Some(document) => Ok(document.set(&pointer, &value)?),
            None => Err(AccessError::Invalid("this stage has no document".into())),
        }
    }

    fn remove(&mut self, pointer: String) -> Result<bool, AccessError> {
        self.permit_edit(&pointer)?;
        match &mut self.scope.input.document {
            Some(document) => Ok(document.remove(&pointer)?),
            None => Ok(false),
        }
    }
}

impl log::Host for State {
    fn write(&mut self, level: Level, message: String, values: Vec<(String, String)>) {
        if !self.terms.may_write_line() {
            return;
        }
        let hook = &*self.terms.entry.name;
        let facts = self.scope.facts.as_ref();
        let call = facts.map_or("", |facts| facts.id.as_str());
        let values: Vec<_> = values.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let (message, values) = (line(message), line(values.join(" ")));
        match level {
            Level::Debug => tracing::debug!(hook, call, values, "{message}"),
            Level::Info => tracing::info!(hook, call, values, "{message}"),
            Level::Warn => tracing::warn!(hook, call, values, "{message}"),
            Level::Error => tracing::error!(hook, call, values, "{message}"),
        }
    }
}

/// A text as a part of one log line.
fn line(mut text: String) -> String {
    if let Some(end) = (0..=LOG_LINE_BYTES_MAX)
        .rev()
        .find(|at| text.is_char_boundary(*at))
    {
        text.truncate(end);
    }
    text.replace(|c: char| c.is_control(), " ")
}

impl config::Host for State {
    fn get(&mut self) -> String {
        self.terms.config.clone()
    }
}

impl metrics::Host for State {
    fn add(&mut self, name: String, by: f64, labels: Vec<(String, String)>) {
        let terms = &self.terms;
        let metrics = &terms.services.metrics;
        metrics.add_of_hook(&terms.entry.name, &name, by, labels);
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        let terms = &self.terms;
        let metrics = &terms.services.metrics;
        metrics.observe_of_hook(&terms.entry.name, &name, value, labels);
    }
}

impl From<PointerError> for AccessError {
    fn from(error: PointerError) -> Self {
        Self::Invalid(error.to_string())
    }
}
