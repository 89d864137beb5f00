//! `session_id`.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// A new id of an Engine.IO session. Attached: to let go of the interpreter costs more than the random octets do.
#[pyfunction]
#[pyo3(signature = (number, /))]
pub(crate) fn session_id(number: u64) -> PyResult<String> {
    hangup_core::session_id::session_id(number).map_err(|errno| PyOSError::new_err((errno, "getrandom")))
}
