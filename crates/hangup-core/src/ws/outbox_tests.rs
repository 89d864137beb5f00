//! The queue against a naive one: whatever is offered, sent and thrown away, the same bytes wait in the same order.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::batch::Batch;
use super::delivery::{Delivery, Overflow};
use super::outbox::{Outbox, Pushed};
use super::waiting::FRAME;

/// What stands before the rest of a frame: its unit, its place there, its unit's frames, its length.
const HEADER: usize = 16;

fn frames(unit: u32, sizes: &[usize]) -> Vec<Bytes> {
    let frame = |(index, size): (usize, &usize)| {
        let numbers = [unit, index as u32, sizes.len() as u32, *size as u32].map(u32::to_be_bytes).concat();
        Bytes::from([numbers, vec![unit as u8; *size]].concat())
    };
    sizes.iter().enumerate().map(frame).collect()
}

fn bytes_of(batch: &Batch) -> Vec<u8> {
    match batch {
        Batch::Joined(bytes) => bytes.to_vec(),
        Batch::Scattered(frames) => frames.concat(),
    }
}

/// Each unit in a stream, with whether all its frames are there. Panics if a frame is not whole.
fn units_of(mut stream: &[u8]) -> Vec<(u32, bool)> {
    let mut units: Vec<(u32, u32, u32)> = Vec::new();
    while !stream.is_empty() {
        let number = |index: usize| u32::from_be_bytes(stream[index * 4..index * 4 + 4].try_into().unwrap());
        let (unit, index, count, size) = (number(0), number(1), number(2), number(3) as usize);
        assert!(stream[HEADER..HEADER + size].iter().all(|byte| *byte == unit as u8));
        match units.last_mut() {
            Some(last) if last.0 == unit => last.1 += 1,
            _ => units.push((unit, 1, count)),
        }
        assert_eq!(units.last().unwrap().1, index + 1, "of unit {unit}");
        stream = &stream[HEADER + size..];
    }
    units.into_iter().map(|(unit, seen, count)| (unit, seen == count)).collect()
}

#[derive(Clone, Debug)]
struct Unit {
    frames: VecDeque<Bytes>,
    key: Option<Arc<str>>,
    may_drop: bool,
    has_begun: bool,
    is_torn: bool,
}

impl Unit {
    fn cost(&self) -> usize {
        self.frames.iter().map(|frame| frame.len() + FRAME).sum()
    }
}

/// The queue as its documentation has it.
#[derive(Debug, Default)]
struct Model {
    units: Vec<Unit>,
    limit: usize,
    lent: usize,
    is_sealed: bool,
    dropped: u64,
    coalesced: u64,
}

impl Model {
    fn size(&self) -> usize {
        self.units.iter().flat_map(|unit| &unit.frames).map(Bytes::len).sum()
    }

    fn bytes(&self) -> Vec<u8> {
        self.units.iter().flat_map(|unit| &unit.frames).map(|frame| &frame[..]).collect::<Vec<_>>().concat()
    }

    /// Whether a unit may have begun to leave.
    fn is_leaving(&self, index: usize) -> bool {
        let before: usize = self.units[..index].iter().flat_map(|unit| &unit.frames).map(Bytes::len).sum();
        self.units[index].has_begun || before < self.lent
    }

    fn oldest(&self) -> Option<usize> {
        (0..self.units.len()).find(|index| !self.is_leaving(*index) && self.units[*index].may_drop)
    }

    fn drop_offered(&mut self) -> Pushed {
        self.dropped += 1;
        Pushed::Dropped
    }

    fn push(&mut self, unit: Unit, overflow: Overflow) -> Pushed {
        if self.is_sealed {
            return Pushed::Sealed;
        }
        let newest = self.units.iter().position(|other| other.key.is_some() && other.key == unit.key);
        let older = newest.filter(|index| !self.is_leaving(*index));
        let cost = |units: &[Unit]| units.iter().map(Unit::cost).sum::<usize>();
        let left = cost(&self.units) - older.map_or(0, |index| self.units[index].cost());
        let limit = if overflow == Overflow::Close { self.limit } else { self.limit - self.limit / 16 };
        let (is_full, never_fits) = (left + unit.cost() > limit, unit.cost() > limit);
        match overflow {
            Overflow::Refuse if is_full && !never_fits => return Pushed::Refused,
            Overflow::Refuse | Overflow::DropNewest if is_full => return self.drop_offered(),
            Overflow::DropOldest if never_fits => return self.drop_offered(),
            _ => {}
        }
        if let Some(index) = older {
            self.units.remove(index);
            self.coalesced += 1;
        }
        while cost(&self.units) + unit.cost() > limit {
            match self.oldest() {
                Some(index) => self.units.remove(index),
                None if overflow == Overflow::Close => return Pushed::Overflowed,
                None => return self.drop_offered(),
            };
            self.dropped += 1;
        }
        for older in self.units.iter_mut().filter(|other| other.key == unit.key) {
            older.key = None; // it was on its way
        }
        self.units.push(unit);
        Pushed::Queued
    }

    fn advance(&mut self, mut sent: usize) {
        self.lent = 0;
        for unit in &mut self.units {
            while let Some(frame) = unit.frames.front_mut().filter(|_| sent > 0) {
                unit.has_begun = true;
                unit.is_torn = sent < frame.len();
                let taken = sent.min(frame.len());
                drop(frame.split_to(taken));
                sent -= taken;
                if frame.is_empty() {
                    unit.frames.pop_front();
                }
            }
        }
        self.units.retain(|unit| !unit.frames.is_empty());
    }

    fn cut_short(&mut self, close_frame: Bytes) {
        if self.is_sealed {
            return;
        }
        let mut kept = self.lent;
        for unit in &mut self.units {
            let mut torn = unit.is_torn;
            unit.frames.retain(|frame| {
                let keeps = kept > 0 || std::mem::take(&mut torn);
                kept = kept.saturating_sub(frame.len());
                keeps
            });
        }
        self.units.retain(|unit| !unit.frames.is_empty());
        self.seal(close_frame);
    }

    fn seal(&mut self, close_frame: Bytes) {
        if !self.is_sealed {
            self.units.push(unit(vec![close_frame], None, false));
            self.is_sealed = true;
        }
    }
}

fn unit(frames: Vec<Bytes>, key: Option<Arc<str>>, may_drop: bool) -> Unit {
    Unit { frames: frames.into(), key, may_drop, has_begun: false, is_torn: false }
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Vec<usize>),
    OfferWith(Vec<usize>, Option<Overflow>, Option<u8>),
    Lend,
    /// So many of 255 parts of what was lent.
    Advance(u8),
    Seal,
    CutShort,
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![40 => 0..100_usize, 8 => 1_000..6_000_usize, 1 => 60_000..90_000_usize];
    let overflow = prop_oneof![
        Just(Overflow::Close),
        Just(Overflow::DropOldest),
        Just(Overflow::DropNewest),
        Just(Overflow::Refuse)
    ];
    prop_oneof![
        300 => vec(size(), 1..4).prop_map(Step::Offer),
        900 => (vec(size(), 1..4), prop::option::of(overflow), prop::option::of(0..6_u8))
            .prop_map(|(sizes, overflow, key)| Step::OfferWith(sizes, overflow, key)),
        300 => Just(Step::Lend),
        300 => prop_oneof![Just(0), Just(255), any::<u8>()].prop_map(Step::Advance),
        3 => Just(Step::Seal),
        3 => Just(Step::CutShort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_same_messages_wait_as_in_a_naive_queue(
        steps in vec(step(), 1..200),
        limit in prop_oneof![500..5_000_usize, 5_000..300_000_usize],
        default in prop_oneof![Just(Overflow::Close), Just(Overflow::DropOldest)],
    ) {
        let mut outbox = Outbox::new(limit, default);
        let mut model = Model { limit, ..Model::default() };
        let mut received = Vec::new();
        let mut was_cut = false;
        let close_frame = frames(u32::MAX, &[2]).remove(0);
        for (number, step) in steps.into_iter().enumerate() {
            let number = number as u32;
            match step {
                Step::Offer(sizes) => {
                    let offered = frames(number, &sizes);
                    let expected = model.push(unit(offered.clone(), None, false), Overflow::Close);
                    prop_assert_eq!(outbox.push(offered, None), expected);
                }
                Step::OfferWith(sizes, overflow, key) => {
                    let offered = frames(number, &sizes);
                    let key: Option<Arc<str>> = key.map(|key| format!("key {key}").into());
                    let delivery = Delivery { overflow, key: key.clone() };
                    let overflow = overflow.unwrap_or(default);
                    let may_drop = matches!(overflow, Overflow::DropOldest | Overflow::DropNewest);
                    let expected = model.push(unit(offered.clone(), key, may_drop), overflow);
                    prop_assert_eq!(outbox.push(offered, Some(&delivery)), expected);
                }
                Step::Lend if model.lent == 0 => {
                    let lent = outbox.lend().map_or(Vec::new(), |batch| bytes_of(&batch));
                    prop_assert_eq!(lent.is_empty(), model.units.is_empty());
                    prop_assert!(model.bytes().starts_with(&lent));
                    model.lent = lent.len();
                }
                Step::Advance(parts) if model.lent > 0 => {
                    let sent = model.lent * usize::from(parts) / 255;
                    received.extend_from_slice(&model.bytes()[..sent]);
                    outbox.advance(sent);
                    model.advance(sent);
                }
                Step::Lend | Step::Advance(_) => {}
                Step::Seal => {
                    prop_assert_eq!(outbox.seal(Some(close_frame.clone())), !model.is_sealed);
                    model.seal(close_frame.clone());
                }
                Step::CutShort => {
                    was_cut |= !model.is_sealed;
                    prop_assert_eq!(outbox.cut_short(close_frame.clone()), !model.is_sealed);
                    model.cut_short(close_frame.clone());
                }
            }
            prop_assert_eq!(outbox.bytes(), model.size());
            prop_assert_eq!(outbox.is_empty(), model.units.is_empty());
            prop_assert_eq!((outbox.dropped(), outbox.coalesced()), (model.dropped, model.coalesced));
        }
        outbox.advance(0);
        let rest = model.bytes();
        let mut drained = Vec::new();
        while let Some(batch) = outbox.lend() {
            let lent = bytes_of(&batch);
            outbox.advance(lent.len());
            drained.extend(lent);
        }
        prop_assert_eq!(&drained, &rest);
        prop_assert!(outbox.is_empty());
        received.extend(drained);
        let units = units_of(&received);
        prop_assert!(units.windows(2).all(|pair| pair[0].0 < pair[1].0), "the order of emission");
        let torn = units.iter().filter(|(_, is_whole)| !is_whole).count();
        prop_assert!(torn <= usize::from(was_cut), "more than the one that had begun to leave");
    }
}

fn keyed(key: &str) -> Delivery {
    Delivery { overflow: None, key: Some(key.into()) }
}

#[test]
fn who_takes_nothing_has_stalled_however_often_it_is_replaced() {
    let mut outbox = Outbox::new(1_000, Overflow::DropOldest);
    outbox.push(frames(0, &[10]), Some(&keyed("a")));
    assert_eq!(outbox.stalled_since(), None);
    outbox.stall();
    let since = outbox.stalled_since();
    assert!(since.is_some());
    outbox.push(frames(1, &[10]), Some(&keyed("a")));
    outbox.push(frames(2, &[800]), Some(&Delivery::default()));
    assert_eq!((outbox.coalesced(), outbox.dropped(), outbox.bytes()), (1, 1, 816));
    outbox.stall();
    assert_eq!(outbox.stalled_since(), since);
    outbox.advance(outbox.bytes());
    assert_eq!(outbox.stalled_since(), None);
}

#[test]
fn what_has_begun_to_leave_is_neither_dropped_nor_replaced() {
    let mut outbox = Outbox::new(1_000, Overflow::DropOldest);
    outbox.push(frames(0, &[500]), Some(&keyed("a")));
    outbox.lend().unwrap();
    assert_eq!(outbox.push(frames(1, &[500]), Some(&keyed("a"))), Pushed::Dropped);
    outbox.advance(0);
    assert_eq!(outbox.push(frames(2, &[500]), Some(&keyed("a"))), Pushed::Queued);
    outbox.lend().unwrap();
    outbox.advance(1);
    assert_eq!(outbox.push(frames(3, &[500]), Some(&keyed("a"))), Pushed::Dropped);
    assert_eq!((outbox.coalesced(), outbox.dropped(), outbox.bytes()), (1, 2, 515));
}

#[test]
fn a_message_without_room_for_it_takes_nobodys() {
    let mut outbox = Outbox::new(1_000, Overflow::DropOldest);
    outbox.push(frames(0, &[10]), Some(&keyed("a")));
    assert_eq!(outbox.push(frames(1, &[1_000]), Some(&keyed("a"))), Pushed::Dropped);
    for overflow in [Overflow::Refuse, Overflow::DropNewest] {
        outbox.push(frames(2, &[1_000]), Some(&Delivery { overflow: Some(overflow), ..keyed("a") }));
    }
    assert_eq!((outbox.coalesced(), outbox.dropped(), outbox.bytes()), (0, 3, 26));
}

#[test]
fn there_is_room_for_a_ping_where_everything_else_is_refused_or_dropped() {
    for overflow in [Overflow::Refuse, Overflow::DropNewest, Overflow::DropOldest] {
        let mut outbox = Outbox::new(10_000, overflow);
        outbox.push(frames(0, &[5_000]), None);
        for number in 1..1_000 {
            outbox.push(frames(number, &[20]), Some(&Delivery::default()));
        }
        assert!(outbox.bytes() > 6_000);
        assert_eq!(outbox.push(frames(1_000, &[10]), None), Pushed::Queued, "{overflow:?}");
    }
}

#[test]
fn what_may_be_dropped_makes_way_for_what_may_not() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let mut outbox = Outbox::new(1_000, overflow);
        outbox.push(frames(0, &[500]), Some(&Delivery::default()));
        assert_eq!(outbox.push(frames(1, &[500]), None), Pushed::Queued);
        assert_eq!(outbox.push(frames(2, &[500]), None), Pushed::Overflowed);
        assert_eq!((outbox.dropped(), outbox.bytes()), (1, 516));
    }
}

#[test]
fn room_is_in_bytes_however_small_the_messages() {
    let mut outbox = Outbox::new(64 * 1024, Overflow::Close);
    for _ in 0..100 {
        assert_eq!(outbox.push([Bytes::from_static(b"four")], None), Pushed::Queued);
    }
    assert!(!outbox.has_room(200));
    assert!(outbox.lend().is_some());
    outbox.advance(196);
    assert!(!outbox.makes_room());
    assert!(outbox.lend().is_some());
    outbox.advance(4);
    assert!(outbox.makes_room());
}
