//! A WebSocket that goes on in another process: its client notices nothing.
//!
//! # Promised
//! * What the client sent and nobody has handled, and what it was to be sent, are handed over to the byte, wherever in a
//!   frame the stream stands.
//! * A connection that has begun to end does not depart: it ends here.
//!
//! # How
//! It is parked first: nobody is given a turn any more. When the last turn is over it departs: its task takes the write
//! lane, so that nobody is in the middle of a frame, seals the outbox, and gives the descriptor up.
//!
//! # Not promised
//! What waits for the client is bytes from then on, no messages: none of them can be dropped or replaced.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug;
use tungstenite::protocol::frame::coding::Data;

use super::codec;
use super::engine_io::{Beat, EngineIo};
use super::socket::WebSocket;
use super::strand::{Closure, Ending, Entry, Event};
use super::task::Task;
use crate::cause::{Cause, Op};
use crate::fd::{Lane, Patience};
use crate::metrics;

/// For how long one that goes is waited for at a time.
const SHORTLY: Duration = Duration::from_millis(10);

/// What departs.
#[derive(Debug)]
pub struct Departed {
    /// The connection.
    pub fd: OwnedFd,
    /// What the client sent and nobody has handled: frames, the last of which may be incomplete.
    pub unhandled: Vec<u8>,
    /// What the client was to be sent: frames, of the first of which the beginning may be gone.
    pub unsent: Vec<u8>,
    /// The heartbeat, if there is one.
    pub beat: Option<Beat>,
    /// Payload and framing received so far, in bytes.
    pub received: u64,
    /// The same, sent.
    pub sent: u64,
}

impl Departed {
    /// Of a connection that begins.
    pub(super) fn none(fd: OwnedFd, early: Vec<u8>) -> Self {
        Self { fd, unhandled: early, unsent: Vec::new(), beat: None, received: 0, sent: 0 }
    }
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Staying,
    /// Somebody waits for it.
    Asked,
    /// It cannot be taken back.
    Going,
    Departed(Departed),
    Refused,
}

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Departure {
    stage: Mutex<Stage>,
    decided: Condvar,
}

impl Departure {
    fn locked(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, stage: Stage) {
        *self.locked() = stage;
        self.decided.notify_all();
    }

    /// It ends here.
    pub(super) fn refuse(&self) {
        self.decide(Stage::Refused);
    }

    /// Whether whoever asked still waits, and it goes.
    fn go_on(&self, next: Stage) -> bool {
        let mut stage = self.locked();
        let goes = matches!((&*stage, &next), (Stage::Asked, Stage::Going));
        if matches!(*stage, Stage::Asked) {
            *stage = next;
            self.decided.notify_all();
        }
        goes
    }

    fn is_asked(&self) -> bool {
        matches!(*self.locked(), Stage::Asked)
    }
}

impl WebSocket {
    /// From now on nobody is given a turn, and the client is not read; who has a turn keeps it.
    pub fn park(&self) {
        self.strand().parked = true;
    }

    /// As before [`WebSocket::park`].
    pub fn unpark(&self) {
        self.strand().parked = false;
        self.wake();
    }

    /// Whether it is parked, and nobody has a turn.
    pub fn is_quiet(&self) -> bool {
        let strand = self.strand();
        strand.parked && strand.turns == 0
    }

    /// Has it depart. [`WebSocket::depart`] says whether it does: so many can be on their way at once.
    pub fn begin_to_depart(&self) {
        let mut stage = self.departure.locked();
        if matches!(*stage, Stage::Staying) {
            *stage = Stage::Asked;
            self.wake();
        }
    }

    /// Gives the connection up, which is quiet. None if it ends here, or that is not decided within `limit`: then it is
    /// as it was.
    pub fn depart(&self, limit: Duration) -> Option<Departed> {
        let deadline = Instant::now() + limit;
        self.begin_to_depart();
        let mut stage = self.departure.locked();
        while matches!(*stage, Stage::Asked | Stage::Going) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && matches!(*stage, Stage::Asked) {
                *stage = Stage::Staying;
                return None;
            }
            let left = left.max(SHORTLY);
            stage =
                self.departure.decided.wait_timeout(stage, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match std::mem::replace(&mut *stage, Stage::Refused) {
            Stage::Departed(departed) => Some(departed),
            other => {
                *stage = other;
                None
            }
        }
    }
}

impl Task {
    /// Has what waits handled, if it is parked no more.
    pub(super) fn call_if_unparked(&self) {
        let Some(dispatcher) = &self.dispatcher else { return };
        let mut strand = self.socket.strand();
        if strand.parked || strand.scheduled || strand.is_empty() {
            return;
        }
        strand.scheduled = true;
        drop(strand);
        dispatcher.enqueue(Arc::clone(&self.socket));
    }

    /// Whether it is asked to depart, and can.
    pub(super) fn departs(&self) -> bool {
        if !self.socket.departure.is_asked() {
            return false;
        }
        let probes = self.engine_io.as_ref().is_some_and(|machine| machine.beat().is_none());
        let ends = self.closing.is_some() || self.socket.closed_with().is_some();
        let stays = probes || ends || self.socket.gone_since().is_some() || !self.socket.is_quiet();
        self.socket.departure.go_on(if stays { Stage::Staying } else { Stage::Going })
    }

    /// Gives everything up. How it ended, if foreign code closed the descriptor meanwhile.
    pub(super) async fn depart(&mut self) -> Option<(u16, String, Ending)> {
        let fd = Arc::clone(self.socket.guarded());
        let unsent = loop {
            match fd.lane(Lane::Write, Op::Send, Patience::Never) {
                Ok(_lane) => break self.socket.hand_over(),
                Err(error) if matches!(error.cause, Cause::Busy | Cause::WouldBlock) => {}
                Err(_) => return Some((1006, String::new(), Ending::Transport)),
            }
            tokio::task::yield_now().await;
        };
        let number = loop {
            match fd.detach() {
                Ok(number) => break number,
                Err(error) if error.cause == Cause::Busy => tokio::task::yield_now().await,
                Err(_) => return Some((1006, String::new(), Ending::Transport)),
            }
        };
        let (received, sent) = (self.received, self.socket.sent());
        let departed = Departed {
            fd: crate::adopt::take_over(number),
            unhandled: self.unhandled(),
            unsent,
            beat: self.engine_io.as_ref().and_then(EngineIo::beat),
            received,
            sent,
        };
        metrics::count_closed(1005, Ending::Moved);
        debug!(target: "hangup::websocket", connection = self.socket.id(), received, sent, "moves");
        let (code, reason, cause) = (1005, String::new(), Ending::Moved);
        self.socket.is_over(Closure { code, reason, cause, received, sent });
        self.socket.departure.decide(Stage::Departed(departed));
        None
    }

    fn unhandled(&self) -> Vec<u8> {
        let mut frames = Vec::new();
        let mut strand = self.socket.strand();
        while let Some(entry) = strand.pop() {
            match entry {
                Entry::Event(Event::Text(text)) => {
                    codec::write_message(&mut frames, Data::Text, text.as_bytes());
                }
                Entry::Event(Event::Binary(bytes)) => {
                    codec::write_message(&mut frames, Data::Binary, &bytes);
                }
                _ => {} // of an upgrade that is complete; one whose stream broke does not depart
            }
        }
        frames.extend(self.decoder.unfinished());
        frames
    }
}
