//! System calls, one function each. No locking decision is made here.
//!
//! Each function says its EINTR policy. All sends carry `MSG_NOSIGNAL`, and all transfers
//! `MSG_DONTWAIT`: the only place where a thread of ours waits in the kernel is [`wait_ready`].
//!
//! This is the only file with `unsafe`: a raw number is borrowed for the length of one call.
//! The callers in [`super::guarded`] hold a user's admission meanwhile, so it cannot be closed
//! under the call by us.
#![allow(unsafe_code)]

use std::ffi::c_void;
#[cfg(feature = "transport")]
use std::io::IoSlice;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{self, MapFlags, MremapFlags, ProtFlags};
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags};

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

/// Fills `buffer`, of at most 256 bytes, for which the kernel does not wait once it has booted.
pub(crate) fn random(buffer: &mut [u8]) -> Raw<()> {
    rustix::rand::getrandom(buffer, rustix::rand::GetRandomFlags::empty()).map(drop).map_err(raw)
}

/// Blocks all signals for the calling thread: Python's handlers belong on Python's threads.
#[cfg(feature = "engine")]
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

/// Words in a [`Page`].
pub(crate) const PAGE_WORDS: usize = 512;
const PAGE: usize = PAGE_WORDS * size_of::<AtomicU64>();

/// A page of words at a fixed place, behind which the memory can be exchanged while others use it.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Page(pub(crate) [AtomicU64; PAGE_WORDS]);

impl Page {
    /// Has its words be those at `offset` of a memory file from now on; without a file, new ones, all zero, that forked
    /// children share.
    pub(crate) fn replace(&'static self, file: Option<(&OwnedFd, u64)>) -> Raw<()> {
        if rustix::param::page_size() != PAGE {
            return Err(libc::EINVAL);
        }
        let place = ptr::from_ref(self).cast_mut().cast::<c_void>();
        let (access, how) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
        let mapped = match file {
            // SAFETY: the page is all that is mapped over, and lives as long as the process. It holds nothing but
            // atomics, for which any bits are valid and which anybody may change at any time; the kernel
            // changes the mapping at one moment, before and after which an access finds memory.
            Some((file, offset)) => unsafe { mm::mmap(place, PAGE, access, how, file, offset) },
            // SAFETY: as above.
            None => unsafe { mm::mmap_anonymous(place, PAGE, access, how) },
        };
        mapped.map(drop).map_err(raw)
    }

    /// The words that it has now, under another address: they stay when they are replaced here.
    pub(crate) fn second_view(&'static self) -> Raw<SharedWords> {
        let place = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: an old size of 0 leaves the old mapping as it is, and maps what it shares once more (mremap(2)).
        let start = unsafe { mm::mremap(place, 0, PAGE, MremapFlags::MAYMOVE) }.map_err(raw)?;
        Ok(SharedWords { start: NonNull::new(start.cast()).ok_or(libc::ENOMEM)?, len: PAGE_WORDS })
    }
}

/// Words that other processes see as well.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: it owns its mapping, and what it gives access to are atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Those of a memory file, all of them. EINVAL if it could become shorter.
    pub(crate) fn map(file: &OwnedFd, writable: bool) -> Raw<Self> {
        let seals = rustix::fs::fcntl_get_seals(file).map_err(raw)?;
        let size = rustix::fs::fstat(file).map_err(raw)?.st_size as usize;
        if !seals.contains(SealFlags::SHRINK) || size == 0 || size % PAGE != 0 {
            return Err(libc::EINVAL);
        }
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at a place of the kernel's choice, which cannot lose its memory: the seal says so.
        let start =
            unsafe { mm::mmap(ptr::null_mut(), size, access, MapFlags::SHARED, file, 0) }.map_err(raw)?;
        Ok(Self {
            start: NonNull::new(start.cast()).ok_or(libc::ENOMEM)?,
            len: size / size_of::<AtomicU64>(),
        })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: mapped at a page's boundary, as long as this lives; atomics may be changed by others, and relaxed
        // and acquiring loads of eight bytes may be made from memory that is mapped for reading.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody borrows from it. Fails for a bad address alone.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), self.len * size_of::<AtomicU64>()) };
    }
}

/// A file in memory, of so many bytes for good, that its owner alone may open.
pub(crate) fn memory_file(name: &str, size: u64) -> Raw<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags), // Linux before 6.3
        made => made,
    };
    let file = file.map_err(raw)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).map_err(raw)?;
    rustix::fs::ftruncate(&file, size).map_err(raw)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).map_err(raw)?;
    Ok(file)
}
