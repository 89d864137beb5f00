//! The state word against a reference model, and the questions that Go's `internal/poll` asks of its own.
#![allow(clippy::unwrap_used)] // a refusal where the model admits is the failed test

mod common;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

use common::{unix_pair, Watched};
use hangup_core::cause::{Cause, Op};
use hangup_core::fd::{CloseClaim, Departure, FdMutex, GuardedFd, Kind, Lane, Parking, Patience, Refusal};
use proptest::prelude::*;

/// What the state word means, without bits.
#[derive(Default)]
struct Model {
    closed: bool,
    reading: bool,
    writing: bool,
    users: u64,
}

impl Model {
    fn held(&mut self, lane: Lane) -> &mut bool {
        match lane {
            Lane::Read => &mut self.reading,
            Lane::Write => &mut self.writing,
        }
    }

    fn admit(&mut self, lane: Option<Lane>) -> Result<(), Refusal> {
        match lane {
            _ if self.closed => return Err(Refusal::Closing),
            Some(lane) if *self.held(lane) => return Err(Refusal::Busy),
            Some(lane) => *self.held(lane) = true,
            None => {}
        }
        self.users += 1;
        Ok(())
    }

    fn depart(&mut self, lane: Option<Lane>) -> Departure {
        if let Some(lane) = lane {
            *self.held(lane) = false;
        }
        self.users -= 1;
        if self.closed && self.users == 0 {
            Departure::Last
        } else {
            Departure::Open { awaited: false }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter,
    EnterLane(Lane),
    Leave,
    LeaveLane(Lane),
    Close,
    CloseIfIdle(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop_oneof![Just(Lane::Read), Just(Lane::Write)];
    prop_oneof![
        4 => Just(Step::Enter),
        4 => lane.clone().prop_map(Step::EnterLane),
        4 => Just(Step::Leave),
        4 => lane.prop_map(Step::LeaveLane),
        1 => Just(Step::Close),
        1 => (0..3u64).prop_map(Step::CloseIfIdle),
    ]
}

/// Does `step` to both. True if it was the departure that destroys.
fn take(step: &Step, mutex: &FdMutex, model: &mut Model) -> bool {
    let mut departed = Departure::Open { awaited: false };
    match *step {
        Step::Enter => assert_eq!(mutex.enter(), model.admit(None)),
        Step::EnterLane(lane) => assert_eq!(mutex.enter_lane(lane), model.admit(Some(lane))),
        Step::Leave if model.users > u64::from(model.reading) + u64::from(model.writing) => {
            departed = mutex.leave();
            assert_eq!(departed, model.depart(None));
        }
        Step::LeaveLane(lane) if *model.held(lane) => {
            departed = mutex.leave_lane(lane);
            assert_eq!(departed, model.depart(Some(lane)));
        }
        Step::Leave | Step::LeaveLane(_) => {} // misuse: see `a_departure_without_admission_panics`
        Step::Close if model.closed => assert_eq!(mutex.claim_close(), CloseClaim::Already),
        Step::Close => {
            assert_eq!(mutex.claim_close(), CloseClaim::First { others: model.users, awaited: false });
            (model.closed, model.users) = (true, model.users + 1);
        }
        Step::CloseIfIdle(leases) => {
            let idle = !model.reading && !model.writing && model.users <= leases;
            let expected = match (model.closed, idle) {
                (true, _) => Err(Refusal::Closing),
                (false, false) => Err(Refusal::Busy),
                (false, true) => Ok(()),
            };
            assert_eq!(mutex.claim_close_if_idle(leases), expected);
            if expected.is_ok() {
                (model.closed, model.users) = (true, model.users + 1);
            }
        }
    }
    assert_eq!((mutex.users(), mutex.is_closing()), (model.users, model.closed));
    departed == Departure::Last
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_state_word_does_what_the_model_does(steps in proptest::collection::vec(step(), 0..80)) {
        let (mutex, mut model) = (FdMutex::new(), Model::default());
        let ends = [Step::LeaveLane(Lane::Read), Step::LeaveLane(Lane::Write)];
        let mut destroyed: usize = steps.iter().map(|step| usize::from(take(step, &mutex, &mut model))).sum();
        destroyed += ends.iter().map(|step| usize::from(take(step, &mutex, &mut model))).sum::<usize>();
        while model.users > 0 {
            destroyed += usize::from(take(&Step::Leave, &mutex, &mut model));
        }
        prop_assert_eq!(destroyed, usize::from(model.closed));
    }
}

#[test]
fn lanes_are_taken_and_given_back() {
    let mutex = FdMutex::new();
    mutex.enter().unwrap();
    for lane in [Lane::Read, Lane::Write] {
        mutex.enter_lane(lane).unwrap();
        assert_eq!(mutex.enter_lane(lane), Err(Refusal::Busy));
    }
    for lane in [Lane::Read, Lane::Write] {
        assert_eq!(mutex.leave_lane(lane), Departure::Open { awaited: false });
    }
    assert_eq!(mutex.leave(), Departure::Open { awaited: false });
    assert_eq!(mutex.users(), 0);
}

#[test]
fn after_the_close_everybody_is_refused() {
    let mutex = FdMutex::new();
    assert_eq!(mutex.claim_close(), CloseClaim::First { others: 0, awaited: false });
    assert_eq!(mutex.enter(), Err(Refusal::Closing));
    assert_eq!(mutex.enter_lane(Lane::Read), Err(Refusal::Closing));
    assert_eq!(mutex.enter_lane(Lane::Write), Err(Refusal::Closing));
    assert_eq!(mutex.claim_close_if_idle(u64::MAX), Err(Refusal::Closing));
    assert_eq!(mutex.claim_close(), CloseClaim::Already);
    assert_eq!(mutex.leave(), Departure::Last);
}

#[test]
fn a_departure_without_admission_panics() {
    type Misuse = fn(&FdMutex) -> Departure;
    let read_only: Misuse = |mutex| {
        mutex.enter_lane(Lane::Read).unwrap();
        mutex.leave_lane(Lane::Write)
    };
    let twice: Misuse = |mutex| {
        mutex.enter_lane(Lane::Read).unwrap();
        let _ = mutex.leave_lane(Lane::Read);
        mutex.leave_lane(Lane::Read)
    };
    let without_lane: Misuse = |mutex| {
        mutex.enter().unwrap();
        mutex.leave_lane(Lane::Write)
    };
    let after_the_end: Misuse = |mutex| {
        let _ = mutex.claim_close();
        let _ = mutex.leave();
        mutex.leave()
    };
    let misuses: [Misuse; 6] =
        [FdMutex::leave, |mutex| mutex.leave_lane(Lane::Read), read_only, twice, without_lane, after_the_end];
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {})); // the panics are expected: no traces of them
    let outcomes = misuses.map(|misuse| {
        let mutex = FdMutex::new();
        catch_unwind(AssertUnwindSafe(|| misuse(&mutex))).is_err()
    });
    std::panic::set_hook(hook);
    assert_eq!(outcomes, [true; 6]);
}

#[test]
fn a_full_user_counter_refuses_instead_of_overflowing() {
    let mutex = FdMutex::new();
    let admitted = std::iter::repeat_with(|| mutex.enter()).take_while(Result::is_ok).count();
    assert_eq!(admitted, 1 << 24);
    assert_eq!(mutex.enter(), Err(Refusal::Crowded));
    assert_eq!(mutex.enter_lane(Lane::Write), Err(Refusal::Crowded));
    assert_eq!(mutex.claim_close(), CloseClaim::First { others: 1 << 24, awaited: false });
    assert_eq!(mutex.enter(), Err(Refusal::Closing));
}

#[test]
fn close_unblocks_the_threads_that_are_parked_for_a_lane() {
    let (ours, _peer) = unix_pair();
    let fd = GuardedFd::adopt(ours, Kind::Socket);
    let held = fd.try_lane(Lane::Read, Op::Recv).unwrap();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let fd = Arc::clone(&fd);
            Watched::spawn(move || loop {
                match fd.lane(Lane::Read, Op::Recv, Patience::Forever) {
                    Err(error) if error.cause == Cause::Interrupted => {} // no signal handlers to run here
                    outcome => return outcome.map(drop).map_err(|error| error.cause),
                }
            })
        })
        .collect();
    waiters.iter().for_each(Watched::wait_until_blocked);
    assert!(fd.close());
    for waiter in waiters {
        assert_eq!(waiter.outcome(), Err(Cause::ClosedHere));
    }
    drop(held);
}

/// Two counters that agree whenever nobody is between their changes.
#[derive(Default)]
struct Twins([AtomicU64; 2]);

impl Twins {
    /// Changes both, and says whether they agreed. Excludes nobody by itself.
    fn step(&self) -> bool {
        let [first, second] = self.0.each_ref().map(|twin| twin.load(Relaxed));
        self.0[0].store(first + 1, Relaxed);
        self.0[1].store(second + 1, Relaxed);
        first == second
    }
}

#[test]
fn stress_eight_threads_keep_each_other_out() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let (mutex, parking) = (FdMutex::new(), Parking::default());
    let lanes = [(Lane::Read, Twins::default()), (Lane::Write, Twins::default())];
    let start = Barrier::new(THREADS as usize);
    let leave = |departure| match departure {
        Departure::Open { awaited: true } => parking.wake(),
        Departure::Open { awaited: false } => {}
        Departure::Last => panic!("nobody closed"),
    };
    let work = |seed: u64| {
        start.wait();
        for round in 0..ROUNDS {
            // Every third step is a user without a lane, as in Go's test.
            let Some((lane, twins)) = lanes.get((round.wrapping_mul(seed) % 3) as usize) else {
                mutex.enter().unwrap();
                leave(mutex.leave());
                continue;
            };
            parking.enter_lane(&mutex, *lane, Patience::Forever).unwrap();
            assert!(twins.step(), "two threads were in the {lane:?} lane");
            leave(mutex.leave_lane(*lane));
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(3 * thread + 1))));
    });
    let steps = (0..ROUNDS).filter(|round| round % 3 < 2).count() as u64; // a seed of 1 modulo 3 keeps it
    let counted: u64 = lanes.iter().map(|(_, twins)| twins.0[0].load(Relaxed)).sum();
    assert_eq!(counted, THREADS * steps);
    assert_eq!(mutex.claim_close(), CloseClaim::First { others: 0, awaited: false });
    assert_eq!(mutex.leave(), Departure::Last);
}
