//! Pings of a WebSocket on which nothing else tells who is silent (RFC 6455 section 5.5.2). Pure.

use std::time::Duration;

use tokio::time::Instant;

/// When a client is pinged.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// From a pong, or the beginning, to the next ping.
    pub interval: Duration,
    /// From a ping to its pong. None: a client is pinged, and may be silent.
    pub timeout: Option<Duration>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send a ping.
    Ping,
    /// The client has been silent for too long.
    Silent,
    /// Nothing.
    Nothing,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    pings: Pings,
    due: Instant,
    awaiting_pong: bool,
}

impl KeepAlive {
    pub(crate) fn new(pings: Pings) -> Self {
        Self { pings, due: Instant::now() + pings.interval, awaiting_pong: false }
    }

    /// When [`KeepAlive::pass`] wants to be called.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// A pong, whatever it repeats: the client is there.
    pub(crate) fn pong(&mut self) {
        if std::mem::take(&mut self.awaiting_pong) {
            self.due = Instant::now() + self.pings.interval;
        }
    }

    /// Time has passed: `due` is over. `deaf`: we have not been reading, so silence proves nothing.
    pub(crate) fn pass(&mut self, deaf: bool) -> Due {
        let limit = self.pings.timeout.unwrap_or(self.pings.interval);
        let awaited = std::mem::replace(&mut self.awaiting_pong, self.pings.timeout.is_some());
        self.due = Instant::now() + limit;
        match (awaited, deaf) {
            (false, _) => Due::Ping,
            (true, true) => Due::Nothing,
            (true, false) => Due::Silent,
        }
    }
}
