//! A trial call at load: every stage of a hook once, on a call of the gateway's own,
//! before a client's call meets it.
//!
//! The hook runs as in the shadow, on terms that lead nowhere ([`Terms::of_trial`]).
//! What it decides is its own affair, and so is a failure that it reports: the call
//! at hand is none that it was made for. Traps, endless loops and breaches of the
//! interface are not.

use std::iter;
use std::sync::Arc;

use http::HeaderMap;

use super::Stage;
use super::document::Document;
use super::error::{FailureKind, HookError};
use super::lines::event_from_line;
use super::pool::Hook;
use super::session::{AttemptFacts, Facts, FailureFacts, Session, TargetFacts};
use super::shadow::Shadow;
use super::terms::Terms;
use super::watch::Ending;
use crate::config::Match;

/// The model of calls on which a hook runs that matches all of them.
const MODEL: &str = "claude-sonnet-4-5";

/// The id of the call.
const ID: &str = "trial";

const REQUEST: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":1024,"stream":true,"system":"Be brief.","tools":[{"name":"look","description":"Looks.","input_schema":{"type":"object","properties":{"at":{"type":"string"}}}}],"messages":[{"role":"user","content":"Hello."},{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"toolu_1","name":"look","input":{"at":"it"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"Seen."}]}]}"#;

/// The same as an upstream of Chat Completions gets it.
const UPSTREAM_REQUEST: &str = r#"{"model":"m","max_tokens":1024,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello."}]}"#;

const ANSWER: &str = r#"{"id":"msg_trial","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello to you."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}}"#;

/// An answer of every kind of block, in three batches.
const EVENTS: [&[&str]; 3] = [
    &[
        r#"{"kind":"start","data":{"model":"m"}}"#,
        r#"{"kind":"block-start","block":0,"data":{"type":"thinking"}}"#,
        r#"{"kind":"reasoning","block":0,"text":"They say hello."}"#,
        r#"{"kind":"block-stop","block":0}"#,
        r#"{"kind":"block-start","block":1,"data":{"type":"text"}}"#,
        r#"{"kind":"text","block":1,"text":"Hello "}"#,
    ],
    &[r#"{"kind":"text","block":1,"text":"to you."}"#],
    &[
        r#"{"kind":"block-stop","block":1}"#,
        r#"{"kind":"block-start","block":2,"data":{"type":"tool_use","id":"toolu_2","name":"look"}}"#,
        r#"{"kind":"tool-input","block":2,"text":"{\"at\":\"it\"}"}"#,
        r#"{"kind":"block-stop","block":2}"#,
        r#"{"kind":"usage","data":{"input_tokens":9,"output_tokens":3}}"#,
        r#"{"kind":"stop","data":{"stop_reason":"tool_use","stop_sequence":null}}"#,
    ],
];

const ERROR: &str =
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded."}}"#;

const MODELS: &str = r#"{"data":[{"id":"claude-sonnet-4-5","type":"model","display_name":"claude-sonnet-4-5"}],"has_more":false}"#;

const RECORD: &str = r#"{"id":"trial","model":"claude-sonnet-4-5","stream":true,"target":"trial/m","attempts":1,"generation":0,"outcome":"answered","status":200,"error":"","ms":12,"first_byte_ms":9,"usage":{"input_tokens":9,"output_tokens":3,"cache_read_input_tokens":0,"cache_creation_input_tokens":0},"losses":[],"edits":[],"shadow":[]}"#;

/// Try a hook out: how it failed, and where, if it did.
pub(super) async fn rehearse(hook: &Hook) -> Option<(Stage, FailureKind)> {
    let trial = Hook::new(
        Terms::of_trial(hook.entry()),
        hook.source.clone(),
        hook.digest.clone(),
        hook.module.clone(),
        None,
    );
    let matching = &hook.entry().matching;
    let mut session = Session::new(iter::once(Arc::new(trial)), facts(matching));
    let ran = call(&mut session, matching).await;
    debug_assert!(ran.is_ok(), "in the shadow no failure ends a call");
    let failed = session.shadows().iter().find_map(|shadow| match shadow {
        Shadow::Failed { stage, kind, .. } => Some((*stage, kind.clone())),
        Shadow::Edited(_) | Shadow::Decided { .. } => None,
    });
    failed.filter(|(_, kind)| !matches!(kind, FailureKind::Reported(_)))
}

/// The call, stage by stage.
async fn call(session: &mut Session, matching: &Match) -> Result<(), HookError> {
    let document = |text: &'static str| Document::new(text.into());
    if session.wants(Stage::Request) {
        session.on_request(document(REQUEST)).await?;
    }
    let upstream = matching.upstreams.first().map_or(ID, String::as_str);
    if session.wants(Stage::Route) {
        let target = TargetFacts {
            upstream: upstream.to_owned(),
            model: "m".into(),
            dialect: "chat-completions",
            provider: "openai-compatible".into(),
        };
        session.on_route(document(REQUEST), vec![target]).await?;
    }
    session.attempt(AttemptFacts {
        upstream: upstream.to_owned(),
        upstream_model: "m".into(),
        upstream_dialect: "chat-completions",
        attempt: 1,
    });
    if session.wants(Stage::UpstreamRequest) {
        let document = document(UPSTREAM_REQUEST);
        session
            .on_upstream_request(document, &mut HeaderMap::new())
            .await?;
    }
    if session.wants(Stage::UpstreamResponse) {
        session.on_upstream_response(200, &HeaderMap::new()).await?;
    }
    if session.open_streams().await? {
        for batch in EVENTS {
            let events = batch.iter().map(|line| event_from_line(line));
            let mut events = events.collect::<Result<_, _>>().expect("written here");
            session.on_events(&mut events).await?;
        }
        session.finish(Ending::Complete, &mut Vec::new()).await?;
    }
    if session.wants(Stage::Response) {
        session.on_response(document(ANSWER)).await?;
    }
    if session.wants(Stage::Error) {
        let facts = FailureFacts {
            status: 529,
            origin: "upstream",
            decision: "fail",
        };
        session.on_error(document(ERROR), facts).await?;
    }
    if session.wants(Stage::CountTokens) {
        session.on_count_tokens(document(REQUEST)).await?;
    }
    if session.wants(Stage::ListModels) {
        session.on_list_models(document(MODELS)).await?;
    }
    if session.wants(Stage::Complete) {
        session.on_complete(document(RECORD), 200).await?;
    }
    Ok(())
}

fn facts(matching: &Match) -> Facts {
    let pattern = matching.models.first().map_or(MODEL, String::as_str);
    Facts {
        id: ID.into(),
        dialect: "anthropic-messages",
        model: pattern.replace('*', "x"),
        stream: true,
        client: String::new(),
        request_bytes: REQUEST.len(),
        headers: Arc::new(HeaderMap::new()),
    }
}
