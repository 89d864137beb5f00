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

/// How far a heartbeat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// A ping was sent, and not answered yet.
    pub awaiting_pong: bool,
    /// Until the next ping, or until the pong is late.
    pub due_in: Duration,
}

/// How a session comes to its WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It begins with it.
    Begun,
    /// It was polling, and probes the WebSocket first.
    Upgraded,
    /// It was on the same WebSocket in another process.
    Moved(Beat),
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
    /// From now on.
    pub fn new(heartbeat: Heartbeat, origin: Origin) -> Self {
        let (phase, limit, awaiting_pong) = match origin {
            Origin::Begun => (Phase::Open, heartbeat.interval, false),
            Origin::Upgraded => (Phase::Probe, UPGRADE_LIMIT, false),
            Origin::Moved(beat) => (Phase::Open, beat.due_in, beat.awaiting_pong),
        };
        Self { phase, heartbeat, due: Instant::now() + limit, awaiting_pong }
    }

    /// How far it is; None while an upgrade is probed.
    pub fn beat(&self) -> Option<Beat> {
        let due_in = self.due.saturating_duration_since(Instant::now());
        (self.phase == Phase::Open).then_some(Beat { awaiting_pong: self.awaiting_pong, due_in })
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
