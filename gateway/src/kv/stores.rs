//! The stores that are open. The same settings lead to the same store for as long
//! as somebody holds it, so that what it keeps survives a reload.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::disk::File;
use super::{Disk, Memory, Redis, Store};
use crate::config::{KV_MEMORY_BYTES_MAX, KvStore};

/// The stores that are open.
#[derive(Debug, Default)]
pub struct Stores {
    /// Nothing outside the process is touched: memory stands in for every store.
    is_rehearsal: bool,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    stores: Vec<(KvStore, Weak<dyn Store>)>,
    /// A file can be open once; two limits may hold for it, before and after a
    /// reload.
    files: Vec<(PathBuf, Weak<File>)>,
}

impl Stores {
    /// What opens no file and no connection, and finds the mistakes that can be
    /// found so.
    pub fn rehearsal() -> Self {
        Self {
            is_rehearsal: true,
            ..Self::default()
        }
    }

    /// The store with these settings.
    ///
    /// # Errors
    /// Why there is none. A server that cannot be reached is no reason: it may yet
    /// come.
    pub fn open(&self, settings: &KvStore) -> Result<Arc<dyn Store>, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.stores.retain(|(_, store)| store.strong_count() > 0);
        let same = |(known, _): &&(KvStore, _)| known == settings;
        if let Some(store) = open
            .stores
            .iter()
            .find(same)
            .and_then(|(_, it)| it.upgrade())
        {
            return Ok(store);
        }
        if self.is_rehearsal {
            rehearse(settings)?;
            return Ok(Arc::new(Memory::new(KV_MEMORY_BYTES_MAX as usize)));
        }
        let store: Arc<dyn Store> = match settings {
            KvStore::Memory { bytes_max } => Arc::new(Memory::new(*bytes_max)),
            KvStore::Disk { path, bytes_max } => Arc::new(Disk::new(open.file(path)?, *bytes_max)),
            KvStore::Redis { url } => Arc::new(Redis::new(url)?),
        };
        open.stores.push((settings.clone(), Arc::downgrade(&store)));
        Ok(store)
    }
}

impl Open {
    fn file(&mut self, path: &Path) -> Result<Arc<File>, String> {
        self.files.retain(|(_, file)| file.strong_count() > 0);
        let known = self.files.iter().find(|(known, _)| known == path);
        if let Some(file) = known.and_then(|(_, file)| file.upgrade()) {
            return Ok(file);
        }
        let file = Arc::new(File::open(path)?);
        self.files.push((path.to_owned(), Arc::downgrade(&file)));
        Ok(file)
    }
}

/// What the settings alone can tell.
fn rehearse(settings: &KvStore) -> Result<(), String> {
    match settings {
        KvStore::Memory { .. } => Ok(()),
        KvStore::Disk { path, .. } => {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) || path.is_dir() {
                return Err(format!("no file can be at `{}`", path.display()));
            }
            Ok(())
        }
        KvStore::Redis { url } => Redis::new(url).map(drop),
    }
}
