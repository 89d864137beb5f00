//! What is open, and what happened to what is not.
//!
//! # Promised
//! * Every descriptor that hangup owns is listed from its adoption until just before its close(2).
//! * `adopted == closed + detached + stolen + still listed`, whenever no thread is in between.
//!
//! # How
//! One mutex around maps by number, held for a map operation, or to walk [`CHUNK`] of them. fork(2) takes the mutex
//! first (see [`crate::fork`]), so a child never inherits it locked.
//!
//! # Not promised
//! Descriptors that hangup does not own are not listed: see [`crate::census`].

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::RawFd;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use tracing::debug;

use crate::fd::GuardedFd;
use crate::metrics;
pub use crate::metrics::{count, total, totals, Counter};
use crate::roll::Obituary;

/// The process's ledger.
pub fn global() -> &'static Ledger {
    static GLOBAL: LazyLock<Ledger> = LazyLock::new(Ledger::default);
    &GLOBAL
}

/// Descriptors that are walked under one hold of the lock: some ten microseconds.
const CHUNK: usize = 256;
/// Descriptors that died are remembered until as many others did.
pub const REMEMBERED: usize = 1024;

type ByNumber = BTreeMap<RawFd, Weak<GuardedFd>>;

/// By number.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    listed: ByNumber,
    /// Detached, while a server's poller may still know them.
    given_away: ByNumber,
    /// What hangup itself needs: what for, and since when.
    equipment: BTreeMap<RawFd, (&'static str, u64)>,
    died: VecDeque<Obituary>,
}

/// The descriptors owned by hangup in this process.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Entries>,
}

impl Ledger {
    /// Lists a descriptor.
    pub(crate) fn enter(&self, fd: &Arc<GuardedFd>) {
        metrics::settle();
        self.locked().listed.insert(fd.number_for_display(), Arc::downgrade(fd));
        count(Counter::Adopted);
        debug!(target: "hangup::fd", fd = fd.number_for_display(), kind = fd.kind().name(), "adopted");
    }

    /// Strikes a descriptor off, and counts why. Its number may be another descriptor's by now.
    pub(crate) fn leave(&self, fd: &GuardedFd, why: Counter) {
        let number = fd.number_for_display();
        let obituary = Obituary::of(fd, why);
        let mut entries = self.locked();
        remove(&mut entries.listed, number, fd);
        if entries.died.len() == REMEMBERED {
            entries.died.pop_front();
        }
        entries.died.push_back(obituary);
        drop(entries);
        count(why);
        debug!(target: "hangup::fd", fd = number, kind = fd.kind().name(), "{}", why.name());
    }

    /// Lists a descriptor that was detached, until its leases end.
    pub(crate) fn give_away(&self, fd: &Arc<GuardedFd>) {
        self.locked().given_away.insert(fd.number_for_display(), Arc::downgrade(fd));
    }

    /// The leases of a detached descriptor have ended.
    pub(crate) fn forget_given_away(&self, fd: &GuardedFd) {
        remove(&mut self.locked().given_away, fd.number_for_display(), fd);
    }

    /// How many descriptors are listed.
    pub fn open(&self) -> usize {
        self.locked().listed.len()
    }

    /// How many descriptors are hangup's, those that it needs itself included.
    pub fn owned(&self) -> usize {
        let arriving = crate::acceptor::arriving().len();
        let entries = self.locked();
        entries.listed.len() + entries.equipment.len() + arriving + usize::from(metrics::file().is_some())
    }

    /// Whether `number` is a descriptor of ours at this moment.
    pub fn owns(&self, number: RawFd) -> bool {
        self.locked().listed.contains_key(&number)
    }

    /// The descriptor that is, or was, ours under `number`, and which somebody still knows by it.
    pub(crate) fn find(&self, number: RawFd) -> Option<Arc<GuardedFd>> {
        let entries = self.locked();
        let found = entries.listed.get(&number).or_else(|| entries.given_away.get(&number));
        found.and_then(Weak::upgrade)
    }

    /// The listed descriptors, in the order of their numbers.
    pub fn listed(&self) -> Vec<Arc<GuardedFd>> {
        self.walk(|entries| &entries.listed)
    }

    /// Those that were detached, and whose number a server's poller may still know.
    pub fn handed_off(&self) -> Vec<Arc<GuardedFd>> {
        self.walk(|entries| &entries.given_away)
    }

    /// Chunk by chunk, so that nobody waits for all of it.
    fn walk(&self, map: impl Fn(&Entries) -> &ByNumber) -> Vec<Arc<GuardedFd>> {
        // Upgraded outside of any drop under the lock: the last Arc would come back for the lock.
        let mut all = Vec::with_capacity(map(&self.locked()).len());
        let mut next = Some(0);
        while let Some(first) = next.take() {
            let entries = self.locked();
            for (number, fd) in map(&entries).range(first..).take(CHUNK) {
                all.extend(fd.upgrade());
                next = Some(number + 1);
            }
        }
        all
    }

    /// The numbers that are hangup's at this moment, in no order.
    pub fn numbers(&self) -> Vec<RawFd> {
        let arriving = crate::acceptor::arriving();
        let entries = self.locked();
        let known = entries.listed.keys().chain(entries.equipment.keys()).copied();
        let shared = metrics::file().map(|(number, _)| number);
        known.chain(arriving.iter().map(|(number, ..)| *number)).chain(shared).collect()
    }

    /// Lists `number` as something that hangup itself needs, until what is returned is dropped.
    pub(crate) fn equip(&self, number: RawFd, kind: &'static str) -> Equipment {
        self.locked().equipment.insert(number, (kind, crate::fd::sys::coarse_now()));
        Equipment(number)
    }

    /// What hangup itself needs: its numbers, what for, and since when.
    pub fn equipment(&self) -> Vec<(RawFd, &'static str, u64)> {
        let entries = self.locked();
        let listed = entries.equipment.iter().map(|(number, (kind, since))| (*number, *kind, *since));
        listed.chain(metrics::file().map(|(number, since)| (number, "memfd", since))).collect()
    }

    /// Those that died last, the latest at the end; at most [`REMEMBERED`].
    pub fn died(&self) -> Vec<Obituary> {
        self.locked().died.iter().cloned().collect()
    }

    /// The lock, for fork(2).
    pub(crate) fn locked(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(entries: &mut ByNumber, number: RawFd, fd: &GuardedFd) {
    if entries.get(&number).is_some_and(|listed| std::ptr::eq(listed.as_ptr(), fd)) {
        entries.remove(&number);
    }
}

/// A line of [`Ledger::equipment`]. It is dropped before its descriptor is closed.
#[derive(Debug)]
pub(crate) struct Equipment(RawFd);

impl Drop for Equipment {
    fn drop(&mut self) {
        global().locked().equipment.remove(&self.0);
    }
}

/// In a forked child: what died was the parent's.
pub(crate) fn forget_the_dead() {
    global().locked().died.clear();
}
