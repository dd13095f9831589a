//! A gateway in a process of its own, and what it has used, as Linux counts it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No gateway takes longer to start, with nothing compiled yet.
const START_MAX: Duration = Duration::from_secs(120);

/// How a gateway is started.
#[derive(Debug)]
pub struct Setup<'s> {
    /// The file that runs as `sluice`; none: this very program, which must begin
    /// with [`served`].
    pub program: Option<&'s Path>,
    /// Its `sluice.yaml`.
    pub config: &'s str,
    /// Components of which it gets copies in its folder of hooks, and their names.
    pub hooks: &'s [(String, &'s Path)],
    /// Where it keeps what it compiles.
    pub cache: &'s Path,
    /// A file of certificates; it trusts these and no others.
    pub trusted: Option<&'s Path>,
    /// What becomes of its log.
    pub log: Log,
    /// How many files it may have open; none: as many as this process.
    pub files_max: Option<u64>,
}

impl<'s> Setup<'s> {
    /// One with this configuration, and nothing else.
    pub fn new(config: &'s str, cache: &'s Path) -> Self {
        Self {
            program: None,
            config,
            hooks: &[],
            cache,
            trusted: None,
            log: Log::Dropped,
            files_max: None,
        }
    }

    fn command(&self) -> Command {
        let own = std::env::current_exe().expect("it has a path");
        let program = self.program.unwrap_or(&own);
        let mut command = match self.files_max {
            None => Command::new(program),
            Some(files) => {
                let mut shell = Command::new("sh");
                let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
                shell.arg("-c").arg(script).arg(program);
                shell
            }
        };
        if let Some(file) = self.trusted {
            command
                .env("SSL_CERT_FILE", file)
                .env_remove("SSL_CERT_DIR");
        }
        command.env("SLUICE_CACHE", self.cache);
        command
    }
}

/// What becomes of a gateway's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Nobody reads it, and writing it costs next to nothing.
    Dropped,
    /// It is in a file, for [`Process::log`].
    Kept,
}

/// Do as `sluice` does, if this program was called like it: what it ended with.
pub fn served() -> Option<ExitCode> {
    let first = std::env::args().nth(1);
    (first.as_deref() == Some("serve")).then(sluice::cli::run)
}

/// A running gateway; dropping it ends it.
#[derive(Debug)]
pub struct Process {
    process: Child,
    addr: SocketAddr,
    /// How long it took until it listened.
    pub started_in: Duration,
    folder: TempDir,
    /// Beside the folder, which is watched: each line would wake the watcher.
    log: TempDir,
}

impl Process {
    /// Start it, and wait until it listens.
    pub fn start(setup: &Setup<'_>) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("hooks")).expect("it takes a folder");
        for (name, wasm) in setup.hooks {
            let to = folder.path().join("hooks").join(format!("{name}.wasm"));
            fs::copy(wasm, to).expect("the component was built");
        }
        let file = folder.path().join("sluice.yaml");
        fs::write(&file, setup.config).expect("it takes a file");
        let log = TempDir::new().expect("a temporary folder can be made");
        let stderr = match setup.log {
            Log::Dropped => Stdio::null(),
            Log::Kept => File::create(log.path().join("log"))
                .expect("it takes a file")
                .into(),
        };
        let addr = free_address();
        let began = Instant::now();
        let process = setup
            .command()
            .args(["serve", "--listen", &addr.to_string(), "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("it starts");
        let mut gateway = Self {
            process,
            addr,
            started_in: Duration::ZERO,
            folder,
            log,
        };
        while TcpStream::connect(addr).is_err() {
            let (ended, log) = (gateway.has_ended(), gateway.log());
            assert!(!ended, "the gateway refused:\n{}\n{log}", setup.config);
            assert!(began.elapsed() < START_MAX, "the gateway does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        gateway.started_in = began.elapsed();
        gateway
    }

    /// Where it listens, as a URL without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The folder with its configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged, a JSON object a line; empty if that is dropped.
    pub fn log(&self) -> String {
        let log = fs::read(self.log.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.process.try_wait();
        ended.expect("it can be asked").is_some()
    }

    /// The folder in which Linux tells of it.
    pub fn proc(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.process.id()))
    }

    /// CPU time of all its threads so far, in us.
    pub fn cpu_us(&self) -> f64 {
        let threads = fs::read_dir(self.proc().join("task")).expect("it runs");
        let ns: u64 = threads
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        ns as f64 / 1e3
    }

    /// Its resident memory, in KiB.
    pub fn memory_kib(&self) -> f64 {
        let kib = number(&self.proc(), "VmRSS:");
        kib.expect("Linux tells of resident memory")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What Linux tells of a process, which may have ended: the number behind `name`.
pub fn number(proc: &Path, name: &str) -> Option<f64> {
    let status = fs::read_to_string(proc.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}
