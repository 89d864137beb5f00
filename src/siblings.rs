//! `Inbox` and `Line`: what workers of one server tell each other; `loads` and `expect`: how busy they are.

use std::io;
use std::os::fd::{AsFd, IntoRawFd};
use std::time::Duration;

use hangup_core::metrics;
use hangup_core::siblings;
use hangup_core::writer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Payload;
use crate::errors::to_python;

/// Where this process is told things.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Inbox {
    inbox: siblings::Inbox,
}

#[pymethods]
impl Inbox {
    /// `name`: abstract, not in use.
    #[new]
    fn new(py: Python<'_>, name: &[u8]) -> PyResult<Self> {
        Ok(py.detach(|| siblings::Inbox::open(name)).map(|inbox| Self { inbox })?)
    }

    /// Readable while there is something to take.
    fn fileno(&self) -> i32 {
        self.inbox.signal()
    }

    /// `(data, fd)`, fd being -1 where no connection came along; None if there is nothing. Does not wait.
    fn take<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyBytes>, i32)> {
        let message = self.inbox.take()?;
        let fd = message.connection.map_or(-1, IntoRawFd::into_raw_fd);
        Some((PyBytes::new(py, &message.data), fd))
    }

    /// Nobody is heard any more; what arrived can still be taken.
    fn close(&self) {
        self.inbox.close();
    }
}

/// A connection to somebody's inbox.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Line {
    line: siblings::Line,
}

#[pymethods]
impl Line {
    #[new]
    fn new(name: &[u8]) -> PyResult<Self> {
        Ok(siblings::Line::open(name).map(|line| Self { line })?)
    }

    /// Sends `data`, and `fd`, which stays the caller's, unless it is -1. False if there was no room within `limit` seconds.
    #[pyo3(signature = (data, fd, limit, /))]
    fn send(&self, data: &Bound<'_, PyAny>, fd: i32, limit: f64) -> PyResult<bool> {
        let limit =
            Duration::try_from_secs_f64(limit).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let payload = Payload::new(data)?;
        let connection = (fd >= 0).then(|| writer::borrow_file(fd)).transpose();
        let connection = connection.map_err(|error| to_python(data.py(), &error, 0))?;
        let connection = connection.as_ref().map(AsFd::as_fd);
        let bytes = payload.as_slice();
        let sent = data.py().detach(|| self.line.send(bytes, connection, limit));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            sent => Ok(sent.map(|()| true)?),
        }
    }
}

/// `(pid, sessions)` of each process of the family that serves.
#[pyfunction]
pub(crate) fn loads() -> Vec<(u32, u64)> {
    metrics::loads().into_iter().map(|load| (load.pid, load.sessions)).collect()
}

/// The pids of those that hear what others of the family tell them, this process among them.
#[pyfunction]
pub(crate) fn listening() -> Vec<u32> {
    metrics::listening()
}

/// A session is sent to a process (1), or begun or given up there (-1).
#[pyfunction]
#[pyo3(signature = (pid, change, /))]
pub(crate) fn expect(pid: u32, change: i64) {
    metrics::expect(pid, change);
}
