//! The ways in which people and programs write files, and break them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_tests::guests::GUEST_CAP_TO_SEVEN;

use super::hook_file;

/// Longest pause between two pieces of a file: longer than the gateway waits for a burst
/// of events to end, so that it does see halves.
const PAUSE_MS_MAX: u64 = 250;

/// The folder of a gateway.
pub(super) struct Files {
    folder: PathBuf,
    rng: fastrand::Rng,
    links: usize,
}

/// A way to break a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Yaml,
    Field,
    Upstream,
    Hook,
    Component,
    Half,
    Empty,
    Missing,
}

impl Broken {
    pub(super) const ALL: [Self; 8] = [
        Self::Yaml,
        Self::Field,
        Self::Upstream,
        Self::Hook,
        Self::Component,
        Self::Half,
        Self::Empty,
        Self::Missing,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Yaml => "no YAML",
            Self::Field => "an unknown setting",
            Self::Upstream => "an unknown upstream",
            Self::Hook => "a missing hook",
            Self::Component => "a hook that is none",
            Self::Half => "half a file",
            Self::Empty => "an empty file",
            Self::Missing => "no file",
        }
    }
}

impl Files {
    pub(super) fn new(folder: &Path, rng: fastrand::Rng) -> Self {
        Self {
            folder: folder.to_owned(),
            rng,
            links: 0,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("sluice.yaml")
    }

    /// Write `text` in one way or another; in which.
    pub(super) async fn write(&mut self, text: &str) -> &'static str {
        let file = self.file();
        match self.rng.u32(..6) {
            0 => {
                fs::write(&file, text).expect("it takes a file");
                "written over"
            }
            1 => {
                self.in_pieces(text).await;
                "written in pieces"
            }
            2 => {
                let next = self.folder.join("next");
                fs::write(&next, text).expect("it takes a file");
                fs::rename(next, file).expect("one file system");
                "renamed over"
            }
            3 => {
                self.link(text);
                "linked anew"
            }
            4 => {
                let _ = fs::remove_file(&file);
                self.pause().await;
                fs::write(&file, text).expect("it takes a file");
                "deleted and put back"
            }
            _ => {
                // What an editor keeps beside the file, and never takes away.
                for other in [".sluice.yaml.swp", "sluice.yaml~"] {
                    fs::write(self.folder.join(other), text).expect("it takes a file");
                }
                fs::write(&file, text).expect("it takes a file");
                "with files that stay beside it"
            }
        }
    }

    async fn in_pieces(&mut self, text: &str) {
        use std::io::Write;
        let mut file = fs::File::create(self.file()).expect("it takes a file");
        let pieces = self.rng.usize(2..4);
        let length = text.len().div_ceil(pieces);
        for (at, piece) in text.as_bytes().chunks(length).enumerate() {
            if at > 0 {
                self.pause().await;
            }
            file.write_all(piece).expect("it takes more");
        }
    }

    async fn pause(&mut self) {
        let ms = self.rng.u64(1..PAUSE_MS_MAX);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn link(&mut self, text: &str) {
        let name = |number: usize| format!("linked-{number}");
        self.links += 1;
        let (this, next) = (name(self.links), self.folder.join("next"));
        fs::write(self.folder.join(&this), text).expect("it takes a file");
        symlink(this, &next).expect("it takes a link");
        fs::rename(next, self.file()).expect("one file system");
        let _ = fs::remove_file(self.folder.join(name(self.links - 1)));
    }

    /// Put the hook's other component into the folder, or take it away, beside `text`,
    /// which the file says already unless it was broken.
    pub(super) fn swap_hook(&self, text: &str, is_replaced: bool) -> &'static str {
        fs::write(self.file(), text).expect("it takes a file");
        let file = hook_file(&self.folder);
        if is_replaced {
            let next = self.folder.join("next");
            fs::copy(GUEST_CAP_TO_SEVEN, &next).expect("it was built");
            fs::rename(next, file).expect("one file system");
            "a component put into the folder"
        } else {
            fs::remove_file(file).expect("it is there");
            "a component taken away"
        }
    }

    /// Break `sound`; what the gateway must say of it.
    pub(super) fn break_off(&mut self, broken: Broken, sound: &str, number: usize) -> String {
        let sure = "it takes a file";
        let name = format!("gone-{number}");
        let (text, said) = match broken {
            Broken::Yaml => (format!("{sound}{name}: ["), "not YAML".to_owned()),
            Broken::Field => (format!("{sound}{name}: 1\n"), name),
            Broken::Upstream => {
                let said = format!("no upstream named `{name}`");
                (format!("{sound}  more: {{ upstream: {name} }}\n"), said)
            }
            Broken::Hook => {
                let said = format!("no bundled hook named `{name}`");
                let entry = format!("    - {name}\n    - inject-usage\n");
                (sound.replace("    - inject-usage\n", &entry), said)
            }
            Broken::Component => {
                let file = self.folder.join("hooks/broken.wasm");
                fs::write(file, &name).expect(sure);
                return "no WebAssembly component".to_owned();
            }
            Broken::Half => {
                // Any beginning but the whole of it: the last line counts.
                let end = self.rng.usize(1..sound.len() - 3);
                (sound[..end].to_owned(), String::new())
            }
            Broken::Empty => (String::new(), String::new()),
            Broken::Missing => {
                let _ = fs::remove_file(self.file());
                return "cannot be read".to_owned();
            }
        };
        fs::write(self.file(), text).expect(sure);
        said
    }

    /// Take the broken component away.
    pub(super) fn mend_hook(&self) {
        let file = self.folder.join("hooks/broken.wasm");
        fs::remove_file(file).expect("it is there");
    }
}
