//! Fan-out: one message, encoded and framed once, to many clients.
//!
//! # Promised
//! * A client gets all that is sent to its groups, in the order in which that was sent, among what it is offered otherwise.
//! * Nobody waits for a client: what it does not take at once waits in its own queue, which shares the message's bytes with
//!   the queues of all others.
//! * Joining and leaving do not wait for a message that is being sent, which goes to those who were there before.
//!
//! # How
//! Whoever sends puts the message into every queue; then the [`engine`] sends what waits, client by
//! client, all of a client's messages at once. A message to one client is sent at once.
//!
//! # Not promised
//! A client of [`Mailbox`]es without a WebSocket, one that is polling, is somebody else's to serve: it is returned.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::delivery::Delivery;
use super::sending::Offered;
use super::socket::WebSocket;
use crate::engine;

/// Clients that are sent to before the engine looks at its other tasks.
const FAIR: usize = 32;

/// Where a client's messages go: to its WebSocket, once it has one.
#[derive(Debug)]
pub struct Mailbox {
    id: u64,
    socket: OnceLock<Arc<WebSocket>>,
}

impl Mailbox {
    /// Of a client that has no WebSocket yet.
    #[allow(clippy::new_without_default)] // each has an identity
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), socket: OnceLock::new() }
    }

    /// Unique in this process and its children.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// From now on messages go to `socket`. False if they go to another one.
    pub fn attach(&self, socket: Arc<WebSocket>) -> bool {
        self.socket.set(socket).is_ok()
    }

    /// Its WebSocket.
    pub fn socket(&self) -> Option<&Arc<WebSocket>> {
        self.socket.get()
    }
}

/// What became of a message, in clients.
#[derive(Debug, Default)]
pub struct Tally {
    /// The kernel has it.
    pub sent: usize,
    /// It waits for the client.
    pub queued: usize,
    /// The client is gone, or going.
    pub gone: usize,
    /// The client's queue had no room.
    pub dropped: usize,
    /// The ids of those who have no WebSocket.
    pub elsewhere: Vec<u64>,
    /// The ids of those for whom to wait.
    pub refused: Vec<u64>,
    /// Those for whom something should be sent first.
    behind: Vec<Arc<Mailbox>>,
}

impl Tally {
    fn offer(&mut self, mailbox: &Arc<Mailbox>, offer: impl FnOnce(&WebSocket) -> Option<Offered>) {
        let Some(socket) = mailbox.socket() else { return self.elsewhere.push(mailbox.id) };
        match offer(socket) {
            Some(Offered::Sent) => self.sent += 1,
            Some(Offered::Queued) => self.queued += 1,
            Some(Offered::Gone) => self.gone += 1,
            Some(Offered::Dropped | Offered::Overflowed) => self.dropped += 1,
            Some(Offered::Refused) => self.refused.push(mailbox.id),
            None => self.behind.push(Arc::clone(mailbox)),
        }
    }

    /// Whether nobody is left to [`Tally::catch_up`] with.
    pub fn is_complete(&self) -> bool {
        self.behind.is_empty()
    }

    /// Offers it to those for whom something should be sent first. Waits for threads that are sending to them.
    pub fn catch_up(&mut self, frames: &[Bytes], delivery: &Delivery) {
        for mailbox in std::mem::take(&mut self.behind) {
            self.offer(&mailbox, |socket| Some(socket.offer(frames, Some(delivery))));
        }
    }
}

type Snapshot = Arc<Vec<Arc<Mailbox>>>;

/// A set of clients.
#[derive(Debug, Default)]
pub struct Group {
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// Copied if it changes while a message is being sent to it.
    list: Snapshot,
    /// Where in the list a mailbox is.
    places: HashMap<u64, usize>,
}

impl Group {
    /// False if it was there already.
    pub fn add(&self, mailbox: Arc<Mailbox>) -> bool {
        let mut members = self.locked();
        let place = members.list.len();
        if members.places.contains_key(&mailbox.id) {
            return false;
        }
        members.places.insert(mailbox.id, place);
        Arc::make_mut(&mut members.list).push(mailbox);
        true
    }

    /// False if it was not there.
    pub fn remove(&self, mailbox: &Mailbox) -> bool {
        let mut members = self.locked();
        let Some(place) = members.places.remove(&mailbox.id) else { return false };
        let list = Arc::make_mut(&mut members.list);
        list.swap_remove(place);
        if let Some(id) = list.get(place).map(|moved| moved.id) {
            members.places.insert(id, place);
        }
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.locked().list.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn snapshot(&self) -> Snapshot {
        Arc::clone(&self.locked().list)
    }

    fn locked(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everybody in `groups`, once.
fn union(groups: &[&Group]) -> Snapshot {
    if let [only] = groups {
        return only.snapshot();
    }
    let mut known = HashSet::new();
    let mut everybody = Vec::new();
    for group in groups {
        everybody.extend(group.snapshot().iter().filter(|mailbox| known.insert(mailbox.id)).cloned());
    }
    Arc::new(everybody)
}

/// Offers `frames`, which must not be separated, to everybody in `groups` except `skipped`.
pub fn broadcast(groups: &[&Group], frames: &[Bytes], skipped: &[u64], delivery: &Delivery) -> Tally {
    let mut tally = try_broadcast(groups, frames, skipped, delivery);
    tally.catch_up(frames, delivery);
    tally
}

/// As [`broadcast`], for those who must not wait for other threads: [`Tally::catch_up`] is called after it.
pub fn try_broadcast(groups: &[&Group], frames: &[Bytes], skipped: &[u64], delivery: &Delivery) -> Tally {
    let recipients = union(groups);
    let mut tally = Tally::default();
    if let [only] = recipients.as_slice() {
        if !skipped.contains(&only.id) {
            tally.offer(only, |socket| socket.try_offer(frames, Some(delivery)));
        }
        return tally;
    }
    for mailbox in recipients.iter().filter(|mailbox| !skipped.contains(&mailbox.id)) {
        tally.offer(mailbox, |socket| socket.try_enqueue(frames, Some(delivery)));
    }
    if tally.queued > 0 && engine::spawn(flush(Arc::clone(&recipients))).is_err() {
        // Without an engine there are no WebSockets; if it is only short of memory, each has its own task.
        recipients.iter().filter_map(|mailbox| mailbox.socket()).for_each(|socket| socket.wake());
    }
    tally
}

/// Sends what waits for each of them.
async fn flush(recipients: Snapshot) {
    for (number, mailbox) in recipients.iter().enumerate() {
        if let Some(socket) = mailbox.socket() {
            socket.deliver();
        }
        if number % FAIR == FAIR - 1 {
            tokio::task::yield_now().await;
        }
    }
}
