//! Keys and values for hooks: the host functions of `kv`.
//!
//! Every hook has a namespace of its own, so that two chain entries of one
//! component share nothing, and a new version finds what the old one kept.

use std::sync::Arc;

use super::bindings::sluice::hooks::kv::{Error, Host};
use super::clock::Clock;
use super::state::State;
use crate::kv::{Answer, KEY_BYTES_MAX, KvError, Store, VALUE_BYTES_MAX};

impl From<KvError> for Error {
    fn from(error: KvError) -> Self {
        match error {
            KvError::TooLarge(what) => Self::TooLarge(what),
            KvError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}

impl State {
    /// The key in the hook's namespace, if the hook may have keys at all, and
    /// whom to ask.
    fn door(&self, key: &str) -> Result<Door, Error> {
        if !self.grants().kv {
            return Err(Error::Denied("`kv` needs the grant `kv: true`".into()));
        }
        let key = format!("{}/{key}", self.terms.entry.name);
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "a key beyond {KEY_BYTES_MAX} bytes"
            )));
        }
        Ok(Door {
            key,
            store: self.terms.kv.clone(),
            clock: self.clock.clone(),
        })
    }
}

/// The way to one value.
struct Door {
    key: String,
    store: Arc<dyn Store>,
    clock: Clock,
}

/// Wait for the store, not on the guest's time.
async fn wait<T>(clock: &Clock, answer: Answer<'_, T>) -> Result<T, Error> {
    match clock.outside(answer).await {
        Some(answer) => Ok(answer?),
        None => Err(Error::Unavailable(
            "the store did not answer in time".into(),
        )),
    }
}

fn fits(value: &[u8]) -> Result<(), Error> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::TooLarge(format!(
            "a value beyond {VALUE_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

impl Host for State {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Error> {
        let door = self.door(&key)?;
        wait(&door.clock, door.store.get(&door.key)).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
        let door = self.door(&key)?;
        fits(&value)?;
        wait(&door.clock, door.store.set(&door.key, value, ttl_ms)).await
    }

    async fn remove(&mut self, key: String) -> Result<bool, Error> {
        let door = self.door(&key)?;
        wait(&door.clock, door.store.remove(&door.key)).await
    }

    async fn increment(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        let door = self.door(&key)?;
        wait(&door.clock, door.store.increment(&door.key, by, ttl_ms)).await
    }

    async fn swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, Error> {
        let door = self.door(&key)?;
        fits(&value)?;
        let swapped = door.store.swap(&door.key, expected, value, ttl_ms);
        wait(&door.clock, swapped).await
    }
}
