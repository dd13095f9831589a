//! Upstreams that misbehave, down to the bytes: sockets and TLS, and no HTTP library
//! between, since that would not let them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::faults::{Act, Fault, HALF, Place, faults};
use crate::tls::Authority;

/// How much is said at once where there is much to say.
const BLOCK_BYTES: usize = 64 << 10;

/// Upstreams that misbehave, one for each place; they live as long as the runtime.
#[derive(Debug)]
pub struct Rogue {
    urls: Vec<(Place, String)>,
}

impl Rogue {
    /// Start them all. Who trusts `authority` gets further with those that speak TLS.
    pub async fn start(authority: &Authority) -> Self {
        let mut urls = Vec::new();
        for (place, _) in Place::ALL {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listener.expect("loopback has a free port");
            let addr = listener.local_addr().expect("it is bound");
            urls.push((place, url(place, addr)));
            serve(place, listener, authority);
        }
        Self { urls }
    }

    /// Its upstreams, as the configuration has them.
    pub fn config(&self) -> String {
        let upstream = |(place, url): &(Place, String)| {
            format!("  {}: {{ base_url: \"{url}\" }}\n", place.name())
        };
        self.urls.iter().map(upstream).collect()
    }
}

fn url(place: Place, addr: SocketAddr) -> String {
    let port = addr.port();
    match place {
        Place::Answer | Place::Mute => format!("http://127.0.0.1:{port}/v1"),
        Place::Nobody => "http://127.0.0.1:1/v1".to_owned(),
        _ => format!("https://localhost:{port}/v1"),
    }
}

fn serve(place: Place, listener: TcpListener, authority: &Authority) {
    let h2 = || authority.certify("localhost").acceptor(&[b"h2"]);
    let acceptor = match place {
        Place::Misnamed => Some(authority.certify("elsewhere.test").acceptor(&[])),
        Place::Expired => Some(authority.certify_until_1999("localhost").acceptor(&[])),
        Place::GoesAway | Place::Resets | Place::ResetsLate => Some(h2()),
        _ => None,
    };
    let faults = Arc::new(faults());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("loopback stays");
            let (acceptor, faults) = (acceptor.clone(), faults.clone());
            tokio::spawn(async move {
                // The other side may leave at any time, which is no failure.
                let _: io::Result<()> = match (place, acceptor) {
                    (Place::Mute | Place::Handshake, _) => drained(tcp).await,
                    (Place::Plain, _) => speak_plainly(tcp).await,
                    (_, Some(acceptor)) => match acceptor.accept(tcp).await {
                        Ok(tls) => speak_h2(place, tls).await,
                        Err(error) => Err(error),
                    },
                    (_, None) => misbehave(tcp, &faults).await,
                };
            });
        }
    });
}

// === HTTP/1.1 ===

async fn misbehave(mut tcp: TcpStream, faults: &[Fault]) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let request = read_request(&mut tcp).await?;
    let fault = faults.iter().find(|fault| {
        let model = format!("\"model\":\"{}\"", fault.name);
        fault.place == Place::Answer && request.contains(&model)
    });
    for act in fault.map_or(&[][..], |fault| &fault.acts) {
        match act {
            Act::Say(text) => tcp.write_all(text.as_bytes()).await?,
            Act::Drip(text, bytes, ms) => {
                for piece in text.as_bytes().chunks(*bytes) {
                    tcp.write_all(piece).await?;
                    tokio::time::sleep(Duration::from_millis(*ms)).await;
                }
            }
            Act::Endless(text, ms) => loop {
                tcp.write_all(text.as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(*ms)).await;
            },
            Act::Much(bytes) => {
                let block = [b'x'; BLOCK_BYTES];
                for _ in 0..bytes.div_ceil(BLOCK_BYTES) {
                    tcp.write_all(&block).await?;
                }
            }
            Act::Noise => tcp.write_all(&[0xff, 0, 0x9f, 0x92, b'\r', 7]).await?,
            Act::Reset => {
                // What was said should arrive first.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return tcp.set_zero_linger();
            }
            Act::Hang => return drained(tcp).await,
        }
    }
    tcp.shutdown().await?;
    drained(tcp).await
}

/// What a server of HTTP says to who begins with TLS.
async fn speak_plainly(mut tcp: TcpStream) -> io::Result<()> {
    tcp.readable().await?;
    let said = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    tcp.write_all(said.as_bytes()).await?;
    tcp.shutdown().await?;
    drained(tcp).await
}

/// A whole request, head and body.
async fn read_request(tcp: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    loop {
        if tcp.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Ok(text.into_owned());
        }
    }
}

/// Wait until the other side closes the connection.
async fn drained(mut io: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut rest = [0; 1_024];
    while io.read(&mut rest).await? > 0 {}
    Ok(())
}

// === HTTP/2 ===

/// How a client begins. <https://www.rfc-editor.org/rfc/rfc9113#name-http-2-connection-preface>
const PREFACE_BYTES: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
/// `:status: 200` of HPACK's static table.
const STATUS_200: u8 = 0x88;
const INTERNAL_ERROR: [u8; 4] = [0, 0, 0, 2];

/// One frame. <https://www.rfc-editor.org/rfc/rfc9113#name-frame-format>
fn frame(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("they are short");
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend([kind, flags]);
    frame.extend(stream);
    frame.extend(payload);
    frame
}

async fn speak_h2(place: Place, mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    io.write_all(&frame(SETTINGS, 0, [0; 4], &[])).await?;
    io.flush().await?;
    io.read_exact(&mut [0; PREFACE_BYTES]).await?;
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await?;
        let [_, high, low, kind, _, stream @ ..] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        io.read_exact(&mut payload).await?;
        // Each request begins with one of these.
        if kind == HEADERS {
            misbehave_h2(place, &mut io, stream).await?;
        }
        if kind == HEADERS && place == Place::GoesAway {
            io.shutdown().await?;
            return drained(io).await;
        }
    }
}

async fn misbehave_h2(
    place: Place,
    io: &mut (impl AsyncWrite + Unpin),
    stream: [u8; 4],
) -> io::Result<()> {
    if place == Place::GoesAway {
        let none = [&[0; 4][..], &INTERNAL_ERROR].concat();
        io.write_all(&frame(GOAWAY, 0, [0; 4], &none)).await?;
        return io.flush().await;
    }
    if place == Place::ResetsLate {
        let half = crate::chunk(&serde_json::json!({ "content": HALF }));
        let head = frame(HEADERS, END_HEADERS, stream, &[STATUS_200]);
        let said = [head, frame(DATA, 0, stream, half.as_bytes())].concat();
        io.write_all(&said).await?;
        io.flush().await?;
        // The content should arrive first.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    io.write_all(&frame(RST_STREAM, 0, stream, &INTERNAL_ERROR))
        .await?;
    io.flush().await
}
