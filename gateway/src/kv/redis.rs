//! The store of several gateways: a Redis or Valkey server.
//!
//! One connection that all requests share, made when it is first needed. When the
//! server is lost, requests fail at once, but for one a second that tries to reach
//! it again; nothing is queued and nothing is sent twice. The server bounds its own
//! memory (`maxmemory`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::{Answer, KvError, Store};
use crate::secret::Secret;

/// Before every key, so that a server can be shared with others.
const PREFIX: &str = "sluice:";

/// Time to connect: a server that is not near is no use to hooks.
const CONNECT: Duration = Duration::from_millis(500);

/// Time for one answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Pause after a server could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// A time that is too far off for the server is never: 2^52 ms, where its scripts'
/// numbers begin to lose digits.
const TTL_MS_MAX: u64 = 1 << 52;

/// Add, and give the sum as text, since scripts' numbers have 53 bits. A number
/// stops at its bounds; a time counts from the key's beginning.
const INCREMENT: &str = "
local is_new = redis.call('EXISTS', KEYS[1]) == 0
local added = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(added) == 'table' and added.err then
    if not string.find(added.err, 'overflow') then return added end
    local bound = '9223372036854775807'
    if string.sub(ARGV[1], 1, 1) == '-' then bound = '-9223372036854775808' end
    redis.call('SET', KEYS[1], bound, 'KEEPTTL')
end
local sum = redis.call('GET', KEYS[1])
if is_new and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum
";

/// Put a value if the one there is as expected.
const SWAP: &str = "
local found = redis.call('GET', KEYS[1])
if found ~= (ARGV[1] == 'some' and ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
";

/// Keys and values on a server.
pub struct Redis {
    line: Arc<Line>,
    /// Where connections live: callers may be on runtimes that end before them.
    runtime: Option<Handle>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis(..)")
    }
}

impl Redis {
    /// The store at `url`. Connects later.
    ///
    /// # Errors
    /// What is wrong with the URL, without the URL.
    pub fn new(url: &Secret) -> Result<Self, String> {
        let client = Client::open(url.expose()).map_err(|error| error.to_string())?;
        Ok(Self {
            line: Arc::new(Line {
                client,
                state: Mutex::new(State::Down { since: None }),
            }),
            runtime: Handle::try_current().ok(),
        })
    }

    fn ask<T: FromRedisValue + Send + 'static>(&self, command: Cmd) -> Answer<'static, T> {
        let line = self.line.clone();
        let asking = self
            .runtime
            .as_ref()
            .map(|runtime| runtime.spawn(async move { line.ask(&command).await }));
        async move {
            let answered = match asking {
                Some(asking) => asking.await.ok(),
                None => None,
            };
            answered.unwrap_or_else(|| Err(unreachable("there is no network here")))
        }
        .boxed()
    }
}

impl Store for Redis {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        self.ask(command("GET", key))
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl_ms: Option<u64>) -> Answer<'a, ()> {
        let mut command = command("SET", key);
        command.arg(value);
        match ttl(ttl_ms) {
            // It would be gone at once, which the server takes for a mistake.
            Some(0) => return self.ask(self::command("UNLINK", key)),
            Some(ttl_ms) => drop(command.arg("PX").arg(ttl_ms)),
            None => {}
        }
        self.ask(command)
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        self.ask(command("UNLINK", key))
    }

    fn increment<'a>(&'a self, key: &'a str, by: i64, ttl_ms: Option<u64>) -> Answer<'a, i64> {
        let mut command = script(INCREMENT, key);
        command.arg(by).arg(ttl_text(ttl_ms));
        self.ask(command)
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Answer<'a, bool> {
        let mut command = script(SWAP, key);
        match expected {
            Some(expected) => command.arg("some").arg(expected),
            None => command.arg("none").arg(""),
        };
        command.arg(value).arg(ttl_text(ttl_ms));
        self.ask(command)
    }
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(format!("{PREFIX}{key}"));
    command
}

/// A script goes along whole: the server knows it by its text, and there is no
/// second round when it does not.
fn script(text: &str, key: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(1).arg(format!("{PREFIX}{key}"));
    command
}

fn ttl(ttl_ms: Option<u64>) -> Option<u64> {
    ttl_ms.filter(|ttl_ms| *ttl_ms <= TTL_MS_MAX)
}

fn ttl_text(ttl_ms: Option<u64>) -> String {
    ttl(ttl_ms).map_or_else(String::new, |ttl_ms| ttl_ms.to_string())
}

fn unreachable(why: &str) -> KvError {
    KvError::Unavailable(format!("the store cannot be reached: {why}"))
}

// === Line ===

/// The connection, or the lack of one.
struct Line {
    client: Client,
    state: Mutex<State>,
}

enum State {
    Up(MultiplexedConnection, u64),
    /// Since the last time that it could not be reached.
    Down {
        since: Option<Instant>,
    },
}

impl Line {
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, KvError> {
        let (mut connection, made) = self.connection().await?;
        match command.query_async(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) if is_the_lines(&error) => {
                self.lost(made).await;
                Err(unreachable(&error.to_string()))
            }
            Err(error) => Err(refused(&error)),
        }
    }

    /// The connection and its number. Whoever comes while it is being made waits
    /// for that.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), KvError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Up(connection, made) => return Ok((connection.clone(), *made)),
            State::Down { since } if since.is_some_and(|since| since.elapsed() < RETRY) => {
                return Err(unreachable("it was tried a moment ago"));
            }
            State::Down { .. } => {}
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        // The crate's own limit may leave out the resolving, or the greeting.
        let connected = tokio::time::timeout(CONNECT + ANSWER, connecting).await;
        let why = match connected {
            Ok(Ok(connection)) => {
                tracing::info!("Connected to the store's server.");
                let made = fastrand::u64(..);
                *state = State::Up(connection.clone(), made);
                return Ok((connection, made));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if matches!(*state, State::Down { since: None }) {
            tracing::warn!(
                why,
                "The store's server cannot be reached; it is tried again."
            );
        }
        *state = State::Down {
            since: Some(Instant::now()),
        };
        Err(unreachable(&why))
    }

    /// The connection `made` is no good any more.
    async fn lost(&self, made: u64) {
        let mut state = self.state.lock().await;
        if matches!(*state, State::Up(_, now) if now == made) {
            tracing::warn!("The connection to the store's server is lost.");
            *state = State::Down { since: None };
        }
    }
}

/// Whether the connection is to blame, rather than what was asked on it.
fn is_the_lines(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error()
}

fn refused(error: &RedisError) -> KvError {
    let said = error.to_string();
    if said.contains("not an integer") {
        return KvError::Unavailable("the value is no number".into());
    }
    if error.code() == Some("OOM") {
        return KvError::TooLarge("the store is full".into());
    }
    KvError::Unavailable(format!("the store refused: {said}"))
}
