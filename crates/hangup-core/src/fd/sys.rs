//! System calls, one function each. No locking decision is made here.
//!
//! Each function says its EINTR policy. All sends carry `MSG_NOSIGNAL`, and all transfers
//! `MSG_DONTWAIT`: the only place where a thread of ours waits in the kernel is [`wait_ready`].
//!
//! This module, with `memory`, is the only one with `unsafe`. A raw number is borrowed for the length of one call.
//! The callers in [`super::guarded`] hold a user's admission meanwhile, so it cannot be closed
//! under the call by us.
#![allow(unsafe_code)]

#[cfg(not(loom))]
mod memory;

#[cfg(feature = "transport")]
use std::io::IoSlice;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags};

#[cfg(not(loom))]
pub(crate) use memory::{memory_file, Page, SharedWords, PAGE_WORDS};

/// Errno values and their texts, so that no other file needs libc.
pub(crate) mod errno {
    pub(crate) use libc::{
        EADDRNOTAVAIL, EAGAIN, EBADF, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINTR,
        EMFILE, ENETDOWN, ENETRESET, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM, ENONET, ENOPROTOOPT, ENOTCONN,
        ENOTSOCK, EOPNOTSUPP, EPERM, EPIPE, EPROTO, ESHUTDOWN, ETIMEDOUT,
    };

    /// The C library's text for `errno`.
    pub(crate) fn message(errno: i32) -> String {
        let text = std::io::Error::from_raw_os_error(errno).to_string();
        text.split(" (os error").next().unwrap_or_default().to_owned()
    }
}

/// An errno as returned by the kernel.
pub(crate) type Raw<T> = std::result::Result<T, i32>;

/// `MSG_DONTWAIT`, for callers that pass flags on.
pub const MSG_DONTWAIT: i32 = libc::MSG_DONTWAIT;
/// `MSG_WAITALL`, for callers that pass flags on.
pub const MSG_WAITALL: i32 = libc::MSG_WAITALL;
/// `MSG_PEEK`.
pub(crate) const MSG_PEEK: i32 = libc::MSG_PEEK;

/// The most that one recv(2) asks for: more than the kernel's largest default receive buffer (tcp(7)).
const MAX_RECV: usize = 16 * 1024 * 1024;
/// Bytes of the kernel's `struct tcp_info` that are asked for.
pub(crate) const TCP_INFO: usize = 160;
const MSG_NOSIGNAL: i32 = libc::MSG_NOSIGNAL;

fn raw(error: Errno) -> i32 {
    error.raw_os_error()
}

fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    debug_assert!(fd >= 0);
    // SAFETY: `fd` is not -1, and the caller holds an admission to it until the call that uses the
    // borrow has returned; the borrow does not leave this file.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// recv(2) into uninitialised memory. Bytes received; 0 is end of stream. EINTR cannot occur with
/// `MSG_DONTWAIT`; if the kernel says it, the caller sees it.
pub(crate) fn recv(fd: RawFd, buffer: &mut [MaybeUninit<u8>], flags: i32) -> Raw<usize> {
    // With MSG_TRUNC, TCP counts bytes that it did not store (tcp(7)).
    let flags = RecvFlags::from_bits_retain((flags & !libc::MSG_TRUNC | MSG_DONTWAIT) as u32);
    rustix::net::recv(borrow(fd), buffer, flags).map(|((filled, _), _)| filled.len()).map_err(raw)
}

/// recv(2) appended to `buffer`, at most `limit` bytes and at most [`MAX_RECV`]: a caller may name a limit that
/// no memory could hold. `ENOMEM` if there is none.
pub(crate) fn recv_append(fd: RawFd, buffer: &mut Vec<u8>, limit: usize, flags: i32) -> Raw<usize> {
    let limit = limit.min(MAX_RECV);
    buffer.try_reserve(limit).map_err(|_| errno::ENOMEM)?;
    let start = buffer.len();
    let count = recv(fd, &mut buffer.spare_capacity_mut()[..limit], flags)?;
    // SAFETY: `recv` initialised `count` bytes from `start` on, within the reserved capacity.
    unsafe { buffer.set_len(start + count) };
    Ok(count)
}

/// send(2). Bytes taken by the kernel, possibly fewer than offered. EINTR as in [`recv`].
pub(crate) fn send(fd: RawFd, data: &[u8], flags: i32) -> Raw<usize> {
    let flags = SendFlags::from_bits_retain((flags | MSG_DONTWAIT | MSG_NOSIGNAL) as u32);
    rustix::net::send(borrow(fd), data, flags).map_err(raw)
}

/// sendmsg(2) of pieces that leave behind each other. As [`send`].
#[cfg(feature = "transport")]
pub(crate) fn sendmsg(fd: RawFd, pieces: &[IoSlice<'_>]) -> Raw<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::net::sendmsg(borrow(fd), pieces, &mut rustix::net::SendAncillaryBuffer::default(), flags)
        .map_err(raw)
}

/// sendfile(2) from `file` at `offset`, which it moves. It has no `MSG_DONTWAIT` and no
/// `MSG_NOSIGNAL`: the caller makes `fd` non-blocking and makes sure that SIGPIPE is ignored.
/// EINTR is returned.
pub(crate) fn sendfile(fd: RawFd, file: &OwnedFd, offset: &mut u64, count: usize) -> Raw<usize> {
    rustix::fs::sendfile(borrow(fd), file.as_fd(), Some(offset), count).map_err(raw)
}

/// Whether SIGPIPE is ignored in this process, which sendfile(2) needs.
pub(crate) fn sigpipe_is_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only queries; `action` is valid for writing one sigaction.
    let status = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: sigaction returned 0, so it has filled `action`.
    status == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// poll(2) for one direction. False when `limit` passed. EINTR is returned, so that the caller can
/// run signal handlers before it waits on.
pub(crate) fn wait_ready(fd: RawFd, writable: bool, limit: Option<Duration>) -> Raw<bool> {
    let events = if writable { PollFlags::OUT } else { PollFlags::IN };
    let borrowed = borrow(fd);
    let mut fds = [PollFd::new(&borrowed, events)];
    let limit = limit.map(|left| Timespec {
        tv_sec: left.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: left.subsec_nanos().into(),
    });
    rustix::event::poll(&mut fds, limit.as_ref()).map(|ready| ready > 0).map_err(raw)
}

/// poll(2) that does not wait: whether the peer has ended its sending side, and whether the connection is over.
/// `None` for what is no descriptor.
pub(crate) fn departure(fd: RawFd) -> Option<(bool, bool)> {
    let borrowed = glance(fd)?;
    let mut fds = [PollFd::new(&borrowed, PollFlags::RDHUP)];
    rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
    let events = fds[0].revents();
    (!events.contains(PollFlags::NVAL))
        .then(|| (!events.is_empty(), events.intersects(PollFlags::ERR | PollFlags::HUP)))
}

/// shutdown(2). No EINTR.
pub(crate) fn shutdown(fd: RawFd, how: Shutdown) -> Raw<()> {
    rustix::net::shutdown(borrow(fd), how).map_err(raw)
}

/// close(2), once. Never retried on EINTR: POSIX leaves open whether the descriptor is closed then;
/// on Linux it is, and a second close could hit a stranger. Its other errors report lost
/// writes of files, which a socket does not have.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: called by the last user of an owned number (see fd/guarded.rs), which nobody uses after.
    unsafe { rustix::io::close(fd) }
}

/// accept4(2) with `SOCK_CLOEXEC`. EINTR is returned.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Raw<(OwnedFd, Option<SocketAddrAny>)> {
    rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC).map_err(raw)
}

/// Sets or clears `O_NONBLOCK` by ioctl(FIONBIO). No EINTR.
pub(crate) fn set_nonblocking(fd: RawFd, on: bool) -> Raw<()> {
    rustix::io::ioctl_fionbio(borrow(fd), on).map_err(raw)
}

/// Device and inode: different for any two sockets that are open at the same time. No EINTR.
pub(crate) fn identity(fd: RawFd) -> Raw<(u64, u64)> {
    rustix::fs::fstat(borrow(fd)).map(|stat| (stat.st_dev, stat.st_ino)).map_err(raw)
}

/// What kind of file a number names, in words. EBADF if none. No EINTR.
pub(crate) fn file_kind(fd: RawFd) -> Raw<&'static str> {
    use rustix::fs::FileType;
    let mode = rustix::fs::fstat(borrow(fd)).map_err(raw)?.st_mode;
    Ok(match FileType::from_raw_mode(mode) {
        FileType::Socket => "socket",
        FileType::RegularFile => "regular file",
        FileType::Fifo => "pipe",
        FileType::Directory => "directory",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        _ => "anonymous descriptor",
    })
}

/// Whether the socket listens (`SO_ACCEPTCONN`). No EINTR.
pub(crate) fn is_listening(fd: RawFd) -> Raw<bool> {
    rustix::net::sockopt::socket_acceptconn(borrow(fd)).map_err(raw)
}

/// The address of the peer. No EINTR.
pub(crate) fn peer(fd: RawFd) -> Raw<Option<SocketAddrAny>> {
    rustix::net::getpeername(borrow(fd)).map_err(raw)
}

/// A duplicate with `FD_CLOEXEC`. No EINTR.
pub(crate) fn duplicate(fd: RawFd) -> Raw<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(borrow(fd), 0).map_err(raw)
}

/// Puts an inert descriptor (an eventfd that nobody signals) under `number`, whose socket is closed by that.
pub(crate) fn occupy(number: RawFd) -> Raw<()> {
    let inert = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map_err(raw)?;
    let mut target = ManuallyDrop::new(take_over(number));
    rustix::io::dup3(&inert, &mut target, rustix::io::DupFlags::CLOEXEC).map_err(raw)
}

/// The soft `RLIMIT_NOFILE`, if there is one.
pub(crate) fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The lowest number that is free, found by taking and returning it. `EMFILE` if there is none.
pub(crate) fn lowest_free(probe: BorrowedFd<'_>) -> Raw<RawFd> {
    rustix::io::fcntl_dupfd_cloexec(probe, 0).map(|fd| fd.as_raw_fd()).map_err(raw)
}

/// Takes and returns the lowest free number from `number` on, for which the kernel grows its table.
pub(crate) fn reach(number: RawFd) -> Raw<()> {
    let inert = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map_err(raw)?;
    rustix::io::fcntl_dupfd_cloexec(&inert, number).map(drop).map_err(raw)
}

/// The time, to a few milliseconds, for a few nanoseconds: nanoseconds since the epoch.
pub(crate) fn coarse_now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// The number for questions alone. Nobody need hold it: if it is closed the kernel says so, and if it is given
/// to somebody else the answer is about that; nothing changes by being asked.
fn glance<'a>(fd: RawFd) -> Option<BorrowedFd<'a>> {
    // SAFETY: `fd` is not -1, and the borrow does not leave the function that asks.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// fstat(2) of a number that may be anybody's.
pub(crate) fn look(fd: RawFd) -> Option<rustix::fs::Stat> {
    glance(fd).and_then(|fd| rustix::fs::fstat(fd).ok())
}

/// Whether a number that may be anybody's is `FD_CLOEXEC`; `None` if it is not open.
pub(crate) fn is_cloexec(fd: RawFd) -> Option<bool> {
    let flags = glance(fd).and_then(|fd| rustix::io::fcntl_getfd(fd).ok());
    flags.map(|flags| flags.contains(rustix::io::FdFlags::CLOEXEC))
}

/// The own address of a socket, and its peer's, of a number that may be anybody's.
pub(crate) fn addresses(fd: RawFd) -> (Option<SocketAddrAny>, Option<SocketAddrAny>) {
    let Some(fd) = glance(fd) else { return (None, None) };
    (rustix::net::getsockname(fd).ok(), rustix::net::getpeername(fd).ok().flatten())
}

/// `SO_TYPE` of a number that may be anybody's.
pub(crate) fn socket_type(fd: RawFd) -> Option<rustix::net::SocketType> {
    glance(fd).and_then(|fd| rustix::net::sockopt::socket_type(fd).ok())
}

/// `SO_COOKIE` of a number that may be anybody's: no other socket has it, also later. `None` if it is no socket.
pub(crate) fn socket_cookie(fd: RawFd) -> Option<u64> {
    glance(fd).and_then(|fd| rustix::net::sockopt::socket_cookie(fd).ok())
}

/// How far a file that may be anybody's has been read or written.
pub(crate) fn position(fd: RawFd) -> Option<u64> {
    glance(fd).and_then(|fd| rustix::fs::seek(fd, rustix::fs::SeekFrom::Current(0)).ok())
}

/// `TCP_INFO`, as far as a kernel fills it, of a number that may be anybody's. `None` if it is no TCP socket.
pub(crate) fn tcp_info(fd: RawFd) -> Option<[u8; TCP_INFO]> {
    let mut info = [0; TCP_INFO];
    let mut length = TCP_INFO as libc::socklen_t;
    // SAFETY: `info` is writable for `length` bytes through the call; a bad number is answered with EBADF.
    let status = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    (status == 0).then_some(info)
}

/// Fills `buffer`, of at most 256 bytes, for which the kernel does not wait once it has booted.
pub(crate) fn random(buffer: &mut [u8]) -> Raw<()> {
    rustix::rand::getrandom(buffer, rustix::rand::GetRandomFlags::empty()).map(drop).map_err(raw)
}

/// Blocks all signals for the calling thread: Python's handlers belong on Python's threads.
pub(crate) fn block_all_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set that it is given a valid pointer to.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: `set` was initialised above; a null old set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
}

/// Has the calling thread not interrupt others when it wakes up (SCHED_BATCH, sched(7)); it gets its share all the same.
/// False if the kernel refuses.
#[cfg(feature = "engine")]
pub(crate) fn wait_for_turn() -> bool {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a local that lives through the call; 0 names the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) == 0 }
}

/// Has fork(2) call these on the forking thread, around it (pthread_atfork(3)).
pub(crate) fn at_fork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> Raw<()> {
    // SAFETY: safe functions without arguments; this library is never unloaded, as no extension module is.
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => Ok(()),
        errno => Err(errno),
    }
}

/// Makes an owner of a number that its previous owner has given up.
pub(crate) fn take_over(fd: RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the caller detached `fd` from its previous owner, and it is open (see connection::objection).
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Registers a leased socket with the engine's epoll. `None` for want of kernel memory.
#[cfg(all(feature = "engine", not(loom)))]
pub(crate) fn watch(
    lease: super::Lease,
    interest: tokio::io::Interest,
) -> Option<tokio::io::unix::AsyncFd<super::Lease>> {
    // SAFETY: a lease keeps its number open and naming the same socket until it is dropped, and always
    // returns that number (fd/guarded.rs).
    unsafe { tokio::io::unix::AsyncFd::register_with_interest(lease, interest) }.ok()
}
