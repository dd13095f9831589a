//! Tells when files or folders may have changed. The only user of notify.
//!
//! Any event of a watched folder, and a slow rescan beside them, mean no more
//! than "look again": editors write, rename and replace, mounts swap symlinks,
//! and some filesystems send nothing at all. Whether something did change is
//! for [`fingerprint`] to say.

use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// How long after the last event one looks, in ms: an editor's save is a burst.
const DEBOUNCE_MS: u64 = 200;

/// How long a burst is waited out at most, in ms: a log file that grows in the
/// same folder never stops.
const BURST_MS: u64 = 1_000;

/// How often one looks without any event, in ms: network and container mounts
/// report none.
const RESCAN_MS: u64 = 5_000;

/// Watches paths.
#[derive(Debug)]
pub struct Watcher {
    events: mpsc::Receiver<()>,
    /// None where the platform cannot watch; the rescan remains.
    _notify: Option<RecommendedWatcher>,
}

impl Watcher {
    /// Watch `paths`, files or folders, existing or not. What happens to the files
    /// `apart` means nothing: they may lie in a watched folder and change all the time.
    pub fn new(paths: &[PathBuf], apart: &[&Path]) -> Self {
        // One waiting "look again" is as good as many.
        let (sender, events) = mpsc::channel(1);
        let apart = apart.iter().filter_map(|path| path.file_name());
        let apart: Vec<_> = apart.map(OsStr::to_owned).collect();
        let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| means_nothing(&event, &apart)) {
                let _ = sender.try_send(());
            }
        });
        let mut notify = notify.ok();
        for folder in folders(paths) {
            let watched = notify
                .as_mut()
                .map(|notify| notify.watch(&folder, RecursiveMode::NonRecursive));
            if let Some(Err(error)) = watched {
                tracing::debug!(folder = %folder.display(), %error, "Not watched; looked at every 5 s.");
            }
        }
        Self {
            events,
            _notify: notify,
        }
    }

    /// Wait until it is worth looking again.
    pub async fn changed(&mut self) {
        let rescan = Duration::from_millis(RESCAN_MS);
        // Without notify the channel is closed: the rescan alone sets the pace.
        let first = tokio::time::timeout(rescan, async {
            if self.events.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        });
        if first.await.is_err() {
            return;
        }
        let debounce = Duration::from_millis(DEBOUNCE_MS);
        let quiet = async {
            while let Ok(Some(())) = tokio::time::timeout(debounce, self.events.recv()).await {}
        };
        let _ = tokio::time::timeout(Duration::from_millis(BURST_MS), quiet).await;
    }
}

fn means_nothing(event: &notify::Event, apart: &[OsString]) -> bool {
    // Reading a file is an event, too; answering it by reading would never end.
    let is_read = matches!(event.kind, EventKind::Access(_));
    let is_apart = |path: &PathBuf| apart.iter().any(|name| path.file_name() == Some(name));
    is_read || (!event.paths.is_empty() && event.paths.iter().all(is_apart))
}

/// The folders whose events concern `paths`: of a file its parent, since editors
/// replace the file itself; of a symlink also where it leads; of a folder
/// itself and its parent, since it may be made later.
fn folders(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for path in paths {
        let real = path.canonicalize().ok();
        for path in [Some(path.clone()), real].into_iter().flatten() {
            folders.extend(path.is_dir().then(|| path.clone()));
            folders.extend(
                path.parent()
                    .map(|parent| match parent.as_os_str().is_empty() {
                        true => PathBuf::from("."),
                        false => parent.to_owned(),
                    }),
            );
        }
    }
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.dedup();
    folders
}

/// A number that changes with the content of `paths`: files, and the `.wasm`
/// files of folders.
pub fn fingerprint(paths: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path)
                .into_iter()
                .flatten()
                .filter_map(Result::ok);
            let mut files: Vec<_> = entries
                .map(|entry| entry.path())
                .filter(|file| is_wasm(file))
                .collect();
            files.sort();
            for file in files {
                hash(&file, &mut hasher);
            }
        } else {
            hash(path, &mut hasher);
        }
    }
    hasher.finish()
}

fn is_wasm(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "wasm")
}

fn hash(file: &Path, hasher: &mut DefaultHasher) {
    file.hash(hasher);
    std::fs::read(file).ok().hash(hasher);
}
