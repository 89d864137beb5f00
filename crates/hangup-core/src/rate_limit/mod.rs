//! How many connections each client may begin: a token bucket for every address, in memory that forked processes share.
//!
//! # Promised
//! * In any time t, a client begins at most `burst + rate * t` connections, whichever of the processes it meets, and
//!   however many other clients there are.
//! * A bucket refills to the tick: a client that was refused, and waits for as long as it was told, is admitted.
//! * The memory is 512 KiB, for any number of clients, of which the kernel gives what is used. A bucket that is full again
//!   is nobody's: there is nothing to expire.
//! * Nobody waits for anybody, and a process that is killed leaves nothing locked.
//!
//! # How
//! The generic cell rate algorithm (ITU-T I.371): of each client one time is kept, until which it has used up its rate.
//! See [`buckets`].
//!
//! # Not promised
//! With more clients in debt at a time than there is room for, a new one can be taken for one of them, and be
//! refused: never the other way round.

mod buckets;
#[cfg(not(loom))]
mod limit;

pub use buckets::{Pace, Unusable};
#[cfg(not(loom))]
pub use limit::ConnectionLimit;
