//! `telemetry`: where traces and metrics go, through OTLP, and how much they say.
//!
//! Without the section there is none, whatever the environment has: variables that a
//! platform sets for everybody must not send anything off. With it, the standard
//! variables stand for what it leaves out.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>,
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> (seen 2026-11).

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::FOREVER;
use super::document::Node;
use super::native::{self, settings};
use super::variables::Environment;
use crate::secret::Secret;

/// The collector's usual place, as the specification of OTLP over HTTP has it.
const ENDPOINT: &str = "http://localhost:4318";

/// What the gateway is called in its traces.
const SERVICE_NAME: &str = "sluice";

/// Pause between exports, in ms: often enough to watch, seldom enough that each of
/// them carries many calls.
const INTERVAL_MS: u64 = 10_000;

/// Where traces and metrics go, and how much they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// The collector's URL, without a trailing slash; `/v1/traces` and `/v1/metrics`
    /// are appended.
    pub endpoint: String,
    /// Headers of every export.
    pub headers: Vec<(String, Secret)>,
    /// The resource's `service.name`.
    pub service_name: String,
    /// Its other attributes.
    pub attributes: Vec<(String, String)>,
    /// The share of calls that are traced, of those that come without a trace.
    pub sampling_ratio: f64,
    /// Pause between exports, in ms.
    pub interval_ms: u64,
    /// Whether upstreams are told which trace a request belongs to.
    pub propagate: bool,
    /// Whether spans have what was said, by user and model.
    pub prompts: bool,
}

pub(super) fn read(node: &Node<'_>, environment: Environment<'_>) -> Telemetry {
    let members = node.object(&settings::TELEMETRY);
    let variables = Variables { node, environment };
    let flag = |name: &str| members.get(name).and_then(Node::flag).unwrap_or(false);
    let (endpoint, headers) = destination(&members, &variables);
    let mut attributes = variables.pairs("OTEL_RESOURCE_ATTRIBUTES");
    let written = members.get("attributes").map(texts).unwrap_or_default();
    attributes.retain(|(name, _)| written.iter().all(|(known, _)| known != name));
    attributes.extend(written);
    // The variable of its own goes before the attribute.
    let named = attributes.iter().position(|(name, _)| name == SERVICE);
    let named = named.map(|at| attributes.remove(at).1);
    let service_name = members.get("service_name").and_then(Node::text);
    Telemetry {
        endpoint,
        headers,
        service_name: service_name
            .map(str::to_owned)
            .or_else(|| variables.value("OTEL_SERVICE_NAME"))
            .or(named)
            .unwrap_or_else(|| SERVICE_NAME.into()),
        attributes,
        sampling_ratio: members.get("sampling_ratio").and_then(ratio).unwrap_or(1.0),
        interval_ms: members
            .get("interval_ms")
            .and_then(|node| node.count(1))
            .unwrap_or(INTERVAL_MS)
            .min(FOREVER.as_millis() as u64),
        propagate: flag("propagate"),
        prompts: flag("prompts"),
    }
}

/// The resource's attribute that is a setting of its own.
const SERVICE: &str = "service.name";

/// The endpoint and its headers. Those of the variable are credentials of the one that
/// the other variable names, so they go nowhere else.
fn destination(
    members: &HashMap<String, Node<'_>>,
    variables: &Variables<'_>,
) -> (String, Vec<(String, Secret)>) {
    let written = members.get("endpoint");
    let endpoint = match written {
        Some(node) => node.text().map(str::to_owned),
        None => variables.value(ENDPOINT_VARIABLE),
    };
    let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.into());
    if !is_url(&endpoint) {
        let what = "not an `http://` or `https://` URL without user and query";
        match written {
            Some(node) => {
                let help = "write it as `http://127.0.0.1:4318`; credentials go into `headers`";
                node.error(what, Some(help.into()));
            }
            None => variables.wrong(ENDPOINT_VARIABLE, what),
        }
    }
    let headers = match (members.get("headers"), written) {
        (Some(node), _) => native::headers(node),
        (None, Some(_)) => Vec::new(),
        (None, None) => variables.headers(),
    };
    (endpoint.trim_end_matches('/').to_owned(), headers)
}

const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        is_http && has_host && !text.contains(['@', '?'])
    })
}

/// A share: from 0 to 1.
fn ratio(node: &Node<'_>) -> Option<f64> {
    let ratio = node.number()?;
    if ratio > 1.0 {
        node.error("at most 1, which is every call", None);
        return None;
    }
    Some(ratio)
}

fn texts(node: &Node<'_>) -> Vec<(String, String)> {
    let members = node.members().into_iter();
    let text = |(name, node): (String, Node<'_>)| {
        if name == SERVICE {
            node.error("has a setting of its own, `service_name`", None);
        }
        Some((name, node.text()?.to_owned()))
    };
    members.filter_map(text).collect()
}

/// The standard variables; those that are empty count as not set.
struct Variables<'v> {
    node: &'v Node<'v>,
    environment: Environment<'v>,
}

impl Variables<'_> {
    fn value(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.trim().is_empty())
    }

    /// `key=value` pairs between commas, percent-encoded.
    fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let value = self.value(name).unwrap_or_default();
        let items = value.split(',').filter(|item| !item.trim().is_empty());
        let pair = |item: &str| {
            let (key, value) = item.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let key = key.trim();
            (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
        };
        let pairs: Option<Vec<_>> = items.map(pair).collect();
        if pairs.is_none() {
            self.wrong(name, "not a list like `key=value,key=value`");
        }
        pairs.unwrap_or_default()
    }

    fn headers(&self) -> Vec<(String, Secret)> {
        let header = |(name, value): (String, String)| {
            let name = name.to_ascii_lowercase();
            let is_sound = http::HeaderName::try_from(&name).is_ok()
                && http::HeaderValue::try_from(&value).is_ok();
            if !is_sound {
                self.wrong(HEADERS_VARIABLE, "holds what cannot be a header");
            }
            is_sound.then(|| (name, Secret::new(value)))
        };
        let pairs = self.pairs(HEADERS_VARIABLE).into_iter();
        pairs.filter_map(header).collect()
    }

    /// Report the variable, without its value.
    fn wrong(&self, name: &str, what: &str) {
        self.node.error(format!("`{name}`: {what}"), None);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Diagnostic, parse};

    /// The section `text`, where these variables are set.
    fn telemetry(
        text: &str,
        variables: &[(&str, &str)],
    ) -> Result<Option<Telemetry>, Vec<Diagnostic>> {
        let text = format!("models: {{}}\n{text}\n");
        let environment = |name: &str| {
            let set = variables.iter().find(|(known, _)| *known == name)?;
            Some(set.1.to_owned())
        };
        let loaded = parse("f.yaml", &text, Some(Path::new("/")), &environment)?;
        Ok(loaded.config.telemetry)
    }

    /// Where exports go, with which headers, from whom.
    #[track_caller]
    fn check(text: &str, variables: &[(&str, &str)], expected: &str) {
        let found = match telemetry(text, variables) {
            Err(findings) => findings.iter().map(ToString::to_string).collect(),
            Ok(None) => "none".to_owned(),
            Ok(Some(telemetry)) => {
                let headers = telemetry.headers.iter();
                let headers: Vec<_> = headers
                    .map(|(k, v)| format!("{k}={}", v.expose()))
                    .collect();
                let attributes = telemetry.attributes.iter();
                let attributes: Vec<_> = attributes.map(|(k, v)| format!("{k}={v}")).collect();
                let shown = format!("{telemetry:?}");
                assert!(!shown.contains("t0p"), "a secret in {shown}");
                let Telemetry {
                    endpoint,
                    service_name,
                    ..
                } = telemetry;
                format!(
                    "{endpoint} [{}] {service_name} [{}]",
                    headers.join(","),
                    attributes.join(",")
                )
            }
        };
        assert_eq!(found, expected, "{text} {variables:?}");
    }

    #[test]
    fn variables_stand_for_what_the_file_leaves_out() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c.example/otlp/"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "Authorization=Bearer%20t0p, x-team=a",
            ),
            ("OTEL_SERVICE_NAME", "gate"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,zone=b%2C1,stage=x",
            ),
        ];
        check("", &variables, "none");
        check("telemetry: {}", &[], "http://localhost:4318 [] sluice []");
        check(
            "telemetry: {}",
            &[("OTEL_SERVICE_NAME", " ")],
            "http://localhost:4318 [] sluice []",
        );
        let sent = "https://c.example/otlp [authorization=Bearer t0p,x-team=a]";
        check(
            "telemetry: {}",
            &variables,
            &format!("{sent} gate [zone=b,1,stage=x]"),
        );
        check(
            "telemetry: { endpoint: http://h:1, service_name: mine, attributes: { stage: y } }",
            &variables,
            "http://h:1 [] mine [zone=b,1,stage=y]",
        );
        check(
            "telemetry: { headers: { x-key: t0p } }",
            &variables[..1],
            "https://c.example/otlp [x-key=t0p] sluice []",
        );
        check(
            "telemetry: {}",
            &variables[3..],
            "http://localhost:4318 [] other [zone=b,1,stage=x]",
        );
    }

    #[test]
    fn what_is_wrong_is_found_and_no_value_shown() {
        let url = "not an `http://` or `https://` URL without user and query";
        check(
            "telemetry: { endpoint: \"http://u:t0p@h\" }",
            &[],
            &format!(
                "error: f.yaml:2: telemetry.endpoint: {url}; write it as `http://127.0.0.1:4318`; credentials go into `headers`"
            ),
        );
        check(
            "telemetry: {}",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "t0p:4317")],
            &format!("error: f.yaml:2: telemetry: `OTEL_EXPORTER_OTLP_ENDPOINT`: {url}"),
        );
        check(
            "telemetry: {}",
            &[("OTEL_EXPORTER_OTLP_HEADERS", "t0p")],
            "error: f.yaml:2: telemetry: `OTEL_EXPORTER_OTLP_HEADERS`: not a list like `key=value,key=value`",
        );
        check(
            "telemetry: { sampling_ratio: 2 }",
            &[],
            "error: f.yaml:2: telemetry.sampling_ratio: at most 1, which is every call",
        );
        check(
            "telemetry: { attributes: { service.name: x } }",
            &[],
            "error: f.yaml:2: telemetry.attributes.service.name: has a setting of its own, `service_name`",
        );
    }
}
