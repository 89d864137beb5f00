//! What waits to be sent to one client: whole frames, in order, bounded.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;

/// The most that is handed to one send(2): frames that wait together leave together.
const COALESCED: usize = 64 * 1024;

/// What a frame costs besides its bytes: its allocation's, and its place in the queue.
const FRAME: usize = 96;

/// A queue of frames.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: VecDeque<Bytes>,
    bytes: usize,
    limit: usize,
    /// When something last left, or came into an empty queue.
    moved: Instant,
    sealed: bool,
    /// Somebody waits until no more than this waits to be sent.
    awaited: Option<usize>,
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The queue would exceed its limit.
    Overflowed,
    /// Nothing may follow a close frame (RFC 6455 section 5.5.1).
    Sealed,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, limit, moved: Instant::now(), sealed: false, awaited: None }
    }

    /// All of `frames` or none of them.
    pub(crate) fn push(&mut self, frames: impl IntoIterator<Item = Bytes, IntoIter: Clone>) -> Pushed {
        let frames = frames.into_iter();
        let added: usize = frames.clone().map(|frame| frame.len()).sum();
        if self.sealed {
            return Pushed::Sealed;
        }
        if self.bytes + added + (self.frames.len() + frames.clone().count()) * FRAME > self.limit {
            return Pushed::Overflowed;
        }
        if self.bytes == 0 {
            self.moved = Instant::now();
        }
        self.bytes += added;
        self.frames.extend(frames);
        Pushed::Queued
    }

    /// Adds the last frame, if there is to be one, whatever the limit. False if it was sealed already.
    pub(crate) fn seal(&mut self, close_frame: Option<Bytes>) -> bool {
        if self.sealed {
            return false;
        }
        if self.bytes == 0 {
            self.moved = Instant::now();
        }
        self.bytes += close_frame.as_ref().map_or(0, Bytes::len);
        self.frames.extend(close_frame);
        self.sealed = true;
        true
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no more than `level` waits, or nothing can be added anyway. If not, [`Outbox::makes_room`] will tell.
    pub(crate) fn has_room(&mut self, level: usize) -> bool {
        let there = self.sealed || self.bytes <= level;
        if !there {
            self.awaited = self.awaited.max(Some(level));
        }
        there
    }

    /// True once, when there is the room that somebody waits for.
    pub(crate) fn makes_room(&mut self) -> bool {
        let made = self.awaited.is_some_and(|level| self.sealed || self.bytes <= level);
        if made {
            self.awaited = None;
        }
        made
    }

    /// When something last left.
    pub(crate) fn moved(&self) -> Instant {
        self.moved
    }

    /// What the next send(2) takes.
    pub(crate) fn next(&self) -> Option<Bytes> {
        let first = self.frames.front()?;
        let Some(second) = self.frames.get(1) else { return Some(first.clone()) };
        if first.len() + second.len() > COALESCED {
            return Some(first.clone());
        }
        let mut batch = BytesMut::with_capacity(self.bytes.min(COALESCED));
        for frame in &self.frames {
            if batch.len() + frame.len() > COALESCED {
                break;
            }
            batch.extend_from_slice(frame);
        }
        Some(batch.freeze())
    }

    /// Strikes off what left. Nothing, if it was cleared meanwhile.
    pub(crate) fn advance(&mut self, sent: usize) {
        let mut sent = sent.min(self.bytes);
        self.bytes -= sent;
        self.moved = Instant::now();
        while let Some(first) = self.frames.front_mut() {
            if sent < first.len() {
                first.advance(sent);
                break;
            }
            sent -= first.len();
            self.frames.pop_front();
        }
        if self.bytes == 0 && self.frames.capacity() > 64 {
            self.frames = VecDeque::new(); // a burst's memory is not kept for an idle client
        }
    }

    /// Forgets everything: the client is gone.
    pub(crate) fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
        self.sealed = true;
    }
}
