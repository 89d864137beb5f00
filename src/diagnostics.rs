//! The core's diagnostics, for `logging`.

use std::time::UNIX_EPOCH;

use hangup_core::diagnostics::{self, Diagnostic};
use pyo3::prelude::*;
use tracing::level_filters::LevelFilter;
use tracing::Level;

/// logging's level, logger's name, message, fields, seconds since the epoch, thread.
type Row = (u8, String, String, Vec<(&'static str, String)>, f64, Option<String>);

/// An eventfd that is readable while there are diagnostics; read it before they are taken.
#[pyfunction]
pub(crate) fn diagnostics_signal() -> PyResult<i32> {
    Ok(diagnostics::listen()?)
}

/// Of interest are, from now on, diagnostics of `level` (one of `logging`'s) and above.
#[pyfunction]
#[pyo3(signature = (level, /))]
pub(crate) fn set_diagnostics_level(py: Python<'_>, level: u32) {
    let filter = match level {
        0..10 => LevelFilter::TRACE,
        10..20 => LevelFilter::DEBUG,
        20..30 => LevelFilter::INFO,
        30..40 => LevelFilter::WARN,
        40..50 => LevelFilter::ERROR,
        _ => LevelFilter::OFF,
    };
    py.detach(|| diagnostics::set_level(filter)); // a lock of tracing's
}

/// What was said since the last call, and how many diagnostics did not fit.
#[pyfunction]
pub(crate) fn take_diagnostics() -> (Vec<Row>, u64) {
    let (said, lost) = diagnostics::take();
    (said.into_iter().map(row).collect(), lost)
}

/// Has `threads` native threads say so many things each, for tests. Does not wait for them.
#[pyfunction]
#[pyo3(signature = (threads, count, /))]
pub(crate) fn say_from_threads(threads: usize, count: usize) -> PyResult<()> {
    for thread in 0..threads {
        std::thread::Builder::new().name(format!("native-{thread}")).spawn(move || {
            for number in 0..count {
                tracing::info!(target: "hangup::test", thread, number, "said");
            }
        })?;
    }
    Ok(())
}

fn row(said: Diagnostic) -> Row {
    let level = match said.level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    };
    let time = said.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    (level, said.target.replace("::", "."), said.message, said.fields, time, said.thread)
}
