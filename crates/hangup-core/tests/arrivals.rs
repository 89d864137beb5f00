//! Clients that are slow to ask, beside others that are not.
#![allow(clippy::unwrap_used)] // an error where none belongs is the failed test

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{bare, in_child, reset, PATIENCE};
use hangup_core::acceptor::Acceptor;
use hangup_core::arrivals::LONGEST;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// In which nothing is expected to happen.
const MOMENT: Duration = Duration::from_millis(50);

struct Service {
    acceptor: Arc<Acceptor>,
    listener: TcpListener,
}

impl Service {
    fn start(patience: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let acceptor = Acceptor::new(listener.as_raw_fd(), 2, Some(patience)).unwrap();
        Self { acceptor, listener }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        client
    }

    /// As an event loop does: asks whenever it is told to.
    fn next(&self, limit: Duration) -> Option<TcpStream> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let polled = bare(self.acceptor.poll_fd());
            if poll(&mut [PollFd::new(&*polled, PollFlags::IN)], Some(&left)).unwrap() == 0 {
                return None;
            }
            if let Some((client, _)) = self.acceptor.accept().unwrap().client {
                return Some(OwnedFd::into(client));
            }
        }
    }
}

fn read(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut read = vec![0; count];
    client.read_exact(&mut read).unwrap();
    read
}

/// Whether the other side has closed.
fn is_closed(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(client.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn a_client_comes_with_its_request_however_it_is_cut() {
    let service = Service::start(PATIENCE);
    for cut in 1..REQUEST.len() {
        let mut client = service.connect();
        client.write_all(&REQUEST[..cut]).unwrap();
        assert!(service.next(Duration::from_millis(1)).is_none());
        client.write_all(&REQUEST[cut..]).unwrap();
        let mut server = service.next(PATIENCE).expect("the client");
        assert_eq!(read(&mut server, REQUEST.len()), REQUEST); // nothing was taken away
    }
}

#[test]
fn those_that_ask_do_not_wait_for_those_that_do_not() {
    let service = Service::start(PATIENCE);
    let mut slow: Vec<_> = (0..100).map(|_| service.connect()).collect();
    for client in &mut slow {
        client.write_all(b"GET").unwrap();
    }
    let mut quick = service.connect();
    quick.write_all(REQUEST).unwrap();
    let server = service.next(PATIENCE).expect("the quick one");
    assert_eq!(server.peer_addr().unwrap(), quick.local_addr().unwrap());
    assert!(service.next(MOMENT).is_none());
    for client in &mut slow {
        client.write_all(&REQUEST[3..]).unwrap();
    }
    for _ in 0..slow.len() {
        assert!(service.next(PATIENCE).is_some());
    }
}

#[test]
fn who_takes_too_long_is_closed() {
    let service = Service::start(Duration::from_millis(100));
    let mut slow = service.connect();
    slow.write_all(&REQUEST[..10]).unwrap();
    let mut silent = service.connect();
    assert!(service.next(Duration::from_millis(300)).is_none());
    assert!(is_closed(&mut slow) && is_closed(&mut silent));
    service.connect().write_all(REQUEST).unwrap(); // others are served afterwards
    assert!(service.next(PATIENCE).is_some());
}

#[test]
fn who_leaves_is_forgotten() {
    let service = Service::start(PATIENCE);
    let client = service.connect();
    reset(client);
    let mut client = service.connect();
    client.write_all(b"GET").unwrap();
    assert!(service.next(MOMENT).is_none());
    reset(client);
    assert!(service.next(MOMENT).is_none());
}

#[test]
fn what_is_no_head_is_handed_on() {
    let service = Service::start(PATIENCE);
    for first in [&b"\x00\x01"[..], b"\x16\x03", b"\r\n\r\n\0\r\nQUIT\n", b"PRI * HTTP/2.0\r\n\r\nSM"] {
        service.connect().write_all(first).unwrap();
        assert!(service.next(PATIENCE).is_some(), "{first:?}");
    }
    let mut endless = service.connect();
    let head = [b"GET / HTTP/1.1\r\nCookie: ".to_vec(), vec![b'x'; LONGEST]].concat();
    endless.write_all(&head).unwrap();
    let mut server = service.next(PATIENCE).expect("its server's to judge");
    assert_eq!(read(&mut server, head.len()), head);
}

#[test]
fn whoever_waits_longest_gives_way_when_descriptors_are_short() {
    if !in_child("whoever_waits_longest_gives_way_when_descriptors_are_short") {
        return;
    }
    let service = Service::start(PATIENCE);
    let hard = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit { current: Some(200), maximum: hard };
    let clients = |count: usize| -> Vec<TcpStream> {
        (0..count)
            .map(|_| {
                let low = service.connect();
                rustix::io::fcntl_dupfd_cloexec(&low, 1_000).unwrap().into()
            })
            .collect()
    };
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.extend(clients(100)); // the backlog of std holds 128
        setrlimit(Resource::Nofile, few).unwrap();
        assert!(service.next(MOMENT).is_none());
        setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).unwrap();
    }
    let mut quick = clients(1);
    quick[0].write_all(REQUEST).unwrap();
    setrlimit(Resource::Nofile, few).unwrap();
    let server = service.next(PATIENCE).expect("the quick one");
    assert_eq!(server.peer_addr().unwrap(), quick[0].local_addr().unwrap());
    assert!(is_closed(&mut slow[0]));
    assert!(!service.acceptor.is_paused());
}

#[test]
fn who_will_send_no_more_is_handed_over_with_what_there_is() {
    let service = Service::start(PATIENCE);
    let mut client = service.connect();
    client.write_all(b"GET / HT").unwrap();
    assert!(service.next(MOMENT).is_none());
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut server = service.next(PATIENCE).expect("the client");
    let mut sent = Vec::new();
    server.read_to_end(&mut sent).unwrap();
    assert_eq!(sent, b"GET / HT");
}

#[test]
fn leaving_waits_for_those_who_were_accepted_and_for_nobody_else() {
    let service = Service::start(PATIENCE);
    let (mut slow, mut silent) = (service.connect(), service.connect());
    slow.write_all(&REQUEST[..5]).unwrap();
    assert!(service.next(MOMENT).is_none());
    service.acceptor.leave(Duration::from_millis(500));
    let mut late = service.connect();
    late.write_all(REQUEST).unwrap();
    slow.write_all(&REQUEST[5..]).unwrap();
    let mut server = service.next(PATIENCE).expect("the one who was accepted");
    assert_eq!(read(&mut server, REQUEST.len()), REQUEST);
    assert!(service.acceptor.is_awaited());
    let deadline = Instant::now() + PATIENCE;
    while service.acceptor.is_awaited() {
        assert!(Instant::now() < deadline);
        let polled = bare(service.acceptor.poll_fd());
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        let woken = poll(&mut [PollFd::new(&*polled, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(woken, 1); // also when time is up
        assert!(service.acceptor.accept().unwrap().client.is_none());
    }
    assert!(is_closed(&mut silent));
    service.listener.set_nonblocking(true).unwrap();
    assert!(service.listener.accept().is_ok()); // still in the backlog, for the next process
}
