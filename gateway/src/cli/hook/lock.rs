//! `sluice hook lock`

use std::path::Path;

use super::difference::marked;
use super::{Report, write};
use crate::app::{self, Locking, Overrides, Source};
use crate::config::HOOK_LOCK;
use crate::hook::Lock;

/// Write the lock file of the chain that `config` and its folder make, whatever a
/// lock file said before.
///
/// # Errors
/// Whatever `serve` would end with, or why the file cannot be written.
pub fn lock(config: Option<&Path>, overrides: Overrides) -> Result<Report, String> {
    let Some(config) = config else {
        return Err(
            "there is no config file to write `hooks.lock` beside; name one with `--config`".into(),
        );
    };
    let source = Source::File(config.to_owned());
    let loaded = app::hooks(source, overrides, Locking::Ignored);
    let (chain, _) = loaded.map_err(|error| error.to_string())?;
    let folder = config.parent().unwrap_or(Path::new(""));
    let hooks = chain.describe();
    let text = Lock::text(folder, hooks.iter().cloned().zip(chain.entries()));
    let file = folder.join(HOOK_LOCK);
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    write(&file, &text)?;
    let mut lines = vec![format!("{}:", file.display())];
    lines.extend(marked(&Lock::summary(&before), &Lock::summary(&text)));
    Ok(Report::good(&lines))
}
