//! Budgets and what calls take of them, in whole units: tokens, or millionths of
//! the money's unit. So the price of a million tokens is that of one in units.

use serde::Deserialize;
use serde_json::{Value, json};

/// What may be spent.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Budget {
    /// Tokens of all kinds.
    Tokens(u64),
    /// Money, in the unit that the prices are in.
    Money(f64),
}

/// In which time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Per {
    Hour,
    Day,
}

/// What a million tokens cost. Those of a cache cost what others do, unless it is
/// said.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
}

impl Budget {
    /// The whole budget.
    pub(crate) fn units(self) -> i64 {
        match self {
            Self::Tokens(tokens) => i64::try_from(tokens).unwrap_or(i64::MAX),
            // A float becomes the nearest whole number that there is.
            Self::Money(money) => (money * 1e6).round() as i64,
        }
    }

    /// What a call takes of it, rounded up.
    pub(crate) fn cost(self, usage: &Usage, price: Option<&Price>) -> i64 {
        let all = [
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_input_tokens,
            usage.cache_creation_input_tokens,
        ];
        match (self, price) {
            (Self::Tokens(_), _) => all.iter().fold(0, |sum: i64, tokens| {
                sum.saturating_add(i64::try_from(*tokens).unwrap_or(i64::MAX))
            }),
            (Self::Money(_), None) => 0,
            (Self::Money(_), Some(price)) => {
                let prices = [
                    price.input,
                    price.output,
                    price.cache_read.unwrap_or(price.input),
                    price.cache_write.unwrap_or(price.input),
                ];
                let parts = all.iter().zip(prices);
                parts
                    .map(|(tokens, price)| *tokens as f64 * price)
                    .sum::<f64>()
                    .ceil() as i64
            }
        }
    }
}

impl Per {
    pub(crate) fn ms(self) -> u64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// The configuration's JSON Schema.
pub(crate) fn schema() -> Value {
    let price = json!({ "type": "number", "minimum": 0 });
    let prices = json!({ "type": "object", "additionalProperties": false, "required": ["input", "output"],
        "properties": { "input": price, "output": price, "cache_read": price, "cache_write": price } });
    json!({ "type": "object", "additionalProperties": false, "required": ["budget", "per"], "properties": {
        "budget": { "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
            "properties": {
                "tokens": { "type": "integer", "minimum": 1 },
                "money": { "type": "number", "exclusiveMinimum": 0 },
            } },
        "per": { "enum": ["hour", "day"] },
        "header": { "type": "string", "minLength": 1 },
        "prices": { "type": "object", "additionalProperties": prices },
    } })
}
