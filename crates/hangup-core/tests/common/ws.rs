//! A WebSocket of ours and its client.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hangup_core::ws::codec;
use hangup_core::ws::dispatch::Dispatcher;
use hangup_core::ws::{Closure, Data, Event, OpCode, Overflow, Protocol, Settings, WebSocket};
use tungstenite::protocol::Role;

use super::{tcp_pair, wait_for, PATIENCE};

pub(crate) type Client = tungstenite::WebSocket<TcpStream>;

pub(crate) fn settings() -> Settings {
    Settings {
        protocol: Protocol::Plain { pings: None },
        max_message: 1 << 20,
        max_queued: 64 << 20,
        overflow: Overflow::Close,
        stall_limit: PATIENCE,
        close_limit: Duration::from_secs(2),
        tells: false,
    }
}

pub(crate) fn start(settings: Settings, early: &[u8]) -> (Arc<WebSocket>, Client) {
    let (ours, peer) = tcp_pair();
    (begin(ours, early, settings), tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None))
}

pub(crate) fn begin(ours: OwnedFd, early: &[u8], settings: Settings) -> Arc<WebSocket> {
    WebSocket::start(ours, early.to_vec(), settings, None).unwrap()
}

/// As [`start`], with events that go to `dispatcher`.
pub(crate) fn dispatched(dispatcher: &Arc<Dispatcher>, settings: Settings) -> (Arc<WebSocket>, Client) {
    let (ours, peer) = tcp_pair();
    let socket = WebSocket::start(ours, Vec::new(), settings, Some(Arc::clone(dispatcher))).unwrap();
    (socket, tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None))
}

pub(crate) fn text(text: &str) -> bytes::Bytes {
    codec::frame(OpCode::Data(Data::Text), text.as_bytes())
}

pub(crate) fn next(socket: &WebSocket) -> Event {
    socket.receive(PATIENCE).expect("an event")
}

/// The end; what came before it is thrown away.
pub(crate) fn end(socket: &WebSocket) -> Closure {
    wait_for("the end", || match socket.receive(PATIENCE) {
        Some(Event::Closed(closure)) => Some(closure),
        _ => None,
    })
}
