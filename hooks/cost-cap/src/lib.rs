//! Refuses calls once a budget of tokens or money is spent, until its time is over.

mod cost;

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Level, Patterns, Refusal, Verdict, hook};

use cost::{Budget, Per, Price, Usage};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostCap {
    /// What may be spent.
    budget: Budget,
    /// In which time.
    per: Per,
    /// A request header, each value of which has the budget to itself.
    header: Option<String>,
    /// What a million tokens cost, by pattern of the upstream's model name.
    #[serde(default)]
    prices: Patterns<Price>,
}

#[hook]
impl Hook for CostCap {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Refuses calls once a budget is spent.",
            config: cost::schema(),
            needs: json!({ "kv": true }),
        }
    }

    fn check(&self) -> Result<(), String> {
        match (&self.budget, self.prices.iter().next()) {
            (Budget::Money(_), None) => Err("prices: a budget of money needs some".into()),
            _ => Ok(()),
        }
    }

    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let spent = call.kept(&self.key(call)?)?;
        let spent = spent.and_then(|spent| String::from_utf8(spent).ok()?.parse::<i64>().ok());
        if spent.unwrap_or(0) < self.budget.units() {
            return Ok(Verdict::Next);
        }
        let left_ms = self.per.ms() - call.now_ms() % self.per.ms();
        Ok(Verdict::Refuse(Refusal {
            status: 429,
            code: "rate_limit_error".into(),
            message: format!("the budget of this {} is spent", self.per.name()),
            retry_after_ms: u32::try_from(left_ms).ok(),
        }))
    }

    fn on_complete(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let Some(usage) = call.get::<Usage>("/usage")? else {
            return Ok(());
        };
        let target: String = call.get("/target")?.unwrap_or_default();
        let model = target.split_once('/').map_or("", |(_, model)| model);
        let price = self.prices.find(model);
        if price.is_none() && matches!(self.budget, Budget::Money(_)) {
            call.log_with(
                Level::Warn,
                "A model without a price costs nothing.",
                &[("model", model.into())],
            );
        }
        let cost = self.budget.cost(&usage, price);
        if cost > 0 {
            let key = self.key(call)?;
            call.increment(&key, cost, Some(self.per.ms()))?;
        }
        Ok(())
    }
}

impl CostCap {
    /// Where it is kept what was spent in the time at hand.
    fn key(&self, call: &Call<'_>) -> Result<String, Failure> {
        let values = match &self.header {
            Some(header) => call.header(header)?,
            None => Vec::new(),
        };
        let whose = values.first().map_or("", String::as_str);
        Ok(format!(
            "{}/{}/{whose}",
            self.per.name(),
            call.now_ms() / self.per.ms()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sluice_hook_sdk::testing::TestCall;

    const HOUR: u64 = 3_600_000;

    fn hook(budget: &Value) -> CostCap {
        let prices = json!({ "big": { "input": 3, "output": 15.5, "cache_read": 0.3 }, "*": { "input": 1, "output": 1 } });
        let config =
            json!({ "budget": budget, "per": "hour", "header": "x-team", "prices": prices });
        serde_json::from_value(config).unwrap()
    }

    fn record(target: &str) -> String {
        let usage = json!({ "input_tokens": 100, "output_tokens": 10,
            "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 1 });
        json!({ "target": target, "usage": usage }).to_string()
    }

    /// How many calls to `target` a budget is enough for.
    #[track_caller]
    fn check(budget: &Value, target: &str, calls: usize) {
        let hook = hook(budget);
        let mut test = TestCall::new(&record(target))
            .header("x-team", "blue")
            .at(HOUR / 4);
        let goes_on =
            |test: &mut TestCall| matches!(hook.on_request(&mut test.call()), Ok(Verdict::Next));
        let mut answered = 0;
        while answered <= calls && goes_on(&mut test) {
            hook.on_complete(&mut test.call()).unwrap();
            answered += 1;
        }
        assert_eq!(answered, calls);
        // Another team has a budget of its own.
        assert!(goes_on(&mut test.header("x-team", "red")));
    }

    #[test]
    fn a_budget_lasts_for_so_many_calls() {
        check(&json!({ "tokens": 1112 }), "up/big", 2);
        check(&json!({ "tokens": 1111 }), "up/big", 1);
        // 100 x 3 + 10 x 15.5 + 1000 x 0.3 + 1 x 3, in millionths.
        check(&json!({ "money": 0.000758 }), "up/big", 1);
        check(&json!({ "money": 0.000759 }), "up/big", 2);
        check(&json!({ "money": 0.001112 }), "up/org/small", 2);
    }

    #[test]
    fn the_refusal_says_when_to_come_back() {
        let hook = hook(&json!({ "tokens": 5 }));
        let mut test = TestCall::new("{}")
            .at(HOUR * 7 + 1000)
            .kept("hour/7/", b"5");
        let Ok(Verdict::Refuse(refusal)) = hook.on_request(&mut test.call()) else {
            panic!("it is spent");
        };
        assert_eq!(
            (refusal.status, refusal.retry_after_ms),
            (429, Some(3_599_000))
        );
        let mut later = TestCall::new("{}").at(HOUR * 8).kept("hour/7/", b"5");
        assert!(matches!(
            hook.on_request(&mut later.call()),
            Ok(Verdict::Next)
        ));
    }

    #[test]
    fn calls_without_counts_cost_nothing() {
        let hook = hook(&json!({ "tokens": 5 }));
        let mut test = TestCall::new(r#"{"usage":null,"target":null}"#);
        hook.on_complete(&mut test.call()).unwrap();
        assert_eq!(test.call().kept("hour/0/").unwrap(), None);
    }

    #[test]
    fn money_needs_prices() {
        let config = json!({ "budget": { "money": 1 }, "per": "day" });
        assert!(
            serde_json::from_value::<CostCap>(config)
                .unwrap()
                .check()
                .is_err()
        );
    }
}
