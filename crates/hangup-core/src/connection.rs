//! One connection, seen by its server and by the application it serves.
//!
//! A WSGI server hands its client socket to the application (`environ["gunicorn.socket"]`), and both
//! go on using the same object. That is how a response ends up on a closed, or on somebody else's,
//! descriptor. Here they get two [`Face`]s of one [`Connection`]:
//!
//! | | `Owner` | `Server` | `Application` |
//! | --- | --- | --- | --- |
//! | keeps the number reserved until | `close` | its own `close`, whoever closed before | – |
//! | `close` after `shutdown(SHUT_WR)` | closes | lingers on the engine | closes |
//! | receiving after the other side closed | error | end of stream | error |
//! | sending after the application sent a `101` | – | refused | – |
//! | its `fileno` is checked before writes | yes | no: it only polls | yes |
//!
//! # Promised
//! * When the application closes, the peer sees the end at once; the number stays reserved until the
//!   server has let go, so a poller that knows the number cannot meet a stranger there.
//! * The server's use of a connection that the application closed is counted once per connection,
//!   and never reaches the kernel.
//! * The two share one timeout, as they would share one socket object.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::net::Shutdown;

use crate::cause::{Cause, Op};
use crate::error::{Error, Result};
use crate::fd::{sys, GuardedFd, Hold, Interest, Kind, Lane, Lease, Patience, User};
use crate::ledger::{self, Counter};
use crate::opening::Opening;
use crate::writer::Writer;

/// What both faces share.
#[derive(Debug)]
pub struct Connection {
    fd: Arc<GuardedFd>,
    /// Nanoseconds; -1 is no timeout, 0 is non-blocking.
    timeout: AtomicI64,
    /// The kernel's mode stays non-blocking whatever the timeout says: its waits belong to a hub.
    green: bool,
    closed_by: OnceLock<String>,
    violated: AtomicBool,
    opening: Mutex<Opening>,
    upgraded: AtomicBool,
    /// The server's shutdown reached the peer, and the connection was not given up since: linger.
    lingers: AtomicBool,
}

/// Whose face it is. See the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The only user.
    Owner,
    /// The server's.
    Server,
    /// The application's.
    Application,
}

/// A way to use a connection.
#[derive(Debug)]
pub struct Face {
    shared: Arc<Connection>,
    role: Role,
    lease: Mutex<Option<Lease>>,
    /// The server shut its write side: what it still reads is the linger before its close.
    ending: AtomicBool,
}

/// The first use of a connection by its server after the application closed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where it was closed.
    pub closed_by: String,
    /// What the server tried.
    pub op: Op,
}

impl Face {
    /// Takes `fd` over as `role`. `green`: the kernel's mode is non-blocking for good.
    pub fn adopt(fd: OwnedFd, role: Role, green: bool) -> Result<Self> {
        let kind = if role == Role::Owner { Kind::Socket } else { Kind::Http };
        let fd = if role == Role::Server { beside_stolen_numbers(fd) } else { fd };
        let fd = GuardedFd::adopt(fd, kind);
        if green {
            fd.enter(Op::Inspect)?.set_nonblocking(true)?;
        }
        let lease = if role == Role::Server { Some(fd.lease()?) } else { None };
        let shared = Arc::new(Connection {
            fd,
            timeout: AtomicI64::new(-1),
            green,
            closed_by: OnceLock::new(),
            violated: AtomicBool::new(false),
            opening: Mutex::default(),
            upgraded: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
        });
        Ok(Self { shared, role, lease: Mutex::new(lease), ending: AtomicBool::new(false) })
    }

    /// The application's face of a server's connection.
    #[must_use]
    pub fn for_application(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            role: Role::Application,
            lease: Mutex::new(None),
            ending: AtomicBool::new(false),
        }
    }

    /// Whose face it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The descriptor, for showing.
    pub fn guarded(&self) -> &Arc<GuardedFd> {
        &self.shared.fd
    }

    /// Whether this face was closed, by itself or by the other side.
    pub fn is_closed(&self) -> bool {
        self.shared.fd.is_closing()
    }

    /// Whether the descriptor was given away: to close this face is no call to the kernel.
    pub fn is_detached(&self) -> bool {
        self.shared.fd.is_detached()
    }

    /// Whether the application took the connection over by sending a `101` of its own.
    pub fn is_upgraded(&self) -> bool {
        self.shared.upgraded.load(Ordering::Acquire)
    }

    /// The timeout; `None` waits for ever, zero never waits.
    pub fn timeout(&self) -> Option<Duration> {
        u64::try_from(self.shared.timeout.load(Ordering::Relaxed)).ok().map(Duration::from_nanos)
    }

    /// Sets the timeout for both faces. The kernel hears of it when the number is handed out.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let nanos = timeout.map_or(-1, |limit| i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX));
        self.shared.timeout.store(nanos, Ordering::Relaxed);
    }

    /// The patience of an operation with these `flags` that begins now. Never any for a green connection: waiting in the
    /// kernel would stop the hub, so its caller waits in the hub.
    pub fn patience(&self, flags: i32) -> Patience {
        if self.shared.green || flags & sys::MSG_DONTWAIT != 0 {
            Patience::Never
        } else {
            Patience::from_timeout(self.timeout())
        }
    }

    /// The number for pollers and for foreign code, or -1.
    pub fn fileno(&self) -> RawFd {
        match self.role {
            Role::Server if self.shared.fd.is_detached() => -1,
            Role::Server => self.lease().as_ref().map_or(-1, Lease::number),
            Role::Owner | Role::Application => self.pin().and_then(|user| user.expose()).unwrap_or(-1),
        }
    }

    /// Enters for an operation on the number itself, whose kernel mode then follows the timeout. Whoever
    /// tells the number to foreign code exposes it (see [`User::expose`]).
    pub fn pin(&self) -> Result<User<'_>> {
        let user = self.shared.fd.enter(Op::Inspect).map_err(|error| self.explain(error))?;
        if user.is_stolen() {
            return Err(self.explain(Error::stolen(Op::Inspect)));
        }
        user.set_nonblocking(self.shared.green || self.timeout().is_some())?;
        Ok(user)
    }

    /// As [`Face::pin`], not bound to a borrow.
    pub fn hold(&self) -> Result<Hold> {
        self.pin()?;
        self.shared.fd.hold().map_err(|error| self.explain(error))
    }

    /// Enters for a wait.
    pub fn wait(&self, interest: Interest, patience: Patience) -> Result<bool> {
        let user = self.shared.fd.enter(Op::Wait).map_err(|error| self.explain(error))?;
        user.wait(interest, patience)
    }

    /// Receives at least one byte, at most `limit`, appended to `buffer`. 0 is end of stream.
    pub fn recv(&self, buffer: &mut Vec<u8>, limit: usize, flags: i32, patience: Patience) -> Result<usize> {
        if self.role == Role::Server && self.ending.load(Ordering::Relaxed) {
            return Ok(0); // the linger before the close is the engine's
        }
        let lane = self.shared.fd.lane(Lane::Read, Op::Recv, patience);
        // MSG_WAITALL has no effect together with our MSG_DONTWAIT: it is carried out here.
        // Peeked bytes are still there, and must not be counted twice.
        let wait_all =
            flags & (sys::MSG_WAITALL | sys::MSG_PEEK) == sys::MSG_WAITALL && patience == Patience::Forever;
        let mut received = 0;
        let outcome = lane.and_then(|lane| loop {
            match lane.try_recv(buffer, limit - received, flags) {
                Err(error) if error.cause == Cause::WouldBlock && patience != Patience::Never => {
                    lane.wait(Op::Recv, patience)?;
                }
                Ok(count @ 1..) if wait_all && received + count < limit => received += count,
                outcome => break outcome.map(|count| received + count),
            }
        });
        match outcome {
            Err(_) if received > 0 => Ok(received), // nothing that came is lost; the error comes back
            Err(error) if error.cause == Cause::ClosedHere && self.role == Role::Server => Ok(0),
            outcome => outcome.map_err(|error| self.explain(error)),
        }
    }

    /// Takes the write lane. Fails if the connection is not this face's to write to.
    pub fn writer(&self, op: Op, patience: Patience) -> Result<Writer<'_>> {
        if self.role == Role::Server && self.is_upgraded() {
            ledger::count(Counter::ResponsesRefused);
            return Err(Error::closed_here(op));
        }
        match self.shared.fd.lane(Lane::Write, op, patience) {
            Ok(lane) => Ok(Writer::new(self, lane)),
            Err(error) => Err(self.explain_write(error)),
        }
    }

    /// shutdown(2). After a close by either side there is nothing left to shut: not an error for a
    /// server, which does this on its way out.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let ends = self.role == Role::Server && how == Shutdown::Write;
        if ends {
            self.ending.store(true, Ordering::Relaxed);
        }
        match self.shared.fd.enter(Op::Shutdown).and_then(|user| user.shutdown(how)) {
            Err(error) if error.cause == Cause::ClosedHere && self.role == Role::Server => Ok(()),
            Ok(()) => {
                self.shared.lingers.store(ends, Ordering::Relaxed);
                Ok(())
            }
            outcome => outcome.map_err(|error| self.explain(error)),
        }
    }

    /// Closes. Never waits. `place` says who closes, for the messages of those who come later.
    pub fn close(&self, place: Option<String>) {
        // In a forked child a vanished thread may have been about to say so, and would be waited for, for ever.
        if let (Some(place), false) = (place, self.is_closed() || self.shared.fd.is_inherited()) {
            let _ = self.shared.closed_by.set(place); // the first one who closed is the one to name
        }
        let Some(lease) = self.lease().take() else {
            self.shared.fd.close();
            return;
        };
        self.shared.fd.close_to_leases();
        #[cfg(feature = "engine")]
        if self.shared.lingers.load(Ordering::Relaxed) && !self.shared.fd.is_inherited() {
            return crate::linger::close(lease);
        }
        drop(lease);
    }

    /// Gives the connection up; the caller owns the number returned, which is the one that `fileno` told.
    /// [`Cause::Busy`] if somebody is using it.
    pub fn detach(&self) -> Result<RawFd> {
        drop(self.pin()?);
        let number = self.shared.fd.detach().map_err(|error| self.explain(error))?;
        self.shared.lingers.store(false, Ordering::Relaxed); // what arrives is the new owner's
        Ok(number)
    }

    /// What the server did to a connection that the application had closed, on first asking.
    pub fn take_violation(&self, op: Op) -> Option<Violation> {
        let closed_by = self.shared.closed_by.get()?;
        let ending = self.ending.load(Ordering::Relaxed);
        if self.role != Role::Server || ending || self.shared.violated.swap(true, Ordering::Relaxed) {
            return None;
        }
        ledger::count(Counter::OwnershipViolations);
        Some(Violation { closed_by: closed_by.clone(), op })
    }

    fn lease(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn explain(&self, mut error: Error) -> Error {
        if error.cause == Cause::ClosedHere {
            error.closed_by = self.shared.closed_by.get().cloned();
        }
        error
    }

    pub(crate) fn explain_write(&self, error: Error) -> Error {
        if error.cause == Cause::ClosedHere {
            ledger::count(Counter::WritesPrevented);
        }
        self.explain(error)
    }

    /// Watches what the application sends by itself: with a `101` the stream becomes its own.
    pub(crate) fn note_sent(&self, sent: &[u8]) {
        if self.role != Role::Application || self.is_upgraded() {
            return;
        }
        let mut opening = self.shared.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if opening.is_upgrade(sent) {
            self.shared.upgraded.store(true, Ordering::Release);
            self.shared.fd.set_kind(Kind::Upgraded);
        }
    }
}

/// A server may still poll a number of ours that foreign code closed: a newcomer gets another one.
fn beside_stolen_numbers(mut fd: OwnedFd) -> OwnedFd {
    loop {
        let number = fd.as_raw_fd();
        let Some(robbed) = ledger::global().find(number) else { return fd };
        fd = robbed.reclaim(fd);
        if fd.as_raw_fd() == number {
            return fd; // no other is free
        }
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        if self.role != Role::Application {
            self.close(None);
        }
    }
}
