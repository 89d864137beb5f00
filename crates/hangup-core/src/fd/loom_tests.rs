//! Every interleaving of two or three threads, one question each. Run with
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p hangup-core --lib --release`.
//!
//! The descriptor is a counter that is only ever touched with relaxed loads and stores: an access
//! that the state word does not order shows up as a lost count.
#![allow(clippy::unwrap_used)] // a failed join is the failed test

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::mutex::{CloseClaim, Departure, FdMutex, Lane, Refusal};
use super::wait::{Parking, Patience};

/// A stand-in for a guarded descriptor.
#[derive(Default)]
struct Descriptor {
    mutex: FdMutex,
    parking: Parking,
    uses: AtomicU64,
    destroyed: AtomicU64,
    /// `uses` as the destroyer saw it.
    uses_at_end: AtomicU64,
}

impl Descriptor {
    /// Counted without an atomic addition.
    fn add_one(counter: &AtomicU64) {
        counter.store(counter.load(Relaxed) + 1, Relaxed);
    }

    fn depart(&self, departure: Departure) {
        match departure {
            Departure::Last => {
                Self::add_one(&self.destroyed);
                self.uses_at_end.store(self.uses.load(Relaxed), Relaxed);
            }
            Departure::Open { awaited: true } => self.parking.wake(),
            Departure::Open { awaited: false } => {}
        }
    }

    fn use_lane(&self, lane: Lane) -> Result<(), Refusal> {
        self.mutex.enter_lane(lane)?;
        Self::add_one(&self.uses);
        self.depart(self.mutex.leave_lane(lane));
        Ok(())
    }

    fn wait_and_use(&self, lane: Lane) -> Result<(), Refusal> {
        self.parking.enter_lane(&self.mutex, lane, Patience::Forever)?;
        Self::add_one(&self.uses);
        self.depart(self.mutex.leave_lane(lane));
        Ok(())
    }

    fn close(&self) -> bool {
        let CloseClaim::First { awaited, .. } = self.mutex.claim_close() else { return false };
        if awaited {
            self.parking.wake();
        }
        self.depart(self.mutex.leave());
        true
    }
}

fn explore(model: impl Fn(Arc<Descriptor>) + Sync + Send + 'static) {
    let mut explorer = loom::model::Builder::new();
    // Without a bound the three-thread models take hours. Three forced switches, beside those at which
    // a thread waits or ends, find every fault put into the state word on purpose.
    explorer.preemption_bound = Some(3);
    explorer.check(move || model(Arc::new(Descriptor::default())));
}

fn spawn<T: 'static>(
    fd: &Arc<Descriptor>,
    work: impl FnOnce(Arc<Descriptor>) -> T + 'static,
) -> JoinHandle<T> {
    let fd = Arc::clone(fd);
    thread::spawn(move || work(fd))
}

#[test]
fn exactly_one_closer_destroys() {
    explore(|fd| {
        let others = [spawn(&fd, |fd| fd.close()), spawn(&fd, |fd| fd.close())];
        let mine = fd.close();
        let theirs = others.map(|closer| closer.join().unwrap());
        assert_eq!([mine, theirs[0], theirs[1]].iter().filter(|first| **first).count(), 1);
        assert_eq!(fd.destroyed.load(Relaxed), 1);
    });
}

#[test]
fn the_destroyer_has_seen_every_use() {
    explore(|fd| {
        let users = [Lane::Read, Lane::Write].map(|lane| spawn(&fd, move |fd| fd.use_lane(lane).is_ok()));
        fd.close();
        let admitted = users.map(|user| user.join().unwrap()).iter().any(|admitted| *admitted);
        assert_eq!(fd.destroyed.load(Relaxed), 1);
        // Reader and writer may be inside together and lose a count to each other, but not both of theirs.
        assert_eq!(fd.uses_at_end.load(Relaxed) > 0, admitted);
    });
}

#[test]
fn nobody_is_admitted_after_the_claim() {
    explore(|fd| {
        let closer = spawn(&fd, |fd| fd.close());
        let used = fd.use_lane(Lane::Write);
        closer.join().unwrap();
        assert_eq!(fd.uses_at_end.load(Relaxed), u64::from(used.is_ok()));
        assert_eq!(fd.use_lane(Lane::Write), Err(Refusal::Closing));
        assert_eq!(fd.mutex.enter(), Err(Refusal::Closing));
        assert_eq!(fd.mutex.claim_close_if_idle(0), Err(Refusal::Closing));
    });
}

#[test]
fn the_last_user_destroys_when_the_close_was_claimed_meanwhile() {
    explore(|fd| {
        fd.mutex.enter().unwrap();
        let closer = spawn(&fd, |fd| fd.close());
        Descriptor::add_one(&fd.uses);
        fd.depart(fd.mutex.leave());
        assert!(closer.join().unwrap());
        assert_eq!(fd.destroyed.load(Relaxed), 1);
        assert_eq!(fd.uses_at_end.load(Relaxed), 1);
    });
}

fn excludes_itself(lane: Lane) {
    explore(move |fd| {
        let other = spawn(&fd, move |fd| fd.use_lane(lane));
        let mine = fd.use_lane(lane);
        let outcomes = [mine, other.join().unwrap()];
        let admitted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(
            admitted > 0 && outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Refusal::Busy)))
        );
        assert_eq!(fd.uses.load(Relaxed), admitted as u64);
        assert_eq!(fd.mutex.users(), 0);
    });
}

#[test]
fn a_writer_excludes_a_writer() {
    excludes_itself(Lane::Write);
}

#[test]
fn a_reader_excludes_a_reader() {
    excludes_itself(Lane::Read);
}

#[test]
fn a_reader_and_a_writer_coexist() {
    explore(|fd| {
        fd.mutex.enter_lane(Lane::Read).unwrap();
        let writer = spawn(&fd, |fd| fd.use_lane(Lane::Write));
        assert_eq!(fd.mutex.enter_lane(Lane::Read), Err(Refusal::Busy));
        fd.depart(fd.mutex.leave_lane(Lane::Read));
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_parked_waiter_is_woken_by_leave() {
    explore(|fd| {
        fd.mutex.enter_lane(Lane::Write).unwrap();
        let waiter = spawn(&fd, |fd| fd.wait_and_use(Lane::Write));
        Descriptor::add_one(&fd.uses);
        fd.depart(fd.mutex.leave_lane(Lane::Write));
        assert_eq!(waiter.join().unwrap(), Ok(())); // loom reports a lost wake-up as a deadlock
        assert_eq!(fd.uses.load(Relaxed), 2);
    });
}

#[test]
fn a_parked_waiter_is_woken_by_close() {
    explore(|fd| {
        fd.mutex.enter_lane(Lane::Write).unwrap();
        let waiter = spawn(&fd, |fd| fd.wait_and_use(Lane::Write));
        assert!(fd.close());
        // The lane is still taken: nothing but the close can have ended the wait.
        assert_eq!(waiter.join().unwrap(), Err(Refusal::Closing));
        assert_eq!(fd.destroyed.load(Relaxed), 0);
        fd.depart(fd.mutex.leave_lane(Lane::Write));
        assert_eq!(fd.destroyed.load(Relaxed), 1);
    });
}

#[test]
fn two_parked_waiters_of_different_lanes_both_get_theirs() {
    explore(|fd| {
        fd.mutex.enter_lane(Lane::Read).unwrap();
        fd.mutex.enter_lane(Lane::Write).unwrap();
        let reader = spawn(&fd, |fd| fd.wait_and_use(Lane::Read));
        let writer = spawn(&fd, |fd| fd.wait_and_use(Lane::Write));
        fd.depart(fd.mutex.leave_lane(Lane::Read)); // clears the announcement of both
        assert_eq!(reader.join().unwrap(), Ok(()));
        fd.depart(fd.mutex.leave_lane(Lane::Write));
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_parked_waiter_survives_a_leave_that_races_with_a_close() {
    explore(|fd| {
        fd.mutex.enter_lane(Lane::Write).unwrap();
        let waiter = spawn(&fd, |fd| fd.wait_and_use(Lane::Write));
        let closer = spawn(&fd, |fd| fd.close());
        fd.depart(fd.mutex.leave_lane(Lane::Write));
        let outcome = waiter.join().unwrap();
        assert!(closer.join().unwrap() && matches!(outcome, Ok(()) | Err(Refusal::Closing)));
        assert_eq!(fd.destroyed.load(Relaxed), 1);
        assert_eq!(fd.uses_at_end.load(Relaxed), u64::from(outcome.is_ok()));
    });
}

#[test]
fn detach_and_a_user_never_both_have_the_descriptor() {
    explore(|fd| {
        let user = spawn(&fd, |fd| fd.use_lane(Lane::Write));
        let detached = fd.mutex.claim_close_if_idle(0);
        let uses_when_detached = fd.uses.load(Relaxed);
        let used = user.join().unwrap();
        match detached {
            Ok(()) => assert_eq!(u64::from(used.is_ok()), uses_when_detached), // before, or refused
            Err(refusal) => assert_eq!((refusal, used), (Refusal::Busy, Ok(()))),
        }
    });
}

#[test]
fn detach_and_close_never_both_win() {
    explore(|fd| {
        let closer = spawn(&fd, |fd| fd.close());
        let detached = fd.mutex.claim_close_if_idle(0);
        assert_ne!(detached.is_ok(), closer.join().unwrap());
        assert!(matches!(detached, Ok(()) | Err(Refusal::Closing)));
    });
}
