//! `prices`: what a target's tokens cost. The catalogue has none: prices change, and
//! one that is wrong unnoticed is worse than one that is missing and warned about.

use sluice_codec::ir::Usage;

use super::document::Node;
use super::keys::NANO_USD;
use super::native::settings;

/// Prices are written per so many tokens, as vendors do.
const TOKENS: f64 = 1e6;

/// The prices, by pattern of targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices(Vec<(String, Price)>);

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
    /// The price of the target `upstream/model`: that of the longest pattern.
    pub fn of(&self, target: &str) -> Option<Price> {
        let matching = |(pattern, _): &&(String, Price)| crate::route::matches(pattern, target);
        let found = self.0.iter().filter(matching);
        found
            .max_by_key(|(pattern, _)| pattern.len())
            .map(|(_, price)| *price)
    }
}

impl Prices {
    /// `target` costs `price` from now on.
    pub(super) fn set(&mut self, target: String, price: Price) {
        self.0.retain(|(known, _)| *known != target);
        self.0.push((target, price));
    }

    /// All of them, in US dollars per million tokens: input, output, cache read, cache
    /// write.
    pub(super) fn per_million(&self) -> impl Iterator<Item = (&str, [f64; 4])> {
        self.0.iter().map(|(target, price)| {
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

impl Price {
    /// From US dollars per token; what caches read and write costs like the rest of the
    /// prompt unless something is said.
    pub(super) fn of_tokens(
        input: f64,
        output: f64,
        cache_read: Option<f64>,
        cache_write: Option<f64>,
    ) -> Self {
        // As if it had been written per million, so that both ways lead to one number.
        let price = |usd: f64| rounded(usd * TOKENS) / TOKENS * NANO_USD;
        Self {
            input: price(input),
            output: price(output),
            cache_read: price(cache_read.unwrap_or(input)),
            cache_write: price(cache_write.unwrap_or(input)),
        }
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
    Prices(
        prices
            .filter_map(|(name, node)| Some((name, price(&node)?)))
            .collect(),
    )
}

fn price(node: &Node<'_>) -> Option<Price> {
    let members = node.object(&settings::PRICE);
    let price = |name: &str| {
        let usd = members.get(name)?.number()?;
        Some(usd / TOKENS * NANO_USD)
    };
    let (Some(_), Some(_)) = (members.get("input"), members.get("output")) else {
        let help = "write US dollars per million tokens: `{ input: 0.6, output: 2.5 }`";
        node.error("a price has `input` and `output`", Some(help.into()));
        return None;
    };
    let input = price("input")?;
    Some(Price {
        input,
        output: price("output")?,
        cache_read: price("cache_read").unwrap_or(input),
        cache_write: price("cache_write").unwrap_or(input),
    })
}
