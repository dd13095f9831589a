//! The store of one process: gone when it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, ready};

use super::{Answer, KvError, Store, full, number, size};

/// Keys from which on the store looks for values whose time has passed.
const SWEEP_KEYS_MIN: usize = 1_024;

/// Keys and values in memory, up to a limit.
#[derive(Debug)]
pub struct Memory {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    entries: HashMap<String, Entry>,
    bytes: usize,
    /// Size at which the next sweep is due: twice what the last one left.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    expires: Option<Instant>,
}

impl Entry {
    fn size(&self, key: &str) -> usize {
        size(key, self.value.len())
    }

    fn is_gone(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Memory {
    /// An empty store of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            inner: Mutex::new(Inner {
                entries: HashMap::new(),
                bytes: 0,
                sweep_at: SWEEP_KEYS_MIN,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, inner: &mut Inner, key: &str, entry: Entry) -> Result<(), KvError> {
        let size = entry.size(key);
        inner.sweep(self.bytes_max, size);
        let freed = inner.entries.get(key).map_or(0, |old| old.size(key));
        if inner.bytes - freed + size > self.bytes_max {
            return Err(full(self.bytes_max));
        }
        inner.bytes = inner.bytes - freed + size;
        inner.entries.insert(key.to_owned(), entry);
        Ok(())
    }
}

impl Inner {
    fn live(&self, key: &str) -> Option<&Entry> {
        let entry = self.entries.get(key)?;
        (!entry.is_gone(Instant::now())).then_some(entry)
    }

    /// Make room, if it is due: drop what is gone.
    fn sweep(&mut self, bytes_max: usize, wanted: usize) {
        if self.entries.len() < self.sweep_at && self.bytes + wanted <= bytes_max {
            return;
        }
        let now = Instant::now();
        self.entries.retain(|_, entry| !entry.is_gone(now));
        self.bytes = self
            .entries
            .iter()
            .map(|(key, entry)| entry.size(key))
            .sum();
        self.sweep_at = (self.entries.len() * 2).max(SWEEP_KEYS_MIN);
    }
}

/// A time too far off for the clock is never.
fn expiry(ttl_ms: Option<u64>) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(ttl_ms?))
}

impl Store for Memory {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        let value = self.lock().live(key).map(|entry| entry.value.clone());
        ready(Ok(value)).boxed()
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl_ms: Option<u64>) -> Answer<'a, ()> {
        let expires = expiry(ttl_ms);
        let put = self.put(&mut self.lock(), key, Entry { value, expires });
        ready(put).boxed()
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        let mut inner = self.lock();
        let removed = inner.entries.remove(key);
        inner.bytes -= removed.as_ref().map_or(0, |entry| entry.size(key));
        let was_there = removed.is_some_and(|entry| !entry.is_gone(Instant::now()));
        ready(Ok(was_there)).boxed()
    }

    fn increment<'a>(&'a self, key: &'a str, by: i64, ttl_ms: Option<u64>) -> Answer<'a, i64> {
        let mut inner = self.lock();
        let (before, expires) = match inner.live(key) {
            Some(entry) => (number(&entry.value), entry.expires),
            None => (Ok(0), expiry(ttl_ms)),
        };
        let sum = before.and_then(|before| {
            let sum = before.saturating_add(by);
            let value = sum.to_string().into_bytes();
            self.put(&mut inner, key, Entry { value, expires })?;
            Ok(sum)
        });
        ready(sum).boxed()
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Answer<'a, bool> {
        let mut inner = self.lock();
        let is_as_expected = inner.live(key).map(|entry| &entry.value) == expected.as_ref();
        let expires = expiry(ttl_ms);
        let swapped = if is_as_expected {
            let put = self.put(&mut inner, key, Entry { value, expires });
            put.map(|()| true)
        } else {
            Ok(false)
        };
        ready(swapped).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted() {
        let store = Memory::new(10_000);
        let now = |answer: Answer<'_, ()>| answer.now_or_never().expect("memory does not wait");
        now(store.set("gone", vec![0; 400], Some(0))).unwrap();
        now(store.set("a", vec![0; 400], None)).unwrap();
        now(store.set("a", vec![0; 600], None)).unwrap();
        store.lock().sweep(0, 0);
        assert_eq!(store.lock().bytes, size("a", 600));
    }
}
