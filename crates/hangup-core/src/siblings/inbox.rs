//! Where a process is told things.
//!
//! # How
//! A message that was sent before another one is in its line by the time that the other one is read. So whoever reads
//! notes the time first, empties all lines, and hands over what was sent until then, in the order of sending: nothing
//! that was sent before it can come later.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{eventfd, EventfdFlags};
use rustix::net::{self, RecvFlags, SocketAddrUnix};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tracing::debug;

use super::packet::{now, receive, PACKET};
use super::{is_ours, socket, Message};
use crate::ledger::{self, Equipment};

/// Bytes that wait to be taken; more, and senders wait.
pub(super) const ROOM: usize = 16 * 1024 * 1024;
/// Connections to an inbox that were not accepted yet.
const BACKLOG: i32 = 512;
/// Before it is tried again to accept.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    is_closed: bool,
}

/// Somebody's line.
#[derive(Debug)]
struct Heard {
    line: UnixStream,
    is_over: AtomicBool,
    _listed: Equipment,
}

/// What is read, by one task at a time.
#[derive(Debug, Default)]
struct Reading {
    buffer: Vec<u8>,
    /// What was read, and sent behind the time that was noted.
    early: Vec<(u64, Message)>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    lines: Mutex<Vec<Arc<Heard>>>,
    reading: tokio::sync::Mutex<Reading>,
    /// Readable while there are messages.
    signal: OwnedFd,
    room: Notify,
    end: Notify,
    _listed: Equipment,
}

/// Where a process is told things.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    /// Listens under an abstract name, which must not be in use.
    pub fn open(name: &[u8]) -> io::Result<Self> {
        let listener = socket()?;
        net::bind(&listener, &SocketAddrUnix::new_abstract_name(name)?)?;
        net::listen(&listener, BACKLOG)?;
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            lines: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            _listed: ledger::global().equip(signal.as_raw_fd(), "siblings"),
            signal,
            room: Notify::new(),
            end: Notify::new(),
        });
        let listening = Arc::clone(&shared);
        crate::engine::spawn_uncounted(listen(listener, listening))?;
        Ok(Self { shared })
    }

    /// What an event loop polls: readable while there is something to take.
    pub fn signal(&self) -> RawFd {
        self.shared.signal.as_raw_fd()
    }

    /// The next message, in the order of sending.
    pub fn take(&self) -> Option<Message> {
        let mut queue = self.shared.locked();
        let message = queue.messages.pop_front();
        if queue.messages.is_empty() {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.shared.signal, &mut count); // there is none to read if it is clear
        }
        if let Some(message) = &message {
            queue.bytes -= message.data.len();
            self.shared.room.notify_waiters();
        }
        message
    }

    /// Nobody is heard any more. What arrived can still be taken.
    pub fn close(&self) {
        self.shared.locked().is_closed = true;
        self.shared.end.notify_waiters();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Arc<Heard>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all lines until nothing is left that was read too early.
    async fn read(&self) {
        let mut reading = self.reading.lock().await;
        loop {
            self.has_room().await;
            let until = now();
            let lines = self.lines().clone();
            reading.buffer.resize(PACKET, 0);
            for heard in lines.iter().filter(|heard| !heard.is_over.load(Ordering::Relaxed)) {
                reading.empty(heard, until);
            }
            let mut read = std::mem::take(&mut reading.early);
            read.sort_by_key(|(sent, _)| *sent); // of one line, they are in order
            reading.early = read.split_off(read.partition_point(|(sent, _)| *sent <= until));
            self.push(read.into_iter().map(|(_, message)| message));
            if reading.early.is_empty() {
                return;
            }
        }
    }

    fn push(&self, messages: impl ExactSizeIterator<Item = Message>) {
        if messages.len() == 0 {
            return;
        }
        let mut queue = self.locked();
        if queue.is_closed {
            return;
        }
        for message in messages {
            queue.bytes += message.data.len();
            queue.messages.push_back(message);
        }
        let _ = rustix::io::write(&self.signal, &1u64.to_ne_bytes()); // full is readable
    }

    async fn has_room(&self) {
        loop {
            let (room, end) = (self.room.notified(), self.end.notified());
            let there = {
                let queue = self.locked();
                queue.is_closed || queue.bytes < ROOM
            };
            if there {
                return;
            }
            tokio::select! { () = room => {}, () = end => {} }
        }
    }
}

impl Heard {
    /// Whether there is something to read, or the end; `WouldBlock` if not.
    fn peek(&self) -> io::Result<usize> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        Ok(net::recv(&self.line, &mut [0; 1], flags).map(|(count, _)| count)?)
    }
}

impl Reading {
    /// Reads what there is in a line, up to what was sent later.
    fn empty(&mut self, heard: &Heard, until: u64) {
        loop {
            let buffer = &mut self.buffer;
            // asked of the kernel: what tokio knows may be older
            match receive(heard.line.as_fd(), buffer) {
                Ok(Some((sent, message))) => {
                    self.early.push((sent, message));
                    if sent > until {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(None) | Err(_) => return heard.is_over.store(true, Ordering::Relaxed),
            }
        }
    }
}

async fn listen(listener: OwnedFd, shared: Arc<Shared>) {
    let _listed = ledger::global().equip(listener.as_raw_fd(), "siblings");
    // its type is not a stream, but that is asked for nowhere
    let Ok(listener) = UnixListener::from_std(listener.into()) else { return };
    loop {
        let end = shared.end.notified(); // asked for first: it hears what happens from here on
        if shared.locked().is_closed {
            return;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end => return,
        };
        match accepted {
            Ok((line, _)) if is_ours(&line) => {
                let heard = Arc::new(Heard {
                    _listed: ledger::global().equip(line.as_raw_fd(), "siblings"),
                    line,
                    is_over: AtomicBool::new(false),
                });
                shared.lines().push(Arc::clone(&heard));
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    hear(&heard, &shared).await;
                    shared.lines().retain(|other| !Arc::ptr_eq(other, &heard));
                });
            }
            Ok(_) => debug!(target: "hangup::engine", "a stranger was turned away"),
            // for want of descriptors or memory: whoever waits in the backlog goes on waiting
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Until the line is over.
async fn hear(heard: &Heard, shared: &Shared) {
    while !heard.is_over.load(Ordering::Relaxed) {
        let end = shared.end.notified();
        if shared.locked().is_closed {
            return;
        }
        tokio::select! {
            ready = heard.line.readable() => if ready.is_err() { return },
            () = end => return,
        }
        shared.read().await;
        let _ = heard.line.try_io(Interest::READABLE, || heard.peek()); // it is readable no more, as a rule
    }
}
