//! Who may touch a descriptor: reference count, closed bit, one reader, one writer.
//!
//! # Promised
//! * After [`FdMutex::claim_close`] no new user is admitted.
//! * Exactly one caller learns [`Departure::Last`], and only after the close was claimed and every
//!   user has left. That caller destroys the descriptor; nobody else may.
//! * At most one reader and one writer at a time.
//!
//! # How
//! One 64-bit word, changed by compare-and-swap only:
//!
//! ```text
//!  63                                4   3        2        1        0
//! +-----------------------------------+--------+--------+--------+--------+
//! | users                             |AWAITED |WRITING |READING |CLOSED  |
//! +-----------------------------------+--------+--------+--------+--------+
//! ```
//!
//! `users` counts everyone between admission and departure, holders of a lane included. AWAITED
//! says that a thread is parked for a lane (see [`super::wait`]).
//!
//! The idea is that of Go's `internal/poll/fd_mutex.go`. Two things differ: claims are types, not
//! booleans, and nothing here waits, because a waiter may be a greenlet.
//!
//! # Not promised
//! Fairness between waiters. No system call is made here, so no promise about the kernel either.

use crate::sync::{AtomicU64, Ordering};

const CLOSED: u64 = 1;
const READING: u64 = 1 << 1;
const WRITING: u64 = 1 << 2;
const AWAITED: u64 = 1 << 3;
const ONE_USER: u64 = 1 << 4;
/// More concurrent users than any process has threads: reaching it means a leak of admissions.
const MAX_USERS: u64 = 1 << 24;

/// One of the two directions in which a stream is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Receiving.
    Read,
    /// Sending.
    Write,
}

impl Lane {
    const fn bit(self) -> u64 {
        match self {
            Lane::Read => READING,
            Lane::Write => WRITING,
        }
    }
}

/// Why a user was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The close was claimed.
    Closing,
    /// Somebody else holds the lane.
    Busy,
    /// The user counter is full.
    Crowded,
}

/// What [`FdMutex::claim_close`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CloseClaim {
    /// This caller closes. It counts as a user and must [`FdMutex::leave`].
    First {
        /// How many other users were inside at the moment of the claim.
        others: u64,
        /// Whether threads were parked for a lane and must be woken.
        awaited: bool,
    },
    /// Somebody closed before.
    Already,
}

/// What a departing user leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Departure {
    /// The close was claimed and this was the last user: destroy the descriptor.
    Last,
    /// The descriptor stays. `awaited`: threads are parked for the lane that became free.
    Open {
        /// Whether threads were parked for a lane and must be woken.
        awaited: bool,
    },
}

/// The state word. See the module documentation.
#[derive(Debug)]
pub struct FdMutex {
    word: AtomicU64,
}

impl Default for FdMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl FdMutex {
    /// An open descriptor without users.
    pub fn new() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// Admits a user without a lane.
    pub fn enter(&self) -> Result<(), Refusal> {
        self.admit(0)
    }

    /// Admits a user who holds `lane` until [`FdMutex::leave_lane`].
    pub fn enter_lane(&self, lane: Lane) -> Result<(), Refusal> {
        self.admit(lane.bit())
    }

    /// A user leaves.
    pub fn leave(&self) -> Departure {
        self.depart(0)
    }

    /// The holder of `lane` leaves.
    pub fn leave_lane(&self, lane: Lane) -> Departure {
        self.depart(lane.bit())
    }

    /// Refuses all users from now on.
    pub fn claim_close(&self) -> CloseClaim {
        let before = self.update(|word| (word & CLOSED == 0).then_some((word | CLOSED) + ONE_USER));
        match before {
            Ok(word) => CloseClaim::First { others: users(word), awaited: word & AWAITED != 0 },
            Err(_) => CloseClaim::Already,
        }
    }

    /// Claims the close only if nobody but `leases` long-term users is inside.
    pub fn claim_close_if_idle(&self, leases: u64) -> Result<(), Refusal> {
        let idle = |word: u64| word & (CLOSED | READING | WRITING) == 0 && users(word) <= leases;
        match self.update(|word| idle(word).then_some((word | CLOSED) + ONE_USER)) {
            Ok(_) => Ok(()),
            Err(word) if word & CLOSED != 0 => Err(Refusal::Closing),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// Announces a parked waiter for `lane`. False if the lane is free or the close was claimed:
    /// then do not park.
    pub(crate) fn announce_waiter(&self, lane: Lane) -> bool {
        let held = |word: u64| word & CLOSED == 0 && word & lane.bit() != 0;
        self.update(|word| held(word).then_some(word | AWAITED)).is_ok()
    }

    /// Whether the close was claimed.
    pub fn is_closing(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Users inside at this moment. A hint: it may be outdated when it is read.
    pub fn users(&self) -> u64 {
        users(self.word.load(Ordering::Relaxed))
    }

    /// Forgets all users except `leases` long-term ones and, if `writing`, the holder of the write lane:
    /// after `fork(2)` the threads that were inside do not exist. To be called in the child before any
    /// other thread is started. [`Departure::Last`] if the close was claimed and nobody is left.
    pub fn forget_users(&self, leases: u64, writing: bool) -> Departure {
        let closed = self.word.load(Ordering::Relaxed) & CLOSED;
        let users = leases + u64::from(writing);
        let lane = if writing { WRITING } else { 0 };
        self.word.store(closed | lane | (users * ONE_USER), Ordering::Release);
        if closed != 0 && users == 0 {
            Departure::Last
        } else {
            Departure::Open { awaited: false }
        }
    }

    fn admit(&self, bit: u64) -> Result<(), Refusal> {
        let open = |word: u64| word & (CLOSED | bit) == 0 && users(word) < MAX_USERS;
        match self.update(|word| open(word).then_some((word | bit) + ONE_USER)) {
            Ok(_) => Ok(()),
            Err(word) if word & CLOSED != 0 => Err(Refusal::Closing),
            Err(word) if word & bit != 0 => Err(Refusal::Busy),
            Err(_) => Err(Refusal::Crowded),
        }
    }

    fn depart(&self, bit: u64) -> Departure {
        let freed = if bit == 0 { 0 } else { bit | AWAITED };
        let inside = |word: u64| users(word) > 0 && word & bit == bit;
        match self.update(|word| inside(word).then_some((word & !freed) - ONE_USER)) {
            Ok(word) if word & CLOSED != 0 && users(word) == 1 => Departure::Last,
            Ok(word) => Departure::Open { awaited: bit != 0 && word & AWAITED != 0 },
            Err(word) => panic!("inconsistent FdMutex: departure from {word:#x}"),
        }
    }

    /// Applies `change` atomically. Ok(word before) or Err(word that `change` refused).
    fn update(&self, mut change: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let Some(next) = change(word) else { return Err(word) };
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(word),
                Err(actual) => word = actual,
            }
        }
    }
}

const fn users(word: u64) -> u64 {
    word / ONE_USER
}
