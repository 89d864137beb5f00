//! What an application sends by itself on its server's connection: has it upgraded it?
//!
//! # Promised
//! A status line with `101` is recognised wherever a send begins with it, in however many pieces, and behind
//! interim responses (RFC 9110 section 15.2), in the same send or another.
//!
//! # Not promised
//! What is written to the bare number is not seen.

/// RFC 9112 section 4; the minor version and the status code are any.
const STATUS_LINE: &[u8; 12] = b"HTTP/1.? 1??";
const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";

/// The start of a response, until it tells.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    line: Vec<u8>,
    /// How much of the end of an interim response's head was just seen, while it is skipped.
    skipped: Option<usize>,
}

impl Opening {
    /// Looks at what was `sent`. True when the status line of an upgrade is complete.
    pub(crate) fn is_upgrade(&mut self, sent: &[u8]) -> bool {
        for byte in sent {
            if let Some(seen) = self.skipped {
                let seen = match *byte {
                    byte if byte == END_OF_HEAD[seen] => seen + 1,
                    b'\r' => 1,
                    _ => 0,
                };
                self.skipped = (seen < END_OF_HEAD.len()).then_some(seen);
                continue;
            }
            let wanted = STATUS_LINE[self.line.len()];
            if *byte != wanted && wanted != b'?' {
                self.line.clear();
                return false; // no response of the application's own; the next send may begin one
            }
            self.line.push(*byte);
            if self.line.len() == STATUS_LINE.len() {
                if self.line.ends_with(b"101") {
                    return true;
                }
                self.line.clear();
                self.skipped = Some(0);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Opening;

    fn is_upgrade(sends: &[&str]) -> bool {
        let mut opening = Opening::default();
        sends.iter().any(|sent| opening.is_upgrade(sent.as_bytes()))
    }

    #[test]
    fn an_upgrade_is_recognised_however_it_is_cut() {
        let whole = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching";
        for cut in 0..whole.len() {
            assert!(is_upgrade(&[&whole[..cut], &whole[cut..]]), "cut at {cut}");
        }
        let bytes: Vec<_> = (0..whole.len()).map(|at| &whole[at..=at]).collect();
        assert!(is_upgrade(&bytes));
        assert!(is_upgrade(&["whatever", "HTTP/1.1 101"]));
    }

    #[test]
    fn nothing_else_is_an_upgrade() {
        assert!(!is_upgrade(&["HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101"]));
        assert!(!is_upgrade(&["HTTP/1.1 103 Early Hints\r\nX: HTTP/1.1 101\r\n\r\n"]));
        assert!(!is_upgrade(&["HTTP/1.1 10"]));
        assert!(!is_upgrade(&["data HTTP/1.1 101"]));
    }
}
