//! Sending on a WebSocket: at once if the kernel has room, and in order.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::info;

use super::codec;
use super::delivery::Delivery;
use super::outbox::{Outbox, Pushed};
use super::socket::{WebSocket, NO_CLOSE_FRAME};
use super::strand::Ending;
use crate::cause::{Cause, Op};
use crate::error::{Error, Result};
use crate::fd::{Lane, Patience};
use crate::ledger::{self, Counter};
use crate::metrics;

/// "Try again later", in IANA's registry of close codes.
const TRY_AGAIN_LATER: u16 = 1013;

/// Batches sent before others have their turn.
pub(super) const FAIR: usize = 16;

/// For how long somebody else's send(2), which never waits, may take the core from whoever needs room.
const ELSEWHERE: Duration = Duration::from_millis(200);

/// What became of an offered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The kernel has it.
    Sent,
    /// It waits for the client.
    Queued,
    /// The connection is over, or closing.
    Gone,
    /// There was no room: it is lost ([`Overflow::DropNewest`](super::Overflow::DropNewest), or larger than all room).
    Dropped,
    /// There was no room: nothing was done ([`Overflow::Refuse`](super::Overflow::Refuse)).
    Refused,
    /// There was no room: the client is being closed with 1013.
    Overflowed,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left.
    All,
    /// Somebody else is at it, and will look at the queue again.
    Elsewhere,
    /// Something is left.
    Some,
    /// Something is left, and the kernel has no room.
    Full,
}

impl WebSocket {
    /// Offers frames (see [`codec::frame`]) that must not be separated: one message, delivered as `delivery` says; without
    /// it, it is neither dropped nor replaced. A forked child has nothing to say here.
    pub fn offer(&self, frames: &[Bytes], delivery: Option<&Delivery>) -> Offered {
        self.try_offer(frames, delivery).unwrap_or_else(|| {
            // Before anything gives way: perhaps it is not the client who is behind, but the engine.
            self.deliver_at_most(FAIR, Patience::from_timeout(Some(ELSEWHERE)));
            let offered = self.push(self.outbox(), frames, delivery);
            self.deliver_if_queued(offered)
        })
    }

    /// As [`WebSocket::offer`], for those who must not wait for other threads. None, and nothing was done: what waits
    /// should be sent first.
    pub fn try_offer(&self, frames: &[Bytes], delivery: Option<&Delivery>) -> Option<Offered> {
        self.try_enqueue(frames, delivery).map(|offered| self.deliver_if_queued(offered))
    }

    /// Offers what the engine itself has to say. Never waits.
    pub(super) fn answer(&self, frame: Bytes) -> Offered {
        let frames = [frame];
        self.try_offer(&frames, None).unwrap_or_else(|| {
            self.deliver_at_most(FAIR, Patience::Never);
            self.try_offer(&frames, None).unwrap_or_else(|| {
                // Somebody is sending, so the client reads: it is not left for the sake of a pong.
                let pushed = self.outbox().overdraw(frames);
                let offered = self.settle(pushed);
                self.deliver_if_queued(offered)
            })
        })
    }

    /// As [`WebSocket::try_offer`], without an attempt to send: [`WebSocket::deliver`] is called after it.
    pub(super) fn try_enqueue(&self, frames: &[Bytes], delivery: Option<&Delivery>) -> Option<Offered> {
        if self.guarded().is_inherited() {
            return Some(Offered::Gone); // in a forked child: the stream is the parent's
        }
        let outbox = self.outbox();
        let is_behind = outbox.is_short_of_room(frames, delivery) && !self.blocked.load(Ordering::Acquire);
        (!is_behind).then(|| self.push(outbox, frames, delivery))
    }

    fn push(
        &self,
        mut outbox: MutexGuard<'_, Outbox>,
        frames: &[Bytes],
        delivery: Option<&Delivery>,
    ) -> Offered {
        let pushed = outbox.push(frames.iter().cloned(), delivery);
        let made_room = outbox.makes_room(); // by what was dropped
        drop(outbox);
        if made_room {
            self.tell_of_room();
        }
        self.settle(pushed)
    }

    fn settle(&self, pushed: Pushed) -> Offered {
        match pushed {
            Pushed::Queued => Offered::Queued,
            Pushed::Dropped => Offered::Dropped,
            Pushed::Refused => Offered::Refused,
            Pushed::Sealed => Offered::Gone,
            Pushed::Overflowed => {
                self.cut_short(Ending::Overflow);
                Offered::Overflowed
            }
        }
    }

    fn deliver_if_queued(&self, offered: Offered) -> Offered {
        match offered {
            Offered::Queued => self.deliver(),
            decided => decided,
        }
    }

    /// Closes with `code` after what waits was sent; with [`NO_CLOSE_FRAME`] the stream ends there. Never waits.
    pub fn close(&self, code: u16, reason: &str) {
        if self.guarded().is_inherited() {
            return;
        }
        let frame = (code != NO_CLOSE_FRAME).then(|| codec::close(code, reason));
        let is_first = self.seal((code, reason, Ending::Here), |outbox| outbox.seal(frame));
        if !is_first && self.gone_since.get().is_some() {
            self.end(Ending::Transport); // nobody is interested in the rest
        }
    }

    /// Closes a client that does not keep up. What waits is thrown away, apart from what has begun to leave.
    pub(super) fn cut_short(&self, why: Ending) {
        let (reason, counter) = match why {
            Ending::Stalled => ("nothing was read in time", Counter::WriteStalls),
            _ => ("too much waits to be read", Counter::QueueOverflows),
        };
        let frame = codec::close(TRY_AGAIN_LATER, reason);
        if self.seal((TRY_AGAIN_LATER, reason, why), |outbox| outbox.cut_short(frame)) {
            ledger::count(counter);
            info!(target: "hangup::websocket", connection = self.id(), reason, "closed with 1013");
        }
    }

    /// Has nothing follow what `seal` adds. False if it was so already.
    fn seal(&self, (code, reason, why): (u16, &str, Ending), seal: impl FnOnce(&mut Outbox) -> bool) -> bool {
        let mut outbox = self.outbox();
        let is_first = seal(&mut outbox);
        let made_room = outbox.makes_room();
        drop(outbox);
        if is_first {
            let _ = self.closed_with.set((code, reason.to_owned(), why)); // sealed once, so set once
            if made_room {
                self.tell_of_room();
            }
            self.deliver();
            self.wake();
        }
        is_first
    }

    /// Waits until no more than `level` bytes wait ([`WebSocket::queued`]), or nothing can be sent any more; at most
    /// for `limit`. False if time is up: then the dispatcher is told as soon as
    /// there is room ([`Settings::tells`](super::Settings::tells)).
    pub fn wait_for_room(&self, level: usize, limit: Duration) -> bool {
        if self.guarded().is_inherited() {
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

    /// What waits, for another process; nothing can be offered here any more.
    pub(super) fn hand_over(&self) -> Vec<u8> {
        let mut outbox = self.outbox();
        let unsent = outbox.hand_over();
        let made_room = outbox.makes_room();
        drop(outbox);
        if made_room {
            self.tell_of_room();
        }
        unsent
    }

    /// Sends what waits, unless somebody else is at it or the kernel has no room; the task sends the rest.
    pub(super) fn deliver(&self) -> Offered {
        self.deliver_at_most(1, Patience::Never)
    }

    fn deliver_at_most(&self, batches: usize, patience: Patience) -> Offered {
        if self.blocked.load(Ordering::Acquire) {
            return Offered::Queued;
        }
        match self.flush(batches, patience) {
            Ok(Flushed::All) => Offered::Sent,
            Ok(Flushed::Elsewhere) => Offered::Queued,
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

    /// Sends at most `batches` times what waits. `patience` is with somebody else who is sending: whoever has the lane
    /// waits neither for the kernel nor for an interpreter.
    pub(super) fn flush(&self, batches: usize, patience: Patience) -> Result<Flushed> {
        for _ in 0..batches {
            let lane = match self.guarded().lane(Lane::Write, Op::Send, patience) {
                Ok(lane) => lane,
                // Whoever holds the lane looks at the queue again after leaving it.
                Err(error)
                    if matches!(
                        error.cause,
                        Cause::Busy | Cause::WouldBlock | Cause::TimedOut | Cause::Interrupted
                    ) =>
                {
                    return Ok(Flushed::Elsewhere)
                }
                Err(error) => return Err(error),
            };
            let batch = self.outbox().lend();
            if let Some(batch) = batch {
                let sent = batch.send(&lane);
                let made_room = self.strike_off(&sent);
                match sent {
                    Ok(count) => {
                        self.blocked.store(false, Ordering::Release); // there was room
                        self.sent.fetch_add(count as u64, Ordering::Relaxed);
                        metrics::add(Counter::WebSocketBytesSent, count as u64);
                    }
                    Err(error) if error.cause == Cause::WouldBlock => {
                        self.blocked.store(true, Ordering::Release);
                        return Ok(Flushed::Full);
                    }
                    Err(error) if error.cause == Cause::Interrupted => {}
                    Err(error) => return Err(error),
                }
                drop(lane);
                if made_room {
                    self.tell_of_room();
                }
            } else {
                drop(lane);
            }
            if self.outbox().is_empty() {
                return Ok(Flushed::All);
            }
        }
        Ok(Flushed::Some)
    }

    /// Whether there is the room now that somebody waits for.
    fn strike_off(&self, sent: &Result<usize>) -> bool {
        let mut outbox = self.outbox();
        match sent {
            Ok(count) => outbox.advance(*count),
            Err(error) => {
                outbox.advance(0);
                if error.cause == Cause::WouldBlock {
                    outbox.stall();
                }
            }
        }
        outbox.makes_room()
    }
}
