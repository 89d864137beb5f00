//! Clients that were accepted, and whose request has not arrived.
//!
//! # Promised
//! * A client is handed on when the head of its request is there, whole: nobody waits for the rest of it in a thread.
//! * One that takes longer than the limit is closed, and so is the one that is here longest, when descriptors are short.
//! * One that will send no more is handed on with what there is: what to answer is its server's to say.
//!
//! # How
//! The heads stay in the kernel's buffers, where they are looked at (`MSG_PEEK`) each time that something arrives.
//!
//! # Not promised
//! What is no HTTP/1 is handed on at its first byte, and a head of more than [`LONGEST`] before its end. Of a body, nothing
//! is known.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketAddrAny};

/// The most of a head that is waited for.
pub const LONGEST: usize = 32 * 1024;
/// Below are the [`epoll`] data of others.
pub(crate) const FIRST_KEY: u64 = 2;

/// An accepted client and its address.
pub type Client = (OwnedFd, Option<SocketAddrAny>);

/// How much of a request's head is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Whole,
    Part,
    /// The client has left.
    Gone,
}

/// Who has not asked for anything yet.
#[derive(Debug)]
pub(crate) struct Arrivals {
    limit: Duration,
    /// Nobody has longer than this.
    end: Option<Instant>,
    /// In the order in which they came.
    waiting: BTreeMap<u64, (Client, Instant)>,
    ready: VecDeque<Client>,
    next: u64,
    scratch: Vec<u8>,
}

impl Arrivals {
    /// `limit`: how long a client may take.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            end: None,
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            next: FIRST_KEY,
            scratch: Vec::with_capacity(LONGEST),
        }
    }

    /// Takes a client that was accepted just now. It comes back if its head is there already.
    pub(crate) fn take(&mut self, epoll: &OwnedFd, client: Client) -> Option<Client> {
        match look(&client.0, &mut self.scratch) {
            Head::Whole => return Some(client),
            Head::Gone => return None,
            Head::Part => {}
        }
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if epoll::add(epoll, &client.0, epoll::EventData::new_u64(self.next), flags).is_err() {
            return Some(client); // for want of kernel memory: its server waits for it
        }
        self.waiting.insert(self.next, (client, Instant::now()));
        self.next += 1;
        None
    }

    /// Looks at those to whom something happened, and closes those whose time is up.
    pub(crate) fn look(&mut self, epoll: &OwnedFd) {
        if self.waiting.is_empty() {
            return;
        }
        let mut events = Vec::with_capacity(64);
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        // Fails by a signal alone: then the event loop comes back, as the events are still there.
        let _ = epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&at_once));
        for event in events {
            let key = event.data.u64();
            let Some((client, _)) = self.waiting.get(&key) else { continue };
            let mut head = look(&client.0, &mut self.scratch);
            if head == Head::Part {
                let flags = event.flags;
                head = if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                    Head::Gone
                } else if flags.contains(epoll::EventFlags::RDHUP) {
                    Head::Whole // there will be no more of it
                } else {
                    continue;
                };
            }
            if let Some((client, _)) = self.waiting.remove(&key) {
                if head == Head::Whole && epoll::delete(epoll, &client.0).is_ok() {
                    self.ready.push_back(client);
                }
            }
        }
        while self.patience_ends().is_some_and(|end| end <= Instant::now()) {
            self.drop_oldest();
        }
    }

    /// The next whose head is there.
    pub(crate) fn next(&mut self) -> Option<Client> {
        self.ready.pop_front()
    }

    /// Nobody comes any more, and those who are here have at most `limit`, from the first call on.
    pub(crate) fn leave(&mut self, limit: Duration) {
        self.end.get_or_insert_with(|| Instant::now() + limit);
    }

    /// Everybody who is here, and since when; who is about to be handed on came just now.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&Client, Option<Instant>)> {
        let waiting = self.waiting.values().map(|(client, since)| (client, Some(*since)));
        waiting.chain(self.ready.iter().map(|client| (client, None)))
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty()
    }

    /// Closes the client that is here longest. False if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        self.waiting.pop_first().is_some()
    }

    /// When [`Arrivals::look`] wants to be called, whatever arrives.
    pub(crate) fn due(&self) -> Option<Instant> {
        if !self.ready.is_empty() || self.is_leaving() && self.is_empty() {
            return Some(Instant::now());
        }
        self.patience_ends()
    }

    fn patience_ends(&self) -> Option<Instant> {
        let (_, (_, since)) = self.waiting.first_key_value()?;
        let end = *since + self.limit;
        Some(self.end.map_or(end, |leaving| leaving.min(end)))
    }
}

fn look(client: impl AsFd, scratch: &mut Vec<u8>) -> Head {
    scratch.clear();
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let received = rustix::net::recv(client, rustix::buffer::spare_capacity(scratch), peek);
    match received {
        Ok((_, 0)) => Head::Gone,
        Ok(_) if is_whole(scratch) => Head::Whole,
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Head::Part,
        Err(_) => Head::Gone,
    }
}

/// Whether there is nothing to wait for: the head ends, is very long, or is none of HTTP/1.
fn is_whole(head: &[u8]) -> bool {
    let ends = |end: &[u8]| head.windows(end.len()).any(|here| here == end);
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let is_foreign = lines.next().is_some_and(|line| line.ends_with(b"\n") && !begins_a_head(line));
    !head[0].is_ascii_alphabetic() || head.len() >= LONGEST || is_foreign || ends(b"\r\n\r\n")
}

/// RFC 9112 section 3, or the PROXY protocol in front of it.
fn begins_a_head(line: &[u8]) -> bool {
    line.starts_with(b"PROXY ") || line.windows(6).any(|here| here == b" HTTP/")
}
