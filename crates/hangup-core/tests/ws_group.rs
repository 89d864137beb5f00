//! One message to many clients, over TCP.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::Duration;

use common::ws::{begin, end, settings, text, Client};
use common::{tcp_pair, wait_until};
use hangup_core::cause::Op;
use hangup_core::fd::{Lane, Patience};
use hangup_core::ws::group::{broadcast, try_broadcast, Group, Mailbox, Tally};
use hangup_core::ws::{codec, Data, Delivery, Ending, Offered, OpCode, Overflow, Settings, WebSocket};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tungstenite::protocol::Role;
use tungstenite::Message;

struct Member {
    socket: Arc<WebSocket>,
    mailbox: Arc<Mailbox>,
    client: Client,
}

fn member() -> Member {
    member_with(settings())
}

fn member_with(settings: Settings) -> Member {
    let (ours, peer) = tcp_pair();
    set_socket_send_buffer_size(&ours, 200 * 1024).unwrap(); // and the kernel doubles it
    let socket = begin(ours, &[], settings);
    let client = tungstenite::WebSocket::from_raw_socket(peer, Role::Client, None);
    let mailbox = Arc::new(Mailbox::new());
    assert!(mailbox.attach(Arc::clone(&socket)));
    Member { socket, mailbox, client }
}

fn group(members: &[Member]) -> Group {
    let group = Group::default();
    for member in members {
        assert!(group.add(Arc::clone(&member.mailbox)));
    }
    group
}

fn send(groups: &[&Group], words: &str, skipped: &[u64]) -> Tally {
    broadcast(groups, &[text(words)], skipped, &Delivery::default())
}

/// All texts up to the close frame.
fn texts(mut client: Client) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(message) = client.read() {
        if let Message::Text(text) = message {
            texts.push(text.to_string());
        }
    }
    texts
}

fn close(member: Member) -> Vec<String> {
    member.socket.close(1000, "");
    let reader = thread::spawn(move || texts(member.client));
    end(&member.socket);
    reader.join().unwrap()
}

#[test]
fn everybody_in_any_of_the_groups_gets_it_once_except_those_left_out() {
    let members: Vec<_> = (0..4).map(|_| member()).collect();
    let (first, second) = (group(&members[..3]), group(&members[1..]));
    let skipped = [members[1].mailbox.id()];
    let tally = send(&[&first, &second], "both", &skipped);
    assert_eq!((tally.queued, tally.sent, tally.gone), (3, 0, 0));
    assert_eq!(send(&[&first], "first", &[]).queued, 3);
    let nobody = send(&[], "nobody", &[]);
    assert_eq!((nobody.queued, nobody.sent, nobody.gone), (0, 0, 0));
    let read: Vec<_> = members.into_iter().map(close).collect();
    assert_eq!(read, [vec!["both", "first"], vec!["first"], vec!["both", "first"], vec!["both"]]);
}

#[test]
fn one_client_is_sent_to_at_once() {
    let only = member();
    assert_eq!(send(&[&group(std::slice::from_ref(&only))], "now", &[]).sent, 1);
    assert_eq!(close(only), ["now"]);
}

#[test]
fn a_client_without_a_websocket_is_returned_and_one_that_left_is_gone() {
    let members = [member(), member()];
    let group = group(&members);
    let polling = Arc::new(Mailbox::new());
    assert!(group.add(Arc::clone(&polling)));
    assert!(!group.add(Arc::clone(&polling)));
    let [leaving, staying] = members;
    close(leaving);
    let tally = send(&[&group], "who is there", &[]);
    assert_eq!((tally.queued, tally.gone, tally.elsewhere), (1, 1, vec![polling.id()]));
    assert_eq!(close(staying), ["who is there"]);
}

#[test]
fn who_has_no_room_is_named_if_the_message_is_refused() {
    let members = [member(), member()];
    let huge = [codec::frame(OpCode::Data(Data::Binary), &vec![0; 40 << 20])];
    let delivery = Delivery { overflow: Some(Overflow::Refuse), key: None };
    let group = group(&members);
    assert_eq!(broadcast(&[&group], &huge, &[], &delivery).queued, 2);
    let refused = broadcast(&[&group], &huge, &[], &delivery).refused;
    assert_eq!(refused, members.iter().map(|member| member.mailbox.id()).collect::<Vec<_>>());
    for member in &members {
        member.socket.end(Ending::Here);
        end(&member.socket);
    }
}

#[test]
fn nobody_is_taken_for_slow_because_the_engine_is_behind() {
    const MESSAGES: usize = 30;
    let settings = Settings { max_queued: 64 * 1024, ..settings() };
    let members = [member_with(settings), member_with(settings)];
    let group = group(&members);
    let block = "x".repeat(8 * 1024);
    let delivery = Delivery { overflow: None, key: Some("newest".into()) };
    for number in 0..MESSAGES {
        let message = [text(&format!("{number} {block}"))];
        let tally = broadcast(&[&group], &message, &[], &delivery);
        assert_eq!(tally.queued + tally.sent, 2);
    }
    for member in members {
        assert_eq!((member.socket.dropped(), member.socket.coalesced()), (0, 0));
        assert_eq!(close(member).len(), MESSAGES);
    }
}

#[test]
fn nobody_is_taken_for_slow_because_somebody_else_is_sending() {
    let member = member_with(Settings { max_queued: 16 * 1024, ..settings() });
    let block = [text(&"x".repeat(7 * 1024))];
    let sending = member.socket.guarded().lane(Lane::Write, Op::Send, Patience::Never).unwrap();
    let (done, is_done) = mpsc::channel();
    let offering = {
        let socket = Arc::clone(&member.socket);
        thread::spawn(move || {
            let outcomes = [(); 3].map(|()| socket.offer(&block, Some(&Delivery::default())));
            done.send(()).unwrap();
            outcomes
        })
    };
    assert!(is_done.recv_timeout(Duration::from_millis(20)).is_err()); // there is no room for the third
    let group = group(std::slice::from_ref(&member));
    assert!(
        !try_broadcast(&[&group], &[text(&"y".repeat(7 * 1024))], &[], &Delivery::default()).is_complete()
    );
    assert_eq!(member.socket.try_offer(&[text(&"z".repeat(7 * 1024))], None), None); // nothing was done
    drop(sending);
    assert!(!offering.join().unwrap().contains(&Offered::Overflowed));
    assert_eq!(close(member).len(), 3);
}

#[test]
fn pings_are_answered_while_somebody_else_is_sending() {
    const PINGS: usize = 12;
    const LIMIT: usize = 1024;
    let mut member = member_with(Settings { max_queued: LIMIT, ..settings() });
    let sending = member.socket.guarded().lane(Lane::Write, Op::Send, Patience::Never).unwrap();
    for _ in 0..PINGS {
        member.client.send(Message::Ping(vec![0; 100].into())).unwrap();
    }
    wait_until("all are answered", || member.socket.queued() == PINGS * 102);
    drop(sending);
    member.socket.close(1000, "");
    let answers = std::iter::from_fn(|| member.client.read().ok());
    assert_eq!(answers.filter(|answer| matches!(answer, Message::Pong(_))).count(), PINGS);
    assert_eq!(end(&member.socket).cause, Ending::Here);
}

#[test]
fn messages_from_many_threads_reach_each_client_once_and_in_the_order_of_their_thread() {
    const THREADS: usize = 4;
    const MESSAGES: usize = 500;
    let members: Vec<_> = (0..8).map(|_| member()).collect();
    let visitors: Vec<_> = (0..4).map(|_| member()).collect();
    let group = Arc::new(group(&members));
    let is_over = Arc::new(AtomicBool::new(false));
    let coming_and_going = {
        let (group, is_over) = (Arc::clone(&group), Arc::clone(&is_over));
        let visitors: Vec<_> = visitors.iter().map(|visitor| Arc::clone(&visitor.mailbox)).collect();
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                for visitor in &visitors {
                    assert!(group.add(Arc::clone(visitor)));
                }
                for visitor in &visitors {
                    assert!(group.remove(visitor));
                }
            }
        })
    };
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    send(&[&group], &format!("{thread} {number}"), &[]);
                }
            })
        })
        .collect();
    let read: Vec<_> = members.iter().map(|member| Arc::clone(&member.socket)).collect();
    let readers: Vec<_> = members
        .into_iter()
        .chain(visitors)
        .map(|member| (member.socket, thread::spawn(|| texts(member.client))))
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    coming_and_going.join().unwrap();
    assert_eq!(group.len(), read.len());
    for (place, (socket, reader)) in readers.into_iter().enumerate() {
        socket.close(1000, "");
        end(&socket);
        let texts = reader.join().unwrap();
        for thread in 0..THREADS {
            let prefix = format!("{thread} ");
            let numbers: Vec<usize> = texts
                .iter()
                .filter_map(|text| text.strip_prefix(&prefix))
                .map(|number| number.parse().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "twice, or out of order: {numbers:?}");
            assert!(
                place >= read.len() || numbers.len() == MESSAGES,
                "a member got {} of them",
                numbers.len()
            );
        }
    }
}
