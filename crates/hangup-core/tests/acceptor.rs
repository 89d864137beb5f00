//! A listener beside few descriptors. Each test has a process of its own, whose limit it sets.
#![allow(clippy::unwrap_used)] // an error where none belongs is the failed test

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use common::{bare, in_child, is_open, open_numbers, wait_for, wait_until};
use hangup_core::acceptor::{Acceptor, RETRY};
use hangup_core::connection::{Face, Role};
use hangup_core::error::Result;
use hangup_core::ledger::{self, Counter};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

const RESERVE: u64 = 6;
/// Far above what the test itself opens.
const LIMIT: u64 = 100;

struct Service {
    acceptor: Arc<Acceptor>,
    address: SocketAddr,
    _listener: TcpListener,
    served: Vec<Arc<Face>>,
    clients: Vec<TcpStream>,
}

impl Service {
    /// With at most as many clients as the backlog of std holds, 128. Their descriptors are out of the way, above
    /// the limit that is set then.
    fn start(clients: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Acceptor::new(listener.as_raw_fd(), RESERVE, None).unwrap();
        let mut service = Self { acceptor, address, _listener: listener, served: vec![], clients: vec![] };
        service.clients = (0..clients).map(|_| service.connect_above_the_limit()).collect();
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(LIMIT), maximum: hard }).unwrap();
        service
    }

    fn connect_above_the_limit(&self) -> TcpStream {
        let low = TcpStream::connect(self.address).unwrap();
        rustix::io::fcntl_dupfd_cloexec(&low, LIMIT as RawFd).unwrap().into()
    }

    /// Takes one client in. True if an episode began.
    fn accept(&mut self) -> Result<(bool, bool)> {
        let accepted = self.acceptor.accept()?;
        let came = accepted.client.is_some();
        if let Some((client, _address)) = accepted.client {
            self.served.push(Arc::new(Face::adopt(client, Role::Owner, false)?));
        }
        Ok((came, accepted.episode_began))
    }

    /// Takes clients in until nobody is waiting or accepting is paused: how many, and how many episodes began.
    fn accept_all(&mut self) -> (usize, usize) {
        let (mut clients, mut episodes) = (0, 0);
        loop {
            let (came, began) = self.accept().unwrap();
            clients += usize::from(came);
            episodes += usize::from(began);
            if !came || self.acceptor.is_paused() {
                return (clients, episodes);
            }
        }
    }

    fn is_readable(&self, within: Duration) -> bool {
        let polled = bare(self.acceptor.poll_fd());
        let patience = Timespec { tv_sec: 0, tv_nsec: within.as_nanos() as i64 };
        poll(&mut [PollFd::new(&*polled, PollFlags::IN)], Some(&patience)).unwrap() == 1
    }
}

/// How many descriptors the process could still open.
fn free() -> usize {
    (0..LIMIT as RawFd).filter(|number| !is_open(*number)).count()
}

#[test]
fn a_shortage_pauses_once_and_ends_when_a_descriptor_returns() {
    if !in_child("a_shortage_pauses_once_and_ends_when_a_descriptor_returns") {
        return;
    }
    let mut service = Service::start(LIMIT as usize);
    let before = ledger::total(Counter::AcceptPauses);
    let (taken, episodes) = service.accept_all();
    assert_eq!(episodes, 1);
    assert!(taken > 50 && taken < LIMIT as usize, "{taken}");
    assert_eq!(free(), RESERVE as usize);
    assert!(!service.is_readable(RETRY / 4), "the event loop would spin");

    service.served.pop().unwrap().close(None);
    assert!(service.is_readable(RETRY / 4), "what hangup closes is noticed at once");
    assert_eq!(service.accept_all(), (1, 0), "the same episode");
    assert_eq!(ledger::total(Counter::AcceptPauses), before + 1);
}

#[test]
fn what_others_return_is_noticed_soon() {
    if !in_child("what_others_return_is_noticed_soon") {
        return;
    }
    let mut service = Service::start(LIMIT as usize);
    let foreign: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    service.accept_all();
    assert!(service.acceptor.is_paused());
    drop(foreign);
    let (taken, _) = wait_for("accepting goes on", || {
        service.is_readable(RETRY).then(|| service.accept_all()).filter(|(taken, _)| *taken > 0)
    });
    assert_eq!(taken, 20);
}

#[test]
fn connections_that_leave_one_by_one_do_not_cost_the_reserve() {
    if !in_child("connections_that_leave_one_by_one_do_not_cost_the_reserve") {
        return;
    }
    let mut service = Service::start(120);
    service.accept_all();
    for _ in 0..30 {
        service.served.remove(service.served.len() / 2).close(None); // a hole below numbers in use
        wait_until("the event loop wakes", || service.is_readable(RETRY));
        assert_eq!(service.accept_all().0, 1);
        assert_eq!(free(), RESERVE as usize);
    }
}

#[test]
fn without_anybody_served_the_last_descriptors_are_used() {
    if !in_child("without_anybody_served_the_last_descriptors_are_used") {
        return;
    }
    let mut service = Service::start(3);
    let hoarded = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok());
    let mut hoarded: Vec<_> = hoarded.collect();
    drop(hoarded.split_off(hoarded.len() - 2)); // fewer than the reserve
    for _ in 0..3 {
        wait_until("the event loop wakes", || service.is_readable(RETRY));
        wait_until("one client is served", || service.accept().unwrap().0);
        service.served.pop().unwrap().close(None);
    }
}

#[test]
fn a_limit_that_is_met_outright_is_a_pause_and_no_error() {
    if !in_child("a_limit_that_is_met_outright_is_a_pause_and_no_error") {
        return;
    }
    let mut service = Service::start(1);
    let mut hoarded: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    assert_eq!(service.accept().unwrap(), (false, true), "EMFILE: an episode began");
    assert_eq!(service.accept().unwrap(), (false, false), "and is told once");
    hoarded.pop();
    wait_until("the client is taken in", || service.accept().unwrap().0);
}

#[test]
fn nobody_waiting_is_no_error_and_the_listener_is_duplicated() {
    if !in_child("nobody_waiting_is_no_error_and_the_listener_is_duplicated") {
        return;
    }
    let before = open_numbers();
    let mut service = Service::start(0);
    assert_eq!(service.accept().unwrap(), (false, false));
    assert!(!service.is_readable(Duration::ZERO));
    drop(service);
    assert_eq!(open_numbers(), before);
}

#[test]
fn closing_threads_leave_nothing_armed_behind_a_resumed_acceptor() {
    if !in_child("closing_threads_leave_nothing_armed_behind_a_resumed_acceptor") {
        return;
    }
    let mut service = Service::start(120);
    service.accept_all();
    assert!(service.acceptor.is_paused());
    let leaving = std::mem::take(&mut service.served);
    let mut shares = [const { Vec::new() }; 3];
    for (index, face) in leaving.into_iter().enumerate() {
        shares[index % 3].push(face);
    }
    let closers: Vec<_> = shares
        .into_iter()
        .map(|share| std::thread::spawn(move || share.iter().for_each(|face| face.close(None))))
        .collect();
    while closers.iter().any(|closer| !closer.is_finished()) {
        service.accept_all();
    }
    wait_until("everybody is served", || service.accept_all() == (0, 0) && !service.acceptor.is_paused());
    // At most the timer's last expiry may have been on its way; then it is quiet.
    wait_until("it sleeps", || !service.is_readable(RETRY * 2));
}
