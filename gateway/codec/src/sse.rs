//! Server-sent events, bytes to frames. Any split of the same bytes yields the
//! same frames. Knows nothing of JSON.
//!
//! Lenient as the field demands: LF, CRLF and CR line ends, `data:` with and
//! without a space, comments, a byte-order mark, a last frame without its blank
//! line. <https://html.spec.whatwg.org/multipage/server-sent-events.html>

/// Largest frame, in bytes: above every vendor's largest known (a whole answer
/// of 4 MB in one frame), far below what would hurt.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'f> {
    /// The `event` field, empty if there was none.
    pub event: &'f [u8],
    /// The `data` fields, joined by line feeds.
    pub data: &'f [u8],
}

/// A frame grew beyond [`FRAME_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLarge;

/// Bytes in, frames out.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Bytes of an unfinished line.
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    /// Whether the frame at hand has a `data` field (an empty one counts).
    has_data: bool,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    after_cr: bool,
    /// The first line is behind us, and with it any byte-order mark.
    begun: bool,
}

impl FrameReader {
    /// Take in `bytes` and hand each frame that they complete to `frame`. After
    /// an error nothing that follows can be told apart.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        frame: &mut impl FnMut(Frame<'_>),
    ) -> Result<(), FrameTooLarge> {
        if let Some(first) = bytes.first() {
            let ends_crlf = self.after_cr && *first == b'\n';
            self.after_cr = false;
            bytes = &bytes[usize::from(ends_crlf)..];
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            self.expect_room(end)?;
            if self.line.is_empty() {
                self.line_ended(&bytes[..end], frame);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.line_ended(&line, frame);
                line.clear();
                self.line = line;
            }
            let crlf = bytes[end..].starts_with(b"\r\n");
            self.after_cr = bytes[end..] == *b"\r";
            bytes = &bytes[end + 1 + usize::from(crlf)..];
        }
        self.expect_room(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether the frame at hand can take `more` bytes, asked of every line as a
    /// whole, so that the answer is the same however the bytes are split.
    fn expect_room(&self, more: usize) -> Result<(), FrameTooLarge> {
        if self.line.len() + self.data.len() + more > FRAME_BYTES_MAX {
            return Err(FrameTooLarge);
        }
        Ok(())
    }

    /// The bytes have ended: hand over a frame that lacks its blank line.
    pub fn finish(&mut self, frame: &mut impl FnMut(Frame<'_>)) {
        let line = std::mem::take(&mut self.line);
        self.line_ended(&line, frame);
        self.line_ended(b"", frame);
    }

    fn line_ended(&mut self, line: &[u8], frame: &mut impl FnMut(Frame<'_>)) {
        let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) if !self.begun => rest,
            _ => line,
        };
        self.begun = true;
        if line.is_empty() {
            self.frame_ended(frame);
            return;
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.event.clear();
                self.event.extend_from_slice(value);
            }
            // `id`, `retry`, comments, and what no one knows: no part of a frame.
            _ => {}
        }
    }

    fn frame_ended(&mut self, frame: &mut impl FnMut(Frame<'_>)) {
        if self.has_data {
            frame(Frame {
                event: &self.event,
                data: &self.data,
            });
        }
        self.event.clear();
        self.data.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = FrameReader::default();
        let mut frames = Vec::new();
        let mut take = |frame: Frame<'_>| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            frames.push((text(frame.event), text(frame.data)));
        };
        for piece in pieces {
            reader.feed(piece, &mut take).unwrap();
        }
        reader.finish(&mut take);
        frames
    }

    #[track_caller]
    fn check(bytes: &str, frames: &[(&str, &str)]) {
        let expected: Vec<_> = frames
            .iter()
            .map(|(e, d)| (e.to_string(), d.to_string()))
            .collect();
        assert_eq!(read(&[bytes.as_bytes()]), expected);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.as_bytes().split_at(at);
            assert_eq!(read(&[head, tail]), expected, "split at {at}");
        }
        let bytewise: Vec<_> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytewise), expected, "byte by byte");
    }

    #[test]
    fn frames_as_the_field_sends_them() {
        check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
        check(
            "event: x\r\ndata:a\r\n\r\ndata: b\r\n\r\n",
            &[("x", "a"), ("", "b")],
        );
        check("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
        check(
            ": comment\n\ndata: a\ndata: b\nid: 7\nretry: 1\n\n",
            &[("", "a\nb")],
        );
        check("\u{feff}data: ä€😀\n\n", &[("", "ä€😀")]);
        check("data: last", &[("", "last")]);
        check("data\n\n", &[("", "")]);
        check("event: lonely\n\n", &[]);
        check("", &[]);
        check("\n\n\r\n\r", &[]);
    }

    #[test]
    fn a_line_feed_alone_ends_its_line_once() {
        let frames = read(&[b"data: a\r", b"\n", b"\ndata: b\n\n"]);
        assert_eq!(frames, read(&[b"data: a\r\n\ndata: b\n\n"]));
        assert_eq!(frames.len(), 2);
    }

    #[test]
    fn a_frame_beyond_the_bound_fails_however_it_is_split() {
        let field = "data: ".len();
        for (length, fits) in [(FRAME_BYTES_MAX - field, true), (FRAME_BYTES_MAX, false)] {
            let bytes = format!("data: {}\n\n", "x".repeat(length));
            for piece in [bytes.len(), 1 << 20] {
                let (mut reader, mut frames) = (FrameReader::default(), 0);
                let mut pieces = bytes.as_bytes().chunks(piece);
                let fed = pieces.try_for_each(|piece| reader.feed(piece, &mut |_| frames += 1));
                assert_eq!(fed.is_ok(), fits, "{length} in pieces of {piece}");
                assert_eq!(frames, usize::from(fits));
            }
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            text in "(data: ?[a-z]{0,4}|event: x|: c|\r\n|\r|\n|\n\n|é){0,30}",
            cuts in prop::collection::vec(0usize..200, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }
    }
}
