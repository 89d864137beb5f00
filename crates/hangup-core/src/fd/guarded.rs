//! A socket descriptor that is closed once, by its last user.
//!
//! # Promised
//! * While anyone holds a [`User`], [`LaneGuard`] or [`Lease`], the number names this socket: it is
//!   not closed by us, so the kernel cannot give it to another connection.
//! * [`GuardedFd::close`] returns at once. If others are inside it shuts the connection down, which
//!   ends their waits in poll(2), epoll(7) and a hub alike; the last of them closes.
//! * close(2) is called from [`GuardedFd::destroy`] and nowhere else.
//! * Once its number was handed to foreign code ([`GuardedFd::expose`]), a descriptor is checked
//!   against its inode before each write and before close(2), so that a number which foreign code
//!   closed, and which the kernel gave to somebody else, is neither written to nor closed.
//! * A number that was detached, or that foreign code closed, and that the kernel then gave to another connection
//!   of ours, is reserved again until its leases end ([`GuardedFd::reclaim`]): a server's poller may still know it.
//!
//! * A forked child's close closes the child's copy, and leaves the connection to the parent.
//!
//! # Not promised
//! * A foreign close(2) between that check and the system call after it.
//! * That a duplicate of the descriptor survives a close that had to wake somebody:
//!   shutdown(2) acts on the connection, not on the number.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::net::Shutdown;

use super::mutex::{CloseClaim, Departure, FdMutex, Lane, Refusal};
use super::sys;
use super::trail::Trail;
use super::users::{Hold, LaneGuard, Lease, User};
use super::wait::{Parking, Patience};
use crate::cause::{classify, symptom, Cause, Op, State};
use crate::error::{Error, Result};
use crate::fork;
use crate::ledger::{self, Counter};
use crate::metrics;

/// What a descriptor is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Adopted by `SafeSocket`.
    Socket,
    /// A client connection of an HTTP server.
    Http,
    /// An upgraded connection: the application speaks its own protocol on it.
    Upgraded,
    /// Shut for writing and being drained before the close.
    Lingering,
    /// A WebSocket on the engine.
    WebSocket,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Socket, Kind::Http, Kind::Upgraded, Kind::Lingering, Kind::WebSocket];

    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Socket => "socket",
            Kind::Http => "http",
            Kind::Upgraded => "upgraded",
            Kind::Lingering => "lingering",
            Kind::WebSocket => "websocket",
        }
    }
}

const MODE_UNKNOWN: u8 = 2;

/// How long a thread parks for a lane, or goes on sending, before its caller may look for signals.
pub(crate) const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// What the number of a [`GuardedFd`] stands for. Atomic: a forked child must not find it locked.
mod number {
    /// The socket, unless foreign code closed it.
    pub(super) const OURS: u8 = 0;
    /// Detached: whatever its new owner has made of it.
    pub(super) const GIVEN_AWAY: u8 = 1;
    /// About to hold a placeholder.
    pub(super) const RECLAIMING: u8 = 2;
    /// A placeholder that keeps it from being given to others.
    pub(super) const RESERVED: u8 = 3;
    /// Nothing any more: everybody has let go.
    pub(super) const GONE: u8 = 4;
}

/// An owned socket descriptor. See the module documentation.
#[derive(Debug)]
pub struct GuardedFd {
    pub(super) number: RawFd,
    pub(super) mutex: FdMutex,
    parking: Parking,
    kind: AtomicU8,
    pub(super) trail: Trail,
    /// The kernel's `O_NONBLOCK` as we last set it.
    pub(super) nonblocking: AtomicU8,
    pub(super) write_shut: AtomicBool,
    /// Long-term references ([`Lease`]).
    pub(super) leases: AtomicU64,
    /// Set when the number is no longer ours to close: detached or found stolen.
    pub(super) disowned: AtomicBool,
    detached: AtomicBool,
    /// See [`number`].
    names: AtomicU8,
    /// How many forks its adoption was away from the process that loaded this crate.
    forks: u64,
    /// Device and inode, known once the number was exposed.
    pub(super) identity: OnceLock<(u64, u64)>,
    /// The thread that runs signal handlers while it holds the write lane, 0 if none.
    pub(super) reentrant_writer: AtomicU64,
}

impl GuardedFd {
    /// Takes `fd` over.
    pub fn adopt(fd: OwnedFd, kind: Kind) -> Arc<Self> {
        let number = fd.into_raw_fd();
        let guarded = Arc::new(Self {
            number,
            mutex: FdMutex::new(),
            parking: Parking::default(),
            kind: AtomicU8::new(kind as u8),
            trail: Trail::begin(number),
            nonblocking: AtomicU8::new(MODE_UNKNOWN),
            write_shut: AtomicBool::new(false),
            leases: AtomicU64::new(0),
            disowned: AtomicBool::new(false),
            detached: AtomicBool::new(false),
            names: AtomicU8::new(number::OURS),
            forks: fork::generation(),
            identity: OnceLock::new(),
            reentrant_writer: AtomicU64::new(0),
        });
        ledger::global().enter(&guarded);
        guarded
    }

    /// The number, for showing. It may be somebody else's already: never use it in a system call.
    pub fn number_for_display(&self) -> RawFd {
        self.number
    }

    /// What it is used for.
    pub fn kind(&self) -> Kind {
        Kind::ALL[self.kind.load(Ordering::Relaxed) as usize]
    }

    /// Changes what it is used for.
    pub fn set_kind(&self, kind: Kind) {
        self.kind.store(kind as u8, Ordering::Relaxed);
    }

    /// Foreign code used the number: what mode it left the kernel's `O_NONBLOCK` in is unknown.
    pub fn forget_mode(&self) {
        self.nonblocking.store(MODE_UNKNOWN, Ordering::Relaxed);
    }

    /// Whether the close was claimed.
    pub fn is_closing(&self) -> bool {
        self.mutex.is_closing()
    }

    /// Enters as a user without a lane.
    pub fn enter(&self, op: Op) -> Result<User<'_>> {
        self.mutex.enter().map(|()| User { fd: self }).map_err(|refusal| refused(refusal, op))
    }

    /// Takes a lane without waiting. [`Cause::Busy`] if somebody holds it.
    pub fn try_lane(&self, lane: Lane, op: Op) -> Result<LaneGuard<'_>> {
        let admitted = self.mutex.enter_lane(lane).map_err(|refusal| refused(refusal, op));
        admitted.map(|()| LaneGuard { fd: self, lane })
    }

    /// Takes a lane, parking the thread while somebody else holds it. Parking cannot be interrupted by
    /// a signal, so it ends after [`SIGNAL_CHECK`] with [`Cause::Interrupted`]: run the handlers, call again.
    pub fn lane(&self, lane: Lane, op: Op, patience: Patience) -> Result<LaneGuard<'_>> {
        match self.try_lane(lane, op) {
            Err(error) if error.cause == Cause::Busy && patience != Patience::Never => {}
            decided => return decided,
        }
        if lane == Lane::Write && self.reentrant_writer.load(Ordering::Relaxed) == thread_number() {
            return Err(Error::busy(op)); // a signal handler writes into the frame it interrupted
        }
        match self.parking.enter_lane(&self.mutex, lane, patience.capped(SIGNAL_CHECK)) {
            Ok(()) => Ok(LaneGuard { fd: self, lane }),
            Err(Refusal::Busy) if patience.is_over() => Err(Error::timed_out(op)),
            Err(Refusal::Busy) => Err(Error::interrupted(op)),
            Err(refusal) => Err(refused(refusal, op)),
        }
    }

    /// Enters as a user that is not bound to a borrow of this descriptor.
    pub fn hold(self: &Arc<Self>) -> Result<Hold> {
        self.mutex.enter().map_err(|refusal| refused(refusal, Op::Inspect))?;
        Ok(Hold { fd: Arc::clone(self), forks: Some(fork::generation()) })
    }

    /// A long-term user that is not at work. The close can be claimed meanwhile; it is carried out
    /// when the lease ends. A child inherits it by fork(2).
    pub fn lease(self: &Arc<Self>) -> Result<Lease> {
        let mut hold = self.hold()?;
        hold.forks = None;
        self.leases.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { hold })
    }

    /// Ends the connection. True for the first caller. Never waits for those inside, leases
    /// included: it ends their waits, and the last of them closes.
    pub fn close(&self) -> bool {
        self.close_sparing(0)
    }

    /// As [`GuardedFd::close`], but leaves the connection to its leases if nobody else is inside.
    pub fn close_to_leases(&self) -> bool {
        self.close_sparing(self.leases.load(Ordering::Relaxed))
    }

    fn close_sparing(&self, leases: u64) -> bool {
        let CloseClaim::First { others, awaited } = self.mutex.claim_close() else { return false };
        if others > leases && !self.is_inherited() && self.is_still_ours() {
            // ENOTCONN: the peer reset it, or it was never connected; nobody can be waiting then.
            let _ = sys::shutdown(self.number, Shutdown::Both);
        }
        if awaited {
            self.parking.wake();
        }
        if self.is_inherited() && others == self.leases.load(Ordering::Relaxed) {
            self.destroy(); // no poller of this process knows the number: its leases reserve nothing
        }
        self.depart(self.mutex.leave());
        true
    }

    /// Gives the number back to the caller, who owns it from now on. [`Cause::Busy`] if somebody is
    /// inside, [`Cause::ClosedHere`] if it was closed.
    pub fn detach(self: &Arc<Self>) -> Result<RawFd> {
        let leases = self.leases.load(Ordering::Relaxed);
        self.mutex.claim_close_if_idle(leases).map_err(|refusal| refused(refusal, Op::Inspect))?;
        self.disowned.store(true, Ordering::Release);
        self.detached.store(true, Ordering::Release);
        self.names.store(number::GIVEN_AWAY, Ordering::Release);
        ledger::global().leave(self, Counter::Detached);
        if leases > 0 {
            ledger::global().give_away(self);
        }
        self.depart(self.mutex.leave());
        Ok(self.number)
    }

    /// Whether it was detached, whatever became of its number since.
    pub fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }

    /// Whether it was adopted by a parent of this process, whose connection it is.
    pub fn is_inherited(&self) -> bool {
        self.forks != fork::generation()
    }

    /// Detached, or found stolen.
    fn is_disowned(&self) -> bool {
        self.disowned.load(Ordering::Acquire)
    }

    /// The kernel gave our number to `newcomer`, which is ours as well: foreign code, or the one whom we gave the
    /// number to, must have closed it. The newcomer gets another one, and ours is reserved again until
    /// the leases end. It keeps ours if no other is free, or if the leases have ended meanwhile.
    pub(crate) fn reclaim(&self, newcomer: OwnedFd) -> OwnedFd {
        let before = self.names.load(Ordering::Acquire);
        if !matches!(before, number::OURS | number::GIVEN_AWAY) || !self.renames(before, number::RECLAIMING) {
            return newcomer;
        }
        let Ok(moved) = sys::duplicate(newcomer.as_raw_fd()) else {
            self.renames(number::RECLAIMING, before);
            return newcomer;
        };
        let occupied = sys::occupy(newcomer.as_raw_fd()).is_ok();
        if self.renames(number::RECLAIMING, if occupied { number::RESERVED } else { before }) && occupied {
            let _ours_again = newcomer.into_raw_fd(); // else the leases have ended: closed here
        }
        if !self.is_disowned() {
            self.disown();
        }
        moved
    }

    fn renames(&self, from: u8, to: u8) -> bool {
        self.names.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// After fork(2), in the child: the threads that were inside do not exist here, but the one that forked
    /// does, from a signal handler perhaps. A close that a vanished thread was to carry out is carried out now.
    pub(crate) fn forget_users_of_the_parent(&self) {
        // Listed, so open: who was about to close it did not come to that.
        self.renames(number::GONE, number::OURS);
        let writing = self.reentrant_writer.load(Ordering::Relaxed) == thread_number();
        self.depart(self.mutex.forget_users(self.leases.load(Ordering::Relaxed), writing));
    }

    pub(super) fn depart(&self, departure: Departure) {
        match departure {
            Departure::Last => self.destroy(),
            Departure::Open { awaited: true } => self.parking.wake(),
            Departure::Open { awaited: false } => {}
        }
    }

    fn destroy(&self) {
        let ours = match self.names.swap(number::GONE, Ordering::AcqRel) {
            number::GONE => return, // a forked child's close, which did not wait for the leases
            number::RESERVED => true,
            number::OURS if !self.is_disowned() => {
                let ours = self.is_still_ours();
                // Out of the ledger first: after close(2) another thread may adopt the same number.
                ledger::global().leave(self, if ours { Counter::Closed } else { Counter::Stolen });
                metrics::observe_end(self.kind(), self.opened());
                ours
            }
            _ => false,
        };
        if self.is_disowned() {
            ledger::global().forget_given_away(self);
        }
        if ours {
            sys::close(self.number);
            crate::acceptor::descriptor_returned();
        }
    }

    /// False if the number was handed out and now names something else.
    pub(super) fn is_still_ours(&self) -> bool {
        !self.is_disowned()
            && self.identity.get().is_none_or(|adopted| sys::identity(self.number).as_ref() == Ok(adopted))
    }

    /// Fails, and gives the number up for good, if foreign code closed or replaced it. The caller is inside.
    pub(super) fn check_ownership(&self, op: Op) -> Result<()> {
        if self.is_still_ours() {
            return Ok(());
        }
        self.disown();
        Err(Error::stolen(op))
    }

    /// Gives the number up for good. The caller is inside.
    fn disown(&self) {
        if !self.disowned.swap(true, Ordering::AcqRel) {
            ledger::global().leave(self, Counter::Stolen);
        }
        self.close();
        ledger::count(Counter::OwnershipViolations);
    }

    fn state(&self) -> State {
        if self.is_closing() {
            State::Closing
        } else if self.write_shut.load(Ordering::Relaxed) {
            State::WriteShut
        } else {
            State::Open
        }
    }

    /// Turns an errno into an error, and counts it.
    pub(super) fn judge(&self, op: Op, errno: i32) -> Error {
        let cause = classify(op, errno, self.state());
        self.trail.judged(cause);
        match cause {
            Cause::PeerGone | Cause::PathBroken => metrics::count_hang_up(self.kind(), symptom(errno)),
            Cause::OwnershipViolation => ledger::count(Counter::OwnershipViolations),
            Cause::ClosedHere => return Error::closed_here(op),
            _ => {}
        }
        Error::new(cause, op, errno)
    }
}

impl Drop for GuardedFd {
    fn drop(&mut self) {
        self.close();
    }
}

fn refused(refusal: Refusal, op: Op) -> Error {
    match refusal {
        Refusal::Closing => Error::closed_here(op),
        Refusal::Busy => Error::busy(op),
        Refusal::Crowded => Error::new(Cause::Exhausted, op, sys::errno::ENOBUFS),
    }
}

/// A number for the calling thread, never 0.
pub(super) fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}
