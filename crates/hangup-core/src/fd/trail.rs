//! What a descriptor has been through: figures that whoever uses it leaves behind.
//!
//! # Promised
//! Nobody waits for them, and each costs a few nanoseconds beside a system call.
//!
//! # How
//! Bytes are counted by whoever holds the lane, so there is one writer for each figure and no locked instruction. Times
//! are the kernel's coarse clock.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::guarded::GuardedFd;
use super::sys;
use crate::address::{self, Address};
use crate::cause::Cause;

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// Nothing but our own close.
    Here,
    /// The peer ended its stream.
    EndOfStream,
    /// The peer reset it, or was gone when something was sent.
    PeerGone,
    /// The path to the peer failed.
    PathBroken,
    /// The peer sent a close frame.
    CloseFrame,
    /// The peer said so in Engine.IO.
    Left,
    /// The peer broke a protocol.
    Violation,
    /// The peer did not answer in time.
    Silent,
    /// The peer did not read in time.
    Stalled,
    /// Too much waited to be sent.
    Overflow,
    /// Foreign code closed the number.
    Stolen,
    /// Given to the caller.
    Detached,
}

impl Fate {
    const ALL: [Fate; 12] = [
        Fate::Here,
        Fate::EndOfStream,
        Fate::PeerGone,
        Fate::PathBroken,
        Fate::CloseFrame,
        Fate::Left,
        Fate::Violation,
        Fate::Silent,
        Fate::Stalled,
        Fate::Overflow,
        Fate::Stolen,
        Fate::Detached,
    ]; // fmt: skip

    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Fate::Here => "here",
            Fate::EndOfStream => "end_of_stream",
            Fate::PeerGone => "peer_gone",
            Fate::PathBroken => "path_broken",
            Fate::CloseFrame => "close_frame",
            Fate::Left => "left",
            Fate::Violation => "violation",
            Fate::Silent => "silent",
            Fate::Stalled => "stalled",
            Fate::Overflow => "overflow",
            Fate::Stolen => "stolen",
            Fate::Detached => "detached",
        }
    }
}

/// What waits to be sent on a descriptor, elsewhere than in the kernel.
pub(crate) trait Queue: std::fmt::Debug + Send + Sync {
    /// Bytes.
    fn queued(&self) -> usize;
}

/// The figures.
#[derive(Debug)]
pub struct Trail {
    serial: u64,
    opened: u64,
    peer: Address,
    received: AtomicU64,
    sent: AtomicU64,
    last_read: AtomicU64,
    last_write: AtomicU64,
    fate: AtomicU8,
    queue: OnceLock<Weak<dyn Queue>>,
}

impl Trail {
    pub(super) fn begin(number: RawFd) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            opened: sys::coarse_now(),
            peer: address::parse(sys::peer(number).ok().flatten()), // a peer that has gone cannot be asked for it
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            last_read: AtomicU64::new(0),
            last_write: AtomicU64::new(0),
            fate: AtomicU8::new(Fate::Here as u8),
            queue: OnceLock::new(),
        }
    }

    /// By the holder of the read lane.
    pub(super) fn received(&self, count: usize) {
        self.received.store(self.received.load(Ordering::Relaxed) + count as u64, Ordering::Relaxed);
        self.last_read.store(sys::coarse_now(), Ordering::Relaxed);
        if count == 0 {
            self.suffer(Fate::EndOfStream);
        }
    }

    /// By the holder of the write lane.
    pub(super) fn sent(&self, count: usize) {
        self.sent.store(self.sent.load(Ordering::Relaxed) + count as u64, Ordering::Relaxed);
        self.last_write.store(sys::coarse_now(), Ordering::Relaxed);
    }

    /// What the kernel's answer came to.
    pub(super) fn judged(&self, cause: Cause) {
        match cause {
            Cause::PeerGone => self.suffer(Fate::PeerGone),
            Cause::PathBroken => self.suffer(Fate::PathBroken),
            _ => {}
        }
    }

    /// The first that says something counts.
    fn suffer(&self, fate: Fate) {
        let here = Fate::Here as u8;
        let _ = self.fate.compare_exchange(here, fate as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Somebody who knows the protocol says it.
    #[cfg(feature = "transport")]
    pub(crate) fn decide(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::Relaxed);
    }

    /// Has what waits elsewhere be part of the figures.
    #[cfg(feature = "transport")]
    pub(crate) fn count_queue(&self, queue: Weak<dyn Queue>) {
        let _ = self.queue.set(queue); // a descriptor has one
    }

    /// Unique in this process and its children, unlike the number.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The peer's address when it was adopted.
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// What ended it, so far.
    pub fn fate(&self) -> Fate {
        Fate::ALL[usize::from(self.fate.load(Ordering::Relaxed))]
    }

    /// The figures of this moment; each is its own moment's, for nobody is stopped.
    pub fn figures(&self) -> Figures {
        Figures {
            opened: self.opened,
            last_read: self.last_read.load(Ordering::Relaxed),
            last_write: self.last_write.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }

    /// Bytes that wait elsewhere than in the kernel.
    pub fn queued(&self) -> usize {
        self.queue.get().and_then(Weak::upgrade).map_or(0, |queue| queue.queued())
    }
}

/// Times in nanoseconds since the epoch, 0 for never; payload in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// When it was adopted.
    pub opened: u64,
    /// When something was last received, the end included.
    pub last_read: u64,
    /// When something was last sent.
    pub last_write: u64,
    /// Since it was adopted.
    pub received: u64,
    /// Since it was adopted.
    pub sent: u64,
}

impl GuardedFd {
    /// What it has been through.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// When it was adopted.
    pub fn opened(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.trail.opened)
    }
}
