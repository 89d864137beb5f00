//! The race that loses bytes to strangers: threads write to a connection while another one closes it
//! and opens the next, which gets the same number.
//!
//! Each generation of a connection has a token of its own, and nobody sends anything else on it. A
//! peer that receives another token has received a stranger's bytes. The same race on bare numbers
//! shows that the harness would see them.
#![allow(clippy::unwrap_used)] // a socket that cannot be opened is a failed test

mod common;

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::{alone, bare, foreign_close, open_numbers, unix_pair, PATIENCE};
use hangup_core::cause::{Cause, Op};
use hangup_core::fd::{GuardedFd, Kind, Lane};
use hangup_core::ledger::{self, Counter};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

const WRITERS: usize = 4;
/// How often a writer sends before it looks for the next generation.
const SENDS: usize = 4;
/// Connections that are open at the same time. Few, so that writers and the closer keep meeting.
const SLOTS: usize = 4;
const TOKEN: usize = 8;

/// One end of a connection, used by many threads.
trait End: Send + Sync + 'static {
    fn new(fd: OwnedFd) -> Self;
    fn send(&self, token: [u8; TOKEN]) -> Outcome;
    /// Receives at most one token, if there is one.
    fn recv(&self) -> Outcome;
    fn close(&self);
}

enum Outcome {
    /// Sent; or "not now".
    Done,
    Received([u8; TOKEN]),
    Closed,
    Failed(String),
}

struct Guarded(Arc<GuardedFd>);

impl From<hangup_core::error::Error> for Outcome {
    fn from(error: hangup_core::error::Error) -> Self {
        match error.cause {
            Cause::WouldBlock | Cause::Busy => Outcome::Done,
            Cause::ClosedHere => Outcome::Closed,
            _ => Outcome::Failed(format!("{error:?}")),
        }
    }
}

impl End for Guarded {
    fn new(fd: OwnedFd) -> Self {
        Guarded(GuardedFd::adopt(fd, Kind::Socket))
    }

    fn send(&self, token: [u8; TOKEN]) -> Outcome {
        match self.0.try_lane(Lane::Write, Op::Send).and_then(|lane| lane.try_send(&token, 0)) {
            Ok(TOKEN) => Outcome::Done,
            Ok(part) => Outcome::Failed(format!("{part} bytes of a token were sent")),
            Err(error) => error.into(),
        }
    }

    fn recv(&self) -> Outcome {
        let mut buffer = Vec::with_capacity(TOKEN);
        let lane = self.0.try_lane(Lane::Read, Op::Recv);
        match lane.and_then(|lane| lane.try_recv(&mut buffer, TOKEN, 0)) {
            Ok(0) => Outcome::Failed("the end of a stream that nobody had ended".to_owned()),
            Ok(_) => {
                buffer.try_into().map_or_else(|part| Outcome::Failed(format!("{part:?}")), Outcome::Received)
            }
            Err(error) => error.into(),
        }
    }

    fn close(&self) {
        assert!(self.0.close(), "closed twice");
    }
}

/// The stock counterpart: a number that everybody remembers.
struct Naive(RawFd);

impl From<Errno> for Outcome {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Outcome::Done,
            _ => Outcome::Failed(errno.to_string()),
        }
    }
}

impl End for Naive {
    fn new(fd: OwnedFd) -> Self {
        Naive(fd.into_raw_fd())
    }

    fn send(&self, token: [u8; TOKEN]) -> Outcome {
        let sent = rustix::net::send(&*bare(self.0), &token, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        sent.map_or_else(Outcome::from, |_| Outcome::Done)
    }

    fn recv(&self) -> Outcome {
        let mut token = [0; TOKEN];
        match rustix::net::recv(&*bare(self.0), &mut token, RecvFlags::DONTWAIT) {
            Ok((_, TOKEN)) => Outcome::Received(token),
            Ok(_) => Outcome::Closed,
            Err(errno) => errno.into(),
        }
    }

    fn close(&self) {
        foreign_close(self.0);
    }
}

/// A generation: what the threads know of it.
struct Generation<E> {
    end: E,
    token: [u8; TOKEN],
    written_to: AtomicBool,
}

/// A generation, and its peer, which the closer alone has.
type Opened<E, P> = (Arc<Generation<E>>, P);

#[derive(Default)]
struct Findings {
    foreign: AtomicU64,
    generations: AtomicU64,
    received: AtomicU64,
    /// Operations that came when their generation was closed already.
    met_a_close: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Findings {
    /// What an operation gave; nothing if it failed or was refused.
    fn check(&self, outcome: Outcome) -> Option<[u8; TOKEN]> {
        match outcome {
            Outcome::Received(token) => return Some(token),
            Outcome::Done => {}
            Outcome::Closed => drop(self.met_a_close.fetch_add(1, Relaxed)),
            Outcome::Failed(what) => locked(&self.failures).push(what),
        }
        None
    }

    fn compare(&self, received: &[u8], token: [u8; TOKEN]) {
        self.received.fetch_add(received.len() as u64, Relaxed);
        let foreign = received.chunks(TOKEN).filter(|chunk| *chunk != token).count();
        self.foreign.fetch_add(foreign as u64, Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens connections; `connect` gives our end and the peer's.
struct Opener<F> {
    connect: F,
    next: u64,
}

impl<F: FnMut() -> (OwnedFd, P), P: std::io::Write> Opener<F> {
    fn open<E: End>(&mut self) -> Opened<E, P> {
        self.next += 1;
        let token = self.next.to_be_bytes();
        let (ours, mut peer) = (self.connect)();
        peer.write_all(&token).unwrap(); // for the reader
        (Arc::new(Generation { end: E::new(ours), token, written_to: AtomicBool::new(false) }), peer)
    }
}

/// Runs the race until `enough` says so, at the latest after five minutes.
fn race<E: End, P: Read + std::io::Write>(
    connect: impl FnMut() -> (OwnedFd, P),
    enough: impl Fn(&Findings) -> bool,
) -> Findings {
    let (findings, stop) = (Findings::default(), AtomicBool::new(false));
    let mut opener = Opener { connect, next: 0 };
    let (current, mut peers): (Vec<_>, Vec<_>) = (0..SLOTS)
        .map(|_| {
            let (generation, peer) = opener.open::<E>();
            (Mutex::new(generation), peer)
        })
        .unzip();
    let latest = |slot: usize| Arc::clone(&locked(&current[slot % SLOTS]));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (findings, stop, latest) = (&findings, &stop, &latest);
            scope.spawn(move || {
                for turn in (writer..).take_while(|_| !stop.load(Relaxed)) {
                    let generation = latest(turn);
                    let somebody_was_here = generation.written_to.swap(true, Relaxed);
                    if somebody_was_here {
                        std::thread::yield_now(); // with a generation that may be closed by then
                    }
                    for _ in 0..SENDS {
                        findings.check(generation.end.send(generation.token));
                    }
                }
            });
        }
        scope.spawn(|| {
            for turn in (0..).take_while(|_| !stop.load(Relaxed)) {
                let generation = latest(turn);
                std::thread::yield_now();
                if let Some(token) = findings.check(generation.end.recv()) {
                    findings.compare(&token, generation.token);
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(300);
        let mut received = Vec::new();
        while !enough(&findings) && Instant::now() < deadline {
            for slot in 0..SLOTS {
                let closing = latest(slot);
                if !closing.written_to.load(Relaxed) {
                    std::thread::yield_now();
                    continue;
                }
                closing.end.close();
                let (next, next_peer) = opener.open::<E>(); // as soon as possible: it shall get the number
                *locked(&current[slot]) = next;
                let mut peer = std::mem::replace(&mut peers[slot], next_peer);
                received.clear();
                match peer.read_to_end(&mut received) {
                    Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
                        locked(&findings.failures).push(format!("the peer saw no end: {error}"));
                    }
                    _ => {}
                }
                findings.compare(&received, closing.token);
                findings.generations.fetch_add(1, Relaxed);
            }
        }
        stop.store(true, Relaxed);
    });
    for slot in 0..SLOTS {
        latest(slot).end.close();
    }
    findings
}

/// The race on guarded descriptors: nothing foreign, nothing unexpected, nothing left.
fn guarded_race<P: Read + std::io::Write>(generations: u64, connect: impl FnMut() -> (OwnedFd, P)) {
    let before = (open_numbers(), ledger::global().open());
    let violations = ledger::total(Counter::OwnershipViolations) + ledger::total(Counter::Stolen);
    let findings = race::<Guarded, P>(connect, |findings| {
        let done = findings.generations.load(Relaxed) >= generations;
        done || findings.foreign.load(Relaxed) > 0 || !locked(&findings.failures).is_empty()
    });
    let failures = findings.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(failures.first(), None, "and {} more", failures.len());
    assert_eq!(findings.foreign.into_inner(), 0, "bytes of strangers");
    assert!(findings.generations.into_inner() >= generations, "too slow");
    assert!(findings.received.into_inner() >= generations * TOKEN as u64, "hardly anything was sent");
    assert!(findings.met_a_close.into_inner() >= generations / 100, "hardly anybody met a close");
    assert_eq!(ledger::total(Counter::OwnershipViolations) + ledger::total(Counter::Stolen), violations);
    assert_eq!((open_numbers(), ledger::global().open()), before, "descriptors are left");
}

#[test]
fn no_byte_reaches_a_stranger_over_unix_sockets() {
    let _alone = alone();
    guarded_race(if cfg!(debug_assertions) { 20_000 } else { 1_000_000 }, unix_pair);
}

#[test]
fn no_byte_reaches_a_stranger_over_tcp() {
    let _alone = alone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    guarded_race(if cfg!(debug_assertions) { 1_000 } else { 20_000 }, || {
        let peer = TcpStream::connect(address).unwrap();
        // Its close is a reset: no port is left in TIME_WAIT.
        rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        (listener.accept().unwrap().0.into(), peer)
    });
}

#[test]
fn the_same_race_on_bare_numbers_reaches_strangers() {
    let _alone = alone();
    let before = open_numbers();
    let findings = race::<Naive, _>(unix_pair, |findings| {
        findings.foreign.load(Relaxed) > 0 || findings.generations.load(Relaxed) >= 1_000_000
    });
    assert!(findings.foreign.load(Relaxed) > 0, "the harness would not see a stranger's bytes");
    assert_eq!(open_numbers(), before);
}
