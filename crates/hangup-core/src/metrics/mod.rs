//! What happened: counters that outlive the process which counted, and that others can read meanwhile.
//!
//! # Promised
//! * To count is one addition to memory; nobody waits for anybody, and no reader stops a writer.
//! * What a process counted is not lost with it, not by `kill -9` either, and is in the totals of its family once.
//! * A total, as one reader sees it, never goes down.
//! * Nothing has to be cleaned up: the memory goes with the last process of the family.
//!
//! # How
//! A *family* is the processes that were forked, directly or not, from the one that made it: a server's master, before
//! it forks, or whoever first owns a descriptor. It shares a memory file (memfd_create(2)), in which
//! each process has a [slot](slot) from its first descriptor on; before that, and if there is no slot, it counts in
//! memory of its own. The counters of a process are a [page](page) at a fixed address: the slot is mapped there.
//!
//! # Who can read it
//! Processes that may open `/proc/<pid>/fd` of one of the family (proc(5): the same user, and not after a change of
//! user, which makes a process root's there); the file's mode is 0600. See [`read`].
//!
//! # Not promised
//! Values of one moment: each is read by itself. On machines whose pages are not of 4 KiB, each process counts for
//! itself.

mod owner;
mod slot;
#[cfg(all(test, not(loom)))]
mod slot_tests;

#[cfg(not(loom))]
mod breakdown;
#[cfg(not(loom))]
mod counter;
#[cfg(not(loom))]
mod distribution;
#[cfg(not(loom))]
mod family;
#[cfg(not(loom))]
mod load;
#[cfg(not(loom))]
mod page;
#[cfg(not(loom))]
mod reader;
#[cfg(not(loom))]
mod table;

#[cfg(not(loom))]
pub use family::{announce, found, join, retire, Phase, Place};
#[cfg(not(loom))]
pub(crate) use family::{file, leave_the_parent_s, lock_for_fork, prepare, settle, ForkLock};
#[cfg(not(loom))]
pub use load::{expect, listening, loads, Load};
#[cfg(all(feature = "engine", not(loom)))]
pub(crate) use page::observe_duration;
#[cfg(not(loom))]
pub use page::{add, count, total, totals};
#[cfg(not(loom))]
#[cfg(all(feature = "transport", not(loom)))]
pub(crate) use page::{count_closed, observe};
#[cfg(not(loom))]
pub(crate) use page::{count_hang_up, observe_end};
#[cfg(not(loom))]
pub use reader::{read, read_own, Family, Process, Refusal};
#[cfg(not(loom))]
pub use table::{names, Breakdown, Buckets, Counter, Distribution, Label, Stack};
