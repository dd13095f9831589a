//! What a guest writes to standard output and standard error: the last of it, for
//! whoever reads why it trapped. A language's runtime says there what a trap cannot:
//! which exception nobody caught, which panic it was.
//!
//! Never for clients: a guest that may read prompts may have quoted one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Most bytes that are kept: an exception's last lines, and no transcript.
const KEPT_BYTES_MAX: usize = 300;

/// Most bytes that a guest may write at once, as is usual.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// The last words of a guest at one stage.
#[derive(Clone, Debug, Default)]
pub(super) struct LastWords(Arc<Mutex<Vec<u8>>>);

impl LastWords {
    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage begins: forget what was written at the one before.
    pub(super) fn forget(&self) {
        self.kept().clear();
    }

    fn hear(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        let new = &bytes[bytes.len().saturating_sub(KEPT_BYTES_MAX)..];
        let too_many = (kept.len() + new.len()).saturating_sub(KEPT_BYTES_MAX);
        kept.drain(..too_many);
        kept.extend_from_slice(new);
    }

    /// The words on one line; empty if there were none.
    pub(super) fn text(&self) -> String {
        let kept = self.kept();
        // Where the beginning was cut off, half a character may be left of it.
        let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let begin = kept.iter().take(3).take_while(is_rest).count();
        let text = String::from_utf8_lossy(&kept[begin..]);
        let text = text.replace(|c: char| c.is_control(), " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl IsTerminal for LastWords {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LastWords {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LastWords {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.hear(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LastWords {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LastWords {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.hear(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &[&str], expected: &str) {
        let words = LastWords::default();
        for piece in written {
            words.hear(piece.as_bytes());
        }
        assert_eq!(words.text(), expected);
        let kept = words.kept();
        assert!(kept.len() <= KEPT_BYTES_MAX && kept.capacity() <= 2 * KEPT_BYTES_MAX);
    }

    #[test]
    fn the_last_of_what_was_written_is_kept_on_one_line() {
        check(&[], "");
        check(
            &["Traceback:\n", "  KeyError: 'x'\n\x1b"],
            "Traceback: KeyError: 'x'",
        );
        check(&["a".repeat(500).as_str(), "b"], &("a".repeat(299) + "b"));
        // 301 bytes: the first character loses its first byte, and goes.
        check(&["é".repeat(150).as_str(), "b"], &("é".repeat(149) + "b"));
        check(
            &[&"flood ".repeat(1 << 16), &"x".repeat(300)],
            &"x".repeat(300),
        );
        let words = LastWords::default();
        words.hear(b"before");
        words.forget();
        assert_eq!(words.text(), "");
    }
}
