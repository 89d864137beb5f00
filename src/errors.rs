//! One error in, one Python exception out.

use hangup_core::cause::Cause;
use hangup_core::error::Error;
use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError};
use pyo3::prelude::*;

mod python {
    use pyo3::import_exception;

    import_exception!(hangup.exceptions, Broken);
    import_exception!(hangup.exceptions, Busy);
    import_exception!(hangup.exceptions, ClosedHere);
    import_exception!(hangup.exceptions, OwnershipViolation);
    import_exception!(hangup.exceptions, PeerGone);
    import_exception!(hangup.exceptions, TimedOut);
    import_exception!(socket, timeout);
}

/// The exception for `error`, of an operation that had sent `bytes_sent` bytes.
pub(crate) fn to_python(py: Python<'_>, error: &Error, bytes_sent: usize) -> PyErr {
    let args = (error.errno, error.to_string());
    let exception = match error.cause {
        Cause::PeerGone => python::PeerGone::new_err(args),
        Cause::PathBroken => python::Broken::new_err(args),
        Cause::ClosedHere => python::ClosedHere::new_err(args),
        Cause::Busy => python::Busy::new_err(args),
        Cause::OwnershipViolation => python::OwnershipViolation::new_err(args),
        Cause::TimedOut if error.op.sends() => python::TimedOut::new_err(args),
        Cause::TimedOut => return python::timeout::new_err("timed out"),
        Cause::WouldBlock => return PyBlockingIOError::new_err(args),
        Cause::Interrupted => return PyInterruptedError::new_err(args),
        Cause::Exhausted | Cause::Misuse => return PyOSError::new_err(args),
    };
    match describe(py, &exception, error, bytes_sent) {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}

fn describe(py: Python<'_>, exception: &PyErr, error: &Error, bytes_sent: usize) -> PyResult<()> {
    let value = exception.value(py);
    value.setattr("cause", error.cause.name())?;
    value.setattr("bytes_sent", bytes_sent)?;
    if let (Cause::ClosedHere, Some(place)) = (error.cause, &error.closed_by) {
        value.setattr("closed_by", place.lines().next().unwrap_or_default())?; // behind it is a stack
    }
    Ok(())
}
