//! The roll: what is known of each descriptor that hangup owns, and of those that died.
//!
//! # Promised
//! A call of the roll stops nobody: the ledger's lock is held for a chunk of it at a time, and the kernel is asked
//! without it.
//!
//! # Not promised
//! One moment: each line is true of its own.

use std::os::fd::RawFd;
use std::time::Instant;

use rustix::net::Shutdown;

use crate::address::{self, Address};
use crate::cause::Op;
use crate::fd::trail::{Fate, Figures};
use crate::fd::{sys, GuardedFd};
use crate::ledger::{self, Counter};
use crate::tcp::TcpInfo;

/// A descriptor of hangup's.
#[derive(Clone, Debug)]
pub struct Line {
    /// The number.
    pub fd: RawFd,
    /// See [`crate::fd::Kind`]; `arriving` (accepted, without a request), `handed_off` (detached, and a server's poller may
    /// still know it), and of what hangup needs itself `listener`, `epoll`, `eventfd` and `timerfd`.
    pub kind: &'static str,
    /// Unique in this process and its children; 0 for what is no connection.
    pub serial: u64,
    /// The client's address.
    pub peer: Address,
    /// Times and bytes.
    pub figures: Figures,
    /// Bytes that wait to be sent, and that the kernel does not have yet.
    pub queued: usize,
    /// Of a TCP connection.
    pub tcp: Option<TcpInfo>,
    /// The close was asked for, and somebody is still inside.
    pub closing: bool,
}

/// A descriptor that died.
#[derive(Clone, Debug)]
pub struct Obituary {
    /// The number that it had.
    pub fd: RawFd,
    /// What it was used for in the end.
    pub kind: &'static str,
    /// See [`Line::serial`].
    pub serial: u64,
    /// The client's address.
    pub peer: Address,
    /// Times and bytes.
    pub figures: Figures,
    /// When it died, in nanoseconds since the epoch.
    pub died: u64,
    /// Why.
    pub fate: Fate,
}

impl Obituary {
    pub(crate) fn of(fd: &GuardedFd, why: Counter) -> Self {
        let trail = fd.trail();
        Self {
            fd: fd.number_for_display(),
            kind: fd.kind().name(),
            serial: trail.serial(),
            peer: trail.peer().clone(),
            figures: trail.figures(),
            died: sys::coarse_now(),
            fate: match why {
                Counter::Stolen => Fate::Stolen,
                Counter::Detached => Fate::Detached,
                _ => trail.fate(),
            },
        }
    }
}

/// Calls the roll, in the order of the numbers.
pub fn call() -> Vec<Line> {
    let ledger = ledger::global();
    let mut lines: Vec<_> = ledger.listed().iter().map(|fd| of_connection(fd)).collect();
    lines.extend(ledger.handed_off().iter().map(|fd| Line { kind: "handed_off", ..of_connection(fd) }));
    lines.extend(ledger.equipment().into_iter().map(|(fd, kind, opened)| of_other(fd, kind, opened)));
    let now = sys::coarse_now();
    lines.extend(crate::acceptor::arriving().into_iter().map(|(fd, peer, since)| {
        let waited = since.map_or(0, |since| Instant::now().duration_since(since).as_nanos() as u64);
        Line { peer: address::parse(peer), ..of_other(fd, "arriving", now.saturating_sub(waited)) }
    }));
    lines.sort_by_key(|line| line.fd);
    lines
}

/// Shuts the connection with this serial down, both ways: its client and its users see the end, and its owner closes it.
/// `false` if there is none, or if it ends already.
pub fn hang_up(serial: u64) -> bool {
    let listed = ledger::global().listed();
    let found = listed.iter().find(|fd| fd.trail().serial() == serial);
    found.is_some_and(|fd| fd.enter(Op::Shutdown).and_then(|user| user.shutdown(Shutdown::Both)).is_ok())
}

fn of_connection(fd: &GuardedFd) -> Line {
    let trail = fd.trail();
    let line = |tcp, peer| Line {
        fd: fd.number_for_display(),
        kind: fd.kind().name(),
        serial: trail.serial(),
        peer,
        figures: trail.figures(),
        queued: trail.queued(),
        tcp,
        closing: fd.is_closing(),
    };
    match fd.enter(Op::Inspect) {
        Ok(user) if *trail.peer() == Address::None => {
            line(TcpInfo::of(user.number()), address::parse(user.peer())) // connected since, perhaps
        }
        Ok(user) => line(TcpInfo::of(user.number()), trail.peer().clone()),
        Err(_) => line(None, trail.peer().clone()), // the number is its last users'
    }
}

fn of_other(fd: RawFd, kind: &'static str, opened: u64) -> Line {
    Line {
        fd,
        kind,
        serial: 0,
        peer: Address::None,
        figures: Figures { opened, ..Figures::default() },
        queued: 0,
        tcp: if kind == "listener" || kind == "arriving" { TcpInfo::of(fd) } else { None },
        closing: false,
    }
}
