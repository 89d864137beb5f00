//! The kernel's table of this process's descriptors.
//!
//! # Promised
//! [`widen`]: as many numbers as are expected can be given out without the table growing. To grow it costs a process that has
//! threads about 20 ms (the kernel waits until no processor looks at the old one), once for each doubling, in the
//! `accept` that needs the number: for that long nobody who waits for the interpreter's lock goes on.
//!
//! # Not promised
//! More than [`WIDEST`].

use crate::fd::sys;

/// Numbers that the table is grown for at most: 128 KiB of the kernel's memory.
pub const WIDEST: u64 = 16 * 1024;

/// How many descriptors the process may have at this moment: others may change it.
pub fn limit() -> u64 {
    sys::descriptor_limit().unwrap_or(u64::MAX)
}

/// Grows the table to the limit of descriptors, or to [`WIDEST`]. Cheap while the process has one thread.
pub fn widen() {
    let last = sys::descriptor_limit().map_or(WIDEST, |limit| limit.min(WIDEST)).saturating_sub(1);
    // Fails if that number cannot be had: then the table grows as it does without us.
    let _ = sys::reach(last as i32);
}
