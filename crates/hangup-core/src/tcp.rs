//! What the kernel knows of a TCP connection (`TCP_INFO`, tcp(7)).

use std::os::fd::RawFd;
use std::time::Duration;

use crate::fd::sys;

/// In the order of the kernel's numbers, from 1 (`net/tcp_states.h`).
const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
]; // fmt: skip

/// Whether the peer of `fd` has ended its sending side or is gone, and whether nothing can be sent to it any more; both if
/// `fd` is not open. poll(2), which does not wait.
pub fn departure(fd: RawFd) -> (bool, bool) {
    sys::departure(fd).unwrap_or((true, true))
}

/// A connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    state: u8,
    /// Smoothed time to the peer and back.
    pub rtt: Duration,
    /// Segments sent and not acknowledged; of a listener, clients that wait to be accepted.
    pub unacked: u32,
    /// Bytes that the kernel has and did not send.
    pub notsent: u32,
    /// Since anything was heard of the peer. In CLOSE_WAIT: at most for how long.
    pub silent: Duration,
    /// Grows with whatever is sent, also while the peer delays its acknowledgement, and with whatever is received.
    pub moved: u64,
}

impl TcpInfo {
    /// Of a number that may be anybody's; `None` if it is no TCP socket.
    pub fn of(fd: RawFd) -> Option<Self> {
        let info = sys::tcp_info(fd)?;
        // Offsets of linux/tcp.h, which only ever grows at its end.
        let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let long = |at: usize| {
            let (low, high) = (u64::from(word(at)), u64::from(word(at + 4)));
            if cfg!(target_endian = "little") {
                high << 32 | low
            } else {
                low << 32 | high
            }
        };
        Some(Self {
            state: info[0],
            unacked: word(24),
            silent: Duration::from_millis(word(56).into()),
            rtt: Duration::from_micros(word(68).into()),
            moved: long(120).wrapping_add(long(128)).wrapping_add(word(156).into()),
            notsent: word(144),
        })
    }

    /// See [`state_name`].
    pub fn state(&self) -> &'static str {
        state_name(self.state)
    }
}

/// As `ss` and RFC 9293 name a state, in lower case.
pub(crate) fn state_name(number: u8) -> &'static str {
    usize::from(number).checked_sub(1).and_then(|at| STATES.get(at)).copied().unwrap_or("unknown")
}
