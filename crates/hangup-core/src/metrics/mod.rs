//! What happened: totals since the process was started or forked.
//!
//! # Promised
//! Totals only grow within a process, and start from zero in a forked child.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::global;

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

/// In a forked child: the parent's totals are the parent's; what is listed was inherited.
pub(crate) fn reset_totals() {
    for total in &TOTALS {
        total.store(0, Ordering::Relaxed);
    }
    TOTALS[Counter::Adopted as usize].store(global().open() as u64, Ordering::Relaxed);
}
