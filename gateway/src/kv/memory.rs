//! The store of one process: gone when it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, ready};

use super::{Answer, KvError, Store, number};

/// Keys from which on the store looks for values whose time has passed.
const SWEEP_KEYS_MIN: usize = 1_024;

/// What an entry costs beside its bytes, roughly.
const ENTRY_BYTES: usize = 128;

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
        let size = size(key, &entry);
        inner.sweep(self.bytes_max, size);
        let freed = inner.entries.get(key).map_or(0, |old| self::size(key, old));
        if inner.bytes - freed + size > self.bytes_max {
            let most = self.bytes_max;
            return Err(KvError::TooLarge(format!(
                "the store is full: {most} bytes"
            )));
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
            .map(|(key, entry)| size(key, entry))
            .sum();
        self.sweep_at = (self.entries.len() * 2).max(SWEEP_KEYS_MIN);
    }
}

fn size(key: &str, entry: &Entry) -> usize {
    key.len() + entry.value.len() + ENTRY_BYTES
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
        inner.bytes -= removed.as_ref().map_or(0, |entry| size(key, entry));
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

    /// What a store answers that answers at once.
    fn now<T>(answer: Answer<'_, T>) -> Result<T, KvError> {
        answer.now_or_never().expect("memory does not wait")
    }

    #[test]
    fn values_come_and_go() {
        let store = Memory::new(10_000);
        assert_eq!(now(store.get("a")), Ok(None));
        now(store.set("a", b"1".into(), None)).unwrap();
        assert_eq!(now(store.get("a")), Ok(Some(b"1".into())));
        assert_eq!(now(store.remove("a")), Ok(true));
        assert_eq!(now(store.remove("a")), Ok(false));
        now(store.set("a", b"1".into(), Some(0))).unwrap();
        assert_eq!(now(store.get("a")), Ok(None));
        assert_eq!(now(store.remove("a")), Ok(false));
    }

    #[test]
    fn numbers_add_up() {
        let store = Memory::new(10_000);
        assert_eq!(now(store.increment("n", 2, None)), Ok(2));
        assert_eq!(now(store.increment("n", -5, None)), Ok(-3));
        assert_eq!(now(store.get("n")), Ok(Some(b"-3".into())));
        assert_eq!(now(store.increment("n", i64::MIN, None)), Ok(i64::MIN));
        now(store.set("n", b"x".into(), None)).unwrap();
        assert!(now(store.increment("n", 1, None)).is_err());
        // Its time counts from its beginning.
        assert_eq!(now(store.increment("t", 1, Some(0))), Ok(1));
        assert_eq!(now(store.increment("t", 1, Some(60_000))), Ok(1));
        assert_eq!(now(store.increment("t", 1, Some(0))), Ok(2));
    }

    #[test]
    fn a_swap_needs_what_it_expects() {
        let store = Memory::new(10_000);
        let swap = |expected: Option<&str>, value: &str| {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            now(store.swap("a", expected, value.into(), None))
        };
        assert_eq!(swap(Some("1"), "2"), Ok(false));
        assert_eq!(swap(None, "1"), Ok(true));
        assert_eq!(swap(None, "2"), Ok(false));
        assert_eq!(swap(Some("1"), "2"), Ok(true));
        assert_eq!(now(store.get("a")), Ok(Some(b"2".into())));
    }

    #[test]
    fn the_store_has_a_size() {
        let store = Memory::new(1_000);
        now(store.set("a", vec![0; 400], Some(0))).unwrap();
        now(store.set("b", vec![0; 400], None)).unwrap();
        let full = now(store.set("c", vec![0; 400], None));
        assert!(matches!(full, Err(KvError::TooLarge(_))), "{full:?}");
        now(store.set("b", vec![0; 600], None)).expect("it takes the old one's place");
        assert_eq!(now(store.remove("b")), Ok(true));
        now(store.set("c", vec![0; 800], None)).unwrap();
        assert_eq!(store.lock().bytes, 800 + 1 + ENTRY_BYTES);
    }
}
