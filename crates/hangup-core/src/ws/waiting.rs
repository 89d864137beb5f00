//! The frames that wait for one client, in units that leave, or are dropped, as one.
//!
//! # Promised
//! * Units leave in the order in which they were pushed. One of which a byte may have left is neither dropped nor
//!   replaced.
//! * Whatever waits, each step costs at most the logarithm of it, on average.
//!
//! # How
//! Units are numbered, so the frames are sorted, and a unit is found by its number. What is dropped leaves gaps, which
//! are closed when there are more of them than frames.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::batch::Batch;
use crate::metrics::{self, Counter};

/// What a frame costs besides its bytes: its allocation's, and its place in the queue.
pub(super) const FRAME: usize = 96;
/// Two frames of this size, on average, are not worth copying to spare the kernel a piece.
const SMALL: usize = 2 * 1024;
/// The most that is copied for one send(2).
const COPIED: usize = 64 * 1024;
/// The most that is handed to one sendmsg(2), and in how many pieces.
const HANDED: usize = 256 * 1024;
const PIECES: usize = 64;
/// How many places an idle client keeps.
const KEPT: usize = 64;

#[derive(Debug)]
struct Frame {
    /// Empty: a gap.
    bytes: Bytes,
    unit: u64,
    may_drop: bool,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
    gaps: usize,
    /// The number of the last unit.
    last: u64,
    /// The last unit of which something has left.
    begun: u64,
    /// Something of the first frame has left, and something waits.
    is_torn: bool,
    /// How many places, from the front, hold what is on its way to the kernel.
    lent: usize,
    /// Up to this unit none may be dropped.
    searched: u64,
    /// The newest unit of each key; some have left since.
    newest: HashMap<Arc<str>, u64>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// In the coin of the limit: bytes, and bookkeeping.
    pub(super) fn cost(&self) -> usize {
        self.bytes + (self.frames.len() - self.gaps) * FRAME
    }

    pub(super) fn push(
        &mut self,
        frames: impl Iterator<Item = Bytes>,
        may_drop: bool,
        key: Option<&Arc<str>>,
    ) {
        self.last += 1;
        let unit = self.last;
        for bytes in frames.filter(|bytes| !bytes.is_empty()) {
            self.bytes += bytes.len();
            self.frames.push_back(Frame { bytes, unit, may_drop });
        }
        if let Some(key) = key {
            self.newest.insert(Arc::clone(key), unit);
            if self.newest.len() > 2 * self.frames.len() + KEPT {
                let first = self.frames.front().map_or(unit, |frame| frame.unit);
                self.newest.retain(|_, unit| *unit >= first);
            }
        }
    }

    /// Puts what another process had not sent in front of all: its first frame may be torn.
    pub(super) fn take_over(&mut self, unsent: Bytes) {
        self.push([unsent].into_iter(), false, None);
        self.begun = self.last;
        self.is_torn = !self.is_empty();
    }

    /// Takes out all that waits, in the order in which it would leave. Nothing is on its way to the kernel.
    pub(super) fn hand_over(&mut self) -> Vec<u8> {
        let frames = std::mem::take(self).frames;
        frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect()
    }

    /// The last unit that may have begun to leave.
    fn leaving(&self) -> u64 {
        let lent = self.lent.checked_sub(1).and_then(|last| self.frames.get(last));
        lent.map_or(self.begun, |frame| frame.unit.max(self.begun))
    }

    /// The first place behind a unit.
    fn behind(&self, unit: u64) -> usize {
        self.frames.partition_point(|frame| frame.unit <= unit)
    }

    /// The unit that waits under `key`, and its cost.
    pub(super) fn of_key(&self, key: &str) -> Option<(u64, usize)> {
        let unit = *self.newest.get(key)?;
        if unit <= self.leaving() {
            return None;
        }
        let frames = self.frames.range(self.behind(unit - 1)..self.behind(unit));
        let cost =
            frames.filter(|frame| !frame.bytes.is_empty()).map(|frame| frame.bytes.len() + FRAME).sum();
        (cost > 0).then_some((unit, cost))
    }

    /// Takes a unit out, which has not begun to leave.
    pub(super) fn take_out(&mut self, unit: u64) {
        let range = self.behind(unit - 1)..self.behind(unit);
        for frame in self.frames.range_mut(range) {
            self.bytes -= frame.bytes.len();
            self.gaps += usize::from(!frame.bytes.is_empty());
            frame.bytes = Bytes::new();
            frame.may_drop = false;
        }
        if self.lent == 0 && 2 * self.gaps > self.frames.len() {
            self.frames.retain(|frame| !frame.bytes.is_empty());
            self.gaps = 0;
            self.let_go();
        }
    }

    /// Drops the oldest unit that may be dropped. False if there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let from = self.behind(self.leaving().max(self.searched));
        let oldest = self.frames.range(from..).find(|frame| frame.may_drop).map(|frame| frame.unit);
        if self.lent == 0 {
            self.searched = oldest.unwrap_or(self.last);
        }
        if let Some(unit) = oldest {
            self.take_out(unit);
        }
        oldest.is_some()
    }

    /// What the next system call takes. It stays here until [`Waiting::advance`].
    pub(super) fn lend(&mut self) -> Option<Batch> {
        let mut frames = self.frames.iter().map(|frame| &frame.bytes).filter(|bytes| !bytes.is_empty());
        let first = frames.next()?;
        let Some(second) = frames.next() else {
            self.lent = self.frames.len();
            return Some(Batch::Joined(first.clone()));
        };
        let are_small = first.len() + second.len() <= 2 * SMALL;
        self.lent = if are_small { self.reach(usize::MAX, COPIED) } else { self.reach(PIECES, HANDED) };
        let lent = self.frames.range(..self.lent).map(|frame| &frame.bytes);
        Some(if are_small {
            let mut joined = BytesMut::with_capacity(self.bytes.min(COPIED));
            lent.for_each(|bytes| joined.extend_from_slice(bytes));
            Batch::Joined(joined.freeze())
        } else {
            Batch::Scattered(lent.filter(|bytes| !bytes.is_empty()).cloned().collect())
        })
    }

    /// How many places hold no more than so many frames and bytes, or one frame.
    fn reach(&self, frames: usize, bytes: usize) -> usize {
        let (mut count, mut size) = (0, 0);
        let beyond = self.frames.iter().position(|frame| {
            count += usize::from(!frame.bytes.is_empty());
            size += frame.bytes.len();
            count > 1 && (count > frames || size > bytes)
        });
        beyond.unwrap_or(self.frames.len())
    }

    /// Strikes off what left of what was lent.
    pub(super) fn advance(&mut self, sent: usize) {
        self.lent = 0;
        let mut sent = sent.min(self.bytes); // it may have been cleared meanwhile
        self.bytes -= sent;
        let mut whole = 0;
        while let Some(first) = self.frames.front_mut() {
            if sent > 0 {
                self.begun = first.unit;
            }
            if sent < first.bytes.len() {
                first.bytes.advance(sent);
                self.is_torn |= sent > 0;
                break;
            }
            sent -= first.bytes.len();
            self.gaps -= usize::from(first.bytes.is_empty());
            whole += u64::from(!first.bytes.is_empty());
            self.is_torn = false;
            self.frames.pop_front();
        }
        metrics::add(Counter::FramesSent, whole);
        self.let_go();
    }

    /// A burst's memory is not kept for an idle client.
    fn let_go(&mut self) {
        if !self.frames.is_empty() {
            return;
        }
        if self.frames.capacity() > KEPT {
            self.frames = VecDeque::new();
        }
        if self.newest.capacity() > KEPT {
            self.newest = HashMap::new();
        }
        self.newest.clear();
    }

    /// Drops everything but frames that have begun to leave.
    pub(super) fn drop_all(&mut self) {
        self.frames.truncate(self.lent.max(usize::from(self.is_torn)));
        self.bytes = self.frames.iter().map(|frame| frame.bytes.len()).sum();
        self.gaps = self.frames.iter().filter(|frame| frame.bytes.is_empty()).count();
        self.newest = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_once_are_forgotten() {
        let mut waiting = Waiting::default();
        let frame = Bytes::from_static(b"frame");
        for number in 0..1_000 {
            let key: Arc<str> = number.to_string().into();
            waiting.push([frame.clone(), frame.clone()].into_iter(), true, Some(&key));
            waiting.advance(usize::from(number > 5) * 2 * frame.len());
        }
        assert_eq!(waiting.frames.len(), 12);
        assert!(waiting.newest.len() < 100);
        waiting.advance(waiting.bytes);
        assert!(waiting.newest.is_empty());
    }

    #[test]
    fn gaps_are_closed() {
        let mut waiting = Waiting::default();
        let (key, frame) = (Arc::from("key"), Bytes::from_static(b"frame"));
        waiting.push([frame.clone()].into_iter(), false, None);
        for _ in 0..1_000 {
            if let Some((unit, _)) = waiting.of_key("key") {
                waiting.take_out(unit);
            }
            waiting.push([frame.clone()].into_iter(), true, Some(&key));
        }
        assert!(waiting.frames.len() < 5);
        assert_eq!(waiting.bytes, 2 * frame.len());
    }
}
