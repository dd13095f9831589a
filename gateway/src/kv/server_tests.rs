//! The store on a server, before a real one: `redis-server` or `valkey-server`, from
//! `PATH`. Nobody else's tests need it, so these are behind the feature
//! `server-tests`.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::tests::{PATIENCE, check_store};
use super::*;
use crate::secret::Secret;

/// A server on a free port of loopback; dropping it ends it.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        Self::start_anywhere(Self::start_on)
    }

    /// One that speaks TLS alone, with the certificate and the key in `folder`.
    fn start_tls(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name).display().to_string();
        let files = [
            ["--tls-cert-file", &file("certificate.pem")],
            ["--tls-key-file", &file("key.pem")],
            ["--tls-auth-clients", "no"],
        ];
        Self::start_anywhere(|port| {
            let tls = ["--port", "0", "--tls-port", &port.to_string()];
            Self::start_with(port, &[&tls[..], files.as_flattened()].concat())
        })
    }

    fn start_anywhere(start: impl Fn(u16) -> Result<Self, String>) -> Self {
        let free = || {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        // Somebody else may take a port between its finding and its use.
        let mut servers = (0..5).map(|_| start(free()));
        servers.find_map(Result::ok).expect("a port stays free")
    }

    fn start_on(port: u16) -> Result<Self, String> {
        Self::start_with(port, &["--port", &port.to_string()])
    }

    fn start_with(port: u16, settings: &[&str]) -> Result<Self, String> {
        let spawned = ["redis-server", "valkey-server"].iter().find_map(|name| {
            Command::new(name)
                .args(["--bind", "127.0.0.1"])
                .args(settings)
                .args([
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--requirepass",
                    "sesame",
                ])
                .stdout(Stdio::piped())
                .spawn()
                .ok()
        });
        let mut child = spawned.expect(
            "this test talks to a real server and found none in PATH: install `redis-server` or `valkey-server`",
        );
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| {
            said = format!("{said}\n{line}");
            line.contains("Ready to accept connections")
        });
        let server = Self { child, port };
        if !is_ready {
            return Err(said);
        }
        // Whoever does not read what it says stops it.
        std::thread::spawn(move || lines.count());
        Ok(server)
    }

    fn url(&self, password: &str) -> Secret {
        Secret::new(format!("redis://:{password}@127.0.0.1:{}/0", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_lost_and_comes_back() {
    let server = Server::start();
    let store = Redis::new(&server.url("sesame")).unwrap();
    check_store(&store).await;
    // Another gateway sees the same.
    let other = Redis::new(&server.url("sesame")).unwrap();
    assert_eq!(other.increment("many", 1, None).await, Ok(1_001));

    let port = server.port;
    drop(server);
    let lost = async {
        for _ in 0..100 {
            let answer = store.get("many").await;
            assert!(matches!(answer, Err(KvError::Unavailable(_))), "{answer:?}");
        }
    };
    let quickly = tokio::time::timeout(Duration::from_secs(5), lost).await;
    quickly.expect("a hundred refusals take no time");

    let _server = Server::start_on(port).unwrap();
    let heals = async { while store.get("many").await != Ok(None) {} };
    tokio::time::timeout(PATIENCE, heals)
        .await
        .expect("it heals");
}

/// Hooks start on a runtime that ends before calls come.
#[tokio::test(flavor = "multi_thread")]
async fn redis_outlives_the_runtime_that_asked_first() {
    let server = Server::start();
    let store = Arc::new(Redis::new(&server.url("sesame")).unwrap());
    let first = store.clone();
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(first.increment("n", 1, None))
    });
    assert_eq!(asked.join().unwrap(), Ok(1));
    assert_eq!(store.increment("n", 1, None).await, Ok(2));
}

#[tokio::test]
async fn a_password_is_in_no_message() {
    let server = Server::start();
    let store = Redis::new(&server.url("wrong-word")).unwrap();
    let refused = store.get("a").await.unwrap_err().to_string();
    assert!(refused.contains("cannot be reached"), "{refused}");
    let malformed = Secret::new("redis://:wrong-word@127.0.0.1:port/0");
    let malformed = Redis::new(&malformed).err().unwrap_or_default();
    assert!(!malformed.is_empty());
    for text in [refused, malformed, format!("{store:?}")] {
        assert!(!text.contains("wrong-word"), "{text}");
    }
}

// === TLS ===

/// Tells a second process of this test that it is one, and the servers' ports.
const PORTS: &str = "SLUICE_TESTS_REDIS_PORTS";

/// Make an authority, and with it what a server at `localhost` needs.
fn certify(authority: &str, folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, authority);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("authority.pem", issuer.pem()),
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), pem).unwrap();
    }
}

/// The environment says who is trusted, and a test must not change its own: it runs
/// again in a second process.
#[tokio::test(flavor = "multi_thread")]
async fn rediss_is_for_servers_that_are_trusted() {
    if let Ok(ports) = env::var(PORTS) {
        return ask_over_tls(&ports).await;
    }
    let [trusted, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    certify("trusted", trusted.path());
    certify("other", other.path());
    let servers = [&trusted, &other].map(|folder| Server::start_tls(folder.path()));
    let [a, b] = servers.each_ref().map(|server| server.port);
    let second = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("kv::server_tests::rediss_is_for_servers_that_are_trusted")
        .env(PORTS, format!("{a},{b}"))
        .env("SSL_CERT_FILE", trusted.path().join("authority.pem"))
        .env_remove("SSL_CERT_DIR")
        .output();
    let ended = second.unwrap();
    let [said, logged] = [&ended.stdout, &ended.stderr].map(|it| String::from_utf8_lossy(it));
    assert!(said.contains("1 passed"), "{said}{logged}");
}

async fn ask_over_tls(ports: &str) {
    let (trusted, other) = ports.split_once(',').unwrap();
    let store = |host: &str, port: &str| {
        Redis::new(&Secret::new(format!("rediss://:sesame@{host}:{port}/0"))).unwrap()
    };
    check_store(&store("localhost", trusted)).await;
    for (host, port) in [("localhost", other), ("127.0.0.1", trusted)] {
        let refused = store(host, port).get("a").await.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
    }
}
