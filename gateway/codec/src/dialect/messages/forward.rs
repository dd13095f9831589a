//! A Messages request on its way to a Messages upstream: the client's own bytes.
//!
//! ```text
//!  {"model":"fast", ..., {"type":"thinking", ... "signature":"sluice1...."}, ...}
//!           ▲                        ▲
//!        replaced                 cut out            everything else as it came
//! ```
//! Nothing is parsed and written again, so unknown members, cache markers, key
//! order and white space reach the upstream as the client wrote them, and its
//! prompt cache keeps hitting. Cut out are only thinking blocks that this
//! gateway signed: Anthropic refuses a signature that is not its own. Blocks
//! without any signature stay, since servers that imitate the dialect give such
//! ones and want them back. What an upstream with an accent gets: `adapted`.

use std::{borrow::Cow, ops::Range};

use serde_json::value::RawValue;

use super::accent::Accent;
use super::adapted;
use super::outbound::Encoded;
use crate::fields::{DecodeError, Fields, Path, required};
use crate::ir::{Block, Losses, Request, RequestMessage, is_own_signature};
use crate::json::{Member, range_in, write_str};

/// `body`, from which `request` was decoded, for an upstream with `accent` that
/// calls the model `model`.
pub fn forward_request(
    body: &str,
    request: &Request<'_>,
    model: &str,
    accent: &Accent,
) -> Result<Encoded, DecodeError> {
    if *accent != Accent::default() {
        return adapted::forward(body, request, model, accent);
    }
    let members = members(body)?;
    let mut losses = Losses::default();
    let mut edits = cuts(body, request, &mut losses)?;
    let mut name = Vec::with_capacity(model.len() + 2);
    write_str(&mut name, model);
    // Of a repeated key, some parsers read the first and some the last.
    for (_, member) in members.iter().filter(|(key, _)| key == "model") {
        edits.push((member.value.clone(), &name));
    }
    edits.sort_by_key(|(range, _)| range.start);
    let spliced = spliced(body, &edits);
    Ok(Encoded {
        body: spliced,
        members: moved(members.into_iter().map(|(_, member)| member), &edits),
        losses,
    })
}

/// What stands in the place of a range of the body.
type Edit<'e> = (Range<usize>, &'e [u8]);

/// The top-level keys and where their members stand, in order.
fn members(body: &str) -> Result<Vec<(Cow<'_, str>, Member)>, DecodeError> {
    let mut at = 0;
    let mut members = Vec::with_capacity(16);
    for (name, raw) in Fields::parse(body, &Path::Root)?.rest() {
        let value = range_in(body, raw).ok_or_else(foreign)?;
        // Between two values stand one key and its quotes, and no other quote
        // but escaped ones.
        let (Some(open), Some(close)) = (
            body[at..value.start].find('"'),
            body[at..value.start].rfind('"'),
        ) else {
            return Err(foreign());
        };
        let key = at + open + 1..at + close;
        at = value.end;
        members.push((name, Member { key, value }));
    }
    Ok(members)
}

fn foreign() -> DecodeError {
    DecodeError::at(&Path::Root, "not the body of this request")
}

// === cuts ===

/// The ranges that hold thinking blocks of ours: the blocks, or whole messages
/// that would be left without any.
fn cuts<'e>(
    body: &str,
    request: &Request<'_>,
    losses: &mut Losses,
) -> Result<Vec<Edit<'e>>, DecodeError> {
    if !request.messages.iter().any(has_own) {
        return Ok(Vec::new());
    }
    let root = Path::Root;
    let at = root.key("messages");
    let mut fields = Fields::parse(body, &root)?;
    let messages = fields.take_array("messages", &root)?.unwrap_or_default();
    let mut dropped = vec![false; messages.len()];
    let mut ranges = Vec::new();
    for (i, (raw, message)) in messages.iter().zip(&request.messages).enumerate() {
        if !has_own(message) {
            continue;
        }
        let at = at.index(i);
        let mut fields = Fields::of(raw, &at)?;
        let content = required(fields.take_array("content", &at)?, &at, "content")?;
        let own: Vec<_> = message.content.iter().map(is_own).collect();
        let at = at.key("content");
        for (j, _) in own.iter().enumerate().filter(|(_, own)| **own) {
            losses.report(
                at.index(j),
                "reasoning goes back only to the upstream it came from",
            );
        }
        if own.iter().all(|own| *own) {
            dropped[i] = true;
        } else {
            ranges.extend(cut_items(body, &content, &own));
        }
    }
    ranges.extend(cut_items(body, &messages, &dropped));
    Ok(ranges.into_iter().map(|range| (range, &[][..])).collect())
}

fn has_own(message: &RequestMessage<'_>) -> bool {
    message.content.iter().any(is_own)
}

fn is_own(block: &Block<'_>) -> bool {
    matches!(block, Block::Thinking { signature, .. } if is_own_signature(signature))
}

/// The ranges of the items of an array that are not wanted, each with the comma
/// that would be left over. Never overlapping.
fn cut_items(body: &str, items: &[&RawValue], unwanted: &[bool]) -> Vec<Range<usize>> {
    let at = |i: usize| items.get(i).and_then(|raw| range_in(body, raw));
    let mut ranges = Vec::new();
    let mut any_kept = false;
    for (i, unwanted) in unwanted.iter().enumerate() {
        let Some(item) = at(i) else { continue };
        if !unwanted {
            any_kept = true;
        } else if any_kept {
            // With the comma before it.
            let start = at(i - 1).map_or(item.start, |before| before.end);
            ranges.push(start..item.end);
        } else {
            // With the comma behind it, if there is one.
            let end = at(i + 1).map_or(item.end, |next| next.start);
            ranges.push(item.start..end);
        }
    }
    ranges
}

// === splicing ===

fn spliced(body: &str, edits: &[Edit<'_>]) -> Vec<u8> {
    let bytes = body.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut at = 0;
    for (range, text) in edits {
        out.extend_from_slice(&bytes[at..range.start]);
        out.extend_from_slice(text);
        at = range.end;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

/// Where `members` stand after the edits, none of which cuts through an end of
/// one.
fn moved(members: impl Iterator<Item = Member>, edits: &[Edit<'_>]) -> Vec<Member> {
    let mut edits = edits.iter().peekable();
    let (mut cut, mut put) = (0, 0);
    let mut shifted = |at: usize| {
        while let Some((range, text)) = edits.next_if(|(range, _)| range.end <= at) {
            cut += range.len();
            put += text.len();
        }
        at + put - cut
    };
    members
        .map(|member| {
            let key = shifted(member.key.start)..shifted(member.key.end);
            Member {
                key,
                value: shifted(member.value.start)..shifted(member.value.end),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode_request;
    use super::*;

    fn forward(body: &str, model: &str) -> Encoded {
        let request = decode_request(body).unwrap();
        let encoded = forward_request(body, &request, model, &Accent::default()).unwrap();
        let text = std::str::from_utf8(&encoded.body).unwrap();
        let mut fields = Fields::parse(text, &Path::Root).unwrap().rest().into_iter();
        for member in &encoded.members {
            let (name, value) = fields.next().unwrap();
            let key: String =
                serde_json::from_str(&format!("\"{}\"", &text[member.key.clone()])).unwrap();
            assert_eq!(key, name);
            assert_eq!(&text[member.value.clone()], value.get());
        }
        assert!(fields.next().is_none());
        encoded
    }

    #[track_caller]
    fn check(body: &str, expected: &str, losses: &[&str]) {
        let encoded = forward(body, "claude");
        assert_eq!(std::str::from_utf8(&encoded.body).unwrap(), expected);
        let paths: Vec<_> = encoded
            .losses
            .listed()
            .iter()
            .map(|loss| loss.path.as_str())
            .collect();
        assert_eq!(paths, losses);
    }

    #[test]
    fn all_but_the_model_is_left_alone() {
        let rest = r#" "max_tokens":1e1 ,  "messages" : [ {"content":[{"type":"text","text":"\u00e9","cache_control":{"type":"ephemeral"}},
            {"type":"redacted_thinking","data":"x"},{"type":"thinking","thinking":"t","signature":"EqQB"},{"type":"thinking","thinking":"","signature":""},
            {"type":"new_thing","z":1.50}],"role":"assistant"}],"unknown":{"model":"m"} }"#;
        check(
            &format!("\n{{ \"model\" : \"fast\",{rest}\n"),
            &format!("\n{{ \"model\" : \"claude\",{rest}\n"),
            &[],
        );
        check(
            r#"{"model":"a","messages":[{"role":"user","content":"x"}],"model":"b"}"#,
            r#"{"model":"claude","messages":[{"role":"user","content":"x"}],"model":"claude"}"#,
            &[],
        );
        check(
            r#"{"a\"b":"\\","mo\u0064el":"a","messages":[{"role":"user","content":"x"}]}"#,
            r#"{"a\"b":"\\","mo\u0064el":"claude","messages":[{"role":"user","content":"x"}]}"#,
            &[],
        );
    }

    #[test]
    fn reasoning_of_ours_is_cut_out() {
        fn ours(n: u8) -> String {
            format!(
                r#"{{"type":"thinking","thinking":"{n}","signature":"sluice1.reasoning.f{n}"}}"#
            )
        }
        let (one, two) = (ours(1), ours(2));
        let body = |content: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":"a"}}{content}],"tail":[],"model":"m"}}"#
            )
            .replace("\"m\"", "\"claude\"")
        };
        let said = |blocks: &str| format!(r#" , {{"role":"assistant","content":[ {blocks} ]}}"#);
        let text = r#"{"type":"text","text":"b"}"#;
        let at = "messages[1].content";
        for (blocks, left, losses) in [
            (format!("{one} , {text}"), text.to_owned(), vec![0]),
            (format!("{text} , {one}"), text.to_owned(), vec![1]),
            (format!("{one},{text},{two}"), text.to_owned(), vec![0, 2]),
            (format!("{one},{two},{text}"), text.to_owned(), vec![0, 1]),
            (format!("{text},{one},{two}"), text.to_owned(), vec![1, 2]),
            (
                format!("{text},{one},{text}"),
                format!("{text},{text}"),
                vec![1],
            ),
        ] {
            let losses: Vec<_> = losses.iter().map(|j| format!("{at}[{j}]")).collect();
            let losses: Vec<_> = losses.iter().map(String::as_str).collect();
            check(&body(&said(&blocks)), &body(&said(&left)), &losses);
        }
        check(&body(&said(&one)), &body(""), &["messages[1].content[0]"]);
    }

    fn blunt() -> Accent {
        Accent {
            betas: false,
            ..Accent::default()
        }
    }

    #[test]
    fn another_body_is_refused() {
        let body = r#"{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"sluice1.x"}]}]}"#;
        let request = decode_request(body).unwrap();
        for other in ["", "{", "[]", r#"{"messages":[{}]}"#] {
            for accent in [Accent::default(), blunt()] {
                let refused = forward_request(other, &request, "m", &accent);
                assert!(refused.is_err(), "{other}");
            }
        }
    }

    proptest! {
        #[test]
        fn cut_anywhere_it_stays_valid(own in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..4), 1..5)) {
            let block = |own: &bool| if *own {
                r#"{"type":"thinking","thinking":"","signature":"sluice1.x"}"#
            } else {
                r#"{"type":"text","text":"t"}"#
            };
            let message = |blocks: &Vec<bool>| {
                let blocks: Vec<_> = blocks.iter().map(block).collect();
                format!(r#"{{"role":"assistant","content":[{}]}}"#, blocks.join(" , "))
            };
            let messages: Vec<_> = own.iter().map(message).collect();
            let body = format!(r#"{{"messages":[{}],"model":"m"}}"#, messages.join(" ,\n"));
            let encoded = forward(&body, "claude");
            let value: serde_json::Value = serde_json::from_slice(&encoded.body).unwrap();
            let kept: Vec<usize> = own.iter().map(|blocks| blocks.iter().filter(|own| !**own).count()).filter(|n| *n > 0).collect();
            let got: Vec<usize> = value["messages"].as_array().unwrap().iter().map(|m| m["content"].as_array().unwrap().len()).collect();
            prop_assert_eq!(got, kept);
        }
    }
}
