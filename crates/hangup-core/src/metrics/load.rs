//! Which processes of the family serve, and how many sessions each of them has.

use std::sync::atomic::Ordering;

use super::family::{slots, Phase};
use super::owner::Owner;
use super::slot::{Slot, NOBODY};
use super::table::Counter;

/// A process that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub pid: u32,
    /// Sessions it has, and those that were sent to it and that it has not begun.
    pub sessions: u64,
}

/// Those that serve, in the order of their slots. A process that was killed is among them until its slot is retired.
pub fn loads() -> Vec<Load> {
    slots().filter(|slot| slot.phase() == Phase::Serving as u64).filter_map(|slot| load(&slot)).collect()
}

/// The processes that hear what others of the family tell them: those that serve, and those that leave and are not gone.
pub fn listening() -> Vec<u32> {
    let phases = [Phase::Serving as u64, Phase::Leaving as u64];
    slots().filter(|slot| phases.contains(&slot.phase())).filter_map(|slot| pid_of(&slot)).collect()
}

/// A session is sent to a process (1), or begun or given up there (-1).
pub fn expect(pid: u32, change: i64) {
    for slot in slots().filter(|slot| pid_of(slot) == Some(pid)) {
        slot.expected().fetch_add(change as u64, Ordering::Relaxed);
    }
}

fn load(slot: &Slot<'_>) -> Option<Load> {
    let pid = pid_of(slot)?;
    let has =
        slot.own(Counter::SessionsOpened as usize).wrapping_sub(slot.own(Counter::SessionsClosed as usize));
    let expected = slot.expected().load(Ordering::Relaxed);
    let sessions = (has.wrapping_add(expected) as i64).max(0) as u64;
    Some(Load { pid, sessions })
}

fn pid_of(slot: &Slot<'_>) -> Option<u32> {
    let owner = slot.owner();
    (owner != NOBODY).then(|| Owner::from_word(owner).pid())
}
