//! A call of the roll stops nobody.

#![allow(clippy::unwrap_used)] // an error where none belongs is the failed test

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hangup_core::fd::{GuardedFd, Kind};
use hangup_core::{ledger, roll};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// As many as the limit allows, at most ten thousand.
fn crowd() -> Vec<(Arc<GuardedFd>, UnixStream)> {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).unwrap();
    let adopted = || {
        let (ours, theirs) = UnixStream::pair().ok()?;
        Some((GuardedFd::adopt(ours.into(), Kind::Socket), theirs))
    };
    (0..10_000).map_while(|_| adopted()).collect()
}

#[test]
fn writers_do_not_wait_for_a_snapshot() {
    let mut crowd = crowd();
    crowd.truncate(crowd.len() - 10); // room for what is opened meanwhile
    let is_over = Arc::new(AtomicBool::new(false));
    let caller = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut calls = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert!(!roll::call().is_empty());
                calls += 1;
            }
            calls
        }
    });
    let mut waits = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        assert!(ledger::global().owns(crowd[0].0.number_for_display()));
        waits.push(asked.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    let calls = caller.join().unwrap();
    waits.sort();
    let [usual, rare] = [waits[waits.len() / 2], waits[waits.len() - 1 - waits.len() / 1000]];
    // The longest is the scheduler's: there may be one core for both.
    assert!(rare < Duration::from_millis(1), "{rare:?}, usually {usual:?}, during {calls} calls");
}

#[test]
fn a_connection_is_hung_up_by_its_serial_and_by_no_other() {
    let pair = || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (GuardedFd::adopt(ours.into(), Kind::Http), theirs)
    };
    let (one, mut client) = pair();
    let (_other, spared) = pair();
    let serial = roll::call().iter().find(|line| line.fd == one.number_for_display()).unwrap().serial;
    assert!(roll::hang_up(serial));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    spared.set_nonblocking(true).unwrap();
    assert_eq!((&spared).read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    one.close();
    assert!(!roll::hang_up(serial));
}
