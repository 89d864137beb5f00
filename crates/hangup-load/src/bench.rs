//! Clients that behave, stage after stage.
//!
//! # Promised
//! A client has succeeded if it did everything that it had set out to. What it did not is one failure, by its kind; a client
//! that failed does nothing more in that stage. Messages that were under way when a crowd's time was over are neither.
//!
//! # How
//! One task for each client, all on one thread. Figures are kept where a report can be made of them at any time.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until, timeout_at, Instant as Deadline};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::fanout;
use crate::figures::Figures;
use crate::message::Template;
use crate::plan::{Bench, Stage, Target, What};
use crate::timeline::{Timeline, SLOT};

/// What has been counted so far.
#[derive(Debug)]
pub(crate) struct Report {
    stages: Vec<(String, Figures)>,
    pub(crate) timeline: Timeline,
    began: Instant,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { stages: Vec::new(), timeline: Timeline::new(), began: Instant::now() }
    }

    /// Of the stage that is under way.
    pub(crate) fn figures(&mut self) -> &mut Figures {
        if self.stages.is_empty() {
            self.begin("");
        }
        let last = self.stages.len() - 1;
        &mut self.stages[last].1
    }

    fn begin(&mut self, name: &str) {
        self.began = Instant::now();
        self.stages.push((name.to_owned(), Figures::default()));
    }

    fn end(&mut self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let figures = self.figures();
        (figures.seconds, figures.is_over) = (seconds, true);
    }

    pub(crate) fn note(&mut self, failure: &Failure) {
        self.figures().errors.note(failure);
        self.timeline.failed();
    }

    pub(crate) fn answered(&mut self, took: Duration) {
        let figures = self.figures();
        figures.answered += 1;
        figures.latency.note(took);
        self.timeline.answered(took);
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut stages = self.stages.clone();
        for (_, figures) in stages.iter_mut().filter(|(_, figures)| !figures.is_over) {
            figures.seconds = self.began.elapsed().as_secs_f64();
        }
        let is_over = stages.iter().all(|(_, figures)| figures.is_over);
        let mut total = Figures { is_over, ..Figures::default() };
        for (_, figures) in &stages {
            total.add(figures);
        }
        let stages: Vec<_> = stages.iter().map(|(name, figures)| figures.to_json(name)).collect();
        json!({
            "stages": stages,
            "total": total.to_json("total"),
            "timeline": self.timeline.to_json(),
            "open": self.timeline.open,
            "seconds": self.timeline.seconds(),
        })
    }
}

/// What all clients of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) endpoint: Rc<Endpoint>,
    pub(crate) template: Rc<Template>,
    report: Arc<Mutex<Report>>,
    numbers: Rc<std::cell::Cell<u64>>,
}

impl Common {
    pub(crate) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the next message.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    /// Connects, and counts that.
    pub(crate) async fn connect(&self) -> Option<Client> {
        let began = Instant::now();
        match Client::connect(&self.endpoint).await {
            Ok(client) => {
                let mut report = self.report();
                report.figures().connected += 1;
                report.figures().connect.note(began.elapsed());
                report.timeline.opened();
                Some(client)
            }
            Err(failure) => {
                self.report().note(&failure);
                None
            }
        }
    }

    pub(crate) fn lose(&self, failure: &Failure) {
        let mut report = self.report();
        report.note(failure);
        report.timeline.closed();
    }

    /// Sends a message and waits for its answer. False if the client is lost.
    async fn exchange(&self, client: &mut Client) -> bool {
        let message = self.template.message(self.number());
        self.report().figures().sent += 1;
        let began = Instant::now();
        match client.exchange(&message).await {
            Ok(arrived) => {
                let mut report = self.report();
                report.figures().received += arrived;
                report.answered(began.elapsed());
                true
            }
            Err(failure) => {
                self.lose(&failure);
                false
            }
        }
    }
}

/// Runs all stages. May be dropped at any time.
pub(crate) async fn run(target: Target, bench: &Bench, report: Arc<Mutex<Report>>) {
    let endpoint = Rc::new(Endpoint::new(target));
    endpoint.settle().await;
    let template = Rc::new(Template::new(bench));
    let common = Common { endpoint, template, report, numbers: Rc::default() };
    let stages = async {
        let mut crowd = Vec::new();
        for stage in &bench.stages {
            common.report().begin(&stage.name);
            common.report().figures().clients = stage.clients as u64;
            run_stage(&common, stage, &mut crowd).await;
            common.report().end();
        }
        leave(&common, crowd).await;
    };
    tokio::select! {
        () = stages => {}
        () = every(SLOT, || common.report().timeline.turn()) => {}
    }
    common.report().timeline.turn();
}

async fn run_stage(common: &Common, stage: &Stage, crowd: &mut Vec<Client>) {
    if stage.what == What::Visits {
        leave(common, std::mem::take(crowd)).await;
        return visits(common, stage).await;
    }
    gather(common, stage, crowd).await;
    match stage.what {
        What::Visits => {}
        What::Crowd => stay(common, stage, crowd, true).await,
        What::Hold => stay(common, stage, crowd, false).await,
        What::Fanout => fanout::run(common, stage, crowd).await,
    }
    if stage.what != What::Fanout {
        common.report().figures().succeeded = crowd.len() as u64;
    }
}

async fn every(time: Duration, mut does: impl FnMut()) {
    let mut ticks = interval(time);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        does();
    }
}

async fn visits(common: &Common, stage: &Stage) {
    let places = Arc::new(Semaphore::new(stage.at_once));
    let mut visits = JoinSet::new();
    for _ in 0..stage.clients {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (common, messages) = (common.clone(), stage.messages);
        visits.spawn_local(async move {
            visit(&common, messages).await;
            drop(place);
        });
    }
    while visits.join_next().await.is_some() {}
}

async fn visit(common: &Common, messages: u64) {
    let Some(mut client) = common.connect().await else { return };
    for _ in 0..messages {
        if !common.exchange(&mut client).await {
            return;
        }
    }
    common.report().figures().succeeded += 1;
    client.leave().await;
    common.report().timeline.closed();
}

/// Connects those that are missing. Those that are there go on answering pings.
async fn gather(common: &Common, stage: &Stage, crowd: &mut Vec<Client>) {
    let (over, is_over) = tokio::sync::watch::channel(false);
    let mut keeping = JoinSet::new();
    for client in crowd.drain(..) {
        keep(common, &mut keeping, client, is_over.clone());
    }
    let missing = stage.clients.saturating_sub(keeping.len());
    let places = Arc::new(Semaphore::new(stage.at_once));
    let mut connecting = JoinSet::new();
    for _ in 0..missing {
        let (common, places) = (common.clone(), Arc::clone(&places));
        connecting.spawn_local(async move {
            let _place = places.acquire().await;
            common.connect().await
        });
    }
    while let Some(connected) = connecting.join_next().await {
        if let Ok(Some(client)) = connected {
            keep(common, &mut keeping, client, is_over.clone());
        }
    }
    let _ = over.send(true); // unless there is nobody
    while let Some(kept) = keeping.join_next().await {
        crowd.extend(kept.ok().flatten());
    }
}

/// Has a client answer pings until the others are there.
fn keep(
    common: &Common,
    keeping: &mut JoinSet<Option<Client>>,
    mut client: Client,
    mut is_over: tokio::sync::watch::Receiver<bool>,
) {
    let common = common.clone();
    keeping.spawn_local(async move {
        let waited = async { drop(is_over.wait_for(|over| *over).await) };
        tokio::select! {
            biased;
            failure = listen(&common, &mut client) => {
                common.lose(&failure);
                None
            }
            () = waited => Some(client),
        }
    });
}

/// Until the client is lost.
async fn listen(common: &Common, client: &mut Client) -> Failure {
    loop {
        match client.receive().await {
            Ok(_) => common.report().figures().received += 1,
            Err(failure) => return failure,
        }
    }
}

async fn stay(common: &Common, stage: &Stage, crowd: &mut Vec<Client>, sends: bool) {
    let end = Deadline::now() + Duration::from_secs_f64(stage.seconds);
    let pause = Duration::from_secs_f64(stage.interval);
    let mut staying = JoinSet::new();
    for mut client in crowd.drain(..) {
        let common = common.clone();
        staying.spawn_local(async move {
            if !sends {
                let listened = timeout_at(end, listen(&common, &mut client)).await;
                return listened.map_err(|_| client).map(|failure| common.lose(&failure)).err();
            }
            let mut next = Deadline::now();
            while Deadline::now() < end {
                if !common.exchange(&mut client).await {
                    return None;
                }
                next = Deadline::now().max(next + pause); // as often as it was asked for, whatever an answer takes
                if !pause.is_zero() {
                    if let Ok(failure) = timeout_at(end.min(next), listen(&common, &mut client)).await {
                        common.lose(&failure);
                        return None;
                    }
                }
            }
            Some(client)
        });
    }
    while let Some(stayed) = staying.join_next().await {
        crowd.extend(stayed.ok().flatten());
    }
    sleep_until(end).await; // a time without anybody is part of it
}

async fn leave(common: &Common, crowd: Vec<Client>) {
    let mut leaving = JoinSet::new();
    for client in crowd {
        let common = common.clone();
        leaving.spawn_local(async move {
            client.leave().await;
            common.report().timeline.closed();
        });
    }
    while leaving.join_next().await.is_some() {}
}
