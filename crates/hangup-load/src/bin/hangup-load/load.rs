//! Many clients at once, and what they counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{json, Value};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use crate::client::{Client, Failure, Target};

/// How many clients do what.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    pub(crate) connecting: usize,
    pub(crate) seconds: Duration,
    pub(crate) payload: usize,
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Report {
    connected: usize,
    connect_seconds: f64,
    echo_seconds: f64,
    /// Of each echo, in microseconds.
    latencies: Histogram<u64>,
    failures: BTreeMap<String, usize>,
}

impl Report {
    pub(crate) fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    pub(crate) fn to_json(&self) -> Value {
        let percentile = |share| self.latencies.value_at_quantile(share);
        json!({
            "connected": self.connected,
            "connect_seconds": self.connect_seconds,
            "echoes": self.latencies.len(),
            "echo_seconds": self.echo_seconds,
            "p50_us": percentile(0.5),
            "p90_us": percentile(0.9),
            "p99_us": percentile(0.99),
            "max_us": self.latencies.max(),
            "failures": self.failures,
        })
    }

    fn note(&mut self, failure: &Failure) {
        *self.failures.entry(failure.to_string()).or_default() += 1;
    }
}

/// Connects all clients, then has them echo.
pub(crate) async fn run(target: Target, plan: &Plan) -> Report {
    let mut report = Report {
        connected: 0,
        connect_seconds: 0.0,
        echo_seconds: 0.0,
        latencies: Histogram::new_with_max(600_000_000, 3).unwrap_or_else(|_| unreachable!("sound bounds")),
        failures: BTreeMap::new(),
    };
    let began = Instant::now();
    let clients = connect(target, plan, &mut report).await;
    report.connect_seconds = began.elapsed().as_secs_f64();
    report.connected = clients.len();
    if !plan.seconds.is_zero() {
        let began = Instant::now();
        LocalSet::new().run_until(echo(clients, plan, &mut report)).await;
        report.echo_seconds = began.elapsed().as_secs_f64();
    }
    report
}

async fn connect(target: Target, plan: &Plan, report: &mut Report) -> Vec<Client> {
    let places = Arc::new(Semaphore::new(plan.connecting));
    let target = Arc::new(target);
    let mut connecting = JoinSet::new();
    for _ in 0..plan.clients {
        let (places, target) = (Arc::clone(&places), Arc::clone(&target));
        connecting.spawn(async move {
            let _place = places.acquire().await;
            Client::connect(&target).await
        });
    }
    let mut clients = Vec::with_capacity(plan.clients);
    for outcome in connecting.join_all().await {
        match outcome {
            Ok(client) => clients.push(client),
            Err(failure) => report.note(&failure),
        }
    }
    clients
}

async fn echo(clients: Vec<Client>, plan: &Plan, report: &mut Report) {
    let end = Instant::now() + plan.seconds;
    let mut echoing = JoinSet::new();
    for mut client in clients {
        let event = client.event(plan.payload);
        echoing.spawn_local(async move {
            let mut latencies = Vec::new();
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return (latencies, None);
                }
                if let Err(failure) = client.echo(&event).await {
                    return (latencies, Some(failure));
                }
                latencies.push(asked.elapsed());
            }
        });
    }
    for (latencies, failure) in echoing.join_all().await {
        for latency in latencies {
            report.latencies.saturating_record(latency.as_micros() as u64);
        }
        if let Some(failure) = failure {
            report.note(&failure);
        }
    }
}
