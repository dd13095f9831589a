//! Renames the model that a client asks for, before it is routed.

use serde::Deserialize;
use serde_json::json;
use sluice_hook_sdk::{About, Call, Failure, Hook, Patterns, Verdict, hook, matched};

/// The hook's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameModel {
    /// New names by pattern of the requested one; a `*` in a new name stands for
    /// what the pattern's matched.
    models: Patterns<String>,
    /// Whether `/v1/models` lists models under the names that are renamed to theirs.
    #[serde(default)]
    list: bool,
}

#[hook]
impl Hook for RenameModel {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            summary: "Renames the model that a client asks for.",
            config: json!({ "type": "object", "additionalProperties": false, "required": ["models"],
                "properties": {
                    "models": { "type": "object", "additionalProperties": { "type": "string", "minLength": 1 } },
                    "list": { "type": "boolean" },
                } }),
            needs: json!(null),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self
            .models
            .iter()
            .find(|(from, to)| stars(to) > stars(from))
        {
            Some((from, to)) => Err(format!("models: `{to}` has more `*` than `{from}`")),
            None => Ok(()),
        }
    }

    fn on_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let asked: String = call.get("/model")?.unwrap_or_default();
        let rules = self.models.iter().map(|(from, to)| (from, to.as_str()));
        match renamed(rules, &asked) {
            Some(name) if name != asked => call.set("/model", name)?,
            _ => {}
        }
        Ok(Verdict::Next)
    }

    fn on_list_models(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        let models = if self.list { call.len("/data")? } else { None };
        for at in 0..models.unwrap_or(0) {
            let id = format!("/data/{at}/id");
            let known: String = call.get(&id)?.unwrap_or_default();
            // Only where the way back is as plain as the way there.
            let back = self.models.iter().map(|(from, to)| (to.as_str(), from));
            let back = back.filter(|(to, from)| stars(to) == stars(from));
            if let Some(name) = renamed(back, &known) {
                call.set(&id, &name)?;
                call.set(&format!("/data/{at}/display_name"), name)?;
            }
        }
        Ok(Verdict::Next)
    }
}

fn stars(pattern: &str) -> usize {
    pattern.matches('*').count()
}

/// What the first rule that matches makes of `name`.
fn renamed<'r>(mut rules: impl Iterator<Item = (&'r str, &'r str)>, name: &str) -> Option<String> {
    let (found, to) = rules.find_map(|(from, to)| Some((matched(from, name)?, to)))?;
    let fill = |to: String, found: &str| to.replacen('*', found, 1);
    Some(found.into_iter().fold(to.to_owned(), fill))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_hook_sdk::testing::TestCall;

    fn hook(list: bool) -> RenameModel {
        let models =
            json!({ "claude-opus-*": "kimi-k2", "claude-*": "up/*", "gpt": "glm", "*-turbo": "*" });
        serde_json::from_value(json!({ "models": models, "list": list })).unwrap()
    }

    #[track_caller]
    fn check(asked: &str, expected: &str) {
        let mut test = TestCall::new(&json!({ "model": asked }).to_string());
        let verdict = hook(false).on_request(&mut test.call());
        assert!(matches!(verdict, Ok(Verdict::Next)));
        assert_eq!(test.body(), json!({ "model": expected }).to_string());
    }

    #[test]
    fn the_first_pattern_renames() {
        check("claude-opus-4", "kimi-k2");
        check("claude-haiku-4", "up/haiku-4");
        check("gpt", "glm");
        check("gpt-4-turbo", "gpt-4");
        check("other", "other");
    }

    #[track_caller]
    fn check_list(list: bool, models: &[&str], expected: &[&str]) {
        let listed = |names: &[&str]| {
            let models: Vec<_> = names
                .iter()
                .map(|name| json!({ "id": name, "display_name": name }))
                .collect();
            json!({ "data": models }).to_string()
        };
        let mut test = TestCall::new(&listed(models));
        hook(list).on_list_models(&mut test.call()).unwrap();
        assert_eq!(test.body(), listed(expected));
    }

    #[test]
    fn models_are_listed_under_the_names_that_clients_ask_for() {
        check_list(
            true,
            &["kimi-k2", "up/x", "glm"],
            &["kimi-k2-turbo", "claude-x", "gpt"],
        );
        check_list(false, &["up/x"], &["up/x"]);
    }

    #[test]
    fn a_star_must_stand_for_something() {
        let models = json!({ "models": { "a": "b-*" } });
        let hook: RenameModel = serde_json::from_value(models).unwrap();
        assert!(hook.check().is_err());
    }
}
