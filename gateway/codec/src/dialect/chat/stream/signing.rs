//! Signatures of the answer's thinking blocks, and what they carry.
//!
//! What has to come back with a call or a message is gathered until a thinking
//! block ends; where none is open, a block is made that holds nothing else. It
//! stands ahead of what it belongs to, or behind a call whose signature came late.

use super::StreamDecoder;
use crate::dialect::chat::calls::{Call, State};
use crate::dialect::chat::envelope::Envelope;
use crate::dialect::chat::payload::TOO_LARGE;
use crate::ir::Sink;

impl StreamDecoder {
    /// A thinking block ends with its signature. One that is all encrypted has
    /// nothing else.
    pub(super) fn sign(&mut self, sink: Sink<'_>) {
        if !self.cargo.is_empty() && !self.sequencer.is_thinking() {
            self.start(sink);
            self.sequencer.begin_thinking(sink);
            self.reasoning_field = self.cargo.field();
        }
        if self.sequencer.is_thinking() {
            self.give_kept(sink);
            let payload = self.cargo.take();
            let envelope = Envelope {
                family: &self.options.family,
                field: self.reasoning_field,
                payload: payload.as_deref(),
            };
            self.sequencer.sign(&envelope.seal(), sink);
        }
    }

    /// What must come back with calls goes into the next signature: ahead of its
    /// call, or behind it, where it came late.
    pub(super) fn load_call_extras(&mut self) {
        let begun = |call: &&mut Call| call.state != State::Waiting && !call.is_void;
        let mut fits = true;
        for call in self.calls.0.iter_mut().filter(begun) {
            if let Some(extra) = call.extra.take() {
                fits &= self.cargo.call(&call.client_id, &extra);
            }
        }
        if !fits {
            self.report_once("choices[0].delta.tool_calls", TOO_LARGE);
        }
    }

    /// What must come back with the message goes into the next signature.
    pub(super) fn load_message_extra(&mut self) {
        if let Some(extra) = self.message_extra.take()
            && !self.cargo.message(&extra)
        {
            self.report_once("choices[0].delta.extra_content", TOO_LARGE);
        }
    }

    /// A signature that came behind the text. It does not bind, and a block behind
    /// the text hides that text from clients that read the last block.
    pub(super) fn end_message_extra(&mut self) {
        if !self.has_text {
            self.load_message_extra();
        } else if self.message_extra.take().is_some() {
            self.report_once(
                "choices[0].delta.extra_content",
                "a signature of text that has gone out",
            );
        }
    }
}
