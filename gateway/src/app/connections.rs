//! Those who connect to one socket: HTTP/1.1 or HTTP/2, as they speak, and nobody who is
//! silent for ever. Knows no call.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::util::MapRequest;

/// How long a connection may be without a request, or take for the head of one: longer
/// than clients keep an idle one for their next request (90 s: Go's and reqwest's
/// default), so that none is closed in their hands.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// How often a client of HTTP/2 is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(60);

/// How long to wait where no connection can be taken.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one listens to who connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    silence_max: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            silence_max: SILENCE_MAX,
        }
    }
}

impl Terms {
    /// Answer with `router` who connects to `socket`, until `stopped`; then close what is
    /// idle, drop `open` with the socket, and wait until the last connection has ended.
    pub(super) async fn serve(
        self,
        socket: TcpListener,
        router: Router,
        mut stopped: oneshot::Receiver<()>,
        open: oneshot::Sender<()>,
    ) {
        let builder = self.builder();
        let connections = GracefulShutdown::new();
        loop {
            let tcp = tokio::select! {
                tcp = accept(&socket) => tcp,
                _ = &mut stopped => break,
            };
            // Without it each small event of a stream waits for the one before.
            drop(tcp.set_nodelay(true));
            let asked = Arc::new(AtomicBool::new(false));
            let service = TowerToHyperService::new(noting(router.clone(), asked.clone()));
            let connection = builder.serve_connection(TokioIo::new(tcp), service);
            let connection = connections.watch(connection.into_owned());
            tokio::spawn(async move {
                let mut connection = pin!(connection);
                // From the first request on, hyper's own limit holds.
                let first = tokio::time::timeout(self.silence_max, &mut connection).await;
                if first.is_err() && asked.load(Ordering::Relaxed) {
                    // What a client breaks off is told by the call, if there is one.
                    drop(connection.await);
                }
            });
        }
        drop((socket, open));
        connections.shutdown().await;
    }

    fn builder(self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        let mut http1 = builder.http1();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(self.silence_max);
        let mut http2 = builder.http2();
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY);
        builder
    }
}

/// The next client.
async fn accept(socket: &TcpListener) -> TcpStream {
    loop {
        match socket.accept().await {
            Ok((tcp, _)) => return tcp,
            // It has left again.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be taken; it is tried again in a second. If files are too many, raise their limit (`LimitNOFILE`, `ulimit -n`).");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// `router`, which notes in `asked` that there was a request.
fn noting<B>(
    router: Router,
    asked: Arc<AtomicBool>,
) -> MapRequest<Router, impl Fn(Request<B>) -> Request<B> + Clone> {
    MapRequest::new(router, move |request| {
        asked.store(true, Ordering::Relaxed);
        request
    })
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    const ASK: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    /// A server that does not listen for long to who says nothing.
    struct Server {
        addr: std::net::SocketAddr,
        /// Lets `/slow` answer.
        go_on: Arc<Notify>,
        _stop: oneshot::Sender<()>,
    }

    impl Server {
        async fn start() -> Self {
            let go_on = Arc::new(Notify::new());
            let told = go_on.clone();
            let slow = async move || {
                told.notified().await;
                "at last"
            };
            let router = Router::new()
                .route("/", get(|| async { "ok" }))
                .route("/slow", get(slow));
            let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let addr = socket.local_addr().expect("an address");
            let (stop, stopped) = oneshot::channel();
            let silence_max = Duration::from_millis(50);
            let terms = Terms { silence_max };
            tokio::spawn(terms.serve(socket, router, stopped, oneshot::channel().0));
            Self {
                addr,
                go_on,
                _stop: stop,
            }
        }

        async fn say(&self, words: &str) -> TcpStream {
            let mut tcp = TcpStream::connect(self.addr).await.expect("it listens");
            tcp.write_all(words.as_bytes()).await.expect("it reads");
            tcp
        }
    }

    /// What is answered until the connection is closed.
    async fn to_end(mut tcp: TcpStream) -> String {
        let mut said = String::new();
        tcp.read_to_string(&mut said).await.expect("a sound end");
        said
    }

    #[tokio::test]
    async fn who_is_silent_is_not_listened_to_for_ever() {
        let server = Server::start().await;
        for (words, answers) in [
            ("", 0),
            ("GET / HTTP/1.1\r\nho", 0),
            ("PRI * HT", 0),
            (ASK, 1),
            (&format!("{ASK}{ASK}GET"), 2),
        ] {
            let said = to_end(server.say(words).await).await;
            assert_eq!(said.matches("HTTP/1.1 200 OK").count(), answers, "{words}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_is_not_silent() {
        let server = Server::start().await;
        let waiting = server.say(&ASK.replace("/ ", "/slow ")).await;
        // By then it has been silent for longer.
        assert_eq!(to_end(server.say("").await).await, "");
        assert_eq!(to_end(server.say("").await).await, "");
        server.go_on.notify_one();
        let said = to_end(waiting).await;
        assert!(said.ends_with("at last"), "{said}");
    }
}
