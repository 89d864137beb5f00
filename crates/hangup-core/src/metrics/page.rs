//! The calling process's counters, at an address that the linker knows: to count needs no pointer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

#[cfg(feature = "transport")]
use super::breakdown::close_code;
use super::slot::Layout;
use super::table::{Breakdown, Counter, Distribution, Stack, WORDS};
use crate::cause::Symptom;
use crate::fd::sys::{Page, PAGE_WORDS};
use crate::fd::Kind;
#[cfg(feature = "transport")]
use crate::ws::Ending;

/// Where in the page things are: in this process, and in the files that it makes.
pub(super) const LAYOUT: Layout = Layout { values: 8, bases: (PAGE_WORDS - 8) / 2 + 8, count: WORDS };
const _: () = assert!(LAYOUT.values + WORDS <= LAYOUT.bases && LAYOUT.bases + WORDS <= PAGE_WORDS);

pub(super) static PAGE: Page = Page([const { AtomicU64::new(0) }; PAGE_WORDS]);

/// Adds one to a total.
pub fn count(counter: Counter) {
    grow(counter as usize, 1);
}

/// Adds to a total.
pub fn add(counter: Counter, amount: u64) {
    grow(counter as usize, amount);
}

/// Adds one to a counter, and to the one of its breakdown for `series`.
fn count_by(counter: Counter, breakdown: Breakdown, series: usize) {
    count(counter);
    grow(breakdown.first() + series, 1);
}

/// A peer was found gone, or the path to it broken, on a descriptor of this kind.
pub(crate) fn count_hang_up(kind: Kind, symptom: Symptom) {
    let stack = Stack::of(kind) as usize;
    match symptom {
        Symptom::Reset | Symptom::Pipe | Symptom::Aborted => {
            count_by(Counter::PeerGone, Breakdown::PeerGone, stack * 3 + symptom as usize);
        }
        Symptom::TimedOut | Symptom::Unreachable => {
            let cause = symptom as usize - Symptom::TimedOut as usize;
            count_by(Counter::PathBroken, Breakdown::PathBroken, stack * 2 + cause);
        }
    }
}

/// A WebSocket is over.
#[cfg(feature = "transport")]
pub(crate) fn count_closed(code: u16, ending: Ending) {
    count_by(Counter::WebSocketsClosed, Breakdown::WebSocketsClosed, ending as usize);
    grow(Breakdown::CloseCodes.first() + close_code(code), 1);
}

/// A descriptor that was adopted then is about to be closed, or to linger.
pub(crate) fn observe_end(kind: Kind, opened: SystemTime) {
    if kind == Kind::Lingering {
        return; // observed when that began, when it still was what it was used for
    }
    let lived = opened.elapsed().unwrap_or_default(); // none, if the clock was set back
    observe_duration(Distribution::ConnectionDuration, Stack::of(kind) as usize, lived);
}

/// How long something took.
pub(crate) fn observe_duration(distribution: Distribution, series: usize, duration: Duration) {
    observe(distribution, series, duration.as_nanos() as u64); // which last for 584 years
}

/// A value of a distribution's series with this number: nanoseconds, or bytes.
pub(crate) fn observe(distribution: Distribution, series: usize, value: u64) {
    let first = distribution.first(series);
    let buckets = distribution.buckets();
    grow(first + buckets.of(value), 1);
    grow(first + buckets.bounds as usize + 1, value);
}

fn grow(word: usize, amount: u64) {
    PAGE.0[LAYOUT.values + word].fetch_add(amount, Ordering::Relaxed);
}

/// The totals of this process, by name.
pub fn totals() -> impl Iterator<Item = (&'static str, u64)> {
    Counter::ALL.iter().map(|counter| (counter.name(), total(*counter)))
}

/// One total of this process.
pub fn total(counter: Counter) -> u64 {
    own(counter as usize)
}

/// What this process counted under one word.
pub(super) fn own(word: usize) -> u64 {
    let load = |at: usize| PAGE.0[at].load(Ordering::Relaxed);
    load(LAYOUT.values + word).saturating_sub(load(LAYOUT.bases + word))
}
