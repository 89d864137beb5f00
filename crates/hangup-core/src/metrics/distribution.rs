//! Values whose distribution is kept, in buckets.

use super::breakdown::{product, Breakdown, Label, Stack};

/// Bucket bounds are powers of two, of nanoseconds or of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// The exponent of the lowest bound.
    pub lowest: u32,
    /// From one bound's exponent to the next one's.
    pub step: u32,
    /// How many bounds there are; one more bucket has none.
    pub bounds: u32,
}

impl Buckets {
    /// The bucket of a value: the first whose bound is not below it.
    pub const fn of(self, value: u64) -> usize {
        let exponent = match value.checked_sub(1) {
            None | Some(0) => 0,
            Some(below) => u64::BITS - below.leading_zeros(),
        };
        let bucket = exponent.saturating_sub(self.lowest).div_ceil(self.step);
        if bucket < self.bounds {
            bucket as usize
        } else {
            self.bounds as usize
        }
    }

    /// The bound of a bucket, None for the last.
    pub const fn bound(self, bucket: usize) -> Option<u64> {
        if bucket < self.bounds as usize {
            Some(1 << (self.lowest + self.step * bucket as u32))
        } else {
            None
        }
    }

    /// Buckets, and the sum.
    pub(super) const fn words(self) -> usize {
        self.bounds as usize + 2
    }
}

/// Values whose distribution is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Distribution {
    /// How long what was offered to a WebSocket waited for the kernel.
    WriteDuration,
    /// What waited already when a message was queued.
    QueueDepth,
    /// From adoption to close, without the linger.
    ConnectionDuration,
    /// From the end of the response to the close.
    LingerDuration,
}

impl Distribution {
    /// All of them, in the order of their declaration.
    pub const ALL: [Distribution; 4] = [
        Distribution::WriteDuration,
        Distribution::QueueDepth,
        Distribution::ConnectionDuration,
        Distribution::LingerDuration,
    ];

    /// Stable lower-case name, with its unit.
    pub const fn name(self) -> &'static str {
        match self {
            Distribution::WriteDuration => "websocket_write_duration_seconds",
            Distribution::QueueDepth => "websocket_queue_depth_bytes",
            Distribution::ConnectionDuration => "connection_duration_seconds",
            Distribution::LingerDuration => "linger_duration_seconds",
        }
    }

    /// What is measured.
    pub const fn help(self) -> &'static str {
        match self {
            Distribution::WriteDuration => {
                " Time from a message to an idle WebSocket until the kernel had all that waited; of one in 16."
            }
            Distribution::QueueDepth => " Bytes that waited already when a message was queued behind others.",
            Distribution::ConnectionDuration => " Time from a descriptor's adoption to its close, or to its linger.",
            Distribution::LingerDuration => " Time that lingering connections took before their close.",
        }
    }

    /// Its labels.
    pub const fn labels(self) -> &'static [Label] {
        match self {
            Distribution::ConnectionDuration => &[("stack", Stack::NAMES)],
            _ => &[],
        }
    }

    /// Whether it is measured in nanoseconds, and told in seconds; else in bytes.
    pub const fn is_time(self) -> bool {
        !matches!(self, Distribution::QueueDepth)
    }

    /// 1 µs to 17 s; 256 bytes to 64 MiB; 17 ms to 20 h; 1 ms to 17 s.
    pub const fn buckets(self) -> Buckets {
        match self {
            Distribution::WriteDuration => Buckets { lowest: 10, step: 2, bounds: 13 },
            Distribution::QueueDepth => Buckets { lowest: 8, step: 2, bounds: 10 },
            Distribution::ConnectionDuration => Buckets { lowest: 24, step: 2, bounds: 12 },
            Distribution::LingerDuration => Buckets { lowest: 20, step: 2, bounds: 8 },
        }
    }

    pub(super) const fn words(self) -> usize {
        product(self.labels()) * self.buckets().words()
    }

    /// The first word of its series with this number.
    pub(super) const fn first(self, series: usize) -> usize {
        let last = Breakdown::ALL[Breakdown::ALL.len() - 1];
        let mut word = last.first() + last.words();
        let mut index = 0;
        while index < self as usize {
            word += Distribution::ALL[index].words();
            index += 1;
        }
        word + series * self.buckets().words()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for distribution in Distribution::ALL {
            let buckets = distribution.buckets();
            assert_eq!(buckets.of(0), 0);
            assert_eq!(buckets.of(u64::MAX), buckets.bounds as usize);
            for bucket in 0..buckets.bounds as usize {
                let bound = buckets.bound(bucket).unwrap_or_default();
                assert_eq!((buckets.of(bound), buckets.of(bound + 1)), (bucket, bucket + 1));
            }
        }
    }
}
