//! Why something did not go as it should, by kinds that can be counted.

use std::fmt;
use std::io::{Error, ErrorKind};

use tokio_tungstenite::tungstenite;

/// Of a line that a server said, so much is kept.
const KEPT: usize = 120;

/// What went wrong for one client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// The name of the server has no address.
    Unresolved(String),
    Refused,
    /// The path of a Unix socket, which is not there.
    NoSocket,
    /// Connecting took too long, or the network is not there.
    Unreachable(String),
    /// This machine has no port left to connect from.
    NoPorts,
    /// This process may open no more descriptors.
    NoDescriptors,
    Reset,
    /// Without saying so in the protocol.
    Closed,
    /// A close frame's code, or Engine.IO's or Socket.IO's word for it.
    ClosedWith(String),
    /// An HTTP answer where another one was expected, with the first line of its body.
    Status(u16, String),
    /// What was said is not HTTP.
    NotHttp(String),
    /// It is HTTP, and the upgrade was not accepted as RFC 6455 says.
    NotWebSocket(String),
    /// Something else than what the protocol has at this place.
    Unexpected(String),
    /// For longer than patience, while this was waited for.
    Silent(&'static str),
    Other(String),
}

impl Failure {
    /// The name that it is counted by.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Failure::Unresolved(_) => "name not found",
            Failure::Refused => "refused",
            Failure::NoSocket => "no such socket",
            Failure::Unreachable(_) => "unreachable",
            Failure::NoPorts => "no local ports left",
            Failure::NoDescriptors => "no descriptors left",
            Failure::Reset => "reset",
            Failure::Closed => "closed without a word",
            Failure::ClosedWith(_) => "closed by the server",
            Failure::Status(..) => "HTTP status",
            Failure::NotHttp(_) => "not HTTP",
            Failure::NotWebSocket(_) => "not a WebSocket server",
            Failure::Unexpected(_) => "unexpected answer",
            Failure::Silent(_) => "no answer",
            Failure::Other(_) => "other",
        }
    }

    /// Whether no connection came about.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Failure::Unresolved(_)
                | Failure::Refused
                | Failure::NoSocket
                | Failure::Unreachable(_)
                | Failure::NoPorts
                | Failure::NoDescriptors
        )
    }

    /// Of an error of connect(2).
    pub(crate) fn of_connect(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Failure::NoSocket,
            ErrorKind::AddrNotAvailable => Failure::NoPorts,
            // EAGAIN: the backlog of a Unix socket is full.
            ErrorKind::ConnectionRefused | ErrorKind::WouldBlock => Failure::Refused,
            _ if is_out_of_descriptors(error) => Failure::NoDescriptors,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Failure::Reset,
            _ => Failure::Unreachable(error.to_string()),
        }
    }

    /// What was said instead of what was expected.
    pub(crate) fn unexpected(said: &[u8]) -> Self {
        Failure::Unexpected(first_line(said))
    }
}

fn is_out_of_descriptors(error: &Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Status(status, line) if line.is_empty() => write!(formatter, "{status}"),
            Failure::Status(status, line) => write!(formatter, "{status}: {line}"),
            Failure::Silent(waited_for) => write!(formatter, "waited for {waited_for}"),
            Failure::Unresolved(said)
            | Failure::Unreachable(said)
            | Failure::ClosedWith(said)
            | Failure::NotHttp(said)
            | Failure::NotWebSocket(said)
            | Failure::Unexpected(said)
            | Failure::Other(said) => formatter.write_str(said),
            _ => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                Failure::Reset
            }
            ErrorKind::UnexpectedEof | ErrorKind::NotConnected => Failure::Closed,
            _ => Failure::Other(error.to_string()),
        }
    }
}

impl From<tungstenite::Error> for Failure {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            tungstenite::Error::Io(error) => error.into(),
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => Failure::Closed,
            other => Failure::Unexpected(other.to_string()),
        }
    }
}

/// The first line of text, shortened.
pub(crate) fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(4 * KEPT)]);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_server_said_one_short_line_is_kept() {
        assert_eq!(first_line(b"\r\n  <h1>Bad Request</h1>\nmore"), "<h1>Bad Request</h1>");
        assert_eq!(first_line(&[b'x'; 5000]).len(), KEPT);
        assert_eq!(first_line(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(Failure::Status(403, String::new()).to_string(), "403");
    }

    #[test]
    fn an_error_is_counted_as_what_the_peer_did() {
        assert_eq!(Failure::from(Error::from(ErrorKind::BrokenPipe)), Failure::Reset);
        assert_eq!(Failure::of_connect(&Error::from_raw_os_error(24)), Failure::NoDescriptors);
        assert!(Failure::of_connect(&Error::from(ErrorKind::AddrNotAvailable)).is_refusal());
    }
}
