//! What is open; fork hooks; the engine's end.

use std::time::Duration;

use hangup_core::{adopt, engine, fork, table, writer};
use pyo3::prelude::*;

/// How many descriptors are owned.
#[pyfunction]
pub(crate) fn open_descriptors() -> usize {
    hangup_core::ledger::global().open()
}

/// Whether `fd` is owned.
#[pyfunction]
pub(crate) fn owns(fd: i32) -> bool {
    hangup_core::ledger::global().owns(fd)
}

/// Why `fd` cannot be guarded, in words, or None.
#[pyfunction]
pub(crate) fn objection(fd: i32) -> Option<&'static str> {
    adopt::objection(fd)
}

/// Whether sendfile(2) may be used (SIGPIPE is ignored).
#[pyfunction]
pub(crate) fn can_send_files() -> bool {
    writer::can_send_files()
}

/// Waits, at most `limit` seconds, until no connection lingers. The number that still do.
#[pyfunction]
pub(crate) fn drain(py: Python<'_>, limit: f64) -> usize {
    py.detach(|| engine::drain(Duration::from_secs_f64(limit.clamp(0.0, 3600.0))))
}

/// Has every fork of this process watched, from now on.
#[pyfunction]
pub(crate) fn watch_forks() {
    fork::watch();
}

/// Has the kernel's table of descriptors grown before clients come. Cheap while the process has one thread.
#[pyfunction]
pub(crate) fn widen_descriptor_table() {
    table::widen();
}
