//! A hash that is the same in every build and on every machine, as prompt caches
//! and what lies in transcripts demand. It keeps things apart; it proves nothing.

/// FNV-1a, 64 bits, of bytes that come in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    /// Take in more bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    }

    /// One that was written down.
    pub(crate) fn of(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash of all that came.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

/// The hash of `bytes`.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = Hash::default();
    hash.add(bytes);
    hash.get()
}
