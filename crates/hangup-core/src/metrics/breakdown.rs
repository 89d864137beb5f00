//! Counters by label: what is counted, and how it came about.

use super::counter::Counter;
use crate::fd::Kind;

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
            Kind::Upgraded | Kind::WebSocket => Stack::WebSocket,
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
                &["peer", "left", "transport", "here", "violation", "silent", "stalled", "overflow", "moved"],
            )],
            Breakdown::CloseCodes => &[(
                "code",
                &["normal", "going_away", "none", "abnormal", "protocol", "server", "application", "other"],
            )],
        }
    }

    pub(super) const fn words(self) -> usize {
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
#[cfg(any(feature = "transport", test))]
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

pub(super) const fn product(labels: &[Label]) -> usize {
    let (mut product, mut index) = (1, 0);
    while index < labels.len() {
        product *= labels[index].1.len();
        index += 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

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
