//! The lingering close: end the response without cutting it short.
//!
//! A close(2) with unread input makes the kernel send RST, which can destroy the last bytes of the
//! response at the client. RFC 9112 §9.6: shut the write side, read until the peer closes or a time
//! limit passes, then close.
//!
//! # Promised
//! * The caller never waits: draining happens on the engine.
//! * It ends after [`LINGER`], after [`MAX_DRAIN`] bytes, or when the peer has closed.
//! * When lingering connections would take more than a quarter of the descriptor limit, or the
//!   engine cannot be started, the connection is closed at once.

use std::time::{Duration, Instant};

use tokio::io::Interest;
use tracing::debug;

use crate::cause::Cause;
use crate::engine;
use crate::fd::{sys, Kind, Lease};
use crate::ledger::{self, Counter};
use crate::metrics::{self, Distribution};

/// How long a peer may take to close: gunicorn's figure (`util.close_graceful`).
pub const LINGER: Duration = Duration::from_secs(2);
/// How much a peer may still send.
pub const MAX_DRAIN: usize = 64 * 1024;

/// Shuts the write side of `lease`, and goes on as [`close`].
#[cfg(feature = "transport")]
pub(crate) fn close_after(lease: Lease) {
    // ENOTCONN: the peer reset it, and there is nothing to linger for.
    if sys::shutdown(lease.number(), crate::Shutdown::Write).is_ok() {
        close(lease);
    }
}

/// Closes the descriptor of `lease`, whose write side is shut, as soon as its peer has closed.
pub fn close(lease: Lease) {
    let mut drained = 0;
    if has_ended(&lease, &mut drained) {
        return;
    }
    let limit = sys::descriptor_limit().unwrap_or(u64::MAX);
    if engine::tasks() as u64 >= limit / 4 {
        return;
    }
    let fd = lease.number();
    metrics::observe_end(lease.guarded().kind(), lease.guarded().opened());
    lease.guarded().set_kind(Kind::Lingering);
    ledger::count(Counter::Lingered);
    debug!(target: "hangup::linger", fd, "waits for the peer's end of the stream");
    let began = Instant::now();
    // Without an engine the task is dropped here, and with it the lease: closed at once.
    let _ = engine::spawn(async move {
        // Pinned here, so that what expires is counted before its descriptor returns.
        let draining = std::pin::pin!(drain(lease, drained));
        if tokio::time::timeout(LINGER, draining).await.is_err() {
            ledger::count(Counter::LingerExpired);
            debug!(target: "hangup::linger", fd, "the peer did not end the stream in time");
        }
        metrics::observe_duration(Distribution::LingerDuration, 0, began.elapsed());
    });
}

/// Whether the peer has closed already; throws away what it had sent.
fn has_ended(lease: &Lease, drained: &mut usize) -> bool {
    let mut scratch = Vec::with_capacity(4096);
    loop {
        match lease.drain(&mut scratch) {
            Ok(0) => return true,
            Ok(count) if *drained + count > MAX_DRAIN => return true,
            Ok(count) => *drained += count,
            Err(error) => return !matches!(error.cause, Cause::WouldBlock | Cause::Interrupted),
        }
    }
}

async fn drain(lease: Lease, mut drained: usize) {
    // Fails when the process has no memory for the registration: the lease ends, and it is closed.
    let Some(readiness) = sys::watch(lease, Interest::READABLE) else { return };
    while let Ok(mut ready) = readiness.readable().await {
        if has_ended(readiness.get_ref(), &mut drained) {
            return;
        }
        ready.clear_ready();
    }
}
