//! What hooks and the gateway itself keep between calls: keys and values, some for a
//! time only.
//!
//! One trait, a file a store: in memory, on disk, on a Redis server. Callers see to
//! namespaces and access; a store sees keys and bytes.

mod disk;
mod memory;
mod redis;
#[cfg(all(test, feature = "server-tests"))]
mod server_tests;
mod stores;
#[cfg(test)]
mod tests;

use futures_util::future::BoxFuture;

pub use disk::Disk;
pub use memory::Memory;
pub use redis::Redis;
pub use stores::Stores;

/// Longest key, in bytes, its namespace included.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// A key, a value or the store as a whole is beyond its limit.
    #[error("{0}")]
    TooLarge(String),
    /// The store cannot be reached, or failed.
    #[error("{0}")]
    Unavailable(String),
}

/// What a store answers, in its time.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, KvError>>;

/// A store of keys and values. Every method is atomic. `ttl_ms` is the time after
/// which a value is gone, none if never.
pub trait Store: std::fmt::Debug + Send + Sync {
    /// The value of `key`.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>>;

    /// Put a value.
    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl_ms: Option<u64>) -> Answer<'a, ()>;

    /// Remove a key; false if there was none.
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool>;

    /// Add to a number, kept as decimal text, that begins at 0: the sum. `ttl_ms`
    /// counts from the moment at which the key came to be.
    fn increment<'a>(&'a self, key: &'a str, by: i64, ttl_ms: Option<u64>) -> Answer<'a, i64>;

    /// Put a value if the key's is `expected`; false if it is not.
    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Answer<'a, bool>;
}

/// What an entry costs a store beside its bytes, roughly.
const ENTRY_BYTES: usize = 128;

/// What an entry costs a store.
fn size(key: &str, value_bytes: usize) -> usize {
    key.len() + value_bytes + ENTRY_BYTES
}

fn full(bytes_max: usize) -> KvError {
    KvError::TooLarge(format!("the store is full: {bytes_max} bytes"))
}

/// The number that a value is, for `increment`.
fn number(value: &[u8]) -> Result<i64, KvError> {
    let text = std::str::from_utf8(value).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| KvError::Unavailable("the value is no number".into()))
}
