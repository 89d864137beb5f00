//! Broadcasts: one client asks, all receive.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, Instant as Deadline};

use crate::bench::Common;
use crate::client::Client;
use crate::failure::Failure;
use crate::plan::Stage;

/// Broadcasts that are under way.
#[derive(Debug, Default)]
struct Air {
    flights: BTreeMap<u64, Flight>,
    receivers: usize,
    /// Nothing more is asked for, and all has arrived.
    is_over: bool,
}

#[derive(Debug)]
struct Flight {
    began: Instant,
    missing: usize,
}

#[derive(Debug)]
struct Broadcasts {
    common: Common,
    air: RefCell<Air>,
    changed: Notify,
    until: Deadline,
    window: usize,
}

/// Has the first client ask for one broadcast after the other, until the stage's time is over and all has arrived.
pub(crate) async fn run(common: &Common, stage: &Stage, crowd: &mut Vec<Client>) {
    let until = Deadline::now() + Duration::from_secs_f64(stage.seconds);
    let air = RefCell::new(Air { receivers: crowd.len(), ..Air::default() });
    let (common, changed, window) = (common.clone(), Notify::new(), stage.window.max(1));
    let broadcasts = Rc::new(Broadcasts { common, air, changed, until, window });
    let mut clients = JoinSet::new();
    for (place, client) in crowd.drain(..).enumerate() {
        let broadcasts = Rc::clone(&broadcasts);
        clients.spawn_local(async move { broadcasts.take_part(client, place == 0).await });
    }
    while let Some(client) = clients.join_next().await {
        crowd.extend(client.ok().flatten());
    }
    let mut report = broadcasts.common.report();
    report.figures().succeeded = crowd.len() as u64;
    let missing: usize = broadcasts.air.borrow().flights.values().map(|flight| flight.missing).sum();
    if missing > 0 {
        let failure = Failure::Silent("a broadcast to arrive");
        report.figures().errors.note_many(&failure, missing as u64);
    }
}

impl Broadcasts {
    async fn take_part(&self, mut client: Client, asks: bool) -> Option<Client> {
        let mut received = BTreeSet::new();
        let patience = self.until + self.common.endpoint.target.patience();
        loop {
            if asks {
                if let Err(failure) = self.ask(&mut client).await {
                    return self.leave(&failure, &received, asks);
                }
            }
            let changed = self.changed.notified();
            if self.air.borrow().is_over {
                return Some(client);
            }
            tokio::select! {
                said = client.receive() => match said {
                    Ok(said) => self.receive(&said, &mut received),
                    Err(failure) => return self.leave(&failure, &received, asks),
                },
                () = changed => {}
                () = sleep_until(self.until), if asks && Deadline::now() < self.until => {}
                () = sleep_until(patience) => return Some(client),
            }
        }
    }

    /// Asks for as many as there may be, or sees that it is over.
    async fn ask(&self, client: &mut Client) -> Result<(), Failure> {
        let Common { template, .. } = &self.common;
        while Deadline::now() < self.until && self.air.borrow().flights.len() < self.window {
            let number = self.common.number();
            let (began, missing) = (Instant::now(), self.air.borrow().receivers);
            self.air.borrow_mut().flights.insert(number, Flight { began, missing });
            {
                let mut report = self.common.report();
                report.figures().sent += 1;
                report.figures().expected += missing as u64;
            }
            client.send(&template.message(number).said).await?;
        }
        if Deadline::now() >= self.until && self.air.borrow().flights.is_empty() {
            self.finish();
        }
        Ok(())
    }

    fn finish(&self) {
        self.air.borrow_mut().is_over = true;
        self.changed.notify_waiters();
    }

    fn receive(&self, said: &str, received: &mut BTreeSet<u64>) {
        self.common.report().figures().received += 1;
        let Some(number) = self.common.template.number_in(said) else { return };
        let mut air = self.air.borrow_mut();
        let Some(flight) = air.flights.get_mut(&number) else { return };
        if !received.insert(number) {
            return;
        }
        self.common.report().answered(flight.began.elapsed());
        flight.missing -= 1;
        if flight.missing == 0 {
            air.flights.remove(&number);
            self.changed.notify_waiters();
        }
        let oldest = air.flights.keys().next().copied();
        received.retain(|number| oldest.is_some_and(|oldest| *number >= oldest));
    }

    /// What has not arrived at this client will not.
    fn leave(&self, failure: &Failure, received: &BTreeSet<u64>, asks: bool) -> Option<Client> {
        self.common.lose(failure);
        let mut air = self.air.borrow_mut();
        air.receivers -= 1;
        for (number, flight) in &mut air.flights {
            if !received.contains(number) {
                flight.missing -= 1;
            }
        }
        air.flights.retain(|_, flight| flight.missing > 0);
        drop(air);
        if asks {
            self.finish();
        }
        self.changed.notify_waiters();
        None
    }
}
