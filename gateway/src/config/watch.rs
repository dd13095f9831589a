//! Tells when files or folders may have changed, and whether whoever changes them is
//! done. The only user of notify.
//!
//! Any event of a watched folder, and a slow rescan beside them, mean no more
//! than "look again": editors write, rename and replace, mounts swap symlinks,
//! and some filesystems send nothing at all. Whether something did change is
//! for [`Fingerprints`] to say; whether it is whole, for [`Rest`]:
//!
//! ```text
//! its writer closed it, or it was renamed into place   at once      (as inotify tells)
//! nobody knows                                         after SETTLE_MS without a change
//! its writer has it open                               after HELD_MS without a change
//! ```
//! Half a file may be sound YAML without its `keys`, so no guess is made that it is whole.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, WatcherKind};
use tokio::sync::mpsc;

/// How long after the last event one looks, in ms: an editor's save is a burst.
const DEBOUNCE_MS: u64 = 200;

/// How long a burst is waited out at most, in ms: a log file that grows in the
/// same folder never stops.
const BURST_MS: u64 = 1_000;

/// How often one looks without any event, in ms: network and container mounts
/// report none.
const RESCAN_MS: u64 = 5_000;

/// How long a file must stay as it is where nobody tells that it was closed, in ms:
/// longer than a program that writes piece by piece pauses.
const SETTLE_MS: u64 = 1_000;

/// The same where its writer still has it open, in ms: some programs never close, and
/// what they wrote should count at some time.
const HELD_MS: u64 = 10_000;

/// Watches paths.
#[derive(Debug)]
pub struct Watcher {
    events: mpsc::Receiver<()>,
    /// None where the platform cannot watch; the rescan remains.
    _notify: Option<RecommendedWatcher>,
}

/// How soon one looks without any event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Every few seconds.
    #[default]
    Usual,
    /// As soon as a file may have come to rest.
    Soon,
}

impl Watcher {
    /// Watch `paths`, files or folders, existing or not. What happens to the files
    /// `apart` means nothing: they may lie in a watched folder and change all the time.
    /// What is told of writers is noted in `writers`.
    pub fn new(paths: &[PathBuf], apart: &[&Path], writers: &Writers) -> Self {
        // One waiting "look again" is as good as many.
        let (sender, events) = mpsc::channel(1);
        let apart = apart.iter().filter_map(|path| path.file_name());
        let apart: Vec<_> = apart.map(OsStr::to_owned).collect();
        let writers = writers.clone();
        let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = &event {
                if means_nothing(event, &apart) {
                    return;
                }
                writers.note(event);
            }
            let _ = sender.try_send(());
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
    pub async fn changed(&mut self, pace: Pace) {
        let rescan = Duration::from_millis(match pace {
            Pace::Usual => RESCAN_MS,
            Pace::Soon => SETTLE_MS,
        });
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
    let is_read = matches!(event.kind, EventKind::Access(_)) && !is_close(event);
    let is_apart = |path: &PathBuf| apart.iter().any(|name| path.file_name() == Some(name));
    is_read || (!event.paths.is_empty() && event.paths.iter().all(is_apart))
}

/// Whether a writer closed a file.
fn is_close(event: &notify::Event) -> bool {
    event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write))
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
            folders.extend(path.parent().map(named));
        }
    }
    // By one name each, so that events have the names that are looked for.
    let mut folders: Vec<_> = folders
        .iter()
        .filter_map(|folder| folder.canonicalize().ok())
        .filter(|folder| folder.is_dir())
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

/// The folder of a name without one is the current one.
fn named(folder: &Path) -> PathBuf {
    match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    }
}

// === Writers ===

/// What events tell of files' writers. Knows nothing where events do not tell of
/// closing, or where there are none.
#[derive(Clone, Debug, Default)]
pub struct Writers(Arc<Mutex<HashMap<PathBuf, Writer>>>);

/// What is known of a file's writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It has the file open.
    Writes,
    /// It is done.
    Done,
}

impl Writers {
    fn note(&self, event: &notify::Event) {
        if RecommendedWatcher::kind() != WatcherKind::Inotify {
            return;
        }
        let writer = match event.kind {
            _ if is_close(event) => Writer::Done,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Writer::Done,
            EventKind::Modify(ModifyKind::Data(_)) => Writer::Writes,
            // A link is made without ever being open.
            EventKind::Create(_) if event.paths.iter().all(|path| is_empty(path)) => Writer::Writes,
            _ => return,
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(event.paths.iter().map(|path| (path.clone(), writer)));
    }

    fn of(&self, path: &Path) -> Option<Writer> {
        let folder = path.parent().map(named)?.canonicalize().ok();
        let own = folder.zip(path.file_name());
        let own = own.map(|(folder, name)| folder.join(name));
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = [own, path.canonicalize().ok()].into_iter().flatten();
        let told: Vec<_> = names.filter_map(|name| known.get(&name)).copied().collect();
        let writes = told.iter().find(|writer| **writer == Writer::Writes);
        writes.or(told.first()).copied()
    }

    /// What was done is known; of what is written next nothing was told.
    pub fn forget_those_done(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, writer| *writer == Writer::Writes);
    }
}

fn is_empty(path: &Path) -> bool {
    let about = path.symlink_metadata();
    about.is_ok_and(|about| about.is_file() && about.len() == 0)
}

// === Rest ===

/// Since when files are as they are.
#[derive(Debug, Default)]
pub struct Rest(Option<(Fingerprints, Instant)>);

/// Whether what changed is whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Whole,
    /// Nobody knows yet.
    Settling,
    /// Of these files there is more to come.
    BeingWritten(Vec<PathBuf>),
}

impl Rest {
    /// Whether the files `changed` are whole at the time `at`, when all are as `now`.
    pub fn readiness(
        &mut self,
        now: &Fingerprints,
        changed: &[PathBuf],
        writers: &Writers,
        at: Instant,
    ) -> Readiness {
        let since = match &self.0 {
            Some((before, since)) if before == now => *since,
            _ => self.0.insert((now.clone(), at)).1,
        };
        let rested = at.saturating_duration_since(since);
        let told = changed.iter().map(|path| (path, writers.of(path)));
        let (mut is_settling, mut written) = (false, Vec::new());
        for (path, writer) in told {
            let needed = match writer {
                Some(Writer::Done) => 0,
                None => SETTLE_MS,
                Some(Writer::Writes) => HELD_MS,
            };
            if rested >= Duration::from_millis(needed) {
                continue;
            }
            is_settling = true;
            if writer.is_some() {
                written.push(path.clone());
            }
        }
        match (is_settling, written.is_empty()) {
            (false, _) => Readiness::Whole,
            (true, true) => Readiness::Settling,
            (true, false) => Readiness::BeingWritten(written),
        }
    }
}

// === Fingerprints ===

/// Numbers that change with the contents of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints(BTreeMap<PathBuf, u64>);

impl Fingerprints {
    /// Those of `paths`: files, and the `.wasm` files of folders.
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut prints = BTreeMap::new();
        for path in paths {
            match path.is_dir() {
                true => prints.extend(components(path).map(|file| (file.clone(), print(&file)))),
                false => drop(prints.insert(path.clone(), print(path))),
            }
        }
        Self(prints)
    }

    /// The files that are not as in `other`, or not there.
    pub fn differing(&self, other: &Self) -> Vec<PathBuf> {
        let changed = |(path, print): &(&PathBuf, &u64)| other.0.get(*path) != Some(*print);
        let gone = other.0.keys().filter(|path| !self.0.contains_key(*path));
        let changed = self.0.iter().filter(changed).map(|(path, _)| path);
        changed.chain(gone).cloned().collect()
    }

    /// Those of `paths`, of which what is known already counts.
    pub fn extended_to(&self, paths: &[PathBuf]) -> Self {
        let mut all = Self::of(paths);
        for (path, print) in &mut all.0 {
            if let Some(known) = self.0.get(path) {
                *print = *known;
            }
        }
        all
    }
}

fn components(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|file| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    })
}

fn print(file: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::fs::read(file).ok().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(content: u64) -> Fingerprints {
        Fingerprints([(PathBuf::from("/a"), content)].into())
    }

    /// What is told of the writer; then what the file holds, at which ms, and what that
    /// means.
    fn check(writer: Option<Writer>, looks: &[(u64, u64, &Readiness)]) {
        let file = PathBuf::from("/a");
        let writers = Writers::default();
        let known = writer.map(|writer| (file.clone(), writer));
        writers.0.lock().expect("nobody else").extend(known);
        let mut rest = Rest::default();
        let start = Instant::now();
        for (content, ms, expected) in looks {
            let at = start + Duration::from_millis(*ms);
            let changed = std::slice::from_ref(&file);
            let said = rest.readiness(&prints(*content), changed, &writers, at);
            assert_eq!(said, **expected, "{writer:?} at {ms}");
        }
    }

    #[test]
    fn what_nobody_closed_must_rest() {
        let (whole, settling) = (Readiness::Whole, Readiness::Settling);
        let written = Readiness::BeingWritten(vec![PathBuf::from("/a")]);
        check(Some(Writer::Done), &[(1, 0, &whole)]);
        check(
            None,
            &[
                (1, 0, &settling),
                (1, 999, &settling),
                (2, 1_500, &settling),
                (2, 2_499, &settling),
                (2, 2_500, &whole),
            ],
        );
        check(
            Some(Writer::Writes),
            &[
                (1, 0, &written),
                (1, 9_999, &written),
                (2, 10_000, &written),
                (2, 20_000, &whole),
            ],
        );
    }

    #[test]
    fn files_that_came_went_and_changed_differ() {
        let prints = |list: &[(&str, u64)]| {
            Fingerprints(list.iter().map(|(file, n)| (file.into(), *n)).collect())
        };
        let old = prints(&[("same", 1), ("changed", 1), ("gone", 1)]);
        let new = prints(&[("same", 1), ("changed", 2), ("come", 1)]);
        let differing = new.differing(&old);
        assert_eq!(differing, ["changed", "come", "gone"].map(PathBuf::from));
        assert_eq!(new.differing(&new), Vec::<PathBuf>::new());
    }
}
