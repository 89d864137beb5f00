//! WebSockets on the engine, with tungstenite as the client, over TCP.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::ws::{begin, end, next, settings, start, text, Client};
use common::{alone, open_numbers, reset, wait_until, PATIENCE};
use hangup_core::ws::{Ending, Event, Heartbeat, Offered, Origin, Protocol, Settings, WebSocket};
use tungstenite::Message;

fn engine_io(interval: u64, timeout: u64, upgrade: bool) -> Settings {
    let heartbeat =
        Heartbeat { interval: Duration::from_millis(interval), timeout: Duration::from_millis(timeout) };
    let origin = if upgrade { Origin::Upgraded } else { Origin::Begun };
    Settings { protocol: Protocol::EngineIo { heartbeat, origin }, ..settings() }
}

#[test]
fn messages_go_both_ways_and_early_bytes_are_not_lost() {
    let _alone = alone();
    let before = open_numbers();
    let early = [0x81, 0x85, 0, 0, 0, 0, b'e', b'a', b'r', b'l', b'y', 0x81]; // and half a header
    let (socket, mut client) = start(settings(), &early);
    client.get_mut().write_all(&[0x82, 0, 0, 0, 0, b'o', b'k']).unwrap(); // its other half
    assert_eq!(next(&socket), Event::Text("early".to_owned()));
    assert_eq!(next(&socket), Event::Text("ok".to_owned()));
    assert!(matches!(socket.offer(&[text("there")], None), Offered::Sent | Offered::Queued));
    assert_eq!(client.read().unwrap(), Message::text("there"));
    client.send(Message::binary(vec![0, 255])).unwrap();
    assert_eq!(next(&socket), Event::Binary(vec![0, 255]));
    client.close(None).unwrap();
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (1005, Ending::Peer));
    assert!(closure.received > 0 && closure.sent > 0);
    drop(client);
    drop(socket);
    wait_until("descriptors return", || open_numbers().len() <= before.len() + 2);
    // the engine's own
}

#[test]
fn frames_of_many_senders_are_whole_and_in_order() {
    const SENDERS: usize = 8;
    const EACH: usize = 2_000;
    let (socket, mut client) = start(settings(), &[]);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                for number in 0..EACH {
                    let padding = "x".repeat(number % 1500);
                    let offered = socket.offer(&[text(&format!("{sender} {number} {padding}"))], None);
                    assert!(matches!(offered, Offered::Sent | Offered::Queued));
                }
            })
        })
        .collect();
    let mut expected = [0; SENDERS];
    for _ in 0..SENDERS * EACH {
        let message = client.read().unwrap().into_text().unwrap();
        let mut words = message.split(' ');
        let sender: usize = words.next().unwrap().parse().unwrap();
        let number: usize = words.next().unwrap().parse().unwrap();
        assert_eq!(number, expected[sender], "of sender {sender}");
        assert_eq!(words.next().unwrap().len(), number % 1500);
        expected[sender] += 1;
    }
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn a_client_that_reads_late_misses_nothing() {
    let (socket, mut client) = start(settings(), &[]);
    for number in 0..20_000 {
        let offered = socket.offer(&[text(&format!("{number} {}", "x".repeat(1_000)))], None);
        assert!(matches!(offered, Offered::Sent | Offered::Queued));
    }
    assert!(socket.queued() > 0, "the kernel took everything: nothing is tested");
    for number in 0..20_000 {
        let message = client.read().unwrap().into_text().unwrap();
        assert!(message.starts_with(&format!("{number} ")));
    }
    wait_until("all of it is struck off", || socket.queued() == 0);
}

#[test]
fn each_end_is_told_once_with_its_cause() {
    type Leave = fn(Client);
    let cases: [(&str, Leave, u16, Ending); 4] = [
        ("reset", |client| reset(client.get_ref().try_clone().unwrap()), 1006, Ending::Transport),
        (
            "end of stream",
            |client| client.get_ref().shutdown(Shutdown::Write).unwrap(),
            1006,
            Ending::Transport,
        ),
        (
            "half a frame",
            |mut client| {
                client.get_mut().write_all(&[0x81, 0xff, 0]).unwrap();
                client.get_ref().shutdown(Shutdown::Write).unwrap();
            },
            1006,
            Ending::Transport,
        ),
        (
            "garbage",
            |mut client| client.get_mut().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
            1002,
            Ending::Violation,
        ),
    ];
    for (what, leave, code, cause) in cases {
        let (socket, client) = start(settings(), &[]);
        leave(client);
        let closure = end(&socket);
        assert_eq!((closure.code, closure.cause), (code, cause), "{what}: {closure:?}");
        assert_eq!(socket.receive(Duration::ZERO), None, "{what}");
        assert_eq!(socket.offer(&[text("x")], None), Offered::Gone, "{what}");
    }
}

#[test]
fn a_close_of_ours_follows_what_was_sent() {
    let (socket, mut client) = start(settings(), &[]);
    socket.offer(&[text("last words")], None);
    socket.close(1001, "going away");
    assert_eq!(socket.offer(&[text("too late")], None), Offered::Gone);
    assert_eq!(client.read().unwrap(), Message::text("last words"));
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "going away"));
    assert!(client.read().is_err()); // answers the close frame, and meets the end
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (1001, Ending::Here));
}

#[test]
fn a_close_that_nobody_answers_ends_by_its_deadline() {
    let (socket, _client) = start(Settings { close_limit: Duration::from_millis(50), ..settings() }, &[]);
    socket.close(1000, "");
    assert_eq!(end(&socket).cause, Ending::Here);
}

#[test]
fn a_client_for_whom_too_much_waits_is_dropped() {
    let close_limit = Duration::from_millis(50);
    let (socket, _client) = start(Settings { max_queued: 1 << 20, close_limit, ..settings() }, &[]);
    let block = "x".repeat(100_000);
    wait_until("the queue is full", || socket.offer(&[text(&block)], None) == Offered::Overflowed);
    assert_eq!(socket.offer(&[text("2")], None), Offered::Gone);
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (1013, Ending::Overflow));
}

#[test]
fn small_frames_cost_more_than_their_bytes() {
    const LIMIT: usize = 1 << 20;
    let (socket, _client) = start(Settings { max_queued: LIMIT, ..settings() }, &[]);
    while socket.queued() < LIMIT / 10 {
        socket.offer(&[text(&"x".repeat(100_000))], None); // until the kernel takes no more
    }
    let mut queued = 0;
    while socket.offer(&[text("2")], None) == Offered::Queued {
        queued += 1;
        assert!(queued < LIMIT / 90, "their bookkeeping is not counted");
    }
    assert_eq!(end(&socket).cause, Ending::Overflow);
}

#[test]
fn a_client_that_reads_nothing_is_left_by_a_deadline() {
    let limit = Duration::from_millis(100);
    let (socket, _client) = start(Settings { stall_limit: limit, close_limit: limit, ..settings() }, &[]);
    fill(&socket, 0);
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (1013, Ending::Stalled));
}

/// Sends until much more than `level` waits.
fn fill(socket: &WebSocket, level: usize) {
    while socket.queued() <= level + 1_000_000 {
        socket.offer(&[text(&"x".repeat(100_000))], None);
    }
}

#[test]
fn who_waits_for_room_gets_it_when_the_client_reads() {
    const LEVEL: usize = 100_000;
    let (socket, mut client) = start(settings(), &[]);
    assert!(socket.wait_for_room(LEVEL, Duration::ZERO));
    fill(&socket, LEVEL);
    assert!(!socket.wait_for_room(LEVEL, Duration::from_millis(10)));
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let socket = Arc::clone(&socket);
            thread::spawn(move || (socket.wait_for_room(LEVEL, PATIENCE), socket.queued()))
        })
        .collect();
    while socket.queued() > 0 {
        client.read().unwrap();
    }
    for waiter in waiting {
        let (there, queued) = waiter.join().unwrap();
        assert!(there && queued <= LEVEL);
    }
}

#[test]
fn who_waits_for_room_is_told_of_the_end() {
    let ends: [fn(&WebSocket, &TcpStream); 3] = [
        |socket, _| socket.close(1000, ""),
        |socket, _| socket.end(Ending::Here),
        |_, client| client.shutdown(Shutdown::Both).unwrap(),
    ];
    for end in ends {
        let (socket, client) = start(settings(), &[]);
        fill(&socket, 0);
        let waits = Arc::clone(&socket);
        let waiter = thread::spawn(move || waits.wait_for_room(0, PATIENCE));
        end(&socket, client.get_ref());
        assert!(waiter.join().unwrap());
        assert_eq!(socket.offer(&[text("x")], None), Offered::Gone);
    }
}

#[test]
fn what_nobody_handles_is_not_read() {
    let (socket, client) = start(settings(), &[]);
    client.get_ref().set_nonblocking(true).unwrap();
    let frame = [&[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &vec![b'x'; 0xffff]].concat();
    let mut sent = 0;
    let mut stalled = 0;
    while stalled < 200 {
        if let Ok(count) = client.get_ref().write(&frame[sent % frame.len()..]) {
            (sent, stalled) = (sent + count, 0);
        } else {
            stalled += 1;
            thread::yield_now();
        }
        assert!(sent < 256 << 20, "it reads without end");
    }
    let whole = sent / frame.len();
    for _ in 0..whole {
        assert!(matches!(next(&socket), Event::Binary(bytes) if bytes.len() == 0xffff));
    }
}

/// A client that said more than is read ahead, and left: the WebSocket, and the number of its messages.
fn left_behind(settings: Settings) -> (Arc<WebSocket>, usize) {
    let (ours, mut client) = UnixStream::pair().unwrap();
    let socket = begin(ours.into(), &[], settings);
    client.set_nonblocking(true).unwrap();
    let frame = [&[0x82, 0x8a, 0, 0, 0, 0][..], b"some bytes"].concat();
    let mut said = 0;
    let mut stalled = 0;
    while stalled < 200 {
        if client.write(&frame).is_ok_and(|count| count == frame.len()) {
            (said, stalled) = (said + 1, 0);
        } else {
            stalled += 1;
            thread::yield_now();
        }
    }
    drop(client);
    assert_eq!(socket.offer(&[text("to nobody")], None), Offered::Gone);
    (socket, said)
}

#[test]
fn what_a_client_said_before_it_left_is_heard() {
    let (socket, said) = left_behind(settings());
    for number in 0..said {
        assert!(matches!(next(&socket), Event::Binary(_)), "{number} of {said}");
    }
    assert_eq!(end(&socket).cause, Ending::Transport);
}

#[test]
fn a_client_that_left_is_not_kept_by_what_it_said() {
    let limit = Duration::from_millis(100);
    let (forgotten, _) = left_behind(Settings { stall_limit: limit, ..settings() });
    wait_until("nobody listens, and time is up", || forgotten.closure().is_some());
    let (closed, _) = left_behind(settings());
    closed.close(1000, "");
    wait_until("we close", || closed.closure().is_some());
    for socket in [forgotten, closed] {
        assert_eq!(end(&socket).cause, Ending::Transport);
    }
}

#[test]
fn a_silent_client_is_left_after_interval_and_timeout() {
    let (socket, mut client) = start(engine_io(50, 50, false), &[]);
    assert_eq!(client.read().unwrap(), Message::text("2"));
    client.send(Message::text("3")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("2"));
    assert_eq!(end(&socket).cause, Ending::Silent);
}

#[test]
fn an_upgrade_is_probed() {
    let (socket, mut client) = start(engine_io(60_000, 1000, true), &[]);
    client.send(Message::text("2probe")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("3probe"));
    assert_eq!(next(&socket), Event::Probed);
    client.send(Message::text("5")).unwrap();
    assert_eq!(next(&socket), Event::Upgraded);
    client.send(Message::text("4hello")).unwrap();
    assert_eq!(next(&socket), Event::Text("4hello".to_owned()));
    client.send(Message::text("abc")).unwrap();
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (1002, Ending::Violation));
}

#[test]
fn engine_io_tells_a_client_that_leaves_from_a_broken_one() {
    let (socket, mut client) = start(engine_io(60_000, 1000, false), &[]);
    client.send(Message::text("1")).unwrap();
    assert!(matches!(client.read().unwrap(), Message::Close(_)));
    assert!(client.read().is_err());
    assert_eq!(end(&socket).cause, Ending::Left);
}
