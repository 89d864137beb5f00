//! What a reader sees of a family whose processes come, count, die, and are followed by others, in any order.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::slot::{Layout, Slot, NOBODY};
use crate::sync::AtomicU64;

const LAYOUT: Layout = Layout { values: 4, bases: 6, count: 2 };
const SIZE: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    /// A new process takes a slot, if one is free or left.
    Start,
    /// The process with this number, among those that live, counts.
    Count(usize, usize, u64),
    /// It dies; its slot is retired, or nobody came to do that.
    Die(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Start),
        (any::<usize>(), 0..LAYOUT.count, 0_u64..1000).prop_map(|(who, word, by)| Step::Count(who, word, by)),
        (any::<usize>(), any::<bool>()).prop_map(|(who, retired)| Step::Die(who, retired)),
    ]
}

proptest! {
    #[test]
    fn each_count_is_in_the_total_once_and_in_its_process_while_that_lives(
        slots in 1_usize..4,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let words: Vec<AtomicU64> = std::iter::repeat_with(|| AtomicU64::new(0)).take(slots * SIZE).collect();
        let slot = |number: usize| Slot::new(&words[number * SIZE..][..SIZE], LAYOUT);
        let mut living: Vec<(u64, usize)> = Vec::new();
        let mut counted: HashMap<u64, [u64; 2]> = HashMap::new();
        for (name, step) in (1_u64..).zip(steps) {
            match step {
                Step::Start => {
                    let is_left = |owner: u64| owner != NOBODY && !living.iter().any(|(name, _)| *name == owner);
                    let found = (0..slots).find(|number| slot(*number).claim(NOBODY, name)).or_else(|| {
                        (0..slots).find(|number| {
                            let owner = slot(*number).owner();
                            is_left(owner) && slot(*number).claim(owner, name)
                        })
                    });
                    prop_assert_eq!(found.is_some(), living.len() < slots);
                    living.extend(found.map(|number| (name, number)));
                }
                Step::Count(who, word, by) if !living.is_empty() => {
                    let (name, number) = living[who % living.len()];
                    slot(number).value(word).fetch_add(by, Ordering::Relaxed);
                    counted.entry(name).or_default()[word] += by;
                }
                Step::Die(who, is_retired) if !living.is_empty() => {
                    let (name, number) = living.swap_remove(who % living.len());
                    prop_assert!(!is_retired || slot(number).retire(name));
                }
                Step::Count(..) | Step::Die(..) => {}
            }
            let readings: Vec<_> = (0..slots).map(|number| slot(number).read()).collect();
            for word in 0..LAYOUT.count {
                let total: u64 = readings.iter().map(|reading| reading.values[word]).sum();
                prop_assert_eq!(total, counted.values().map(|values| values[word]).sum::<u64>());
                for (name, number) in &living {
                    let reading = &readings[*number];
                    prop_assert_eq!(reading.owner, *name);
                    let own = counted.get(name).map_or(0, |values| values[word]);
                    prop_assert_eq!(reading.values[word] - reading.bases[word], own);
                }
            }
        }
    }
}

#[test]
fn what_was_expected_of_the_former_owner_is_not_of_the_next() {
    let words: Vec<AtomicU64> = std::iter::repeat_with(|| AtomicU64::new(0)).take(SIZE).collect();
    let slot = Slot::new(&words, LAYOUT);
    assert!(slot.claim(NOBODY, 7));
    slot.expected().fetch_add(3, Ordering::Relaxed);
    slot.value(1).fetch_add(5, Ordering::Relaxed);
    assert_eq!((slot.own(1), slot.expected().load(Ordering::Relaxed)), (5, 3));
    assert!(slot.retire(7) && slot.claim(NOBODY, 8));
    assert_eq!((slot.own(1), slot.expected().load(Ordering::Relaxed)), (0, 0));
}
