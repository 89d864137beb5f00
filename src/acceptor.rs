//! `Acceptor`: a listener that pauses when descriptors run short.

use std::os::fd::IntoRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use hangup_core::acceptor;
use hangup_core::address::{self, Address};
use hangup_core::cause::Op;
use hangup_core::error::Error;
use hangup_core::SocketAddrAny;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::to_python;

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Acceptor {
    acceptor: Mutex<Option<Arc<acceptor::Acceptor>>>,
}

#[pymethods]
impl Acceptor {
    /// `listener`: an object with `fileno()`; `reserve`: descriptors to keep free; `patience`: seconds for which the head of a
    /// client's first request is waited for, None for not at all.
    #[new]
    fn new(listener: &Bound<'_, PyAny>, reserve: u64, patience: Option<f64>) -> PyResult<Self> {
        let py = listener.py();
        let fd: i32 = listener.call_method0("fileno")?.extract()?;
        let patience = patience.map(Duration::try_from_secs_f64).transpose();
        let patience = patience.map_err(|error| PyValueError::new_err(error.to_string()))?;
        acceptor::Acceptor::new(fd, reserve, patience)
            .map(|acceptor| Self { acceptor: Mutex::new(Some(acceptor)) })
            .map_err(|error| to_python(py, &error, 0))
    }

    /// `(fd, address, episode_began)`; the first two are None when nobody is waiting or accepting is paused.
    fn accept<'py>(&self, py: Python<'py>) -> PyResult<(Option<i32>, Option<Bound<'py, PyAny>>, bool)> {
        let Some(acceptor) = self.opened() else {
            return Err(to_python(py, &Error::closed_here(Op::Accept), 0));
        };
        let accepted = acceptor.accept().map_err(|error| to_python(py, &error, 0))?;
        let Some((client, address)) = accepted.client else {
            return Ok((None, None, accepted.episode_began));
        };
        let address = address_to_python(py, address)?;
        Ok((Some(client.into_raw_fd()), Some(address), accepted.episode_began))
    }

    /// Accepts nobody any more; those who were accepted have at most `limit` seconds for their request. Idempotent.
    #[pyo3(signature = (limit, /))]
    fn leave(&self, limit: f64) -> PyResult<()> {
        let limit =
            Duration::try_from_secs_f64(limit).map_err(|error| PyValueError::new_err(error.to_string()))?;
        if let Some(acceptor) = self.opened() {
            acceptor.leave(limit);
        }
        Ok(())
    }

    /// Whether somebody was accepted and not handed over.
    #[getter]
    fn is_awaited(&self) -> bool {
        self.opened().is_some_and(|acceptor| acceptor.is_awaited())
    }

    /// What an event loop polls instead of the listener; -1 after `close`.
    fn fileno(&self) -> i32 {
        self.opened().map_or(-1, |acceptor| acceptor.poll_fd())
    }

    /// Stops accepting and returns the descriptors.
    fn close(&self) {
        let acceptor = self.slot().take();
        drop(acceptor);
    }

    /// Whether accepting is paused.
    #[getter]
    fn is_paused(&self) -> bool {
        self.opened().is_some_and(|acceptor| acceptor.is_paused())
    }
}

impl Acceptor {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<acceptor::Acceptor>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Option<Arc<acceptor::Acceptor>> {
        self.slot().clone()
    }
}

/// As `socket.accept()` gives it: a tuple for IP, str or bytes for a Unix socket.
pub(crate) fn address_to_python(
    py: Python<'_>,
    address: Option<SocketAddrAny>,
) -> PyResult<Bound<'_, PyAny>> {
    parsed_to_python(py, &address::parse(address))
}

/// As [`address_to_python`].
pub(crate) fn parsed_to_python<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyAny>> {
    match address {
        Address::V4(v4) => Ok((v4.ip().to_string(), v4.port()).into_pyobject(py)?.into_any()),
        Address::V6(v6) => {
            let address = (v6.ip().to_string(), v6.port(), v6.flowinfo(), v6.scope_id());
            Ok(address.into_pyobject(py)?.into_any())
        }
        Address::Path(path) => Ok(Path::new(path).as_os_str().into_pyobject(py)?.into_any()),
        Address::Abstract(name) => Ok(PyBytes::new(py, name).into_any()),
        Address::None => Ok(PyString::new(py, "").into_any()),
    }
}
