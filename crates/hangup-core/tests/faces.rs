//! The server's and the application's face of one connection, on real sockets.
#![allow(clippy::unwrap_used)] // an error where none belongs is the failed test

mod common;

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use common::{
    alone, closed_by, face, is_open, number, recv, send_all, tcp_pair, unix_pair, wait_until, Growth,
};
use hangup_core::cause::{Cause, Op};
use hangup_core::connection::{Face, Role};
use hangup_core::error::{Error, Result};
use hangup_core::fd::{Interest, Kind, Lane, Patience};
use hangup_core::ledger::{self, Counter};
use hangup_core::Shutdown;

#[test]
fn the_number_stays_reserved_for_the_server_after_the_applications_close() {
    let _alone = alone();
    let (ours, mut peer) = tcp_pair();
    let server = face(ours, Role::Server);
    let reserved = server.fileno();
    server.for_application().close(Some("the application".to_owned()));
    assert_eq!(common::read_to_end(&mut peer), b""); // the peer sees the end at once
    let strangers: Vec<_> = (0..64).map(|_| UnixStream::pair().unwrap()).collect();
    assert!(strangers.iter().all(|(a, b)| a.as_raw_fd() != reserved && b.as_raw_fd() != reserved));
    assert_eq!(server.fileno(), reserved);
    server.close(None);
    assert_eq!(server.fileno(), -1);
    assert!(!is_open(reserved));
    drop(strangers);
}

#[test]
fn a_server_finds_the_end_where_the_application_closed_and_it_counts_once() {
    let _alone = alone();
    let growth = Growth::now();
    let (ours, mut peer) = tcp_pair();
    let server = face(ours, Role::Server);
    let application = server.for_application();
    peer.write_all(b"unread").unwrap();
    assert_eq!(server.take_violation(Op::Send), None);
    application.close(Some("app.py:7".to_owned()));
    assert!(server.is_closed() && application.is_closed());
    assert_eq!(closed_by(server.writer(Op::Send, Patience::Forever)).as_deref(), Some("app.py:7"));
    assert_eq!(closed_by(server.writer(Op::Sendfile, Patience::Forever)).as_deref(), Some("app.py:7"));
    assert_eq!(recv(&server, 10).unwrap(), b"");
    server.shutdown(Shutdown::Both).unwrap();
    assert_eq!(closed_by(recv(&application, 10)).as_deref(), Some("app.py:7"));
    assert_eq!(application.take_violation(Op::Recv), None);
    let violation = server.take_violation(Op::Send).unwrap();
    assert_eq!((violation.closed_by.as_str(), violation.op), ("app.py:7", Op::Send));
    assert_eq!(server.take_violation(Op::Send), None);
    assert_eq!(growth.of(Counter::OwnershipViolations), 1);
    assert_eq!(growth.of(Counter::WritesPrevented), 2);
}

#[test]
fn the_server_may_end_what_the_application_closed() {
    let _alone = alone();
    let (ours, _peer) = tcp_pair();
    let server = face(ours, Role::Server);
    server.for_application().close(Some("app.py:7".to_owned()));
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(recv(&server, 10).unwrap(), b"");
    server.close(None);
    assert_eq!(server.take_violation(Op::Recv), None); // going away is no violation
    assert!(!is_open(number(&server)));
}

#[test]
fn an_upgraded_connection_refuses_its_server() {
    let _alone = alone();
    let answer = b"HTTP/1.1 101 Switching Protocols\r\n";
    for piece in [1, 2, 5, 9, 10, 11, 12, answer.len()] {
        let growth = Growth::now();
        let (ours, mut peer) = unix_pair();
        let server = face(ours, Role::Server);
        let application = server.for_application();
        for part in answer.chunks(piece) {
            send_all(&application, part).unwrap();
        }
        assert!(server.is_upgraded(), "in pieces of {piece}");
        assert_eq!(send_all(&server, b"HTTP/1.1 500 "), Err((Cause::ClosedHere, 0)));
        assert_eq!((growth.of(Counter::ResponsesRefused), growth.of(Counter::WritesPrevented)), (1, 0));
        assert_eq!(server.guarded().kind(), Kind::Upgraded);
        send_all(&application, b"frame").unwrap();
        drop((server, application));
        assert_eq!(common::read_to_end(&mut peer), [&answer[..], b"frame"].concat());
    }
}

#[test]
fn only_a_101_of_the_application_upgrades() {
    let _alone = alone();
    let upgrades = |bytes: &[u8], by_the_server: bool| {
        let (ours, _peer) = unix_pair();
        let server = face(ours, Role::Server);
        let application = server.for_application();
        send_all(if by_the_server { &server } else { &application }, bytes).unwrap();
        send_all(&server, b"more").is_err()
    };
    assert!(upgrades(b"HTTP/1.0 101 Switching Protocols\r\n", false));
    assert!(upgrades(b"HTTP/1.1 101", false));
    assert!(!upgrades(b"HTTP/1.1 101 Switching Protocols\r\n", true));
    assert!(!upgrades(b"HTTP/1.1 10", false));
    assert!(!upgrades(b"HTTP/1.1 200 101", false));
    assert!(!upgrades(b" HTTP/1.1 101 Switching Protocols", false));
    assert!(!upgrades(b"\0\0\0\0\0\0\0\0\x00101", false));
}

#[test]
fn detach_gives_the_number_back_unless_somebody_is_inside() {
    let _alone = alone();
    let growth = Growth::now();
    let (ours, mut peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let causes = |outcome: Result<i32>| outcome.map_err(|error| error.cause);
    let inside = face.guarded().try_lane(Lane::Read, Op::Recv).unwrap();
    assert_eq!(causes(face.detach()), Err(Cause::Busy));
    drop(inside);
    let held = face.hold().unwrap();
    assert_eq!(causes(face.detach()), Err(Cause::Busy));
    drop(held);
    assert_eq!(causes(face.detach()), Ok(number(&face)));
    assert_eq!(causes(face.detach()), Err(Cause::ClosedHere));
    assert_eq!(send_all(&face, b"x"), Err((Cause::ClosedHere, 0)));
    face.close(None);
    assert!(!ledger::global().owns(number(&face)));
    let mut foreign = UnixStream::from(hangup_core::adopt::take_over(number(&face)));
    drop(face);
    foreign.write_all(b"alive").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    assert_eq!((growth.of(Counter::Detached), growth.of(Counter::Closed)), (1, 0));
}

#[test]
fn detach_of_what_was_closed_gives_nothing_back() {
    let _alone = alone();
    let (ours, _peer) = unix_pair();
    let face = face(ours, Role::Owner);
    face.close(Some("the test".to_owned()));
    assert_eq!(closed_by(face.detach()).as_deref(), Some("the test"));
}

#[test]
fn a_green_connection_never_waits_in_the_kernel() {
    let _alone = alone();
    let (ours, _peer) = unix_pair();
    let face = Face::adopt(ours, Role::Owner, true).unwrap();
    face.set_timeout(None);
    assert_eq!(face.patience(0), Patience::Never);
    let mut byte = [0];
    let blocking =
        rustix::net::recv(&*common::bare(face.fileno()), &mut byte, rustix::net::RecvFlags::empty());
    assert_eq!(blocking.unwrap_err(), rustix::io::Errno::AGAIN);
}

#[test]
fn faces_of_one_connection_may_do_anything_at_the_same_time() {
    let _alone = alone();
    let (before, growth) = ((common::open_numbers(), ledger::global().open()), Growth::now());
    let rounds = if cfg!(debug_assertions) { 200 } else { 3_000 };
    for round in 0..rounds {
        let (ours, mut peer) = if round % 8 == 0 {
            let (ours, peer) = tcp_pair();
            (ours, peer.into())
        } else {
            let (ours, peer) = unix_pair();
            (ours, OwnedFd::from(peer))
        };
        let server = face(ours, Role::Server);
        let application = Arc::new(server.for_application());
        std::thread::scope(|scope| {
            for turn in 0..6 {
                let (server, application) = (Arc::clone(&server), Arc::clone(&application));
                scope.spawn(move || anything(round + turn, &server, &application).map_err(check).err());
            }
            scope.spawn(|| rustix::io::write(&peer, b"request").is_ok());
        });
        drop((server, application));
        peer = OwnedFd::from(UnixStream::from(peer)); // dropped with the round
        drop(peer);
    }
    wait_until("the engine lets go", || {
        (common::open_numbers().len(), ledger::global().open()) <= (before.0.len() + 3, before.1)
    });
    let ends: u64 =
        [Counter::Closed, Counter::Detached, Counter::Stolen].map(|why| growth.of(why)).iter().sum();
    assert_eq!((growth.of(Counter::Adopted), ends), (rounds as u64, rounds as u64));
    assert_eq!(growth.of(Counter::OwnershipViolations), 0);
}

fn anything(choice: usize, server: &Face, application: &Face) -> Result<()> {
    let patience = Patience::from_timeout(Some(Duration::from_millis(1)));
    match choice % 9 {
        0 => server.close(None),
        1 => application.close(None),
        2 => drop(recv_some(server, patience)?),
        3 => drop(recv_some(application, patience)?),
        4 => drop(server.writer(Op::Send, patience)?.send(b"x", 0, patience)?),
        5 => drop(application.writer(Op::Send, patience)?.send(b"x", 0, patience)?),
        6 => server.shutdown(Shutdown::Write)?,
        7 => drop(application.hold()?),
        _ => drop(application.wait(Interest::Writable, patience)?),
    }
    Ok(())
}

fn recv_some(face: &Face, patience: Patience) -> Result<usize> {
    face.recv(&mut Vec::new(), 100, 0, patience)
}

fn check(error: Error) {
    let expected = [Cause::ClosedHere, Cause::Busy, Cause::TimedOut, Cause::Interrupted, Cause::PeerGone];
    assert!(expected.contains(&error.cause), "{error:?}");
}

#[test]
fn a_number_that_foreign_code_closed_is_reserved_again_when_it_comes_back() {
    let _alone = alone();
    let (ours, _peer) = tcp_pair();
    let server = Face::adopt(ours, Role::Server, false).unwrap();
    let number = server.guarded().number_for_display();
    let (mut stranger, newcomer) = common::steal(number);
    let before = Growth::now();

    let newcomer = Face::adopt(newcomer, Role::Server, false).unwrap();
    assert_ne!(newcomer.guarded().number_for_display(), number);
    assert!(is_open(number), "the server still knows it");
    stranger.write_all(b"hello").unwrap();
    assert_eq!(recv(&newcomer, 10).unwrap(), b"hello");
    assert!(recv(&server, 10).map_or(true, |received| received.is_empty()));

    server.close(None);
    assert!(!is_open(number));
    stranger.write_all(b"still").unwrap();
    assert_eq!(recv(&newcomer, 10).unwrap(), b"still");
    assert_eq!(before.of(Counter::Stolen), 1);
}
