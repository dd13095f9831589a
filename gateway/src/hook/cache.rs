//! Machine code of hooks that were compiled before, so that a Python hook slows
//! the start once and not twice.
//!
//! Wasmtime keeps it by the component's bytes and the engine's own version and
//! settings. What lies there is run: so the folder must be this user's and nobody
//! else's, or there is no cache. Wasmtime tidies up, and deletes whatever else it finds
//! there: so the folder is one that nobody has a use for.

use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// Names the folder; empty for no cache.
const VARIABLE: &str = "SLUICE_CACHE";

/// The folder in it, or where the user's caches are, that is wasmtime's alone.
const COMPILED: &str = "compiled";

/// The cache, if there is a place for it.
pub(super) fn open() -> Option<Cache> {
    let folder = folder()?;
    let compiled = folder.join(COMPILED);
    let prepared = prepare(&folder).and_then(|()| prepare(&compiled));
    let opened = prepared.and_then(|()| {
        let mut config = CacheConfig::new();
        config.with_directory(&compiled);
        Cache::new(config).map_err(|error| error.to_string())
    });
    match opened {
        Ok(cache) => Some(cache),
        Err(why) => {
            tracing::warn!(folder = %folder.display(), why, "Compiled hooks are not kept.");
            None
        }
    }
}

/// `$SLUICE_CACHE`, or `sluice/hooks` where the user's caches are.
fn folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    match variable(VARIABLE) {
        Some(folder) if folder.as_os_str().is_empty() => None,
        Some(folder) => Some(folder),
        None => {
            let caches =
                variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
            Some(caches?.join("sluice/hooks"))
        }
    }
}

/// Make the folder, and see that it is private.
fn prepare(folder: &Path) -> Result<(), String> {
    make(folder).map_err(|error| error.to_string())?;
    let kind = std::fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !kind.is_dir() {
        return Err("it is no folder".into());
    }
    private(&kind)
}

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(unix)]
fn private(kind: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    if kind.uid() != rustix::process::geteuid().as_raw() {
        return Err("another user owns it".into());
    }
    if kind.mode() & 0o022 != 0 {
        return Err("other users may write into it".into());
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_kind: &std::fs::Metadata) -> Result<(), String> {
    Ok(())
}
