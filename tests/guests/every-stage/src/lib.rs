//! Has every stage of `sluice:hooks`, calls every function it may import, and gives
//! every verdict, as the requested model's name, the upstream's status or its text
//! say: what a released version of the interface must go on to do.
//!
//! No SDK is in between: what is compiled here is the interface alone.

mod bindings;

use std::cell::RefCell;

use bindings::exports::sluice::hooks as stages;
use bindings::sluice::hooks::types::{AccessError, Failure, Refusal, Reply};
use bindings::sluice::hooks::{config, current, document, kv, log, metrics, routing};

struct EveryStage;

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, clippy::all, reason = "generated")]
const _: () = {
    bindings::export!(EveryStage with_types_in bindings);
};

fn broke(error: AccessError) -> Failure {
    format!("{error:?}")
}

fn attribute(name: &str) -> String {
    current::attribute(name).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn refusal(status: u16) -> Refusal {
    Refusal {
        status,
        code: "permission_error".into(),
        message: "refused".into(),
        retry_after_ms: Some(7_000),
    }
}

/// An answer in the inner form.
fn message() -> Reply {
    Reply::Message(
        r#"{"type":"message","role":"assistant","model":"none",
        "content":[{"type":"text","text":"a whole message"}],
        "stop_reason":"end_turn","stop_sequence":null,
        "usage":{"input_tokens":1,"output_tokens":2}}"#
            .into(),
    )
}

impl stages::about::Guest for EveryStage {
    fn describe() -> String {
        r#"{"version":"0.1.0","summary":"Has every stage.",
        "config":{"type":"object","properties":{"word":{"type":"string"}},
            "required":["word"],"additionalProperties":false},
        "needs":{"kv":true,"prompt":"write","headers":["x-team","x-trace","x-gone","x-why"]}}"#
            .into()
    }
}

impl stages::setup::Guest for EveryStage {
    fn configure() -> Result<(), String> {
        match config::get().contains("wrong") {
            true => Err("word: anything but `wrong`".into()),
            false => Ok(()),
        }
    }
}

impl stages::on_request::Guest for EveryStage {
    fn handle() -> Result<stages::on_request::Verdict, Failure> {
        use stages::on_request::Verdict;
        let facts = ["id", "dialect", "model", "stream"].map(attribute);
        let sized = ["request-bytes", "input-tokens"].map(current::measure);
        if facts.iter().any(String::is_empty) || sized.contains(&None) {
            return Err(format!("a fact is missing: {facts:?} {sized:?}"));
        }
        let team = current::header_values("x-team").map_err(broke)?;
        let turns = document::count("/messages").map_err(broke)?;
        let note = format!("{} {turns:?} {}", team.join(","), facts[1]);
        current::set_note("request", &quoted(&note)).map_err(broke)?;
        document::set("/metadata", r#"{"user_id":"every"}"#).map_err(broke)?;
        document::remove("/temperature").map_err(broke)?;
        Ok(match facts[2].as_str() {
            "reply" => Verdict::Reply(Reply::Text("a text".into())),
            "message" => Verdict::Reply(message()),
            "refuse" => Verdict::Refuse(refusal(451)),
            _ => Verdict::Next,
        })
    }
}

impl stages::on_route::Guest for EveryStage {
    fn handle() -> Result<stages::on_route::Verdict, Failure> {
        use stages::on_route::Verdict;
        let all = 0..routing::count();
        let fact = |at, name| routing::attribute(at, name).unwrap_or_default();
        let models: Vec<_> = all.map(|at| fact(at, "model")).collect();
        current::set_note("route", &quoted(&models.join(","))).map_err(broke)?;
        let _ = routing::measure(0, "none that is known yet");
        Ok(match attribute("model").as_str() {
            "choose" => Verdict::Choose(vec![1]),
            "reroute" => Verdict::Reroute("m".into()),
            "reply-routed" => Verdict::Reply(Reply::Text("no target".into())),
            "refuse-routed" => Verdict::Refuse(refusal(403)),
            _ => Verdict::Next,
        })
    }
}

impl stages::on_upstream_request::Guest for EveryStage {
    fn handle() -> Result<stages::on_upstream_request::Verdict, Failure> {
        use stages::on_upstream_request::Verdict;
        let note = |key| current::note(key).unwrap_or_default().replace('"', "");
        let facts = ["upstream", "upstream-model", "upstream-dialect", "attempt"].map(attribute);
        let trace = [note("request"), note("route"), facts.join(" ")].join("; ");
        current::set_header("x-trace", &trace).map_err(broke)?;
        current::remove_header("x-gone").map_err(broke)?;
        document::set("/user", "\"every\"").map_err(broke)?;
        Ok(match (attribute("model").as_str(), facts[3].as_str()) {
            ("skip", "1") => Verdict::SkipTarget("not this one".into()),
            ("reply-sent", _) => Verdict::Reply(Reply::Text("not sent".into())),
            ("refuse-sent", _) => Verdict::Refuse(refusal(403)),
            _ => Verdict::Next,
        })
    }
}

impl stages::on_upstream_response::Guest for EveryStage {
    fn handle() -> Result<stages::on_upstream_response::Verdict, Failure> {
        use stages::on_upstream_response::Verdict;
        let why = current::header_values("x-why").map_err(broke)?;
        Ok(match attribute("status").as_str() {
            "429" => Verdict::Retry(1),
            "418" => Verdict::SkipTarget(why.join(",")),
            "451" => Verdict::Refuse(refusal(451)),
            _ => Verdict::Next,
        })
    }
}

/// Shouts; ends where it is told to, and says at the end what it has seen.
struct Watcher(RefCell<Vec<stages::on_stream::Kind>>);

impl stages::on_stream::Guest for EveryStage {
    type Watcher = Watcher;
}

impl stages::on_stream::GuestWatcher for Watcher {
    fn open() -> Result<Option<(stages::on_stream::Watcher, stages::on_stream::Kinds)>, Failure> {
        if attribute("model") == "unwatched" {
            return Ok(None);
        }
        let watcher = stages::on_stream::Watcher::new(Self(RefCell::default()));
        Ok(Some((watcher, stages::on_stream::Kinds::all())))
    }

    fn handle(
        &self,
        events: Vec<stages::on_stream::Event>,
    ) -> Result<stages::on_stream::Action, Failure> {
        use stages::on_stream::{Action, Kind};
        let mut seen = self.0.borrow_mut();
        let kinds = events.iter().map(|event| event.kind);
        seen.extend(kinds.filter(|kind| !matches!(kind, Kind::Text)));
        let says = |word| {
            let mut texts = events.iter().filter_map(|event| event.text.as_deref());
            texts.any(|text: &str| text.contains(word))
        };
        if says("fail") {
            return Ok(Action::End(Some(refusal(403))));
        }
        if says("end") {
            return Ok(Action::End(None));
        }
        if !events.iter().any(|event| matches!(event.kind, Kind::Text)) {
            return Ok(Action::Keep);
        }
        let shout = |mut event: stages::on_stream::Event| {
            event.text = event.text.map(|text| text.to_uppercase());
            event
        };
        Ok(Action::Emit(events.into_iter().map(shout).collect()))
    }

    fn finish(
        &self,
        how: stages::on_stream::Ending,
    ) -> Result<Vec<stages::on_stream::Event>, Failure> {
        let text = Some(format!(" {:?} {how:?}", self.0.borrow()));
        let event = stages::on_stream::Event {
            kind: stages::on_stream::Kind::Text,
            block: 99,
            text,
            data: None,
        };
        Ok(vec![event])
    }
}

impl stages::on_response::Guest for EveryStage {
    fn handle() -> Result<stages::on_response::Verdict, Failure> {
        use stages::on_response::Verdict;
        document::set("/content/-", r#"{"type":"text","text":" whole"}"#).map_err(broke)?;
        Ok(match attribute("model").as_str() {
            "refuse-answer" => Verdict::Refuse(refusal(403)),
            _ => Verdict::Next,
        })
    }
}

impl stages::on_error::Guest for EveryStage {
    fn handle() -> Result<stages::on_error::Verdict, Failure> {
        use stages::on_error::Verdict;
        let facts = ["status", "origin", "decision"].map(attribute);
        let before = document::get("/error/type").map_err(broke)?;
        let said = format!("{} {}", facts.join(" "), before.unwrap_or_default());
        document::set("/error/message", &quoted(&said.replace('"', ""))).map_err(broke)?;
        Ok(match facts[0].as_str() {
            "402" => Verdict::Reply(Reply::Text("paid".into())),
            "409" => Verdict::Retry(1),
            "410" => Verdict::SkipTarget("gone".into()),
            "404" if facts[1] == "upstream" => Verdict::Refuse(refusal(404)),
            _ => Verdict::Next,
        })
    }
}

/// Whether the store does as the interface says.
fn keeps() -> Result<bool, kv::Error> {
    let value = |text: &str| text.as_bytes().to_vec();
    kv::set("a", b"1", None)?;
    let swapped = [
        kv::swap("a", Some(b"2"), b"3", None)?,
        kv::swap("a", Some(b"1"), b"2", Some(60_000))?,
    ];
    let got = kv::get("a")?;
    let removed = [kv::remove("a")?, kv::remove("a")?];
    Ok(swapped == [false, true] && got == Some(value("2")) && removed == [true, false])
}

impl stages::on_complete::Guest for EveryStage {
    fn handle() -> Result<(), Failure> {
        let outcome = document::get("/outcome").map_err(broke)?;
        let store = match keeps() {
            Ok(true) => "keeps".into(),
            other => format!("{other:?}"),
        };
        let nth = kv::increment("calls", 1, None).map_err(|error| format!("{error:?}"))?;
        let values = [("store".to_owned(), store), ("nth".into(), nth.to_string())];
        log::write(log::Level::Info, "A call has ended.", &values);
        metrics::observe("ended", 1.0, &[]);
        let outcome = outcome.unwrap_or_default().replace('"', "");
        metrics::add(
            "calls",
            1.0,
            &[&values[..], &[("outcome".into(), outcome)]].concat(),
        );
        Ok(())
    }
}

impl stages::on_count_tokens::Guest for EveryStage {
    fn handle() -> Result<stages::on_count_tokens::Verdict, Failure> {
        use stages::on_count_tokens::Verdict;
        Ok(match attribute("model").as_str() {
            "refuse" => Verdict::Refuse(refusal(403)),
            "m" => Verdict::Count(77),
            _ => Verdict::Next,
        })
    }
}

impl stages::on_list_models::Guest for EveryStage {
    fn handle() -> Result<stages::on_list_models::Verdict, Failure> {
        let one = r#"{"type":"model","id":"one-more","display_name":"One more"}"#;
        document::set("/data/-", one).map_err(broke)?;
        Ok(stages::on_list_models::Verdict::Next)
    }
}
