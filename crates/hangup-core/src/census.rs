//! Every descriptor of the process, whoever opened it.
//!
//! # Promised
//! * Whatever was open from the beginning to the end of a census is listed, with what it is.
//! * Nothing is changed by it, and no lock is held meanwhile.
//!
//! # How
//! The kernel says how large its table is; each number below is asked whether it is open, which costs a fifth of listing
//! `/proc/self/fd`. fstat(2) tells sockets and pipes; a link is read for the rest alone. Where much is open a second
//! thread asks the kernel for all that speak TCP at once ([`crate::sock_diag`]), unless most of the machine's are others',
//! and then takes a share of the numbers; what is not among them (other families, other network namespaces) is asked
//! itself.
//!
//! # Not promised
//! One moment: what is opened or closed meanwhile may be listed or not, and a number that changes hands may be described
//! by a part of either.

use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::net::SocketType;

use crate::address::{self, Address};
use crate::fd::sys;
use crate::ledger;
use crate::sock_diag::{self, Dump, Told};
use crate::tcp::TcpInfo;

/// What was found under a number.
#[derive(Clone, Debug)]
pub struct Found {
    /// The number.
    pub fd: RawFd,
    /// `tcp`, `udp`, `unix`, `socket` (another family), `pipe`, `file`, `directory`, `device`, `memfd`, `epoll`, `eventfd`,
    /// `timerfd`, `signalfd`, `inotify` or `anonymous`.
    pub kind: &'static str,
    /// Of a socket or a pipe it is nobody else's.
    pub inode: u64,
    /// The path of a file, or the kernel's name for what has none.
    pub path: Option<String>,
    /// A socket's own address.
    pub local: Address,
    /// Its peer's.
    pub remote: Address,
    /// Of a TCP socket: see [`TcpInfo::state`].
    pub state: Option<&'static str>,
    /// hangup's own.
    pub owned: bool,
    /// Closed by execve(2).
    pub cloexec: bool,
}

/// Descriptors from which on the kernel is asked for all sockets at once.
const MANY: u64 = 128;
/// The dump ends when it has so many times as many sockets.
const SHARE: usize = 4;

/// Numbers that a thread takes at a time.
const CHUNK: RawFd = 256;

/// All that is open, in the order of the numbers, but for what the census needs itself.
#[derive(Debug)]
pub struct Census {
    seen: Vec<Seen>,
    told: Dump,
}

impl Census {
    /// Asks the kernel.
    pub fn take() -> Self {
        let open = count();
        let links = links();
        let kernel = (open > Some(MANY)).then(sock_diag::open).flatten();
        let own = [&links, &kernel].map(|own| own.as_ref().map(AsRawFd::as_raw_fd));
        let owned = owned_numbers();
        let numbers = table();
        let next = AtomicI32::new(numbers.start);
        let work = || {
            let chunks = std::iter::repeat_with(|| next.fetch_add(CHUNK, Ordering::Relaxed));
            let chunks = chunks.take_while(|begin| *begin < numbers.end).map(|begin| {
                let taken = begin..numbers.end.min(begin.saturating_add(CHUNK));
                let theirs = taken.filter(|fd| !own.contains(&Some(*fd)));
                (begin, theirs.filter_map(|fd| see(fd, &owned, links.as_ref())).collect::<Vec<_>>())
            });
            chunks.collect::<Vec<_>>()
        };
        let (told, mut seen) = std::thread::scope(|scope| {
            let help = || {
                sys::block_all_signals();
                let limit = (open.unwrap_or(0) as usize).saturating_mul(SHARE);
                let told = kernel.as_ref().map(|kernel| sock_diag::tcp_sockets(kernel, limit));
                (told.unwrap_or_default(), work())
            };
            let helper = kernel.is_some().then(|| std::thread::Builder::new().spawn_scoped(scope, help));
            let mut seen = work();
            let answer = helper.and_then(Result::ok).and_then(|helper| helper.join().ok());
            let (told, more) = answer.unwrap_or_default();
            seen.extend(more);
            (told, seen)
        });
        seen.sort_unstable_by_key(|(begin, _)| *begin);
        let seen = seen.into_iter().flat_map(|(_, seen)| seen);
        Self { seen: seen.filter_map(|seen| seen.identified(&told)).collect(), told }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The one at `index`.
    pub fn get(&self, index: usize) -> Option<Found> {
        let Seen { fd, owned, cloexec, ref what } = *self.seen.get(index)?;
        match what {
            What::Described(found) => Some(found.as_ref().clone()),
            What::Socket(_) => None, // identified() leaves none
            What::Told(place) => {
                let Told { inode, state, local, remote } = self.told.told(*place)?;
                let state = Some(state);
                Some(Found { fd, kind: "tcp", inode, path: None, local, remote, state, owned, cloexec })
            }
        }
    }

    /// Where the TCP sockets in `state` are.
    pub fn in_state(&self, state: &str) -> Vec<usize> {
        let is_wanted = |seen: &Seen| match &seen.what {
            What::Described(found) => found.state == Some(state),
            What::Told(place) => self.told.state(*place) == Some(state),
            What::Socket(_) => false,
        };
        (0..self.seen.len()).filter(|index| is_wanted(&self.seen[*index])).collect()
    }

    /// Where the descriptor `fd` is.
    pub fn index_of(&self, fd: RawFd) -> Option<usize> {
        self.seen.binary_search_by_key(&fd, |seen| seen.fd).ok()
    }
}

#[derive(Debug)]
struct Seen {
    fd: RawFd,
    owned: bool,
    cloexec: bool,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Its inode: the kernel may have told about it.
    Socket(u64),
    /// It has: where.
    Told(u32),
    Described(Box<Found>),
}

fn see(fd: RawFd, owned: &[RawFd], links: Option<&OwnedFd>) -> Option<Seen> {
    let cloexec = sys::is_cloexec(fd)?;
    let owned = owned.binary_search(&fd).is_ok();
    let stat = sys::look(fd)?;
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => What::Socket(stat.st_ino),
        _ => What::Described(Box::new(described(fd, &stat, cloexec, owned, links)?)),
    };
    Some(Seen { fd, owned, cloexec, what })
}

impl Seen {
    /// What was closed since it was seen is left out.
    fn identified(self, told: &Dump) -> Option<Self> {
        let What::Socket(inode) = self.what else { return Some(self) };
        let what = match told.place(inode) {
            Some(place) => What::Told(place),
            None => What::Described(Box::new(describe(self.fd, self.cloexec, self.owned)?)),
        };
        Some(Self { what, ..self })
    }
}

/// Where the links of descriptors are: to name them from there is shorter.
fn links() -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()).ok()
}

/// What tells a descriptor from others that had, or will have, its number: a socket's cookie, or device and inode.
pub type Identity = (u64, u64);

/// Numbers that are looked at one by one: some two milliseconds.
const FAR: u64 = 16 * 1024;

/// In place of a device.
const SOCKETS: u64 = u64::MAX;

/// Who is open under `fd`.
pub(crate) fn identity(fd: RawFd) -> Option<Identity> {
    let cookie = sys::socket_cookie(fd).map(|cookie| (SOCKETS, cookie));
    cookie.or_else(|| sys::look(fd).map(|stat| (stat.st_dev, stat.st_ino)))
}

fn owned() -> impl Fn(RawFd) -> bool {
    let numbers = owned_numbers();
    move |fd| numbers.binary_search(&fd).is_ok()
}

/// hangup's, in their order.
pub(crate) fn owned_numbers() -> Vec<RawFd> {
    let mut numbers = ledger::global().numbers();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The epoll and eventfd descriptors.
pub fn pollers() -> Vec<(RawFd, &'static str)> {
    let is_anonymous = |fd: &RawFd| {
        sys::look(*fd).is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Unknown)
    };
    let found =
        open_numbers().filter(|(fd, _)| is_anonymous(fd)).filter_map(|(fd, _)| describe(fd, true, true));
    let found = found.map(|found| (found.fd, found.kind));
    found.filter(|(_, kind)| matches!(*kind, "epoll" | "eventfd")).collect()
}

/// What is open under `fd`.
pub fn find(fd: RawFd) -> Option<Found> {
    sys::is_cloexec(fd).and_then(|cloexec| describe(fd, cloexec, owned()(fd)))
}

/// How many descriptors are open; `None` if the kernel (before 6.2) would have to list them.
pub fn count() -> Option<u64> {
    let size = rustix::fs::stat(c"/proc/self/fd").ok()?.st_size;
    u64::try_from(size).ok().filter(|count| *count > 0)
}

/// Whether so many numbers are free among these. Of very many, those behind [`FAR`] are taken for free.
pub(crate) fn has_free(numbers: Range<u64>, wanted: u64) -> bool {
    numbers.end.saturating_sub(numbers.start) > FAR
        || numbers.filter(|fd| sys::is_cloexec(*fd as RawFd).is_none()).take(wanted as usize).count() as u64
            == wanted
}

/// What changes when a descriptor is used: `None` if nothing tells.
pub fn wear(fd: RawFd) -> Option<u64> {
    TcpInfo::of(fd).map(|tcp| tcp.moved).or_else(|| sys::position(fd))
}

fn open_numbers() -> impl Iterator<Item = (RawFd, bool)> {
    table().filter_map(|fd| sys::is_cloexec(fd).map(|cloexec| (fd, cloexec)))
}

/// The numbers that may be open: the kernel's table ends there.
fn table() -> Range<RawFd> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse().ok());
    0..size.unwrap_or_else(limit)
}

/// Behind the highest number that can be open.
pub(crate) fn limit() -> RawFd {
    sys::descriptor_limit().and_then(|limit| limit.try_into().ok()).unwrap_or(1 << 16)
}

fn describe(fd: RawFd, cloexec: bool, owned: bool) -> Option<Found> {
    described(fd, &sys::look(fd)?, cloexec, owned, None)
}

fn described(fd: RawFd, stat: &Stat, cloexec: bool, owned: bool, links: Option<&OwnedFd>) -> Option<Found> {
    let mut found = Found {
        fd,
        kind: "tcp",
        inode: stat.st_ino,
        path: None,
        local: Address::None,
        remote: Address::None,
        state: None,
        owned,
        cloexec,
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => ask_socket(&mut found),
        FileType::Fifo => found.kind = "pipe",
        other => {
            let path = match links {
                Some(links) => rustix::fs::readlinkat(links, fd.to_string(), Vec::new()),
                None => rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()),
            };
            let path = path.ok()?;
            let path = path.to_string_lossy().into_owned();
            found.kind = match other {
                FileType::RegularFile if path.starts_with("/memfd:") => "memfd",
                FileType::RegularFile => "file",
                FileType::Directory => "directory",
                FileType::CharacterDevice | FileType::BlockDevice => "device",
                _ => anonymous(&path),
            };
            found.path = Some(path);
        }
    }
    Some(found)
}

fn ask_socket(found: &mut Found) {
    let (local, remote) = sys::addresses(found.fd);
    let family = local.as_ref().map(rustix::net::SocketAddrAny::address_family);
    found.local = address::parse(local);
    found.remote = address::parse(remote);
    found.kind = match family {
        Some(rustix::net::AddressFamily::UNIX) => "unix",
        Some(rustix::net::AddressFamily::INET | rustix::net::AddressFamily::INET6) => {
            found.state = TcpInfo::of(found.fd).map(|tcp| tcp.state());
            match sys::socket_type(found.fd).filter(|_| found.state.is_none()) {
                None => "tcp",
                Some(SocketType::DGRAM) => "udp",
                Some(_) => "socket",
            }
        }
        _ => "socket",
    };
}

fn anonymous(path: &str) -> &'static str {
    match path.strip_prefix("anon_inode:").map(|name| name.trim_matches(|c| c == '[' || c == ']')) {
        Some("eventpoll") => "epoll",
        Some("eventfd") => "eventfd",
        Some("timerfd") => "timerfd",
        Some("signalfd") => "signalfd",
        Some("inotify") => "inotify",
        _ => "anonymous",
    }
}
