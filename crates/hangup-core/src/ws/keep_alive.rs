//! Who is still there, on a WebSocket on which nothing else tells: by pings (RFC 6455 section 5.5.2), or by the kernels
//! alone, which find out whether the client's machine is there.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::time::Instant;

/// When a client is pinged.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// From a pong, or the beginning, to the next ping.
    pub interval: Duration,
    /// From a ping to its pong. None: a client is pinged, and may be silent.
    pub timeout: Option<Duration>,
}

/// How long a connection may be idle before the kernels ask each other, and how often they ask.
const IDLE: Duration = Duration::from_secs(25);
const PROBES: u32 = 4;
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Has the connection end within 45 s of idleness when the client's machine is gone (tcp(7), `TCP_KEEPIDLE`). The client sees
/// nothing of it. No promise: a Unix socket has no use for it.
pub(super) fn ask_the_kernel(connection: impl AsFd) {
    let _ = sockopt::set_socket_keepalive(&connection, true)
        .and_then(|()| sockopt::set_tcp_keepidle(&connection, IDLE))
        .and_then(|()| sockopt::set_tcp_keepcnt(&connection, PROBES))
        .and_then(|()| sockopt::set_tcp_keepintvl(&connection, PROBE_INTERVAL));
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send a ping.
    Ping,
    /// The client has been silent for too long.
    Silent,
    /// Nothing.
    Nothing,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    pings: Pings,
    due: Instant,
    awaiting_pong: bool,
}

impl KeepAlive {
    pub(crate) fn new(pings: Pings) -> Self {
        Self { pings, due: Instant::now() + pings.interval, awaiting_pong: false }
    }

    /// When [`KeepAlive::pass`] wants to be called.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// A pong, whatever it repeats: the client is there.
    pub(crate) fn pong(&mut self) {
        if std::mem::take(&mut self.awaiting_pong) {
            self.due = Instant::now() + self.pings.interval;
        }
    }

    /// Time has passed: `due` is over. `deaf`: we have not been reading, so silence proves nothing.
    pub(crate) fn pass(&mut self, deaf: bool) -> Due {
        let limit = self.pings.timeout.unwrap_or(self.pings.interval);
        let awaited = std::mem::replace(&mut self.awaiting_pong, self.pings.timeout.is_some());
        self.due = Instant::now() + limit;
        match (awaited, deaf) {
            (false, _) => Due::Ping,
            (true, true) => Due::Nothing,
            (true, false) => Due::Silent,
        }
    }
}
