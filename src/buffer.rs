//! What may be sent. Immutable `bytes` are borrowed; everything else is copied, while attached,
//! because its owner could change it during the send.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

pub(crate) struct Payload<'py>(Bound<'py, PyBytes>);

impl<'py> Payload<'py> {
    /// From a bytes-like object. TypeError for anything else.
    pub(crate) fn new(data: &Bound<'py, PyAny>) -> PyResult<Self> {
        match data.cast_exact::<PyBytes>() {
            Ok(bytes) => Ok(Self(bytes.clone())),
            Err(_) => Ok(Self(PyMemoryView::from(data)?.call_method0("tobytes")?.cast_into()?)),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Copies `data` into the start of `target`, a writable bytes-like object.
pub(crate) fn store(target: &Bound<'_, PyMemoryView>, data: &[u8]) -> PyResult<()> {
    let py = target.py();
    let slice = pyo3::types::PySlice::new(py, 0, data.len() as isize, 1);
    target.set_item(slice, PyBytes::new(py, data))
}

/// A writable view of single bytes on `target`. TypeError if there is none.
pub(crate) fn writable<'py>(target: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyMemoryView>> {
    let view = PyMemoryView::from(target)?;
    if view.getattr("readonly")?.is_truthy()? {
        return Err(pyo3::exceptions::PyTypeError::new_err("recv_into() needs a writable bytes-like object"));
    }
    Ok(view.call_method1("cast", ("B",))?.cast_into::<PyMemoryView>()?)
}
