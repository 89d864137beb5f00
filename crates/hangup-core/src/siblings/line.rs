//! A connection to somebody's inbox.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{self, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix};

use super::packet::{file_of, head, Form, DESCRIPTORS, LONGEST};
use super::{is_ours, socket};
use crate::ledger::{self, Equipment};

/// A connection to somebody's inbox.
#[derive(Debug)]
pub struct Line {
    socket: OwnedFd,
    _listed: Equipment,
}

impl Line {
    /// To the inbox with this name. `ConnectionRefused` if there is none; `PermissionDenied` if it is a stranger's.
    pub fn open(name: &[u8]) -> io::Result<Self> {
        let socket = socket()?;
        net::connect(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
        if !is_ours(&socket) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self { _listed: ledger::global().equip(socket.as_raw_fd(), "siblings"), socket })
    }

    /// Sends a message, with a connection that goes along. `WouldBlock` if there was no room for it within `limit`; any
    /// other error if the receiver is gone. Nothing was sent then.
    pub fn send(&self, data: &[u8], connection: Option<BorrowedFd<'_>>, limit: Duration) -> io::Result<()> {
        let file = if data.len() > LONGEST { Some(file_of(data)?) } else { None };
        let (form, data) = if file.is_some() { (Form::File, &[][..]) } else { (Form::Whole, data) };
        let descriptors: Vec<_> = file.as_ref().map(AsFd::as_fd).into_iter().chain(connection).collect();
        let deadline = Instant::now() + limit;
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let head = head(form);
            let pieces = [IoSlice::new(&head), IoSlice::new(data)];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match net::sendmsg(&self.socket, &pieces, &mut ancillary, flags) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let number = self.socket.as_raw_fd();
                    let writable = crate::fd::sys::wait_ready(number, true, Some(left));
                    if left.is_zero() || writable == Ok(false) {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
