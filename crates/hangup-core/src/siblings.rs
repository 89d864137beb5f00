//! Messages, and connections, from one worker of a server to another.
//!
//! # Promised
//! * A message arrives whole or not at all, behind those that the same sender sent before it, whatever its size.
//! * Nobody is heard, and nothing is told, but processes of the same user, or of root: the kernel says who is at the other
//!   end (`SO_PEERCRED`, unix(7)).
//! * The sender waits for room, not for the receiving program: the engine takes messages in while that is busy.
//! * Nothing has to be cleaned up: names are abstract (unix(7)), and go with their process, however it ends.
//!
//! # How
//! An [`Inbox`] listens under a name; a [`Line`] is a `SOCK_SEQPACKET` connection to it. A message too long for one packet
//! travels as a memory file (memfd_create(2)), a connection as `SCM_RIGHTS`.
//!
//! # Not promised
//! That a message which was sent is handled: its receiver may end before it does. At its limit of descriptors, the
//! receiver loses a connection that is passed to it, as the kernel drops it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{eventfd, EventfdFlags};
use rustix::fs::{memfd_create, MemfdFlags};
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tracing::debug;

use crate::ledger::{self, Equipment};

/// The most of a message that travels in a packet.
const LONGEST: usize = 64 * 1024;
/// Bytes that wait to be taken; more, and senders wait.
const ROOM: usize = 16 * 1024 * 1024;
/// Connections to an inbox that were not accepted yet.
const BACKLOG: i32 = 512;
/// Before it is tried again to accept.
const PAUSE: Duration = Duration::from_millis(50);
/// Descriptors in a packet: a long message, and a connection.
const DESCRIPTORS: usize = 2;

/// The first byte of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Form {
    /// The rest is the message.
    Whole = 0,
    /// The first descriptor is a file with the message.
    File = 1,
}

/// What was sent.
#[derive(Debug)]
pub struct Message {
    /// What the sender wrote.
    pub data: Vec<u8>,
    /// The connection that came along.
    pub connection: Option<OwnedFd>,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Readable while there are messages.
    signal: OwnedFd,
    room: Notify,
    end: Notify,
    _listed: Equipment,
}

/// Where a process is told things.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    /// Listens under an abstract name, which must not be in use.
    pub fn open(name: &[u8]) -> io::Result<Self> {
        let listener = socket()?;
        net::bind(&listener, &SocketAddrUnix::new_abstract_name(name)?)?;
        net::listen(&listener, BACKLOG)?;
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            _listed: ledger::global().equip(signal.as_raw_fd(), "siblings"),
            signal,
            room: Notify::new(),
            end: Notify::new(),
        });
        let listening = Arc::clone(&shared);
        crate::engine::spawn(async move { listen(listener, listening).await })?;
        Ok(Self { shared })
    }

    /// What an event loop polls: readable while there is something to take.
    pub fn signal(&self) -> RawFd {
        self.shared.signal.as_raw_fd()
    }

    /// The next message, in the order of arrival.
    pub fn take(&self) -> Option<Message> {
        let mut queue = self.shared.locked();
        let message = queue.messages.pop_front();
        if queue.messages.is_empty() {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.shared.signal, &mut count); // there is none to read if it is clear
        }
        if let Some(message) = &message {
            queue.bytes -= message.data.len();
            self.shared.room.notify_waiters();
        }
        message
    }

    /// Nobody is heard any more. What arrived can still be taken.
    pub fn close(&self) {
        self.shared.locked().is_closed = true;
        self.shared.end.notify_waiters();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn push(&self, message: Message) {
        loop {
            let (room, end) = (self.room.notified(), self.end.notified());
            {
                let mut queue = self.locked();
                if queue.is_closed {
                    return;
                }
                if queue.bytes < ROOM {
                    queue.bytes += message.data.len();
                    queue.messages.push_back(message);
                    let _ = rustix::io::write(&self.signal, &1u64.to_ne_bytes()); // full is readable
                    return;
                }
            }
            tokio::select! { () = room => {}, () = end => {} }
        }
    }
}

async fn listen(listener: OwnedFd, shared: Arc<Shared>) {
    let _listed = ledger::global().equip(listener.as_raw_fd(), "siblings");
    // its type is not a stream, but that is asked for nowhere
    let Ok(listener) = UnixListener::from_std(listener.into()) else { return };
    loop {
        let end = shared.end.notified(); // asked for first: it hears what happens from here on
        if shared.locked().is_closed {
            return;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end => return,
        };
        match accepted {
            Ok((line, _)) if is_ours(&line) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { hear(line, shared).await });
            }
            Ok(_) => debug!(target: "hangup::engine", "a stranger was turned away"),
            // for want of descriptors or memory: whoever waits in the backlog goes on waiting
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn hear(line: UnixStream, shared: Arc<Shared>) {
    let _listed = ledger::global().equip(line.as_raw_fd(), "siblings");
    let mut buffer = vec![0; LONGEST + 1];
    loop {
        let end = shared.end.notified();
        if shared.locked().is_closed {
            return;
        }
        let ready = tokio::select! {
            ready = line.readable() => ready,
            () = end => return,
        };
        let received =
            ready.and_then(|()| line.try_io(Interest::READABLE, || receive(line.as_fd(), &mut buffer)));
        match received {
            Ok(Some(message)) => shared.push(message).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// None at the end of the connection.
fn receive(line: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Message>> {
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
    let Some((form, data)) = buffer[..received.bytes].split_first() else { return Ok(None) };
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let data = if *form == Form::File as u8 {
        let mut file = std::fs::File::from(descriptors.pop_front().ok_or(io::ErrorKind::InvalidData)?);
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut data)?;
        data
    } else {
        data.to_vec()
    };
    Ok(Some(Message { data, connection: descriptors.pop_front() }))
}

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
        let (form, data) =
            if file.is_some() { ([Form::File as u8], &[][..]) } else { ([Form::Whole as u8], data) };
        let descriptors: Vec<_> = file.as_ref().map(AsFd::as_fd).into_iter().chain(connection).collect();
        let deadline = std::time::Instant::now() + limit;
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let pieces = [IoSlice::new(&form), IoSlice::new(data)];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match net::sendmsg(&self.socket, &pieces, &mut ancillary, flags) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let left = deadline.saturating_duration_since(std::time::Instant::now());
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

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn file_of(data: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("hangup-message", MemfdFlags::CLOEXEC)?);
    file.write_all(data)?;
    Ok(file.into())
}

/// Whether the same user is at the other end, or root.
fn is_ours(line: impl AsFd) -> bool {
    let own = rustix::process::geteuid();
    net::sockopt::socket_peercred(line).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Vec<u8> {
        format!("hangup-test-{}", crate::session_id::session_id(0).expect("chance")).into_bytes()
    }

    fn next(inbox: &Inbox) -> Message {
        assert_eq!(
            crate::fd::sys::wait_ready(inbox.signal(), false, Some(Duration::from_secs(10))),
            Ok(true)
        );
        inbox.take().expect("what was signalled")
    }

    #[test]
    fn messages_of_any_size_arrive_in_order() {
        let name = name();
        let inbox = Inbox::open(&name).expect("a name");
        let line = Line::open(&name).expect("an inbox");
        let sizes = [1, 0, LONGEST, LONGEST + 1, 5 * LONGEST, 7];
        for size in sizes {
            line.send(&vec![size as u8; size], None, Duration::from_secs(10)).expect("room");
        }
        for size in sizes {
            assert_eq!(next(&inbox).data, vec![size as u8; size]);
        }
        assert!(inbox.take().is_none());
        assert_eq!(crate::fd::sys::wait_ready(inbox.signal(), false, Some(Duration::ZERO)), Ok(false));
    }

    #[test]
    fn a_connection_goes_along() {
        let name = name();
        let inbox = Inbox::open(&name).expect("a name");
        let line = Line::open(&name).expect("an inbox");
        let (passed, mut kept) = std::os::unix::net::UnixStream::pair().expect("two ends");
        line.send(b"here", Some(passed.as_fd()), Duration::from_secs(10)).expect("room");
        drop(passed);
        let message = next(&inbox);
        assert_eq!(message.data, b"here");
        let mut theirs = std::os::unix::net::UnixStream::from(message.connection.expect("a connection"));
        theirs.write_all(b"hello").expect("open");
        drop(theirs);
        let mut heard = String::new();
        kept.read_to_string(&mut heard).expect("text");
        assert_eq!(heard, "hello");
    }

    #[test]
    fn who_sends_more_than_there_is_room_for_waits() {
        let name = name();
        let inbox = Inbox::open(&name).expect("a name");
        let line = Line::open(&name).expect("an inbox");
        let long = vec![7; ROOM / 4];
        let mut sent = 0;
        while line.send(&long, None, Duration::from_millis(100)).is_ok() {
            sent += 1;
            assert!(sent < 10_000, "nobody ever waits");
        }
        for _ in 0..sent {
            assert_eq!(next(&inbox).data.len(), long.len());
        }
        line.send(b"again", None, Duration::from_secs(10)).expect("room");
        assert_eq!(next(&inbox).data, b"again");
    }

    #[test]
    fn who_is_gone_is_told_apart() {
        let name = name();
        assert_eq!(Line::open(&name).expect_err("nobody").kind(), io::ErrorKind::ConnectionRefused);
        let inbox = Inbox::open(&name).expect("a name");
        let line = Line::open(&name).expect("an inbox");
        drop(inbox);
        let gone = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            line.send(b"late", None, Duration::ZERO).err()
        });
        assert_ne!(gone.expect("an error").kind(), io::ErrorKind::WouldBlock);
    }
}
