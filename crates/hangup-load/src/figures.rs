//! What was counted.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{json, Value};

use crate::failure::Failure;

/// Microseconds; what takes longer is counted as that.
const LONGEST: u64 = 600_000_000;
/// So many examples are told apart; a server may say something else each time.
const MOST_EXAMPLES: usize = 40;

/// How long something took, to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        Self(Histogram::new_with_max(LONGEST, 3).unwrap_or_else(|_| unreachable!("sound bounds")))
    }
}

impl Durations {
    pub(crate) fn note(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros() as u64);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let _ = self.0.add(&other.0); // of the same bounds
    }

    pub(crate) fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// In microseconds; of nothing: only its count.
    pub(crate) fn to_json(&self) -> Value {
        if self.0.is_empty() {
            return json!({ "count": 0 });
        }
        json!({
            "count": self.0.len(),
            "min": self.0.min(),
            "mean": self.0.mean(),
            "p50": self.at(0.5),
            "p90": self.at(0.9),
            "p95": self.at(0.95),
            "p99": self.at(0.99),
            "p999": self.at(0.999),
            "max": self.0.max(),
        })
    }
}

/// Failures by their kinds, each with what was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(BTreeMap<(&'static str, String), u64>);

impl Errors {
    pub(crate) fn note(&mut self, failure: &Failure) {
        self.note_many(failure, 1);
    }

    pub(crate) fn note_many(&mut self, failure: &Failure, count: u64) {
        let mut key = (failure.kind(), failure.to_string());
        if self.0.len() >= MOST_EXAMPLES && !self.0.contains_key(&key) {
            "and others".clone_into(&mut key.1);
        }
        *self.0.entry(key).or_default() += count;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(key.clone()).or_default() += count;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Most frequent first.
    pub(crate) fn to_json(&self) -> Value {
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        rows.into_iter()
            .map(|((kind, detail), count)| json!({ "kind": kind, "detail": detail, "count": count }))
            .collect()
    }
}

/// Of clients that behave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Those that were to do something.
    pub(crate) clients: u64,
    /// Those that did all of it.
    pub(crate) succeeded: u64,
    /// Connections that were opened in this stage.
    pub(crate) connected: u64,
    /// Messages, or requests.
    pub(crate) sent: u64,
    /// Messages of all sorts, or responses.
    pub(crate) received: u64,
    /// Messages that were answered, or broadcasts that a client has received.
    pub(crate) answered: u64,
    /// Of one message for several: what should have been received.
    pub(crate) expected: u64,
    pub(crate) errors: Errors,
    pub(crate) connect: Durations,
    pub(crate) latency: Durations,
    pub(crate) seconds: f64,
    /// Whether it has come to its end.
    pub(crate) is_over: bool,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.succeeded += other.succeeded;
        self.connected += other.connected;
        self.sent += other.sent;
        self.received += other.received;
        self.answered += other.answered;
        self.expected += other.expected;
        self.errors.add(&other.errors);
        self.connect.add(&other.connect);
        self.latency.add(&other.latency);
        self.seconds += other.seconds;
    }

    pub(crate) fn to_json(&self, name: &str) -> Value {
        json!({
            "name": name,
            "clients": self.clients,
            "succeeded": self.succeeded,
            "connected": self.connected,
            "sent": self.sent,
            "received": self.received,
            "answered": self.answered,
            "expected": self.expected,
            "failed": self.errors.total(),
            "errors": self.errors.to_json(),
            "connect_us": self.connect.to_json(),
            "latency_us": self.latency.to_json(),
            "seconds": self.seconds,
            "over": self.is_over,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_kind_and_example_and_there_is_an_end_to_examples() {
        let mut errors = Errors::default();
        for number in 0..1000 {
            errors.note(&Failure::Unexpected(number.to_string()));
        }
        errors.note_many(&Failure::Refused, 5000);
        assert_eq!(errors.total(), 6000);
        let rows = errors.to_json();
        assert_eq!(rows[0], json!({ "kind": "refused", "detail": "and others", "count": 5000 }));
        assert!(rows.as_array().unwrap().len() <= MOST_EXAMPLES + 2);
    }

    #[test]
    fn durations_are_told_in_microseconds() {
        let mut durations = Durations::default();
        (1..=100).for_each(|milliseconds| durations.note(Duration::from_millis(milliseconds)));
        let told = durations.to_json();
        assert!((49_900..=50_100).contains(&told["p50"].as_u64().unwrap()));
        assert_eq!(
            (told["count"].as_u64(), Durations::default().to_json()),
            (Some(100), json!({ "count": 0 }))
        );
    }
}
