//! What only this dialect says of an answer (`ir/beside.rs`), on its way to a
//! client that can read it; to others it is reported as lost.

use serde_json::value::RawValue;

use super::StreamDecoder;
use crate::dialect::chat::chunk::{Choice, Chunk, Delta, Rest};
use crate::dialect::chat::payload::TOO_LARGE;
use crate::hash::hash;
use crate::ir::{CHAT_MEMBERS, Kept, STANDING, STANDING_BYTES_MAX, Sink, chat_delta};
use crate::json::ObjectWriter;

/// Most members of one object that are kept: far more than any vendor has, and few
/// enough to be looked through.
const MEMBERS_MAX: usize = 64;

/// Most bytes that wait for a block to open.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What was found, and what of it waits.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Members of the completion that have been given out, with a hash of what they
    /// said: most vendors repeat them in every chunk.
    said: Vec<(String, u64)>,
    /// Members that may stand outside of every block.
    standing: Kept,
    /// All others, for the next block.
    waiting: Vec<Box<RawValue>>,
    waiting_bytes: usize,
}

impl Beside {
    /// Whether a member of the completion says what it has not said before.
    fn is_news(&mut self, key: &str, raw: &RawValue) -> bool {
        let hash = hash(raw.get().as_bytes());
        match self.said.iter_mut().find(|(known, _)| known == key) {
            Some((_, said)) => std::mem::replace(said, hash) != hash,
            None => {
                if self.said.len() < MEMBERS_MAX {
                    self.said.push((key.to_owned(), hash));
                }
                true
            }
        }
    }

    fn wait(&mut self, members: String) -> bool {
        let bytes = self.waiting_bytes + members.len();
        let fits = bytes <= WAITING_BYTES_MAX;
        if let (true, Ok(raw)) = (fits, RawValue::from_string(members)) {
            self.waiting_bytes = bytes;
            self.waiting.push(raw);
        }
        fits
    }

    /// What may stand outside of every block, for the extras of a start or a stop.
    pub(super) fn take(&mut self) -> Kept {
        let raw = self.standing_members();
        let kept = raw.map(|raw| (CHAT_MEMBERS.to_owned(), raw));
        kept.into_iter().collect()
    }

    /// Whether something waits for a block.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn standing_members(&mut self) -> Option<Box<RawValue>> {
        let standing = std::mem::take(&mut self.standing);
        let mut members = ObjectWriter::with_capacity(64);
        for (key, raw) in &standing {
            members.raw(key, raw.get());
        }
        let text = String::from_utf8(members.finish().0).ok()?;
        let raw = RawValue::from_string(text).ok()?;
        (!standing.is_empty()).then_some(raw)
    }

    /// All that waits.
    fn take_all(&mut self) -> Vec<Box<RawValue>> {
        self.waiting_bytes = 0;
        let standing = self.standing_members();
        let waiting = std::mem::take(&mut self.waiting);
        standing.into_iter().chain(waiting).collect()
    }

    fn stand(&mut self, key: &str, raw: &RawValue) {
        self.standing.retain(|(known, _)| known != key);
        self.standing.push((key.to_owned(), raw.to_owned()));
    }
}

impl StreamDecoder {
    /// Keep what a chunk says that nothing else takes.
    pub(super) fn keep(
        &mut self,
        chunk: &Chunk<'_>,
        choice: Option<&Choice<'_>>,
        delta: Option<&Delta<'_>>,
    ) {
        let of_choice = choice.map_or(&[][..], |choice| &choice.rest);
        let of_delta = delta.map_or(&[][..], |delta| &delta.rest);
        if !self.options.keeps_members {
            self.report_rest("", &chunk.rest);
            self.report_rest("choices[0].", of_choice);
            return self.report_rest("choices[0].delta.", of_delta);
        }
        let members = self.members(&chunk.rest, of_choice, of_delta);
        if !members.is_empty() && !self.beside.wait(members) {
            self.report_once("choices[0]", TOO_LARGE);
        }
    }

    /// All of it as JSON text; empty if there is nothing.
    fn members(&mut self, completion: &Rest<'_>, choice: &Rest<'_>, delta: &Rest<'_>) -> String {
        let mut members = ObjectWriter::with_capacity(0);
        let mut any = false;
        for (key, raw) in completion.iter().take(MEMBERS_MAX) {
            let is_free = key != "choice" && !members.has(key);
            if !is_free || !self.beside.is_news(key, raw) {
                continue;
            }
            if STANDING.contains(&&**key) && raw.get().len() <= STANDING_BYTES_MAX {
                self.beside.stand(key, raw);
            } else {
                members.raw(key, raw.get());
                any = true;
            }
        }
        if !choice.is_empty() || !delta.is_empty() {
            members.member("choice", |out| {
                let mut object = object(choice, "delta");
                if !delta.is_empty() {
                    let delta = self::object(delta, "").finish().0;
                    object.member("delta", |out| out.extend_from_slice(&delta));
                }
                out.extend_from_slice(&object.finish().0);
            });
            any = true;
        }
        if [completion, choice, delta]
            .iter()
            .any(|rest| rest.len() > MEMBERS_MAX)
        {
            self.report_once("choices[0]", "more members than can be kept");
        }
        match any {
            true => String::from_utf8(members.finish().0).unwrap_or_default(),
            false => String::new(),
        }
    }

    /// Give out what waits, if a block is open that it can go with.
    pub(super) fn give_kept(&mut self, sink: Sink<'_>) {
        if !self.sequencer.takes_others() {
            return;
        }
        for members in self.beside.take_all() {
            if let Some(delta) = chat_delta(members.get()) {
                self.sequencer.other(delta, sink);
            }
        }
    }

    /// Report what a client of another dialect has no place for; nothing where it
    /// says nothing.
    fn report_rest(&mut self, at: &str, rest: &Rest<'_>) {
        let says = |raw: &RawValue| !matches!(raw.get(), "[]" | "{}" | "\"\"");
        for (key, _) in rest.iter().filter(|(_, raw)| says(raw)).take(MEMBERS_MAX) {
            self.report_once(&format!("{at}{key}"), "no equivalent in the inner form");
        }
    }
}

/// The members of `rest`, once each, but for the name that is `taken`.
fn object(rest: &Rest<'_>, taken: &str) -> ObjectWriter {
    let mut object = ObjectWriter::with_capacity(64);
    for (key, raw) in rest.iter().take(MEMBERS_MAX) {
        if key != taken && !object.has(key) {
            object.raw(key, raw.get());
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::{DecodeOptions, Names, decode_client_request};
    use crate::ir::Event;

    /// What stands in the extras of start and stop, and in deltas.
    fn outside_and_inside(chunks: &[&str]) -> [String; 2] {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        let request = decode_client_request(body).unwrap().request;
        let options = DecodeOptions::new(&request, Names::default(), "f", 7).with_members_kept();
        let mut decoder = StreamDecoder::new(options);
        let (mut outside, mut inside) = (String::new(), String::new());
        let mut sink = |event: Event<'_>| match event {
            Event::Start { extras, .. } => outside.push_str(&format!("{extras:?}")),
            Event::Stop(stop) => outside.push_str(&format!("{:?}", stop.extras)),
            event => inside.push_str(&format!("{event:?}")),
        };
        for chunk in chunks {
            decoder.frame(chunk.as_bytes(), &mut sink);
        }
        decoder.frame(b"[DONE]", &mut sink);
        assert_eq!(decoder.take_losses().count(), 0);
        [outside, inside]
    }

    /// Hooks read starts and stops without a grant.
    #[test]
    fn what_was_said_stands_in_deltas_alone() {
        for said in [
            r#"{"message":{"content":"a"},"logprobs":{"content":["SAID"]},"finish_reason":"stop"}"#,
            r#"{"message":{"content":"","audio":"SAID"},"finish_reason":"stop"}"#,
            r#"{"message":{"reasoning_content":"r","x":"SAID"},"finish_reason":"stop"}"#,
            r#"{"message":{"tool_calls":[{"id":"i","function":{"name":"f","arguments":"{}"}}],"x":"SAID"},"finish_reason":"stop"}"#,
        ] {
            let chunk =
                format!(r#"{{"citations":"SAID","service_tier":"flex","choices":[{said}]}}"#);
            let [outside, inside] = outside_and_inside(&[&chunk]);
            assert!(
                outside.contains("flex") && !outside.contains("SAID"),
                "{outside}"
            );
            assert_eq!(inside.matches("SAID").count(), 2, "{inside}");
        }
        let [outside, inside] = outside_and_inside(&[
            r#"{"choices":[{"delta":{"role":"assistant"},"logprobs":{"content":["SAID"]}}],"provider":"flex"}"#,
            r#"{"choices":[{"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop","x":"SAID"}]}"#,
        ]);
        assert!(
            outside.contains("flex") && !outside.contains("SAID"),
            "{outside}"
        );
        assert_eq!(inside.matches("SAID").count(), 2, "{inside}");
    }
}
