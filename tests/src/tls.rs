//! Certificates for a test's servers, of an authority that the test makes.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Run the test `name` again, in a process of its own that trusts the certificates in
/// `trusted` and no others, and has the variable `told`: whether it passes, and what it
/// logs. A test must not change its own environment.
pub async fn again(name: &str, trusted: &Path, told: (&str, &str)) -> (bool, String) {
    let mut second = Command::new(std::env::current_exe().expect("it has a path"));
    second
        .args(["--exact", "--nocapture", name])
        .env(told.0, told.1)
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR");
    let ended = tokio::task::spawn_blocking(move || second.output()).await;
    let ended = ended.expect("it is not cancelled").expect("it starts");
    let [said, logged] =
        [ended.stdout, ended.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    (said.contains("1 passed"), logged)
}

/// An authority that certifies what it is asked to.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// An authority that calls itself `name`.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("its own certificate"))
    }

    /// Write its own certificate into `folder`, as a file that clients can be made to
    /// trust.
    pub fn save(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        std::fs::write(&file, self.0.pem()).expect("it takes a file");
        file
    }

    /// What a server needs to be taken for `name`: certificate and key, as files.
    pub fn certify(&self, name: &str) -> Certified {
        self.sign(params(name))
    }

    /// The same, but that it is long out of date.
    pub fn certify_until_1999(&self, name: &str) -> Certified {
        let mut params = params(name);
        params.not_after = rcgen::date_time_ymd(1999, 12, 31);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certified {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Certified { certificate, key }
    }
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).expect("a host's name")
}

/// A server's certificate and key.
#[derive(Debug)]
pub struct Certified {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Certified {
    /// What accepts connections with it, and agrees on one of these protocols.
    pub fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key);
        let mut config = config.expect("a pair");
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Takes connections that agree on TLS, and lets go of the others.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    pub(crate) fn new(tcp: TcpListener, certified: &Certified) -> Self {
        let acceptor = certified.acceptor(&[b"h2", b"http/1.1"]);
        Self { tcp, acceptor }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, addr) = self.tcp.accept().await.expect("loopback stays");
            if let Ok(tls) = self.acceptor.accept(tcp).await {
                return (tls, addr);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
