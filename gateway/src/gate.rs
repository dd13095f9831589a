//! How much may be inside at once, and who may wait for it. Whoever comes in has a
//! pass, and gives its room back by dropping it.
//!
//! Too much is refused at once, or after a bounded wait in a bounded queue, so that
//! load ends in answers that say when to come again, and never in lost memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{Config, Limits};

/// Bytes are counted in these: permits are, too.
const BYTES_PER_UNIT: usize = 1 << 10;

/// Most units of a gate: what is larger is no limit.
const UNITS_MAX: usize = u32::MAX as usize >> 1;

/// The gates of one snapshot.
#[derive(Debug)]
pub struct Gates {
    /// Calls, from their body's last byte to their answer's.
    pub calls: Arc<Gate>,
    /// Bodies of requests, until the answer begins; in units of 1 KiB.
    pub bytes: Arc<Gate>,
    /// Calls at each upstream that has a limit, by its name.
    upstreams: HashMap<String, Arc<Gate>>,
    /// Calls of each client whose key has a limit, by its name.
    clients: HashMap<String, Arc<Gate>>,
}

impl Gates {
    /// Those that `config` asks for; of `previous` what is the same, with whoever is
    /// inside.
    pub fn new(config: &Config, previous: Option<&Self>) -> Self {
        let limits = &config.limits;
        let gate = |units: usize, known: Option<&Arc<Gate>>| {
            let terms = Terms::new(units, limits);
            let same = known.filter(|known| known.terms == terms);
            same.cloned().unwrap_or_else(|| Arc::new(Gate::new(terms)))
        };
        let bytes = limits.bytes_in_flight_max.div_ceil(BYTES_PER_UNIT);
        let upstreams = config.upstreams.iter().filter_map(|upstream| {
            let known = previous.and_then(|gates| gates.upstreams.get(&upstream.name));
            Some((upstream.name.clone(), gate(upstream.calls_max?, known)))
        });
        let clients = config.keys.list().iter().filter_map(|client| {
            let known = previous.and_then(|gates| gates.clients.get(&client.name));
            Some((client.name.clone(), gate(client.calls_max?, known)))
        });
        Self {
            clients: clients.collect(),
            calls: gate(limits.calls_max, previous.map(|gates| &gates.calls)),
            bytes: gate(bytes, previous.map(|gates| &gates.bytes)),
            upstreams: upstreams.collect(),
        }
    }

    /// The gate before the upstream of this name, if it has one.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Gate>> {
        self.upstreams.get(name)
    }

    /// The gate of the client of this name, if it has one.
    pub fn client(&self, name: &str) -> Option<&Arc<Gate>> {
        self.clients.get(name)
    }
}

/// What a gate lets in, and who may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms {
    units: usize,
    queue_max: usize,
    wait: Duration,
}

impl Terms {
    fn new(units: usize, limits: &Limits) -> Self {
        Self {
            units: units.min(UNITS_MAX),
            queue_max: limits.queue_max,
            wait: Duration::from_millis(limits.queue_wait_ms),
        }
    }
}

/// One of them.
#[derive(Debug)]
pub struct Gate {
    terms: Terms,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Room inside.
#[derive(Debug)]
pub struct Pass(OwnedSemaphorePermit);

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// When it makes sense to come again.
    pub retry_after: Duration,
}

impl Gate {
    fn new(terms: Terms) -> Self {
        Self {
            free: Arc::new(Semaphore::new(terms.units)),
            waiting: AtomicUsize::new(0),
            terms,
        }
    }

    /// Room for one, if there is some now.
    pub fn try_enter(&self) -> Option<Pass> {
        self.free.clone().try_acquire_owned().ok().map(Pass)
    }

    /// Room for one, perhaps after a wait.
    ///
    /// # Errors
    /// Too many wait already, or it took too long.
    pub async fn enter(&self) -> Result<Pass, Full> {
        self.enter_with(1).await
    }

    /// Room for so many bytes. Whoever needs more than there is has all of it.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub async fn enter_with_bytes(&self, bytes: usize) -> Result<Pass, Full> {
        self.enter_with(bytes.div_ceil(BYTES_PER_UNIT)).await
    }

    async fn enter_with(&self, units: usize) -> Result<Pass, Full> {
        let units = units.min(self.terms.units) as u32;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(units) {
            return Ok(Pass(permit));
        }
        let full = Full {
            retry_after: self.terms.wait,
        };
        let place = Place::take(self).ok_or(full)?;
        let room = self.free.clone().acquire_many_owned(units);
        let entered = tokio::time::timeout(self.terms.wait, room).await;
        drop(place);
        match entered {
            Ok(Ok(permit)) => Ok(Pass(permit)),
            _ => Err(full),
        }
    }
}

impl Pass {
    /// Keep room for so many bytes, and give the rest back.
    pub fn shrink_to_bytes(&mut self, bytes: usize) {
        let units = bytes.div_ceil(BYTES_PER_UNIT);
        let surplus = self.0.num_permits().saturating_sub(units);
        drop(self.0.split(surplus));
    }
}

/// A place in the queue.
struct Place<'g>(&'g Gate);

impl<'g> Place<'g> {
    fn take(gate: &'g Gate) -> Option<Self> {
        let before = gate.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(gate);
        (before < gate.terms.queue_max).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn gate(units: usize, queue_max: usize, wait: Duration) -> Gate {
        Gate::new(Terms {
            units,
            queue_max,
            wait,
        })
    }

    #[tokio::test]
    async fn whoever_finds_no_room_waits_in_turn_or_is_sent_away() {
        let gate = gate(2, 1, LONG);
        let first = gate.enter().await.expect("room");
        let second = gate.enter().await.expect("room");
        assert!(gate.try_enter().is_none());
        let mut third = std::pin::pin!(gate.enter());
        assert!(third.as_mut().now_or_never().is_none(), "it waits");
        let full = Full { retry_after: LONG };
        assert_eq!(gate.enter().await.err(), Some(full));
        drop(first);
        // Nobody is faster than who waits.
        assert!(gate.try_enter().is_none());
        let third = third.await.expect("its turn");
        drop((second, third));
        assert!(gate.try_enter().is_some());
    }

    #[tokio::test]
    async fn a_wait_ends_and_frees_its_place() {
        let gate = gate(1, 1, Duration::from_millis(1));
        let inside = gate.enter().await.expect("room");
        assert!(gate.enter().await.is_err());
        assert!(gate.enter().await.is_err());
        let mut left = Box::pin(gate.enter());
        assert!(left.as_mut().now_or_never().is_none());
        // The client left.
        drop(left);
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
        drop(inside);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn bytes_are_given_back_in_part() {
        let gate = gate(10, 0, LONG);
        let mut all = gate.enter_with_bytes(99 << 20).await.expect("all of it");
        assert!(gate.enter_with_bytes(1).await.is_err());
        all.shrink_to_bytes(5_000);
        assert_eq!(gate.free.available_permits(), 5);
        all.shrink_to_bytes(9_000);
        assert_eq!(gate.free.available_permits(), 5, "never more again");
        assert!(gate.enter_with_bytes(5 << 10).await.is_ok());
        assert!(gate.enter_with_bytes(0).await.is_ok());
    }
}
