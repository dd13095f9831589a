//! What a target's tokens cost: `prices` of the file, and where that is silent the list
//! prices of the catalogue's vendors, at their own places alone.

use sluice_codec::ir::Usage;

use serde::Deserialize;

use super::Upstream;
use super::catalogue::Catalogue;
use super::document::Node;
use super::keys::NANO_USD;
use super::native::settings;

/// Prices are written per so many tokens, as vendors do.
const TOKENS: f64 = 1e6;

/// The prices, by pattern of targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    own: Vec<(String, Price)>,
    listed: Vec<(String, Price)>,
}

/// A list price of the catalogue, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListPrice {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cache_read: Option<f64>,
    pub(super) cache_write: Option<f64>,
}

/// What a token costs, in billionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Of the prompt, neither read from a cache nor written to one.
    pub input: f64,
    /// Of the answer, reasoning included.
    pub output: f64,
    /// Of the prompt, read from a cache.
    pub cache_read: f64,
    /// Of the prompt, written to a cache.
    pub cache_write: f64,
}

impl Prices {
    /// The price of the target `upstream/model`: that of the longest pattern, of the
    /// file's if one matches.
    pub fn of(&self, target: &str) -> Option<Price> {
        let longest = |prices: &[(String, Price)]| {
            let found = prices.iter();
            let found = found.filter(|(pattern, _)| crate::route::matches(pattern, target));
            let longest = found.max_by_key(|(pattern, _)| pattern.len());
            longest.map(|(_, price)| *price)
        };
        longest(&self.own).or_else(|| longest(&self.listed))
    }

    /// With the list prices of those `upstreams` that are their vendors' own places.
    pub(super) fn and_listed(mut self, upstreams: &[Upstream], catalogue: &Catalogue) -> Self {
        for upstream in upstreams {
            let row = catalogue.row(&upstream.provider);
            let row = row.filter(|row| row.base_url.as_ref() == Some(&upstream.base_url));
            let prices = row.into_iter().flat_map(|row| &row.prices);
            let prices = prices.map(|(model, listed)| {
                let pattern = format!("{}/{model}", upstream.name);
                (pattern, listed.price())
            });
            self.listed.extend(prices);
        }
        self
    }

    /// `target` costs `price` from now on.
    pub(super) fn set(&mut self, target: String, price: Price) {
        self.own.retain(|(known, _)| *known != target);
        self.own.push((target, price));
    }

    /// All of them, in US dollars per million tokens: input, output, cache read, cache
    /// write.
    pub(super) fn per_million(&self) -> impl Iterator<Item = (&str, [f64; 4])> {
        self.own.iter().map(|(target, price)| {
            let parts = [
                price.input,
                price.output,
                price.cache_read,
                price.cache_write,
            ];
            (
                target.as_str(),
                parts.map(|part| rounded(part / NANO_USD * TOKENS)),
            )
        })
    }
}

/// Without what arithmetic adds far behind the point.
fn rounded(usd: f64) -> f64 {
    const PARTS: f64 = 1e9;
    (usd * PARTS).round() / PARTS
}

impl ListPrice {
    fn price(&self) -> Price {
        Price::per_million(self.input, self.output, self.cache_read, self.cache_write)
    }
}

impl Price {
    /// From US dollars per million tokens; what caches read and write costs like the
    /// rest of the prompt unless something is said.
    fn per_million(
        input: f64,
        output: f64,
        cache_read: Option<f64>,
        cache_write: Option<f64>,
    ) -> Self {
        let price = |usd: f64| usd / TOKENS * NANO_USD;
        Self {
            input: price(input),
            output: price(output),
            cache_read: price(cache_read.unwrap_or(input)),
            cache_write: price(cache_write.unwrap_or(input)),
        }
    }

    /// The same from US dollars per token, as if it had been written per million, so
    /// that both ways lead to one number.
    pub(super) fn of_tokens(
        input: f64,
        output: f64,
        cache_read: Option<f64>,
        cache_write: Option<f64>,
    ) -> Self {
        let usd = |usd: f64| rounded(usd * TOKENS);
        let (cache_read, cache_write) = (cache_read.map(usd), cache_write.map(usd));
        Self::per_million(usd(input), usd(output), cache_read, cache_write)
    }

    /// What `usage` costs, in billionths of a US dollar.
    pub fn of(&self, usage: &Usage) -> u64 {
        let parts = [
            (usage.input, self.input),
            (usage.output, self.output),
            (usage.cache_read, self.cache_read),
            (usage.cache_write, self.cache_write),
        ];
        let cost = parts.iter().map(|(tokens, price)| *tokens as f64 * price);
        cost.sum::<f64>().round() as u64
    }
}

pub(super) fn read(node: &Node<'_>) -> Prices {
    let prices = node.members().into_iter();
    Prices {
        own: prices
            .filter_map(|(name, node)| Some((name, price(&node)?)))
            .collect(),
        listed: Vec::new(),
    }
}

fn price(node: &Node<'_>) -> Option<Price> {
    let members = node.object(&settings::PRICE);
    let usd = |name: &str| members.get(name)?.number();
    let (Some(_), Some(_)) = (members.get("input"), members.get("output")) else {
        let help = "write US dollars per million tokens: `{ input: 0.6, output: 2.5 }`";
        node.error("a price has `input` and `output`", Some(help.into()));
        return None;
    };
    Some(Price::per_million(
        usd("input")?,
        usd("output")?,
        usd("cache_read"),
        usd("cache_write"),
    ))
}
