//! Writing: whole buffers and files, under one hold of the write lane.
//!
//! # Promised
//! * Nobody else's bytes get between the parts of one buffer.
//! * On an error the caller knows how much the kernel took.
//!
//! # Not promised
//! That what the kernel took has arrived: only the peer knows.

use std::os::fd::{OwnedFd, RawFd};

use crate::cause::{Cause, Op};
use crate::connection::Face;
use crate::error::{Error, Result};
use crate::fd::guarded::SIGNAL_CHECK;
use crate::fd::{sys, LaneGuard, Patience};

/// The write lane of a face.
#[derive(Debug)]
pub struct Writer<'a> {
    face: &'a Face,
    lane: LaneGuard<'a>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(face: &'a Face, lane: LaneGuard<'a>) -> Self {
        Self { face, lane }
    }

    /// Sends some of `data`, at least one byte, waiting for room as long as `patience` lasts.
    pub fn send(&self, data: &[u8], flags: i32, patience: Patience) -> Result<usize> {
        let sent = self.retry(Op::Send, patience, || self.lane.try_send(data, flags))?;
        self.face.note_sent(&data[..sent]);
        Ok(sent)
    }

    /// Sends all of `data[*sent..]`. On an error `sent` says how much the kernel took; after
    /// [`Cause::Interrupted`] call again.
    pub fn send_all(&self, data: &[u8], sent: &mut usize, flags: i32, patience: Patience) -> Result<()> {
        in_stretches(patience, |patience| {
            *sent += self.send(&data[*sent..], flags, patience)?; // of nothing, too: it may be refused
            Ok(*sent == data.len())
        })
    }

    /// Sends up to `count` bytes of `file` from `*offset` on; both move. Ends early at the end of
    /// the file. SIGPIPE must be ignored (see [`can_send_files`]).
    pub fn send_file(
        &self,
        file: &OwnedFd,
        offset: &mut u64,
        count: &mut u64,
        patience: Patience,
    ) -> Result<()> {
        /// The most that sendfile(2) takes at a time.
        const MAX_CHUNK: u64 = 0x7fff_f000;
        self.lane.make_nonblocking()?;
        in_stretches(patience, |patience| {
            let chunk = (*count).min(MAX_CHUNK) as usize;
            let before = *offset;
            let sent = self.retry(Op::Sendfile, patience, || self.lane.try_send_file(file, offset, chunk))?;
            *offset = before + sent as u64;
            *count -= sent as u64;
            Ok(sent == 0 || *count == 0)
        })
    }

    /// Runs signal handlers without giving the lane away.
    pub fn while_held<T>(&self, handlers: impl FnOnce() -> T) -> T {
        self.lane.while_held(handlers)
    }

    fn retry(&self, op: Op, patience: Patience, mut attempt: impl FnMut() -> Result<usize>) -> Result<usize> {
        loop {
            let outcome = match attempt() {
                Err(error) if error.cause == Cause::WouldBlock && patience != Patience::Never => {
                    self.lane.wait(op, patience)
                }
                outcome => return outcome.map_err(|error| self.face.explain_write(error)),
            };
            outcome.map_err(|error| self.face.explain_write(error))?;
        }
    }
}

/// Repeats `step` until it says that it was the last. A signal that arrives while bytes are copied does not end the
/// wait that follows, so from the first bytes on this ends after [`SIGNAL_CHECK`] with [`Cause::Interrupted`].
fn in_stretches(patience: Patience, mut step: impl FnMut(Patience) -> Result<bool>) -> Result<()> {
    let mut stretch = None;
    loop {
        match step(stretch.unwrap_or(patience)) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.cause == Cause::TimedOut && !patience.is_over() => {
                return Err(Error::interrupted(error.op));
            }
            Err(error) => return Err(error),
        }
        if patience != Patience::Never && stretch.is_none() {
            stretch = Some(patience.capped(SIGNAL_CHECK));
        }
        if stretch.is_some_and(Patience::is_over) && !patience.is_over() {
            return Err(Error::interrupted(Op::Wait));
        }
    }
}

/// Whether sendfile(2) may be used: it raises SIGPIPE when the peer has gone.
pub fn can_send_files() -> bool {
    sys::sigpipe_is_ignored()
}

/// Duplicates the number of a file, so that its owner may close it meanwhile.
pub fn borrow_file(number: RawFd) -> Result<OwnedFd> {
    sys::duplicate(number).map_err(|errno| Error::new(Cause::Misuse, Op::Inspect, errno))
}
