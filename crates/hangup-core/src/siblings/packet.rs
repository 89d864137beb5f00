//! What a message is on its way: a form, a time, and octets.

use std::io::{self, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use std::collections::VecDeque;

use rustix::fs::{memfd_create, MemfdFlags};
use rustix::net::{self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};
use rustix::time::{clock_gettime, ClockId};

use super::Message;

/// The most of a message that travels in a packet.
pub(super) const LONGEST: usize = 64 * 1024;
/// Descriptors in a packet: a long message, and a connection.
pub(super) const DESCRIPTORS: usize = 2;
/// A [`Form`], and a time.
const HEAD: usize = 1 + size_of::<u64>();
/// A packet at most.
pub(super) const PACKET: usize = HEAD + LONGEST;

/// The first byte of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    /// The rest is the message.
    Whole = 0,
    /// The first descriptor is a file with the message.
    File = 1,
}

/// Nanoseconds on the clock that all processes of a machine share (`CLOCK_MONOTONIC`, clock_gettime(2)).
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What goes in front.
pub(super) fn head(form: Form) -> [u8; HEAD] {
    let mut head = [form as u8; HEAD];
    head[1..].copy_from_slice(&now().to_ne_bytes());
    head
}

/// A file with a message that is too long.
pub(super) fn file_of(data: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("hangup-message", MemfdFlags::CLOEXEC)?);
    file.write_all(data)?;
    Ok(file.into())
}

/// A message, and when it was sent; None at the end of the connection.
pub(super) fn receive(line: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<(u64, Message)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = net::recvmsg(line, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    let mut descriptors = VecDeque::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let Some((head, data)) = buffer[..received.bytes].split_first_chunk::<HEAD>() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let [form, sent @ ..] = *head;
    let data = if form == Form::File as u8 {
        let mut file = std::fs::File::from(descriptors.pop_front().ok_or(io::ErrorKind::InvalidData)?);
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut data)?;
        data
    } else {
        data.to_vec()
    };
    Ok(Some((u64::from_ne_bytes(sent), Message { data, connection: descriptors.pop_front() })))
}
