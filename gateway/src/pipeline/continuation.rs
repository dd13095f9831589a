//! An answer whose stream breaks off, and who goes on with it.
//!
//! ```text
//! first attempt   "The answ"  ✗            the client has read it: no status, no retry
//! next attempt    the request, and "The answ" as the model's own last message
//!                 "er is 4."               joined to it (`ir::Relay`)
//! ```
//! Where a route says so (`on_broken_stream: continue`). The client sees one answer,
//! with life signs while nobody tells.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use sluice_codec::ir::tokens_of;

use crate::answer::{Answer, Next, Part};
use crate::call::Call;
use crate::codecs::ClientFormat;
use crate::config::Then;
use crate::error::{Cause, Error};
use crate::exits::Served;
use crate::gate::Pass;
use crate::health::TargetId;
use crate::hook::Document;
use crate::snapshot::Snapshot;

use super::{Client, Planned, attempts_in_time, planned};

/// How often in one answer another goes on.
const CONTINUATIONS_MAX: u32 = 3;

/// What is needed to go on with an answer.
pub(crate) struct Continuation {
    world: Arc<Snapshot>,
    client: Client,
    /// Room for the client's body, which is kept.
    _room: Option<Pass>,
    begun: u32,
}

impl Continuation {
    pub(super) fn new(world: Arc<Snapshot>, client: Client, room: Option<Pass>) -> Box<Self> {
        Box::new(Self {
            world,
            client,
            _room: room,
            begun: 0,
        })
    }

    /// Whether another attempt may help after `error`.
    fn may_help(&self, error: &Error) -> bool {
        let policy = &self.world.config.attempts.policy;
        match error.cause {
            Cause::Failed(failure) => {
                self.begun < CONTINUATIONS_MAX && policy.act(failure).then != Then::Fail
            }
            _ => false,
        }
    }

    /// The rest of an answer that has said `said`, of any target; last of all of `broken`.
    async fn rest(
        &mut self,
        call: &mut Call,
        said: &str,
        broken: Option<TargetId>,
    ) -> Result<Box<Answer>, Error> {
        self.begun += 1;
        let client = self.client.having_said(said)?;
        let request = client.request()?;
        let world = &self.world;
        let Planned::Attempts(mut plan) = planned(world, call, &client, &request).await? else {
            return Err(Error::hook("a hook answered where only a target can go on"));
        };
        if let Some(id) = broken {
            plan.put_last(id);
        }
        if let Some(asked) = request.max_tokens {
            plan.limit(asked.saturating_sub(tokens_of(said.len() as u64)).max(1));
        }
        match attempts_in_time(world, call, &client, &request, plan).await? {
            Served::Stream(answer) => Ok(answer),
            Served::Whole(_) => Err(Error::hook("a hook answered where only a target can go on")),
        }
    }
}

impl Client {
    /// The same, when the model has said `said`.
    fn having_said(&self, said: &str) -> Result<Self, Error> {
        let has_said = !said.trim().is_empty();
        let with_said = |body: &Bytes| match has_said {
            true => with_message(body.clone(), "assistant", said),
            false => Ok(body.clone()),
        };
        Ok(Self {
            dialect: self.dialect,
            format: self.format,
            asker: self.asker,
            headers: self.headers.clone(),
            original: with_said(&self.original)?,
            edited: self.edited.as_ref().map(with_said).transpose()?,
            session: self.session,
            part: Part::Rest,
            has_said,
        })
    }
}

/// `body`, in either dialect, with one more message.
pub(super) fn with_message(body: Bytes, role: &str, text: &str) -> Result<Bytes, Error> {
    let mut document = Document::new(body);
    let message = json!({ "role": role, "content": text }).to_string();
    if let Err(why) = document.set("/messages/-", &message) {
        return Err(Error::client(
            400,
            format!("no message can be added: {why}"),
        ));
    }
    document.commit();
    Ok(document.into_bytes())
}

// === the client's stream ===

/// An answer that is given out as it comes.
struct Streamed {
    answer: Box<Answer>,
    call: Call,
}

/// Who tells.
enum Teller {
    /// The upstream that answers.
    Upstream(Box<Streamed>),
    /// Nobody: another one is looked for.
    Nobody(Pin<Box<dyn Future<Output = Box<Streamed>> + Send>>),
}

/// The bytes of `answer`, for a client that wants a stream.
pub(crate) fn streamed(answer: Box<Answer>, mut call: Call) -> BoxStream<'static, Bytes> {
    let (format, pause) = (answer.format(), answer.ping_pause());
    call.is_streamed = true;
    let teller = Teller::Upstream(Box::new(Streamed { answer, call }));
    stream::unfold(teller, move |teller| teller.next(format, pause)).boxed()
}

impl Teller {
    /// The next bytes, and who tells from now on; none at the end.
    async fn next(mut self, format: ClientFormat, pause: Duration) -> Option<(Bytes, Self)> {
        loop {
            self = match self {
                Self::Upstream(mut streamed) => {
                    match streamed.answer.next(&mut streamed.call).await {
                        Next::End => return None,
                        Next::Bytes(bytes) => return Some((bytes, Self::Upstream(streamed))),
                        Next::Broken(error) => Self::Nobody(Box::pin(streamed.go_on(error))),
                    }
                }
                Self::Nobody(mut looking) => {
                    match tokio::time::timeout(pause, &mut looking).await {
                        Ok(streamed) => Self::Upstream(streamed),
                        Err(_) => {
                            let mut sign = Vec::new();
                            format.ping(&mut sign);
                            return Some((sign.into(), Self::Nobody(looking)));
                        }
                    }
                }
            }
        }
    }
}

impl Streamed {
    /// Have another upstream go on after `error`, or end with that.
    async fn go_on(mut self: Box<Self>, error: Error) -> Box<Self> {
        let Self { answer, call } = &mut *self;
        let continuation = answer.continuation.take();
        let Some(mut continuation) = continuation.filter(|it| it.may_help(&error)) else {
            answer.end_broken(&mut call.session).await;
            return self;
        };
        call.broke_off();
        if let Some(trace) = &mut call.trace {
            trace.missed(error.cause);
        }
        let broken = call.leave_target().map(|load| load.target());
        let name = call.target.as_deref().unwrap_or_default();
        call.tried
            .push(format!("{name} broke off ({})", error.cause));
        let broken_label = call.target_label.clone();
        let rest = continuation.rest(call, answer.text(), broken).await;
        let (tally, label) = (&continuation.world.tally, broken_label.as_deref());
        tally.continuation(label.unwrap_or_default(), rest.is_ok());
        match rest {
            Ok(rest) => {
                if let Err(error) = answer.go_on(*rest, &mut call.session).await {
                    answer.fault(error);
                }
            }
            Err(why) => {
                // The client is told what broke; this is for the log.
                call.tried.push(format!("nobody goes on ({})", why.cause));
                answer.end_broken(&mut call.session).await;
            }
        }
        answer.continuation = Some(continuation);
        self
    }
}
