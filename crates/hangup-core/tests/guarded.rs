//! Closing while others are inside, and who hung up: on real sockets.
#![allow(clippy::unwrap_used)] // an error where none belongs is the failed test

mod common;

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{
    alone, clog, closed_by, face, is_open, number, recv, reset, send_all, tcp_pair, unix_pair, Growth,
    Watched, PATIENCE,
};
use hangup_core::cause::{Cause, Op};
use hangup_core::connection::Role;
use hangup_core::fd::{Interest, Lane, Patience, MSG_WAITALL};
use hangup_core::ledger::Counter;
use hangup_core::writer::borrow_file;
use hangup_core::Shutdown;

#[test]
fn close_ends_a_blocked_recv() {
    let _alone = alone();
    let (ours, _peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let receiver = Watched::spawn({
        let face = Arc::clone(&face);
        move || recv(&face, 10)
    });
    receiver.wait_until_blocked();
    face.close(Some("the test".to_owned()));
    assert_eq!(closed_by(receiver.outcome()).as_deref(), Some("the test"));
    assert!(!is_open(number(&face)));
}

#[test]
fn close_ends_a_blocked_send_and_says_how_far_it_got() {
    let _alone = alone();
    let (ours, mut peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let sender = Watched::spawn({
        let face = Arc::clone(&face);
        move || send_all(&face, &vec![b'x'; 4 << 20])
    });
    sender.wait_until_blocked();
    face.close(None);
    let (cause, sent) = sender.outcome().unwrap_err();
    assert_eq!(cause, Cause::ClosedHere);
    assert_eq!(common::read_to_end(&mut peer).len(), sent);
}

#[test]
fn close_ends_a_blocked_wait() {
    let _alone = alone();
    let (ours, _peer) = tcp_pair();
    let face = face(ours, Role::Owner);
    let waiter = Watched::spawn({
        let face = Arc::clone(&face);
        move || face.wait(Interest::Readable, Patience::Forever).map_err(|error| error.cause)
    });
    waiter.wait_until_blocked();
    face.close(None);
    waiter.outcome().unwrap();
}

#[test]
fn close_returns_while_others_are_inside_and_the_last_of_them_closes() {
    let _alone = alone();
    let (ours, mut peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let inside = face.guarded().try_lane(Lane::Write, Op::Send).unwrap();
    face.close(None); // on the thread that would have to leave first
    assert!(is_open(number(&face)));
    assert_eq!(common::read_to_end(&mut peer), b""); // the peer need not wait for them either
    assert_eq!(inside.try_send(b"late", 0).unwrap_err().cause, Cause::ClosedHere);
    drop(inside);
    assert!(!is_open(number(&face)));
}

#[test]
fn close_is_idempotent() {
    let _alone = alone();
    let growth = Growth::now();
    let (ours, _peer) = unix_pair();
    let face = face(ours, Role::Owner);
    face.close(Some("first".to_owned()));
    let (stranger, mut strangers_peer) = unix_pair();
    assert_eq!(stranger.as_raw_fd(), number(&face)); // the number is given out again at once
    face.close(Some("second".to_owned()));
    face.close(None);
    assert_eq!(closed_by(recv(&face, 1)).as_deref(), Some("first"));
    drop(face);
    UnixStream::from(stranger).write_all(b"!").unwrap();
    strangers_peer.read_exact(&mut [0]).unwrap();
    assert_eq!((growth.of(Counter::Adopted), growth.of(Counter::Closed)), (1, 1));
}

#[test]
fn a_reset_is_the_peers_doing() {
    let _alone = alone();
    let growth = Growth::now();
    let (ours, peer) = tcp_pair();
    let face = face(ours, Role::Owner);
    reset(peer);
    assert_eq!(recv(&face, 1).unwrap_err().cause, Cause::PeerGone);
    assert_eq!(send_all(&face, b"x"), Err((Cause::PeerGone, 0)));
    assert_eq!(growth.of(Counter::PeerGone), 2);
    face.close(None);
    assert_eq!(send_all(&face, b"x"), Err((Cause::ClosedHere, 0)));
    assert_eq!((growth.of(Counter::PeerGone), growth.of(Counter::WritesPrevented)), (2, 1));
}

#[test]
fn a_write_after_our_own_shutdown_is_ours_even_if_they_race() {
    let _alone = alone();
    for _ in 0..if cfg!(debug_assertions) { 200 } else { 2_000 } {
        let (ours, _peer) = unix_pair();
        let face = face(ours, Role::Owner);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| loop {
                match send_all(&face, b"x") {
                    Ok(()) => {}
                    Err((cause, _)) => return cause,
                }
            });
            face.shutdown(Shutdown::Write).unwrap();
            assert_eq!(sender.join().unwrap(), Cause::ClosedHere);
        });
    }
}

#[test]
fn patience_ends_in_would_block_or_timed_out() {
    let _alone = alone();
    let (ours, _peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let soon = || Patience::from_timeout(Some(Duration::from_millis(5)));
    let mut buffer = Vec::new();
    assert_eq!(face.recv(&mut buffer, 1, 0, Patience::Never).unwrap_err().cause, Cause::WouldBlock);
    assert_eq!(face.recv(&mut buffer, 1, 0, soon()).unwrap_err().cause, Cause::TimedOut);
    clog(&*common::bare(number(&face)));
    let writer = face.writer(Op::Send, soon()).unwrap();
    assert_eq!(writer.send(b"x", 0, Patience::Never).unwrap_err().cause, Cause::WouldBlock);
    assert_eq!(writer.send(b"x", 0, soon()).unwrap_err().cause, Cause::TimedOut);
    assert_eq!(face.writer(Op::Send, Patience::Never).unwrap_err().cause, Cause::Busy);
    assert_eq!(face.writer(Op::Send, soon()).unwrap_err().cause, Cause::TimedOut);
    let start = Instant::now(); // longer than one look for signals
    let outcome = face.writer(Op::Send, Patience::Until(start + PATIENCE));
    assert_eq!(outcome.unwrap_err().cause, Cause::Interrupted);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_writer_in_a_signal_handler_does_not_wait_for_the_one_it_interrupted() {
    let _alone = alone();
    let (ours, _peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let interrupted = face.writer(Op::Send, Patience::Forever).unwrap();
    let from_inside = interrupted.while_held(|| face.writer(Op::Send, Patience::Forever).map(drop));
    assert_eq!(from_inside.unwrap_err().cause, Cause::Busy);
    drop(interrupted);
    face.writer(Op::Send, Patience::Forever).unwrap();
}

#[test]
fn all_of_a_buffer_is_received_or_what_came_before_the_end() {
    let _alone = alone();
    let (ours, mut peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let receiver = Watched::spawn({
        let face = Arc::clone(&face);
        move || {
            let mut buffer = Vec::new();
            let counts = [(); 2].map(|()| face.recv(&mut buffer, 4, MSG_WAITALL, Patience::Forever));
            (counts, buffer)
        }
    });
    peer.write_all(b"ab").unwrap();
    receiver.wait_until_blocked();
    peer.write_all(b"cdef").unwrap();
    receiver.wait_until_blocked();
    face.close(None);
    assert_eq!(receiver.outcome(), ([Ok(4), Ok(2)], b"abcdef".to_vec()));
}

#[test]
fn a_file_may_be_closed_while_it_is_sent() {
    let _alone = alone();
    let (ours, mut peer) = tcp_pair();
    let face = face(ours, Role::Owner);
    let content: Vec<u8> = (0..3_000_000_u32).map(|byte| byte as u8).collect();
    let original = rustix::fs::memfd_create("content", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut writable = std::fs::File::from(original);
    writable.write_all(&content).unwrap();
    let number = writable.as_raw_fd();
    let file = borrow_file(number).unwrap();
    let sender = Watched::spawn({
        let face = Arc::clone(&face);
        move || {
            let writer = face.writer(Op::Sendfile, Patience::Forever).unwrap();
            let (mut offset, mut left) = (10, u64::MAX);
            loop {
                match writer.send_file(&file, &mut offset, &mut left, Patience::Forever) {
                    Err(error) if error.cause == Cause::Interrupted => {}
                    outcome => return (outcome.map_err(|error| error.cause), offset, u64::MAX - left),
                }
            }
        }
    });
    let mut first = vec![0; 1000];
    peer.read_exact(&mut first).unwrap();
    drop(writable);
    let stranger = rustix::fs::memfd_create("stranger", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    std::fs::File::from(stranger).write_all(&vec![b'!'; content.len()]).unwrap(); // under the same number
    let mut rest = vec![0; content.len() - 10 - first.len()];
    peer.read_exact(&mut rest).unwrap();
    let length = content.len() as u64;
    assert_eq!(sender.outcome(), (Ok(()), length, length - 10));
    assert!([first, rest].concat() == content[10..], "the bytes differ");
}

#[test]
fn the_write_lane_is_held_over_a_whole_buffer() {
    const LENGTH: usize = 300_000; // more than the kernel takes at a time
    let _alone = alone();
    let (ours, mut peer) = unix_pair();
    let face = face(ours, Role::Owner);
    let writers = [b'a', b'b'].map(|letter| {
        let face = Arc::clone(&face);
        std::thread::spawn(move || {
            let data = vec![letter; LENGTH];
            for _ in 0..5 {
                let writer = loop {
                    match face.writer(Op::Send, Patience::Forever) {
                        Err(error) if error.cause == Cause::Interrupted => {}
                        outcome => break outcome.unwrap(),
                    }
                };
                let mut sent = 0;
                while let Err(error) = writer.send_all(&data, &mut sent, 0, Patience::Forever) {
                    assert_eq!(error.cause, Cause::Interrupted);
                }
            }
        })
    });
    let mut received = vec![0; 10 * LENGTH];
    for part in received.chunks_mut(1777) {
        peer.read_exact(part).unwrap();
    }
    for writer in writers {
        writer.join().unwrap();
    }
    let whole = |buffer: &[u8]| buffer.iter().all(|byte| *byte == buffer[0]);
    assert!(received.chunks(LENGTH).all(whole), "the buffers of two senders are interleaved");
}
