//! More requests at once than a connection of HTTP/2 takes.
//!
//! A client of HTTP opens one connection to a server that speaks HTTP/2, and lets requests
//! wait that the server takes no more of. A lane is such a client; the next one is opened
//! where all before it are full. Counts the requests to all servers together, so that no
//! connection has more than its lane.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tower::util::MapRequestLayer;

/// Requests that run in one lane: a server may take no more on a connection of HTTP/2,
/// and what is beyond would wait there, for minutes, until a stream of another call ends.
/// Fewer than this no server should take.
/// <https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2> (seen 2026-11)
const REQUESTS_PER_LANE: usize = 100;

/// Lanes at most: several times the calls that a gateway takes by default.
const LANES_MAX: usize = 32;

/// Clients with a pool of connections each, the next one opened where those before are full.
pub(super) struct Lanes {
    build: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    lanes: [Lane; LANES_MAX],
    /// Connections that were ever begun, in any lane.
    connections: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Lane {
    client: OnceLock<reqwest::Client>,
    running: Arc<AtomicUsize>,
}

/// A request's place in a lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    running: Arc<AtomicUsize>,
    /// Requests that were there when it came.
    before: usize,
    connections: Arc<AtomicUsize>,
    /// Connections that had been begun when it came.
    connections_before: usize,
}

impl Lanes {
    /// Open the first.
    pub(super) fn new(
        build: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    ) -> reqwest::Result<Self> {
        let connections = Arc::<AtomicUsize>::default();
        let counted = connections.clone();
        let build = move || {
            let counted = counted.clone();
            build().connector_layer(MapRequestLayer::new(move |to| {
                counted.fetch_add(1, Ordering::Relaxed);
                to
            }))
        };
        let first = Lane {
            client: build().build()?.into(),
            ..Lane::default()
        };
        let mut lanes = <[Lane; LANES_MAX]>::default();
        lanes[0] = first;
        Ok(Self {
            build: Box::new(build),
            lanes,
            connections,
        })
    }

    /// A place in the first lane that has one; if none has, in the last.
    pub(super) fn enter(&self) -> (&reqwest::Client, Place) {
        let enter = |at: usize| self.lanes[at].enter(&self.connections);
        let (mut at, mut place) = (0, enter(0));
        while place.is_beyond() && at + 1 < LANES_MAX {
            at += 1;
            place = enter(at);
        }
        (self.client(at), place)
    }

    /// The client of a lane. Reads the certificates when the lane is first needed; if
    /// they cannot be read any more, it is the first lane's.
    fn client(&self, at: usize) -> &reqwest::Client {
        let first = || {
            let first = self.lanes[0].client.get();
            first.expect("`new` opened it").clone()
        };
        let open = || (self.build)().build().unwrap_or_else(|_| first());
        self.lanes[at].client.get_or_init(open)
    }
}

impl Lane {
    fn enter(&self, connections: &Arc<AtomicUsize>) -> Place {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        Place {
            running: self.running.clone(),
            before,
            connections: connections.clone(),
            connections_before: connections.load(Ordering::Relaxed),
        }
    }
}

impl Place {
    fn is_beyond(&self) -> bool {
        self.before >= REQUESTS_PER_LANE
    }

    /// Whether the request surely goes by a connection that was there when it came.
    pub(super) fn is_kept(&self) -> bool {
        self.connections.load(Ordering::Relaxed) == self.connections_before
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Lanes");
        shown.field("lanes", &self.lanes).finish_non_exhaustive()
    }
}
