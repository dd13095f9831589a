//! `keys`: who may ask, for which models, and how much of them.
//!
//! A key is kept as its SHA-256 and nothing else. That is enough where keys are random
//! and long, as those of `sluice keys add` are: a slow hash is for what people think
//! up, since only that can be guessed.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::document::Node;
use super::native::settings;
use crate::calendar::Day;
use crate::route;

/// Before the hash of a key.
pub(crate) const HASH_PREFIX: &str = "sha256:";

/// Longest name of a client, in bytes: it is in every log line.
const NAME_BYTES_MAX: usize = 64;

/// Billionths of a US dollar in one: what money is counted in, so that single tokens
/// of cheap models count, and sums are whole numbers.
pub(crate) const NANO_USD: f64 = 1e9;

/// Who may ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    list: Vec<Arc<Client>>,
    /// Nobody may without a key, even if there is none.
    is_demanded: bool,
    /// The file itself says that there are none, rather than nothing of them.
    is_empty_by_word: bool,
}

impl Keys {
    /// Of one client, who may do anything.
    pub(crate) fn of_one(key: &str) -> Self {
        Self {
            list: vec![Arc::new(Client::plain(key))],
            is_demanded: true,
            is_empty_by_word: false,
        }
    }

    /// Whether anybody may ask, without a key.
    pub fn is_open(&self) -> bool {
        !self.is_demanded
    }

    /// Whether anybody may, and the file says so: `keys: []`.
    pub fn is_open_by_word(&self) -> bool {
        self.is_open() && self.is_empty_by_word
    }

    /// The clients, in the order of the file.
    pub fn list(&self) -> &[Arc<Client>] {
        &self.list
    }

    /// Whose key `shown` is. Every key is compared, whichever matches: the time tells
    /// nothing.
    pub fn find(&self, shown: &[u8]) -> Option<Found<'_>> {
        let digest: [u8; 32] = Sha256::digest(shown).into();
        let keys = self.list.iter().flat_map(|client| client.keys());
        keys.fold(None, |found, (known, key)| {
            let is_same = bool::from(known.ct_eq(&digest));
            if is_same { Some(key) } else { found }
        })
    }
}

/// A key that somebody showed.
#[derive(Clone, Copy, Debug)]
pub struct Found<'k> {
    /// Whose it is.
    pub client: &'k Arc<Client>,
    /// The last day on which it is good.
    pub expires: Option<Day>,
}

/// Somebody with a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Its name, in logs; empty of a key that is written alone.
    pub name: String,
    /// SHA-256 of its key.
    digest: [u8; 32],
    /// The last day on which its key is good.
    pub expires: Option<Day>,
    /// The key before, which is still good.
    pub previous: Option<Previous>,
    /// Patterns of the names that it may ask for; empty: all.
    pub models: Vec<String>,
    /// Calls at once.
    pub calls_max: Option<usize>,
    /// Calls that may begin within one minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens, of prompts and answers, within one minute.
    pub tokens_per_minute: Option<u64>,
    /// What it may use up in all, or of a day or month.
    pub budget: Option<Budget>,
    /// Whether it may see what the gateway is doing for everybody.
    pub is_admin: bool,
}

/// A key that another has taken the place of.
#[derive(Clone, Debug, PartialEq)]
pub struct Previous {
    digest: [u8; 32],
    /// The last day on which it is good.
    pub expires: Day,
}

impl Client {
    fn plain(key: &str) -> Self {
        Self {
            name: String::new(),
            digest: Sha256::digest(key.as_bytes()).into(),
            expires: None,
            previous: None,
            models: Vec::new(),
            calls_max: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            budget: None,
            is_admin: true,
        }
    }

    /// `name`, with `key`, who may do anything but see what others do.
    ///
    /// # Errors
    /// It is no name.
    pub(crate) fn named(name: &str, key: &str) -> Result<Self, String> {
        if !is_name(name) {
            return Err(format!("`{name}`: {}", expected_name()));
        }
        Ok(Self {
            name: name.to_owned(),
            is_admin: false,
            ..Self::plain(key)
        })
    }

    /// The hashes of its keys, and what there is to know of each.
    fn keys(self: &Arc<Self>) -> impl Iterator<Item = (&[u8; 32], Found<'_>)> {
        let found = |expires| Found {
            client: self,
            expires,
        };
        let own = (&self.digest, found(self.expires));
        let previous = self.previous.as_ref();
        let previous = previous.map(|it| (&it.digest, found(Some(it.expires))));
        [own].into_iter().chain(previous)
    }

    /// From now on its key is `key`; that of now is good until `kept`, if at all, and no
    /// longer than it was.
    pub(crate) fn rotate(&mut self, key: &str, kept: Option<Day>) {
        let digest = Sha256::digest(key.as_bytes()).into();
        let digest = std::mem::replace(&mut self.digest, digest);
        let own = self.expires;
        self.previous = kept.map(|kept| Previous {
            digest,
            expires: own.map_or(kept, |own| own.min(kept)),
        });
    }

    /// Whether it may ask for `model`.
    pub fn may_ask_for(&self, model: &str) -> bool {
        let bare = route::without_suffix(model);
        let is_it =
            |pattern: &String| route::matches(pattern, model) || route::matches(pattern, bare);
        self.models.is_empty() || self.models.iter().any(is_it)
    }

    /// One with these limits, for tests.
    #[cfg(test)]
    pub(crate) fn with_limits(
        name: &str,
        requests_per_minute: Option<u64>,
        tokens_per_minute: Option<u64>,
        budget: Option<Budget>,
    ) -> Self {
        Self {
            name: name.into(),
            requests_per_minute,
            tokens_per_minute,
            budget,
            ..Self::plain("sk-test")
        }
    }

    /// The hash of its key, as a file has it.
    pub fn hash(&self) -> String {
        hash(&self.digest)
    }

    /// Whether anything of it must be counted.
    pub fn has_limits(&self) -> bool {
        let rates = [self.requests_per_minute, self.tokens_per_minute];
        self.budget.is_some() || rates.iter().any(Option::is_some)
    }

    /// What it may do, in words: `models a, b; 20 requests and 9000 tokens a minute; 5
    /// usd a day`.
    pub fn terms(&self) -> String {
        let mut terms = vec![match self.models.as_slice() {
            [] => "all models".to_owned(),
            models => format!("models {}", models.join(", ")),
        }];
        let rates = [
            ("requests", self.requests_per_minute),
            ("tokens", self.tokens_per_minute),
        ];
        terms.extend(self.calls_max.map(|calls| format!("{calls} calls at once")));
        for (what, rate) in rates {
            terms.extend(rate.map(|rate| format!("{rate} {what} a minute")));
        }
        terms.extend(self.budget.map(|budget| budget.to_string()));
        terms.extend(self.expires.map(|day| format!("until {day}")));
        let previous = self.previous.as_ref();
        terms.extend(previous.map(|it| format!("its key before until {}", it.expires)));
        if self.is_admin && !self.name.is_empty() {
            terms.push("admin".into());
        }
        terms.join("; ")
    }

    /// Whether its budget is one of money.
    pub fn counts_money(&self) -> bool {
        self.budget
            .is_some_and(|budget| matches!(budget.amount, Amount::NanoUsd(_)))
    }

    /// Whether it may go to no target whose price is not known.
    pub fn needs_prices(&self) -> bool {
        let refuses = |budget: Budget| budget.unpriced == Unpriced::Refuse;
        self.counts_money() && self.budget.is_some_and(refuses)
    }
}

impl Previous {
    /// The hash of the key, as a file has it.
    pub fn hash(&self) -> String {
        hash(&self.digest)
    }
}

fn hash(digest: &[u8; 32]) -> String {
    let hex = digest.iter().map(|byte| format!("{byte:02x}"));
    HASH_PREFIX.to_owned() + &hex.collect::<String>()
}

/// What may be used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// So much.
    pub amount: Amount,
    /// And when that begins anew.
    pub per: Period,
    /// What becomes of a call whose cost nobody knows.
    pub unpriced: Unpriced,
}

/// What becomes of a call to a target without a price, where money is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpriced {
    /// The target is passed over: a budget is no bound on what costs nothing.
    #[default]
    Refuse,
    /// It takes nothing from the budget.
    Allow,
}

impl Unpriced {
    /// Both, by name.
    pub const ALL: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("allow", Self::Allow)];
}

/// What is counted, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Tokens of prompts and answers.
    Tokens(u64),
    /// Billionths of a US dollar.
    NanoUsd(u64),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
            Self::NanoUsd(nano) => write!(f, "{} USD", *nano as f64 / NANO_USD),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.per)?;
        match self.unpriced {
            Unpriced::Refuse => Ok(()),
            Unpriced::Allow => f.write_str(", unpriced targets allowed"),
        }
    }
}

/// When a budget begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At midnight, UTC.
    Day,
    /// On the first of a month, at midnight UTC.
    Month,
    /// Never.
    Total,
}

impl Period {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 3] = [
        ("day", Self::Day),
        ("month", Self::Month),
        ("total", Self::Total),
    ];
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "a day",
            Self::Month => "a month",
            Self::Total => "in total",
        })
    }
}

/// As a command line has it: `20usd/month`, `500000tokens/day`.
impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (amount, per) = text.split_once('/')?;
            let (_, per) = Period::ALL.into_iter().find(|(name, _)| *name == per)?;
            let amount = match amount.strip_suffix("usd") {
                Some(usd) => Amount::usd(usd.parse().ok()?)?,
                None => {
                    let tokens = amount.strip_suffix("tokens")?.parse().ok()?;
                    (tokens > 0).then_some(Amount::Tokens(tokens))?
                }
            };
            let unpriced = Unpriced::default();
            Some(Self {
                amount,
                per,
                unpriced,
            })
        };
        parsed().ok_or_else(|| {
            "write it as `20usd/month` or `500000tokens/day`; periods are day, month, total".into()
        })
    }
}

impl Amount {
    fn usd(usd: f64) -> Option<Self> {
        (usd.is_finite() && usd >= 0.0).then_some(Self::NanoUsd((usd * NANO_USD) as u64))
    }
}

/// A budget as a file has it.
pub(super) fn written(budget: Budget) -> String {
    let amount = match budget.amount {
        Amount::Tokens(tokens) => format!("tokens: {tokens}"),
        Amount::NanoUsd(nano) => format!("usd: {}", nano as f64 / NANO_USD),
    };
    let mut periods = Period::ALL.iter();
    let per = periods.find(|(_, per)| *per == budget.per);
    let per = per.map_or("total", |(name, _)| *name);
    let unpriced = match budget.unpriced {
        Unpriced::Refuse => "",
        Unpriced::Allow => ", unpriced: allow",
    };
    format!("budget: {{ {amount}, per: {per}{unpriced} }}")
}

// === reading ===

/// The keys of a file, and of the file beside it that `sluice keys` writes.
pub(super) fn read(own: Option<&Node<'_>>, beside: Option<&Node<'_>>) -> Keys {
    let mut list: Vec<Arc<Client>> = Vec::new();
    let nodes = own.into_iter().chain(beside).flat_map(Node::list);
    for node in nodes {
        let Some(client) = client(&node) else {
            continue;
        };
        let is_named = !client.name.is_empty();
        if is_named && list.iter().any(|known| known.name == client.name) {
            node.error(format!("a second key named `{}`", client.name), None);
        } else if list.iter().any(|known| known.digest == client.digest) && is_named {
            node.error("the same key stands in another entry", None);
        }
        list.push(Arc::new(client));
    }
    let is_empty = |own: &Node<'_>| own.value().as_sequence().is_some_and(Vec::is_empty);
    Keys {
        is_demanded: !list.is_empty() || beside.is_some(),
        is_empty_by_word: own.is_some_and(is_empty),
        list,
    }
}

fn client(node: &Node<'_>) -> Option<Client> {
    if !node.value().is_mapping() {
        return Some(Client::plain(super::native::secret(node)?.expose()));
    }
    let members = node.object(&settings::KEY);
    let digest = digest(node, &members);
    let name = name(node, members.get("name"));
    let count = |name: &str| members.get(name).and_then(|node| node.count(1));
    Some(Client {
        name: name?,
        digest: digest?,
        expires: members.get("expires").and_then(day),
        previous: members.get("previous").and_then(previous),
        models: members.get("models").map(Node::texts).unwrap_or_default(),
        calls_max: count("calls_max").map(super::native::size),
        requests_per_minute: count("requests_per_minute"),
        tokens_per_minute: count("tokens_per_minute"),
        budget: members.get("budget").and_then(budget),
        is_admin: members.get("admin").and_then(Node::flag).unwrap_or(false),
    })
}

fn name(key: &Node<'_>, node: Option<&Node<'_>>) -> Option<String> {
    let help = || Some("say who has the key: it is what logs and hooks are shown".into());
    let Some(node) = node else {
        key.error("no `name`", help());
        return None;
    };
    let name = node.text()?;
    if !is_name(name) {
        node.error(expected_name(), None);
        return None;
    }
    Some(name.to_owned())
}

/// Whether a client can have this name: stores keep it within their keys.
fn is_name(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_fit)
}

fn expected_name() -> String {
    format!("expected at most {NAME_BYTES_MAX} letters, digits and `-_.@`")
}

fn digest(node: &Node<'_>, members: &HashMap<String, Node<'_>>) -> Option<[u8; 32]> {
    match (members.get("key"), members.get("hash")) {
        (Some(key), None) => {
            let key = super::native::secret(key)?;
            Some(Sha256::digest(key.expose().as_bytes()).into())
        }
        (None, Some(hash)) => hashed(hash),
        _ => {
            node.error("expected one of `key` and `hash`", None);
            None
        }
    }
}

fn hashed(node: &Node<'_>) -> Option<[u8; 32]> {
    let digest = parsed(node.text()?);
    if digest.is_none() {
        let help = "`sluice keys add NAME` makes a key and prints its hash";
        let what = format!("expected `{HASH_PREFIX}` and 64 hexadecimal digits");
        node.error(what, Some(help.into()));
    }
    digest
}

fn previous(node: &Node<'_>) -> Option<Previous> {
    let members = node.object(&settings::PREVIOUS);
    let (Some(hash), Some(expires)) = (members.get("hash"), members.get("expires")) else {
        let help = "`sluice keys rotate NAME` writes both";
        node.error("expected `hash` and `expires`", Some(help.into()));
        return None;
    };
    let (digest, expires) = (hashed(hash), day(expires));
    Some(Previous {
        digest: digest?,
        expires: expires?,
    })
}

fn day(node: &Node<'_>) -> Option<Day> {
    let day = node.text()?.parse();
    day.map_err(|why: String| node.error(why, None)).ok()
}

fn parsed(hash: &str) -> Option<[u8; 32]> {
    let hex = hash.strip_prefix(HASH_PREFIX)?;
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

fn budget(node: &Node<'_>) -> Option<Budget> {
    let members = node.object(&settings::BUDGET);
    let amount = match (members.get("tokens"), members.get("usd")) {
        (Some(tokens), None) => tokens.count(1).map(Amount::Tokens),
        (None, Some(usd)) => usd.number().and_then(Amount::usd),
        _ => {
            node.error("expected one of `tokens` and `usd`", None);
            None
        }
    };
    let per = match members.get("per") {
        Some(per) => per.choice(&Period::ALL),
        None => {
            let help = "`day`, `month`, or `total` for once and for all";
            node.error("no `per`", Some(help.into()));
            None
        }
    };
    let unpriced = members.get("unpriced");
    if let (Some(node), Some(Amount::Tokens(_))) = (unpriced, amount) {
        node.error("`unpriced` is of a budget in `usd`", None);
    }
    Some(Budget {
        amount: amount?,
        per: per?,
        unpriced: unpriced
            .and_then(|node| node.choice(&Unpriced::ALL))
            .unwrap_or_default(),
    })
}
