//! The call at hand, as hooks reach it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::base::sluice::hooks::types::AccessError;
use crate::bindings::base::sluice::hooks::{current, document, kv, log, metrics, routing};
use crate::{Level, testing::TestCall};

/// A hook that broke; its policy decides what becomes of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self(match error {
            AccessError::Denied(what) => format!("denied: {what}"),
            AccessError::Invalid(what) => format!("invalid: {what}"),
            AccessError::TooLarge(limit) => format!("larger than {limit} bytes"),
        })
    }
}

/// The call that a stage runs on.
#[derive(Debug)]
pub struct Call<'c>(pub(crate) Host<'c>);

/// Who answers: the gateway, or a native test.
#[derive(Debug)]
pub(crate) enum Host<'c> {
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "only a component has a gateway")
    )]
    Gateway,
    Test(&'c mut TestCall),
}

impl Call<'_> {
    /// A fact about the call: `id`, `dialect`, `model`, `stream`, and for an
    /// attempt `upstream`, `upstream-model`, `upstream-dialect`, `attempt`.
    pub fn attribute(&self, name: &str) -> Option<String> {
        match &self.0 {
            Host::Gateway => current::attribute(name),
            Host::Test(test) => test.attributes.get(name).cloned(),
        }
    }

    /// The model's name as the client asked for it.
    pub fn model(&self) -> String {
        self.attribute("model").unwrap_or_default()
    }

    /// A number about the call: `request-bytes`, `answer-bytes`, `input-tokens` (an
    /// estimate).
    pub fn measure(&self, name: &str) -> Option<f64> {
        match &self.0 {
            Host::Gateway => current::measure(name),
            Host::Test(test) => test.measures.get(name).copied(),
        }
    }

    /// The value at a JSON pointer; none if there is none, or if it is no `T`.
    pub fn get<T: DeserializeOwned>(&self, pointer: &str) -> Result<Option<T>, Failure> {
        let json = match &self.0 {
            Host::Gateway => document::get(pointer)?,
            Host::Test(test) => test.get(pointer),
        };
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
    }

    /// Whether there is a value at a JSON pointer.
    pub fn has(&self, pointer: &str) -> Result<bool, Failure> {
        Ok(self.get::<serde::de::IgnoredAny>(pointer)?.is_some())
    }

    /// How many members or items the object or array at a JSON pointer has; none if
    /// there is neither. Cheaper than reading it.
    pub fn len(&self, pointer: &str) -> Result<Option<usize>, Failure> {
        match &self.0 {
            Host::Gateway => Ok(document::count(pointer)?.map(|count| count as usize)),
            Host::Test(test) => Ok(test.len(pointer)),
        }
    }

    /// Put a value at a JSON pointer; `/list/-` appends.
    pub fn set(&mut self, pointer: &str, value: impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(&value).map_err(|error| Failure(error.to_string()))?;
        match &mut self.0 {
            Host::Gateway => Ok(document::set(pointer, &json)?),
            Host::Test(test) => test.set(pointer, &json),
        }
    }

    /// Remove the value at a JSON pointer; false if there was none.
    pub fn remove(&mut self, pointer: &str) -> Result<bool, Failure> {
        match &mut self.0 {
            Host::Gateway => Ok(document::remove(pointer)?),
            Host::Test(test) => Ok(test.remove(pointer)),
        }
    }

    /// What an earlier stage noted in this call, as JSON text.
    pub fn note(&self, key: &str) -> Option<String> {
        match &self.0 {
            Host::Gateway => current::note(key),
            Host::Test(test) => test.notes.get(key).cloned(),
        }
    }

    /// Note JSON text for later stages in this call.
    pub fn set_note(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match &mut self.0 {
            Host::Gateway => Ok(current::set_note(key, value)?),
            Host::Test(test) => {
                test.notes.insert(key.to_owned(), value.to_owned());
                Ok(())
            }
        }
    }

    /// The values of a header. Needs the grant `headers`.
    pub fn header(&self, name: &str) -> Result<Vec<String>, Failure> {
        match &self.0 {
            Host::Gateway => Ok(current::header_values(name)?),
            Host::Test(test) => Ok(test.headers.get(name).cloned().into_iter().collect()),
        }
    }

    /// Set a header of the upstream request. Needs the grant `headers`.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match &mut self.0 {
            Host::Gateway => Ok(current::set_header(name, value)?),
            Host::Test(test) => {
                test.headers.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
        }
    }

    /// Remove a header of the upstream request. Needs the grant `headers`.
    pub fn remove_header(&mut self, name: &str) -> Result<(), Failure> {
        match &mut self.0 {
            Host::Gateway => Ok(current::remove_header(name)?),
            Host::Test(test) => {
                test.headers.remove(name);
                Ok(())
            }
        }
    }

    /// The time, in milliseconds since 1970 (UTC).
    pub fn now_ms(&self) -> u64 {
        let now = match &self.0 {
            Host::Gateway => SystemTime::now().duration_since(UNIX_EPOCH),
            Host::Test(test) => return test.now_ms,
        };
        now.map_or(0, |now| now.as_millis() as u64)
    }

    /// The targets of the call's route, in the order in which they would be tried:
    /// in `on_route`; none elsewhere.
    pub fn targets(&self) -> Vec<Target> {
        let count = match &self.0 {
            Host::Gateway => routing::count(),
            Host::Test(test) => return test.targets.clone(),
        };
        let fact = |target, name| routing::attribute(target, name).unwrap_or_default();
        (0..count)
            .map(|target| Target {
                upstream: fact(target, "upstream"),
                model: fact(target, "model"),
            })
            .collect()
    }

    /// A line in the gateway's log, under the hook's name. Never a prompt.
    pub fn log(&self, level: Level, message: &str) {
        self.log_with(level, message, &[]);
    }

    /// A line in the gateway's log, with named values. Never a prompt.
    pub fn log_with(&self, level: Level, message: &str, values: &[(&str, String)]) {
        if matches!(self.0, Host::Gateway) {
            log::write(level, message, &owned(values));
        }
    }

    /// Add to a counter of the gateway's `/metrics`.
    pub fn count(&self, name: &str, by: f64, labels: &[(&str, String)]) {
        if matches!(self.0, Host::Gateway) {
            metrics::add(name, by, &owned(labels));
        }
    }

    /// Take one value of a histogram in the gateway's `/metrics`.
    pub fn observe(&self, name: &str, value: f64, labels: &[(&str, String)]) {
        if matches!(self.0, Host::Gateway) {
            metrics::observe(name, value, &owned(labels));
        }
    }

    /// The value that this hook keeps under a key. Needs the grant `kv`.
    pub fn kept(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match &self.0 {
            Host::Gateway => Ok(kv::get(key)?),
            Host::Test(test) => Ok(test.kept.get(key).cloned()),
        }
    }

    /// Keep a value under a key, for `ttl_ms` or for good. Needs the grant `kv`.
    pub fn keep(&mut self, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Failure> {
        match &mut self.0 {
            Host::Gateway => Ok(kv::set(key, value, ttl_ms)?),
            Host::Test(test) => {
                test.kept.insert(key.to_owned(), value.to_owned());
                Ok(())
            }
        }
    }

    /// Add to a number that is kept under a key, and get the sum: atomic, and
    /// shared by all calls. Needs the grant `kv`.
    pub fn increment(&mut self, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Failure> {
        let test = match &mut self.0 {
            Host::Gateway => return Ok(kv::increment(key, by, ttl_ms)?),
            Host::Test(test) => test,
        };
        let number = |value: &Vec<u8>| std::str::from_utf8(value).ok()?.parse::<i64>().ok();
        let sum = test.kept.get(key).and_then(number).unwrap_or(0) + by;
        test.kept
            .insert(key.to_owned(), sum.to_string().into_bytes());
        Ok(sum)
    }

    /// Forget a key; false if there was none. Needs the grant `kv`.
    pub fn forget(&mut self, key: &str) -> Result<bool, Failure> {
        match &mut self.0 {
            Host::Gateway => Ok(kv::remove(key)?),
            Host::Test(test) => Ok(test.kept.remove(key).is_some()),
        }
    }
}

/// A target of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The upstream's name.
    pub upstream: String,
    /// The model's name as it will be sent.
    pub model: String,
}

fn owned(pairs: &[(&str, String)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

impl From<kv::Error> for Failure {
    fn from(error: kv::Error) -> Self {
        Self(match error {
            kv::Error::Denied(what) => format!("denied: {what}"),
            kv::Error::TooLarge(what) => format!("too large: {what}"),
            kv::Error::Unavailable(what) => format!("unavailable: {what}"),
        })
    }
}
