//! Whose turn it is: handler threads, those of them that wait, and a hub.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::ws::{dispatched, settings};
use common::{wait_for, wait_until, PATIENCE};
use hangup_core::ws::dispatch::Dispatcher;
use hangup_core::ws::Event;
use tungstenite::Message;

/// A thread that takes turns, and waits for permission after each event "wait"; tells what it handled.
fn worker(
    dispatcher: &Arc<Dispatcher>,
    lets_others_in: bool,
) -> (Receiver<String>, std::sync::mpsc::Sender<()>) {
    let (handled, out) = channel();
    let (permit, permits) = channel();
    let dispatcher = Arc::clone(dispatcher);
    thread::spawn(move || {
        while let Some(mut turn) = dispatcher.next(None, PATIENCE) {
            while let Some(event) = turn.take() {
                if lets_others_in {
                    turn.let_others_in();
                }
                let Event::Text(text) = event else { continue };
                let waits = text.starts_with("wait");
                if handled.send(text).is_err() || (waits && permits.recv().is_err()) {
                    return;
                }
            }
        }
    });
    (out, permit)
}

#[test]
fn a_blocked_handler_does_not_make_another_client_wait() {
    let dispatcher = Dispatcher::for_threads(1);
    let (first, _permit) = worker(&dispatcher, false);
    let (_one, mut one) = dispatched(&dispatcher, settings());
    let (_two, mut two) = dispatched(&dispatcher, settings());
    one.send(Message::text("wait")).unwrap();
    assert_eq!(first.recv_timeout(PATIENCE).unwrap(), "wait");
    let (second, _permit) = worker(&dispatcher, false);
    two.send(Message::text("hello")).unwrap();
    assert_eq!(second.recv_timeout(PATIENCE).unwrap(), "hello");
}

#[test]
fn two_that_come_together_do_not_wait_for_each_other() {
    let dispatcher = Dispatcher::for_threads(1);
    let workers: Vec<_> = (0..2).map(|_| worker(&dispatcher, false)).collect();
    wait_until("both wait", || dispatcher.idle() == 2);
    for _ in 0..50 {
        let (_one, mut one) = dispatched(&dispatcher, settings());
        let (_two, mut two) = dispatched(&dispatcher, settings());
        one.send(Message::text("wait")).unwrap();
        two.send(Message::text("hello")).unwrap();
        let mut blocked = None;
        let mut handled = 0;
        wait_until("both are handled", || {
            for (index, (events, _)) in workers.iter().enumerate() {
                if let Ok(event) = events.try_recv() {
                    handled += 1;
                    blocked = blocked.or((event == "wait").then_some(index));
                }
            }
            handled == 2
        });
        workers[blocked.unwrap()].1.send(()).unwrap();
        wait_until("both wait again", || dispatcher.idle() == 2);
    }
}

#[test]
fn a_blocked_handler_keeps_its_own_client_in_order() {
    let dispatcher = Dispatcher::for_threads(1);
    let (first, permit) = worker(&dispatcher, false);
    let (_one, mut one) = dispatched(&dispatcher, settings());
    one.send(Message::text("wait")).unwrap();
    assert_eq!(first.recv_timeout(PATIENCE).unwrap(), "wait");
    let (second, _permit) = worker(&dispatcher, false);
    one.send(Message::text("after")).unwrap();
    assert!(second.recv_timeout(Duration::from_millis(200)).is_err());
    permit.send(()).unwrap();
    let after = wait_for("the event behind", || first.try_recv().ok().or_else(|| second.try_recv().ok()));
    assert_eq!(after, "after");
}

#[test]
fn a_handler_that_lets_others_in_gives_its_client_up_when_it_blocks() {
    let dispatcher = Dispatcher::for_threads(1);
    let (first, _permit) = worker(&dispatcher, true);
    let (_one, mut one) = dispatched(&dispatcher, settings());
    one.send(Message::text("wait")).unwrap();
    assert_eq!(first.recv_timeout(PATIENCE).unwrap(), "wait");
    let (second, _permit) = worker(&dispatcher, true);
    one.send(Message::text("an acknowledgement")).unwrap();
    assert_eq!(second.recv_timeout(PATIENCE).unwrap(), "an acknowledgement");
}

#[test]
fn threads_are_sent_away() {
    let dispatcher = Dispatcher::for_threads(1);
    let waiting = Arc::clone(&dispatcher);
    let thread = thread::spawn(move || waiting.next(None, Duration::from_secs(3600)).is_none());
    wait_until("it waits", || dispatcher.idle() == 1);
    dispatcher.stop(PATIENCE);
    assert_eq!(dispatcher.idle(), 0);
    assert!(thread.join().unwrap());
}

#[test]
fn events_that_a_turn_leaves_are_received_and_the_next_come_with_another_turn() {
    let dispatcher = Dispatcher::for_hub().unwrap();
    let (socket, mut client) = dispatched(&dispatcher, settings());
    for round in 0..3 {
        client.send(Message::text(format!("first {round}"))).unwrap();
        wait_for("a turn", || dispatcher.try_next(None)).leave();
        client.send(Message::text("second")).unwrap();
        for expected in [format!("first {round}"), "second".to_owned()] {
            let event = wait_for("an event", || socket.receive(Duration::ZERO));
            assert_eq!(event, Event::Text(expected));
        }
        if let Some(turn) = dispatcher.try_next(None) {
            turn.leave(); // of "second", which was not there when it was asked for first
        }
        assert_eq!(socket.receive(Duration::ZERO), None);
    }
}
