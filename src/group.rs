//! `Message`, and the `Mailbox`es and `Group`s of clients that it is sent to.

use std::sync::Arc;

use bytes::Bytes;
use hangup_core::ws::group::{self, Tally};
use hangup_core::ws::{codec, Data, Delivery, OpCode, Overflow};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::buffer::Payload;
use crate::websocket::{offer, outcome, WebSocket};

/// To so many clients a message is sent without leaving the interpreter: it takes less than coming back.
const ATTACHED_LIMIT: usize = 8;

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Mailbox(Arc<group::Mailbox>);

#[pymethods]
impl Mailbox {
    #[new]
    fn new() -> Self {
        Self(Arc::new(group::Mailbox::new()))
    }

    /// Unique in this process and its children.
    #[getter]
    fn id(&self) -> u64 {
        self.0.id()
    }

    /// From now on messages go to `websocket`. False if they go to another one.
    #[pyo3(signature = (websocket, /))]
    fn attach(&self, websocket: &WebSocket) -> bool {
        self.0.attach(Arc::clone(&websocket.0))
    }
}

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Group(Arc<group::Group>);

#[pymethods]
impl Group {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// False if it was there already.
    #[pyo3(signature = (mailbox, /))]
    fn add(&self, mailbox: &Mailbox) -> bool {
        self.0.add(Arc::clone(&mailbox.0))
    }

    /// False if it was not there.
    #[pyo3(signature = (mailbox, /))]
    fn discard(&self, mailbox: &Mailbox) -> bool {
        self.0.remove(&mailbox.0)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// sent, queued, gone, dropped; the ids of mailboxes without a WebSocket, and of those without room.
type Counted = (usize, usize, usize, usize, Vec<u64>, Vec<u64>);

#[pyclass(frozen, module = "hangup._hangup")]
pub(crate) struct Message(Vec<Bytes>);

#[pymethods]
impl Message {
    /// `parts`, which must not be separated: str as text with `prefix` in front, bytes-like as binary.
    #[new]
    #[pyo3(signature = (parts, prefix="", /))]
    fn new(parts: Vec<Bound<'_, PyAny>>, prefix: &str) -> PyResult<Self> {
        let frame = |part: &Bound<'_, PyAny>| match part.cast::<PyString>() {
            Ok(text) => {
                let text = [prefix, &text.to_cow()?].concat();
                Ok(codec::frame(OpCode::Data(Data::Text), text.as_bytes()))
            }
            Err(_) => Ok(codec::frame(OpCode::Data(Data::Binary), Payload::new(part)?.as_slice())),
        };
        parts.iter().map(frame).collect::<PyResult<_>>().map(Self)
    }

    /// Offers it to one client: as `WebSocket.send`; None if it has no WebSocket.
    #[pyo3(signature = (mailbox, policy=None, key=None, /))]
    fn send(
        &self,
        py: Python<'_>,
        mailbox: &Mailbox,
        policy: Option<&str>,
        key: Option<&str>,
    ) -> PyResult<Option<&'static str>> {
        let delivery = delivery(policy, key)?;
        let Some(socket) = mailbox.0.socket() else { return Ok(None) };
        Ok(Some(outcome(offer(py, socket, &self.0, Some(&delivery)))))
    }

    /// Offers it to everybody in `groups`, except the mailboxes with the ids `skipped`.
    #[pyo3(signature = (groups, skipped, policy=None, key=None, /))]
    fn broadcast(
        &self,
        py: Python<'_>,
        groups: Vec<PyRef<'_, Group>>,
        skipped: Vec<u64>,
        policy: Option<&str>,
        key: Option<&str>,
    ) -> PyResult<Counted> {
        let delivery = delivery(policy, key)?;
        let groups: Vec<_> = groups.iter().map(|group| Arc::clone(&group.0)).collect();
        let groups: Vec<_> = groups.iter().map(Arc::as_ref).collect();
        let broadcast = || group::try_broadcast(&groups, &self.0, &skipped, &delivery);
        let is_small = groups.iter().map(|group| group.len()).sum::<usize>() <= ATTACHED_LIMIT;
        let mut tally = if is_small { broadcast() } else { py.detach(broadcast) };
        if !tally.is_complete() {
            py.detach(|| tally.catch_up(&self.0, &delivery));
        }
        let Tally { sent, queued, gone, dropped, elsewhere, refused, .. } = tally;
        Ok((sent, queued, gone, dropped, elsewhere, refused))
    }
}

fn delivery(policy: Option<&str>, key: Option<&str>) -> PyResult<Delivery> {
    let overflow = policy.map(overflow_of).transpose()?;
    Ok(Delivery { overflow, key: key.map(Arc::from) })
}

/// What to do without room.
pub(crate) fn overflow_of(name: &str) -> PyResult<Overflow> {
    match name {
        "close" => Ok(Overflow::Close),
        "drop_oldest" => Ok(Overflow::DropOldest),
        "drop_newest" => Ok(Overflow::DropNewest),
        "block" => Ok(Overflow::Refuse),
        _ => Err(PyValueError::new_err(format!(
            "{name:?} is none of \"block\", \"close\", \"drop_oldest\", \"drop_newest\""
        ))),
    }
}
