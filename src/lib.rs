//! The boundary to Python: convert and delegate. Policy is in `hangup-core`.
//!
//! Lock order: never wait for a descriptor or for the kernel while attached to the interpreter. An
//! operation is first tried without waiting, attached; only if it would wait, it detaches.

mod acceptor;
mod buffer;
mod connection_limit;
mod diagnostics;
mod errors;
mod group;
mod ledger;
mod load;
mod metrics;
mod payload;
mod roll;
mod session_id;
mod siblings;
mod socket;
mod websocket;
mod words;

use pyo3::prelude::*;

/// Native core of hangup.
#[pymodule(gil_used = false)]
mod _hangup {
    #[pymodule_export]
    use crate::acceptor::Acceptor;
    #[pymodule_export]
    use crate::connection_limit::ConnectionLimit;
    #[pymodule_export]
    use crate::diagnostics::{diagnostics_signal, say_from_threads, set_diagnostics_level, take_diagnostics};
    #[pymodule_export]
    use crate::group::{Group, Mailbox, Message};
    #[pymodule_export]
    use crate::ledger::{
        can_send_files, drain, objection, open_descriptors, owns, watch_forks, widen_descriptor_table,
    };
    #[pymodule_export]
    use crate::load::Load;
    #[pymodule_export]
    use crate::metrics::{
        announce, found_family, join_family, metrics_table, read_family, retire, tally, totals,
    };
    #[pymodule_export]
    use crate::payload::contains_bytes;
    #[pymodule_export]
    use crate::roll::{
        count, departure, describe, hang_up, recent, silence, snapshot, wear, Census, Foreign, Trend,
    };
    #[pymodule_export]
    use crate::session_id::session_id;
    #[pymodule_export]
    use crate::siblings::{expect, listening, loads, Inbox, Line};
    #[pymodule_export]
    use crate::socket::{Pin, Socket};
    #[pymodule_export]
    use crate::websocket::{accept_key, hand_over, Dispatcher, Turn, WebSocket};
    #[pymodule_export]
    use crate::words::Words;
}
