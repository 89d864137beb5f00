//! One WebSocket, as its users see it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::codec;
use super::dispatch::Dispatcher;
use super::engine_io::Heartbeat;
use super::outbox::{Outbox, Pushed};
use super::strand::{Closure, Ending, Entry, Event, Strand};
use super::task::Task;
use crate::cause::{Cause, Op};
use crate::engine;
use crate::error::{Error, Result};
use crate::fd::{GuardedFd, Kind, Lane, Patience};
use crate::ledger::{self, Counter};

/// What is spoken on the WebSocket.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// Messages, all of them the application's.
    Plain,
    /// Engine.IO 4 packets.
    EngineIo {
        /// Who is silent.
        heartbeat: Heartbeat,
        /// The session was polling, and probes this WebSocket first.
        upgrade: bool,
    },
}

/// Limits and deadlines of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What is spoken.
    pub protocol: Protocol,
    /// The largest message accepted, in bytes.
    pub max_message: usize,
    /// The most that may wait to be sent, in bytes.
    pub max_queued: usize,
    /// How long the client may take nothing of what waits.
    pub stall_limit: Duration,
    /// How long the close handshake may take.
    pub close_limit: Duration,
}

/// What became of an offered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The kernel has it.
    Sent,
    /// It waits for the client.
    Queued,
    /// The connection is over, or closing.
    Gone,
    /// Too much was waiting already: the client is being dropped.
    Overflowed,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left, or somebody else is at it.
    All,
    /// Something is left.
    Some,
    /// Something is left, and the kernel has no room.
    Full,
}

/// A connection. See the module documentation.
#[derive(Debug)]
pub struct WebSocket {
    id: u64,
    fd: Arc<GuardedFd>,
    outbox: Mutex<Outbox>,
    strand: Mutex<Strand>,
    /// Something came, for who waits in [`WebSocket::receive`].
    arrived: Condvar,
    /// The kernel's buffer was full: the task waits for room, others do not try.
    pub(super) blocked: AtomicBool,
    /// The first close frame of ours.
    closed_with: OnceLock<(u16, String)>,
    /// Since when the client takes no more.
    gone_since: OnceLock<tokio::time::Instant>,
    /// Why it must end at once, if it must.
    doom: Mutex<Option<Ending>>,
    closure: OnceLock<Closure>,
    changed: Notify,
    sent: AtomicU64,
}

impl WebSocket {
    /// Takes over `fd`, whose upgrade was answered; `early` is what had been read beyond the request. Without a
    /// dispatcher its events wait for [`WebSocket::receive`].
    ///
    /// Fails if the engine cannot be started, or the descriptor cannot be watched; it is closed then.
    pub fn start(
        fd: OwnedFd,
        early: Vec<u8>,
        settings: Settings,
        dispatcher: Option<Arc<Dispatcher>>,
    ) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let fd = GuardedFd::adopt(fd, Kind::Upgraded);
        fd.enter(Op::Inspect)?.set_nonblocking(true)?;
        let lease = fd.lease()?;
        let socket = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            fd,
            outbox: Mutex::new(Outbox::new(settings.max_queued)),
            strand: Mutex::default(),
            arrived: Condvar::new(),
            blocked: AtomicBool::new(false),
            closed_with: OnceLock::new(),
            gone_since: OnceLock::new(),
            doom: Mutex::new(None),
            closure: OnceLock::new(),
            changed: Notify::new(),
            sent: AtomicU64::new(0),
        });
        let task = Task::new(Arc::clone(&socket), dispatcher, settings);
        engine::spawn(task.run(lease, early)).map_err(|error| {
            socket.fd.close();
            Error::new(Cause::Exhausted, Op::Inspect, error.raw_os_error().unwrap_or_default())
        })?;
        Ok(socket)
    }

    /// Unique in this process and its children.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The descriptor, for showing.
    pub fn guarded(&self) -> &Arc<GuardedFd> {
        &self.fd
    }

    /// What waits to be sent, in bytes.
    pub fn queued(&self) -> usize {
        self.outbox().bytes()
    }

    /// Offers frames (see [`codec::frame`]) that must not be separated. A forked child has nothing to say here.
    pub fn offer(&self, frames: impl IntoIterator<Item = Bytes, IntoIter: Clone>) -> Offered {
        if self.fd.is_inherited() {
            return Offered::Gone; // in a forked child: the stream is the parent's
        }
        let pushed = self.outbox().push(frames);
        match pushed {
            Pushed::Sealed => Offered::Gone,
            Pushed::Overflowed => {
                ledger::count(Counter::QueueOverflows);
                self.end(Ending::Overflow);
                Offered::Overflowed
            }
            Pushed::Queued => self.deliver(),
        }
    }

    /// Closes with `code` after what waits was sent. Never waits.
    pub fn close(&self, code: u16, reason: &str) {
        if !self.fd.is_inherited() && self.outbox().seal(codec::close(code, reason)) {
            let _ = self.closed_with.set((code, reason.to_owned())); // sealed once, so set once
            self.deliver();
            self.wake();
        } else if self.gone_since.get().is_some() {
            self.end(Ending::Transport); // nobody is interested in the rest
        }
    }

    /// Ends it now: what waits is thrown away.
    pub fn end(&self, why: Ending) {
        self.doom.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.wake();
    }

    pub(super) fn closed_with(&self) -> Option<&(u16, String)> {
        self.closed_with.get()
    }

    pub(super) fn gone_since(&self) -> Option<tokio::time::Instant> {
        self.gone_since.get().copied()
    }

    /// Has the task look at everything again.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn doom(&self) -> Option<Ending> {
        *self.doom.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn strand(&self) -> MutexGuard<'_, Strand> {
        self.strand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Payload and framing sent so far, in bytes.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends what waits, unless somebody else is at it or the kernel has no room.
    fn deliver(&self) -> Offered {
        if self.blocked.load(Ordering::Acquire) {
            return Offered::Queued;
        }
        match self.flush(1) {
            Ok(Flushed::All) => Offered::Sent,
            Ok(Flushed::Some | Flushed::Full) => {
                self.wake();
                Offered::Queued
            }
            Err(error) => {
                self.give_up_sending(&error);
                Offered::Gone
            }
        }
    }

    /// The client takes no more. What it said before it left is still read, up to the end of the stream, if that is
    /// reached within the limit for a client that stalls.
    pub(super) fn give_up_sending(&self, error: &Error) {
        if error.cause == Cause::PeerGone {
            self.gone_since.get_or_init(tokio::time::Instant::now);
            self.outbox().clear();
            self.wake();
        } else {
            self.end(Ending::Transport); // which the task reports
        }
    }

    /// Sends at most `batches` times what waits.
    pub(super) fn flush(&self, batches: usize) -> Result<Flushed> {
        for _ in 0..batches {
            let lane = match self.fd.lane(Lane::Write, Op::Send, Patience::Never) {
                Ok(lane) => lane,
                // Whoever holds the lane looks at the queue again after leaving it.
                Err(error) if matches!(error.cause, Cause::Busy | Cause::WouldBlock) => {
                    return Ok(Flushed::All)
                }
                Err(error) => return Err(error),
            };
            let batch = self.outbox().next();
            match batch.map(|batch| lane.try_send(&batch, 0)) {
                None => {}
                Some(Ok(count)) => {
                    self.blocked.store(false, Ordering::Release); // there was room
                    self.sent.fetch_add(count as u64, Ordering::Relaxed);
                    self.outbox().advance(count);
                }
                Some(Err(error)) if error.cause == Cause::WouldBlock => {
                    self.blocked.store(true, Ordering::Release);
                    return Ok(Flushed::Full);
                }
                Some(Err(error)) if error.cause == Cause::Interrupted => {}
                Some(Err(error)) => return Err(error),
            }
            drop(lane);
            if self.outbox().is_empty() {
                return Ok(Flushed::All);
            }
        }
        Ok(Flushed::Some)
    }

    /// How it ended, once it is over.
    pub fn closure(&self) -> Option<&Closure> {
        self.closure.get()
    }

    pub(super) fn is_over(&self, closure: Closure) {
        let _ = self.closure.set(closure); // its task ends once
    }

    /// Waits for the next event, at most for `limit`.
    pub fn receive(&self, limit: Duration) -> Option<Event> {
        let deadline = Instant::now() + limit;
        let mut strand = self.strand();
        loop {
            let was_full = strand.is_full();
            let entry = strand.pop();
            if was_full && !strand.is_full() {
                self.wake();
            }
            match entry {
                Some(Entry::Event(event)) => return Some(event),
                Some(Entry::Violation(code, reason)) => {
                    drop(strand);
                    self.close(code, reason);
                    strand = self.strand();
                    continue;
                }
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            strand = self.arrived.wait_timeout(strand, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Reports to the application.
    pub(super) fn report(self: &Arc<Self>, dispatcher: Option<&Arc<Dispatcher>>, entry: Entry) {
        if let Some(dispatcher) = dispatcher {
            dispatcher.push(self, entry);
        } else {
            self.strand().push(entry);
            self.arrived.notify_one();
        }
    }
}
