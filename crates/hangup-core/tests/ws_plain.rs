//! WebSockets that speak no protocol of ours: pings, who is told of what, and an end without a close frame.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use common::ws::{dispatched, end, next, settings, start, text};
use common::{tcp_pair, wait_for, wait_until};
use hangup_core::ws::dispatch::Dispatcher;
use hangup_core::ws::{Ending, Event, Offered, Pings, Protocol, Settings, WebSocket, NO_CLOSE_FRAME};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::net::sockopt;
use tungstenite::Message;

const SHORT: Duration = Duration::from_millis(50);

fn pinged(timeout: Option<Duration>) -> Settings {
    Settings { protocol: Protocol::Plain { pings: Some(Pings { interval: SHORT, timeout }) }, ..settings() }
}

#[test]
fn a_client_that_answers_is_pinged_again() {
    let (socket, mut client) = start(pinged(Some(SHORT * 20)), &[]);
    for _ in 0..3 {
        assert!(matches!(client.read().unwrap(), Message::Ping(_))); // answered by the next read
    }
    client.send(Message::text("still here")).unwrap();
    assert_eq!(next(&socket), Event::Text("still here".to_owned()));
}

#[test]
fn a_client_that_does_not_answer_is_told_1011_and_left() {
    let (socket, mut client) = start(pinged(Some(SHORT)), &[]);
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (1011, Ending::Silent));
    assert!(matches!(client.read().unwrap(), Message::Ping(_)));
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1011, "keepalive ping timeout"));
}

#[test]
fn without_a_timeout_nobody_is_left_for_silence() {
    let (socket, mut client) = start(pinged(None), &[]);
    let stream = client.get_ref().try_clone().unwrap();
    wait_until("several pings wait unanswered", || {
        let mut seen = [0; 64];
        stream.peek(&mut seen).unwrap() >= 3 * 2
    });
    assert_eq!(socket.closure(), None);
    client.send(Message::text("good morning")).unwrap();
    assert_eq!(next(&socket), Event::Text("good morning".to_owned()));
}

#[test]
fn without_pings_the_kernels_ask_each_other() {
    for (protocol, asked) in [(Protocol::Plain { pings: None }, true), (pinged(None).protocol, false)] {
        let (ours, peer) = tcp_pair();
        let same = ours.try_clone().unwrap();
        let socket = WebSocket::start(ours, Vec::new(), Settings { protocol, ..settings() }, None).unwrap();
        assert_eq!(sockopt::socket_keepalive(&same).unwrap(), asked);
        assert_eq!(sockopt::tcp_keepidle(&same).unwrap() == Duration::from_secs(25), asked);
        drop((same, peer));
        end(&socket);
    }
}

#[test]
fn a_client_that_is_not_read_is_not_taken_for_silent() {
    let (socket, mut client) = start(pinged(Some(SHORT)), &[]);
    for _ in 0..256 {
        client.send(Message::text("behind")).unwrap(); // more than may wait: its pongs are not read
    }
    assert!(matches!(client.read().unwrap(), Message::Ping(_)));
    for _ in 0..3 {
        let (silent, _client) = start(pinged(Some(SHORT)), &[]);
        assert_eq!(end(&silent).cause, Ending::Silent); // as long as it takes
    }
    assert_eq!(socket.closure(), None);
    for _ in 0..256 {
        assert_eq!(next(&socket), Event::Text("behind".to_owned()));
    }
}

#[test]
fn an_end_without_a_close_frame_follows_what_was_sent() {
    let (socket, mut client) = start(settings(), &[]);
    socket.offer(&[text("last words")], None);
    socket.close(NO_CLOSE_FRAME, "");
    assert_eq!(socket.offer(&[text("too late")], None), Offered::Gone);
    assert_eq!(client.read().unwrap(), Message::text("last words"));
    assert!(client.read().is_err());
    let closure = end(&socket);
    assert_eq!((closure.code, closure.cause), (NO_CLOSE_FRAME, Ending::Here));
}

fn is_readable(signal: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(&signal, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn a_hub_is_told_of_room_and_of_the_end() {
    let dispatcher = Dispatcher::for_hub().unwrap();
    let signal = dispatcher.signal().unwrap();
    let (socket, mut client) = dispatched(&dispatcher, Settings { tells: true, ..settings() });
    assert!(matches!(socket.offer(&[text("taken at once")], None), Offered::Sent | Offered::Queued));
    wait_until("it is sent", || socket.queued() == 0);
    assert!(socket.wait_for_room(0, Duration::ZERO));
    assert!(!is_readable(signal));
    let block = "x".repeat(100_000);
    let mut sent = 1;
    while socket.queued() < 16 << 20 {
        assert_ne!(socket.offer(&[text(&block)], None), Offered::Gone);
        sent += 1;
    }
    assert!(!socket.wait_for_room(0, Duration::ZERO));
    assert!(!is_readable(signal), "nothing waits for the hub");
    for _ in 0..sent {
        client.read().unwrap();
    }
    wait_until("the hub is woken", || is_readable(signal));
    assert_eq!(dispatcher.told(), [socket.id()]);
    assert_eq!(socket.queued(), 0);
    assert!(dispatcher.try_next(None).is_none());
    assert!(!is_readable(signal));
    drop(client);
    wait_until("the hub is woken", || is_readable(signal));
    let ids = wait_for("the end", || Some(dispatcher.told()).filter(|ids| !ids.is_empty()));
    assert_eq!(ids, [socket.id()]);
    assert!(socket.closure().is_some(), "told before it was over");
    assert!(is_readable(signal), "its last event waits");
    let mut turn = dispatcher.try_next(None).unwrap();
    assert!(matches!(turn.take(), Some(Event::Closed(_))));
    assert!(!is_readable(signal));
}
