//! What is open, what died, and where it is going.

use std::sync::{Mutex, PoisonError};

use hangup_core::address::Address;
use hangup_core::fd::trail::Figures;
use hangup_core::tcp::TcpInfo;
use hangup_core::{census, foreign, ledger, roll, table, trend};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::acceptor::parsed_to_python;

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn moment(nanos: u64) -> Option<f64> {
    (nanos > 0).then(|| seconds(nanos))
}

fn address<'py>(py: Python<'py>, address: &Address) -> PyResult<Option<Bound<'py, PyAny>>> {
    match address {
        Address::None => Ok(None),
        known => parsed_to_python(py, known).map(Some),
    }
}

type Tcp = (&'static str, f64, u32, u32, f64);

fn tcp(info: Option<TcpInfo>) -> Option<Tcp> {
    info.map(|tcp| (tcp.state(), tcp.rtt.as_secs_f64(), tcp.unacked, tcp.notsent, tcp.silent.as_secs_f64()))
}

fn times(figures: &Figures) -> (Option<f64>, Option<f64>) {
    (moment(figures.last_read), moment(figures.last_write))
}

/// For each descriptor of hangup's: fd, kind, peer, opened, closing, last read, last write, received, sent, queued, tcp, serial.
#[pyfunction]
pub(crate) fn snapshot(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for line in py.detach(roll::call) {
        let (figures, peer) = (&line.figures, address(py, &line.peer)?);
        let (read, write) = times(figures);
        let row = PyTuple::new(
            py,
            [
                line.fd.into_pyobject(py)?.into_any(),
                line.kind.into_pyobject(py)?.into_any(),
                peer.into_pyobject(py)?.into_any(),
                seconds(figures.opened).into_pyobject(py)?.into_any(),
                line.closing.into_pyobject(py)?.to_owned().into_any(),
                read.into_pyobject(py)?.into_any(),
                write.into_pyobject(py)?.into_any(),
                figures.received.into_pyobject(py)?.into_any(),
                figures.sent.into_pyobject(py)?.into_any(),
                line.queued.into_pyobject(py)?.into_any(),
                tcp(line.tcp).into_pyobject(py)?.into_any(),
                line.serial.into_pyobject(py)?.into_any(),
            ],
        )?;
        list.append(row)?;
    }
    Ok(list)
}

/// For each that died, the latest last: fd, kind, peer, opened, died, why, last read, last write, received, sent, serial.
#[pyfunction]
pub(crate) fn recent(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for dead in py.detach(|| ledger::global().died()) {
        let (figures, peer) = (&dead.figures, address(py, &dead.peer)?);
        let (read, write) = times(figures);
        list.append((
            dead.fd,
            dead.kind,
            peer,
            seconds(figures.opened),
            seconds(dead.died),
            dead.fate.name(),
            read,
            write,
            figures.received,
            figures.sent,
            dead.serial,
        ))?;
    }
    Ok(list)
}

/// Every descriptor of the process at one time. Rows are made when they are asked for.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Census(census::Census);

#[pymethods]
impl Census {
    #[new]
    fn new(py: Python<'_>) -> Self {
        Self(py.detach(census::Census::take))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// fd, kind, inode, path, local, remote, state, owned, cloexec.
    #[pyo3(signature = (index, /))]
    fn row<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyTuple>> {
        let found = self.0.get(index).ok_or_else(|| PyIndexError::new_err("census index out of range"))?;
        let row = (
            found.fd,
            found.kind,
            found.inode,
            &found.path,
            address(py, &found.local)?,
            address(py, &found.remote)?,
            found.state,
            found.owned,
            found.cloexec,
        );
        row.into_pyobject(py)
    }

    /// The indices of TCP sockets in `state`.
    #[pyo3(signature = (state, /))]
    fn in_state(&self, state: &str) -> Vec<usize> {
        self.0.in_state(state)
    }

    /// The index of the descriptor `fd`.
    #[pyo3(signature = (fd, /))]
    fn index_of(&self, fd: i32) -> Option<usize> {
        self.0.index_of(fd)
    }
}

/// `(open, owned, limit)`: how many descriptors the process has, how many of them are hangup's, and how many it may
/// have. The first is -1 where the kernel (before 6.2) cannot say it without listing them.
#[pyfunction]
pub(crate) fn count() -> (i64, usize, u64) {
    let open = census::count().map_or(-1, |open| open as i64);
    (open, ledger::global().owned(), table::limit())
}

type Numbers = Vec<(i32, census::Identity)>;

/// Descriptors that are looked at in less time than it takes to come back to the interpreter.
const FEW: usize = 64;

/// The descriptors that are not hangup's, as they come and go.
#[pyclass(module = "hangup._hangup", frozen)]
#[derive(Default)]
pub(crate) struct Foreign(Mutex<foreign::Foreign>);

#[pymethods]
impl Foreign {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// What has appeared since the last look, and what has gone.
    fn look(&self, py: Python<'_>) -> (Numbers, Numbers) {
        if let Ok(mut known) = self.0.try_lock() {
            if (1..FEW).contains(&known.len()) {
                return known.look();
            }
        }
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).look())
    }

    /// Whether it is open, and the same as it was.
    #[staticmethod]
    fn is_open(fd: i32, identity: census::Identity) -> bool {
        foreign::is_open(fd, identity)
    }
}

/// Seconds since anything was heard of the peer of a TCP connection, or None if `fd` is none.
#[pyfunction]
pub(crate) fn silence(fd: i32) -> Option<f64> {
    TcpInfo::of(fd).map(|tcp| tcp.silent.as_secs_f64())
}

/// `(kind, path, local, remote, owned)` of what is open under `fd`, or None.
#[pyfunction]
pub(crate) fn describe(py: Python<'_>, fd: i32) -> PyResult<Option<Bound<'_, PyTuple>>> {
    let Some(found) = py.detach(|| census::find(fd)) else { return Ok(None) };
    let (local, remote) = (address(py, &found.local)?, address(py, &found.remote)?);
    (found.kind, found.path, local, remote, found.owned).into_pyobject(py).map(Some)
}

/// Shuts a connection down, by its serial, for its owner to close; whether it was there.
#[pyfunction]
#[pyo3(signature = (serial, /))]
pub(crate) fn hang_up(py: Python<'_>, serial: u64) -> bool {
    py.detach(|| roll::hang_up(serial))
}

/// A figure that changes when the descriptor `fd` is used, or None if nothing tells.
#[pyfunction]
pub(crate) fn wear(fd: i32) -> Option<u64> {
    census::wear(fd)
}

/// Whether the peer has left, and whether nothing can be sent to it. The lock is kept: to ask takes less time than to
/// have it back from other threads.
#[pyfunction]
#[pyo3(signature = (fd, /))]
pub(crate) fn departure(fd: i32) -> (bool, bool) {
    hangup_core::tcp::departure(fd)
}

/// Where a count is going.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Trend(Mutex<trend::Trend>);

#[pymethods]
impl Trend {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Adds a sample, later than those before.
    #[pyo3(signature = (seconds, count, /))]
    fn add(&self, seconds: f64, count: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(seconds, count);
    }

    /// Growth per second.
    fn slope(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).slope()
    }

    /// Seconds from the latest sample until the count is `limit`; None if it does not grow.
    #[pyo3(signature = (limit, /))]
    fn seconds_until(&self, limit: f64) -> Option<f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seconds_until(limit)
    }
}
