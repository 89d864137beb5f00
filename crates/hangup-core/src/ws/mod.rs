//! The WebSocket transport: a connected socket, from its upgrade to its close, without a thread of its own.
//!
//! # Promised
//! * Frames leave whole and in the order in which they were offered, whoever offers them; frames that wait
//!   together leave in one system call.
//! * Nothing is waited for on a caller's thread: what the kernel does not take at once waits in a bounded queue.
//! * What does not fit closes its client, is dropped, or given back, as its sender and [`Settings::overflow`] say. What
//!   is dropped is counted; it goes as a whole, before its first byte has left.
//! * A client whose handlers are behind is not read: TCP makes it wait.
//! * Each connection reports its end once, and last, whatever ended it, and its descriptor is closed by then or
//!   within [`Settings::close_limit`].
//! * A silent client, and one that does not read, are left by a deadline.
//!
//! # How
//! One task per connection on the [`engine`](crate::engine). A sender tries the kernel itself while nothing waits
//! before it, under the descriptor's write lane; otherwise the task sends. Input goes to the connection's strand,
//! and from there to whoever asks the [`dispatch::Dispatcher`] for work.
//!
//! # Not promised
//! permessage-deflate (RFC 7692) is not negotiated. Of a message to a client that has left, nothing is known
//! beyond what the kernel had taken.

mod batch;
pub mod codec;
mod delivery;
mod departure;
pub mod dispatch;
pub mod engine_io;
pub mod group;
mod keep_alive;
mod outbox;
#[cfg(test)]
mod outbox_tests;
mod poll;
mod sending;
mod settings;
mod socket;
mod strand;
mod task;
mod turn;
mod waiting;

pub use delivery::{Delivery, Overflow};
pub use departure::Departed;
pub use engine_io::{Beat, Heartbeat, Origin};
pub use keep_alive::Pings;
pub use sending::Offered;
pub use settings::{Protocol, Settings};
pub use socket::{WebSocket, NO_CLOSE_FRAME};
pub use strand::{Closure, Ending, Event};
pub use tungstenite::handshake::derive_accept_key;
pub use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
pub use turn::Turn;
