//! The descriptors that are not hangup's, as they come and go.
//!
//! # Promised
//! A look says what has appeared since the one before, and what has gone. Nothing is changed by it.
//!
//! # How
//! Each number is asked whether it is open, from the lowest on to the highest that was, and on until as many were found as
//! the kernel counts. Who it is ([`census::Identity`]) is asked of a number that was free, or has changed hands lately; of
//! the others at one look in [`THOROUGH`].
//!
//! # Not promised
//! What opens and closes between two looks is not seen. Nor is a file that is closed and opened again under the same
//! number: it is the same to the kernel.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use crate::census::{self, Identity};
use crate::fd::sys;

/// One look in so many asks all of them who they are.
const THOROUGH: u64 = 64;
/// How many numbers may be free below one that is open, where some were closed during the look.
const GAP: RawFd = 256;

/// Numbers and identities.
pub type Numbers = Vec<(RawFd, Identity)>;

#[derive(Debug)]
struct Known {
    identity: Identity,
    /// The look that found it first, and the one that found it last.
    first: u64,
    last: u64,
}

/// What was open at the last look.
#[derive(Debug, Default)]
pub struct Foreign {
    known: BTreeMap<RawFd, Known>,
    looks: u64,
}

impl Foreign {
    /// `(appeared, gone)` since the last look. The first finds all that is open.
    pub fn look(&mut self) -> (Numbers, Numbers) {
        self.looks += 1;
        let owned = census::owned_numbers();
        let expected = census::count().map_or(usize::MAX, |open| (open as usize).saturating_sub(owned.len()));
        let (mut appeared, mut gone) = (Vec::new(), Vec::new());
        let known_highest = self.known.last_key_value().map_or(0, |(fd, _)| *fd);
        let (mut found, mut highest) = (0, 0);
        for fd in 0..census::limit() {
            // Behind a gap nothing is open: the kernel gives the lowest number that is free.
            if fd > known_highest && (found >= expected || fd > highest + GAP) {
                break;
            }
            if owned.binary_search(&fd).is_ok() || sys::is_cloexec(fd).is_none() {
                continue;
            }
            let Some(identity) = self.identify(fd) else { continue };
            (highest, found) = (fd, found + 1);
            match self.known.get_mut(&fd) {
                Some(known) if known.identity == identity => known.last = self.looks,
                before => {
                    gone.extend(before.map(|known| (fd, known.identity)));
                    appeared.push((fd, identity));
                    self.known.insert(fd, Known { identity, first: self.looks, last: self.looks });
                }
            }
        }
        let now = self.looks;
        self.known.retain(|fd, known| {
            let is_open = known.last == now;
            gone.extend((!is_open).then_some((*fd, known.identity)));
            is_open
        });
        (appeared, gone)
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Who `fd` is, which is open; what it was, if that need not be asked.
    fn identify(&self, fd: RawFd) -> Option<Identity> {
        let settled = self.known.get(&fd).filter(|known| self.looks - known.first > THOROUGH);
        match settled {
            Some(known) if self.looks % THOROUGH != 0 => Some(known.identity),
            _ => census::identity(fd),
        }
    }
}

/// Whether `fd` is open, and the same as it was.
pub fn is_open(fd: RawFd, identity: Identity) -> bool {
    census::identity(fd) == Some(identity) && census::owned_numbers().binary_search(&fd).is_err()
}
