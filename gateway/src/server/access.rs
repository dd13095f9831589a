//! Who may ask: keys, and nothing that a web page could send.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::calendar::Day;
use crate::config::{Client, is_loopback};
use crate::error::Error;

use super::reply;

/// Whose key a request showed, for the handlers: every request that has passed has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller(pub(super) Option<Arc<Client>>);

impl Caller {
    /// The client's name; empty if it has none.
    pub(super) fn name(&self) -> &str {
        self.0.as_ref().map_or("", |client| &client.name)
    }

    /// Whether it may ask for `model`.
    pub(super) fn may_ask_for(&self, model: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|client| client.may_ask_for(model))
    }
}

/// Let a request pass that shows a key and comes from no web page.
pub(super) async fn check(
    State(state): State<super::State>,
    mut request: Request,
    next: Next,
) -> Response {
    let world = state.current.load();
    let headers = request.headers();
    let config = &world.config;
    let key = shown(headers).find_map(|shown| config.keys.find(shown));
    let client = key.map(|key| key.client);
    let expired = key.and_then(|key| {
        let is_over = |day: &Day| day.is_over(SystemTime::now());
        Some((key.client, key.expires.filter(is_over)?))
    });
    let is_local = state.listen.ip().is_loopback();
    let denied = if is_from_a_page(headers) {
        Some(Error::client(403, "requests from web pages are not served"))
    } else if is_local && !is_to_loopback(headers) {
        Some(Error::client(
            403,
            "the `host` header names no loopback address",
        ))
    } else if client.is_none() && !(is_local && config.keys.is_open()) {
        Some(Error::unauthorised())
    } else if let Some((client, day)) = expired {
        Some(Error::expired(&client.name, day))
    } else if client.is_some_and(|client| !client.is_admin) && is_of_operators(request.uri()) {
        Some(Error::client(
            403,
            "the key is not one of an operator's (`admin: true`)",
        ))
    } else {
        None
    };
    match denied {
        Some(error) => reply::error(&error, reply::dialect(request.uri(), request.headers())),
        None => {
            let caller = Caller(client.cloned());
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
    }
}

/// What shows one client what others do.
fn is_of_operators(uri: &Uri) -> bool {
    uri.path().starts_with("/admin/") || uri.path() == "/metrics"
}

/// No such endpoint.
pub(super) async fn unknown_endpoint(uri: Uri, headers: HeaderMap) -> Response {
    let error = Error::client(404, format!("no such endpoint: `{}`", uri.path()));
    reply::error(&error, reply::dialect(&uri, &headers))
}

/// The endpoint exists, for another method.
pub(super) async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let error = Error::client(405, format!("`{}` does not take {method}", uri.path()));
    reply::error(&error, reply::dialect(&uri, &headers))
}

/// What a request shows as its key, in either header.
fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let value = value.as_bytes();
        value
            .strip_prefix(b"Bearer ")
            .or_else(|| value.strip_prefix(b"bearer "))
            .unwrap_or(value)
    });
    let key = headers.get("x-api-key").map(|value| value.as_bytes());
    [key, bearer].into_iter().flatten()
}

/// Browsers say where a page's request comes from; agents do not.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok())
    else {
        return headers.contains_key(header::ORIGIN);
    };
    !is_loopback_host(origin.split_once("://").map_or(origin, |(_, host)| host))
}

/// Another name for this machine would be a web page's, rebound to loopback.
fn is_to_loopback(headers: &HeaderMap) -> bool {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().is_ok_and(is_loopback_host),
        None => true,
    }
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    is_loopback(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:4000", true),
            ("127.0.0.1:4000", true),
            ("127.8.0.1", true),
            ("[::1]:4000", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:80", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_host(host), expected, "{host}");
        }
    }

    #[test]
    fn keys_come_in_either_header() {
        let check = |name: &'static str, value: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let shown: Vec<_> = shown(&headers).collect();
            assert_eq!(shown, [expected.as_bytes()], "{name}: {value}");
        };
        check("x-api-key", "sk-2", "sk-2");
        check("authorization", "Bearer sk-1", "sk-1");
        check("authorization", "bearer sk-1", "sk-1");
        check("authorization", "sk-1", "sk-1");
        check("x-api-key", "", "");
        assert_eq!(shown(&HeaderMap::new()).count(), 0);
    }
}
