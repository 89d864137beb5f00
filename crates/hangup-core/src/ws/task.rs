//! The engine's side of one WebSocket: reading, the rest of sending, deadlines, and the end.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::time::Instant;
use tracing::{debug, info};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::codec::{self, Decoder, Incoming, Violation};
use super::dispatch::Dispatcher;
use super::engine_io::{EngineIo, Step};
use super::keep_alive::{Due, KeepAlive};
use super::settings::{Protocol, Settings};
use super::socket::{WebSocket, NO_CLOSE_FRAME};
use super::strand::{Closure, Ending, Entry, Event};
use crate::cause::{Cause, Op};
use crate::fd::{sys, Lane, Lease, Patience};
use crate::ledger::{self, Counter};
use crate::metrics;

/// How much is read at once; shared by all connections of the engine's thread.
const READ: usize = 64 * 1024;
/// Control frames, and Engine.IO packets that the application does not see, per second: beyond, the client floods.
const MAX_CONTROL_PER_SECOND: u32 = 1000;

/// How long the messages before a violation may take to be answered.
const ANSWER: Duration = Duration::from_secs(1);

thread_local!(static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(READ)));

/// How the close handshake stands.
#[derive(Debug)]
pub(super) struct Closing {
    since: Instant,
    closure: (u16, String, Ending),
    /// The peer's close frame came, or is not waited for.
    heard: bool,
}

/// A connection's task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) socket: Arc<WebSocket>,
    pub(super) dispatcher: Option<Arc<Dispatcher>>,
    settings: Settings,
    pub(super) decoder: Decoder,
    pub(super) engine_io: Option<EngineIo>,
    keep_alive: Option<KeepAlive>,
    pub(super) closing: Option<Closing>,
    pub(super) received: u64,
    control_frames: (Instant, u32),
}

impl Task {
    pub(super) fn new(
        socket: Arc<WebSocket>,
        dispatcher: Option<Arc<Dispatcher>>,
        settings: Settings,
        received: u64,
    ) -> Self {
        let (engine_io, keep_alive) = match settings.protocol {
            Protocol::Plain { pings } => (None, pings.map(KeepAlive::new)),
            Protocol::EngineIo { heartbeat, origin } => (Some(EngineIo::new(heartbeat, origin)), None),
        };
        Self {
            socket,
            dispatcher,
            settings,
            decoder: Decoder::new(settings.max_message),
            engine_io,
            keep_alive,
            closing: None,
            received,
            control_frames: (Instant::now(), 0),
        }
    }

    pub(super) async fn run(mut self, lease: Lease, early: Vec<u8>) {
        ledger::count(Counter::WebSockets);
        let fd = lease.number();
        debug!(target: "hangup::websocket", connection = self.socket.id(), fd, "taken over");
        let closure = match sys::watch(lease, Interest::READABLE | Interest::WRITABLE) {
            Some(io) => self.live(io, early).await,
            None => Some((1006, "descriptors are short".to_owned(), Ending::Here)),
        };
        let Some(closure) = (match closure {
            Some(closure) => Some(closure),
            None => self.depart().await,
        }) else {
            return;
        };
        self.socket.departure.refuse();
        self.socket.give_up();
        let (code, reason, cause) = closure;
        if let Some(fate) = cause.fate() {
            self.socket.guarded().trail().decide(fate);
        }
        self.socket.guarded().close();
        let (received, sent) = (self.received, self.socket.sent());
        metrics::count_closed(code, cause);
        let connection = self.socket.id();
        debug!(target: "hangup::websocket", connection, code, reason, cause = cause.name(), received, sent, "over");
        let closure = Closure { code, reason, cause, received, sent };
        self.socket.is_over(closure.clone());
        self.report(Event::Closed(closure));
        self.socket.tell();
    }

    /// Not while its handlers are behind; after a close, only to hear the peer's.
    pub(super) fn is_reading(&self) -> bool {
        match &self.closing {
            Some(closing) => !closing.heard,
            None => !self.socket.strand().is_full(),
        }
    }

    /// True if the kernel has nothing more now.
    pub(super) fn read(&mut self) -> bool {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let fd = Arc::clone(self.socket.guarded());
            let received = fd
                .lane(Lane::Read, Op::Recv, Patience::Never)
                .and_then(|lane| lane.try_recv(scratch, READ, 0));
            match received {
                Ok(0) => {
                    self.socket.end(Ending::Transport);
                    true
                }
                Ok(count) => {
                    self.received += count as u64;
                    metrics::add(Counter::WebSocketBytesReceived, count as u64);
                    self.feed(scratch);
                    count < READ
                }
                Err(error) if error.cause == Cause::WouldBlock => true,
                Err(error) if error.cause == Cause::Interrupted => false,
                Err(_) => {
                    self.socket.end(Ending::Transport);
                    true
                }
            }
        })
    }

    pub(super) fn feed(&mut self, input: &[u8]) {
        let mut arrived = Vec::new();
        let outcome = self.decoder.feed(input, &mut |incoming| arrived.push(incoming));
        for incoming in arrived {
            if self.closing.is_some() && !matches!(incoming, Incoming::Close(..)) {
                continue; // section 1.4: what comes after our close frame is thrown away
            }
            self.handle(incoming);
        }
        if let Err(Violation { code, reason }) = outcome {
            match &mut self.closing {
                Some(closing) => closing.heard = true, // it cannot be understood any more
                None => self.fail(code, reason),
            }
        }
    }

    /// The stream is broken: section 7.1.7, but what came before may still be answered.
    fn fail(&mut self, code: u16, reason: &'static str) {
        info!(target: "hangup::websocket", connection = self.socket.id(), code, reason, "the client broke the protocol");
        let closure = (code, reason.to_owned(), Ending::Violation);
        self.closing = Some(Closing { since: Instant::now(), closure, heard: true });
        self.socket.report(self.dispatcher.as_ref(), Entry::Violation(code, reason));
    }

    fn report(&self, event: Event) {
        if matches!(event, Event::Text(_) | Event::Binary(_)) {
            ledger::count(Counter::MessagesReceived);
        }
        self.socket.report(self.dispatcher.as_ref(), Entry::Event(event));
    }

    fn handle(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Text(text) => {
                let step = self.engine_io.as_mut().map_or(Step::Deliver, |machine| machine.text(&text));
                if matches!(step, Step::Swallow | Step::Send(_)) && self.is_flood() {
                    return self.fail(1008, "too many control packets");
                }
                self.step(step, || Event::Text(text));
            }
            Incoming::Binary(bytes) => {
                let step = self.engine_io.as_mut().map_or(Step::Deliver, EngineIo::binary);
                self.step(step, || Event::Binary(bytes));
            }
            Incoming::Ping(payload) => {
                if self.is_flood() {
                    return self.fail(1008, "too many control frames");
                }
                self.socket.answer(codec::frame(OpCode::Control(Control::Pong), &payload));
            }
            Incoming::Pong => {
                if self.is_flood() {
                    return self.fail(1008, "too many control frames");
                }
                if let Some(keep_alive) = &mut self.keep_alive {
                    keep_alive.pong();
                }
            }
            Incoming::Close(code, reason) => self.peer_closed(code, reason),
        }
    }

    fn step(&mut self, step: Step, event: impl FnOnce() -> Event) {
        match step {
            Step::Swallow => {}
            Step::Deliver => self.report(event()),
            Step::Send(packet) => self.send(packet),
            Step::Probed => {
                self.send("3probe");
                self.report(Event::Probed);
            }
            Step::Upgraded => self.report(Event::Upgraded),
            Step::Close(code, reason) => self.close(code, reason, Ending::Violation, false),
            Step::Left => self.close(1000, "", Ending::Left, false),
            Step::Silent => self.socket.end(Ending::Silent),
        }
    }

    fn send(&self, packet: &str) {
        self.socket.answer(codec::frame(OpCode::Data(Data::Text), packet.as_bytes()));
    }

    fn is_flood(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.control_frames.0).as_secs() > 0 {
            self.control_frames = (now, 0);
        }
        self.control_frames.1 += 1;
        self.control_frames.1 > MAX_CONTROL_PER_SECOND
    }

    /// Begins the close handshake, unless it has begun.
    fn close(&mut self, code: u16, reason: &str, cause: Ending, heard: bool) {
        if self.closing.is_none() {
            self.closing =
                Some(Closing { since: Instant::now(), closure: (code, reason.to_owned(), cause), heard });
        }
        self.socket.close(code, reason);
    }

    fn note_close_by_caller(&mut self) {
        if let (None, Some(closure)) = (&self.closing, self.socket.closed_with()) {
            let closure = closure.clone();
            let heard = closure.0 == NO_CLOSE_FRAME; // nobody answers what was not sent
            self.closing = Some(Closing { since: Instant::now(), closure, heard });
        }
    }

    /// Section 5.5.1: answered with the code that came.
    fn peer_closed(&mut self, code: u16, reason: String) {
        self.note_close_by_caller();
        match &mut self.closing {
            Some(closing) => closing.heard = true,
            None => self.close(code, &reason, Ending::Peer, true),
        }
    }

    /// Why it is over, if it is.
    pub(super) fn over(&mut self) -> Option<(u16, String, Ending)> {
        if let Some(cause) = self.socket.doom() {
            return Some(match self.closing.take() {
                Some(closing) => closing.closure, // the handshake had begun: its cause counts
                None => (1006, String::new(), cause),
            });
        }
        self.note_close_by_caller();
        let done = self.closing.as_ref().is_some_and(|closing| closing.heard);
        let outbox = self.socket.outbox();
        let answered = outbox.is_sealed() && outbox.is_empty();
        drop(outbox);
        (done && answered).then(|| self.closing.take().map(|closing| closing.closure))?
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stalled_since = self.socket.outbox().stalled_since().filter(|_| self.closing.is_none());
        let stall = stalled_since.map(|since| since + self.settings.stall_limit);
        let close = self.closing.as_ref().map(|closing| self.close_deadline(closing));
        let beat = self.engine_io.as_ref().filter(|_| close.is_none()).map(EngineIo::due);
        let ping = self.keep_alive.as_ref().filter(|_| close.is_none()).map(KeepAlive::due);
        let gone = self.socket.gone_since().map(|since| since + self.settings.stall_limit);
        [stall, close, beat, ping, gone].into_iter().flatten().min()
    }

    /// Until then the close handshake may take. A client that takes what is left is waited for, but not for ever; what
    /// the application says after the peer's close frame, for [`ANSWER`].
    fn close_deadline(&self, closing: &Closing) -> Instant {
        let Settings { close_limit, stall_limit, .. } = self.settings;
        let outbox = self.socket.outbox();
        if !outbox.is_sealed() {
            return closing.since + ANSWER.min(close_limit);
        }
        let taken = outbox.stalled_since().map_or(closing.since, |taken| taken.max(closing.since));
        (taken + close_limit).min(closing.since + close_limit.max(stall_limit))
    }

    /// Something was due.
    pub(super) fn pass(&mut self) {
        let now = Instant::now();
        if let Some(closing) = &self.closing {
            if now >= self.close_deadline(closing) {
                if self.socket.outbox().is_sealed() {
                    return self.socket.end(Ending::Silent);
                }
                self.socket.close(closing.closure.0, &closing.closure.1);
            }
        }
        if self.socket.gone_since().is_some_and(|since| now >= since + self.settings.stall_limit) {
            return self.socket.end(Ending::Transport);
        }
        if self.closing.is_some() {
            return;
        }
        let stalled_since = self.socket.outbox().stalled_since();
        if stalled_since.is_some_and(|since| now >= since + self.settings.stall_limit) {
            self.socket.cut_short(Ending::Stalled);
            return self.note_close_by_caller();
        }
        let deaf = !self.is_reading();
        if let Some(machine) = self.engine_io.as_mut().filter(|machine| now >= machine.due()) {
            let step = machine.pass(deaf);
            self.step(step, || unreachable!("time delivers nothing"));
        }
        if let Some(keep_alive) = self.keep_alive.as_mut().filter(|machine| now >= machine.due()) {
            match keep_alive.pass(deaf) {
                Due::Ping => {
                    self.socket.answer(codec::frame(OpCode::Control(Control::Ping), &[]));
                }
                Due::Silent => self.close(1011, "keepalive ping timeout", Ending::Silent, true),
                Due::Nothing => {}
            }
        }
    }
}
