//! Engine.IO 4 over one WebSocket: the upgrade probe, and who is silent. Pure.
//!
//! The server pings every `ping_interval` and expects a pong within `ping_timeout` (Engine.IO protocol,
//! "Heartbeat"). An upgrade from polling is probed: `2probe`, `3probe`, `5` ("Upgrade").

use std::time::Duration;

use tokio::time::Instant;

/// How long a client may take for each step of an upgrade: as socket.io-client's and Node's servers.
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);

/// The heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// From a pong, or the beginning, to the next ping.
    pub interval: Duration,
    /// From a ping to its pong.
    pub timeout: Duration,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// An upgrade: the client sends `2probe`.
    Probe,
    /// The client sends `5`.
    Upgrade,
    /// Packets are exchanged.
    Open,
}

/// What to do with a message, or with the passing of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it was for us.
    Swallow,
    /// It is the application's.
    Deliver,
    /// Send the packet.
    Send(&'static str),
    /// Send `3probe`; the pending poll must end.
    Probed,
    /// The client is here now.
    Upgraded,
    /// Close with this code.
    Close(u16, &'static str),
    /// The client said that it leaves (packet `1`).
    Left,
    /// The client has been silent for too long.
    Silent,
}

/// The state machine.
#[derive(Debug)]
pub struct EngineIo {
    phase: Phase,
    heartbeat: Heartbeat,
    due: Instant,
    awaiting_pong: bool,
}

impl EngineIo {
    /// `upgrade`: the session exists and was polling.
    pub fn new(heartbeat: Heartbeat, upgrade: bool) -> Self {
        let (phase, limit) =
            if upgrade { (Phase::Probe, UPGRADE_LIMIT) } else { (Phase::Open, heartbeat.interval) };
        Self { phase, heartbeat, due: Instant::now() + limit, awaiting_pong: false }
    }

    /// When [`EngineIo::pass`] wants to be called.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// A text message.
    pub fn text(&mut self, message: &str) -> Step {
        match (self.phase, message) {
            (Phase::Probe, "2probe") => {
                self.phase = Phase::Upgrade;
                self.due = Instant::now() + UPGRADE_LIMIT;
                Step::Probed
            }
            (Phase::Upgrade, "5") => {
                self.phase = Phase::Open;
                self.due = Instant::now() + self.heartbeat.interval;
                Step::Upgraded
            }
            (Phase::Probe | Phase::Upgrade, _) => Step::Close(1002, "upgrade not completed"),
            (Phase::Open, _) => match message.as_bytes().first() {
                Some(b'4' | b'b') => Step::Deliver, // b: bytes in base64, for clients that are told `forceBase64`
                Some(b'3') => {
                    if self.awaiting_pong {
                        self.awaiting_pong = false;
                        self.due = Instant::now() + self.heartbeat.interval;
                    }
                    Step::Swallow
                }
                Some(b'1') if message.len() == 1 => Step::Left,
                Some(b'5') if message.len() == 1 => Step::Send("6"),
                Some(b'2') if message.len() == 1 => Step::Send("3"),
                Some(b'6') if message.len() == 1 => Step::Swallow,
                _ => Step::Close(1002, "not an Engine.IO packet"),
            },
        }
    }

    /// A binary message.
    pub fn binary(&mut self) -> Step {
        match self.phase {
            Phase::Open => Step::Deliver,
            Phase::Probe | Phase::Upgrade => Step::Close(1002, "upgrade not completed"),
        }
    }

    /// Time has passed: `due` is over. `deaf`: we have not been reading, so silence proves nothing.
    pub fn pass(&mut self, deaf: bool) -> Step {
        let now = Instant::now();
        match self.phase {
            Phase::Probe | Phase::Upgrade => Step::Close(1002, "upgrade timed out"),
            Phase::Open if self.awaiting_pong && deaf => {
                self.due = now + self.heartbeat.timeout;
                Step::Swallow
            }
            Phase::Open if self.awaiting_pong => Step::Silent,
            Phase::Open => {
                self.awaiting_pong = true;
                self.due = now + self.heartbeat.timeout;
                Step::Send("2")
            }
        }
    }
}
