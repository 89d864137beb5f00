//! One WebSocket, as its users see it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::futures::Notified;
use tokio::sync::Notify;

use super::codec;
use super::delivery::Delivery;
use super::dispatch::Dispatcher;
use super::keep_alive;
use super::outbox::{Outbox, Pushed};
use super::settings::{Protocol, Settings};
use super::strand::{Closure, Ending, Entry, Event, Strand};
use super::task::Task;
use crate::cause::{Cause, Op};
use crate::engine;
use crate::error::{Error, Result};
use crate::fd::{GuardedFd, Kind, Lane, Patience};
use crate::ledger::{self, Counter};

/// RFC 6455 section 7.4.1: the code that stands for the absence of a close frame.
pub const NO_CLOSE_FRAME: u16 = 1006;

/// What became of an offered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The kernel has it.
    Sent,
    /// It waits for the client.
    Queued,
    /// The connection is over, or closing.
    Gone,
    /// There was no room, and [`super::Overflow::DropNewest`] applied.
    Dropped,
    /// There was no room, and [`super::Overflow::Refuse`] applied.
    Refused,
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
    /// There is room in the outbox, for who waits in [`WebSocket::wait_for_room`].
    room: Condvar,
    /// The kernel's buffer was full: the task waits for room, others do not try.
    pub(super) blocked: AtomicBool,
    /// Who is told of room, and of the end.
    told: Option<Arc<Dispatcher>>,
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
        if let Protocol::Plain { pings: None } = settings.protocol {
            keep_alive::ask_the_kernel(&fd);
        }
        let fd = GuardedFd::adopt(fd, Kind::Upgraded);
        fd.enter(Op::Inspect)?.set_nonblocking(true)?;
        let lease = fd.lease()?;
        let socket = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            fd,
            outbox: Mutex::new(Outbox::new(settings.max_queued)),
            strand: Mutex::default(),
            arrived: Condvar::new(),
            room: Condvar::new(),
            blocked: AtomicBool::new(false),
            told: dispatcher.clone().filter(|_| settings.tells),
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

    /// STUB
    pub fn offer_with(&self, frames: &[Bytes], _delivery: &Delivery) -> Offered {
        self.offer(frames.iter().cloned())
    }

    /// STUB
    pub(super) fn enqueue(&self, frames: &[Bytes], _delivery: &Delivery) -> Offered {
        match self.outbox().push(frames.iter().cloned()) {
            Pushed::Sealed => Offered::Gone,
            Pushed::Overflowed => Offered::Dropped,
            Pushed::Queued => Offered::Queued,
        }
    }

    /// Closes with `code` after what waits was sent; with [`NO_CLOSE_FRAME`] the stream ends there. Never waits.
    pub fn close(&self, code: u16, reason: &str) {
        if self.fd.is_inherited() {
            return;
        }
        let frame = (code != NO_CLOSE_FRAME).then(|| codec::close(code, reason));
        let mut outbox = self.outbox();
        let is_first = outbox.seal(frame);
        let made_room = outbox.makes_room();
        drop(outbox);
        if is_first {
            let _ = self.closed_with.set((code, reason.to_owned())); // sealed once, so set once
            if made_room {
                self.tell_of_room();
            }
            self.deliver();
            self.wake();
        } else if self.gone_since.get().is_some() {
            self.end(Ending::Transport); // nobody is interested in the rest
        }
    }

    /// Waits until no more than `level` bytes wait to be sent, or nothing can be sent any more; at most for `limit`.
    /// False if time is up: then the dispatcher is told as soon as there is room ([`Settings::tells`]).
    pub fn wait_for_room(&self, level: usize, limit: Duration) -> bool {
        if self.fd.is_inherited() {
            return true;
        }
        let deadline = Instant::now() + limit;
        let mut outbox = self.outbox();
        while !outbox.has_room(level) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            outbox = self.room.wait_timeout(outbox, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn tell_of_room(&self) {
        self.room.notify_all();
        self.tell();
    }

    /// Forgets what waits: the client is gone.
    pub(super) fn give_up(&self) {
        let mut outbox = self.outbox();
        outbox.clear();
        let made_room = outbox.makes_room();
        drop(outbox);
        if made_room {
            self.tell_of_room();
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

    /// Ready after [`WebSocket::wake`].
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
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
    pub(super) fn deliver(&self) -> Offered {
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
            self.give_up();
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
            let mut made_room = false;
            match batch.map(|batch| lane.try_send(&batch, 0)) {
                None => {}
                Some(Ok(count)) => {
                    self.blocked.store(false, Ordering::Release); // there was room
                    self.sent.fetch_add(count as u64, Ordering::Relaxed);
                    made_room = self.strike_off(count);
                }
                Some(Err(error)) if error.cause == Cause::WouldBlock => {
                    self.blocked.store(true, Ordering::Release);
                    return Ok(Flushed::Full);
                }
                Some(Err(error)) if error.cause == Cause::Interrupted => {}
                Some(Err(error)) => return Err(error),
            }
            drop(lane);
            if made_room {
                self.tell_of_room();
            }
            if self.outbox().is_empty() {
                return Ok(Flushed::All);
            }
        }
        Ok(Flushed::Some)
    }

    /// Whether there is the room now that somebody waits for.
    fn strike_off(&self, count: usize) -> bool {
        let mut outbox = self.outbox();
        outbox.advance(count);
        outbox.makes_room()
    }

    /// Has the dispatcher say that there is something to look at.
    pub(super) fn tell(&self) {
        if let Some(dispatcher) = &self.told {
            dispatcher.tell(self.id);
        }
    }

    /// How it ended, once it is over.
    pub fn closure(&self) -> Option<&Closure> {
        self.closure.get()
    }

    pub(super) fn is_over(&self, closure: Closure) {
        let _ = self.closure.set(closure); // its task ends once
    }

    /// Waits for the next event, at most for `limit`; with a dispatcher for a hub, in whose turns it is left
    /// ([`super::dispatch::Turn::leave`]), not at all.
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
                None => strand.scheduled = false,
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
