//! The counters of this process and of its family.

use hangup_core::metrics::{self, Breakdown, Counter, Distribution, Family, Label, Phase, Place, Refusal};
use pyo3::exceptions::{PyKeyError, PyLookupError, PyNotImplementedError, PyProcessLookupError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Totals by name since the process was started or forked.
#[pyfunction]
pub(crate) fn totals(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, total) in metrics::totals() {
        dict.set_item(name, total)?;
    }
    Ok(dict)
}

/// Makes a family of the processes that are forked from now on. False if the kernel has nothing to make it of.
#[pyfunction]
pub(crate) fn found_family() -> bool {
    metrics::found()
}

/// Has this process count in its family's memory. Why it does not, or None.
#[pyfunction]
pub(crate) fn join_family() -> Option<&'static str> {
    match metrics::join() {
        Place::Slot(_) => None,
        Place::Private(reason) => Some(reason),
    }
}

/// The slot of a process that is dead is free from now on. True if it had one.
#[pyfunction]
pub(crate) fn retire(pid: u32) -> bool {
    metrics::retire(pid)
}

/// Tells those who read that this process serves, or leaves.
#[pyfunction]
pub(crate) fn announce(serves: bool) {
    metrics::announce(if serves { Phase::Serving } else { Phase::Leaving });
}

/// Adds one to the counter with this name.
#[pyfunction]
pub(crate) fn tally(name: &str) -> PyResult<()> {
    let counter = Counter::named(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    metrics::count(counter);
    Ok(())
}

type Numbers = Vec<u64>;
type Processes = Vec<(u32, &'static str, Numbers)>;

/// `(names, total, dead, [(pid, phase, values)])` of the family of `pid`, or of this process.
#[pyfunction]
pub(crate) fn read_family(
    py: Python<'_>,
    pid: Option<u32>,
) -> PyResult<(Vec<String>, Numbers, Numbers, Processes)> {
    let read = py.detach(|| pid.map_or_else(|| Ok(metrics::read_own()), metrics::read));
    let Family { names, total, dead, processes } = read.map_err(|refusal| match refusal {
        Refusal::Closed(error) if error.kind() == std::io::ErrorKind::NotFound => {
            PyProcessLookupError::new_err(format!("there is no process {}", pid.unwrap_or_default()))
        }
        Refusal::Closed(error) => error.into(),
        Refusal::Absent => {
            PyLookupError::new_err(format!("process {} counts nothing", pid.unwrap_or_default()))
        }
        Refusal::Unknown(layout) => {
            PyNotImplementedError::new_err(format!("its counters are of another version: layout {layout}"))
        }
    })?;
    let processes =
        processes.into_iter().map(|process| (process.pid, process.phase.name(), process.values)).collect();
    Ok((names, total, dead, processes))
}

type Labels = Vec<(&'static str, Vec<&'static str>)>;
type Described = (&'static str, &'static str, &'static str, Labels);

/// `(name, kind, help, labels)` of everything that is counted; `kind` is `counter` or `histogram`.
#[pyfunction]
pub(crate) fn metrics_table() -> Vec<Described> {
    let labels = |labels: &[Label]| labels.iter().map(|(name, values)| (*name, values.to_vec())).collect();
    let counters = Counter::ALL.iter().map(|one| (one.name(), "counter", one.help().trim(), Labels::new()));
    let breakdowns =
        Breakdown::ALL.map(|one| (one.name(), "counter", one.help().trim(), labels(one.labels())));
    let distributions =
        Distribution::ALL.map(|one| (one.name(), "histogram", one.help().trim(), labels(one.labels())));
    counters.chain(breakdowns).chain(distributions).collect()
}
