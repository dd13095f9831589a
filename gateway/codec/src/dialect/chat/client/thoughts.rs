//! Reasoning that a client returns, put where the model had it.
//!
//! ```text
//! the answer   thinking "1"  text "a"  thinking "2"  call
//! the client   reasoning_content "1\n\n2", content "a", tool_calls, two carriers
//! ```
//! The carriers' seals tell the blocks apart and where they stood. A signature of
//! another's making must fit its text, or its upstream refuses the conversation:
//! where the text is another one by now, the signature is left out, and the block
//! with it as soon as it meets an upstream that would ask for it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::carrier::{self, Carrier, Seal};
use super::completion::GAP;
use crate::fields::{DecodeError, Extras, Fields, Path};
use crate::ir::{Block, is_own_signature};
use crate::json::Text;

/// The names under which clients return a model's reasoning.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_text"];

/// A thinking block, and where it stood.
pub(super) struct Thought<'a> {
    block: Block<'a>,
    seal: Seal,
}

impl<'a> Thought<'a> {
    fn new(text: Text<'a>, signature: String, seal: Seal) -> Self {
        let signature = Cow::Owned(signature);
        Self {
            block: Block::Thinking { text, signature },
            seal,
        }
    }
}

/// The thinking blocks of a message of the model's.
pub(super) fn thoughts<'a>(
    fields: &mut Fields<'a>,
    extras: &mut Extras<'a>,
    at: &Path<'_>,
) -> Result<Vec<Thought<'a>>, DecodeError> {
    let text = text(fields, extras, at)?;
    let carriers = carriers(fields, extras, at)?;
    let text = text.unwrap_or_else(|| Text::new(""));
    if carriers.is_empty() && text.is_empty() {
        return Ok(Vec::new());
    }
    let seals: Option<Vec<Seal>> = carriers.iter().map(|carrier| carrier.seal).collect();
    let Some(seals) = seals.filter(|seals| !seals.is_empty()) else {
        return Ok(vec![joined(text, carriers, Seal::default())]);
    };
    let decoded = text.decoded();
    let Some(texts) = carrier::unjoined(&decoded, &seals) else {
        let changed = carriers
            .into_iter()
            .filter(|carrier| is_own_signature(&carrier.signature));
        return Ok(vec![joined(text.clone(), changed.collect(), seals[0])]);
    };
    if let ([seal], [carrier]) = (&*seals, &*carriers) {
        let signature = carrier.signature.clone();
        return Ok(vec![Thought::new(text.clone(), signature, *seal)]);
    }
    let parts = texts.into_iter().zip(carriers).zip(seals);
    Ok(parts
        .map(|((text, carrier), seal)| Thought::new(Text::new(text), carrier.signature, seal))
        .collect())
}

/// Reasoning as the one text that the client has. Two signatures belong to texts
/// that can no longer be told apart: then there is none.
fn joined(text: Text<'_>, mut carriers: Vec<Carrier>, seal: Seal) -> Thought<'_> {
    let signature = match carriers.as_mut_slice() {
        [only] => std::mem::take(&mut only.signature),
        _ => String::new(),
    };
    Thought::new(text, signature, seal)
}

/// The reasoning, under whichever name; another text under another name is kept
/// apart.
fn text<'a>(
    fields: &mut Fields<'a>,
    extras: &mut Extras<'a>,
    at: &Path<'_>,
) -> Result<Option<Text<'a>>, DecodeError> {
    let mut text: Option<Text<'a>> = None;
    for key in REASONING {
        let Some(raw) = fields.take(key) else {
            continue;
        };
        let found = Text::from_raw(raw)
            .ok_or_else(|| DecodeError::at(&at.key(key), "expected a string"))?;
        match &text {
            Some(first) if found != *first && !found.is_empty() => {
                extras.push((Cow::Borrowed(key), raw));
            }
            Some(_) => {}
            None => text = Some(found).filter(|text| !text.is_empty()),
        }
    }
    Ok(text)
}

/// The items of ours; what else `reasoning_details` holds is kept as it is.
fn carriers<'a>(
    fields: &mut Fields<'a>,
    extras: &mut Extras<'a>,
    at: &Path<'_>,
) -> Result<Vec<Carrier>, DecodeError> {
    let Some(raw) = fields.take("reasoning_details") else {
        return Ok(Vec::new());
    };
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| DecodeError::at(&at.key("reasoning_details"), "expected an array"))?;
    let carriers: Vec<_> = items
        .iter()
        .filter_map(|item| carrier::read(item))
        .collect();
    if carriers.len() < items.len() {
        extras.push((Cow::Borrowed("reasoning_details"), raw));
    }
    Ok(carriers)
}

// === places ===

/// What the model thought, `said` and `called`, in the order of the answer as far
/// as the seals tell it.
pub(super) fn placed<'a>(
    thoughts: Vec<Thought<'a>>,
    said: Vec<Block<'a>>,
    called: Vec<Block<'a>>,
) -> Vec<Block<'a>> {
    let mut blocks = Vec::with_capacity(thoughts.len() + said.len() + called.len());
    let is_between = thoughts.iter().any(|thought| thought.seal.before > 0);
    let mut said = Said::new(said, is_between);
    let (mut calls, mut before) = (called.into_iter(), 0);
    for Thought { block, seal } in thoughts {
        said.up_to(seal.before, &mut blocks);
        while before < seal.calls
            && let Some(call) = calls.next()
        {
            blocks.push(call);
            before += 1;
        }
        blocks.push(block);
    }
    said.up_to(u64::MAX, &mut blocks);
    blocks.extend(calls);
    blocks
}

/// What was said, on its way to where it stood.
struct Said<'a> {
    blocks: Vec<Block<'a>>,
    /// The only text of it, if parts of that can be told apart.
    text: Option<String>,
    /// How much of the text has its place.
    at: usize,
}

impl<'a> Said<'a> {
    fn new(blocks: Vec<Block<'a>>, is_split: bool) -> Self {
        let text = match &*blocks {
            [Block::Text { text, extras }] if is_split && extras.is_empty() => Some(text),
            _ => None,
        };
        Self {
            text: text.map(|text| text.decoded().into_owned()),
            at: 0,
            blocks,
        }
    }

    /// All that came before the byte `to` of the text; everything, if no two texts
    /// were joined there.
    fn up_to(&mut self, to: u64, into: &mut Vec<Block<'a>>) {
        let to = usize::try_from(to).unwrap_or(usize::MAX);
        if to <= self.at {
            return;
        }
        let text = self.text.as_deref().unwrap_or_default();
        let part = text.get(self.at..to).filter(|part| !part.is_empty());
        let after = text.get(to..).and_then(|after| after.strip_prefix(GAP));
        if let (Some(part), Some(_)) = (part, after.filter(|after| !after.is_empty())) {
            into.push(text_block(part));
            self.blocks.clear();
            self.at = to + GAP.len();
            return;
        }
        // The only text as it came, unless some of it has gone.
        into.append(&mut self.blocks);
        into.extend(
            text.get(self.at..)
                .filter(|rest| self.at > 0 && !rest.is_empty())
                .map(text_block),
        );
        self.at = usize::MAX;
    }
}

fn text_block(text: &str) -> Block<'static> {
    Block::Text {
        text: Text::new(text),
        extras: Vec::new(),
    }
}
