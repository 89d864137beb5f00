//! The lingering close on real TCP connections. What clients see of it is tested from Python.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used)] // an error where none belongs is the failed test

mod common;

use std::net::TcpStream;
use std::os::fd::RawFd;
use std::time::Instant;

use common::{alone, in_child, is_open, tcp_pair, wait_until};
use hangup_core::connection::{Face, Role};
use hangup_core::ledger::{self, Counter};
use hangup_core::linger::LINGER;
use hangup_core::Shutdown;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// A server's end of a connection that was just ended, and its client, which stays.
fn ended() -> (RawFd, TcpStream) {
    let (ours, peer) = tcp_pair();
    let server = Face::adopt(ours, Role::Server, false).unwrap();
    let number = server.guarded().number_for_display();
    server.shutdown(Shutdown::Write).unwrap();
    server.close(None);
    (number, peer)
}

#[test]
fn the_peer_or_the_deadline_closes_and_never_the_caller() {
    let _alone = alone();
    let began = Instant::now();
    let (left, peer) = ended();
    let (kept, _stays) = ended();
    assert!(began.elapsed() < LINGER / 4, "the caller waited");
    assert!(is_open(left) && is_open(kept));

    drop(peer);
    wait_until("the peer's close is followed", || !ledger::global().owns(left));
    assert!(began.elapsed() < LINGER);

    let expired = ledger::total(Counter::LingerExpired);
    wait_until("the deadline passes", || !ledger::global().owns(kept));
    assert!(began.elapsed() >= LINGER);
    assert_eq!(ledger::total(Counter::LingerExpired), expired + 1);
}

#[test]
fn a_shutdown_that_failed_does_not_linger() {
    let _alone = alone();
    let (ours, peer) = tcp_pair();
    let server = Face::adopt(ours, Role::Server, false).unwrap();
    common::reset(peer);
    wait_until("the kernel refuses", || server.shutdown(Shutdown::Write).is_err());
    let number = server.guarded().number_for_display();
    server.close(None);
    assert!(!ledger::global().owns(number));
}

#[test]
fn lingering_takes_a_quarter_of_the_descriptors_at_most() {
    if !in_child("lingering_takes_a_quarter_of_the_descriptors_at_most") {
        return;
    }
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(80), maximum: hard }).unwrap();
    let ends: Vec<(RawFd, TcpStream)> = (0..24).map(|_| ended()).collect();
    let lingering = ends.iter().filter(|(number, _peer)| ledger::global().owns(*number)).count();
    assert_eq!((lingering, ledger::total(Counter::Lingered)), (20, 20));
}
