//! The engine: one thread with a tokio runtime per process.
//!
//! # Promised
//! * Nothing is started before it is needed, and nothing before a fork: a server forks its workers
//!   first, and a runtime made before fork(2) is dead in the child.
//! * The thread blocks all signals and never attaches to an interpreter.
//! * A child forked from a process with a running engine starts one of its own.
//!
//! # Not promised
//! Work in flight is cut off at the exit of the process; [`drain`] waits for it.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tracing::{debug, error};

use crate::census;

struct Engine {
    /// Never dropped: the runtime lives as long as the process, and in a forked child it is not ours.
    handle: ManuallyDrop<Handle>,
}

static ENGINE: Mutex<Option<Engine>> = Mutex::new(None);
static TASKS: Mutex<usize> = Mutex::new(0);
static TASK_ENDED: Condvar = Condvar::new();

/// Runs `task` on the engine, which is started if need be. Fails if no descriptors or threads are
/// left to start it.
pub(crate) fn spawn<F: std::future::Future<Output = ()> + Send + 'static>(task: F) -> io::Result<()> {
    let running = Running::begin();
    spawn_uncounted(async move {
        task.await;
        drop(running);
    })
}

/// As [`spawn`], a task that goes on for as long as the process: nobody waits for its end.
pub(crate) fn spawn_uncounted<F: std::future::Future<Output = ()> + Send + 'static>(
    task: F,
) -> io::Result<()> {
    let mut engine = locked(&ENGINE);
    if engine.is_none() {
        let started =
            start().inspect_err(|error| error!(target: "hangup::engine", %error, "cannot be started"))?;
        *engine = Some(Engine { handle: ManuallyDrop::new(started) });
    }
    if let Some(engine) = engine.as_ref() {
        engine.handle.spawn(task);
    }
    Ok(())
}

/// Runs `work` on the engine behind all that is ready there now; at once, if somebody else calls.
pub(crate) fn afterwards(work: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(engine) => drop(engine.spawn(async move { work() })),
        Err(_) => work(),
    }
}

/// Tasks that have not ended.
pub fn tasks() -> usize {
    *locked(&TASKS)
}

/// Waits until all tasks have ended, at most for `limit`. The number that had not.
pub fn drain(limit: Duration) -> usize {
    let deadline = Instant::now() + limit;
    let mut tasks = locked(&TASKS);
    while *tasks > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tasks = TASK_ENDED.wait_timeout(tasks, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    *tasks
}

fn start() -> io::Result<Handle> {
    // What appears meanwhile is the runtime's, unless another thread opens such in the same milliseconds.
    let before = census::pollers();
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    for (number, kind) in census::pollers().into_iter().filter(|found| !before.contains(found)) {
        std::mem::forget(crate::ledger::global().equip(number, kind)); // as the runtime: for good
    }
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("hangup-engine".to_owned()).spawn(move || {
        crate::fd::sys::block_all_signals();
        // Where it shares a core with the handlers, it would interrupt them at each message: what they emit next
        // would not leave together, and each message would cost two switches of the core. Refused, it is only that.
        crate::fd::sys::wait_for_turn();
        debug!(target: "hangup::engine", "started");
        runtime.block_on(std::future::pending::<()>());
    })?;
    Ok(handle)
}

/// Counts a task until it is dropped, whether it ended or panicked.
struct Running;

impl Running {
    fn begin() -> Self {
        *locked(&TASKS) += 1;
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *locked(&TASKS) -= 1;
        TASK_ENDED.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The engine's locks, held across fork(2).
pub(crate) struct ForkLock {
    _engine: MutexGuard<'static, Option<Engine>>,
    _tasks: MutexGuard<'static, usize>,
}

pub(crate) fn lock_for_fork() -> ForkLock {
    ForkLock { _engine: locked(&ENGINE), _tasks: locked(&TASKS) }
}

/// In a forked child: the engine's thread does not exist here.
pub(crate) fn forget_in_child() {
    *locked(&ENGINE) = None;
    *locked(&TASKS) = 0;
}
