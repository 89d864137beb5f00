//! How a message is delivered to a client that is slow.

use std::sync::Arc;

/// What to do with a message for which the queue has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The client is closed.
    #[default]
    Close,
    /// The oldest messages that wait make room.
    DropOldest,
    /// This message is dropped.
    DropNewest,
    /// Nothing: whoever offered it may wait for room.
    Refuse,
}

/// How a message is delivered.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// What to do without room; None: what the connection's settings say.
    pub overflow: Option<Overflow>,
    /// Only the newest message of a key waits.
    pub key: Option<Arc<str>>,
}
