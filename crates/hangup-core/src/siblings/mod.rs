//! Messages, and connections, from one worker of a server to another.
//!
//! # Promised
//! * A message arrives whole or not at all, whatever its size, and behind those that were sent to the same inbox before
//!   it, by whichever process.
//! * Nobody is heard, and nothing is told, but processes of the same user, or of root: the kernel says who is at the other
//!   end (`SO_PEERCRED`, unix(7)).
//! * The sender waits for room, not for the receiving program: the engine takes messages in while that is busy.
//! * Nothing has to be cleaned up: names are abstract (unix(7)), and go with their process, however it ends.
//!
//! # How
//! An [`Inbox`] listens under a name; a [`Line`] is a `SOCK_SEQPACKET` connection to it. A message too long for one packet
//! travels as a memory file (memfd_create(2)), a connection as `SCM_RIGHTS`. Each says when it was sent, on the clock
//! that all processes share: what came over several lines is put in order ([`inbox`]).
//!
//! # Not promised
//! That a message which was sent is handled: its receiver may end before it does. At its limit of descriptors, the
//! receiver loses a connection that is passed to it, as the kernel drops it. The first message of a line may come late.

mod inbox;
mod line;
mod packet;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, OwnedFd};

pub use inbox::Inbox;
pub use line::Line;
use rustix::io;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

/// What was sent.
#[derive(Debug)]
pub struct Message {
    /// What the sender wrote.
    pub data: Vec<u8>,
    /// The connection that came along.
    pub connection: Option<OwnedFd>,
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Whether the same user is at the other end, or root.
fn is_ours(line: impl AsFd) -> bool {
    let own = rustix::process::geteuid();
    net::sockopt::socket_peercred(line).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}
