//! Load that `hangup bench` and `hangup storm` make.

use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Load(hangup_load::Load);

#[pymethods]
impl Load {
    /// Starts what `plan`, which is JSON, says, on a thread of its own.
    #[new]
    #[pyo3(signature = (plan, /))]
    fn new(py: Python<'_>, plan: &str) -> PyResult<Self> {
        py.detach(|| hangup_load::Load::start(plan)).map(Self).map_err(PyValueError::new_err)
    }

    /// Waits until it is over, so many seconds at most. False if it is not.
    #[pyo3(signature = (seconds, /))]
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let limit = Duration::try_from_secs_f64(seconds);
        let limit = limit.map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.detach(|| self.0.wait(limit)).map_err(PyRuntimeError::new_err)
    }

    /// Ends it at once; `wait` says when that is.
    fn stop(&self) {
        self.0.stop();
    }

    /// What has been counted so far, as JSON.
    fn report(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.report().to_string())
    }
}
