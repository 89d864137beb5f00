//! The error of this crate: what failed, why, and how far it got.

use std::fmt;

use crate::cause::{Cause, Op};
use crate::fd::sys::errno;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation. What is still usable afterwards follows from `cause`:
/// [`Cause::WouldBlock`], [`Cause::Busy`], [`Cause::TimedOut`] and [`Cause::Interrupted`] leave the
/// connection as it was; after every other cause only `close` makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The verdict.
    pub cause: Cause,
    /// What was attempted.
    pub op: Op,
    /// The errno to show: the kernel's, or the one POSIX gives for the same situation.
    pub errno: i32,
    /// Who closed the descriptor, when that is known.
    pub closed_by: Option<String>,
}

impl Error {
    /// Whether the operation may succeed later, on the same connection.
    pub fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::WouldBlock | Cause::Busy | Cause::Interrupted)
    }

    /// An error with the kernel's errno.
    pub fn new(cause: Cause, op: Op, errno: i32) -> Self {
        Self { cause, op, errno, closed_by: None }
    }

    /// Our own side closed before. POSIX: a sender on a socket shut down locally gets `EPIPE`;
    /// everyone else finds it not connected.
    pub fn closed_here(op: Op) -> Self {
        Self::new(Cause::ClosedHere, op, if op.sends() { errno::EPIPE } else { errno::ENOTCONN })
    }

    /// Not now.
    pub fn would_block(op: Op) -> Self {
        Self::new(Cause::WouldBlock, op, errno::EAGAIN)
    }

    /// The timeout passed.
    pub fn timed_out(op: Op) -> Self {
        Self::new(Cause::TimedOut, op, errno::ETIMEDOUT)
    }

    /// A signal may be waiting.
    pub fn interrupted(op: Op) -> Self {
        Self::new(Cause::Interrupted, op, errno::EINTR)
    }

    /// Somebody else holds the lane.
    pub fn busy(op: Op) -> Self {
        Self::new(Cause::Busy, op, errno::EAGAIN)
    }

    /// The number no longer names the descriptor that we adopted.
    pub fn stolen(op: Op) -> Self {
        Self::new(Cause::OwnershipViolation, op, errno::EBADF)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::ClosedHere => f.write_str("this side closed the connection before")?,
            Cause::TimedOut => f.write_str("timed out")?,
            Cause::Busy => f.write_str("another thread is using this direction of the socket")?,
            Cause::OwnershipViolation => {
                f.write_str("the descriptor was closed or replaced behind hangup's back")?;
            }
            _ => f.write_str(&errno::message(self.errno))?,
        }
        match &self.closed_by {
            Some(place) => write!(f, " (closed by {place})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
