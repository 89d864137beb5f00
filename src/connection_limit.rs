//! `ConnectionLimit`.

use std::time::Duration;

use hangup_core::rate_limit::{self, Pace};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// Token buckets of clients, shared with the processes that are forked from here on.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct ConnectionLimit(rate_limit::ConnectionLimit);

#[pymethods]
impl ConnectionLimit {
    /// `count` connections in `period` seconds, at most `burst` at a time.
    #[new]
    fn new(count: u32, period: f64, burst: u32) -> PyResult<Self> {
        let period =
            Duration::try_from_secs_f64(period).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let pace = Pace::new(count, period, burst).map_err(|unusable| PyValueError::new_err(unusable.0))?;
        rate_limit::ConnectionLimit::new(pace).map(Self).map_err(|errno| PyOSError::new_err((errno, "mmap")))
    }

    /// None if this client may begin a connection; else the seconds until it may. Attached: it never waits.
    #[pyo3(signature = (client, /))]
    fn admit(&self, client: &[u8]) -> Option<f64> {
        self.0.admit(client).err().map(|wait| wait.as_secs_f64())
    }
}
