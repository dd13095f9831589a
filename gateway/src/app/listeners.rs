//! The sockets that clients connect to, and how they change while calls run.
//!
//! 1. The new address is bound; if that fails, nothing has changed.
//! 2. It answers, and the old one takes no more connections.
//! 3. The old one's calls end in their time; idle connections are closed.
//!
//! Where old and new are one port (`127.0.0.1:4000`, `0.0.0.0:4000`), both cannot be
//! bound at once, so the old one is closed first, and bound again if the new one cannot
//! be. Decides nothing: the configuration says where to listen.

use std::net::SocketAddr;
use std::{fmt, io};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::connections::Terms;

/// The socket that takes connections, and those that did before.
pub(super) struct Listeners {
    /// What answers those who connect to an address.
    router: Box<dyn Fn(SocketAddr) -> Router + Send>,
    /// None only if an address was given up and could not be bound again.
    present: Option<Present>,
    /// One task for each socket whose connections have not all ended.
    servers: JoinSet<()>,
    addr: watch::Sender<SocketAddr>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = *self.addr.borrow();
        let mut shown = f.debug_struct("Listeners");
        shown.field("addr", &addr).finish_non_exhaustive()
    }
}

/// A socket that is bound, and not yet answered on.
pub(super) struct Bound {
    tcp: TcpListener,
    /// As configured; its port may be 0.
    wanted: SocketAddr,
    /// Where it is.
    pub(super) addr: SocketAddr,
}

/// The socket that takes connections.
struct Present {
    wanted: SocketAddr,
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    closed: oneshot::Receiver<()>,
}

impl Bound {
    /// Bind `wanted`.
    pub(super) async fn to(wanted: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(wanted).await?;
        let addr = tcp.local_addr()?;
        Ok(Self { tcp, wanted, addr })
    }
}

impl Listeners {
    /// Answer on `first` with what `router` makes for its address.
    pub(super) async fn new(
        router: impl Fn(SocketAddr) -> Router + Send + 'static,
        first: Bound,
    ) -> Self {
        let mut listeners = Self {
            router: Box::new(router),
            present: None,
            servers: JoinSet::new(),
            addr: watch::Sender::new(first.addr),
        };
        listeners.serve(first).await;
        listeners
    }

    /// Where clients connect, as it changes.
    pub(super) fn addr(&self) -> watch::Receiver<SocketAddr> {
        self.addr.subscribe()
    }

    /// A socket for `wanted`; none if that is where it listens.
    ///
    /// # Errors
    /// Why it cannot be bound. What was listened on still is.
    pub(super) async fn bind(&mut self, wanted: SocketAddr) -> io::Result<Option<Bound>> {
        if let Some(present) = &self.present {
            if present.wanted == wanted || present.addr == wanted {
                return Ok(None);
            }
            match Bound::to(wanted).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if !present.overlaps(wanted) {
                        return Err(error);
                    }
                }
                bound => return bound.map(Some),
            }
        }
        self.hand_over(wanted).await.map(Some)
    }

    /// Close the present socket, bind `wanted`, and on failure the present one again.
    async fn hand_over(&mut self, wanted: SocketAddr) -> io::Result<Bound> {
        let old = self.close().await;
        let bound = Bound::to(wanted).await;
        if let (Err(_), Some((old_wanted, old_addr))) = (&bound, old) {
            match Bound::to(old_addr).await {
                Ok(again) => {
                    let wanted = old_wanted;
                    self.serve(Bound { wanted, ..again }).await;
                }
                Err(error) => {
                    tracing::error!(%error, addr = %old_addr, "Nobody can connect: the old address was given up for the new one, and cannot be bound again. Free one of both, and reload (SIGHUP).");
                }
            }
        }
        bound
    }

    /// From now on clients connect to `bound`; the socket before it takes no more
    /// connections, and what runs on those that it has may end.
    pub(super) async fn serve(&mut self, bound: Bound) {
        let Bound { tcp, wanted, addr } = bound;
        let (stop, stopped) = oneshot::channel();
        let (open, closed) = oneshot::channel();
        let serving = Terms::default().serve(tcp, (self.router)(addr), stopped, open);
        // Those of earlier sockets that have ended.
        while self.servers.try_join_next().is_some() {}
        self.servers.spawn(serving);
        let present = Present {
            wanted,
            addr,
            stop,
            closed,
        };
        tracing::info!(%addr, "Listening.");
        if let Some(old) = self.present.replace(present) {
            let addr = old.addr;
            old.close().await;
            tracing::info!(%addr, "No longer listening; calls that run there may end.");
        }
        self.addr.send_replace(addr);
    }

    /// Take no more connections, and close those that are idle: what was listened on,
    /// as configured and as bound.
    pub(super) async fn close(&mut self) -> Option<(SocketAddr, SocketAddr)> {
        let old = self.present.take()?;
        let addrs = (old.wanted, old.addr);
        old.close().await;
        Some(addrs)
    }

    /// Until the last connection of every socket is gone. Cancelling the wait loses nothing.
    pub(super) async fn ended(&mut self) {
        while self.servers.join_next().await.is_some() {}
    }
}

impl Present {
    /// Whether `wanted` may be taken because it holds this one.
    fn overlaps(&self, wanted: SocketAddr) -> bool {
        let covers_all = self.addr.ip().is_unspecified() || wanted.ip().is_unspecified();
        self.addr.port() == wanted.port() && covers_all
    }

    /// Until it takes no more connections.
    async fn close(self) {
        let _ = self.stop.send(());
        // Never sent: it is dropped with the socket.
        let _ = self.closed.await;
    }
}
