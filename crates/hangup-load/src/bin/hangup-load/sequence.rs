//! Whether numbers arrive once each and in order, and when a number has arrived everywhere.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// What one client has received.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    next: u64,
    skipped: BTreeSet<u64>,
}

/// What a number is to a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arrival {
    InOrder,
    /// It was there before a number below it.
    Early,
    /// A number above it was there before.
    Late,
    Again,
}

impl Sequence {
    pub(crate) fn note(&mut self, number: u64) -> Arrival {
        if number < self.next {
            return if self.skipped.remove(&number) { Arrival::Late } else { Arrival::Again };
        }
        let arrival = if number == self.next { Arrival::InOrder } else { Arrival::Early };
        self.skipped.extend(self.next..number);
        self.next = number + 1;
        arrival
    }

    /// Those below `end` that have not arrived.
    pub(crate) fn missing(&self, end: u64) -> impl Iterator<Item = u64> + '_ {
        self.skipped.iter().copied().chain(self.next..end)
    }
}

/// Broadcasts that have been asked for and have not arrived everywhere, oldest first.
#[derive(Debug)]
pub(crate) struct Window {
    readers: usize,
    oldest: u64,
    flights: VecDeque<Flight>,
}

#[derive(Debug)]
struct Flight {
    asked: Instant,
    waiting: usize,
}

impl Window {
    pub(crate) fn new(readers: usize) -> Self {
        Self { readers, oldest: 0, flights: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    /// The number after the newest.
    pub(crate) fn end(&self) -> u64 {
        self.oldest + self.flights.len() as u64
    }

    /// One more is asked for. Returns its number.
    pub(crate) fn ask(&mut self) -> u64 {
        self.flights.push_back(Flight { asked: Instant::now(), waiting: self.readers });
        self.end() - 1
    }

    /// `number` has arrived at a client. How long it took to arrive everywhere, if that is now.
    pub(crate) fn arrived(&mut self, number: u64) -> Option<Duration> {
        let place = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        let flight = self.flights.get_mut(place)?;
        flight.waiting -= 1;
        if flight.waiting > 0 {
            return None;
        }
        let took = flight.asked.elapsed();
        while self.flights.front().is_some_and(|oldest| oldest.waiting == 0) {
            self.flights.pop_front();
            self.oldest += 1;
        }
        Some(took)
    }

    /// A client has left that had not received these.
    pub(crate) fn left(&mut self, missing: impl Iterator<Item = u64>) {
        for number in missing {
            self.arrived(number);
        }
        self.readers -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::Arrival::{Again, Early, InOrder, Late};
    use super::*;

    #[test]
    fn each_kind_of_disorder_is_told() {
        let mut sequence = Sequence::default();
        let arrivals = [0, 2, 2, 1, 1, 5].map(|number| sequence.note(number));
        assert_eq!(arrivals, [InOrder, Early, Again, Late, Again, Early]);
        assert_eq!(sequence.missing(8).collect::<Vec<_>>(), [3, 4, 6, 7]);
    }

    #[test]
    fn a_broadcast_is_over_when_the_last_client_has_it_or_has_left() {
        let mut window = Window::new(3);
        assert_eq!((window.ask(), window.ask()), (0, 1));
        let done = [0, 1, 1, 0].map(|number| window.arrived(number).is_some());
        assert_eq!(done, [false; 4]);
        assert!(window.arrived(1).is_some());
        assert_eq!((window.len(), window.end()), (2, 2)); // the oldest one is still under way
        window.left([0].into_iter());
        assert_eq!((window.len(), window.end()), (0, 2));
        window.ask();
        assert!(window.arrived(2).is_none() && window.arrived(2).is_some());
        assert!(window.arrived(7).is_none()); // nobody asked for it
    }
}
