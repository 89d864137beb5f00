//! Load on a server of one's own, for `hangup bench` and `hangup storm`, and for the benchmarks' `hangup-load`.
//!
//! # Promised
//! * Every figure is counted at the client. A client is connected when the server has said so in its own protocol; a
//!   message has arrived when its answer was read.
//! * What goes wrong is counted by its kind, with an example of it: names that are not found, refused connections, HTTP
//!   answers to an upgrade, servers that speak something else, resets, closes with their codes, silence.
//! * A run can be stopped at any time, and its report read at any time: both take no longer than the next turn of its loop.
//!
//! # How
//! One thread, one tokio runtime on it, one task for each client; 10,000 of them are some 10 KB each. The healthy clients that
//! watch a storm have a thread of their own, so that they do not measure the storm's own work.
//!
//! # Not promised
//! TLS. One core is enough for about 50,000 echoes per second; a server that is faster is measured as that.

pub mod bench;
mod client;
mod endpoint;
mod failure;
mod fanout;
mod figures;
pub mod frames;
mod http;
mod message;
pub mod plan;
mod probe;
pub mod process;
mod run;
mod socketio;
mod storm;
mod stream;
mod timeline;
mod websocket;

pub use run::Load;
