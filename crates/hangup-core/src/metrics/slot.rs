//! A slot: the numbers of one process at a time, in memory that it shares with others.
//!
//! ```text
//! word    0      1      2      3         4 ...      8 ...      260 ...
//!         owner  valid  phase  expected  reserved   values     bases
//! ```
//!
//! # Promised
//! * A slot has at most one owner. Whoever finds its owner dead may take it over; of several, one succeeds.
//! * Values only grow, whoever the owner is, and whoever dies when: nothing is ever moved or reset. So the sum over all
//!   slots is what happened in all processes, dead or alive, to the unit.
//! * What the present owner counted is `value - base`: a new owner notes the values that it finds as bases, before it
//!   declares them valid for itself. Until then all of it is the dead's.
//!
//! # How
//! The owner's word doubles as the version of a seqlock around the bases: no process owns a slot twice, and no two
//! processes have the same [`Owner`](super::owner::Owner).

use crate::sync::{fence, AtomicU64, Ordering};

/// Where in a slot things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) values: usize,
    pub(crate) bases: usize,
    /// How many there are of each.
    pub(crate) count: usize,
}

const OWNER: usize = 0;
const VALID_FOR: usize = 1;
const PHASE: usize = 2;
const EXPECTED: usize = 3;
/// The owner of a slot without one.
pub(crate) const NOBODY: u64 = 0;
/// A slot that changes hands more often than this while it is read is read as nobody's.
const ATTEMPTS: usize = 8;

/// A slot in somebody's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    words: &'a [AtomicU64],
    layout: Layout,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// [`NOBODY`] also while a new owner is not ready.
    pub(crate) owner: u64,
    /// What the owner said of itself last, 0 if nothing.
    pub(crate) phase: u64,
    pub(crate) values: Vec<u64>,
    /// What of the values is not the owner's.
    pub(crate) bases: Vec<u64>,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(words: &'a [AtomicU64], layout: Layout) -> Self {
        Self { words, layout }
    }

    pub(crate) fn owner(&self) -> u64 {
        self.words[OWNER].load(Ordering::Acquire)
    }

    /// Takes it over from `former`, who is dead, or nobody. False if somebody else was faster.
    pub(crate) fn claim(&self, former: u64, owner: u64) -> bool {
        if self.words[OWNER].compare_exchange(former, owner, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        fence(Ordering::Release); // whoever sees a base of ours sees that the slot is ours
        for word in 0..self.layout.count {
            let value = self.value(word).load(Ordering::Relaxed);
            self.words[self.layout.bases + word].store(value, Ordering::Relaxed);
        }
        self.words[PHASE].store(0, Ordering::Relaxed);
        self.words[EXPECTED].store(0, Ordering::Relaxed);
        self.words[VALID_FOR].store(owner, Ordering::Release);
        true
    }

    /// Its owner is dead, or gives it up.
    pub(crate) fn retire(&self, owner: u64) -> bool {
        self.words[OWNER].compare_exchange(owner, NOBODY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The owner says how far it is.
    pub(crate) fn announce(&self, phase: u64) {
        self.words[PHASE].store(phase, Ordering::Release);
    }

    pub(crate) fn phase(&self) -> u64 {
        self.words[PHASE].load(Ordering::Acquire)
    }

    /// How many sessions others have sent to the owner that it has not begun. As of a signed number: whoever begins one
    /// that was sent to the slot's former owner takes it below zero.
    pub(crate) fn expected(&self) -> &'a AtomicU64 {
        &self.words[EXPECTED]
    }

    /// What the present owner counted.
    pub(crate) fn own(&self, word: usize) -> u64 {
        let base = self.words[self.layout.bases + word].load(Ordering::Relaxed);
        self.value(word).load(Ordering::Relaxed).wrapping_sub(base)
    }

    pub(crate) fn value(&self, word: usize) -> &'a AtomicU64 {
        &self.words[self.layout.values + word]
    }

    pub(crate) fn read(&self) -> Reading {
        for _ in 0..ATTEMPTS {
            let owner = self.owner();
            let is_valid = self.words[VALID_FOR].load(Ordering::Acquire) == owner;
            // Before the values: what grows meanwhile is the owner's.
            let bases = self.copied(self.layout.bases);
            let values = self.copied(self.layout.values);
            let phase = self.words[PHASE].load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if self.words[OWNER].load(Ordering::Relaxed) == owner && owner != NOBODY && is_valid {
                return Reading { owner, phase, values, bases };
            }
            if owner == NOBODY || !is_valid {
                break;
            }
        }
        let values = self.copied(self.layout.values);
        Reading { owner: NOBODY, phase: 0, bases: values.clone(), values }
    }

    fn copied(&self, from: usize) -> Vec<u64> {
        self.words[from..from + self.layout.count].iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    const LAYOUT: Layout = Layout { values: 4, bases: 5, count: 1 };
    const DEAD: u64 = 7;

    /// A slot whose dead owner left five behind, of which two were its own.
    fn inherited() -> Arc<Vec<AtomicU64>> {
        Arc::new([DEAD, DEAD, 1, 0, 5, 3].map(AtomicU64::new).into())
    }

    #[test]
    fn of_two_who_take_it_over_one_succeeds() {
        loom::model(|| {
            let words = inherited();
            let other = Arc::clone(&words);
            let theirs = thread::spawn(move || Slot::new(&other, LAYOUT).claim(DEAD, 9));
            let ours = Slot::new(&words, LAYOUT).claim(DEAD, 8);
            assert!(ours != theirs.join().unwrap_or_default());
            let reading = Slot::new(&words, LAYOUT).read();
            let owner = if ours { 8 } else { 9 };
            assert_eq!(reading, Reading { owner, phase: 0, values: vec![5], bases: vec![5] });
        });
    }

    #[test]
    fn a_reader_never_takes_the_dead_s_for_the_new_owner_s() {
        loom::model(|| {
            let words = inherited();
            let other = Arc::clone(&words);
            let claiming = thread::spawn(move || {
                let slot = Slot::new(&other, LAYOUT);
                assert!(slot.claim(DEAD, 8));
                slot.value(0).fetch_add(1, Ordering::Relaxed);
            });
            let reading = Slot::new(&words, LAYOUT).read();
            match reading.owner {
                DEAD => assert_eq!((reading.values[0], reading.bases[0]), (5, 3)),
                8 => assert!(
                    reading.phase == 0 && reading.bases[0] == 5 && (5..=6).contains(&reading.values[0])
                ),
                NOBODY => assert_eq!(reading.values, reading.bases),
                other => panic!("{other}"),
            }
            assert!(claiming.join().is_ok());
        });
    }

    #[test]
    fn what_is_counted_while_it_is_retired_is_not_lost() {
        loom::model(|| {
            let words = inherited();
            let other = Arc::clone(&words);
            let counting = thread::spawn(move || {
                Slot::new(&other, LAYOUT).value(0).fetch_add(1, Ordering::Relaxed);
            });
            let slot = Slot::new(&words, LAYOUT);
            assert!(slot.retire(DEAD) && !slot.retire(DEAD));
            assert!(slot.claim(NOBODY, 8));
            assert!(counting.join().is_ok());
            assert_eq!(slot.read().values, [6]);
        });
    }
}
