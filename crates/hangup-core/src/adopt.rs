//! What can be taken over, and what cannot.

use std::os::fd::{OwnedFd, RawFd};

use crate::cause::Op;
use crate::fd::sys;
use crate::ledger::{self, Counter};

/// Why `fd` cannot be guarded, in words, or `None`. `EBADF` is "closed".
pub fn objection(fd: RawFd) -> Option<&'static str> {
    let objection = match fd {
        ..0 => Some("closed"),
        _ if ledger::global().owns(fd) && !was_stolen(fd) => Some("already guarded"),
        _ => match sys::file_kind(fd) {
            Err(_) => Some("closed"),
            Ok("socket") if sys::is_listening(fd) == Ok(true) => Some("listening socket"),
            Ok("socket") => None,
            Ok(other) => Some(other),
        },
    };
    if objection.is_some() {
        ledger::count(Counter::Refused);
    }
    objection
}

/// Whether foreign code closed the descriptor of ours that had this number, which is then free to be guarded.
fn was_stolen(fd: RawFd) -> bool {
    let listed = ledger::global().find(fd);
    listed.is_some_and(|listed| listed.enter(Op::Inspect).is_ok_and(|user| user.is_stolen()))
}

/// Takes ownership of `fd`, to which [`objection`] had none.
pub fn take_over(fd: RawFd) -> OwnedFd {
    sys::take_over(fd)
}
