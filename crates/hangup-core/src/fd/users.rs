//! Those who are inside a descriptor: each is counted from its admission until it is dropped.
//!
//! | | bound to | lane | may outlive a call |
//! | --- | --- | --- | --- |
//! | [`User`] | a borrow | no | no |
//! | [`LaneGuard`] | a borrow | receiving or sending | no |
//! | [`Hold`] | nothing | no | no |
//! | [`Lease`] | nothing | no | yes; a forked child inherits it |
//!
//! While one of them lives, the number is not closed by us, so it names the same socket.

#[cfg(feature = "transport")]
use std::io::IoSlice;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{Shutdown, SocketAddrAny};

use super::guarded::{thread_number, GuardedFd};
use super::mutex::Lane;
use super::sys;
use super::wait::Patience;
use crate::cause::Op;
use crate::error::{Error, Result};
use crate::fork;

/// How long a wait is believed: poll(2) does not report that a Unix socket was shut for writing by our own side
/// while it had no room, so a sender tries again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to receive, or the end.
    Readable,
    /// Room to send, or the end.
    Writable,
}

/// Permission to use the descriptor without a lane: options, addresses, waiting, shutdown.
#[derive(Debug)]
pub struct User<'a> {
    pub(super) fd: &'a GuardedFd,
}

impl User<'_> {
    /// The number, valid while this user is inside.
    pub fn number(&self) -> RawFd {
        self.fd.number
    }

    /// Waits until the socket is ready, or closed by anyone. False when patience ran out.
    pub fn wait(&self, interest: Interest, patience: Patience) -> Result<bool> {
        let limit = patience.remaining();
        sys::wait_ready(self.fd.number, interest == Interest::Writable, limit)
            .map_err(|errno| self.fd.judge(Op::Wait, errno))
    }

    /// shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        if !self.fd.is_still_ours() {
            return Err(Error::stolen(Op::Shutdown));
        }
        // Said before it is done: a sender that meets it must not take it for the peer's doing.
        let shut_before = self.fd.write_shut.load(Ordering::Relaxed);
        self.fd.write_shut.store(shut_before || how != Shutdown::Read, Ordering::Relaxed);
        sys::shutdown(self.fd.number, how).map_err(|errno| {
            self.fd.write_shut.store(shut_before, Ordering::Relaxed);
            self.fd.judge(Op::Shutdown, errno)
        })
    }

    /// Sets the kernel's `O_NONBLOCK`, if it is not known to be so already.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        if self.fd.nonblocking.load(Ordering::Relaxed) == u8::from(on) {
            return Ok(());
        }
        sys::set_nonblocking(self.fd.number, on).map_err(|errno| self.fd.judge(Op::Inspect, errno))?;
        self.fd.nonblocking.store(u8::from(on), Ordering::Relaxed);
        Ok(())
    }

    /// Whether the number is known to be stolen: foreign code closed it, and it may name something else.
    /// If so, it is given up.
    pub fn is_stolen(&self) -> bool {
        self.fd.check_ownership(Op::Inspect).is_err()
    }

    /// Remembers the inode: from now on foreign code knows the number, and may close it. Fails if it did.
    pub fn expose(&self) -> Result<RawFd> {
        self.fd.check_ownership(Op::Inspect)?;
        if self.fd.identity.get().is_none() {
            let identity =
                sys::identity(self.fd.number).map_err(|errno| self.fd.judge(Op::Inspect, errno))?;
            self.fd.identity.get_or_init(|| identity);
        }
        Ok(self.fd.number)
    }

    /// A duplicate of the descriptor, which the caller owns.
    pub fn duplicate(&self) -> Result<OwnedFd> {
        sys::duplicate(self.fd.number).map_err(|errno| self.fd.judge(Op::Inspect, errno))
    }

    /// The peer's address, if it is connected.
    pub fn peer(&self) -> Option<SocketAddrAny> {
        sys::peer(self.fd.number).ok().flatten()
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.fd.depart(self.fd.mutex.leave());
    }
}

/// Permission to receive or to send.
#[derive(Debug)]
pub struct LaneGuard<'a> {
    pub(super) fd: &'a GuardedFd,
    pub(super) lane: Lane,
}

impl LaneGuard<'_> {
    /// Receives what is there, at most `limit` bytes, appended to `buffer`. 0 is end of stream.
    pub fn try_recv(&self, buffer: &mut Vec<u8>, limit: usize, flags: i32) -> Result<usize> {
        debug_assert_eq!(self.lane, Lane::Read);
        self.fd.check_ownership(Op::Recv)?;
        let received = sys::recv_append(self.fd.number, buffer, limit, flags);
        match received {
            Ok(0) if self.fd.is_closing() => Err(Error::closed_here(Op::Recv)), // our shutdown, not the peer's
            outcome => {
                let count = outcome.map_err(|errno| self.fd.judge(Op::Recv, errno))?;
                if flags & sys::MSG_PEEK == 0 {
                    self.fd.trail.received(count);
                }
                Ok(count)
            }
        }
    }

    /// Sends what the kernel takes now.
    pub fn try_send(&self, data: &[u8], flags: i32) -> Result<usize> {
        debug_assert_eq!(self.lane, Lane::Write);
        self.fd.check_ownership(Op::Send)?;
        self.sent(Op::Send, sys::send(self.fd.number, data, flags))
    }

    /// Sends pieces behind each other, as far as the kernel takes them now.
    #[cfg(feature = "transport")]
    pub(crate) fn try_send_pieces(&self, pieces: &[IoSlice<'_>]) -> Result<usize> {
        debug_assert_eq!(self.lane, Lane::Write);
        self.fd.check_ownership(Op::Send)?;
        self.sent(Op::Send, sys::sendmsg(self.fd.number, pieces))
    }

    /// Sends from `file` what the kernel takes now. 0 is the end of the file.
    pub fn try_send_file(&self, file: &OwnedFd, offset: &mut u64, count: usize) -> Result<usize> {
        debug_assert_eq!(self.lane, Lane::Write);
        self.fd.check_ownership(Op::Sendfile)?;
        self.sent(Op::Sendfile, sys::sendfile(self.fd.number, file, offset, count))
    }

    fn sent(&self, op: Op, outcome: sys::Raw<usize>) -> Result<usize> {
        let count = outcome.map_err(|errno| self.fd.judge(op, errno))?;
        self.fd.trail.sent(count);
        Ok(count)
    }

    /// Waits until this lane can move on. Fails with [`Cause::TimedOut`] or [`Cause::Interrupted`].
    pub fn wait(&self, op: Op, patience: Patience) -> Result<()> {
        let limit = patience.capped(LOOK_AGAIN).remaining();
        match sys::wait_ready(self.fd.number, self.lane == Lane::Write, limit) {
            Ok(_) if self.fd.is_closing() => Err(Error::closed_here(op)),
            Ok(false) if patience.is_over() => Err(Error::timed_out(op)),
            Ok(_) => Ok(()),
            Err(errno) => Err(self.fd.judge(Op::Wait, errno)),
        }
    }

    /// Runs `handlers` while the lane stays taken; a write to this socket from inside gets
    /// [`Cause::Busy`] instead of waiting for itself.
    pub fn while_held<T>(&self, handlers: impl FnOnce() -> T) -> T {
        self.fd.reentrant_writer.store(thread_number(), Ordering::Relaxed);
        let outcome = handlers();
        self.fd.reentrant_writer.store(0, Ordering::Relaxed);
        outcome
    }

    /// Makes sendfile(2) return instead of waiting in the kernel.
    pub(crate) fn make_nonblocking(&self) -> Result<()> {
        self.fd.check_ownership(Op::Sendfile)?;
        User::set_nonblocking(&std::mem::ManuallyDrop::new(User { fd: self.fd }), true)
    }
}

impl Drop for LaneGuard<'_> {
    fn drop(&mut self) {
        self.fd.depart(self.fd.mutex.leave_lane(self.lane));
    }
}

/// A [`User`] that is not bound to a borrow. In a forked child it keeps nothing.
#[derive(Debug)]
pub struct Hold {
    pub(super) fd: Arc<GuardedFd>,
    /// How many forks this process was away from its ancestor; `None` if a child inherits it.
    pub(super) forks: Option<u64>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.forks.is_some_and(|forks| forks != fork::generation()) {
            return; // forgotten by forget_users_of_the_parent
        }
        self.fd.depart(self.fd.mutex.leave());
    }
}

/// A long-term user: keeps the number from being reused after the close was claimed.
#[derive(Debug)]
pub struct Lease {
    pub(super) hold: Hold,
}

impl Lease {
    /// The number, valid while the lease lasts.
    pub fn number(&self) -> RawFd {
        self.hold.fd.number
    }

    /// The descriptor that is leased.
    pub fn guarded(&self) -> &Arc<GuardedFd> {
        &self.hold.fd
    }

    /// Receives and throws away. 0 is end of stream. Works after the close was claimed. Fails if foreign
    /// code closed the number, whose bytes are a stranger's then.
    #[cfg(feature = "engine")]
    pub(crate) fn drain(&self, scratch: &mut Vec<u8>) -> Result<usize> {
        scratch.clear();
        let fd = &self.hold.fd;
        fd.check_ownership(Op::Recv)?;
        sys::recv_append(fd.number, scratch, scratch.capacity(), 0).map_err(|errno| fd.judge(Op::Recv, errno))
    }
}

impl std::os::fd::AsRawFd for Lease {
    fn as_raw_fd(&self) -> RawFd {
        self.number()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.hold.fd.leases.fetch_sub(1, Ordering::Relaxed);
    }
}
