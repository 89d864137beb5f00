//! What one client sent and nobody has handled yet, in order.

use std::collections::VecDeque;

use crate::fd::trail::Fate;

/// How much may wait before the client is no longer read: bytes, and messages.
const BACKLOG_BYTES: usize = 256 * 1024;
const BACKLOG_MESSAGES: usize = 256;

/// Something for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The client probes the WebSocket of its Engine.IO session.
    Probed,
    /// The session lives on the WebSocket from now on.
    Upgraded,
    /// The connection is over. Comes once, and last.
    Closed(Closure),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// The close code seen or sent (RFC 6455 section 7.4); 1006 if there was no close frame.
    pub code: u16,
    /// The peer's reason, or what was wrong.
    pub reason: String,
    /// Who or what ended it.
    pub cause: Ending,
    /// Payload and framing received, in bytes.
    pub received: u64,
    /// The same, sent.
    pub sent: u64,
}

/// Who or what ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer sent a close frame.
    Peer,
    /// The peer said so in Engine.IO (packet `1`).
    Left,
    /// The peer's connection ended without one.
    Transport,
    /// We closed.
    Here,
    /// The peer broke a protocol.
    Violation,
    /// It did not answer in time.
    Silent,
    /// It did not read in time.
    Stalled,
    /// Too much waited to be sent.
    Overflow,
    /// It goes on in another process.
    Moved,
}

impl Ending {
    /// What it is for a descriptor.
    pub(super) const fn fate(self) -> Option<Fate> {
        Some(match self {
            Ending::Peer => Fate::CloseFrame,
            Ending::Left => Fate::Left,
            Ending::Transport => return None, // the descriptor knows
            Ending::Here => Fate::Here,
            Ending::Violation => Fate::Violation,
            Ending::Silent => Fate::Silent,
            Ending::Stalled => Fate::Stalled,
            Ending::Overflow => Fate::Overflow,
            Ending::Moved => Fate::Detached,
        })
    }

    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Ending::Peer => "peer",
            Ending::Left => "left",
            Ending::Transport => "transport",
            Ending::Here => "here",
            Ending::Violation => "violation",
            Ending::Silent => "silent",
            Ending::Stalled => "stalled",
            Ending::Overflow => "overflow",
            Ending::Moved => "moved",
        }
    }
}

/// What waits in a strand.
#[derive(Debug)]
pub(super) enum Entry {
    /// For the application.
    Event(Event),
    /// The stream was broken here: close, once what came before was handled and answered.
    Violation(u16, &'static str),
}

impl Entry {
    fn size(&self) -> usize {
        match self {
            Entry::Event(Event::Text(text)) => text.len(),
            Entry::Event(Event::Binary(bytes)) => bytes.len(),
            _ => 0,
        }
    }
}

/// The queue of one connection, and who is at it.
#[derive(Debug, Default)]
pub(super) struct Strand {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Somebody is at it, or it waits for somebody.
    pub(super) scheduled: bool,
    /// Counts the times it was taken away from somebody who was blocked.
    pub(super) epoch: u64,
    /// Nobody is given a turn, and the client is not read.
    pub(super) parked: bool,
    /// Turns that were given and have not ended.
    pub(super) turns: u32,
}

impl Strand {
    pub(super) fn new(parked: bool) -> Self {
        Self { parked, ..Self::default() }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.size();
        self.entries.push_back(entry);
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front();
        self.bytes -= entry.as_ref().map_or(0, Entry::size);
        if self.entries.is_empty() {
            self.entries = VecDeque::new(); // an idle client costs nothing
        }
        entry
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the client must not be read until some of it was handled.
    pub(super) fn is_full(&self) -> bool {
        self.parked || self.bytes >= BACKLOG_BYTES || self.entries.len() >= BACKLOG_MESSAGES
    }
}
