//! How it went over time, and what the clients themselves took.

use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::figures::Durations;
use crate::process::resident;

pub(crate) const SLOT: Duration = Duration::from_millis(250);
/// A run of an hour has no more than these; afterwards slots are no longer told apart.
const MOST_SLOTS: usize = 20_000;

#[derive(Debug)]
pub(crate) struct Timeline {
    began: Instant,
    slots: Vec<Value>,
    /// Of the slot that is not over.
    latency: Durations,
    failed: u64,
    /// Connections that are open.
    pub(crate) open: u64,
    most_open: u64,
    resident_before: u64,
    most_resident: u64,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        let resident = resident("self").unwrap_or_default();
        Self {
            began: Instant::now(),
            slots: Vec::new(),
            latency: Durations::default(),
            failed: 0,
            open: 0,
            most_open: 0,
            resident_before: resident,
            most_resident: resident,
        }
    }

    pub(crate) fn opened(&mut self) {
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
    }

    pub(crate) fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    pub(crate) fn answered(&mut self, took: Duration) {
        self.latency.note(took);
    }

    pub(crate) fn failed(&mut self) {
        self.failed += 1;
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A slot is over.
    pub(crate) fn turn(&mut self) {
        self.most_resident = self.most_resident.max(resident("self").unwrap_or_default());
        if self.slots.len() < MOST_SLOTS {
            self.slots.push(json!({
                "at": self.seconds(),
                "open": self.open,
                "answered": self.latency.len(),
                "failed": self.failed,
                "p50_us": self.latency.at(0.5),
                "p99_us": self.latency.at(0.99),
            }));
        }
        self.latency.clear();
        self.failed = 0;
    }

    pub(crate) fn to_json(&self) -> Value {
        let grown = self.most_resident.saturating_sub(self.resident_before);
        json!({
            "slots": self.slots,
            "most_open": self.most_open,
            "memory_bytes": grown,
            "memory_per_client_bytes": grown.checked_div(self.most_open),
        })
    }
}
