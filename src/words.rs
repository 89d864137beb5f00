//! Which lines of a block of text have one of many words.

use aho_corasick::{AhoCorasick, Input};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Words to look for, all at once. None has a line end in it.
#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Words(AhoCorasick);

#[pymethods]
impl Words {
    #[new]
    #[pyo3(signature = (words, /))]
    fn new(words: Vec<Vec<u8>>) -> PyResult<Self> {
        AhoCorasick::new(words).map(Self).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Where those lines of the block begin that have one of the words, ascending.
    #[pyo3(signature = (block, /))]
    fn lines(&self, py: Python<'_>, block: &[u8]) -> Vec<usize> {
        py.detach(|| {
            let mut begins = Vec::new();
            let mut from = 0;
            while let Some(found) = self.0.find(Input::new(block).range(from..)) {
                let line = &block[from..found.start()];
                begins.push(line.iter().rposition(|byte| *byte == b'\n').map_or(from, |at| from + at + 1));
                let rest = &block[found.end()..];
                let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
                from = found.end() + end + 1;
            }
            begins
        })
    }
}
