//! What is open, and what happened to what is not.
//!
//! # Promised
//! * Every descriptor that hangup owns is listed from its adoption until just before its close(2).
//! * Totals only grow within a process, and start from zero in a forked child.
//! * `adopted == closed + detached + stolen + still listed`, whenever no thread is in between.
//!
//! # How
//! One mutex around a map from number to descriptor, held for the map operation alone; totals are
//! atomics. fork(2) takes the mutex first (see [`crate::fork`]), so a child never inherits it locked.
//!
//! # Not promised
//! Descriptors that hangup does not own are not listed: `/proc/self/fd` knows them.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use tracing::debug;

use crate::fd::GuardedFd;

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

/// In a forked child: the parent's totals are the parent's; what is listed was inherited.
pub(crate) fn reset_totals() {
    for total in &TOTALS {
        total.store(0, Ordering::Relaxed);
    }
    TOTALS[Counter::Adopted as usize].store(global().open() as u64, Ordering::Relaxed);
}
