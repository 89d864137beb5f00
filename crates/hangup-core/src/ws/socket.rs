//! One WebSocket, as its users see it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::futures::Notified;
use tokio::sync::Notify;

use super::departure::{Departed, Departure};
use super::dispatch::Dispatcher;
use super::keep_alive;
use super::outbox::Outbox;
use super::settings::{Protocol, Settings};
use super::strand::{Closure, Ending, Entry, Event, Strand};
use super::task::Task;
use crate::cause::{Cause, Op};
use crate::engine;
use crate::error::{Error, Result};
use crate::fd::trail::Queue;
use crate::fd::{GuardedFd, Kind};

/// RFC 6455 section 7.4.1: the code that stands for the absence of a close frame.
pub const NO_CLOSE_FRAME: u16 = 1006;

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
    pub(super) room: Condvar,
    /// The kernel's buffer was full: the task waits for room, others do not try.
    pub(super) blocked: AtomicBool,
    /// Who is told of room, and of the end.
    told: Option<Arc<Dispatcher>>,
    /// The first close frame of ours, and why.
    pub(super) closed_with: OnceLock<(u16, String, Ending)>,
    /// Since when the client takes no more.
    pub(super) gone_since: OnceLock<tokio::time::Instant>,
    /// Why it must end at once, if it must.
    doom: Mutex<Option<Ending>>,
    closure: OnceLock<Closure>,
    changed: Notify,
    pub(super) sent: AtomicU64,
    pub(super) departure: Departure,
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
        Self::launch(Departed::none(fd, early), settings, dispatcher, false)
    }

    /// As [`WebSocket::start`], with what departed elsewhere. It is parked: see [`WebSocket::park`].
    pub fn resume(
        departed: Departed,
        settings: Settings,
        dispatcher: Option<Arc<Dispatcher>>,
    ) -> Result<Arc<Self>> {
        Self::launch(departed, settings, dispatcher, true)
    }

    fn launch(
        departed: Departed,
        settings: Settings,
        dispatcher: Option<Arc<Dispatcher>>,
        parked: bool,
    ) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let Departed { fd, unhandled, unsent, received, sent, .. } = departed;
        if let Protocol::Plain { pings: None } = settings.protocol {
            keep_alive::ask_the_kernel(&fd);
        }
        let fd = GuardedFd::adopt(fd, Kind::WebSocket);
        fd.enter(Op::Inspect)?.set_nonblocking(true)?;
        let lease = fd.lease()?;
        let mut outbox = Outbox::new(settings.max_queued, settings.overflow);
        outbox.take_over(unsent.into());
        let socket = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            fd,
            outbox: Mutex::new(outbox),
            strand: Mutex::new(Strand::new(parked)),
            arrived: Condvar::new(),
            room: Condvar::new(),
            blocked: AtomicBool::new(false),
            told: dispatcher.clone().filter(|_| settings.tells),
            closed_with: OnceLock::new(),
            gone_since: OnceLock::new(),
            doom: Mutex::new(None),
            closure: OnceLock::new(),
            changed: Notify::new(),
            sent: AtomicU64::new(sent),
            departure: Departure::default(),
        });
        let queue: std::sync::Weak<WebSocket> = Arc::downgrade(&socket);
        socket.fd.trail().count_queue(queue);
        let task = Task::new(Arc::clone(&socket), dispatcher, settings, received);
        engine::spawn(task.run(lease, unhandled)).map_err(|error| {
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

    /// Messages that were dropped for want of room.
    pub fn dropped(&self) -> u64 {
        self.outbox().dropped()
    }

    /// Messages that waited, and were replaced by a newer one of their key.
    pub fn coalesced(&self) -> u64 {
        self.outbox().coalesced()
    }

    /// For how long no message was broadcast to it, or since this was first asked.
    pub fn quiet(&self) -> Duration {
        let since = self.outbox().quiet_since();
        since.elapsed()
    }

    /// Ends it now: what waits is thrown away.
    pub fn end(&self, why: Ending) {
        self.doom.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.wake();
    }

    pub(super) fn closed_with(&self) -> Option<&(u16, String, Ending)> {
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

impl Queue for WebSocket {
    fn queued(&self) -> usize {
        self.outbox().bytes()
    }
}
