//! WebSockets that go on elsewhere, in the same process here: their clients notice nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use common::ws::{settings, text};
use common::{alone, tcp_pair, wait_until, PATIENCE};
use hangup_core::ws::dispatch::Dispatcher;
use hangup_core::ws::{
    Closure, Departed, Ending, Event, Heartbeat, Offered, Origin, Protocol, Settings, WebSocket,
};
use tungstenite::protocol::Role;
use tungstenite::Message;

type Client = tungstenite::WebSocket<std::net::TcpStream>;

const SECOND: Duration = Duration::from_secs(1);

fn engine_io(origin: Origin) -> Settings {
    let heartbeat = Heartbeat { interval: 20 * SECOND, timeout: 10 * SECOND };
    Settings { protocol: Protocol::EngineIo { heartbeat, origin }, ..settings() }
}

fn begin(dispatcher: &Arc<Dispatcher>) -> (Arc<WebSocket>, Client) {
    let (ours, peer) = tcp_pair();
    let settings = engine_io(Origin::Begun);
    let socket = WebSocket::start(ours, Vec::new(), settings, Some(Arc::clone(dispatcher))).unwrap();
    (socket, tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None))
}

fn depart(socket: &WebSocket) -> Departed {
    socket.park();
    wait_until("it is quiet", || socket.is_quiet());
    socket.depart(PATIENCE).expect("a departure")
}

fn resume(departed: Departed, dispatcher: &Arc<Dispatcher>) -> Arc<WebSocket> {
    let settings = engine_io(Origin::Moved(departed.beat.expect("a heartbeat")));
    WebSocket::resume(departed, settings, Some(Arc::clone(dispatcher))).unwrap()
}

/// The next event, in a turn of its own.
fn next(dispatcher: &Arc<Dispatcher>) -> Event {
    dispatcher.next(None, PATIENCE).expect("a turn").take().expect("an event")
}

#[test]
fn what_nobody_handled_and_what_was_not_sent_go_along() {
    let _alone = alone();
    let (here, there) = (Dispatcher::for_threads(1), Dispatcher::for_threads(1));
    let (mut socket, mut client) = begin(&here);
    socket.park();
    for number in 0..3 {
        client.send(Message::text(format!("4{number}"))).unwrap();
    }
    client.get_mut().write_all(&[0x81, 0x80 + 5, 0, 0, 0, 0, b'4', b'h', b'a']).unwrap();
    let large = format!("4{}", "x".repeat(8 << 20));
    let before = Arc::clone(&socket);
    assert_eq!(socket.offer(&[text("4first")], None), Offered::Sent);
    while socket.offer(&[text(&large)], None) == Offered::Sent {} // more than the kernel takes
    assert_eq!(socket.offer(&[text("4last")], None), Offered::Queued);
    let mut sent = socket.sent();
    for _ in 0..3 {
        let departed = depart(&socket);
        assert_eq!((departed.unsent.is_empty(), departed.sent), (false, sent));
        socket = resume(departed, &there);
        sent = socket.sent();
    }
    assert_eq!(before.offer(&[text("4lost")], None), Offered::Gone);
    let closure = before.closure().expect("an end");
    assert_eq!((closure.code, closure.cause), (1005, Ending::Moved));
    socket.unpark();
    for number in 0..3 {
        assert_eq!(next(&there), Event::Text(format!("4{number}")));
    }
    client.get_mut().write_all(b"lf").unwrap();
    assert_eq!(next(&there), Event::Text("4half".to_owned()));
    assert_eq!(client.read().unwrap(), Message::text("4first"));
    let mut read = client.read().unwrap();
    while read == Message::text(&large) {
        read = client.read().unwrap();
    }
    assert_eq!(read, Message::text("4last"));
    client.send(Message::text("4more")).unwrap();
    assert_eq!(next(&there), Event::Text("4more".to_owned()));
    assert!(here.try_next(None).is_none());
}

#[test]
fn who_has_a_turn_keeps_it_and_nobody_gets_another() {
    let _alone = alone();
    let (here, there) = (Dispatcher::for_threads(1), Dispatcher::for_threads(1));
    let (socket, mut client) = begin(&here);
    client.send(Message::text("4one")).unwrap();
    client.send(Message::text("4two")).unwrap();
    let mut turn = here.next(None, PATIENCE).expect("a turn");
    assert_eq!(turn.take(), Some(Event::Text("4one".to_owned())));
    socket.park();
    assert!(!socket.is_quiet());
    assert!(socket.depart(SECOND / 20).is_none());
    assert_eq!(turn.take(), None);
    drop(turn);
    assert!(here.next(None, SECOND / 20).is_none());
    let socket = resume(depart(&socket), &there);
    assert!(there.next(None, SECOND / 20).is_none());
    socket.unpark();
    assert_eq!(next(&there), Event::Text("4two".to_owned()));
}

#[test]
fn one_that_stays_after_all_goes_on() {
    let _alone = alone();
    let here = Dispatcher::for_threads(1);
    let (socket, mut client) = begin(&here);
    socket.park();
    client.send(Message::text("4one")).unwrap();
    assert!(here.next(None, SECOND / 10).is_none());
    socket.unpark();
    assert_eq!(next(&here), Event::Text("4one".to_owned()));
    assert_eq!(socket.offer(&[text("4two")], None), Offered::Sent);
    assert_eq!(client.read().unwrap(), Message::text("4two"));
}

#[test]
fn one_that_ends_does_not_depart() {
    let _alone = alone();
    let here = Dispatcher::for_threads(1);
    let (socket, client) = begin(&here);
    socket.close(1000, "");
    socket.park();
    assert!(socket.depart(PATIENCE).is_none());
    drop(client);
    socket.unpark();
    let closed = |event| matches!(event, Event::Closed(Closure { cause: Ending::Here, .. }));
    assert!(closed(next(&here)));
    assert!(socket.depart(PATIENCE).is_none());
}

#[test]
fn the_heartbeat_goes_on_where_it_was() {
    let _alone = alone();
    let (here, there) = (Dispatcher::for_threads(1), Dispatcher::for_threads(1));
    let (socket, mut client) = begin(&here);
    std::thread::sleep(SECOND / 4);
    let mut departed = depart(&socket);
    let beat = departed.beat.expect("a heartbeat");
    assert!(!beat.awaiting_pong && beat.due_in + SECOND / 5 < 20 * SECOND);
    departed.beat = Some(hangup_core::ws::Beat { due_in: SECOND / 10, ..beat });
    let socket = resume(departed, &there);
    socket.unpark();
    assert_eq!(client.read().unwrap(), Message::text("2"));
    let beat = depart(&socket).beat.expect("a heartbeat");
    assert!(beat.awaiting_pong && beat.due_in < 10 * SECOND);
}

#[test]
fn who_waits_for_room_is_told_that_it_goes() {
    let _alone = alone();
    let here = Dispatcher::for_threads(1);
    let (socket, client) = begin(&here);
    while socket.offer(&[text(&format!("4{}", "x".repeat(1 << 20)))], None) == Offered::Sent {}
    let waiting = Arc::clone(&socket);
    let waiter = std::thread::spawn(move || waiting.wait_for_room(0, 10 * PATIENCE));
    let departed = depart(&socket);
    assert!(!departed.unsent.is_empty());
    assert!(waiter.join().unwrap());
    assert_eq!(socket.offer(&[text("4late")], None), Offered::Gone);
    drop((departed, client));
}
