//! What the tests share. Nothing here sleeps: conditions are polled until a deadline.
#![allow(dead_code)] // each test binary uses its own part
#![allow(clippy::unwrap_used)] // a helper that cannot do its work is a failed test

#[cfg(feature = "transport")]
pub(crate) mod ws;

use std::fmt::Debug;
use std::fs;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hangup_core::adopt;
use hangup_core::cause::{Cause, Op};
use hangup_core::connection::{Face, Role};
use hangup_core::error::Result;
use hangup_core::fd::Patience;
use hangup_core::ledger::{self, Counter};

/// Longer than anything here takes on a busy machine; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// For tests that look at process-wide state: descriptors in use, totals, the ledger.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls `condition` until it holds. Panics with `what` after [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Polls `attempt` until it gives something.
pub(crate) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(what, || {
        found = attempt();
        found.is_some()
    });
    found.unwrap()
}

/// The numbers that are open in this process. The counters' memory is among them from the first time on.
pub(crate) fn open_numbers() -> Vec<RawFd> {
    hangup_core::metrics::join();
    let names = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let numbers: Vec<RawFd> = names.map(|name| name.to_str().unwrap().parse().unwrap()).collect();
    numbers.into_iter().filter(|number| is_open(*number)).collect() // without the directory's own
}

/// Whether `number` is open in this process.
pub(crate) fn is_open(number: RawFd) -> bool {
    fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

/// What foreign code does that closes a number which is not its own.
pub(crate) fn foreign_close(number: RawFd) {
    drop(adopt::take_over(number));
}

/// A bare number, used as foreign code uses it: without owning it.
pub(crate) fn bare(number: RawFd) -> ManuallyDrop<OwnedFd> {
    ManuallyDrop::new(adopt::take_over(number))
}

/// Closes `number` behind its owner's back and opens a stranger under the same number. Returns
/// the stranger's peer, and the stranger.
pub(crate) fn steal(number: RawFd) -> (UnixStream, OwnedFd) {
    foreign_close(number);
    let mut spare = Vec::new(); // other numbers that were free
    loop {
        let (peer, stranger) = UnixStream::pair().unwrap();
        let (peer, stranger) = if peer.as_raw_fd() == number { (stranger, peer) } else { (peer, stranger) };
        if stranger.as_raw_fd() == number {
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            return (peer, stranger.into());
        }
        spare.push((peer, stranger));
        assert!(spare.len() < 1000, "number {number} was not given out again");
    }
}

/// Our end and the peer's, connected by AF_UNIX.
pub(crate) fn unix_pair() -> (OwnedFd, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours.into(), peer)
}

/// Our end and the peer's, connected by TCP over loopback.
pub(crate) fn tcp_pair() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    (listener.accept().unwrap().0.into(), peer)
}

/// Ends the connection by RST.
pub(crate) fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

/// Sends until the kernel takes no more, so that the next sender must wait. How much that was.
pub(crate) fn clog(end: impl std::os::fd::AsFd) -> usize {
    use rustix::net::{send, SendFlags};
    let mut taken = 0;
    let block = vec![b'.'; 64 * 1024];
    while let Ok(count) = send(&end, &block, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        taken += count;
    }
    taken
}

/// Reads all until the end of the stream; a reset counts as the end.
pub(crate) fn read_to_end(mut peer: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    match peer.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    all
}

/// Whether the peer still is connected to somebody: its byte is taken, and no end is waiting for it.
pub(crate) fn echoes(peer: &mut UnixStream, far_end: &mut (impl Read + Write)) -> bool {
    let mut byte = [0];
    peer.write_all(b"?").is_ok()
        && far_end.read_exact(&mut byte).is_ok()
        && far_end.write_all(b"!").is_ok()
        && peer.read_exact(&mut byte).is_ok()
        && byte == *b"!"
}

/// A thread that can be seen to wait in the kernel.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    thread: std::thread::JoinHandle<T>,
    stat: String,
}

impl<T: Debug + Send + 'static> Watched<T> {
    pub(crate) fn spawn(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let own = fs::read_link("/proc/thread-self").unwrap();
            tell.send(format!("/proc/{}/stat", own.display())).unwrap();
            work()
        });
        Self { thread, stat: told.recv().unwrap() }
    }

    /// Returns when the thread sleeps in the kernel, seen several times in a row.
    pub(crate) fn wait_until_blocked(&self) {
        let mut seen = 0;
        wait_until("the thread blocks", || {
            let stat = fs::read_to_string(&self.stat).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            assert!(!self.thread.is_finished(), "the thread ended instead of blocking");
            seen = if state == Some('S') { seen + 1 } else { 0 };
            seen >= 20
        });
    }

    /// The thread's outcome. Panics if it does not end within [`PATIENCE`].
    pub(crate) fn outcome(self) -> T {
        wait_until("the thread ends", || self.thread.is_finished());
        self.thread.join().unwrap()
    }
}

/// True in a child process made for `test`. Otherwise makes one, expects it to pass, and is false.
pub(crate) fn in_child(test: &str) -> bool {
    const CHILD: &str = "HANGUP_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test, "--test-threads=1", "--nocapture"]).env(CHILD, "1").output();
    let output = output.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "no such test: {test}\n{stdout}");
    false
}

pub(crate) fn face(ours: OwnedFd, role: Role) -> Arc<Face> {
    Arc::new(Face::adopt(ours, role, false).unwrap())
}

pub(crate) fn number(face: &Face) -> i32 {
    face.guarded().number_for_display()
}

/// Sends all, as a caller does that has no signal handlers to run.
pub(crate) fn send_all(face: &Face, data: &[u8]) -> std::result::Result<(), (Cause, usize)> {
    let mut sent = 0;
    let writer = face.writer(Op::Send, Patience::Never).map_err(|error| (error.cause, sent))?;
    loop {
        match writer.send_all(data, &mut sent, 0, Patience::Forever) {
            Err(error) if error.cause == Cause::Interrupted => {}
            outcome => return outcome.map_err(|error| (error.cause, sent)),
        }
    }
}

pub(crate) fn recv(face: &Face, limit: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    face.recv(&mut buffer, limit, 0, Patience::Forever)?;
    Ok(buffer)
}

pub(crate) fn closed_by(outcome: Result<impl Sized>) -> Option<String> {
    let error = outcome.map(drop).unwrap_err();
    assert_eq!(error.cause, Cause::ClosedHere);
    error.closed_by
}

/// How much each total has grown since `Growth::now`.
pub(crate) struct Growth(Vec<u64>);

impl Growth {
    pub(crate) fn now() -> Self {
        Growth(Counter::ALL.iter().map(|counter| ledger::total(*counter)).collect())
    }

    pub(crate) fn of(&self, counter: Counter) -> u64 {
        ledger::total(counter) - self.0[counter as usize]
    }
}
