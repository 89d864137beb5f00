//! Clients that do not behave, of several kinds at a time, and healthy ones beside them.
//!
//! # Promised
//! The same seed gives the same clients: of each kind the n-th one leaves at the same moment, cut at the same byte. In which
//! order those of different kinds come is up to the machine.
//!
//! # How
//! Each kind has its own places and its own pace, so that those that stay do not take the places of those that leave. What is
//! still open is what has connected and not ended.

mod abuse;
mod tally;
mod walk;

use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, sleep_until, Instant, MissedTickBehavior};

use crate::endpoint::Endpoint;
use crate::plan::{Kind, Moment, Protocol, Share, Storm, Target, Transport};
use crate::probe::{self, Phase};
use crate::timeline::SLOT;

pub(crate) use tally::Report;
use tally::Tallies;

/// After a connection that was refused.
const BACK_OFF: Duration = Duration::from_millis(50);
/// 2^64 divided by the golden ratio: neighbours' seeds have nothing in common.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Storm {
    /// Whether there is something to do for each kind.
    pub(crate) fn check(&self, protocol: Protocol, transport: Transport) -> Result<(), String> {
        let possible = self.possible_moments(protocol, transport);
        for Share { kind, .. } in &self.kinds {
            if self.moments_of(*kind, &possible).is_empty() {
                let (kind, there_are) = (json!(kind), json!(possible));
                return Err(format!("there is no such moment for {kind} here, but there are {there_are}"));
            }
        }
        Ok(())
    }

    fn possible_moments(&self, protocol: Protocol, transport: Transport) -> Vec<Moment> {
        use Moment::{
            AfterUpgrade, BeforeRequest, BeforeResponse, DuringPolling, DuringResponse, InBody, InHead,
            MidFrame,
        };
        match (protocol, transport) {
            (Protocol::Http, _) if self.body > 0 => {
                vec![BeforeRequest, InHead, InBody, BeforeResponse, DuringResponse]
            }
            (Protocol::Http, _) => vec![BeforeRequest, InHead, BeforeResponse, DuringResponse],
            (Protocol::SocketIo, Transport::Polling) => {
                vec![BeforeRequest, InHead, InBody, BeforeResponse, DuringPolling]
            }
            _ => vec![BeforeRequest, InHead, BeforeResponse, MidFrame, AfterUpgrade],
        }
    }

    /// Those of a kind. The last of the possible ones is that of a client that is fully there.
    fn moments_of(&self, kind: Kind, possible: &[Moment]) -> Vec<Moment> {
        let chosen: Vec<_> =
            possible.iter().copied().filter(|moment| self.moments.contains(moment)).collect();
        let full = possible.last().copied().into_iter().collect();
        match kind {
            Kind::Slow | Kind::Reconnect => full,
            Kind::Slowloris => vec![Moment::InHead],
            Kind::Silent if self.moments.is_empty() => full,
            _ if self.moments.is_empty() => possible.to_vec(),
            _ => chosen,
        }
    }
}

/// What all clients of a storm have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    endpoint: Rc<Endpoint>,
    storm: Rc<Storm>,
    tallies: Tallies,
    began: Instant,
}

/// What one client is to do.
#[derive(Debug)]
struct Errand {
    kind: Kind,
    moment: Moment,
    rng: Rng,
}

impl Common {
    fn errand(&self, kind: Kind, number: u64) -> Errand {
        let target = &self.endpoint.target;
        let seed = self.storm.seed ^ ((kind as u64 + 1) << 56) ^ number.wrapping_add(1).wrapping_mul(SPREAD);
        let mut rng = Rng::with_seed(seed);
        let possible = self.storm.possible_moments(target.protocol, target.transport);
        let moments = self.storm.moments_of(kind, &possible);
        let moment = rng.choice(&moments).copied().unwrap_or(Moment::BeforeRequest);
        Errand { kind, moment, rng }
    }

    /// The next moment at which all act together.
    async fn next_wave(&self) {
        let wave = Duration::from_secs_f64(self.storm.wave);
        let passed = self.began.elapsed().div_duration_f64(wave).floor();
        sleep_until(self.began + wave.mul_f64(passed + 1.0)).await;
    }
}

/// Runs it, with healthy clients before, during and after. May be dropped at any time.
pub(crate) async fn run(target: Target, storm: Storm, report: Arc<Mutex<Report>>) {
    let endpoint = Rc::new(Endpoint::new(target));
    endpoint.settle().await;
    let (phase, watching) = match storm.probe.clone() {
        Some(plan) => {
            let (before, after) = (plan.before, plan.after);
            (Some(probe::start(plan, Arc::clone(&report))), (before, after))
        }
        None => (None, (0.0, 0.0)),
    };
    let turns = async {
        let mut ticks = interval(SLOT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            report.lock().unwrap_or_else(PoisonError::into_inner).timeline.turn();
        }
    };
    let phases = async {
        sleep(Duration::from_secs_f64(watching.0)).await;
        if let Some(phase) = &phase {
            phase.enter(Phase::Storm);
        }
        let (seconds, storm) = (Duration::from_secs_f64(storm.seconds), Rc::new(storm));
        let tallies = Tallies(Arc::clone(&report));
        tallies.begin();
        let common = Common { endpoint, storm, tallies, began: Instant::now() };
        tokio::select! {
            () = rage(&common) => {}
            () = sleep(seconds) => {}
        }
        common.tallies.end();
        if let Some(phase) = &phase {
            phase.enter(Phase::After);
        }
        sleep(Duration::from_secs_f64(watching.1)).await;
    };
    tokio::select! {
        () = phases => {}
        () = turns => {}
    }
}

/// For good.
async fn rage(common: &Common) {
    let mut kinds = JoinSet::new();
    for share in common.storm.kinds.clone() {
        let common = common.clone();
        kinds.spawn_local(async move {
            match share.kind {
                Kind::Burst => bursts(&common, share).await,
                Kind::Reconnect => reconnects(&common, share).await,
                _ => visits(&common, share).await,
            }
        });
    }
    while kinds.join_next().await.is_some() {}
    pending::<()>().await;
}

/// One after the other, at the pace that their kind has.
async fn visits(common: &Common, share: Share) {
    let total: usize = common.storm.kinds.iter().map(|share| share.clients).sum();
    let rate = common.storm.rate * share.clients as f64 / total as f64;
    let places = Arc::new(Semaphore::new(share.clients));
    let mut clients = JoinSet::new();
    let mut ticks = (rate > 0.0).then(|| interval(Duration::from_secs_f64(1.0 / rate)));
    for number in 0.. {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while clients.try_join_next().is_some() {}
        let (common, errand) = (common.clone(), common.errand(share.kind, number));
        clients.spawn_local(async move {
            if !abuse::run(&common, errand).await {
                sleep(BACK_OFF).await;
            }
            drop(place);
        });
    }
}

/// All at the same moment, again and again.
async fn bursts(common: &Common, share: Share) {
    let mut number = 0;
    loop {
        let barrier = Arc::new(Barrier::new(share.clients));
        let mut clients = JoinSet::new();
        for _ in 0..share.clients {
            let (common, barrier) = (common.clone(), Arc::clone(&barrier));
            let errand = common.errand(share.kind, number);
            number += 1;
            clients.spawn_local(async move {
                abuse::in_step(&common, errand, async {
                    let _leads = barrier.wait().await;
                })
                .await;
            });
        }
        while clients.join_next().await.is_some() {}
        common.next_wave().await;
    }
}

/// Each leaves with the others, and comes back.
async fn reconnects(common: &Common, share: Share) {
    let mut clients = JoinSet::new();
    for place in 0..share.clients {
        let common = common.clone();
        clients.spawn_local(async move {
            for round in 0.. {
                let number = (round * share.clients + place) as u64;
                let mut errand = common.errand(share.kind, number);
                let pause = Duration::from_secs_f64(errand.rng.f64() * common.storm.jitter);
                abuse::in_step(&common, errand, common.next_wave()).await;
                sleep(pause).await;
            }
        });
    }
    while clients.join_next().await.is_some() {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn storm(moments: Vec<Moment>) -> Storm {
        let kinds = vec![Share { kind: Kind::Rst, clients: 1 }, Share { kind: Kind::Slow, clients: 1 }];
        Storm {
            kinds,
            moments,
            rate: 0.0,
            seconds: 1.0,
            seed: 7,
            jitter: 0.0,
            wave: 1.0,
            drip: 0.1,
            body: 0,
            probe: None,
        }
    }

    #[test]
    fn a_moment_that_there_is_not_is_refused() {
        let refused = storm(vec![Moment::MidFrame]).check(Protocol::Http, Transport::WebSocket);
        assert!(refused.unwrap_err().contains("during-response"));
        assert!(storm(vec![Moment::MidFrame]).check(Protocol::WebSocket, Transport::WebSocket).is_ok());
        assert!(storm(vec![]).check(Protocol::SocketIo, Transport::Polling).is_ok());
    }

    #[test]
    fn who_stays_is_fully_there_first() {
        let storm = storm(vec![]);
        let possible = storm.possible_moments(Protocol::SocketIo, Transport::Polling);
        assert_eq!(storm.moments_of(Kind::Silent, &possible), [Moment::DuringPolling]);
        assert_eq!(storm.moments_of(Kind::Rst, &possible), possible);
    }
}
