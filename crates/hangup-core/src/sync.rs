//! Synchronisation primitives: std's, or loom's under `--cfg loom`. Nothing else belongs here.

#[cfg(loom)]
pub(crate) use loom::sync::{
    atomic::{fence, AtomicU64, Ordering},
    Condvar, Mutex, MutexGuard,
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    atomic::{fence, AtomicU64, Ordering},
    Condvar, Mutex, MutexGuard,
};

/// Locks `mutex`, also when a thread panicked while holding it: every critical section in this
/// crate leaves its data consistent at each statement, so poisoning carries no information.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
