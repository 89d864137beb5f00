//! Who hung up: the one place where an errno is given a meaning.
//!
//! # The kernel, in short
//! An errno alone does not say who ended a connection. `EPIPE` after our own `shutdown(SHUT_WR)` is
//! our doing; on an open stream it means that the peer reset it. `EBADF` is never the peer: a number
//! that we hold open can only turn bad if somebody in this process closed it behind our back.
//! `EINTR` ends a wait, not a connection. send(2), recv(2), accept(2), shutdown(2), sendfile(2) and
//! socket(7) list what each call can return; accept(2) passes pending network errors of the new
//! connection, which say nothing about the listener.
//!
//! # Promised
//! [`classify`] is total: every errno, known or not, in every operation and state, has one [`Cause`].
//! Nobody else in the workspace looks at an errno to learn what a failure means.

use crate::fd::sys::errno::{
    EADDRNOTAVAIL, EAGAIN, EBADF, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINTR,
    EMFILE, ENETDOWN, ENETRESET, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM, ENONET, ENOPROTOOPT, ENOTCONN,
    ENOTSOCK, EOPNOTSUPP, EPERM, EPIPE, EPROTO, ESHUTDOWN, ETIMEDOUT,
};

/// What was being done when the kernel answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// accept4(2)
    Accept,
    /// recv(2)
    Recv,
    /// send(2)
    Send,
    /// sendfile(2), toward the socket
    Sendfile,
    /// shutdown(2)
    Shutdown,
    /// poll(2)
    Wait,
    /// fcntl(2), ioctl(2), getsockopt(2), fstat(2)
    Inspect,
}

impl Op {
    /// All operations, for tables and tests.
    pub const ALL: [Op; 7] =
        [Op::Accept, Op::Recv, Op::Send, Op::Sendfile, Op::Shutdown, Op::Wait, Op::Inspect];

    /// The system call's name.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Accept => "accept",
            Op::Recv => "recv",
            Op::Send => "send",
            Op::Sendfile => "sendfile",
            Op::Shutdown => "shutdown",
            Op::Wait => "poll",
            Op::Inspect => "fcntl",
        }
    }

    /// Whether the operation moves bytes toward the peer.
    pub const fn sends(self) -> bool {
        matches!(self, Op::Send | Op::Sendfile)
    }
}

/// What we had done to the descriptor by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Open,
    /// Our side ended the outgoing direction: `shutdown(SHUT_WR)` or `SHUT_RDWR`.
    WriteShut,
    /// Our side claimed the close.
    Closing,
}

impl State {
    /// All states, for tables and tests.
    pub const ALL: [State; 3] = [State::Open, State::WriteShut, State::Closing];
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer left. Nothing is broken here.
    PeerGone,
    /// The path to the peer failed; whether the peer lives is unknown.
    PathBroken,
    /// Our own side had closed or shut the descriptor before.
    ClosedHere,
    /// Not now: the operation would have to wait.
    WouldBlock,
    /// The wait ran out of its timeout.
    TimedOut,
    /// Another user holds the lane.
    Busy,
    /// A signal arrived. Run its handlers and try again.
    Interrupted,
    /// This process or machine ran out of descriptors or memory.
    Exhausted,
    /// Somebody else closed or replaced a descriptor that is ours.
    OwnershipViolation,
    /// The request made no sense to the kernel: an ordinary `OSError`, passed on as it is.
    Misuse,
}

impl Cause {
    /// Whether it says that somebody else held a lane, or may still hold it.
    pub const fn is_contention(self) -> bool {
        matches!(self, Cause::Busy | Cause::Interrupted)
    }

    /// Stable lower-case name, used as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::PeerGone => "peer_gone",
            Cause::PathBroken => "path_broken",
            Cause::ClosedHere => "closed_here",
            Cause::WouldBlock => "would_block",
            Cause::TimedOut => "timed_out",
            Cause::Busy => "busy",
            Cause::Interrupted => "interrupted",
            Cause::Exhausted => "exhausted",
            Cause::OwnershipViolation => "ownership_violation",
            Cause::Misuse => "misuse",
        }
    }
}

/// How a hang-up showed itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// The peer's RST.
    Reset,
    /// A write after the peer's RST or our `shutdown(SHUT_WR)`.
    Pipe,
    /// Anything else that says that the peer is gone.
    Aborted,
    /// Nothing was acknowledged in time.
    TimedOut,
    /// A router or the machine itself said that there is no way.
    Unreachable,
}

/// What an errno that means [`Cause::PeerGone`] or [`Cause::PathBroken`] says beyond that.
pub const fn symptom(errno: i32) -> Symptom {
    match errno {
        ECONNRESET => Symptom::Reset,
        EPIPE | ESHUTDOWN => Symptom::Pipe,
        ETIMEDOUT => Symptom::TimedOut,
        EHOSTUNREACH | EHOSTDOWN | ENETUNREACH | ENETDOWN | ENETRESET | ENONET => Symptom::Unreachable,
        _ => Symptom::Aborted,
    }
}

/// Gives `errno`, returned by `op` on a descriptor in `state`, its meaning. Total.
pub const fn classify(op: Op, errno: i32, state: State) -> Cause {
    match errno {
        EINTR => Cause::Interrupted,
        EAGAIN => Cause::WouldBlock,
        EMFILE | ENFILE | ENOBUFS | ENOMEM => Cause::Exhausted,
        // A user inside holds a reference, so the number cannot have been closed by us: see fd/mutex.rs.
        EBADF | ENOTSOCK => Cause::OwnershipViolation,
        _ if matches!(op, Op::Accept) => classify_accept(errno),
        _ if matches!(state, State::Closing) => Cause::ClosedHere,
        EPIPE | ESHUTDOWN if matches!(state, State::WriteShut) && op.sends() => Cause::ClosedHere,
        EPIPE | ESHUTDOWN | ECONNRESET | ECONNABORTED => Cause::PeerGone,
        // shutdown(2) after the peer's reset; on send and recv it is a socket that was never connected.
        ENOTCONN if matches!(op, Op::Shutdown) => Cause::PeerGone,
        ETIMEDOUT | EHOSTUNREACH | EHOSTDOWN | ENETUNREACH | ENETDOWN | ENETRESET | ENONET => {
            Cause::PathBroken
        }
        _ => Cause::Misuse,
    }
}

/// accept(2) reports pending errors of the connection that was to be accepted: take the next one.
const fn classify_accept(errno: i32) -> Cause {
    match errno {
        ECONNABORTED | ECONNRESET | ECONNREFUSED | EPROTO | EPERM | ENOPROTOOPT | EOPNOTSUPP | ENONET
        | ENETDOWN | ENETUNREACH | EHOSTDOWN | EHOSTUNREACH | ETIMEDOUT | EADDRNOTAVAIL => Cause::WouldBlock,
        _ => Cause::Misuse,
    }
}
