//! What keys use up: reserved before a call, settled when it has ended.
//!
//! ```text
//! reserve: each limit's counter + what the call may take; refused if one is beyond it
//! settle:  each counter + (what it took - what was reserved)
//! ```
//! A counter is one number in a store, changed only by adding to it, so that any number
//! of gateways can share it. Of calls that come at once, too many may be refused near a
//! limit, and none too many is let in. A minute, a day, a month are those of the clock
//! (UTC), each with a counter of its own. Knows no call and no HTTP.

mod periods;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde::Serialize;
use tokio_util::task::TaskTracker;

use crate::calendar::told;
use crate::config::{Amount, Client, NANO_USD, OnStoreFailure, Period};
use crate::error::Error;
use crate::kv::{KvError, Store};
use crate::metrics::Metrics;
use crate::tally::CLIENT_REFUSALS;

use periods::ends_in;

/// Before every counter's key. A server may be shared with hooks, whose keys begin with
/// their names, and with a slash none does.
const NAMESPACE: &str = "/clients";

/// How long a counter is kept after its time, in ms: calls that began in it may end
/// later. The longest lasts an hour unless the operator says otherwise.
const KEPT_MS: u64 = 2 * 3_600_000;

/// The books of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Option<Arc<Books>>);

#[derive(Debug)]
struct Books {
    store: Arc<dyn Store>,
    on_failure: OnStoreFailure,
    metrics: Metrics,
    afterwards: TaskTracker,
}

/// What a call may take, or took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Of prompt and answer.
    pub tokens: u64,
    /// Billionths of a US dollar.
    pub nano_usd: u64,
}

impl Accounts {
    /// Books in `store`; what is settled after a call is among `afterwards`.
    pub fn new(
        store: Arc<dyn Store>,
        on_failure: OnStoreFailure,
        metrics: Metrics,
        afterwards: TaskTracker,
    ) -> Self {
        Self(Some(Arc::new(Books {
            store,
            on_failure,
            metrics,
            afterwards,
        })))
    }

    /// Take what a call of `client` may need; none if nothing of it is limited.
    ///
    /// # Errors
    /// It is beyond a limit, or nobody can tell and the operator wants it refused.
    pub async fn reserve(
        &self,
        client: &Arc<Client>,
        need: Use,
    ) -> Result<Option<Reservation>, Error> {
        let Some(books) = self.0.clone().filter(|_| client.has_limits()) else {
            return Ok(None);
        };
        let client = client.clone();
        // Aside: where the client leaves meanwhile, what was taken is given back.
        let reserving =
            tokio::spawn(async move { books.reserve(&client, need, SystemTime::now()).await });
        match reserving.await {
            Ok(reserved) => reserved.map(Some),
            Err(_) => Err(Error::uncounted()),
        }
    }
}

/// One limit of a key, and what is taken of it, running calls included.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// The setting.
    pub limit: &'static str,
    /// `requests`, `tokens` or `usd`.
    pub unit: &'static str,
    /// So much is allowed.
    pub max: f64,
    /// So much is taken; none if the store does not say.
    pub taken: Option<f64>,
    /// When it begins anew, in seconds; none if never.
    pub renewed_in_s: Option<u64>,
}

impl Accounts {
    /// What is taken of the limits of `client`.
    pub async fn report(&self, client: &Client, now: SystemTime) -> Vec<Taken> {
        let Some(books) = &self.0 else {
            return Vec::new();
        };
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let charges = charges(client, Use::default(), since);
        let reports = charges.iter().map(|charge| books.taken(charge));
        join_all(reports).await
    }
}

impl Books {
    async fn taken(&self, charge: &Charge) -> Taken {
        let count = |value: Option<Vec<u8>>| match value {
            None => Some(0),
            Some(value) => String::from_utf8(value).ok()?.parse::<i64>().ok(),
        };
        let value = self.store.get(&charge.key).await.ok();
        let (unit, one) = match charge.unit {
            Unit::NanoUsd => ("usd", NANO_USD),
            unit => (unit.name(), 1.0),
        };
        Taken {
            limit: charge.name(),
            unit,
            max: charge.limit as f64 / one,
            taken: value.and_then(count).map(|count| count as f64 / one),
            renewed_in_s: charge.renewed_in.map(|time| time.as_secs()),
        }
    }

    async fn reserve(
        self: Arc<Self>,
        client: &Client,
        need: Use,
        now: SystemTime,
    ) -> Result<Reservation, Error> {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let charges = charges(client, need, since);
        let adding = charges.iter().map(|charge| self.add(charge, charge.held));
        let sums = join_all(adding).await;
        let mut reserved = Reservation {
            books: self.clone(),
            charges: Vec::new(),
            used: None,
        };
        let mut lost = None;
        let mut refusal: Option<Error> = None;
        for (charge, sum) in charges.into_iter().zip(sums) {
            match sum {
                Ok(sum) if sum > charge.limit => {
                    let labels = [("client", &*client.name), ("limit", charge.name())];
                    self.metrics.add(CLIENT_REFUSALS, 1, &labels);
                    // A longer wait covers a shorter one.
                    refusal = Some(charge.refusal(&client.name, sum));
                    reserved.charges.push(charge);
                }
                Ok(_) => reserved.charges.push(charge),
                Err(error) => lost = Some(error),
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        match lost {
            Some(error) => self.lost(&client.name, &error).map(|()| reserved),
            None => Ok(reserved),
        }
    }

    async fn add(&self, charge: &Charge, by: i64) -> Result<i64, KvError> {
        self.store.increment(&charge.key, by, charge.ttl_ms).await
    }

    /// The store failed: whether the call goes on.
    fn lost(&self, client: &str, error: &KvError) -> Result<(), Error> {
        self.metrics.add("sluice_state_failures_total", 1, &[]);
        match self.on_failure {
            OnStoreFailure::Allow => {
                tracing::warn!(client, %error, "The store of `state` failed; the call goes on, and is not counted.");
                Ok(())
            }
            OnStoreFailure::Refuse => {
                tracing::error!(client, %error, "The store of `state` failed; the call is refused.");
                Err(Error::uncounted())
            }
        }
    }
}

// === Reservation ===

/// What was taken for a call. Dropped, it is given back; settled, it becomes what the
/// call took.
#[derive(Debug)]
pub struct Reservation {
    books: Arc<Books>,
    charges: Vec<Charge>,
    used: Option<Use>,
}

impl Reservation {
    /// The call has ended, and took `used`.
    pub fn settle(mut self, used: Use) {
        self.used = Some(used);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let used = self.used;
        let charges = std::mem::take(&mut self.charges).into_iter();
        let owed = charges.map(|charge| (charge.owed(used), charge));
        let owed: Vec<_> = owed.filter(|(owed, _)| *owed != 0).collect();
        // Without a runtime the process ends; what was taken stays taken.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if owed.is_empty() {
            return;
        }
        let books = self.books.clone();
        let afterwards = books.afterwards.clone();
        let settling = async move {
            let adding = owed.iter().map(|(owed, charge)| books.add(charge, *owed));
            for error in join_all(adding).await.into_iter().filter_map(Result::err) {
                books.metrics.add("sluice_state_failures_total", 1, &[]);
                tracing::warn!(%error, "The store of `state` failed; a call stays counted as it was reserved.");
            }
        };
        afterwards.spawn_on(settling, &runtime);
    }
}

// === charges ===

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Requests,
    Tokens,
    NanoUsd,
}

/// One limit of a key, and what a call takes of it.
#[derive(Debug)]
struct Charge {
    /// The counter's, in the store.
    key: String,
    unit: Unit,
    /// None for a rate.
    per: Option<Period>,
    /// 0 <= `held`, what was reserved.
    held: i64,
    limit: i64,
    /// When it is looked at, since 1970.
    now: Duration,
    /// When the counter begins anew; none if never.
    renewed_in: Option<Duration>,
    ttl_ms: Option<u64>,
}

/// The limits of `client` at the time `since` 1970.
fn charges(client: &Client, need: Use, since: Duration) -> Vec<Charge> {
    let minute = since.as_secs() / 60;
    let rate = |unit: Unit, limit: Option<u64>, held: u64| {
        let (unit_name, name) = (unit.name(), &client.name);
        let renewed_in = Duration::from_secs(60 * (minute + 1)) - since;
        Some(Charge {
            key: format!("{NAMESPACE}/{name}/{unit_name}/minute/{minute}"),
            unit,
            per: None,
            held: whole(held),
            limit: whole(limit?),
            now: since,
            renewed_in: Some(renewed_in),
            ttl_ms: ttl(Some(renewed_in)),
        })
    };
    let budget = client.budget.map(|budget| {
        let (unit, limit, held) = match budget.amount {
            Amount::Tokens(limit) => (Unit::Tokens, limit, need.tokens),
            Amount::NanoUsd(limit) => (Unit::NanoUsd, limit, need.nano_usd),
        };
        let (which, renewed_in) = ends_in(budget.per, since);
        Charge {
            key: format!("{NAMESPACE}/{}/{}/{which}", client.name, unit.name()),
            unit,
            per: Some(budget.per),
            held: whole(held),
            limit: whole(limit),
            now: since,
            renewed_in,
            ttl_ms: ttl(renewed_in),
        }
    });
    [
        rate(Unit::Requests, client.requests_per_minute, 1),
        rate(Unit::Tokens, client.tokens_per_minute, need.tokens),
        budget,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn ttl(renewed_in: Option<Duration>) -> Option<u64> {
    let ms = renewed_in?.as_millis();
    Some(
        u64::try_from(ms)
            .unwrap_or(u64::MAX)
            .saturating_add(KEPT_MS),
    )
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::NanoUsd => "nano-usd",
        }
    }

    fn told(self, count: i64) -> String {
        match self {
            Self::NanoUsd => format!("{:.4} USD", count as f64 / NANO_USD),
            unit => format!("{count} {}", unit.name()),
        }
    }
}

impl Charge {
    /// What the counter lacks, now that the call took `used`; none gives all of it back.
    fn owed(&self, used: Option<Use>) -> i64 {
        let took = match (used, self.unit) {
            (None, _) => 0,
            (Some(_), Unit::Requests) => self.held,
            (Some(used), Unit::Tokens) => whole(used.tokens),
            (Some(used), Unit::NanoUsd) => whole(used.nano_usd),
        };
        took.saturating_sub(self.held)
    }

    /// The setting that it is of.
    fn name(&self) -> &'static str {
        match (self.per, self.unit) {
            (Some(_), _) => "budget",
            (None, Unit::Requests) => "requests_per_minute",
            (None, _) => "tokens_per_minute",
        }
    }

    /// It is beyond the limit, at `sum` with what the call would take.
    fn refusal(&self, client: &str, sum: i64) -> Error {
        let unit = self.unit;
        let per = self
            .per
            .map_or_else(|| "a minute".into(), |per| per.to_string());
        // What is larger than the whole limit fits at no time.
        let wait = self.renewed_in.filter(|_| self.held <= self.limit);
        let anew = wait.map(|wait| match self.per {
            None => format!("; it begins anew in {} s", wait.as_secs_f64().ceil()),
            Some(_) => format!("; it begins anew on {}", told(self.now + wait)),
        });
        let message = format!(
            "the limit of key `{client}` is {} {per} (`{}`): {} are taken, and this call may take {}{}",
            unit.told(self.limit),
            self.name(),
            unit.told(sum.saturating_sub(self.held)),
            unit.told(self.held),
            anew.unwrap_or_default(),
        );
        Error::limited(message, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Budget, Unpriced};
    use crate::kv::Memory;

    fn client(budget: Option<Budget>, requests: Option<u64>, tokens: Option<u64>) -> Client {
        Client::with_limits("ann", requests, tokens, budget)
    }

    fn books(store: Arc<dyn Store>) -> Arc<Books> {
        Arc::new(Books {
            store,
            on_failure: OnStoreFailure::Allow,
            metrics: Metrics::default(),
            afterwards: TaskTracker::new(),
        })
    }

    fn tokens(tokens: u64) -> Use {
        Use {
            tokens,
            nano_usd: 0,
        }
    }

    async fn value(store: &Memory, key: &str) -> i64 {
        let value = store.get(key).await.expect("memory answers");
        value.map_or(0, |value| {
            String::from_utf8(value)
                .expect("a number")
                .parse()
                .expect("a number")
        })
    }

    #[tokio::test]
    async fn what_is_reserved_is_settled_or_given_back() {
        let store = Arc::new(Memory::new(1 << 20));
        let books = books(store.clone());
        let afterwards = books.afterwards.clone();
        afterwards.close();
        let budget = Budget {
            amount: Amount::Tokens(100),
            per: Period::Day,
            unpriced: Unpriced::default(),
        };
        let client = client(Some(budget), Some(2), None);
        let now = UNIX_EPOCH + Duration::from_secs(86_400 * 3 + 50);
        let reserve = |need: u64| books.clone().reserve(&client, tokens(need), now);
        let (day, minute) = (
            "/clients/ann/tokens/day/3",
            "/clients/ann/requests/minute/4320",
        );

        let first = reserve(60).await.expect("within the budget");
        assert_eq!(
            (value(&store, day).await, value(&store, minute).await),
            (60, 1)
        );
        let error = reserve(41).await.expect_err("beyond it");
        assert!(
            error.message.contains("60 tokens are taken"),
            "{}",
            error.message
        );
        afterwards.wait().await;
        assert_eq!(
            (value(&store, day).await, value(&store, minute).await),
            (60, 1)
        );
        first.settle(tokens(10));
        afterwards.wait().await;
        assert_eq!(
            (value(&store, day).await, value(&store, minute).await),
            (10, 1)
        );
        drop(reserve(90).await.expect("it fits now"));
        afterwards.wait().await;
        assert_eq!(
            (value(&store, day).await, value(&store, minute).await),
            (10, 1)
        );
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let day = |limit| Budget {
            amount: Amount::Tokens(limit),
            per: Period::Day,
            unpriced: Unpriced::default(),
        };
        let since = Duration::from_secs(86_400 + 59);
        let seconds = |client: &Client, need: u64| {
            let charges = charges(client, tokens(need), since);
            let error = charges[0].refusal("ann", 1_000);
            let asked = error.retry_after(UNIX_EPOCH).map(|wait| wait.as_secs());
            let anew = error.message.split_once("; it begins anew ");
            let anew = anew.map(|(_, anew)| anew.to_owned());
            (error.status, asked, error.hopeless, anew)
        };
        let anew = |text: &str| Some(text.to_owned());
        let cases = [
            (
                client(None, Some(5), None),
                1,
                (429, Some(1), false, anew("in 1 s")),
            ),
            (
                client(None, None, Some(50)),
                9,
                (429, Some(1), false, anew("in 1 s")),
            ),
            // What is larger than the whole limit never fits.
            (client(None, None, Some(50)), 51, (429, None, true, None)),
            // Nobody should wait for so long.
            (
                client(Some(day(50)), None, None),
                9,
                (429, Some(86_341), true, anew("on 1970-01-03 00:00 UTC")),
            ),
        ];
        for (client, need, expected) in cases {
            assert_eq!(seconds(&client, need), expected, "{client:?}");
        }
    }
}
