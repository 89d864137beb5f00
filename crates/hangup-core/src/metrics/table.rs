//! What is counted: one table, from which the slots' layout, the names and the texts of every exporter follow.
//!
//! A word is one number of a slot. A counter has one word; a breakdown one for each combination of its labels; a
//! distribution, for each label, one per bucket and one for the sum.

use crate::fd::Kind;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// Totals since the process was started or forked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $doc])* $variant,)* }

        impl Counter {
            /// All counters, in the order of their declaration.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Stable lower-case name.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }

            /// What is counted.
            pub const fn help(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

counters! {
    /// Descriptors taken over, or inherited by fork(2).
    Adopted = "adopted",
    /// Descriptors refused because they could not be guarded.
    Refused = "refused",
    /// Connections accepted by a guarded listener.
    Accepted = "accepted",
    /// Descriptors closed by their last user.
    Closed = "closed",
    /// Descriptors given back to the caller.
    Detached = "detached",
    /// Descriptors that foreign code closed; their numbers were left alone.
    Stolen = "stolen",
    /// Operations that failed because the peer had left.
    PeerGone = "peer_gone",
    /// Operations that failed because the path to the peer broke.
    PathBroken = "path_broken",
    /// Writes refused because our own side had closed: each would have been EBADF, or reached a stranger.
    WritesPrevented = "writes_prevented",
    /// Connections used by the server after the application closed them, and numbers found stolen.
    OwnershipViolations = "ownership_violations",
    /// HTTP responses kept out of an upgraded connection's stream.
    ResponsesRefused = "responses_refused",
    /// Episodes in which accepting paused for want of descriptors.
    AcceptPauses = "accept_pauses",
    /// Connections that lingered before their close.
    Lingered = "lingered",
    /// Connections whose linger was ended by the deadline.
    LingerExpired = "linger_expired",
    /// WebSockets taken over.
    WebSockets = "websockets",
    /// WebSockets that are over.
    WebSocketsClosed = "websockets_closed",
    /// WebSockets closed because too much waited to be sent to them.
    QueueOverflows = "queue_overflows",
    /// WebSockets closed because their client took nothing of what waited.
    WriteStalls = "write_stalls",
    /// Messages dropped because too much waited to be sent to their client.
    MessagesDropped = "messages_dropped",
    /// Messages that a newer one of their key replaced while they waited.
    MessagesCoalesced = "messages_coalesced",
    /// Messages of WebSocket clients that were handed to the application.
    MessagesReceived = "messages_received",
    /// WebSocket frames that the kernel took whole.
    FramesSent = "frames_sent",
    /// Bytes received from WebSocket clients.
    WebSocketBytesReceived = "websocket_bytes_received",
    /// Bytes sent to WebSocket clients.
    WebSocketBytesSent = "websocket_bytes_sent",
}

/// Whose connection it is, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Stack {
    /// A connection of an HTTP server.
    Http,
    /// A WebSocket, or whatever else follows an upgrade.
    WebSocket,
    /// A socket that the application took over.
    Socket,
}

impl Stack {
    /// Stable lower-case names, in the order of the declaration.
    pub const NAMES: &'static [&'static str] = &["http", "websocket", "socket"];

    /// By what a descriptor is used for.
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Http | Kind::Lingering => Stack::Http,
            Kind::Upgraded => Stack::WebSocket,
            Kind::Socket => Stack::Socket,
        }
    }
}

/// A label, and the values that it takes.
pub type Label = (&'static str, &'static [&'static str]);

/// Counters by label. The sum is the counter of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Breakdown {
    /// Of [`Counter::PeerGone`].
    PeerGone,
    /// Of [`Counter::PathBroken`].
    PathBroken,
    /// Of [`Counter::WebSocketsClosed`], by who or what ended them.
    WebSocketsClosed,
    /// Of [`Counter::WebSocketsClosed`], by close code.
    CloseCodes,
}

impl Breakdown {
    /// All of them, in the order of their declaration.
    pub const ALL: [Breakdown; 4] =
        [Breakdown::PeerGone, Breakdown::PathBroken, Breakdown::WebSocketsClosed, Breakdown::CloseCodes];

    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Breakdown::PeerGone => "peer_gone",
            Breakdown::PathBroken => "path_broken",
            Breakdown::WebSocketsClosed => "websockets_closed",
            Breakdown::CloseCodes => "websocket_close_codes",
        }
    }

    /// What is counted.
    pub const fn help(self) -> &'static str {
        match self {
            Breakdown::PeerGone => Counter::PeerGone.help(),
            Breakdown::PathBroken => Counter::PathBroken.help(),
            Breakdown::WebSocketsClosed => " WebSockets that are over, by who or what ended them.",
            Breakdown::CloseCodes => " WebSockets that are over, by close code.",
        }
    }

    /// Its labels, the last one varying fastest.
    pub const fn labels(self) -> &'static [Label] {
        match self {
            Breakdown::PeerGone => &[("stack", Stack::NAMES), ("cause", &["reset", "pipe", "aborted"])],
            Breakdown::PathBroken => &[("stack", Stack::NAMES), ("cause", &["timeout", "unreachable"])],
            Breakdown::WebSocketsClosed => &[(
                "cause",
                &["peer", "left", "transport", "here", "violation", "silent", "stalled", "overflow"],
            )],
            Breakdown::CloseCodes => &[(
                "code",
                &["normal", "going_away", "none", "abnormal", "protocol", "server", "application", "other"],
            )],
        }
    }

    const fn words(self) -> usize {
        product(self.labels())
    }

    pub(super) const fn first(self) -> usize {
        let mut word = Counter::ALL.len();
        let mut index = 0;
        while index < self as usize {
            word += Breakdown::ALL[index].words();
            index += 1;
        }
        word
    }
}

/// The class of a close code (RFC 6455 section 7.4), as an index into its label's values.
pub(super) const fn close_code(code: u16) -> usize {
    match code {
        1000 => 0,
        1001 => 1,
        1005 => 2,
        1006 => 3,
        1002 | 1003 | 1007..=1010 => 4,
        1011..=1014 => 5,
        3000..=4999 => 6,
        _ => 7,
    }
}

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
    const fn words(self) -> usize {
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
    /// From adoption to close.
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
                " Time from the first message offered to an idle WebSocket until the kernel had all that waited."
            }
            Distribution::QueueDepth => " Bytes that waited already when a message was queued behind others.",
            Distribution::ConnectionDuration => " Time from a descriptor's adoption to its close.",
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

    const fn words(self) -> usize {
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

/// How many words a slot has values for.
pub(super) const WORDS: usize = {
    let last = Distribution::ALL[Distribution::ALL.len() - 1];
    last.first(0) + last.words()
};

const fn product(labels: &[Label]) -> usize {
    let (mut product, mut index) = (1, 0);
    while index < labels.len() {
        product *= labels[index].1.len();
        index += 1;
    }
    product
}

/// `{stack="http",cause="reset"}` for each combination, in the order of their words; one empty text without labels.
fn combinations(labels: &[Label]) -> Vec<Vec<String>> {
    labels.iter().fold(vec![Vec::new()], |so_far, (label, values)| {
        let extended = so_far.iter().flat_map(|known| {
            values.iter().map(move |value| [&known[..], &[format!("{label}=\"{value}\"")]].concat())
        });
        extended.collect()
    })
}

fn series(name: &str, labels: &[String]) -> String {
    if labels.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", labels.join(","))
    }
}

/// The name of each word: a series of Prometheus's text format. Sums are of nanoseconds, or of bytes.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = Counter::ALL.iter().map(|counter| counter.name().to_owned()).collect();
    for breakdown in Breakdown::ALL {
        names.extend(combinations(breakdown.labels()).iter().map(|labels| series(breakdown.name(), labels)));
    }
    for distribution in Distribution::ALL {
        let (name, buckets) = (distribution.name(), distribution.buckets());
        for labels in combinations(distribution.labels()) {
            for bucket in 0..=buckets.bounds as usize {
                let bound = match buckets.bound(bucket) {
                    None => "+Inf".to_owned(),
                    Some(nanoseconds) if distribution.is_time() => (nanoseconds as f64 / 1e9).to_string(),
                    Some(bytes) => bytes.to_string(),
                };
                let labels = [&labels[..], &[format!("le=\"{bound}\"")]].concat();
                names.push(series(&format!("{name}_bucket"), &labels));
            }
            names.push(series(&format!("{name}_sum"), &labels));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_one_name() {
        let names = names();
        assert_eq!(names.len(), WORDS);
        let first = |name: &str| names.iter().position(|known| known == name).unwrap_or(usize::MAX);
        assert_eq!(first("peer_gone{stack=\"http\",cause=\"reset\"}"), Breakdown::PeerGone.first());
        assert_eq!(
            first("linger_duration_seconds_bucket{le=\"0.001048576\"}"),
            Distribution::LingerDuration.first(0)
        );
        assert_eq!(first("linger_duration_seconds_sum"), WORDS - 1);
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }

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

    #[test]
    fn close_codes_have_a_class() {
        let classes = Breakdown::CloseCodes.labels()[0].1;
        let named = |code| classes[close_code(code)];
        assert_eq!([1000, 1001, 1005, 1006].map(named), ["normal", "going_away", "none", "abnormal"]);
        assert_eq!(
            [1002, 1009, 1013, 4000, 1015].map(named),
            ["protocol", "protocol", "server", "application", "other"]
        );
    }
}
