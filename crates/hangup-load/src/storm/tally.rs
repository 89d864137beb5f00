//! What became of the clients of a storm, and of the healthy ones beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::failure::Failure;
use crate::figures::{Durations, Errors};
use crate::plan::{Kind, Storm};
use crate::probe::{Phase, Watched};
use crate::timeline::Timeline;

/// How it ended for a client that was connected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// The client left as it was to.
    Left,
    /// With a response, of this status.
    Answered(u16),
    /// By the server, with what it said about it.
    Closed(String),
    Reset,
    /// The server did not go on within patience, and the client left.
    Unanswered,
    Other(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reset => End::Reset,
            Failure::Closed => End::Closed("without a word".to_owned()),
            Failure::ClosedWith(said) => End::Closed(said),
            Failure::Status(status, _) => End::Answered(status),
            Failure::Silent(_) => End::Unanswered,
            other => End::Other(other),
        }
    }
}

/// Of the clients of one kind.
#[derive(Debug, Default)]
struct Tally {
    clients: usize,
    attempted: u64,
    connected: u64,
    refused: Errors,
    left: u64,
    answered: BTreeMap<u16, u64>,
    closed: BTreeMap<String, u64>,
    reset: u64,
    unanswered: u64,
    other: Errors,
    connect: Durations,
}

/// So many ways in which a server closes are told apart.
const MOST_WORDS: usize = 20;

impl Tally {
    fn end(&mut self, end: End) {
        match end {
            End::Left => self.left += 1,
            End::Answered(status) => *self.answered.entry(status).or_default() += 1,
            End::Closed(said) => {
                let is_new = self.closed.len() >= MOST_WORDS && !self.closed.contains_key(&said);
                let said = if is_new { "otherwise".to_owned() } else { said };
                *self.closed.entry(said).or_default() += 1;
            }
            End::Reset => self.reset += 1,
            End::Unanswered => self.unanswered += 1,
            End::Other(failure) => self.other.note(&failure),
        }
    }

    fn ended(&self) -> u64 {
        let (answered, closed): (u64, u64) = (self.answered.values().sum(), self.closed.values().sum());
        self.left + answered + closed + self.reset + self.unanswered + self.other.total()
    }

    fn to_json(&self) -> Value {
        let answered: BTreeMap<_, _> =
            self.answered.iter().map(|(status, n)| (status.to_string(), n)).collect();
        json!({
            "clients": self.clients,
            "attempted": self.attempted,
            "connected": self.connected,
            "refused": self.refused.total(),
            "left": self.left,
            "answered": answered,
            "closed": self.closed,
            "reset": self.reset,
            "unanswered": self.unanswered,
            "other": self.other.to_json(),
            "open": self.connected.saturating_sub(self.ended()),
            "refusals": self.refused.to_json(),
            "connect_us": self.connect.to_json(),
        })
    }
}

/// What has been counted so far.
#[derive(Debug)]
pub(crate) struct Report {
    kinds: BTreeMap<Kind, Tally>,
    pub(crate) probe: BTreeMap<Phase, Watched>,
    pub(crate) timeline: Timeline,
    began: Option<Instant>,
    lasted: Option<Duration>,
}

impl Report {
    pub(crate) fn new(storm: &Storm) -> Self {
        let kinds = storm.kinds.iter().map(|share| {
            let tally = Tally { clients: share.clients, ..Tally::default() };
            (share.kind, tally)
        });
        let (probe, timeline) = (BTreeMap::new(), Timeline::new());
        Self { kinds: kinds.collect(), probe, timeline, began: None, lasted: None }
    }

    fn tally(&mut self, kind: Kind) -> &mut Tally {
        self.kinds.entry(kind).or_default()
    }

    pub(crate) fn to_json(&self) -> Value {
        let name = |kind: &Kind| format!("{kind:?}").to_lowercase();
        let kinds: BTreeMap<_, _> =
            self.kinds.iter().map(|(kind, tally)| (name(kind), tally.to_json())).collect();
        let probe: BTreeMap<_, _> =
            self.probe.iter().map(|(phase, watched)| (phase.name(), watched.to_json())).collect();
        let lasted = self.lasted.or(self.began.map(|began| began.elapsed())).unwrap_or_default();
        json!({
            "kinds": kinds,
            "probe": probe,
            "timeline": self.timeline.to_json(),
            "storm_seconds": lasted.as_secs_f64(),
            "seconds": self.timeline.seconds(),
        })
    }
}

/// Where clients count.
#[derive(Clone, Debug)]
pub(crate) struct Tallies(pub(super) Arc<Mutex<Report>>);

impl Tallies {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self) {
        self.report().began = Some(Instant::now());
    }

    pub(crate) fn end(&self) {
        let mut report = self.report();
        report.lasted = report.began.map(|began| began.elapsed());
    }

    pub(crate) fn attempted(&self, kind: Kind) {
        self.report().tally(kind).attempted += 1;
    }

    pub(crate) fn refused(&self, kind: Kind, failure: &Failure) {
        self.report().tally(kind).refused.note(failure);
    }

    pub(crate) fn connected(&self, kind: Kind, took: Duration) {
        let mut report = self.report();
        let tally = report.tally(kind);
        tally.connected += 1;
        tally.connect.note(took);
        report.timeline.opened();
    }

    pub(crate) fn ended(&self, kind: Kind, end: End) {
        let mut report = self.report();
        report.tally(kind).end(end);
        report.timeline.closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_connected_and_not_ended_is_open() {
        let mut tally = Tally { connected: 5, ..Tally::default() };
        for end in
            [End::Left, Failure::Reset.into(), Failure::Status(503, String::new()).into(), End::Unanswered]
        {
            tally.end(end);
        }
        let told = tally.to_json();
        assert_eq!(
            (told["open"].as_u64(), told["answered"]["503"].as_u64(), told["reset"].as_u64()),
            (Some(1), Some(1), Some(1))
        );
    }
}
