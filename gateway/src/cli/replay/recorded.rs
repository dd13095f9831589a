//! An upstream on loopback that answers everything with the same bytes, and
//! keeps what it was asked. One request a connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The upstream; dropping it stops it.
pub(super) struct Recorded {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
    server: JoinHandle<()>,
}

impl Recorded {
    /// Answer with this from now on.
    pub(super) async fn start(
        status: u16,
        headers: &[(String, String)],
        body: &str,
    ) -> std::io::Result<Self> {
        let mut answer = format!("HTTP/1.1 {status} Recorded\r\nconnection: close\r\n");
        for (name, value) in headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = format!("{answer}\r\n{body}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let server = tokio::spawn({
            let sent = sent.clone();
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    // A connection that breaks is the client's to notice.
                    let _ = serve(connection, answer.as_bytes(), &sent).await;
                }
            }
        });
        Ok(Self {
            address,
            sent,
            server,
        })
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked.
    pub(super) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut connection: TcpStream,
    answer: &[u8],
    sent: &Mutex<Vec<Sent>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let sound = loop {
        if let Some(request) = parse(&bytes) {
            break request;
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    sent.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(sound);
    connection.write_all(answer).await?;
    connection.shutdown().await
}

/// The request, once it is whole.
fn parse(bytes: &[u8]) -> Option<Sent> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let headers: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(Sent { headers, body })
}
