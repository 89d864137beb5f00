//! How a message is delivered to a client that does not read it at once.

use std::sync::Arc;

/// What to do with a message for which the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Messages that were offered with one of the policies that drop make way, the oldest first; if that is not
    /// enough, the client is closed with 1013.
    Close,
    /// Such messages make way; if that is not enough, it is dropped.
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// It is given back: whoever offered it waits for room
    /// ([`WebSocket::wait_for_room`](super::WebSocket::wait_for_room)). Dropped if there never will be enough.
    Refuse,
}

impl Overflow {
    /// Whether the sender of a message put up with its loss.
    pub(super) const fn drops(self) -> bool {
        matches!(self, Overflow::DropOldest | Overflow::DropNewest)
    }
}

/// How a message is delivered.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// What to do if there is no room; None: [`Settings::overflow`](super::Settings::overflow).
    pub overflow: Option<Overflow>,
    /// Only the newest message of a key waits, at the end of the queue: an older one that has not begun to leave is
    /// taken out.
    pub key: Option<Arc<str>>,
}
