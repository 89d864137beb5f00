//! What is asked of an emitted payload before it is encoded.

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList};

/// CPython's default recursion limit: a payload that is deeper cannot be encoded as JSON either.
const DEPTH: usize = 1000;

/// Whether bytes or bytearray are in a payload: in itself, in its lists, or in the values of its dicts.
/// Raises RecursionError for one that is nested more than 1000 deep.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(crate) fn contains_bytes(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    contains(data, DEPTH)
}

fn contains(data: &Bound<'_, PyAny>, depth: usize) -> PyResult<bool> {
    let left =
        || depth.checked_sub(1).ok_or_else(|| PyRecursionError::new_err("the payload is nested too deep"));
    if let Ok(list) = data.cast::<PyList>() {
        let left = left()?;
        for item in list.iter() {
            if contains(&item, left)? {
                return Ok(true);
            }
        }
        Ok(false)
    } else if let Ok(dict) = data.cast::<PyDict>() {
        let left = left()?;
        for value in dict.values().iter() {
            if contains(&value, left)? {
                return Ok(true);
            }
        }
        Ok(false)
    } else {
        Ok(data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyByteArray>())
    }
}
