//! Descriptor ownership for sockets whose clients hang up.
//!
//! # The model
//! A descriptor is a number that the kernel gives to somebody else as soon as it is closed. Code that
//! remembers the number across a close writes to a stranger. So a number here has one owner, and
//! nobody uses it without being counted:
//!
//! ```text
//!            adopt                 close                     last user leaves
//!   foreign ───────▶ open ───────────────────▶ closing ──────────────────────▶ closed
//!                     │  users come and go      no new users; those inside
//!                     │                         are woken by shutdown(2)
//!                     └── detach (nobody inside) ──▶ foreign again
//! ```
//!
//! # Invariants
//! 1. A system call is made on a number only between admission and departure of a user.
//! 2. After the close was claimed no user is admitted.
//! 3. The last user closes, once; close(2) is never retried.
//! 4. One reader and one writer at a time; a whole buffer is sent under one hold of the write lane.
//! 5. An errno gets its meaning in [`cause::classify`] and nowhere else.
//!
//! # Not promised
//! Foreign code that closes a number of ours is noticed, not prevented (see [`fd::guarded`]).
//!
//! # Map
//! [`fd`] (mutex, waiting, system calls, guarded descriptor) · [`cause`] and [`error`] (who hung up) ·
//! [`adopt`] (what can be taken over) · [`connection`] (the server's and the application's face) · [`writer`] ·
//! [`acceptor`] (EMFILE) · [`table`] · [`session_id`] · [`ledger`] and [`roll`] (what is open and what died) ·
//! [`census`] (what anybody opened) · [`tcp`] · [`trend`] (when it runs out) · [`metrics`] (what was counted) ·
//! [`diagnostics`] (what there is to log) · [`fork`] · `engine`, `linger` and `siblings` (feature `engine`: the tokio thread) ·
//! `ws` (feature `transport`: WebSockets on that thread).

// Under loom only the parts with interleavings are compiled, and much of what they call has no caller.
#![cfg_attr(loom, allow(dead_code, unused_imports, unreachable_pub))]

pub mod cause;
pub mod error;
pub mod fd;
mod sync;

#[cfg(not(loom))]
pub mod acceptor;
#[cfg(not(loom))]
pub mod address;
#[cfg(not(loom))]
pub mod adopt;
#[cfg(not(loom))]
pub mod arrivals;
#[cfg(not(loom))]
pub mod census;
#[cfg(not(loom))]
pub mod connection;
#[cfg(not(loom))]
pub mod diagnostics;
#[cfg(all(feature = "engine", not(loom)))]
pub mod engine;
#[cfg(not(loom))]
pub mod foreign;
#[cfg(not(loom))]
pub mod fork;
#[cfg(not(loom))]
pub mod ledger;
#[cfg(all(feature = "engine", not(loom)))]
pub mod linger;
pub mod metrics;
#[cfg(not(loom))]
mod opening;
pub mod rate_limit;
#[cfg(not(loom))]
pub mod roll;
#[cfg(not(loom))]
pub mod session_id;
#[cfg(all(feature = "engine", not(loom)))]
pub mod siblings;
#[cfg(not(loom))]
mod sock_diag;
#[cfg(not(loom))]
pub mod table;
#[cfg(not(loom))]
pub mod tcp;
#[cfg(not(loom))]
pub mod trend;
#[cfg(not(loom))]
pub mod writer;
#[cfg(all(feature = "transport", not(loom)))]
pub mod ws;

pub use rustix::net::{Shutdown, SocketAddrAny};
