//! Broadcasts: many clients that read, and one more that asks for what they read.
//!
//! # Promised
//! Every client checks that numbers arrive exactly once and in order; what does not is a failure by its name. A broadcast
//! has arrived when the last client has read it, and only then the next one is asked for.
//!
//! # How
//! The driver, itself a recipient, sends `42["broadcast",{"n":N,"text":"…"}]`, and everybody expects `42["news",…]` with
//! the same data. One thread, edge-triggered epoll, no task and no timer per client: a readable client costs one recv(2)
//! into a buffer that all share, and each frame in it a few comparisons. Frames are told by their beginning and length.
//!
//! # Not promised
//! More than the client's ceiling, found with `peer` on another core, 500 clients and 64 bytes, as deliveries for each
//! second of the client's CPU: 0.2 million if every frame costs a recv(2) of its own, 1.7 million if a server coalesces
//! eight (`peer --coalesce`, window 8), 10 million if it coalesces 64. `client_cpu_seconds` near `seconds` in a report says
//! that it measures the client.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};
use serde_json::{json, Value};

use crate::client::{Failure, Target};
use crate::connection::{unexpected, Connecting, Connection};
use crate::sequence::{Arrival, Sequence, Window};
use hangup_load::process::{cpu_seconds, Watched};

const DRIVER: usize = 0;
const BUFFER: usize = 256 * 1024;
const NEWS: &[u8] = b"42[\"news\",{\"n\":";

/// What is broadcast, and to whom.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The server's address, on loopback.
    pub(crate) address: SocketAddr,
    /// The WebSocket's path.
    #[arg(long, default_value = "/socket.io/?EIO=4&transport=websocket")]
    pub(crate) path: String,
    /// How many clients read, besides the one that asks, which reads as well.
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// How many more do not read.
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// How many may be connecting at a time.
    #[arg(long, default_value_t = 32)]
    connecting: usize,
    /// How many broadcasts are under way at a time.
    #[arg(long, default_value_t = 8)]
    window: usize,
    /// For how long broadcasts are asked for.
    #[arg(long, default_value_t = f64::INFINITY, required_unless_present = "broadcasts")]
    seconds: f64,
    /// How many are asked for at most.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    broadcasts: u64,
    /// Bytes of the text in each broadcast.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Seconds without any arrival after which what has not arrived is missing.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) patience: f64,
    /// The server's process: its CPU time and memory are reported.
    #[arg(long)]
    watch: Option<u32>,
}

/// Connects all clients, broadcasts, and reports. The number of failures is the second of both.
pub(crate) fn run(target: &Target, arguments: &Arguments) -> Result<(Value, u64), Failure> {
    let mut crowd = Crowd::new(arguments)?;
    let began = Instant::now();
    crowd.connect(target, arguments)?;
    let connect_seconds = began.elapsed().as_secs_f64();
    let mut watched = Watched::new(arguments.watch)?;
    let own = cpu_seconds("self")?;
    let began = Instant::now();
    crowd.broadcast(arguments, target.patience, &mut watched)?;
    let seconds = began.elapsed().as_secs_f64();
    let percentile = |share| crowd.latencies.value_at_quantile(share);
    let report = json!({
        "recipients": arguments.clients + 1,
        "connect_seconds": connect_seconds,
        "broadcasts": crowd.window.end(),
        "deliveries": crowd.deliveries,
        "seconds": seconds,
        "deliveries_per_second": crowd.deliveries as f64 / seconds,
        "p50_us": percentile(0.5),
        "p90_us": percentile(0.9),
        "p99_us": percentile(0.99),
        "max_us": crowd.latencies.max(),
        "client_cpu_seconds": cpu_seconds("self")? - own,
        "server": watched.to_json()?,
        "failures": crowd.failures,
    });
    Ok((report, crowd.failures.values().sum()))
}

/// The clients. None in place of one that has failed.
#[derive(Debug)]
struct Crowd {
    poll: Poll,
    clients: Vec<Option<Connection>>,
    stalled: Vec<TcpStream>,
    window: Window,
    shared: Vec<u8>,
    text: String,
    deliveries: u64,
    /// From asking until the last client has it, in microseconds.
    latencies: Histogram<u64>,
    failures: BTreeMap<String, u64>,
}

impl Crowd {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        Ok(Self {
            poll: Poll::new()?,
            clients: Vec::with_capacity(arguments.clients + 1),
            stalled: Vec::with_capacity(arguments.stalled),
            window: Window::new(arguments.clients + 1),
            shared: vec![0; BUFFER.max(4 * arguments.payload)],
            text: "x".repeat(arguments.payload),
            deliveries: 0,
            latencies: Histogram::new_with_max(600_000_000, 3)
                .unwrap_or_else(|_| unreachable!("sound bounds")),
            failures: BTreeMap::new(),
        })
    }

    fn connect(&mut self, target: &Target, arguments: &Arguments) -> Result<(), Failure> {
        let (total, mut events) = (arguments.clients + 1, Events::with_capacity(1024));
        while self.clients.len() < total {
            let size = arguments.connecting.clamp(1, total - self.clients.len());
            for connecting in begin(target, size, false)? {
                let mut client = connecting.finish()?;
                client.register(self.poll.registry(), Token(self.clients.len()))?;
                self.clients.push(Some(client));
            }
            self.turn(&mut events, Duration::ZERO)?; // who is connected is asked for signs of life meanwhile
        }
        while self.stalled.len() < arguments.stalled {
            let size = arguments.connecting.clamp(1, arguments.stalled - self.stalled.len());
            for connecting in begin(target, size, true)? {
                self.stalled.push(connecting.stall()?);
            }
        }
        Ok(())
    }

    fn broadcast(
        &mut self,
        arguments: &Arguments,
        patience: Duration,
        watched: &mut Watched,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let (mut events, mut heard, mut deliveries) = (Events::with_capacity(1024), began, 0);
        loop {
            let open = began.elapsed().as_secs_f64() < arguments.seconds;
            while open && self.window.len() < arguments.window && self.window.end() < arguments.broadcasts {
                self.ask();
            }
            if self.window.len() == 0 {
                return Ok(());
            }
            if self.flush(DRIVER).is_break() || heard.elapsed() > patience {
                self.note_missing();
                return Ok(());
            }
            self.turn(&mut events, Duration::from_secs(1))?;
            watched.sample()?;
            if self.deliveries > deliveries {
                (heard, deliveries) = (Instant::now(), self.deliveries);
            }
        }
    }

    fn ask(&mut self) {
        let number = self.window.ask();
        if let Some(driver) = &mut self.clients[DRIVER] {
            driver
                .queue(format!("42[\"broadcast\",{{\"n\":{number},\"text\":\"{}\"}}]", self.text).as_bytes());
        }
    }

    /// Breaks if the client is no more.
    fn flush(&mut self, place: usize) -> ControlFlow<()> {
        let Some(client) = &mut self.clients[place] else { return ControlFlow::Break(()) };
        match client.flush() {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                self.lose(place, &failure);
                ControlFlow::Break(())
            }
        }
    }

    /// Reads from all clients that have something to read.
    fn turn(&mut self, events: &mut Events, limit: Duration) -> Result<(), Failure> {
        self.poll.poll(events, Some(limit))?;
        for event in events.iter() {
            let Token(place) = event.token();
            if event.is_readable() {
                self.read(place, event.is_read_closed());
            }
            if event.is_writable() {
                let _ = self.flush(place); // who is no more has been noted
            }
        }
        Ok(())
    }

    fn read(&mut self, place: usize, closed: bool) {
        let Some(client) = &mut self.clients[place] else { return };
        let (window, failures, latencies) = (&mut self.window, &mut self.failures, &mut self.latencies);
        let (deliveries, payload) = (&mut self.deliveries, self.text.len());
        let read = client.read(&mut self.shared, closed, |sequence: &mut Sequence, packet| {
            let number = number_of(packet, payload).ok_or_else(|| unexpected(packet))?;
            let disorder = match sequence.note(number) {
                Arrival::InOrder | Arrival::Early => None,
                Arrival::Late => Some("reordered"),
                Arrival::Again => Some("duplicated"),
            };
            if let Some(disorder) = disorder {
                *failures.entry(disorder.to_owned()).or_default() += 1;
            }
            if disorder != Some("duplicated") {
                *deliveries += 1;
                if let Some(took) = window.arrived(number) {
                    latencies.saturating_record(took.as_micros() as u64);
                }
            }
            Ok(())
        });
        if let Err(failure) = read {
            self.lose(place, &failure);
        }
    }

    fn lose(&mut self, place: usize, failure: &Failure) {
        *self.failures.entry(failure.to_string()).or_default() += 1;
        if let Some(client) = self.clients[place].take() {
            self.window.left(client.sequence.missing(self.window.end()));
        }
    }

    fn note_missing(&mut self) {
        let end = self.window.end();
        let missing = self.clients.iter().flatten().map(|client| client.sequence.missing(end).count() as u64);
        let missing = missing.sum::<u64>();
        self.failures.insert("missing".to_owned(), missing);
    }
}

fn begin(target: &Target, count: usize, stalled: bool) -> Result<Vec<Connecting>, Failure> {
    let begun: Result<Vec<_>, _> = (0..count).map(|_| Connecting::begin(target, stalled)).collect();
    let mut begun = begun?;
    begun.iter_mut().try_for_each(Connecting::open)?;
    Ok(begun)
}

/// The number of a broadcast with so long a text.
fn number_of(packet: &[u8], payload: usize) -> Option<u64> {
    let rest = packet.strip_prefix(NEWS)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let tail = b",\"text\":\"\"}]".len() + payload;
    if rest.len() != digits + tail || digits == 0 {
        return None;
    }
    Some(rest[..digits].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::number_of;

    #[test]
    fn a_broadcast_is_told_by_its_beginning_and_its_length() {
        assert_eq!(number_of(b"42[\"news\",{\"n\":107,\"text\":\"xxx\"}]", 3), Some(107));
        assert_eq!(number_of(b"42[\"news\",{\"n\":107,\"text\":\"xx\"}]", 3), None);
        assert_eq!(number_of(b"42[\"news\",{\"n\":,\"text\":\"xxxx\"}]", 3), None);
        assert_eq!(number_of(b"42[\"echo\",\"xxx\"]", 3), None);
    }
}
