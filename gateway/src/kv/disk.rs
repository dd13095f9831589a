//! The store of one machine: a file, which outlives the process.
//!
//! ```text
//!  changes ─▶ queue ─▶ one thread: all that wait, one transaction, synced ─▶ answers
//!  reads ──▶ the last transaction, on a thread of the runtime's for such work
//! ```
//! What was answered is on the disk. Whoever stops waiting for an answer does not
//! take the change back. A file belongs to one process; gateways that are several
//! share a Redis server.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition,
    TableError, WriteTransaction,
};
use tokio::sync::oneshot;

use super::{Answer, KvError, Store, full, number, size};

/// Expiry and value by key.
const VALUES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("values");

/// The keys that expire, soonest first.
const EXPIRIES: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("expiries");

/// What entries take up, in bytes, under [`BYTES`].
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");
const BYTES: &str = "bytes";

/// The expiry of what stays.
const NEVER: u64 = u64::MAX;

/// Changes that may wait: about as many as hooks can be at work at once.
const QUEUE_MAX: usize = 1_024;

/// Changes of one transaction: enough that syncing costs each little, and bounded
/// since all of them are held in memory.
const BATCH_MAX: usize = 256;

/// How often expired entries are looked for while nothing changes.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Expired entries that one transaction removes, beside those it needs the room of.
const SWEEP_MAX: usize = 256;

/// Pages that stay in memory, in bytes: the system's own cache is behind them.
const CACHE_BYTES: usize = 8 << 20;

/// Keys and values in a file, up to a limit.
#[derive(Debug)]
pub struct Disk {
    pub(super) file: Arc<File>,
    bytes_max: usize,
}

impl Disk {
    /// A store of at most `bytes_max` bytes in `file`, which may be larger.
    pub(super) fn new(file: Arc<File>, bytes_max: usize) -> Self {
        Self { file, bytes_max }
    }

    /// What comes of `work` in the next transaction, once it is on the disk.
    fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        let bytes_max = self.bytes_max;
        let (sender, answer) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            tables.bytes_max = bytes_max;
            let (result, broken) = match work(tables) {
                Ok(result) => (Ok(result), None),
                Err(Fault::Refused(why)) => (Err(why), None),
                Err(Fault::Broken(why)) => (Err(unavailable(&why)), Some(why)),
            };
            let tell: Tell = Box::new(move |committed| {
                // Nobody may be waiting any more.
                let _ = sender.send(committed.and(result));
            });
            (tell, broken)
        });
        let queued = self.file.queue(job);
        async move {
            queued?;
            answer.await.unwrap_or_else(|_| Err(stopped()))
        }
        .boxed()
    }
}

impl Store for Disk {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        let (state, key) = (self.file.state.clone(), key.to_owned());
        async move {
            let read = tokio::task::spawn_blocking(move || state.get(&key));
            read.await.unwrap_or_else(|_| Err(stopped()))
        }
        .boxed()
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl_ms: Option<u64>) -> Answer<'a, ()> {
        let key = key.to_owned();
        self.change(move |tables| tables.put(&key, &value, expiry(ttl_ms)))
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        let key = key.to_owned();
        self.change(move |tables| {
            let was_there = tables.live(&key)?.is_some();
            tables.remove(&key)?;
            Ok(was_there)
        })
    }

    fn increment<'a>(&'a self, key: &'a str, by: i64, ttl_ms: Option<u64>) -> Answer<'a, i64> {
        let key = key.to_owned();
        self.change(move |tables| {
            let (before, expires) = match tables.live(&key)? {
                Some((expires, value)) => (number(&value)?, expires),
                None => (0, expiry(ttl_ms)),
            };
            let sum = before.saturating_add(by);
            tables.put(&key, sum.to_string().as_bytes(), expires)?;
            Ok(sum)
        })
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Answer<'a, bool> {
        let key = key.to_owned();
        self.change(move |tables| {
            let found = tables.live(&key)?.map(|(_, value)| value);
            if found != expected {
                return Ok(false);
            }
            tables.put(&key, &value, expiry(ttl_ms))?;
            Ok(true)
        })
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

fn expiry(ttl_ms: Option<u64>) -> u64 {
    ttl_ms.map_or(NEVER, |ttl_ms| now_ms().saturating_add(ttl_ms))
}

fn unavailable(why: &StorageError) -> KvError {
    KvError::Unavailable(format!("the store's file failed: {why}"))
}

fn stopped() -> KvError {
    KvError::Unavailable("the store is closed".into())
}

// === File ===

/// A change: what it does in a transaction, and how to tell what became of it.
type Job = Box<dyn FnOnce(&mut Tables<'_>) -> (Tell, Option<StorageError>) + Send>;

/// Tells whoever waits, given whether the transaction is on the disk.
type Tell = Box<dyn FnOnce(Result<(), KvError>) + Send>;

/// An open file, and the thread that writes it. Dropping it waits for both.
#[derive(Debug)]
pub(super) struct File {
    pub(super) state: Arc<State>,
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl File {
    /// Open the file at `path`, or make one, and start its thread.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let database = open(path).map_err(|why| format!("`{}`: {why}", path.display()))?;
        let state = Arc::new(State {
            path: path.to_owned(),
            database: RwLock::new(Some(database)),
        });
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        let writer = std::thread::Builder::new().name("kv-disk".into()).spawn({
            let state = state.clone();
            move || write(&state, &queue)
        });
        Ok(Self {
            state,
            jobs: Some(jobs),
            writer: Some(writer.map_err(|error| error.to_string())?),
        })
    }

    fn queue(&self, job: Job) -> Result<(), KvError> {
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => {
                KvError::Unavailable(format!("{QUEUE_MAX} changes wait for the store"))
            }
            TrySendError::Disconnected(_) => stopped(),
        })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // The thread ends with the last sender, once it has written what waits.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It panics nowhere; a failure to join changes nothing.
            let _ = writer.join();
        }
    }
}

/// The file as it is open now.
pub(super) struct State {
    path: PathBuf,
    /// None after a failure, until it can be opened again.
    database: RwLock<Option<Database>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({})", self.path.display())
    }
}

impl State {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(stopped)?;
        let failed = |error: redb::Error| {
            KvError::Unavailable(format!("the store's file cannot be read: {error}"))
        };
        let read = database
            .begin_read()
            .map_err(|error| failed(error.into()))?;
        let values = read.open_table(VALUES);
        let values = values.map_err(|error| failed(error.into()))?;
        let found = values.get(key).map_err(|error| failed(error.into()))?;
        let found = found.as_ref().map(|found| found.value());
        let live = found.filter(|(expires, _)| *expires > now_ms());
        Ok(live.map(|(_, value)| value.to_vec()))
    }

    /// One transaction with all of `jobs`: whether there is more to sweep.
    fn transact(&self, jobs: Vec<Job>) -> Result<bool, KvError> {
        let mut told = Vec::with_capacity(jobs.len());
        let committed = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            match database.as_ref() {
                Some(database) => commit(database, jobs, &mut told),
                None => Err(redb::Error::DatabaseClosed),
            }
        };
        let committed = committed
            .map_err(|error| KvError::Unavailable(format!("the store's file failed: {error}")));
        for tell in told {
            tell(committed.clone().map(drop));
        }
        committed
    }

    /// What the entries take up by the last transaction.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        let database = self.database.read().unwrap();
        let read = database.as_ref().unwrap().begin_read().unwrap();
        let totals = read.open_table(TOTALS).unwrap();
        totals.get(BYTES).unwrap().map_or(0, |bytes| bytes.value())
    }

    /// As after a failure.
    #[cfg(test)]
    pub(super) fn close(&self) {
        *self.database.write().unwrap() = None;
    }

    /// Close and open: after a failure the file answers nothing else.
    fn reopen(&self) {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *database = None;
        *database = open(&self.path).ok();
    }
}

fn commit(database: &Database, jobs: Vec<Job>, told: &mut Vec<Tell>) -> Result<bool, redb::Error> {
    let is_idle = jobs.is_empty();
    let transaction = database.begin_write()?;
    let swept = {
        let mut tables = Tables::of(&transaction)?;
        let mut broken = None;
        for job in jobs {
            let (tell, why) = job(&mut tables);
            told.push(tell);
            broken = broken.or(why);
        }
        if let Some(why) = broken {
            return Err(why.into());
        }
        let swept = tables.sweep(SWEEP_MAX)?;
        transaction
            .open_table(TOTALS)?
            .insert(BYTES, tables.bytes)?;
        swept
    };
    match is_idle && swept == 0 {
        true => transaction.abort()?,
        false => transaction.commit()?,
    }
    Ok(swept == SWEEP_MAX)
}

/// The thread that writes, until nobody can send it anything.
fn write(state: &State, queue: &Receiver<Job>) {
    let mut wait = SWEEP_EVERY;
    loop {
        let mut jobs = match queue.recv_timeout(wait) {
            Ok(job) => vec![job],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        jobs.extend(queue.try_iter().take(BATCH_MAX - jobs.len()));
        wait = match state.transact(jobs) {
            Ok(true) => Duration::ZERO,
            Ok(false) => SWEEP_EVERY,
            Err(why) => {
                tracing::error!(file = %state.path.display(), "{why}.");
                state.reopen();
                SWEEP_EVERY
            }
        };
    }
}

/// The database at `path`, which only the owner may read: it may hold what people
/// said.
fn open(path: &Path) -> Result<Database, String> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| error.to_string())?;
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(FileBackend::new(file).map_err(|error| error.to_string())?)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => {
                "it is open already, in this process or another".to_owned()
            }
            error => error.to_string(),
        })?;
    // So that reading finds them from the beginning on.
    let prepare = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        Tables::of(&transaction)?;
        Ok(transaction.commit()?)
    };
    prepare().map_err(|error| error.to_string())?;
    Ok(database)
}

// === Tables ===

/// Why a change did not happen.
enum Fault {
    /// It alone.
    Refused(KvError),
    /// The file failed, and with it the whole transaction.
    Broken(StorageError),
}

impl From<KvError> for Fault {
    fn from(error: KvError) -> Self {
        Self::Refused(error)
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Broken(error)
    }
}

/// A transaction's tables. Every change keeps `bytes` and both tables in step, and
/// is refused before anything of it is done.
struct Tables<'t> {
    values: Table<'t, &'static str, (u64, &'static [u8])>,
    expiries: Table<'t, (u64, &'static str), ()>,
    /// What the entries take up.
    bytes: u64,
    bytes_max: usize,
}

impl<'t> Tables<'t> {
    fn of(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        let totals = transaction.open_table(TOTALS)?;
        let bytes = totals.get(BYTES)?.map_or(0, |bytes| bytes.value());
        Ok(Self {
            values: transaction.open_table(VALUES)?,
            expiries: transaction.open_table(EXPIRIES)?,
            bytes,
            bytes_max: usize::MAX,
        })
    }

    /// Expiry and value of `key`, unless its time has passed.
    fn live(&self, key: &str) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        let found = self.values.get(key)?;
        let found = found.as_ref().map(|found| found.value());
        let live = found.filter(|(expires, _)| *expires > now_ms());
        Ok(live.map(|(expires, value)| (expires, value.to_vec())))
    }

    fn put(&mut self, key: &str, value: &[u8], expires: u64) -> Result<(), Fault> {
        while !self.has_room(key, value)? {
            if self.sweep(SWEEP_MAX)? == 0 {
                return Err(full(self.bytes_max).into());
            }
        }
        self.remove(key)?;
        self.bytes += size(key, value.len()) as u64;
        self.values.insert(key, (expires, value))?;
        if expires != NEVER {
            self.expiries.insert((expires, key), ())?;
        }
        Ok(())
    }

    fn has_room(&self, key: &str, value: &[u8]) -> Result<bool, StorageError> {
        let old = self.values.get(key)?;
        let freed = old.map_or(0, |old| size(key, old.value().1.len()));
        let bytes = self.bytes.saturating_sub(freed as u64) + size(key, value.len()) as u64;
        Ok(bytes <= self.bytes_max as u64)
    }

    fn remove(&mut self, key: &str) -> Result<(), StorageError> {
        let Some(old) = self.values.remove(key)? else {
            return Ok(());
        };
        let (expires, value) = old.value();
        self.bytes = self.bytes.saturating_sub(size(key, value.len()) as u64);
        if expires != NEVER {
            self.expiries.remove((expires, key))?;
        }
        Ok(())
    }

    /// Remove what has expired, at most `most`: how many there were.
    fn sweep(&mut self, most: usize) -> Result<usize, StorageError> {
        let now = now_ms();
        for swept in 0..most {
            match self.first_expiry()? {
                Some((expires, key)) if expires <= now => self.remove(&key)?,
                _ => return Ok(swept),
            }
        }
        Ok(most)
    }

    fn first_expiry(&self) -> Result<Option<(u64, String)>, StorageError> {
        let first = self.expiries.first()?;
        let first = first.as_ref().map(|(first, _)| first.value());
        Ok(first.map(|(expires, key)| (expires, key.to_owned())))
    }
}
