//! One turn: permission to handle the events of one connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use super::dispatch::{Dispatcher, State};
use super::socket::WebSocket;
use super::strand::{Entry, Event};

/// How many events of one connection are handled before it is the others' turn.
const FAIR: u32 = 32;

/// A turn in progress.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) socket: Arc<WebSocket>,
    pub(super) epoch: u64,
    /// Since the last look.
    pub(super) progressed: AtomicBool,
    pub(super) lets_others_in: AtomicBool,
    /// Taken for blocked: no longer counted among the active.
    pub(super) blocked: AtomicBool,
}

impl Run {
    pub(super) fn new(socket: Arc<WebSocket>, epoch: u64) -> Self {
        socket.strand().turns += 1;
        Self {
            socket,
            epoch,
            progressed: AtomicBool::new(true),
            lets_others_in: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.socket.strand().turns -= 1;
    }
}

/// Permission to handle the events of one connection.
#[derive(Debug)]
pub struct Turn {
    dispatcher: Arc<Dispatcher>,
    run: Arc<Run>,
    left: u32,
    is_over: bool,
    /// Nobody waits for the next turn: whoever got this one should see to it that somebody does.
    pub is_last: bool,
}

impl Turn {
    pub(super) fn new(dispatcher: Arc<Dispatcher>, run: Arc<Run>, is_last: bool) -> Self {
        Self { dispatcher, run, left: FAIR, is_over: false, is_last }
    }

    /// Whose turn it is.
    pub fn socket(&self) -> &Arc<WebSocket> {
        &self.run.socket
    }

    /// The next event. None ends the turn: there is none, or others must have theirs.
    pub fn take(&mut self) -> Option<Event> {
        self.run.progressed.store(true, Ordering::Relaxed);
        self.run.lets_others_in.store(false, Ordering::Release);
        let socket = &self.run.socket;
        let mut strand = socket.strand();
        if strand.epoch != self.run.epoch {
            return None; // taken away while we were blocked
        }
        if strand.parked {
            strand.epoch += 1;
            strand.scheduled = false;
            return None;
        }
        if self.left == 0 || self.run.blocked.load(Ordering::Relaxed) {
            strand.epoch += 1;
            strand.scheduled = !strand.is_empty();
            let waits = strand.scheduled;
            drop(strand);
            if waits {
                self.dispatcher.enqueue(Arc::clone(socket));
            }
            return None;
        }
        self.left -= 1;
        let was_full = strand.is_full();
        let entry = strand.pop();
        if entry.is_none() {
            strand.epoch += 1;
            strand.scheduled = false;
        }
        let reads_again = was_full && !strand.is_full();
        drop(strand);
        if reads_again {
            socket.wake();
        }
        match entry {
            Some(Entry::Violation(code, reason)) => {
                socket.close(code, reason);
                self.take()
            }
            Some(Entry::Event(event)) => Some(event),
            None => None,
        }
    }

    /// Ends the turn and leaves the events to [`WebSocket::receive`]. The next turn comes after that found nothing.
    pub fn leave(self) {
        self.run.socket.strand().epoch += 1; // and it stays scheduled
    }

    /// The handler is about to wait: others go on, with its connection too if [`Turn::let_others_in`] was said.
    pub fn step_aside(&self) {
        self.dispatcher.take_for_blocked(&self.run);
    }

    /// Makes room for the next turn. Events that are left, by a handler that failed, go to somebody else.
    pub(super) fn end(&mut self) -> MutexGuard<'_, State> {
        self.is_over = true;
        self.dispatcher.end(&self.run)
    }

    /// From now until the next [`Turn::take`], a block gives the connection to somebody else.
    pub fn let_others_in(&self) {
        self.run.lets_others_in.store(true, Ordering::Release);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            let dispatcher = Arc::clone(&self.dispatcher);
            dispatcher.call(&self.end());
        }
    }
}
