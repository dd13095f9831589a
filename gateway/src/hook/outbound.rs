//! Requests of hooks' own: `wasi:http`, where the operator granted the host.
//!
//! ```text
//!  guest ─▶ admit: host, port, how many ─▶ resolve ─▶ only open addresses ─▶ connect
//!        ◀─ status, headers, whole body, or an error code ◀──────────────────┘
//! ```
//! The addresses that were looked at are those connected to, so a name that leads
//! elsewhere a moment later changes nothing. A redirect is an answer like any
//! other: to follow it is another request. Proxies of the environment are not
//! used, since nobody could look at the address then. An answer is read to its end
//! before the guest sees it; what comes slowly is cut by the time limit.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::addresses::is_public;
use super::clock::Clock;
use super::state::State;
use super::terms::Terms;
use crate::config::HostGrant;

/// Where one hook may send requests, and its connections. All its instances share
/// them.
pub(super) struct Outbound {
    hosts: Arc<[HostGrant]>,
    /// None where no host is granted.
    client: Option<Client>,
    /// Where connections live: hooks start on a runtime that ends before calls come.
    runtime: Option<Handle>,
}

impl Outbound {
    /// Requests to these hosts, on this runtime. Reads the system's certificates:
    /// not for a thread of the runtime.
    pub(super) fn new(hosts: &[HostGrant], runtime: Option<Handle>) -> Self {
        let hosts: Arc<[HostGrant]> = hosts.into();
        let client = (!hosts.is_empty()).then(|| client(&hosts)).flatten();
        Self {
            hosts,
            client,
            runtime,
        }
    }

    /// Whether `url` may be asked, but for what its name leads to.
    fn permits(&self, url: &Url) -> Result<(), Error> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Error::HttpRequestUriInvalid);
        };
        if !self.hosts.iter().any(|granted| granted.admits(host, port)) {
            return Err(Error::HttpRequestDenied);
        }
        // A host that is an address and granted is listed in so many words.
        Ok(())
    }
}

/// Connections to `hosts` alone; none, and a word in the log, if they cannot be had.
fn client(hosts: &Arc<[HostGrant]>) -> Option<Client> {
    // An error only says that another part of the process chose it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(Resolver(hosts.clone())))
        .build();
    client
        .map_err(|error| {
            let why = causes(&error).last().map(ToString::to_string);
            tracing::error!(why, "Hooks cannot send requests.");
        })
        .ok()
}

/// Whether a request to the host `name` may go to `address`: anybody's, or one that
/// is granted as an address. With a port, it is for a name with that port.
fn may_reach(hosts: &[HostGrant], name: &str, address: IpAddr) -> bool {
    let serves = |listed: &HostGrant| {
        let Some(port) = listed.port() else {
            return true;
        };
        let mut others = hosts.iter().filter(|grant| grant.names(name));
        others.all(|grant| grant.port() == Some(port))
    };
    is_public(address) || hosts.iter().any(|it| it.lists(address) && serves(it))
}

/// Names to addresses, those left out that are closed.
struct Resolver(Arc<[HostGrant]>);

/// All that a name leads to is closed.
#[derive(Debug, thiserror::Error)]
#[error("its address is not public, and not granted")]
struct Closed;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let open = found.filter(|it| may_reach(&hosts, name.as_str(), it.ip()));
            let open: Vec<SocketAddr> = open.collect();
            if open.is_empty() {
                return Err(Closed.into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

// === Requests ===

/// The requests of one instance.
pub(super) struct Requests {
    terms: Arc<Terms>,
    clock: Clock,
    /// In the stage at hand.
    sent: u32,
}

impl Requests {
    pub(super) fn new(terms: &Arc<Terms>, clock: &Clock) -> Self {
        Self {
            terms: terms.clone(),
            clock: clock.clone(),
            sent: 0,
        }
    }

    /// A stage begins.
    pub(super) fn begin(&mut self) {
        self.sent = 0;
    }

    /// Look at a request before anything of it is sent.
    fn admit(&mut self, request: &http::Request<WasiBody>) -> Result<(Url, Client, Handle), Error> {
        let uri = request.uri();
        if uri.authority().is_none_or(|it| it.as_str().contains('@')) {
            return Err(Error::HttpRequestUriInvalid);
        }
        if *request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        // As it will be read when it is sent, whatever the guest's spelling.
        let url = Url::parse(&uri.to_string()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let outbound = &self.terms.outbound;
        let permitted = outbound.permits(&url);
        if permitted.is_err() && self.terms.may_write_line() {
            tracing::warn!(
                hook = self.terms.entry.name,
                host = url.host_str(),
                port = url.port_or_known_default(),
                "A hook asked for a host that its `grants: http` does not name."
            );
        }
        permitted?;
        if self.sent >= self.terms.entry.limits.http_requests_max {
            return Err(Error::ConnectionLimitReached);
        }
        self.sent += 1;
        let client = outbound.client.clone().ok_or(Error::ConfigurationError)?;
        let runtime = outbound.runtime.clone();
        // `sluice check` has none: what it tries must not be felt elsewhere.
        let runtime = runtime.ok_or(Error::DestinationUnavailable)?;
        Ok((url, client, runtime))
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.requests,
        }
    }
}

type Answer = http::Response<WasiBody>;
type Ending = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Requests {
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _ended: Ending,
    ) -> Box<dyn Future<Output = Result<(Answer, Ending), Error>> + Send> {
        let limits = &self.terms.entry.limits;
        let limit = Duration::from_millis(limits.http_time_ms);
        let terms = self.terms.clone();
        let admitted = self.admit(&request);
        let sent = admitted.map(|(url, client, runtime)| {
            let fetching = fetch(client, url, request, options.unwrap_or_default(), terms);
            let fetching = async move {
                let fetched = tokio::time::timeout(limit, fetching).await;
                fetched.unwrap_or(Err(Error::HttpResponseTimeout))
            };
            // It may take a moment more to say that its time is over.
            let outside = self.clock.leave(limit + Duration::from_millis(100));
            (Task(runtime.spawn(fetching)), outside)
        });
        Box::new(async move {
            let (mut task, outside) = sent?;
            let answered = (&mut task.0).await;
            drop(outside);
            let answer = answered.map_err(|_| Error::InternalError(None))??;
            Ok((answer, Box::new(async { Ok(()) }) as Ending))
        })
    }
}

/// A task that ends when nobody waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Send the request, and read the answer to its end.
async fn fetch(
    client: Client,
    url: Url,
    request: http::Request<WasiBody>,
    options: RequestOptions,
    terms: Arc<Terms>,
) -> Result<Answer, Error> {
    let bytes_max = terms.entry.limits.http_bytes_max;
    let (head, body) = request.into_parts();
    let body = Limited::new(body, bytes_max).collect().await;
    let unsent =
        |error: Box<dyn std::error::Error + Send + Sync>| match error.is::<LengthLimitError>() {
            true => Error::HttpRequestBodySize(Some(bytes_max as u64)),
            // The guest gave it up.
            false => Error::HttpProtocolError,
        };
    let body = body.map_err(unsent)?.to_bytes();
    let mut outgoing = reqwest::Request::new(head.method, url.clone());
    *outgoing.headers_mut() = head.headers;
    if !body.is_empty() {
        *outgoing.body_mut() = Some(body.into());
    }
    let answer = client.execute(outgoing);
    let answered = match options.first_byte_timeout {
        Some(limit) => tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| Error::HttpResponseTimeout)?,
        None => answer.await,
    };
    let told = |error| failed(&terms, &url, &error);
    let mut answer = answered.map_err(told)?;
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(told)? {
        if whole.len() + piece.len() > bytes_max {
            return Err(Error::HttpResponseBodySize(Some(bytes_max as u64)));
        }
        whole.extend_from_slice(&piece);
    }
    let body = Full::new(Bytes::from(whole)).map_err(|never| match never {});
    let mut response = http::Response::new(body.boxed_unsync());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// Tell the operator why a request failed, in more words than the guest gets.
fn failed(terms: &Terms, url: &Url, error: &reqwest::Error) -> Error {
    if terms.may_write_line() {
        let why = causes(error).last().map(ToString::to_string);
        // Not the whole URL: it may hold a key.
        tracing::warn!(
            hook = terms.entry.name,
            host = url.host_str(),
            port = url.port_or_known_default(),
            why,
            "A hook's request failed."
        );
    }
    code(error)
}

/// What became of a request, in the words of `wasi:http`.
fn code(error: &reqwest::Error) -> Error {
    for cause in causes(error) {
        if cause.is::<Closed>() {
            return Error::DestinationIpProhibited;
        }
        if let Some(cause) = cause.downcast_ref() {
            return match cause {
                rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
                    alert_id: Some(u8::from(*alert)),
                    alert_message: None,
                },
                rustls::Error::InvalidCertificate(_) => Error::TlsCertificateError,
                _ => Error::TlsProtocolError,
            };
        }
        if let Some(cause) = cause.downcast_ref::<io::Error>()
            && cause.kind() == io::ErrorKind::ConnectionRefused
        {
            return Error::ConnectionRefused;
        }
    }
    match error {
        error if error.is_connect() => Error::DestinationUnavailable,
        error if error.is_body() || error.is_decode() => Error::HttpResponseIncomplete,
        _ => Error::HttpProtocolError,
    }
}

/// What lies behind an error, the last cause last.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(error.source(), |&cause| {
        let io = cause.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            // It shows what it wraps as its own words, and not as its source.
            Some(inner) => Some(inner),
            None => cause.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hosts: &[&str], name: &str, address: &str, expected: bool) {
        let hosts = hosts.iter().map(|host| HostGrant::parse(host).unwrap());
        let hosts: Vec<_> = hosts.collect();
        let reached = may_reach(&hosts, name, address.parse().unwrap());
        assert_eq!(reached, expected, "{hosts:?}: {name} at {address}");
    }

    #[test]
    fn names_lead_to_open_addresses() {
        check(&["a.com"], "a.com", "1.1.1.1", true);
        check(&["a.com"], "a.com", "10.0.0.5", false);
        check(&["a.com"], "a.com", "::ffff:127.0.0.1", false);
        check(&["a.com", "10.0.0.5"], "a.com", "10.0.0.5", true);
        check(&["a.com", "10.0.0.5"], "a.com", "10.0.0.6", false);
        // An address with a port is for names with that port.
        check(&["a.com:1", "10.0.0.5:1"], "a.com", "10.0.0.5", true);
        check(&["a.com", "10.0.0.5:1"], "a.com", "10.0.0.5", false);
        check(
            &["a.com:1", "*.com", "10.0.0.5:1"],
            "a.com",
            "10.0.0.5",
            false,
        );
    }

    #[test]
    fn urls_are_read_as_they_are_sent() {
        let permits = |host: &str, url: &str| {
            let outbound = Outbound::new(&[HostGrant::parse(host).unwrap()], None);
            outbound.permits(&Url::parse(url).unwrap()).is_ok()
        };
        assert!(permits("127.0.0.1", "http://2130706433/"));
        assert!(permits("127.0.0.1", "http://0x7f.1/"));
        assert!(!permits("10.0.0.5", "http://2130706433/"));
        assert!(!permits("a.com", "http://a.com:8080/"));
        assert!(permits("a.com", "https://A.com:443/x?y"));
        assert!(!permits("a.com", "http://a.com.evil.net/"));
    }
}
