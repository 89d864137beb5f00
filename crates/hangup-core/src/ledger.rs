//! What is open, and what happened to what is not.
//!
//! # Promised
//! * Every descriptor that hangup owns is listed from its adoption until just before its close(2).
//! * Totals only grow within a process, and start from zero in a forked child.
//! * `adopted == closed + detached + stolen + still listed`, whenever no thread is in between.
//!
//! # How
//! One mutex around maps by number, held for a map operation, or to walk [`CHUNK`] of them; totals are
//! atomics. fork(2) takes the mutex first (see [`crate::fork`]), so a child never inherits it locked.
//!
//! # Not promised
//! Descriptors that hangup does not own are not listed: see [`crate::census`].

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use crate::fd::GuardedFd;
use crate::roll::Obituary;

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Totals since the process was started or forked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[$doc])* $variant,)* }

        impl Counter {
            /// All counters, in the order of their declaration.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Stable lower-case name.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// Descriptors taken over, or inherited by fork(2).
    Adopted = "adopted",
    /// Descriptors refused because they could not be guarded.
    Refused = "refused",
    /// Connections accepted by a guarded listener.
    Accepted = "accepted",
    /// Descriptors closed by their last user.
    Closed = "closed",
    /// Descriptors given back to the caller.
    Detached = "detached",
    /// Descriptors that foreign code closed; their numbers were left alone.
    Stolen = "stolen",
    /// Operations that failed because the peer had left.
    PeerGone = "peer_gone",
    /// Operations that failed because the path to the peer broke.
    PathBroken = "path_broken",
    /// Writes refused because our own side had closed: each would have been EBADF, or reached a stranger.
    WritesPrevented = "writes_prevented",
    /// Connections used by the server after the application closed them, and numbers found stolen.
    OwnershipViolations = "ownership_violations",
    /// HTTP responses kept out of an upgraded connection's stream.
    ResponsesRefused = "responses_refused",
    /// Episodes in which accepting paused for want of descriptors.
    AcceptPauses = "accept_pauses",
    /// Connections that lingered before their close.
    Lingered = "lingered",
    /// Of these, ended by the deadline.
    LingerExpired = "linger_expired",
    /// WebSockets taken over.
    WebSockets = "websockets",
    /// WebSockets closed because too much waited to be sent to them.
    QueueOverflows = "queue_overflows",
    /// WebSockets closed because their client took nothing of what waited.
    WriteStalls = "write_stalls",
    /// Messages dropped because too much waited to be sent to their client.
    MessagesDropped = "messages_dropped",
    /// Messages that a newer one of their key replaced while they waited.
    MessagesCoalesced = "messages_coalesced",
}

static TOTALS: [AtomicU64; Counter::ALL.len()] = [const { AtomicU64::new(0) }; Counter::ALL.len()];

/// Adds one to a total.
pub fn count(counter: Counter) {
    TOTALS[counter as usize].fetch_add(1, Ordering::Relaxed);
}

/// The totals, by name.
pub fn totals() -> impl Iterator<Item = (&'static str, u64)> {
    Counter::ALL.iter().map(|counter| (counter.name(), total(*counter)))
}

/// One total.
pub fn total(counter: Counter) -> u64 {
    TOTALS[counter as usize].load(Ordering::Relaxed)
}

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
        self.locked().listed.insert(fd.number_for_display(), Arc::downgrade(fd));
        count(Counter::Adopted);
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
        entries.listed.len() + entries.equipment.len() + arriving
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
        known.chain(arriving.iter().map(|(number, ..)| *number)).collect()
    }

    /// Lists `number` as something that hangup itself needs, until what is returned is dropped.
    pub(crate) fn equip(&self, number: RawFd, kind: &'static str) -> Equipment {
        self.locked().equipment.insert(number, (kind, crate::fd::sys::coarse_now()));
        Equipment(number)
    }

    /// What hangup itself needs: its numbers, what for, and since when.
    pub fn equipment(&self) -> Vec<(RawFd, &'static str, u64)> {
        self.locked().equipment.iter().map(|(number, (kind, since))| (*number, *kind, *since)).collect()
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

/// In a forked child: the parent's totals are the parent's; what is listed was inherited.
pub(crate) fn reset_totals() {
    for total in &TOTALS {
        total.store(0, Ordering::Relaxed);
    }
    TOTALS[Counter::Adopted as usize].store(global().open() as u64, Ordering::Relaxed);
}
