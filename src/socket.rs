//! `Socket`: one face of a guarded connection.
//!
//! Small transfers are tried attached, because a non-blocking system call is shorter than giving the
//! interpreter away and fighting for it again. Whatever would wait, and every large transfer,
//! happens detached.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hangup_core::cause::{Cause, Op};
use hangup_core::connection::{Face, Role};
use hangup_core::error::{Error, Result};
use hangup_core::fd::{Hold, Interest, Patience, MSG_WAITALL};
use hangup_core::writer::{self, Writer};
use hangup_core::{adopt, Shutdown};
use pyo3::exceptions::{PyBlockingIOError, PyOSError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::acceptor::parsed_to_python;
use crate::buffer::{self, Payload};
use crate::errors::to_python;

/// The most that is copied to or from the kernel while attached: about 10 µs.
const ATTACHED_LIMIT: usize = 32 * 1024;

#[pyclass(frozen, subclass, weakref, module = "hangup._hangup")]
pub(crate) struct Socket {
    face: Face,
}

#[pymethods]
impl Socket {
    /// `source`: a descriptor to take over, or, for the role "application", the server's `Socket`.
    #[new]
    fn new(source: &Bound<'_, PyAny>, role: &str, green: bool) -> PyResult<Self> {
        let role = match role {
            "owner" => Role::Owner,
            "server" => Role::Server,
            "application" => return Ok(Self { face: source.cast::<Socket>()?.get().face.for_application() }),
            _ => return Err(PyValueError::new_err("role must be 'owner', 'server' or 'application'")),
        };
        let adopted = Face::adopt(adopt::take_over(source.extract()?), role, green);
        adopted.map(|face| Self { face }).map_err(|error| to_python(source.py(), &error, 0))
    }

    #[pyo3(signature = (bufsize, flags=0, /))]
    fn recv<'py>(&self, py: Python<'py>, bufsize: isize, flags: i32) -> PyResult<Bound<'py, PyBytes>> {
        let limit =
            usize::try_from(bufsize).map_err(|_| PyValueError::new_err("negative buffersize in recv"))?;
        let mut buffer = Vec::new();
        self.receive(py, &mut buffer, limit, flags)?;
        Ok(PyBytes::new(py, &buffer))
    }

    #[pyo3(signature = (buffer, nbytes=0, flags=0))]
    fn recv_into(&self, buffer: &Bound<'_, PyAny>, nbytes: isize, flags: i32) -> PyResult<usize> {
        let view = buffer::writable(buffer)?;
        let limit = match usize::try_from(nbytes) {
            Err(_) => return Err(PyValueError::new_err("negative buffersize in recv_into")),
            Ok(0) => view.len()?,
            Ok(wanted) if wanted > view.len()? => {
                return Err(PyValueError::new_err("buffer too small for requested bytes"));
            }
            Ok(wanted) => wanted,
        };
        let mut received = Vec::new();
        let count = self.receive(buffer.py(), &mut received, limit, flags)?;
        buffer::store(&view, &received)?;
        Ok(count)
    }

    #[pyo3(signature = (data, flags=0, /))]
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, flags: i32) -> PyResult<usize> {
        self.send_from(py, data, 0, flags)
    }

    /// Sends some of `data[offset:]`.
    #[pyo3(name = "_send_from", signature = (data, offset, flags, /))]
    fn send_from(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        offset: usize,
        flags: i32,
    ) -> PyResult<usize> {
        let payload = Payload::new(data)?;
        let data = payload.as_slice().get(offset..).unwrap_or_default();
        let mut sent = 0;
        self.transfer(py, Op::Send, flags, data.len(), &mut sent, |writer, sent, patience| {
            *sent = writer.send(data, flags, patience)?;
            Ok(())
        })?;
        Ok(sent)
    }

    #[pyo3(signature = (data, flags=0, /))]
    fn sendall(&self, py: Python<'_>, data: &Bound<'_, PyAny>, flags: i32) -> PyResult<()> {
        let payload = Payload::new(data)?;
        let data = payload.as_slice();
        self.transfer(py, Op::Send, flags, data.len(), &mut 0, |writer, sent, patience| {
            writer.send_all(data, sent, flags, patience)
        })
    }

    /// Sends up to `count` bytes of the file with number `file`, from `offset` on. The number sent: fewer
    /// than `count` at the end of the file, or where a green socket would have to wait.
    #[pyo3(name = "_send_file", signature = (file, offset, count, /))]
    fn send_file(&self, py: Python<'_>, file: i32, offset: u64, count: u64) -> PyResult<usize> {
        let file = writer::borrow_file(file).map_err(|error| self.fail(py, &error, 0))?;
        let mut sent = 0;
        let outcome = self.transfer(py, Op::Sendfile, 0, usize::MAX, &mut sent, |writer, sent, patience| {
            let (mut position, mut left) = (offset + *sent as u64, count - *sent as u64);
            let outcome = writer.send_file(&file, &mut position, &mut left, patience);
            *sent = (position - offset) as usize;
            outcome
        });
        match outcome {
            Err(error) if sent == 0 || !error.is_instance_of::<PyBlockingIOError>(py) => Err(error),
            _ => Ok(sent),
        }
    }

    #[pyo3(signature = (how, /))]
    fn shutdown(&self, py: Python<'_>, how: i32) -> PyResult<()> {
        let how = match how {
            0 => Shutdown::Read,
            1 => Shutdown::Write,
            2 => Shutdown::Both,
            _ => return Err(PyOSError::new_err((22, "shutdown() takes SHUT_RD, SHUT_WR or SHUT_RDWR"))),
        };
        self.face.shutdown(how).map_err(|error| to_python(py, &error, 0))
    }

    /// Ends this face's use. `place` names who closes, for those who come later.
    #[pyo3(name = "_close", signature = (place=None, /))]
    fn close(&self, py: Python<'_>, place: Option<String>) {
        if self.face.is_detached() {
            return self.face.close(place);
        }
        py.detach(|| self.face.close(place)); // SO_LINGER can make close(2) wait
    }

    fn detach(&self, py: Python<'_>) -> PyResult<i32> {
        match self.face.detach() {
            Err(error) if error.cause == Cause::ClosedHere => Ok(-1),
            outcome => outcome.map_err(|error| to_python(py, &error, 0)),
        }
    }

    fn fileno(&self) -> i32 {
        self.face.fileno()
    }

    fn gettimeout(&self) -> Option<f64> {
        self.face.timeout().map(|limit| limit.as_secs_f64())
    }

    #[pyo3(signature = (timeout, /))]
    fn settimeout(&self, timeout: Option<f64>) -> PyResult<()> {
        self.face.set_timeout(timeout.map(duration).transpose()?);
        Ok(())
    }

    #[pyo3(signature = (flag, /))]
    fn setblocking(&self, flag: &Bound<'_, PyAny>) -> PyResult<()> {
        self.face.set_timeout(if flag.is_truthy()? { None } else { Some(Duration::ZERO) });
        Ok(())
    }

    /// Waits until the socket is readable (or writable), or at its end. False if `timeout` passed.
    #[pyo3(name = "_wait", signature = (writable, timeout, /))]
    fn wait(&self, py: Python<'_>, writable: bool, timeout: Option<f64>) -> PyResult<bool> {
        let interest = if writable { Interest::Writable } else { Interest::Readable };
        let patience = Patience::from_timeout(timeout.map(duration).transpose()?);
        loop {
            match py.detach(|| self.face.wait(interest, patience)) {
                Err(error) if error.cause == Cause::Interrupted => py.check_signals()?,
                outcome => return outcome.map_err(|error| to_python(py, &error, 0)),
            }
        }
    }

    /// A context in which the number stays ours: `with sock._pin() as fd`.
    #[pyo3(name = "_pin")]
    fn pin(slf: Py<Self>) -> Pin {
        Pin { socket: slf, hold: Mutex::new(None) }
    }

    /// "socket", "http", "upgraded" or "lingering".
    #[getter(_kind)]
    fn kind(&self) -> &'static str {
        self.face.guarded().kind().name()
    }

    /// The number, for showing. It may be somebody else's already.
    #[getter(_number)]
    fn number(&self) -> i32 {
        self.face.guarded().number_for_display()
    }

    /// Whether the application sent a `101` of its own.
    #[getter(_is_upgraded)]
    fn is_upgraded(&self) -> bool {
        self.face.is_upgraded()
    }

    /// Whether the descriptor was given away.
    #[getter(_is_detached)]
    fn is_detached(&self) -> bool {
        self.face.is_detached()
    }

    /// Whether either side closed.
    #[getter(_is_closed)]
    fn is_closed(&self) -> bool {
        self.face.is_closed()
    }
}

impl Socket {
    fn receive(&self, py: Python<'_>, buffer: &mut Vec<u8>, limit: usize, flags: i32) -> PyResult<usize> {
        if limit == 0 {
            return Ok(0); // as socket.recv(0): not even a wait
        }
        let patience = self.face.patience(flags);
        let attached = limit <= ATTACHED_LIMIT && flags & MSG_WAITALL == 0;
        let mut outcome = if attached || patience == Patience::Never {
            self.face.recv(buffer, limit, flags, Patience::Never)
        } else {
            Err(Error::would_block(Op::Recv))
        };
        loop {
            match &outcome {
                Err(_) if patience == Patience::Never => break,
                Err(error) if error.cause == Cause::Interrupted => py.check_signals()?,
                Err(error) if error.is_transient() => {}
                _ => break,
            }
            outcome = py.detach(|| self.face.recv(buffer, limit, flags, patience));
        }
        if self.face.is_closed() {
            self.report_violation(py, Op::Recv);
        }
        outcome.map_err(|error| to_python(py, &error, 0))
    }

    /// Runs `step` with the write lane, which is held to the end, so that nobody writes between the parts
    /// of a buffer. Detached if it is long, or has to wait.
    fn transfer<F>(
        &self,
        py: Python<'_>,
        op: Op,
        flags: i32,
        length: usize,
        sent: &mut usize,
        mut step: F,
    ) -> PyResult<()>
    where
        F: FnMut(&Writer<'_>, &mut usize, Patience) -> Result<()> + Send,
    {
        let patience = self.face.patience(flags);
        let mut writer = self.face.writer(op, Patience::Never);
        while patience != Patience::Never && cause_of(&writer).is_some_and(Cause::is_contention) {
            py.check_signals()?;
            writer = py.detach(|| self.face.writer(op, patience));
            if cause_of(&writer) == Some(Cause::Busy) {
                break; // a signal handler's write to the socket whose write it interrupted
            }
        }
        let writer = writer.map_err(|error| self.fail(py, &error, *sent))?;
        let mut outcome = if length <= ATTACHED_LIMIT {
            step(&writer, sent, Patience::Never)
        } else {
            py.detach(|| step(&writer, sent, patience))
        };
        loop {
            match &outcome {
                Err(_) if patience == Patience::Never => break,
                Err(error) if error.cause == Cause::Interrupted => {
                    writer
                        .while_held(|| py.check_signals())
                        .map_err(|raised| with_progress(py, raised, *sent))?;
                }
                Err(error) if error.cause == Cause::WouldBlock => {}
                _ => break,
            }
            outcome = py.detach(|| step(&writer, sent, patience));
        }
        drop(writer); // what is reported below runs Python
        outcome.map_err(|error| self.fail(py, &error, *sent))
    }

    fn fail(&self, py: Python<'_>, error: &Error, sent: usize) -> PyErr {
        if error.cause == Cause::ClosedHere {
            self.report_violation(py, error.op);
        }
        let raised = with_progress(py, to_python(py, error, sent), sent);
        let _ = raised.value(py).setattr("cause", error.cause.name()); // a plain OSError has none yet
        raised
    }

    /// Says once per connection that the server went on after the application had closed.
    fn report_violation(&self, py: Python<'_>, op: Op) {
        let Some(violation) = self.face.take_violation(op) else { return };
        let guarded = self.face.guarded();
        let opened = guarded.opened().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let reported = py.import("hangup._reports").and_then(|reports| {
            let peer = parsed_to_python(py, guarded.trail().peer())?;
            let fd = guarded.number_for_display();
            let arguments =
                (fd, violation.closed_by, violation.op.name(), guarded.kind().name(), peer, opened);
            reports.call_method1("ownership_violation", arguments)
        });
        if let Err(error) = reported {
            error.write_unraisable(py, None);
        }
    }
}

/// Keeps the number of a socket ours while foreign code uses it.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Pin {
    socket: Py<Socket>,
    hold: Mutex<Option<Hold>>,
}

#[pymethods]
impl Pin {
    fn __enter__(&self, py: Python<'_>) -> PyResult<i32> {
        let face = &self.socket.get().face;
        let hold = face.hold().map_err(|error| to_python(py, &error, 0))?;
        self.slot().replace(hold);
        Ok(face.guarded().number_for_display())
    }

    fn __exit__(&self, _type: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>, _traceback: &Bound<'_, PyAny>) {
        self.socket.get().face.guarded().forget_mode();
        let hold = self.slot().take();
        drop(hold);
    }
}

impl Pin {
    fn slot(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how far the transfer was that `raised` ended; it may be a signal handler's exception.
fn with_progress(py: Python<'_>, raised: PyErr, sent: usize) -> PyErr {
    let _ = raised.value(py).setattr("bytes_sent", sent); // an exception with __slots__ has none
    raised
}

fn cause_of<T>(outcome: &Result<T>) -> Option<Cause> {
    outcome.as_ref().err().map(|error| error.cause)
}

/// Seconds as Python gives them. ValueError for a negative or undefined value, OverflowError for one that
/// does not fit.
fn duration(seconds: f64) -> PyResult<Duration> {
    if seconds < 0.0 || seconds.is_nan() {
        return Err(PyValueError::new_err("Timeout value out of range"));
    }
    let nanos = (seconds * 1e9).ceil();
    if nanos >= i64::MAX as f64 {
        return Err(PyOverflowError::new_err("timeout is too large"));
    }
    Ok(Duration::from_nanos(nanos as u64))
}
