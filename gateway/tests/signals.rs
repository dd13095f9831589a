//! What `sluice serve` does at signals: the process itself, real signals, real sockets.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// No read waits longer than this, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any test runs.
const LONG_MS: u64 = 3_600_000;

const MESSAGES: &str = "/v1/messages";
const CHAT: &str = "/v1/chat/completions";

// === the process ===

struct Sluice {
    process: Child,
    log: BufReader<ChildStderr>,
    addr: SocketAddr,
    folder: Rc<TempDir>,
}

impl Sluice {
    /// Serve `upstream` on any port, with these times for stopping.
    fn start(upstream: &Upstream, announce_ms: u64, streams_ms: u64) -> Self {
        let drain = format!("announce_ms: {announce_ms}, streams_ms: {streams_ms}");
        Self::with(&format!(
            "{}listen: 127.0.0.1:0\ndrain: {{ {drain} }}\n",
            upstream.config()
        ))
    }

    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("sluice.yaml");
        std::fs::write(&file, config).expect("the folder takes a file");
        Self::in_folder(Rc::new(folder))
    }

    fn in_folder(folder: Rc<TempDir>) -> Self {
        let file = folder.path().join("sluice.yaml");
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_remove("SLUICE_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let log = process.stderr.take().expect("it is piped");
        let mut sluice = Self {
            process,
            log: BufReader::new(log),
            addr: ([127, 0, 0, 1], 0).into(),
            folder,
        };
        sluice.addr = address(&sluice.logged("Listening."));
        sluice
    }

    /// The next line of the log that says `what`.
    fn logged(&mut self, what: &str) -> String {
        let mut seen = String::new();
        loop {
            let before = seen.len();
            let read = self.log.read_line(&mut seen).expect("it is text");
            assert_ne!(read, 0, "no `{what}` in\n{seen}");
            if seen[before..].contains(what) {
                return seen.split_off(before);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }

    /// The process' exit code, once it has ended.
    fn code(mut self) -> Option<i32> {
        self.process.wait().expect("it is a child").code()
    }

    /// Send a request; what comes is yet to be read.
    fn ask(&self, request: &str) -> TcpStream {
        let mut tcp = TcpStream::connect(self.addr).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a time");
        tcp.write_all(request.as_bytes()).expect("it reads");
        tcp
    }

    /// Begin a streamed call, and read until its first word.
    fn begin(&self, path: &str) -> TcpStream {
        let body = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"go"}]}"#;
        let mut tcp = self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-ann\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        until(&mut tcp, "hello");
        tcp
    }

    /// The status of `/readyz`.
    fn ready(&self) -> String {
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let head = to_end(&mut self.ask(request));
        head.split(' ').nth(1).expect("a status").to_owned()
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address that a line of the log names.
fn address(line: &str) -> SocketAddr {
    let line: serde_json::Value = serde_json::from_str(line).expect("a line is an object");
    let addr = line["addr"].as_str().expect("it names one");
    addr.parse().expect("an address with a port")
}

fn until(tcp: &mut TcpStream, what: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(what) {
        let mut byte = [0];
        let read = tcp.read(&mut byte).expect("something comes");
        let text = String::from_utf8_lossy(&seen);
        assert_ne!(read, 0, "no `{what}` in\n{text}");
        seen.extend(byte);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn to_end(tcp: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let ended = tcp.read_to_end(&mut rest);
    let text = String::from_utf8_lossy(&rest).into_owned();
    assert!(ended.is_ok(), "{ended:?} after\n{text}");
    text
}

// === its upstream ===

/// Says `hello`, and goes on when it is told to.
struct Upstream {
    addr: SocketAddr,
    go_on: Sender<()>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let (go_on, told) = channel();
        std::thread::spawn(move || serve(&listener, &told));
        Self { addr, go_on }
    }

    /// Let all calls end now, by one more that is yet to be read.
    fn go_on(&self) -> TcpStream {
        self.go_on.send(()).expect("it listens");
        let mut tcp = TcpStream::connect(self.addr).expect("it listens");
        tcp.write_all(b"\"go\"").expect("it reads");
        tcp
    }

    /// The file of a gateway before it, without an address of its own.
    fn config(&self) -> String {
        format!(
            "upstreams: {{ up: {{ base_url: \"http://{}/v1\" }} }}\nmodels: {{ m: {{ upstream: up }} }}\n",
            self.addr
        )
    }
}

/// Answer calls one after the other: the first is held until told, later ones run
/// beside it to their first word.
fn serve(listener: &TcpListener, told: &Receiver<()>) {
    const PIECE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"}}]}\n\n";
    const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10}}\n\ndata: [DONE]\n\n";
    let mut held = Vec::new();
    for tcp in listener.incoming() {
        let mut tcp = tcp.expect("a connection");
        until(&mut tcp, "\"go\"");
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        if write!(tcp, "{head}{PIECE}").is_err() {
            continue;
        }
        held.push(tcp);
        if told.try_recv().is_ok() {
            for mut tcp in held.drain(..) {
                let _ = tcp.write_all(END.as_bytes());
            }
        }
    }
}

// === how it stops ===

#[test]
fn running_streams_end_and_then_the_process() {
    let upstream = Upstream::start();
    let mut sluice = Sluice::start(&upstream, 3_000, LONG_MS);
    assert_eq!(sluice.ready(), "200");
    let mut stream = sluice.begin(MESSAGES);

    sluice.signal(Signal::TERM);
    sluice.logged("Stopping");
    assert_eq!(sluice.ready(), "503");
    // Who does not know yet is served, and with it the upstream ends both.
    upstream.go_on.send(()).expect("it listens");
    let mut late = sluice.begin(CHAT);
    assert!(to_end(&mut late).contains("[DONE]"));

    sluice.logged("No more calls");
    assert!(until(&mut stream, "message_stop").contains("end_turn"));
    sluice.logged("Stopped.");
    assert!(TcpStream::connect(sluice.addr).is_err(), "nobody listens");
    assert_eq!(sluice.code(), Some(0));
}

#[test]
fn what_lasts_too_long_ends_with_an_error() {
    let upstream = Upstream::start();
    let mut sluice = Sluice::start(&upstream, 0, 0);
    let mut messages = sluice.begin(MESSAGES);
    let mut chat = sluice.begin(CHAT);
    sluice.signal(Signal::INT);
    let messages = to_end(&mut messages);
    assert!(
        messages.contains("event: error\n")
            && messages.contains("overloaded_error")
            && messages.contains("the gateway is stopping"),
        "{messages}"
    );
    let chat = to_end(&mut chat);
    assert!(
        chat.contains("data: {\"error\":") && chat.contains("the gateway is stopping"),
        "{chat}"
    );
    // Nobody reads along on a terminal.
    let line: serde_json::Value =
        serde_json::from_str(&sluice.logged("Call finished.")).expect("a line is an object");
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&"failed".into(), &503.into())
    );
    sluice.logged("Stopped.");
    assert_eq!(sluice.code(), Some(0));
}

#[test]
fn a_second_signal_waits_for_nobody() {
    let upstream = Upstream::start();
    let mut sluice = Sluice::start(&upstream, LONG_MS, LONG_MS);
    let mut stream = sluice.begin(MESSAGES);
    sluice.signal(Signal::TERM);
    sluice.logged("Stopping");
    sluice.signal(Signal::TERM);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains("message_stop"), "{rest}");
    assert_eq!(sluice.code(), Some(1));
}

#[test]
fn what_the_last_call_took_is_in_the_store() {
    let upstream = Upstream::start();
    let rest = "listen: 127.0.0.1:0
drain: { announce_ms: 0 }
keys: [ { name: ann, key: sk-ann, admin: true, budget: { tokens: 1000, per: total } } ]
";
    let mut sluice = Sluice::with(&format!("{}{rest}", upstream.config()));
    let mut stream = sluice.begin(MESSAGES);
    let taken = |sluice: &Sluice| {
        let head = "GET /admin/keys HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-ann\r\nconnection: close\r\n\r\n";
        let said = to_end(&mut sluice.ask(head));
        let (_, body) = said.split_once("\r\n\r\n").expect("a body");
        let report: serde_json::Value = serde_json::from_str(body).expect("a report");
        report[0]["limits"][0]["taken"].clone()
    };
    // The prompt's 5, and all that the answer may have.
    assert_eq!(taken(&sluice), 14.0);
    sluice.signal(Signal::TERM);
    sluice.logged("No more calls");
    let _other = upstream.go_on();
    until(&mut stream, "message_stop");
    let folder = sluice.folder.clone();
    assert_eq!(sluice.code(), Some(0));
    assert_eq!(taken(&Sluice::in_folder(folder)), 10.0);
}

// === how it reloads ===

#[test]
fn a_hangup_reloads_what_has_not_changed() {
    let upstream = Upstream::start();
    let mut sluice = Sluice::start(&upstream, 0, 0);
    for generation in 2..4 {
        sluice.signal(Signal::HUP);
        sluice.logged("Reloading, as SIGHUP asks.");
        let line = sluice.logged("Reloaded.");
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line is an object");
        assert_eq!(line["generation"], generation);
    }
    assert_eq!(sluice.ready(), "200");
    sluice.signal(Signal::TERM);
    assert_eq!(sluice.code(), Some(0));
}

#[test]
fn stopping_waits_for_calls_on_an_address_of_earlier() {
    let upstream = Upstream::start();
    let mut sluice = Sluice::start(&upstream, 3_000, LONG_MS);
    let mut stream = sluice.begin(MESSAGES);
    let before = sluice.addr;
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let after = free.local_addr().expect("it is bound");
    drop(free);
    let drain = format!("drain: {{ announce_ms: 3000, streams_ms: {LONG_MS} }}\n");
    let config = format!("{}listen: {after}\n{drain}", upstream.config());
    let file = sluice.folder.path().join("sluice.yaml");
    std::fs::write(file, config).expect("a write");
    sluice.addr = address(&sluice.logged("Listening."));
    assert_eq!(sluice.addr, after);
    sluice.logged("No longer listening");
    assert!(TcpStream::connect(before).is_err(), "nobody listens there");

    sluice.signal(Signal::TERM);
    sluice.logged("Stopping");
    upstream.go_on.send(()).expect("it listens");
    let mut late = sluice.begin(CHAT);
    assert!(to_end(&mut late).contains("[DONE]"));
    sluice.logged("No more calls");
    assert!(until(&mut stream, "message_stop").contains("end_turn"));
    sluice.logged("Stopped.");
    assert_eq!(sluice.code(), Some(0));
}
