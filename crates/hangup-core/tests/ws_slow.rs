//! Clients that do not read, and what becomes of the messages to them, over TCP.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::ws::{begin, end, settings, text, Client};
use common::{tcp_pair, wait_until, PATIENCE};
use hangup_core::ws::{
    codec, Closure, Data, Delivery, Ending, Offered, OpCode, Overflow, Settings, WebSocket,
};
use rustix::net::sockopt;
use tungstenite::protocol::Role;
use tungstenite::Message;

/// More than the kernel takes for a client with [`BUFFER`].
const BEHIND: usize = 512 * 1024;
const BUFFER: usize = 16 * 1024;
/// What may wait besides.
const ROOM: usize = 64 * 1024;
const COUNT: usize = 500;

/// A client that reads nothing, and for whom so much waits that the kernel takes nothing of what is offered next.
fn stalled(settings: Settings) -> (Arc<WebSocket>, Client) {
    let (ours, peer) = tcp_pair();
    sockopt::set_socket_send_buffer_size(&ours, BUFFER).unwrap();
    sockopt::set_socket_recv_buffer_size(&peer, BUFFER).unwrap();
    let socket = begin(ours, &[], Settings { max_queued: BEHIND + ROOM, ..settings });
    let block = text(&"x".repeat(BUFFER));
    while socket.queued() + block.len() <= BEHIND {
        assert!(matches!(socket.offer(std::slice::from_ref(&block), None), Offered::Sent | Offered::Queued));
    }
    (socket, tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None))
}

/// The frames of message `number`: an event with an attachment.
fn event(number: usize) -> [Bytes; 2] {
    let attachment = codec::frame(OpCode::Data(Data::Binary), &[number as u8; 1000]);
    [text(&number.to_string()), attachment]
}

fn delivery(overflow: Overflow) -> Delivery {
    Delivery { overflow: Some(overflow), key: None }
}

fn keyed(key: &str) -> Delivery {
    Delivery { overflow: None, key: Some(key.into()) }
}

/// Reads texts until "end", with the attachment behind each number.
fn reader(mut client: Client) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let mut texts = Vec::new();
        loop {
            match client.read().unwrap() {
                Message::Text(text) if text.as_str() == "end" => return texts,
                Message::Text(text) if text.starts_with('x') => {}
                Message::Text(text) => texts.push(text.to_string()),
                Message::Binary(attachment) => {
                    let number: usize = texts.last().unwrap().parse().unwrap();
                    assert!(attachment.len() == 1000 && attachment.iter().all(|byte| *byte == number as u8));
                }
                other => panic!("{other:?}"),
            }
        }
    })
}

/// What the client sees when it reads on.
fn resumed(socket: &WebSocket, client: Client) -> Vec<String> {
    let reader = reader(client);
    wait_until("all is sent", || socket.queued() == 0);
    assert!(matches!(socket.offer(&[text("end")], None), Offered::Sent | Offered::Queued));
    reader.join().unwrap()
}

fn numbers(texts: &[String]) -> Vec<usize> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_oldest_make_way_for_the_newest() {
    let (socket, client) = stalled(Settings { overflow: Overflow::DropOldest, ..settings() });
    for number in 0..COUNT {
        assert_eq!(socket.offer(&event(number), Some(&Delivery::default())), Offered::Queued);
    }
    let dropped = socket.dropped() as usize;
    assert!(dropped > COUNT / 2 && dropped < COUNT, "{dropped}");
    assert_eq!(numbers(&resumed(&socket, client)), (dropped..COUNT).collect::<Vec<_>>());
}

#[test]
fn the_newest_are_dropped_for_want_of_room() {
    let (socket, client) = stalled(settings());
    let offered: Vec<_> = (0..COUNT)
        .map(|number| socket.offer(&event(number), Some(&delivery(Overflow::DropNewest))))
        .collect();
    let queued = offered.iter().take_while(|offered| **offered == Offered::Queued).count();
    assert!(offered[queued..].iter().all(|offered| *offered == Offered::Dropped));
    assert_eq!(socket.dropped() as usize, COUNT - queued);
    assert_eq!(numbers(&resumed(&socket, client)), (0..queued).collect::<Vec<_>>());
}

#[test]
fn who_waits_for_room_and_offers_again_loses_nothing() {
    let (socket, client) = stalled(settings());
    let refuse = delivery(Overflow::Refuse);
    let queued = (0..COUNT).find(|number| socket.offer(&event(*number), Some(&refuse)) == Offered::Refused);
    let queued = queued.expect("a refusal");
    let blocked = Arc::clone(&socket);
    let sender = thread::spawn(move || {
        for number in queued..COUNT {
            while blocked.offer(&event(number), Some(&refuse)) == Offered::Refused {
                assert!(blocked.wait_for_room(BEHIND, PATIENCE));
            }
        }
        blocked
    });
    let reader = reader(client);
    let socket = sender.join().unwrap();
    socket.offer(&[text("end")], None);
    assert_eq!(numbers(&reader.join().unwrap()), (0..COUNT).collect::<Vec<_>>());
    assert_eq!((socket.dropped(), socket.coalesced()), (0, 0));
}

#[test]
fn what_never_fits_is_not_waited_for() {
    let (socket, _client) = stalled(settings());
    let huge = [text(&"x".repeat(BEHIND + ROOM))];
    for (number, overflow) in
        [Overflow::Refuse, Overflow::DropOldest, Overflow::DropNewest].iter().enumerate()
    {
        assert_eq!(socket.offer(&huge, Some(&delivery(*overflow))), Offered::Dropped);
        assert_eq!(socket.dropped() as usize, number + 1);
    }
}

#[test]
fn only_messages_that_may_be_lost_make_way() {
    let (socket, client) = stalled(Settings { overflow: Overflow::DropOldest, ..settings() });
    socket.offer(&[text("1000")], None);
    socket.offer(&event(1001), Some(&delivery(Overflow::Refuse)));
    for number in 0..COUNT {
        socket.offer(&event(number), Some(&Delivery::default()));
    }
    let dropped = socket.dropped() as usize;
    let expected: Vec<_> = [1000, 1001].into_iter().chain(dropped..COUNT).collect();
    assert_eq!(numbers(&resumed(&socket, client)), expected);
}

#[test]
fn of_a_key_only_the_newest_waits() {
    let (socket, client) = stalled(settings());
    for number in 0..COUNT {
        let key = if number % 2 == 0 { "even" } else { "odd" };
        assert_eq!(socket.offer(&event(number), Some(&keyed(key))), Offered::Queued);
        if number % 100 == 50 {
            socket.offer(&[text(&(1000 + number).to_string())], None);
        }
    }
    assert_eq!((socket.coalesced() as usize, socket.dropped()), (COUNT - 2, 0));
    let expected = [1050, 1150, 1250, 1350, 1450, COUNT - 2, COUNT - 1];
    assert_eq!(numbers(&resumed(&socket, client)), expected);
}

#[test]
fn many_threads_replace_what_waits() {
    const THREADS: usize = 8;
    const EACH: usize = 2_000;
    let (socket, client) = stalled(settings());
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                let own = keyed(&thread.to_string());
                for number in 0..EACH {
                    let message = text(&format!("{thread} {number}"));
                    let offered = socket.offer(&[message], Some(&own));
                    assert!(matches!(offered, Offered::Sent | Offered::Queued));
                }
            })
        })
        .collect();
    wait_until("something is replaced", || socket.coalesced() > 0);
    let reader = reader(client);
    for sender in senders {
        sender.join().unwrap();
    }
    wait_until("all is sent", || socket.queued() == 0);
    socket.offer(&[text("end")], None);
    let mut newest = [None; THREADS];
    let texts = reader.join().unwrap();
    for text in &texts {
        let (thread, number) = text.split_once(' ').unwrap();
        let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
        assert!(newest[thread] < Some(number), "{thread} {number} after {newest:?}");
        newest[thread] = Some(number);
    }
    assert_eq!(newest, [Some(EACH - 1); THREADS]);
    assert_eq!(texts.len() + socket.coalesced() as usize, THREADS * EACH);
}

/// Reads whole messages, and the close frame behind them: how many, its code and its reason.
fn last_words(client: &mut Client) -> (usize, u16, String) {
    let mut messages = 0;
    loop {
        match client.read().unwrap() {
            Message::Text(text) => {
                assert_eq!(text.len(), BUFFER);
                messages += 1;
            }
            Message::Close(Some(frame)) => return (messages, frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

fn assert_told(socket: &WebSocket, mut client: Client, why: Ending, reason: &str) {
    assert!(socket.queued() <= 2 * BUFFER, "what had not begun to leave waits");
    let (messages, code, told) = last_words(&mut client);
    assert!(messages < BEHIND / BUFFER);
    assert_eq!((code, told.as_str()), (1013, reason));
    assert!(client.read().is_err()); // answers, and meets the end
    let Closure { code, cause, .. } = end(socket);
    assert_eq!((code, cause), (1013, why));
}

#[test]
fn a_client_for_whom_too_much_waits_is_told_1013_when_it_reads_on() {
    let (socket, client) = stalled(settings());
    let offered = (0..COUNT).map(|number| socket.offer(&event(number), Some(&Delivery::default())));
    assert!(offered.into_iter().any(|offered| offered == Offered::Overflowed));
    assert_eq!(socket.offer(&[text("2")], None), Offered::Gone);
    assert_told(&socket, client, Ending::Overflow, "too much waits to be read");
}

#[test]
fn a_client_that_reads_nothing_is_told_1013_when_it_reads_on_whatever_is_replaced_meanwhile() {
    let limit = Duration::from_millis(200);
    let (socket, client) = stalled(Settings { stall_limit: limit, close_limit: PATIENCE, ..settings() });
    let mut number = 0;
    wait_until("it is closed", || {
        number += 1;
        socket.offer(&event(number), Some(&keyed("a"))) == Offered::Gone
    });
    assert!(socket.coalesced() > 0);
    assert_told(&socket, client, Ending::Stalled, "nothing was read in time");
}

#[test]
fn a_client_that_reads_slowly_is_closed_when_it_has_what_is_left() {
    let limit = Duration::from_millis(100);
    let (socket, mut client) = stalled(Settings { close_limit: limit, ..settings() });
    socket.close(1000, "that is all");
    let began = Instant::now();
    let mut messages = 0;
    let code = loop {
        match client.read().unwrap() {
            Message::Text(_) => messages += 1,
            Message::Close(frame) => break u16::from(frame.unwrap().code),
            other => panic!("{other:?}"),
        }
        thread::sleep(Duration::from_millis(10)); // a slow reader, all in all far beyond the limit
    };
    assert_eq!(code, 1000);
    assert!(messages >= BEHIND / BUFFER);
    assert!(began.elapsed() > 2 * limit);
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_not_waited_for_for_ever() {
    let second = Duration::from_secs(1);
    let (socket, mut client) =
        stalled(Settings { close_limit: second, stall_limit: 2 * second, ..settings() });
    let began = Instant::now();
    socket.close(1000, "that is all");
    let taking = thread::spawn(move || {
        while client.read().is_ok() {
            thread::sleep(second / 2); // it would take more than ten seconds
        }
    });
    assert_eq!(end(&socket).cause, Ending::Here);
    assert!(began.elapsed() < 8 * second);
    taking.join().unwrap();
}
