//! Healthy clients beside a storm, on a thread of their own.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use tokio::sync::watch;
use tokio::task::{spawn_local, LocalSet};
use tokio::time::{interval, MissedTickBehavior};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::figures::{Durations, Errors};
use crate::plan::Probe;
use crate::storm::Report;

/// Of what is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Before,
    Storm,
    After,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Before => "before",
            Phase::Storm => "during",
            Phase::After => "after",
        }
    }
}

/// How healthy clients fared.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Those that have come to an end of their visit.
    visits: u64,
    succeeded: u64,
    errors: Errors,
    latency: Durations,
}

impl Watched {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "visits": self.visits,
            "succeeded": self.succeeded,
            "failed": self.errors.total(),
            "errors": self.errors.to_json(),
            "latency_us": self.latency.to_json(),
        })
    }
}

/// The thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watch {
    phase: Option<watch::Sender<Phase>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn enter(&self, phase: Phase) {
        if let Some(sender) = &self.phase {
            let _ = sender.send(phase); // unless the thread could not be started
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.phase = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic of it has been said
        }
    }
}

/// Begins to visit.
pub(crate) fn start(plan: Probe, report: Arc<Mutex<Report>>) -> Watch {
    let (phase, phases) = watch::channel(Phase::Before);
    let visiting = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let mut over = phases.clone();
        LocalSet::new().block_on(&runtime, async {
            tokio::select! {
                () = visit(plan, &phases, report) => {}
                () = async { while over.changed().await.is_ok() {} } => {}
            }
        });
    };
    let thread = std::thread::Builder::new().name("hangup-probe".to_owned()).spawn(visiting).ok();
    Watch { phase: Some(phase), thread }
}

async fn visit(plan: Probe, phases: &watch::Receiver<Phase>, report: Arc<Mutex<Report>>) {
    let endpoint = Rc::new(Endpoint::new(plan.target));
    endpoint.settle().await;
    let mut ticks = interval(Duration::from_secs_f64(plan.every));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (endpoint, report, phase) = (Rc::clone(&endpoint), Arc::clone(&report), *phases.borrow());
        spawn_local(async move {
            let began = Instant::now();
            let outcome = match Client::connect(&endpoint).await {
                Ok(mut client) => client.show_of_life().await.map(|()| client),
                Err(failure) => Err(failure),
            };
            let took = began.elapsed();
            {
                let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                let watched = report.probe.entry(phase).or_default();
                watched.visits += 1;
                match &outcome {
                    Ok(_) => {
                        watched.succeeded += 1;
                        watched.latency.note(took);
                        report.timeline.answered(took);
                    }
                    Err(failure) => {
                        watched.errors.note(failure);
                        report.timeline.failed();
                    }
                }
            }
            if let Ok(client) = outcome {
                client.leave().await;
            }
        });
    }
}
