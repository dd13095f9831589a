//! `sluice keys`: keys for clients. A key is shown once, when it is made.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};

pub use super::hook::Report;
use super::hook::read_text;
use crate::calendar::Day;
use crate::config::{self, Budget, Client, Config, keys_file};

/// What a key begins with, so that people and scanners know what it is.
const PREFIX: &str = "sk-sluice-";

/// Random bytes of a key: nobody guesses 256 bits.
const KEY_BYTES: usize = 32;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key, show it once, and write its hash into `keys_file`.
    ///
    /// Without a configuration, or where it has no `keys_file`, the entry is printed,
    /// to be put under `keys`.
    #[command(verbatim_doc_comment)]
    Add(Add),
    /// Show whose keys there are, and what they may do.
    List {
        /// The native configuration.
        #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: PathBuf,
    },
    /// Make another key for who has one, show it once; the one of now is good for some days more.
    Rotate {
        /// Whose.
        name: String,
        /// The native configuration.
        #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: PathBuf,
        /// Days for which the key of now is still good; 0: no longer.
        #[arg(long, value_name = "DAYS", default_value_t = 7)]
        keep_days: u32,
        /// The last day on which the new one is good (UTC); default: that of the key of now.
        #[arg(long, value_name = "DAY")]
        expires: Option<Day>,
    },
    /// Take a key out of `keys_file`; a running gateway refuses it at once.
    Revoke {
        /// Whose.
        name: String,
        /// The native configuration.
        #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: PathBuf,
    },
}

/// A key that is to be made.
#[derive(Debug, Args)]
pub struct Add {
    /// Whose: letters, digits and `-_.@`.
    pub name: String,
    /// The native configuration.
    #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Patterns of the models that it may ask for, with commas between; default: all.
    #[arg(long, value_delimiter = ',', value_name = "PATTERNS")]
    pub models: Vec<String>,
    /// Calls at once.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub calls_max: Option<usize>,
    /// Calls within one minute.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests_per_minute: Option<u64>,
    /// Tokens within one minute.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub tokens_per_minute: Option<u64>,
    /// `20usd/month`, `500000tokens/day`, `5usd/total`.
    #[arg(long, value_name = "BUDGET")]
    pub budget: Option<Budget>,
    /// The last day on which it is good (UTC), such as `2026-12-31`.
    #[arg(long, value_name = "DAY")]
    pub expires: Option<Day>,
    /// It may see `/admin` and `/metrics`, too.
    #[arg(long)]
    pub admin: bool,
}

/// Run one of the commands.
///
/// # Errors
/// What is wrong with the file, or with what is wanted.
pub fn run(command: Command) -> Result<Report, String> {
    match command {
        Command::Add(add) => add.run(),
        Command::List { config } => list(&config),
        Command::Rotate {
            name,
            config,
            keep_days,
            expires,
        } => rotate(&name, &config, keep_days, expires),
        Command::Revoke { name, config } => revoke(&name, &config),
    }
}

impl Add {
    fn run(self) -> Result<Report, String> {
        let key = new_key()?;
        let mut client = Client::named(&self.name, &key)?;
        client.models = self.models;
        client.calls_max = self.calls_max;
        client.requests_per_minute = self.requests_per_minute;
        client.tokens_per_minute = self.tokens_per_minute;
        client.budget = self.budget;
        client.is_admin = self.admin;
        client.expires = self.expires;
        let entry = keys_file::entry(&client);
        let place = self.config.as_deref().map(load).transpose()?;
        let known = place.iter().flat_map(|config| config.keys.list());
        if known.into_iter().any(|known| known.name == self.name) {
            return Err(format!("there is a key named `{}` already", self.name));
        }
        let Some(file) = place.and_then(|config| config.keys_file) else {
            let help = "The key, which is shown this once:";
            let put = "Its entry, to be put under `keys`:";
            return Ok(Report::good(&[help, &key, put, &entry].map(str::to_owned)));
        };
        let text = match file.exists() {
            true => read_text(&file)?,
            false => String::new(),
        };
        let text = keys_file::added(&text, &entry).map_err(|why| in_file(&file, &why))?;
        write(&file, &text)?;
        let written = format!("Its entry is in {}:", file.display());
        let help = "The key, which is shown this once:".to_owned();
        Ok(Report::good(&[help, key, written, entry]))
    }
}

fn new_key() -> Result<String, String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(PREFIX.to_owned() + &hex.collect::<String>())
}

fn list(config: &Path) -> Result<Report, String> {
    let config = load(config)?;
    let clients = config.keys.list().iter();
    let lines: Vec<_> = clients
        .map(|client| {
            let name = match client.name.as_str() {
                "" => "(without a name)",
                name => name,
            };
            format!("{name:24} {}", client.terms())
        })
        .collect();
    Ok(match lines.is_empty() {
        true => Report::good(&["no keys".to_owned()]),
        false => Report::good(&lines),
    })
}

fn rotate(name: &str, path: &Path, keep_days: u32, expires: Option<Day>) -> Result<Report, String> {
    let config = load(path)?;
    let mut known = config.keys.list().iter();
    let known = known.find(|client| client.name == name && !name.is_empty());
    let mut client = Client::clone(known.ok_or_else(|| no_such_key(name))?);
    let key = new_key()?;
    let now = SystemTime::now();
    client.rotate(&key, (keep_days > 0).then(|| Day::of(now).after(keep_days)));
    client.expires = expires.or(client.expires);
    if let Some(day) = client.expires.filter(|day| day.is_over(now)) {
        return Err(format!(
            "the new key would have expired, too, after {day}; say `--expires DAY`"
        ));
    }
    let entry = keys_file::entry(&client);
    let shown = "The key, which is shown this once:".to_owned();
    let Some((file, text)) = without(&config, name)? else {
        let help = in_itself(name, path, "put this in its place there:");
        return Ok(Report::good(&[shown, key, help, entry]));
    };
    let text = keys_file::added(&text, &entry).map_err(|why| in_file(file, &why))?;
    write(file, &text)?;
    let written = format!("Its entry is in {}:", file.display());
    Ok(Report::good(&[shown, key, written, entry]))
}

/// The file of keys, and its text without the entry of `name`; none if it has none.
fn without<'c>(config: &'c Config, name: &str) -> Result<Option<(&'c Path, String)>, String> {
    let Some(file) = config.keys_file.as_deref().filter(|file| file.exists()) else {
        return Ok(None);
    };
    let text = keys_file::removed(&read_text(file)?, name);
    let text = text.map_err(|why| in_file(file, &why))?;
    Ok(text.map(|text| (file, text)))
}

fn no_such_key(name: &str) -> String {
    format!("there is no key named `{name}`")
}

fn in_itself(name: &str, path: &Path, help: &str) -> String {
    let path = path.display();
    format!("the key of `{name}` stands in {path} itself; {help}")
}

fn revoke(name: &str, path: &Path) -> Result<Report, String> {
    let config = load(path)?;
    if let Some((file, text)) = without(&config, name)? {
        write(file, &text)?;
        let line = format!("`{name}` is no longer in {}", file.display());
        return Ok(Report::good(&[line]));
    }
    let mut known = config.keys.list().iter();
    Err(match known.any(|client| client.name == name) {
        true => in_itself(name, path, "take it out there"),
        false => no_such_key(name),
    })
}

fn load(path: &Path) -> Result<Config, String> {
    let environment = |name: &str| std::env::var(name).ok();
    let loaded = config::load(path, &environment);
    let loaded = loaded.map_err(|findings| config::lines(&findings).trim_end().to_owned())?;
    Ok(loaded.config)
}

fn in_file(file: &Path, why: &str) -> String {
    format!("{}: {why}", file.display())
}

/// Write the file as a whole or not at all: a gateway may be reading it.
fn write(file: &Path, text: &str) -> Result<(), String> {
    let aside = file.with_extension("new");
    std::fs::write(&aside, text)
        .and_then(|()| std::fs::rename(&aside, file))
        .map_err(|error| in_file(file, &format!("cannot be written: {error}")))
}
