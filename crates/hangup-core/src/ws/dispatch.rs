//! Who runs the handlers: threads that follow running handlers, not connections.
//!
//! # Promised
//! * A connection's events are handled in order, by one thread at a time.
//! * At most `parallel` threads make progress at once; one that is blocked in a handler does not count,
//!   so no handler waits for another's, and every thread that is blocked is replaced by one that is not.
//! * A handler that may run beside its own connection's next events ([`Turn::let_others_in`]) and blocks
//!   gives its connection up: what the client sends next, an acknowledgement perhaps, is handled meanwhile.
//!
//! # How
//! A thread asks for a [`Turn`] on a connection that has events. While something waits, the engine looks
//! every [`LOOK`]: who has made no progress since the last look is taken for blocked.
//!
//! # Not promised
//! A handler that computes for longer than that is taken for blocked as well: one more thread competes with it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{eventfd, EventfdFlags};

use super::socket::WebSocket;
use super::strand::Entry;
use super::turn::{Run, Turn};
use crate::engine;
use crate::ledger::{self, Equipment};

/// How often running handlers are looked at while something waits.
const LOOK: Duration = Duration::from_millis(20);

/// Gives connections with events to threads, or to a hub.
#[derive(Debug)]
pub struct Dispatcher {
    state: Mutex<State>,
    work: Condvar,
    parallel: usize,
    /// Readable while something waits: for a hub.
    signal: Option<OwnedFd>,
    _line: Option<Equipment>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    ready: VecDeque<Arc<WebSocket>>,
    /// Threads that wait for a turn.
    idle: usize,
    /// Turns that make progress.
    active: usize,
    turns: Vec<Arc<Run>>,
    /// Connections with something to look at.
    told: Vec<u64>,
    watched: bool,
    /// It will be said that something waits.
    announced: bool,
    stopped: bool,
}

impl Dispatcher {
    /// For threads, of which `parallel` can make progress at once: one under the GIL.
    pub fn for_threads(parallel: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            parallel: parallel.max(1),
            signal: None,
            _line: None,
        })
    }

    /// For a hub, which watches [`Dispatcher::signal`].
    pub fn for_hub() -> std::io::Result<Arc<Self>> {
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            parallel: usize::MAX,
            _line: Some(ledger::global().equip(signal.as_raw_fd(), "eventfd")),
            signal: Some(signal),
        }))
    }

    /// Readable while [`Dispatcher::try_next`] or [`Dispatcher::told`] has something.
    pub fn signal(&self) -> Option<BorrowedFd<'_>> {
        self.signal.as_ref().map(AsFd::as_fd)
    }

    /// Ends the turn `before` and waits for the next one, at most for `limit`. Whoever has ended a turn so goes on by
    /// itself: nobody is woken for what it takes next.
    pub fn next(self: &Arc<Self>, mut before: Option<Turn>, limit: Duration) -> Option<Turn> {
        let deadline = Instant::now() + limit;
        let mut state = self.locked_after(&mut before);
        loop {
            if let Some(turn) = self.turn(&mut state) {
                self.call(&state);
                return Some(turn);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stopped {
                return None;
            }
            state.idle += 1;
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
            if state.stopped {
                self.work.notify_all(); // one fewer to wait for
            }
        }
    }

    /// No turn is given any more: sends those who wait away, and waits until they have left, at most for `limit`.
    pub fn stop(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.locked();
        state.stopped = true;
        self.work.notify_all();
        while state.idle > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the turn `before`. The next one, if something waits.
    pub fn try_next(self: &Arc<Self>, mut before: Option<Turn>) -> Option<Turn> {
        let mut state = self.locked_after(&mut before);
        let turn = self.turn(&mut state);
        self.hush(&state);
        turn
    }

    fn locked_after<'a>(&'a self, before: &'a mut Option<Turn>) -> MutexGuard<'a, State> {
        match before {
            Some(turn) => turn.end(),
            None => self.locked(),
        }
    }

    /// The connections of which there is something to tell since the last call (see [`Settings::tells`]).
    ///
    /// [`Settings::tells`]: super::Settings::tells
    pub fn told(&self) -> Vec<u64> {
        let mut state = self.locked();
        let told = std::mem::take(&mut state.told);
        self.hush(&state);
        told
    }

    pub(super) fn tell(&self, id: u64) {
        self.locked().told.push(id);
        self.raise();
    }

    fn raise(&self) {
        if let Some(signal) = &self.signal {
            let _ = rustix::io::write(signal, &1_u64.to_ne_bytes()); // EAGAIN: it is readable anyway
        }
    }

    fn hush(&self, state: &State) {
        if state.ready.is_empty() && state.told.is_empty() {
            if let Some(signal) = &self.signal {
                let _ = rustix::io::read(signal, &mut [0; 8]); // EAGAIN: it was quiet already
            }
        }
    }

    /// Threads that wait for a turn.
    pub fn idle(&self) -> usize {
        self.locked().idle
    }

    fn turn(self: &Arc<Self>, state: &mut State) -> Option<Turn> {
        if state.active >= self.parallel || state.stopped {
            return None;
        }
        let run = loop {
            let socket = state.ready.pop_front()?;
            let mut strand = socket.strand();
            if strand.parked {
                strand.scheduled = false;
                continue;
            }
            let epoch = strand.epoch;
            drop(strand);
            break Arc::new(Run::new(socket, epoch));
        };
        state.active += 1;
        if self.signal.is_none() {
            state.turns.push(Arc::clone(&run));
        }
        if !state.ready.is_empty() {
            self.watch(state); // it was let in while this turn was still free
        }
        Some(Turn::new(Arc::clone(self), run, state.idle == 0))
    }

    /// Adds to what a connection has.
    pub(super) fn push(self: &Arc<Self>, socket: &Arc<WebSocket>, entry: Entry) {
        let mut strand = socket.strand();
        strand.push(entry);
        let waits = std::mem::replace(&mut strand.scheduled, true);
        drop(strand);
        if waits {
            self.watch(&mut self.locked());
        } else {
            self.enqueue(Arc::clone(socket));
        }
    }

    pub(super) fn enqueue(self: &Arc<Self>, socket: Arc<WebSocket>) {
        let mut state = self.locked();
        state.ready.push_back(socket);
        if state.active >= self.parallel || state.idle == 0 {
            self.watch(&mut state);
        }
        if std::mem::replace(&mut state.announced, true) {
            return;
        }
        drop(state);
        // Whoever is woken takes the core from the engine, if they share it: so once for all that has arrived.
        let dispatcher = Arc::clone(self);
        engine::afterwards(move || dispatcher.announce());
    }

    /// Says that something waits.
    fn announce(&self) {
        let mut state = self.locked();
        state.announced = false;
        self.call(&state);
        if !state.ready.is_empty() {
            self.raise();
        }
    }

    /// Wakes a thread, if there is something that it may do.
    pub(super) fn call(&self, state: &State) {
        if state.idle > 0 && state.active < self.parallel && !state.ready.is_empty() {
            self.work.notify_one();
        }
    }

    /// Sees to it that the engine looks, while something waits behind a running handler.
    fn watch(self: &Arc<Self>, state: &mut State) {
        if self.signal.is_some() || state.watched {
            return;
        }
        let dispatcher = Arc::clone(self);
        state.watched = engine::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if !dispatcher.look() {
                    return;
                }
            }
        })
        .is_ok();
    }

    /// Takes turns without progress for blocked. False if nothing waits any more.
    fn look(self: &Arc<Self>) -> bool {
        let mut state = self.locked();
        let mut stuck = Vec::new();
        for run in &state.turns {
            if !run.progressed.swap(false, Ordering::Relaxed) && !run.blocked.load(Ordering::Relaxed) {
                run.blocked.store(true, Ordering::Relaxed);
                stuck.push(Arc::clone(run));
            }
        }
        state.active -= stuck.len();
        let blocked: Vec<_> =
            state.turns.iter().filter(|run| run.blocked.load(Ordering::Relaxed)).map(Arc::clone).collect();
        drop(state);
        for run in blocked {
            if run.lets_others_in.load(Ordering::Acquire) {
                self.release(&run);
            }
        }
        let mut state = self.locked();
        let behind = state.turns.iter().any(|run| !run.socket.strand().is_empty());
        state.watched = behind || !state.ready.is_empty();
        self.call(&state);
        state.watched
    }

    pub(super) fn take_for_blocked(self: &Arc<Self>, run: &Arc<Run>) {
        let mut state = self.locked();
        if !run.blocked.swap(true, Ordering::Relaxed) {
            state.active -= 1;
        }
        self.call(&state);
        drop(state);
        if run.lets_others_in.load(Ordering::Acquire) {
            self.release(run);
        }
    }

    /// Takes the connection away from a turn that is blocked.
    pub(super) fn release(self: &Arc<Self>, run: &Run) {
        let mut strand = run.socket.strand();
        if strand.epoch != run.epoch {
            return;
        }
        strand.epoch += 1;
        strand.scheduled = !strand.is_empty();
        let waits = strand.scheduled;
        drop(strand);
        if waits {
            self.enqueue(Arc::clone(&run.socket));
        }
    }

    /// Strikes a turn off.
    pub(super) fn end(self: &Arc<Self>, run: &Arc<Run>) -> MutexGuard<'_, State> {
        self.release(run);
        let mut state = self.locked();
        state.turns.retain(|other| !Arc::ptr_eq(other, run));
        if !run.blocked.load(Ordering::Relaxed) {
            state.active -= 1;
        }
        state
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
