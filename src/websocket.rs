//! `WebSocket`, and the `Dispatcher` that gives its events to threads or to a hub.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hangup_core::adopt;
use hangup_core::ws;
use hangup_core::ws::{
    codec, dispatch, Beat, Closure, Data, Delivery, Departed, Ending, Event, Heartbeat, Offered, OpCode,
    Origin, Pings, Protocol, Settings,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::buffer::Payload;
use crate::errors::to_python;
use crate::group::overflow_of;

/// The most that is copied to the kernel while attached: about 10 µs.
const ATTACHED_LIMIT: usize = 32 * 1024;

/// RFC 6455 section 4.2.2: the value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
#[pyfunction]
pub(crate) fn accept_key(key: &str) -> String {
    ws::derive_accept_key(key.as_bytes())
}

fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn every((interval, timeout): (f64, Option<f64>)) -> PyResult<Pings> {
    Ok(Pings { interval: seconds(interval)?, timeout: timeout.map(seconds).transpose()? })
}

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Dispatcher(Arc<dispatch::Dispatcher>);

#[pymethods]
impl Dispatcher {
    /// `parallel`: how many threads can make progress at once; None for a hub, which watches `fileno()`.
    #[new]
    #[pyo3(signature = (parallel, /))]
    fn new(parallel: Option<usize>) -> PyResult<Self> {
        Ok(Self(match parallel {
            Some(parallel) => dispatch::Dispatcher::for_threads(parallel),
            None => dispatch::Dispatcher::for_hub()?,
        }))
    }

    /// Ends the turn `before`, and waits for the next one, at most `limit` seconds.
    #[pyo3(signature = (limit, before=None, /))]
    fn next(&self, py: Python<'_>, limit: f64, before: Option<&Turn>) -> PyResult<Option<Turn>> {
        let limit = seconds(limit)?;
        let before = before.and_then(Turn::let_go);
        let turn = match self.0.next(before, Duration::ZERO) {
            None => py.detach(|| self.0.next(None, limit)),
            there => there,
        };
        Ok(turn.map(Turn::new))
    }

    /// Ends the turn `before`. The next one, if something waits.
    #[pyo3(signature = (before=None, /))]
    fn try_next(&self, before: Option<&Turn>) -> Option<Turn> {
        self.0.try_next(before.and_then(Turn::let_go)).map(Turn::new)
    }

    /// The ids of WebSockets that there is something to tell of: room that `wait_for_room` did not find, or the end.
    fn told(&self) -> Vec<u64> {
        self.0.told()
    }

    /// Readable while something waits; -1 for threads.
    fn fileno(&self) -> i32 {
        self.0.signal().map_or(-1, |signal| signal.as_raw_fd())
    }

    /// No turn is given any more. Waits until those who wait have left, at most `limit` seconds.
    #[pyo3(signature = (limit, /))]
    fn stop(&self, py: Python<'_>, limit: f64) -> PyResult<()> {
        let limit = seconds(limit)?;
        py.detach(|| self.0.stop(limit));
        Ok(())
    }

    /// Threads that wait for a turn.
    #[getter]
    fn idle(&self) -> usize {
        self.0.idle()
    }
}

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Turn {
    held: Mutex<Option<ws::Turn>>,
    /// The WebSocket whose turn it is.
    #[pyo3(get)]
    id: u64,
    /// Nobody waits for the next turn.
    #[pyo3(get)]
    is_last: bool,
}

impl Turn {
    fn new(turn: ws::Turn) -> Self {
        let (id, is_last) = (turn.socket().id(), turn.is_last);
        Self { held: Mutex::new(Some(turn)), id, is_last }
    }

    fn let_go(&self) -> Option<ws::Turn> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Turn {
    /// str or bytes for a message, a tuple for everything else (see the stub). None: the turn should end.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let event = {
            let mut turn = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            turn.as_mut().and_then(ws::Turn::take)
        }; // to make an object may run finalizers, which may step aside
        event.map(|event| event_to_python(py, event)).transpose()
    }

    /// Ends the turn; events that are left go to somebody else.
    fn end(&self) {
        drop(self.let_go());
    }

    /// Ends the turn, and leaves the events to `WebSocket.receive`.
    fn leave(&self) {
        if let Some(turn) = self.let_go() {
            turn.leave();
        }
    }

    /// The handler is about to wait: others go on.
    fn step_aside(&self) {
        if let Some(turn) = &*self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            turn.step_aside();
        }
    }

    /// From now until the next `take`, a block gives the connection to somebody else.
    fn let_others_in(&self) {
        if let Some(turn) = &*self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            turn.let_others_in();
        }
    }
}

/// Attached, if it is small and nobody has to be waited for: that takes less than coming back.
pub(crate) fn offer(
    py: Python<'_>,
    socket: &ws::WebSocket,
    frames: &[Bytes],
    delivery: Option<&Delivery>,
) -> Offered {
    let is_small = frames.iter().map(Bytes::len).sum::<usize>() <= ATTACHED_LIMIT;
    let attached = if is_small { socket.try_offer(frames, delivery) } else { None };
    attached.unwrap_or_else(|| py.detach(|| socket.offer(frames, delivery)))
}

/// The name of what became of a message.
pub(crate) fn outcome(offered: Offered) -> &'static str {
    match offered {
        Offered::Sent => "sent",
        Offered::Queued => "queued",
        Offered::Gone => "gone",
        Offered::Dropped => "dropped",
        Offered::Refused => "refused",
        Offered::Overflowed => "overflowed",
    }
}

fn event_to_python(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    Ok(match event {
        Event::Text(text) => PyString::new(py, &text).into_any(),
        Event::Binary(bytes) => PyBytes::new(py, &bytes).into_any(),
        Event::Probed => ("probed",).into_pyobject(py)?.into_any(),
        Event::Upgraded => ("upgraded",).into_pyobject(py)?.into_any(),
        Event::Closed(closure) => closure_to_python(py, closure)?,
    })
}

fn closure_to_python(py: Python<'_>, closure: Closure) -> PyResult<Bound<'_, PyAny>> {
    let Closure { code, reason, cause, received, sent } = closure;
    Ok(("closed", code, reason, cause.name(), received, sent).into_pyobject(py)?.into_any())
}

/// What `hand_over` returns last: unsent, awaiting a pong, seconds until something is due, received, sent.
#[derive(FromPyObject)]
pub(crate) struct Moved(Vec<u8>, bool, f64, u64, u64);

impl Moved {
    fn beat(&self) -> PyResult<Beat> {
        Ok(Beat { awaiting_pong: self.1, due_in: seconds(self.2)? })
    }
}

#[pyclass(frozen, weakref, module = "hangup._hangup")]
pub(crate) struct WebSocket(pub(crate) Arc<ws::WebSocket>);

#[pymethods]
impl WebSocket {
    /// Takes over the descriptor `fd`, whose upgrade was answered; `early`: what was read beyond the request.
    /// Without a dispatcher its events wait for `receive`. `heartbeat`: Engine.IO's (interval, timeout) in seconds, or None for plain messages.
    /// `pings`: the same for plain messages, with ping frames; without a timeout nobody is left for silence.
    /// `moved`: what `hand_over` returned elsewhere, behind the descriptor and `early`. It is parked.
    #[new]
    #[pyo3(signature = (fd, early, dispatcher, *, max_message, max_queued, stall_limit, close_limit, heartbeat=None, upgrade=false, pings=None, tells=false, policy="close", moved=None))]
    #[allow(clippy::too_many_arguments)] // keywords at the only caller
    fn new(
        py: Python<'_>,
        fd: i32,
        early: Vec<u8>,
        dispatcher: Option<&Dispatcher>,
        max_message: usize,
        max_queued: usize,
        stall_limit: f64,
        close_limit: f64,
        heartbeat: Option<(f64, f64)>,
        upgrade: bool,
        pings: Option<(f64, Option<f64>)>,
        tells: bool,
        policy: &str,
        moved: Option<Moved>,
    ) -> PyResult<Self> {
        let overflow = overflow_of(policy)?;
        let origin = match &moved {
            Some(moved) => Origin::Moved(moved.beat()?),
            None if upgrade => Origin::Upgraded,
            None => Origin::Begun,
        };
        let fd = adopt::take_over(fd);
        let protocol = match heartbeat {
            None => Protocol::Plain { pings: pings.map(every).transpose()? },
            Some((interval, timeout)) => Protocol::EngineIo {
                heartbeat: Heartbeat { interval: seconds(interval)?, timeout: seconds(timeout)? },
                origin,
            },
        };
        let settings = Settings {
            protocol,
            max_message,
            max_queued,
            overflow,
            stall_limit: seconds(stall_limit)?,
            close_limit: seconds(close_limit)?,
            tells,
        };
        let dispatcher = dispatcher.map(|dispatcher| Arc::clone(&dispatcher.0));
        // Attached: it takes microseconds, and to come back from a detour costs a thread's turn under the GIL.
        let started = match moved {
            None => ws::WebSocket::start(fd, early, settings, dispatcher),
            Some(Moved(unsent, _, _, received, sent)) => {
                let departed = Departed { fd, unhandled: early, unsent, beat: None, received, sent };
                ws::WebSocket::resume(departed, settings, dispatcher)
            }
        };
        started.map(Self).map_err(|error| to_python(py, &error, 0))
    }

    /// Unique in this process and its children.
    #[getter]
    fn id(&self) -> u64 {
        self.0.id()
    }

    /// Its descriptor's serial, unlike the number nobody else's.
    #[getter]
    fn serial(&self) -> u64 {
        self.0.guarded().trail().serial()
    }

    /// What waits to be sent, in bytes.
    #[getter]
    fn queued(&self) -> usize {
        self.0.queued()
    }

    /// Payload and framing sent so far, in bytes.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent()
    }

    /// Messages that were dropped for want of room.
    #[getter]
    fn dropped(&self) -> u64 {
        self.0.dropped()
    }

    /// Messages that waited, and were replaced by a newer one of their key.
    #[getter]
    fn coalesced(&self) -> u64 {
        self.0.coalesced()
    }

    /// Seconds since a `Message` last came for it, or since this was first asked: before that nobody looks at a clock.
    #[getter]
    fn quiet(&self) -> f64 {
        self.0.quiet().as_secs_f64()
    }

    /// How it ended, as in `Turn.take`; None while it is not over.
    #[getter]
    fn ending<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.closure().map(|closure| closure_to_python(py, closure.clone())).transpose()
    }

    /// Offers str as text, bytes-like as binary: "sent", "queued", "gone", "dropped", "refused" or "overflowed".
    #[pyo3(signature = (data, /))]
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        let frame = match data.cast::<PyString>() {
            Ok(text) => codec::frame(OpCode::Data(Data::Text), text.to_cow()?.as_bytes()),
            Err(_) => codec::frame(OpCode::Data(Data::Binary), Payload::new(data)?.as_slice()),
        };
        Ok(outcome(offer(py, &self.0, &[frame], None)))
    }

    /// Waits until no more than `level` bytes wait, or it is over; at most `limit` seconds. False if time is up.
    #[pyo3(signature = (level, limit, /))]
    fn wait_for_room(&self, py: Python<'_>, level: usize, limit: f64) -> PyResult<bool> {
        let limit = seconds(limit)?;
        Ok(py.detach(|| self.0.wait_for_room(level, limit)))
    }

    /// Waits for the next event, at most `limit` seconds (see `Turn.take`). For a WebSocket without a dispatcher, or whose turns
    /// are left to it (`Turn.leave`): then `limit` is 0.
    #[pyo3(signature = (limit, /))]
    fn receive<'py>(&self, py: Python<'py>, limit: f64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let limit = seconds(limit)?;
        let event = match self.0.receive(Duration::ZERO) {
            None => py.detach(|| self.0.receive(limit)),
            there => there,
        };
        event.map(|event| event_to_python(py, event)).transpose()
    }

    /// Closes with `code` after what waits was sent; with 1006 the stream ends without a close frame. Never waits.
    #[pyo3(signature = (code=1000, reason="", /))]
    fn close(&self, py: Python<'_>, code: u16, reason: &str) {
        py.detach(|| self.0.close(code, reason));
    }

    /// From now on nobody is given a turn, and the client is not read.
    fn park(&self) {
        self.0.park();
    }

    /// As before `park`.
    fn unpark(&self) {
        self.0.unpark();
    }

    /// Whether it is parked, and nobody has a turn.
    #[getter]
    fn is_quiet(&self) -> bool {
        self.0.is_quiet()
    }

    /// Ends it now: what waits is thrown away.
    fn abort(&self) {
        self.0.end(Ending::Here);
    }
}

/// Has WebSockets depart that are quiet, at most within `limit` seconds. Of each: its descriptor, which is the caller's, what
/// the client sent and nobody has handled, and what `moved` takes; None if it ends here, or nothing happened.
#[pyfunction]
#[pyo3(signature = (websockets, limit, /))]
pub(crate) fn hand_over<'py>(
    py: Python<'py>,
    websockets: Vec<PyRef<'py, WebSocket>>,
    limit: f64,
) -> PyResult<Vec<Option<Bound<'py, PyTuple>>>> {
    let limit = seconds(limit)?;
    let sockets: Vec<_> = websockets.iter().map(|websocket| Arc::clone(&websocket.0)).collect();
    let departed: Vec<_> = py.detach(|| {
        for socket in &sockets {
            socket.begin_to_depart();
        }
        sockets.iter().map(|socket| socket.depart(limit)).collect()
    });
    departed.into_iter().map(|one| one.map(|departed| departed_to_python(py, departed)).transpose()).collect()
}

fn departed_to_python(py: Python<'_>, departed: Departed) -> PyResult<Bound<'_, PyTuple>> {
    let Departed { fd, unhandled, unsent, beat, received, sent } = departed;
    let (awaiting_pong, due_in) =
        beat.map_or((false, 0.0), |beat| (beat.awaiting_pong, beat.due_in.as_secs_f64()));
    let moved = (PyBytes::new(py, &unsent), awaiting_pong, due_in, received, sent);
    (fd.into_raw_fd(), PyBytes::new(py, &unhandled), moved).into_pyobject(py)
}
