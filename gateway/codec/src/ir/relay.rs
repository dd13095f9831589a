//! One answer, told by several upstreams in turn: where the first breaks off, the
//! next one goes on, and the client reads it in one piece.
//!
//! ```text
//! first    start  text "The answ"                    ✗
//! second   start  thinking "..."  text "answer is 4."  usage  stop
//! told     start  text "The answ" "er is 4."           usage  stop
//! ```
//! The text that was open goes on in its block, without what the next one repeats of
//! it, and without what that one thought before. Nothing can go on once a tool was
//! called: half a call cannot be taken back, and a whole one waits for its result.

use super::{BlockStart, Delta, Event, Losses, Sequencer, Sink, Usage, tokens_of};

/// Longest end of the text that is looked for at the head of what goes on, in bytes:
/// models repeat a sentence, seldom more.
const OVERLAP_BYTES_MAX: usize = 400;

/// Shortest, in bytes: less than that is two words, or the rule of a table, that may
/// well come twice.
const OVERLAP_BYTES_MIN: usize = 16;

/// Signature of reasoning that was broken off. It is no upstream's, so that it goes back
/// to none: Anthropic refuses what it has not signed.
const BROKEN_OFF: &str = "sluice0.broken-off";

/// Makes one lawful answer of several.
#[derive(Debug, Default)]
pub struct Relay {
    sequencer: Sequencer,
    /// The text so far.
    text: String,
    /// Text and reasoning of the present teller, in bytes.
    bytes: u64,
    /// What it has counted.
    counted: Option<Usage>,
    /// What those before it took; none while the first one tells.
    earlier: Option<Usage>,
    /// Something was told that nobody can go on from.
    is_final: bool,
    /// Whether text that goes on is joined to the open block.
    joint: Joint,
    losses: Losses,
}

/// Where two tellers meet.
#[derive(Debug, Default)]
enum Joint {
    /// Nowhere, or it is behind us.
    #[default]
    None,
    /// Text is open; the next teller's has not begun. It thinks in this block.
    Ahead { thinking: Option<u32> },
    /// Its text comes now.
    Here { overlap: Overlap },
}

impl Relay {
    /// The text so far, which the next teller must know.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether another can go on: something was told, and nothing that forbids it.
    pub fn can_go_on(&self) -> bool {
        let has_begun = self.bytes > 0 || self.earlier.is_some();
        has_begun && !self.is_final && !self.sequencer.is_ended()
    }

    /// From now on, the events are those of another teller.
    pub fn hand_over(&mut self, sink: Sink<'_>) {
        self.flush(sink);
        let counted = self.counted.take().unwrap_or_default();
        let output = counted
            .output
            .max(tokens_of(std::mem::take(&mut self.bytes)));
        self.earlier = Some(self.told(Usage { output, ..counted }));
        self.joint = match self.sequencer.is_text() {
            true => Joint::Ahead { thinking: None },
            false => {
                self.sequencer.sign(BROKEN_OFF, sink);
                self.sequencer.close(sink);
                Joint::None
            }
        };
    }

    /// What went on without being told.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// The next event of who tells.
    pub fn push(&mut self, event: Event<'_>, sink: Sink<'_>) {
        let Some(event) = self.joined(event, sink) else {
            return;
        };
        match &event {
            Event::BlockStart { block, .. } => {
                self.is_final |= !matches!(block, BlockStart::Text | BlockStart::Thinking);
                if matches!(block, BlockStart::Text) && !self.text.is_empty() {
                    self.text.push('\n');
                }
            }
            Event::Delta { delta, .. } => {
                self.bytes += delta.content_bytes();
                if let Delta::Text(text) = delta {
                    self.text.push_str(text);
                }
            }
            _ => {}
        }
        match event {
            Event::Usage(usage) => {
                self.counted = Some(usage.clone());
                let told = self.told(usage);
                self.sequencer.usage(told, sink);
            }
            Event::Start { usage, .. } if self.earlier.is_some() => self.counted = usage,
            event => {
                if let Event::Start { usage, .. } = &event {
                    self.counted.clone_from(usage);
                }
                self.sequencer.push(event, sink);
            }
        }
    }

    /// The event, if it is not of the joint.
    fn joined<'e>(&mut self, event: Event<'e>, sink: Sink<'_>) -> Option<Event<'e>> {
        match (&self.joint, &event) {
            (Joint::None, _) | (_, Event::Start { .. } | Event::Usage(_)) => Some(event),
            (Joint::Ahead { .. }, _) => self.ahead(event),
            (Joint::Here { .. }, _) => self.here(event, sink),
        }
    }

    /// The event, unless it is of what comes before the text that goes on.
    fn ahead<'e>(&mut self, event: Event<'e>) -> Option<Event<'e>> {
        match (&event, &mut self.joint) {
            (Event::BlockStart { index, block, .. }, Joint::Ahead { thinking }) => match block {
                BlockStart::Thinking => {
                    *thinking = Some(*index);
                    let why = "what goes on with a text tells none of its own";
                    self.losses.report("answer.thinking", why);
                    return None;
                }
                BlockStart::Text => {
                    let overlap = Overlap::with(&self.text);
                    self.joint = Joint::Here { overlap };
                    return None;
                }
                _ => {}
            },
            (
                Event::Delta { index, .. } | Event::BlockStop { index },
                Joint::Ahead { thinking },
            ) if *thinking == Some(*index) => return None,
            _ => {}
        }
        self.joint = Joint::None;
        Some(event)
    }

    /// The event, unless it is of the text that goes on.
    fn here<'e>(&mut self, event: Event<'e>, sink: Sink<'_>) -> Option<Event<'e>> {
        match (&event, &mut self.joint) {
            (Event::Delta { delta, .. }, Joint::Here { overlap }) => match delta {
                Delta::Text(text) => {
                    let text = overlap.feed(text);
                    self.go_on(&text, sink);
                    None
                }
                _ => {
                    self.flush(sink);
                    Some(event)
                }
            },
            (Event::BlockStop { .. }, _) => {
                self.flush(sink);
                self.joint = Joint::None;
                self.sequencer.close(sink);
                None
            }
            _ => {
                self.flush(sink);
                self.joint = Joint::None;
                Some(event)
            }
        }
    }

    /// What is held back at the joint goes out.
    fn flush(&mut self, sink: Sink<'_>) {
        if let Joint::Here { overlap } = &mut self.joint {
            let text = overlap.flush();
            if overlap.repeated > 0 {
                let why = "what went on with the text repeated its end";
                self.losses.report("answer.text", why);
                overlap.repeated = 0;
            }
            self.go_on(&text, sink);
        }
    }

    /// More of the open text.
    fn go_on(&mut self, text: &str, sink: Sink<'_>) {
        self.bytes += text.len() as u64;
        self.text.push_str(text);
        self.sequencer.text(text, sink);
    }

    /// What the client is shown: the latest prompt, and all of the answer.
    fn told(&self, usage: Usage) -> Usage {
        let Some(earlier) = &self.earlier else {
            return usage;
        };
        let output = earlier.output.saturating_add(usage.output);
        match usage.prompt() {
            0 => Usage {
                output,
                extras: usage.extras,
                ..earlier.clone()
            },
            _ => Usage { output, ..usage },
        }
    }
}

/// Takes off the head of a text what repeats the end of another.
#[derive(Debug)]
struct Overlap {
    /// The end of the text before.
    tail: String,
    /// A beginning of what follows that may be a repetition.
    held: String,
    /// Nothing more is looked for.
    is_over: bool,
    /// How much was taken off, in bytes.
    repeated: usize,
}

impl Overlap {
    fn with(text: &str) -> Self {
        let from = text.len().saturating_sub(OVERLAP_BYTES_MAX);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
        Self {
            tail: text[from.unwrap_or(text.len())..].to_owned(),
            held: String::new(),
            is_over: false,
            repeated: 0,
        }
    }

    /// Take in text; what of it is new.
    fn feed(&mut self, text: &str) -> String {
        if self.is_over {
            return text.to_owned();
        }
        self.held.push_str(text);
        let may_grow = |end: &str| end.len() > self.held.len() && end.starts_with(&self.held);
        if ends(&self.tail).any(may_grow) {
            return String::new();
        }
        self.flush()
    }

    /// Nothing more comes.
    fn flush(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if std::mem::replace(&mut self.is_over, true) {
            return held;
        }
        let repeated = ends(&self.tail)
            .take_while(|end| end.len() >= OVERLAP_BYTES_MIN)
            .find(|end| held.starts_with(end));
        self.repeated = repeated.map_or(0, str::len);
        held[self.repeated..].to_owned()
    }
}

/// All ends of `text`, the longest first.
fn ends(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().map(|(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sequence::tests::any_event;
    use super::super::{Order, Stop, StopReason};
    use super::*;

    /// What a teller says: `t:` text, `k:` reasoning, `c` a call, `u:` its output tokens,
    /// `.` an end. Each piece of a kind goes on in its block.
    fn events(said: &[&str]) -> Vec<Event<'static>> {
        let mut sequencer = Sequencer::default();
        let mut events = Vec::new();
        let mut sink = |event: Event<'_>| events.push(event.into_owned());
        sequencer.start(None, &mut sink);
        for piece in said {
            match piece.split_at(1) {
                ("t", text) => sequencer.text(&text[1..], &mut sink),
                ("k", text) => sequencer.thinking(&text[1..], &mut sink),
                ("c", _) => sequencer.tool_use("id", "name", &mut sink),
                ("|", _) => sequencer.close(&mut sink),
                ("u", count) => {
                    let usage = Usage {
                        input: 100,
                        output: count[1..].parse().expect("a number"),
                        ..Usage::default()
                    };
                    sequencer.usage(usage, &mut sink);
                }
                _ => sequencer.stop(Stop::new(StopReason::EndTurn), &mut sink),
            }
        }
        events
    }

    /// The same notation for what is told.
    fn shown(events: &[Event<'_>]) -> String {
        let mut shown = Vec::new();
        for event in events {
            shown.push(match event {
                Event::Start { .. } => "start".into(),
                Event::BlockStart { index, block, .. } => match block {
                    BlockStart::Text => format!("{index}text"),
                    BlockStart::Thinking => format!("{index}thinking"),
                    _ => format!("{index}call"),
                },
                Event::Delta { delta, .. } => match delta {
                    Delta::Text(text) | Delta::Thinking(text) => format!("`{text}`"),
                    _ => "signed".into(),
                },
                Event::BlockStop { .. } => "end".into(),
                Event::Usage(usage) => format!("{}+{}", usage.input, usage.output),
                Event::Stop(_) => "stop".into(),
                Event::Error { .. } => "error".into(),
            });
        }
        shown.join(" ")
    }

    /// Tellers, one after the other, and what is told.
    #[track_caller]
    fn check(tellers: &[&[&str]], expected: &str) {
        let (mut relay, mut order) = (Relay::default(), Order::default());
        let mut told = Vec::new();
        let mut sink = |event: Event<'_>| {
            order.check(&event).expect("lawful");
            told.push(event.into_owned());
        };
        for (i, said) in tellers.iter().enumerate() {
            if i > 0 {
                assert!(relay.can_go_on(), "{tellers:?}");
                relay.hand_over(&mut sink);
            }
            for event in events(said) {
                relay.push(event, &mut sink);
            }
        }
        assert_eq!(shown(&told), expected, "{tellers:?}");
    }

    #[test]
    fn what_was_open_goes_on() {
        check(&[&["t:a b", "."]], "start 0text `a b` end stop");
        check(
            &[&["t:a"], &["t: b", "t: c", "."]],
            "start 0text `a` ` b` ` c` end stop",
        );
        // Reasoning of one who goes on with a text is not told; before all text it is.
        check(
            &[&["t:a"], &["k:hm", "t:b", "."]],
            "start 0text `a` `b` end stop",
        );
        check(
            &[&["k:hm"], &["k:well", "t:b", "."]],
            "start 0thinking `hm` signed end 1thinking `well` end 2text `b` end stop",
        );
        // A text that had ended stays so.
        check(
            &[&["t:a", "|"], &["t:b", "."]],
            "start 0text `a` end 1text `b` end stop",
        );
        check(
            &[&["t:a"], &["t:b"], &["t:c", "k:and", "c", "."]],
            "start 0text `a` `b` `c` end 1thinking `and` end 2call end stop",
        );
        check(
            &[&["t:a"], &["c", "."]],
            "start 0text `a` end 1call end stop",
        );
        check(&[&["t:a"], &["."]], "start 0text `a` end stop");
    }

    #[test]
    fn what_is_repeated_is_told_once() {
        const SAID: &str = "t:The answer to all of it is";
        check(
            &[&[SAID], &["t:er to all of it is", "t: 42", "."]],
            "start 0text `The answer to all of it is` ` 42` end stop",
        );
        check(
            &[&[SAID], &["t:The ans", "t:wer to all of it is 42", "."]],
            "start 0text `The answer to all of it is` ` 42` end stop",
        );
        // Too short to tell from chance.
        check(
            &[&[SAID], &["t:it is", "t: so", "."]],
            "start 0text `The answer to all of it is` `it is` ` so` end stop",
        );
        check(
            &[&[SAID], &["t:The answer t", "."]],
            "start 0text `The answer to all of it is` `The answer t` end stop",
        );
        check(
            &[
                &["t:ein Überfluß an Umlauten: ÄÖÜ"],
                &["t:ß an Umlauten: ÄÖÜäöü", "."],
            ],
            "start 0text `ein Überfluß an Umlauten: ÄÖÜ` `äöü` end stop",
        );
    }

    #[test]
    fn the_prompt_is_counted_once_and_the_answer_whole() {
        check(
            &[&["u:1", "t:12345678"], &["t:b", "u:5", "."]],
            "start 100+1 0text `12345678` `b` 100+7 end stop",
        );
        check(
            &[&["t:1234"], &["t:b"], &["t:c", "u:5", "."]],
            "start 0text `1234` `b` `c` 100+7 end stop",
        );
    }

    #[test]
    fn nobody_goes_on_from_nothing_or_from_a_call() {
        for (said, expected) in [
            (&[][..], false),
            (&["t:a"], true),
            (&["k:a"], true),
            (&["t:a", "c"], false),
            (&["t:a", "."], false),
        ] {
            let mut relay = Relay::default();
            for event in events(said) {
                relay.push(event, &mut |_| {});
            }
            assert_eq!(relay.can_go_on(), expected, "{said:?}");
        }
    }

    #[test]
    fn what_is_not_told_is_reported() {
        let mut relay = Relay::default();
        let told: [&[&str]; 2] = [
            &["t:a text of some length"],
            &["k:hm", "t:ext of some length."],
        ];
        for said in told {
            if relay.can_go_on() {
                relay.hand_over(&mut |_| {});
            }
            for event in events(said) {
                relay.push(event, &mut |_| {});
            }
        }
        relay.push(Event::BlockStop { index: 1 }, &mut |_| {});
        let losses = relay.take_losses();
        let paths: Vec<_> = losses.listed().iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["answer.thinking", "answer.text"]);
        assert_eq!(relay.text(), "a text of some length.");
    }

    /// Any events made lawful, as decoders give them.
    fn lawful() -> impl Strategy<Value = Vec<Event<'static>>> {
        prop::collection::vec(any_event(), 0..20).prop_map(|events| {
            let (mut sequencer, mut lawful) = (Sequencer::default(), Vec::new());
            for event in events {
                sequencer.push(event, &mut |event| lawful.push(event.into_owned()));
            }
            lawful
        })
    }

    proptest! {
        #[test]
        fn one_teller_is_told_unchanged(events in lawful()) {
            let (mut relay, mut told) = (Relay::default(), Vec::new());
            for event in events.clone() {
                relay.push(event, &mut |event| told.push(event.into_owned()));
            }
            prop_assert_eq!(format!("{told:?}"), format!("{events:?}"));
        }

        #[test]
        fn any_tellers_are_told_lawfully(tellers in prop::collection::vec(lawful(), 1..4)) {
            let (mut relay, mut order) = (Relay::default(), Order::default());
            let mut sink = |event: Event<'_>| order.check(&event).expect("lawful");
            for events in tellers {
                if relay.can_go_on() {
                    relay.hand_over(&mut sink);
                }
                for event in events {
                    relay.push(event, &mut sink);
                }
            }
        }

        #[test]
        fn any_split_overlaps_alike(
            tail in "[ab ]{0,40}",
            text in "[ab ]{0,40}",
            cut in any::<prop::sample::Index>(),
        ) {
            let mut whole = Overlap::with(&tail);
            let mut expected = whole.feed(&text);
            expected += &whole.flush();
            let at = cut.index(text.len() + 1);
            let mut split = Overlap::with(&tail);
            let mut got = split.feed(&text[..at]);
            got += &split.feed(&text[at..]);
            got += &split.flush();
            prop_assert_eq!(got, expected);
        }
    }
}
