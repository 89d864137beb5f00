//! Buckets, a clock and a secret.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::buckets::Pace;
use crate::fd::sys::{Raw, SharedWords};
use crate::metrics::{count, Counter};

/// 512 KiB.
const WORDS: usize = 1 << 16;

/// A limit that the process which made it shares with those that are forked from it.
#[derive(Debug)]
pub struct ConnectionLimit {
    pace: Pace,
    words: SharedWords,
    /// Nobody outside can choose addresses that share a bucket.
    hashes: RandomState,
    began: Instant,
}

impl ConnectionLimit {
    /// The error is mmap(2)'s errno.
    pub fn new(pace: Pace) -> Raw<Self> {
        Ok(Self {
            pace,
            words: SharedWords::anonymous(WORDS)?,
            hashes: RandomState::new(),
            began: Instant::now(),
        })
    }

    /// Whether this client may begin a connection; the time until it may, if not, which is counted.
    pub fn admit(&self, client: &[u8]) -> Result<(), Duration> {
        let now = self.pace.tick(self.began.elapsed());
        self.pace.admit(&self.words, self.hashes.hash_one(client), now).map_err(|ticks| {
            count(Counter::RejectedConnections);
            self.pace.duration(ticks)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own() {
        let pace = Pace::new(1, Duration::from_secs(3600), 2).expect("a usable pace");
        let limit = ConnectionLimit::new(pace).expect("memory");
        assert!(limit.admit(b"a").is_ok() && limit.admit(b"a").is_ok() && limit.admit(b"b").is_ok());
        let wait = limit.admit(b"a").expect_err("the third");
        assert!(wait > Duration::from_secs(3500) && wait <= Duration::from_secs(3600), "{wait:?}");
    }
}
