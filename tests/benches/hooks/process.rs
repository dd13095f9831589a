//! A gateway in a process of its own, and what it has used.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No gateway takes longer to start, with nothing compiled yet.
const START_MAX: Duration = Duration::from_secs(120);

/// A running gateway; dropping it ends it.
pub(crate) struct Gateway {
    process: Child,
    addr: SocketAddr,
    /// How long it took until it listened.
    pub(crate) started_in: Duration,
    _folder: TempDir,
}

impl Gateway {
    /// Start it on `config`, with copies of these components in its folder, and
    /// wait until it listens. What it compiles it keeps in `cache`.
    pub(crate) fn start(config: &str, hooks: &[(String, &Path)], cache: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("hooks")).expect("it takes a folder");
        for (name, wasm) in hooks {
            let to = folder.path().join("hooks").join(format!("{name}.wasm"));
            std::fs::copy(wasm, to).expect("the component was built");
        }
        let file = folder.path().join("sluice.yaml");
        std::fs::write(&file, config).expect("it takes a file");
        let addr = free_address();
        let began = Instant::now();
        let process = Command::new(std::env::current_exe().expect("it has a path"))
            .args(["serve", "--listen", &addr.to_string(), "--config"])
            .arg(&file)
            .env("SLUICE_CACHE", cache)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut gateway = Self {
            process,
            addr,
            started_in: Duration::ZERO,
            _folder: folder,
        };
        while TcpStream::connect(addr).is_err() {
            let ended = gateway.process.try_wait().expect("it can be asked");
            assert_eq!(ended, None, "the gateway refused:\n{config}");
            assert!(began.elapsed() < START_MAX, "the gateway does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        gateway.started_in = began.elapsed();
        gateway
    }

    /// The URL of its Messages endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/messages", self.addr)
    }

    /// CPU time of all its threads so far, in us.
    pub(crate) fn cpu_us(&self) -> f64 {
        let threads = format!("/proc/{}/task", self.process.id());
        let threads = std::fs::read_dir(threads).expect("it runs");
        let ns: u64 = threads
            .filter_map(|thread| {
                std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()
            })
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        ns as f64 / 1e3
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.expect("Linux tells of resident memory")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}
