//! What is open, and what happened to what is not.
//!
//! # Promised
//! * Every descriptor that hangup owns is listed from its adoption until just before its close(2).
//! * `adopted == closed + detached + stolen + still listed`, whenever no thread is in between.
//!
//! # How
//! One mutex around a map from number to descriptor, held for the map operation alone. fork(2) takes the mutex
//! first (see [`crate::fork`]), so a child never inherits it locked.
//!
//! # Not promised
//! Descriptors that hangup does not own are not listed: `/proc/self/fd` knows them.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use tracing::debug;

use crate::fd::GuardedFd;
use crate::metrics;
pub use crate::metrics::{count, total, totals, Counter};

/// The process's ledger.
pub fn global() -> &'static Ledger {
    static GLOBAL: LazyLock<Ledger> = LazyLock::new(Ledger::default);
    &GLOBAL
}

/// By number.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    listed: HashMap<RawFd, Weak<GuardedFd>>,
    /// Detached, while a server's poller may still know them.
    given_away: HashMap<RawFd, Weak<GuardedFd>>,
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
        let mut entries = self.locked();
        remove(&mut entries.listed, number, fd);
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
        // Upgraded outside of any drop under the lock: the last Arc would come back for the lock.
        let mut all: Vec<_> = self.locked().listed.values().filter_map(Weak::upgrade).collect();
        all.sort_by_key(|fd| fd.number_for_display());
        all
    }

    /// The lock, for fork(2).
    pub(crate) fn locked(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(entries: &mut HashMap<RawFd, Weak<GuardedFd>>, number: RawFd, fd: &GuardedFd) {
    if entries.get(&number).is_some_and(|listed| std::ptr::eq(listed.as_ptr(), fd)) {
        entries.remove(&number);
    }
}
