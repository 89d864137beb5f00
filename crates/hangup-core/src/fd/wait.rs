//! Waiting for a lane by parking the thread.
//!
//! # Promised
//! [`Parking::enter_lane`] returns when the lane was taken, when the close was claimed, or when the
//! deadline passed; no wake-up is lost.
//!
//! # How
//! A waiter announces itself in the state word while it holds the parking mutex, and parks by
//! releasing it. Whoever frees the lane or claims the close finds the announcement, takes the
//! mutex (so the waiter is parked by then) and wakes everybody; each looks again.
//!
//! # Not promised
//! Nothing here may run on a thread that carries greenlets: they use [`FdMutex::enter_lane`] and
//! wait in their hub.

use std::time::{Duration, Instant};

use super::mutex::{FdMutex, Lane, Refusal};
use crate::sync::{lock, Condvar, Mutex};

/// How long an operation may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    Never,
    /// Until this moment.
    Until(Instant),
    /// As long as it takes.
    Forever,
}

impl Patience {
    /// From a Python-style timeout: `None` waits for ever, zero never waits.
    pub fn from_timeout(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Patience::Forever,
            Some(Duration::ZERO) => Patience::Never,
            Some(limit) => Instant::now().checked_add(limit).map_or(Patience::Forever, Patience::Until),
        }
    }

    /// Whether there is none left.
    pub fn is_over(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// The same, but at most `limit` from now.
    #[must_use]
    pub fn capped(self, limit: Duration) -> Self {
        let capped = Patience::from_timeout(Some(limit));
        match (self, capped) {
            (Patience::Until(own), Patience::Until(cap)) => Patience::Until(own.min(cap)),
            (Patience::Forever, cap) => cap,
            (own, _) => own,
        }
    }

    /// What is left: `None` without a limit, zero when it is over.
    pub fn remaining(self) -> Option<Duration> {
        match self {
            Patience::Never => Some(Duration::ZERO),
            Patience::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Patience::Forever => None,
        }
    }
}

/// Where threads park for a lane of one [`FdMutex`].
#[derive(Debug)]
pub struct Parking {
    mutex: Mutex<()>,
    freed: Condvar,
}

impl Default for Parking {
    fn default() -> Self {
        Self { mutex: Mutex::new(()), freed: Condvar::new() }
    }
}

impl Parking {
    /// Takes `lane`, parking while somebody else holds it. `Refusal::Busy` when patience ran out.
    pub fn enter_lane(&self, fd: &FdMutex, lane: Lane, patience: Patience) -> Result<(), Refusal> {
        loop {
            match fd.enter_lane(lane) {
                Err(Refusal::Busy) => {}
                decided => return decided,
            }
            let parked = lock(&self.mutex);
            let left = patience.remaining();
            if left == Some(Duration::ZERO) {
                return Err(Refusal::Busy);
            }
            if fd.announce_waiter(lane) {
                match left {
                    None => drop(self.freed.wait(parked)),
                    Some(limit) => drop(self.freed.wait_timeout(parked, limit)),
                }
            }
        }
    }

    /// Wakes everyone who is parked.
    pub fn wake(&self) {
        drop(lock(&self.mutex));
        self.freed.notify_all();
    }
}
