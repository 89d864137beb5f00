//! Buckets in words of memory.
//!
//! ```text
//! bit     63 ... 44      43 ... 0
//!         client's name  until when its rate is used up, in ticks
//! ```
//!
//! A client's hash chooses a set of eight words, and its name there. A client that has none of them takes the one whose
//! debt ends first: a debt that is over is nothing to keep. If none is over, the client inherits it: so
//! whoever comes back to a word that others took meanwhile finds at least the debt that it left (space saving, Metwally
//! et al. 2005).
//!
//! Words only grow. So the word whose debt ends first is the same for all that look, unless somebody changes it, which
//! the exchange finds: a client never has two.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// The words that a client may have one of.
const WAYS: usize = 8;
/// 2^44 ticks of 16 microseconds are nine years.
const TIME_BITS: u32 = 44;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// No tick is shorter, in nanoseconds.
const TICK: u128 = 1 << 14;

/// How fast tokens come, and how many are kept. An interval between two tokens is a whole number of ticks, so that
/// nothing is lost by rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    count: u128,
    period: u128,
    /// In ticks.
    interval: u64,
    /// In ticks.
    burst: u64,
}

/// Why a pace cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

impl Pace {
    /// `count` tokens in each `period`, at most `burst` at a time.
    pub fn new(count: u32, period: Duration, burst: u32) -> Result<Self, Unusable> {
        if count == 0 || burst == 0 || period.is_zero() {
            return Err(Unusable("a limit of nothing admits nobody"));
        }
        let (count, period) = (u128::from(count), period.as_nanos());
        let finest = period / (count * TICK);
        let coarsest = u128::from(TIME / 4) / u128::from(burst); // leaves room for the clock
        let interval = finest.min(coarsest) as u64;
        if interval == 0 {
            return Err(Unusable("at most 50000 a second, and a burst of less than 4 billion"));
        }
        Ok(Self { count, period, interval, burst: interval * u64::from(burst) })
    }

    /// The tick that so much time is in.
    pub(super) fn tick(&self, elapsed: Duration) -> u64 {
        (elapsed.as_nanos() * self.count * u128::from(self.interval) / self.period) as u64 & TIME
    }

    /// After which so many ticks have passed, whenever they began.
    pub(super) fn duration(&self, ticks: u64) -> Duration {
        let nanoseconds = (u128::from(ticks) * self.period).div_ceil(self.count * u128::from(self.interval));
        Duration::from_nanos(nanoseconds as u64)
    }

    /// Takes a token of the client with this hash. The ticks until there is one, if there is none.
    pub(super) fn admit(&self, words: &[AtomicU64], hash: u64, now: u64) -> Result<(), u64> {
        let first = (hash as usize % (words.len() / WAYS)) * WAYS;
        let (set, name) = (&words[first..first + WAYS], hash & !TIME);
        loop {
            let (place, word) = of(set, name);
            let until = now.max(word & TIME) + self.interval;
            let latest = now + self.burst;
            if until > latest {
                return Err(until - latest);
            }
            let paid = set[place].compare_exchange(word, name | until, Ordering::Relaxed, Ordering::Relaxed);
            if paid.is_ok() {
                return Ok(());
            }
        }
    }
}

/// The word of the client with this name, or the one that it takes if it has none; and its value.
fn of(set: &[AtomicU64], name: u64) -> (usize, u64) {
    let mut first_to_end = (0, u64::MAX);
    for (place, word) in set.iter().enumerate() {
        let word = word.load(Ordering::Relaxed);
        if word & !TIME == name {
            return (place, word);
        }
        if word & TIME < first_to_end.1 & TIME {
            first_to_end = (place, word);
        }
    }
    first_to_end
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(sets: usize) -> Vec<AtomicU64> {
        (0..sets * WAYS).map(|_| AtomicU64::new(0)).collect()
    }

    fn client(number: u64) -> u64 {
        (number + 1) << TIME_BITS
    }

    fn pace(count: u32, seconds: u64, burst: u32) -> Pace {
        Pace::new(count, Duration::from_secs(seconds), burst).expect("a usable pace")
    }

    proptest! {
        /// Also of clients that are many more than there are words, whose words others take meanwhile.
        #[test]
        fn nobody_begins_more_than_the_burst_and_the_rate_in_any_window(
            count in 1_u32..100, period in 1_u64..100, burst in 1_u32..6,
            steps in prop::collection::vec((0_u64..16, 0_u64..100), 1..600), pause in 1_u64..8,
        ) {
            let (pace, words) = (pace(count, period, burst), words(1));
            let mut now = 0;
            let mut admitted: Vec<Vec<u64>> = vec![Vec::new(); 16];
            for (number, percent) in steps {
                now += pace.interval * percent / 100 / pause;
                if pace.admit(&words, client(number), now).is_ok() {
                    admitted[number as usize].push(now);
                }
            }
            for times in admitted {
                for (first, began) in times.iter().enumerate() {
                    for (last, ended) in times.iter().enumerate().skip(first) {
                        let refilled = (ended - began) / pace.interval;
                        prop_assert!((last - first + 1) as u64 <= u64::from(burst) + refilled);
                    }
                }
            }
        }

        #[test]
        fn who_waits_as_long_as_it_was_told_is_admitted_and_not_a_tick_sooner(
            count in 1_u32..50_000, period in 1_u64..100_000, burst in 1_u32..1000, began in 0_u64..1 << 40,
        ) {
            let (pace, words) = (pace(count, period, burst), words(4));
            for _ in 0..burst {
                prop_assert_eq!(pace.admit(&words, client(0), began), Ok(()));
            }
            prop_assert_eq!(pace.admit(&words, client(0), began), Err(pace.interval));
            let later = began + pace.interval;
            prop_assert_eq!(pace.admit(&words, client(0), later - 1), Err(1));
            prop_assert_eq!(pace.admit(&words, client(0), later), Ok(()));
            let elapsed = pace.duration(later);
            prop_assert_eq!(pace.tick(elapsed), later);
        }
    }

    #[test]
    fn a_rate_is_kept_for_a_day_without_drift() {
        let (pace, words) = (pace(3, 1, 1), words(1));
        let admitted = (0..3 * 86_400_u64)
            .filter(|third| {
                let elapsed = Duration::from_nanos((third * 1_000_000_000).div_ceil(3));
                pace.admit(&words, client(0), pace.tick(elapsed)).is_ok()
            })
            .count();
        assert_eq!(admitted, 3 * 86_400);
    }

    #[test]
    fn a_million_clients_leave_room_for_another() {
        let (pace, words) = (pace(10, 1, 20), words(16));
        let one_each = |number: u64| pace.admit(&words, number.wrapping_mul(0x9E37_79B9_7F4A_7C15), 0);
        assert!((0..1_000_000).any(|number| one_each(number).is_err()), "they use the room up");
        assert_eq!(pace.admit(&words, client(7), pace.burst), Ok(()), "until their debts are over");
    }

    #[test]
    fn what_admits_nobody_or_cannot_be_told_apart_is_refused() {
        let second = Duration::from_secs(1);
        assert!(Pace::new(0, second, 1).is_err());
        assert!(Pace::new(1, second, 0).is_err());
        assert!(Pace::new(1, Duration::ZERO, 1).is_err());
        assert!(Pace::new(1_000_000, second, 1).is_err());
        assert!(Pace::new(50_000, second, u32::MAX).is_ok());
        assert!(Pace::new(1, Duration::from_secs(86_400 * 365), 1_000_000).is_ok());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn of_two_that_take_the_last_token_one_succeeds() {
        loom::model(|| {
            let pace = Pace::new(1, Duration::from_secs(1), 1).expect("a usable pace");
            let words: Arc<Vec<AtomicU64>> = Arc::new((0..WAYS).map(|_| AtomicU64::new(0)).collect());
            let others = Arc::clone(&words);
            let theirs = thread::spawn(move || pace.admit(&others, 1 << TIME_BITS, 5).is_ok());
            let ours = pace.admit(&words, 1 << TIME_BITS, 5).is_ok();
            assert!(ours != theirs.join().unwrap_or_default());
        });
    }

    #[test]
    fn a_client_has_one_word_while_others_take_theirs() {
        loom::model(|| {
            let pace = Pace::new(1, Duration::from_secs(1), 1).expect("a usable pace");
            let words: Arc<Vec<AtomicU64>> = Arc::new((0..WAYS).map(|_| AtomicU64::new(0)).collect());
            let ask = |client: u64| {
                let words = Arc::clone(&words);
                thread::spawn(move || pace.admit(&words, client << TIME_BITS, 5).is_ok())
            };
            let (one, other) = (ask(1), ask(2));
            let again = pace.admit(&words, 1 << TIME_BITS, 5).is_ok();
            assert!(again != one.join().unwrap_or_default());
            assert!(other.join().unwrap_or_default());
        });
    }
}
