//! Messages over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use super::inbox::ROOM;
use super::packet::LONGEST;
use super::*;

fn name() -> Vec<u8> {
    format!("hangup-test-{}", crate::session_id::session_id(0).expect("chance")).into_bytes()
}

fn next(inbox: &Inbox) -> Message {
    assert_eq!(crate::fd::sys::wait_ready(inbox.signal(), false, Some(Duration::from_secs(10))), Ok(true));
    inbox.take().expect("what was signalled")
}

#[test]
fn messages_of_any_size_arrive_in_order() {
    let name = name();
    let inbox = Inbox::open(&name).expect("a name");
    let line = Line::open(&name).expect("an inbox");
    let sizes = [1, 0, LONGEST, LONGEST + 1, 5 * LONGEST, 7];
    for size in sizes {
        line.send(&vec![size as u8; size], None, Duration::from_secs(10)).expect("room");
    }
    for size in sizes {
        assert_eq!(next(&inbox).data, vec![size as u8; size]);
    }
    assert!(inbox.take().is_none());
    assert_eq!(crate::fd::sys::wait_ready(inbox.signal(), false, Some(Duration::ZERO)), Ok(false));
}

#[test]
fn a_connection_goes_along() {
    let name = name();
    let inbox = Inbox::open(&name).expect("a name");
    let line = Line::open(&name).expect("an inbox");
    let (passed, mut kept) = std::os::unix::net::UnixStream::pair().expect("two ends");
    line.send(b"here", Some(passed.as_fd()), Duration::from_secs(10)).expect("room");
    drop(passed);
    let message = next(&inbox);
    assert_eq!(message.data, b"here");
    let mut theirs = std::os::unix::net::UnixStream::from(message.connection.expect("a connection"));
    theirs.write_all(b"hello").expect("open");
    drop(theirs);
    let mut heard = String::new();
    kept.read_to_string(&mut heard).expect("text");
    assert_eq!(heard, "hello");
}

#[test]
fn who_sends_more_than_there_is_room_for_waits() {
    let name = name();
    let inbox = Inbox::open(&name).expect("a name");
    let line = Line::open(&name).expect("an inbox");
    let long = vec![7; ROOM / 4];
    let mut sent = 0;
    while line.send(&long, None, Duration::from_millis(100)).is_ok() {
        sent += 1;
        assert!(sent < 10_000, "nobody ever waits");
    }
    for _ in 0..sent {
        assert_eq!(next(&inbox).data.len(), long.len());
    }
    line.send(b"again", None, Duration::from_secs(10)).expect("room");
    assert_eq!(next(&inbox).data, b"again");
}

#[test]
fn who_is_gone_is_told_apart() {
    let name = name();
    assert_eq!(Line::open(&name).expect_err("nobody").kind(), ErrorKind::ConnectionRefused);
    let inbox = Inbox::open(&name).expect("a name");
    let line = Line::open(&name).expect("an inbox");
    drop(inbox);
    let gone = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        line.send(b"late", None, Duration::ZERO).err()
    });
    assert_ne!(gone.expect("an error").kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_was_sent_first_comes_first_whoever_sent_it() {
    let name = name();
    let inbox = Inbox::open(&name).expect("a name");
    let lines: Vec<_> = (0..4).map(|_| Line::open(&name).expect("an inbox")).collect();
    for number in 0..20_000_u32 {
        let line = &lines[(number as usize * 7) % lines.len()];
        line.send(&number.to_ne_bytes(), None, Duration::from_secs(10)).expect("room");
    }
    for number in 0..20_000_u32 {
        assert_eq!(next(&inbox).data, number.to_ne_bytes());
    }
}
