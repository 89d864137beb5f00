//! What may wait to be sent to one client: how much of it, for how long, and what comes after.

use bytes::Bytes;
use tokio::time::Instant;

use super::batch::Batch;
use super::delivery::{Delivery, Overflow};
use super::waiting::{Waiting, FRAME};
use crate::ledger::{self, Counter};
use crate::metrics::{self, Distribution};

/// Of the limit this part is left to what closes the client if it does not fit: at a client for whom messages are
/// dropped, or refused, all the time, a ping must fit.
const RESERVE: usize = 16;

/// Of so many messages that find nothing waiting one is timed: a clock takes as long as all else that is done here.
const TIMED: u32 = 16;

/// A queue of frames, bounded.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Waiting,
    limit: usize,
    overflow: Overflow,
    /// Since when the kernel, and so the client, has taken nothing of what waits; once sealed, when it last took something.
    stalled_since: Option<Instant>,
    /// Messages that found nothing waiting.
    unhindered: u32,
    /// When one of them came, of which is measured how long it takes.
    timed: Option<Instant>,
    sealed: bool,
    /// Somebody waits until no more bytes than this wait.
    awaited: Option<usize>,
    /// When a message last came with a [`Delivery`], if somebody has asked for it.
    delivered_at: Option<Instant>,
    dropped: u64,
    coalesced: u64,
}

/// What became of an offered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Queued,
    Dropped,
    Refused,
    /// The queue would exceed its limit.
    Overflowed,
    /// Nothing may follow a close frame (RFC 6455 section 5.5.1).
    Sealed,
}

impl Outbox {
    pub(super) fn new(limit: usize, overflow: Overflow) -> Self {
        Self {
            waiting: Waiting::default(),
            limit,
            overflow,
            stalled_since: None,
            unhindered: 0,
            timed: None,
            sealed: false,
            awaited: None,
            delivered_at: None,
            dropped: 0,
            coalesced: 0,
        }
    }

    /// Whether something that waits would have to give way to `frames`, or they to it.
    pub(super) fn is_short_of_room(&self, frames: &[Bytes], delivery: Option<&Delivery>) -> bool {
        if self.sealed || self.is_empty() {
            return false;
        }
        let key = delivery.and_then(|delivery| delivery.key.as_ref());
        let added: usize = frames.iter().map(|frame| frame.len() + FRAME).sum();
        self.waiting.cost() + added > self.limit - self.limit / RESERVE
            || key.is_some_and(|key| self.waiting.of_key(key).is_some())
    }

    /// All of `frames` or none of them. Without a `delivery` they are there to stay, and what may be dropped makes
    /// way.
    pub(super) fn push(
        &mut self,
        frames: impl IntoIterator<Item = Bytes, IntoIter: Clone>,
        delivery: Option<&Delivery>,
    ) -> Pushed {
        if self.sealed {
            return Pushed::Sealed;
        }
        let frames = frames.into_iter();
        let added: usize = frames.clone().map(|frame| frame.len() + FRAME).sum();
        let key = delivery.and_then(|delivery| delivery.key.as_ref());
        let older = key.and_then(|key| self.waiting.of_key(key));
        let left = self.waiting.cost() - older.map_or(0, |(_, cost)| cost);
        let overflow = delivery.map_or(Overflow::Close, |how| how.overflow.unwrap_or(self.overflow));
        let limit = if overflow == Overflow::Close { self.limit } else { self.limit - self.limit / RESERVE };
        if left + added > limit {
            match overflow {
                Overflow::Refuse if added <= limit => return Pushed::Refused,
                Overflow::DropNewest | Overflow::Refuse => return self.drop_offered(),
                Overflow::DropOldest if added > limit => return self.drop_offered(),
                Overflow::DropOldest | Overflow::Close => {}
            }
        }
        if let Some((unit, _)) = older {
            self.waiting.take_out(unit);
            self.coalesced += 1;
            ledger::count(Counter::MessagesCoalesced);
        }
        while self.waiting.cost() + added > limit {
            if self.waiting.drop_oldest() {
                self.count_dropped();
            } else if overflow == Overflow::Close {
                return Pushed::Overflowed;
            } else {
                return self.drop_offered();
            }
        }
        if self.waiting.is_empty() {
            if self.unhindered % TIMED == 0 {
                self.timed = Some(Instant::now());
            }
            self.unhindered = self.unhindered.wrapping_add(1);
        } else {
            metrics::observe(Distribution::QueueDepth, 0, self.waiting.bytes() as u64);
        }
        if let Some(at) = self.delivered_at.as_mut().filter(|_| delivery.is_some()) {
            *at = Instant::now();
        }
        self.waiting.push(frames, delivery.is_some() && overflow.drops(), key);
        Pushed::Queued
    }

    /// Adds `frames` whatever the limit.
    pub(super) fn overdraw(&mut self, frames: impl IntoIterator<Item = Bytes>) -> Pushed {
        if self.sealed {
            return Pushed::Sealed;
        }
        self.waiting.push(frames.into_iter(), false, None);
        Pushed::Queued
    }

    fn drop_offered(&mut self) -> Pushed {
        self.count_dropped();
        Pushed::Dropped
    }

    fn count_dropped(&mut self) {
        self.dropped += 1;
        ledger::count(Counter::MessagesDropped);
    }

    /// Messages dropped so far for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Since when no message came with a [`Delivery`], or since this was first asked.
    pub(super) fn quiet_since(&mut self) -> Instant {
        *self.delivered_at.get_or_insert_with(Instant::now)
    }

    /// Messages replaced so far by a newer one of their key.
    pub(super) fn coalesced(&self) -> u64 {
        self.coalesced
    }

    /// Adds the last frame, if there is to be one, whatever the limit. False if it was sealed already.
    pub(super) fn seal(&mut self, close_frame: Option<Bytes>) -> bool {
        let is_first = self.overdraw(close_frame) == Pushed::Queued;
        self.sealed = true;
        is_first
    }

    /// As [`Outbox::seal`], in the place of all that has not begun to leave.
    pub(super) fn cut_short(&mut self, close_frame: Bytes) -> bool {
        if !self.sealed {
            self.waiting.drop_all();
        }
        self.seal(Some(close_frame))
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// Whether no more than `level` bytes wait, or nothing can be added anyway. If not,
    /// [`Outbox::makes_room`] will tell.
    pub(super) fn has_room(&mut self, level: usize) -> bool {
        let there = self.sealed || self.waiting.bytes() <= level;
        if !there {
            self.awaited = self.awaited.max(Some(level));
        }
        there
    }

    /// True once, when there is the room that somebody waits for.
    pub(super) fn makes_room(&mut self) -> bool {
        let made = self.awaited.is_some_and(|level| self.sealed || self.waiting.bytes() <= level);
        if made {
            self.awaited = None;
        }
        made
    }

    /// Since when the client has taken nothing of what waits, if that is so; once sealed, when it last took something.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// The kernel has no room.
    pub(super) fn stall(&mut self) {
        if !self.is_empty() {
            self.stalled_since.get_or_insert_with(Instant::now);
        }
    }

    /// What the next system call takes; [`Outbox::advance`] is called after it, whatever came of it.
    pub(super) fn lend(&mut self) -> Option<Batch> {
        self.waiting.lend()
    }

    /// Strikes off what left. Nothing, if it was cleared meanwhile.
    pub(super) fn advance(&mut self, sent: usize) {
        self.waiting.advance(sent);
        if sent > 0 {
            self.stalled_since = (self.sealed || !self.is_empty()).then(Instant::now);
            if let Some(since) = self.timed.filter(|_| self.is_empty()) {
                metrics::observe_duration(Distribution::WriteDuration, 0, since.elapsed());
                self.timed = None;
            }
        }
    }

    /// What another process had not sent leaves first.
    pub(super) fn take_over(&mut self, unsent: Bytes) {
        self.waiting.take_over(unsent);
    }

    /// What waits, for another process: nothing can be added here any more.
    pub(super) fn hand_over(&mut self) -> Vec<u8> {
        let unsent = self.waiting.hand_over();
        self.clear();
        unsent
    }

    /// Forgets everything: the client is gone.
    pub(super) fn clear(&mut self) {
        self.waiting = Waiting::default();
        self.stalled_since = None;
        self.timed = None;
        self.sealed = true;
    }
}
