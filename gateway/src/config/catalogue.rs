//! The provider catalogue: one row a vendor. Pure data, embedded from
//! `config/providers.yaml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use super::native;
use crate::provider::{Auth, Dialect};

/// The row of servers that no other row describes.
pub(super) const GENERIC: &str = "openai-compatible";

/// All rows by provider name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Catalogue(BTreeMap<String, Row>);

/// One vendor or server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Where it listens, unless the vendor has no one place.
    pub(super) base_url: Option<String>,
    /// The wire format it speaks.
    #[serde(default)]
    pub(super) dialect: Dialect,
    /// The header it takes its key in; none is its dialect's custom.
    pub(super) auth: Option<Auth>,
    /// The environment variable that holds its key by custom.
    pub(super) key_variable: Option<String>,
    /// What LiteLLM calls it before the slash of a model's name.
    #[serde(default)]
    pub(super) litellm: Vec<String>,
    /// How it deviates from its dialect; `Accent` has the fields.
    #[serde(default)]
    pub(super) accent: BTreeMap<String, Value>,
    /// The page that says so, and when it was read.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by people, and demanded by the test")
    )]
    source: Option<String>,
}

impl Catalogue {
    /// The rows that Sluice ships.
    pub(super) fn embedded() -> Self {
        serde_yaml::from_str(include_str!("../../../config/providers.yaml"))
            .expect("the catalogue's test reads the embedded file")
    }

    /// The rows of the operator's own file over these.
    pub(super) fn overlaid(mut self, text: &str) -> Result<Self, String> {
        let own: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        for (name, row) in &own.0 {
            native::parsed(&row.accent).map_err(|why| format!("{name}.accent: {why}"))?;
        }
        self.0.extend(own.0);
        Ok(self)
    }

    pub(super) fn row(&self, provider: &str) -> Option<&Row> {
        self.0.get(provider)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.0.iter().map(|(name, row)| (name.as_str(), row))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The row that LiteLLM knows by `prefix`.
    pub(super) fn by_litellm_prefix(&self, prefix: &str) -> Option<(&str, &Row)> {
        self.rows()
            .find(|(_, row)| row.litellm.iter().any(|known| known == prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_codec::dialect::chat::Accent;

    #[test]
    fn every_row_is_sound() {
        let catalogue = Catalogue::embedded();
        assert!(catalogue.row(GENERIC).is_some());
        for (name, row) in catalogue.rows() {
            let accent = Value::Mapping(
                row.accent
                    .clone()
                    .into_iter()
                    .map(|(k, v)| (k.into(), v))
                    .collect(),
            );
            if let Err(error) = serde_yaml::from_value::<Accent>(accent) {
                panic!("{name}: {error}");
            }
            assert!(row.source.is_some() || name == GENERIC, "{name}: no source");
            if let Some(url) = &row.base_url {
                assert!(
                    url.starts_with("http") && !url.ends_with('/'),
                    "{name}: {url}"
                );
            }
        }
    }
}
