//! A hook with business outside: it asks servers and keeps counts, as its config
//! says, and answers with what came of it: for tests.

use serde::Deserialize;
use sluice_hook_sdk::{Call, Failure, Hook, Reply, Verdict, hook};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// The script.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Errands {
    /// A number to add one to.
    count: Option<String>,
    /// URLs to ask, one after the other.
    ask: Vec<String>,
    /// URLs to ask when the call has ended.
    ask_after: Vec<String>,
    /// Bytes to send to each.
    body_bytes: usize,
    /// Never look at the answer, and never end.
    spin: bool,
}

#[hook]
impl Hook for Errands {
    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let mut said = Vec::new();
        if let Some(key) = &self.count {
            said.push(call.increment(key, 1, None)?.to_string());
        }
        for url in &self.ask {
            said.push(self.ask(url).unwrap_or_else(|code| format!("{code:?}")));
        }
        Ok(Verdict::Reply(Reply::Text(said.join("; "))))
    }

    fn on_complete(&self, _call: &mut Call<'_>) -> Result<(), Failure> {
        for url in &self.ask_after {
            // On trial nobody does.
            let _ = self.ask(url);
        }
        Ok(())
    }
}

impl Errands {
    /// Status, where it leads, and body.
    fn ask(&self, url: &str) -> Result<String, ErrorCode> {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let at = rest.find('/').unwrap_or(rest.len());
        let request = OutgoingRequest::new(Fields::new());
        let scheme = match scheme {
            "http" => Scheme::Http,
            _ => Scheme::Https,
        };
        request.set_scheme(Some(&scheme)).expect("a scheme");
        request.set_authority(Some(&rest[..at])).expect("a host");
        request
            .set_path_with_query(Some(&rest[at..]))
            .expect("a path");
        request.set_method(&Method::Post).expect("a method");
        let body = request.body().expect("the first time");
        let answer = outgoing_handler::handle(request, None)?;
        let stream = body.write().expect("the first time");
        for piece in vec![b'x'; self.body_bytes].chunks(4096) {
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
        drop(stream);
        // Its failure is the answer's, too.
        let _ = OutgoingBody::finish(body, None);
        if self.spin {
            loop {
                std::hint::black_box(&answer);
            }
        }
        answer.subscribe().block();
        let response = answer
            .get()
            .expect("it is ready")
            .expect("the first time")?;
        let headers = response.headers().get("location");
        let to = headers
            .first()
            .map(|to| String::from_utf8_lossy(to).into_owned());
        let body = response.consume().expect("the first time");
        let stream = body.stream().expect("the first time");
        let mut whole = Vec::new();
        loop {
            match stream.blocking_read(1 << 16) {
                Ok(piece) => whole.extend(piece),
                Err(StreamError::Closed) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        let whole = String::from_utf8_lossy(&whole).into_owned();
        let to = to.map_or_else(String::new, |to| format!(" to {to}"));
        Ok(format!("{}{to} {whole}", response.status()))
    }
}
