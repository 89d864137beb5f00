//! Descriptors with one owner.
//!
//! * [`mutex`]: who may touch a descriptor (atomics, no system calls)
//! * [`wait`]: parking for a lane
//! * [`guarded`]: the owned descriptor; the only caller of close(2) for sockets
//! * [`users`]: those who are inside it
//! * [`trail`]: what a descriptor has been through
//! * `sys`: system calls, one function each (no locking, the only `unsafe`)

#[cfg(not(loom))]
pub mod guarded;
pub mod mutex;
pub(crate) mod sys;
#[cfg(not(loom))]
pub mod trail;
#[cfg(not(loom))]
pub mod users;
pub mod wait;

#[cfg(not(loom))]
pub use guarded::{GuardedFd, Kind};
pub use mutex::{CloseClaim, Departure, FdMutex, Lane, Refusal};
#[cfg(not(loom))]
pub use sys::{MSG_DONTWAIT, MSG_WAITALL};
#[cfg(not(loom))]
pub use users::{Hold, Interest, LaneGuard, Lease, User};
pub use wait::{Parking, Patience};

#[cfg(all(test, loom))]
mod loom_tests;
