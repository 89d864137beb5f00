//! What one system call sends: frames that wait together leave together.

use std::io::IoSlice;

use bytes::Bytes;

use crate::error::Result;
use crate::fd::LaneGuard;

/// Frames, shared with the queue in which they stay until it is known what left.
#[derive(Debug)]
pub(super) enum Batch {
    /// One frame, or small ones copied behind each other.
    Joined(Bytes),
    /// Large ones, where they are.
    Scattered(Vec<Bytes>),
}

impl Batch {
    /// Sends what the kernel takes now.
    pub(super) fn send(&self, lane: &LaneGuard<'_>) -> Result<usize> {
        match self {
            Batch::Joined(bytes) => lane.try_send(bytes, 0),
            Batch::Scattered(frames) => {
                let pieces: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
                lane.try_send_pieces(&pieces)
            }
        }
    }
}
