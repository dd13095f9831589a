//! Counters and histograms, shown at `/metrics`.
//!
//! One registry a gateway, without any global. Names and labels of hooks are
//! bounded: a label that holds a call's id would fill the memory.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use crate::tally::BUCKETS;

/// Most combinations of a name and labels that one hook may make.
const SERIES_PER_HOOK_MAX: usize = 100;

/// Longest name, label and value of a hook's.
const NAME_BYTES_MAX: usize = 100;

/// Names of hooks' series that are the gateway's own.
const RESERVED: [&str; 6] = [
    "failures_total",
    "runs_total",
    "seconds",
    "seconds_count",
    "seconds_sum",
    "series_refused_total",
];

const METADATA: Metadata<'static> = Metadata::new("sluice", Level::INFO, None);

/// A gateway's numbers.
#[derive(Clone)]
pub struct Metrics(Arc<Registry>);

struct Registry {
    /// What the gateway counts, of hooks too.
    own: PrometheusRecorder,
    /// What hooks count.
    of_hooks: PrometheusRecorder,
    /// Hook and series of every series of a hook.
    series: Mutex<HashSet<(String, Key)>>,
}

impl Drop for Registry {
    /// The recorder's buckets never free what was not summed up: each trial call of a
    /// hook would leave some. Seen in metrics-util 0.20, 2026-11-25.
    fn drop(&mut self) {
        for recorder in [&self.own, &self.of_hooks] {
            recorder.handle().run_upkeep();
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Registry {
            own: with_buckets(PrometheusBuilder::new()).build_recorder(),
            of_hooks: PrometheusBuilder::new().build_recorder(),
            series: Mutex::default(),
        }))
    }
}

/// With the bounds of the gateway's own histograms.
fn with_buckets(builder: PrometheusBuilder) -> PrometheusBuilder {
    BUCKETS.iter().fold(builder, |builder, (name, bounds)| {
        let name = Matcher::Full((*name).to_owned());
        let built = builder.set_buckets_for_metric(name, bounds);
        built.expect("there are bounds")
    })
}

/// What kind of number a family is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How values are spread.
    Histogram,
}

/// Names and values of labels.
pub type Labels<'l> = &'l [(&'static str, &'l str)];

impl Metrics {
    /// Add to a counter.
    pub fn add(&self, name: &'static str, by: u64, labels: Labels<'_>) {
        self.counter(name, labels).increment(by);
    }

    /// A counter that is asked for once and used often.
    pub fn counter(&self, name: &'static str, labels: Labels<'_>) -> metrics::Counter {
        let key = Key::from_parts(KeyName::from_const_str(name), own(labels));
        self.0.own.register_counter(&key, &METADATA)
    }

    /// A histogram that is asked for once and used often.
    pub fn histogram(&self, name: &'static str, labels: Labels<'_>) -> metrics::Histogram {
        let key = Key::from_parts(KeyName::from_const_str(name), own(labels));
        self.0.own.register_histogram(&key, &METADATA)
    }

    /// A number that goes up and down.
    pub fn gauge(&self, name: &'static str, labels: Labels<'_>) -> metrics::Gauge {
        let key = Key::from_parts(KeyName::from_const_str(name), own(labels));
        self.0.own.register_gauge(&key, &METADATA)
    }

    /// Say what `name` counts.
    pub(crate) fn describe(&self, name: &'static str, kind: Kind, help: &'static str) {
        let (key, help) = (KeyName::from_const_str(name), help.into());
        match kind {
            Kind::Counter => self.0.own.describe_counter(key, None, help),
            Kind::Gauge => self.0.own.describe_gauge(key, None, help),
            Kind::Histogram => self.0.own.describe_histogram(key, None, help),
        }
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.own.handle().render() + &self.render_of_hooks()
    }

    /// What hooks count, likewise.
    pub fn render_of_hooks(&self) -> String {
        self.0.of_hooks.handle().render()
    }

    /// Sum up what histograms took in: until then every value is kept. Rendering
    /// does it, too, but nobody may ever ask.
    pub fn sum_up(&self) {
        for recorder in [&self.0.own, &self.0.of_hooks] {
            recorder.handle().run_upkeep();
        }
    }

    /// Add to a counter of a hook's. Counters count in whole numbers, as
    /// Prometheus' clients expect.
    pub fn add_of_hook(&self, hook: &str, name: &str, by: f64, labels: Vec<(String, String)>) {
        if by >= 0.0
            && by.is_finite()
            && let Some(key) = self.key_of_hook(hook, name, labels)
        {
            let counter = self.0.of_hooks.register_counter(&key, &METADATA);
            counter.increment(by.round() as u64);
        }
    }

    /// Take one value of a histogram of a hook's.
    pub fn observe_of_hook(
        &self,
        hook: &str,
        name: &str,
        value: f64,
        labels: Vec<(String, String)>,
    ) {
        if value.is_finite()
            && let Some(key) = self.key_of_hook(hook, name, labels)
        {
            self.0
                .of_hooks
                .register_histogram(&key, &METADATA)
                .record(value);
        }
    }

    /// The series of a hook, if its name is one and there is room for it.
    fn key_of_hook(&self, hook: &str, name: &str, labels: Vec<(String, String)>) -> Option<Key> {
        let is_name = |name: &str| {
            let letters = name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            letters && !name.is_empty() && name.len() <= NAME_BYTES_MAX
        };
        let is_label = |(label, value): &(String, String)| {
            is_name(label) && label != "hook" && value.len() <= NAME_BYTES_MAX
        };
        let is_taken = RESERVED.contains(&name);
        if is_taken || !is_name(name) || !labels.iter().all(is_label) {
            self.add("sluice_hook_series_refused_total", 1, &[("hook", hook)]);
            return None;
        }
        let labels = labels
            .into_iter()
            .map(|(label, value)| Label::new(label, value));
        let labels: Vec<_> = labels
            .chain([Label::new("hook", hook.to_owned())])
            .collect();
        let key = Key::from_parts(format!("sluice_hook_{name}"), labels);
        let series = (hook.to_owned(), key.clone());
        let mut known = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&series) {
            return Some(key);
        }
        if known.iter().filter(|(of, _)| of == hook).count() >= SERIES_PER_HOOK_MAX {
            drop(known);
            self.add("sluice_hook_series_refused_total", 1, &[("hook", hook)]);
            return None;
        }
        known.insert(series);
        Some(key)
    }
}

fn own(labels: Labels<'_>) -> Vec<Label> {
    labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_up() {
        let metrics = Metrics::default();
        metrics.add("sluice_calls_total", 2, &[("model", "m")]);
        metrics.add_of_hook("h", "hits", 1.0, vec![("kind".into(), "a\"b".into())]);
        metrics.observe_of_hook("h", "size", 3.5, Vec::new());
        let text = metrics.render();
        for line in [
            "sluice_calls_total{model=\"m\"} 2",
            "sluice_hook_hits{kind=\"a\\\"b\",hook=\"h\"} 1",
            "sluice_hook_size_sum{hook=\"h\"} 3.5",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn hooks_have_a_bound() {
        let metrics = Metrics::default();
        for i in 0..SERIES_PER_HOOK_MAX + 5 {
            metrics.add_of_hook("h", "hits", 1.0, vec![("id".into(), i.to_string())]);
        }
        metrics.add_of_hook("h", "Hits", 1.0, Vec::new());
        metrics.add_of_hook("h", "hits", 1.0, vec![("hook".into(), "other".into())]);
        metrics.add_of_hook("h", "hits", -1.0, Vec::new());
        metrics.add_of_hook("third", "runs_total", 1.0, Vec::new());
        metrics.add_of_hook("other", "hits", 1.0, Vec::new());
        let text = metrics.render();
        assert_eq!(
            text.matches("sluice_hook_hits{").count(),
            SERIES_PER_HOOK_MAX + 1
        );
        assert!(
            text.contains("sluice_hook_series_refused_total{hook=\"h\"} 7"),
            "{text}"
        );
        assert!(
            text.contains("sluice_hook_series_refused_total{hook=\"third\"} 1")
                && !text.contains("sluice_hook_runs_total"),
            "{text}"
        );
    }
}
