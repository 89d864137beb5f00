//! What a WebSocket speaks, and its limits.

use std::time::Duration;

use super::delivery::Overflow;
use super::engine_io::{Heartbeat, Origin};
use super::keep_alive::Pings;

/// What is spoken on the WebSocket.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// Messages, all of them the application's.
    Plain {
        /// Who is silent; without it, whose machine is gone.
        pings: Option<Pings>,
    },
    /// Engine.IO 4 packets.
    EngineIo {
        /// Who is silent.
        heartbeat: Heartbeat,
        /// Where the session was before.
        origin: Origin,
    },
}

/// Limits and deadlines of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What is spoken.
    pub protocol: Protocol,
    /// The largest message accepted, in bytes.
    pub max_message: usize,
    /// The most that may wait to be sent, in bytes, of which each frame takes 96 besides its own. A sixteenth is left
    /// to what closes the client if it does not fit.
    pub max_queued: usize,
    /// What is done with a message beyond that, unless its [`Delivery`](super::Delivery) says otherwise.
    pub overflow: Overflow,
    /// How long the client may take nothing of what waits.
    pub stall_limit: Duration,
    /// How long the close handshake may take.
    pub close_limit: Duration,
    /// Has the dispatcher say ([`Dispatcher::told`](super::dispatch::Dispatcher::told)) when there is the room that [`WebSocket::wait_for_room`](super::WebSocket::wait_for_room) did not
    /// find, and when the connection is over.
    pub tells: bool,
}
