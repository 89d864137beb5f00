//! fork(2): what a child inherits, and what it must forget.
//!
//! # Promised
//! * No shared lock of this crate is held by a vanished thread in the child.
//! * Inherited descriptors have no users in the child but the leases it inherited, and the writer whose
//!   signal handler forked; closing them there closes the child's copy and never shuts the shared
//!   connection down. A close that was under way in the parent is carried out in the child as well.
//! * Totals start from zero; the engine starts again when it is first needed.
//!
//! # How
//! pthread_atfork(3): [`watch`] has `before` take the locks on the forking thread, and `after_in_parent` and
//! `after_in_child` release them there. Python's own hooks (`os.register_at_fork`) would not do: between them other
//! hooks run, which are Python, and may hand the interpreter to a thread that wants one of these locks.
//!
//! # Not promised
//! * A child forked in the very nanoseconds in which another thread parks for a lane, or ends a lease, of a
//!   descriptor finds that descriptor's own lock taken; the locks held here are the shared ones.
//! * The engine's own descriptors (an epoll and an eventfd) stay open in a child forked from a
//!   process whose engine was running: they are shared with the parent and must not be touched.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, Once};

use crate::fd::sys;
use crate::{acceptor, diagnostics, ledger, metrics};

/// The locks held across fork(2), released in the order of their declaration.
struct Held {
    #[cfg(feature = "engine")]
    _engine: crate::engine::ForkLock,
    _acceptors: acceptor::ForkLock,
    _ledger: MutexGuard<'static, ledger::Entries>,
    _metrics: metrics::ForkLock,
    _said: MutexGuard<'static, diagnostics::Said>,
}

thread_local!(static HELD: RefCell<Option<Held>> = const { RefCell::new(None) });

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How many forks this process is away from the one that loaded this crate.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has every fork(2) of this process watched, from now on.
pub fn watch() {
    static ONCE: Once = Once::new();
    // ENOMEM alone; a process that cannot allocate a few bytes at its start does not get to fork.
    ONCE.call_once(|| {
        let _ = sys::at_fork(before, after_in_parent, after_in_child);
        metrics::prepare();
    });
}

/// Before fork(2), on the thread that forks.
extern "C" fn before() {
    let held = Held {
        #[cfg(feature = "engine")]
        _engine: crate::engine::lock_for_fork(),
        _acceptors: acceptor::lock_for_fork(),
        _ledger: ledger::global().locked(),
        _metrics: metrics::lock_for_fork(),
        _said: diagnostics::locked(), // the last one that anybody takes
    };
    HELD.with(|slot| slot.replace(Some(held)));
}

/// After fork(2), in the parent.
extern "C" fn after_in_parent() {
    HELD.with(|slot| drop(slot.take()));
}

/// After fork(2), in the child.
extern "C" fn after_in_child() {
    HELD.with(|slot| drop(slot.take()));
    GENERATION.fetch_add(1, Ordering::Relaxed);
    diagnostics::forget_in_child();
    metrics::leave_the_parent_s(ledger::global().open());
    ledger::forget_the_dead();
    #[cfg(feature = "engine")]
    crate::engine::forget_in_child();
    for fd in ledger::global().listed() {
        fd.forget_users_of_the_parent();
    }
}
