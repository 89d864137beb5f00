//! Frames of RFC 6455, as few of them as Socket.IO servers send: whole messages, of any length.

use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// A whole message, or a control frame.
#[derive(Debug, PartialEq)]
pub struct Frame<'buffer> {
    /// Of its header.
    pub opcode: OpCode,
    /// Unmasked.
    pub payload: &'buffer [u8],
}

impl Frame<'_> {
    /// Whether it is a text message.
    pub fn is_text(&self) -> bool {
        self.opcode == OpCode::Data(Data::Text)
    }
}

/// The first frame of what was received, and the number of its bytes. None while it is not complete.
pub fn first(received: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (&first, &second) = (received.first()?, received.get(1)?);
    let (header, length) = match second & !MASKED {
        TWO_BYTES => (4, u64::from(u16::from_be_bytes(received.get(2..4)?.try_into().ok()?))),
        EIGHT_BYTES => (10, u64::from_be_bytes(received.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    // The mask of a client is four zeroes here.
    let header = header + if second & MASKED == 0 { 0 } else { 4 };
    let end = usize::try_from(length).ok()?.checked_add(header)?;
    let payload = received.get(header..end)?;
    Some((Frame { opcode: OpCode::from(first & 0x0f), payload }, end))
}

/// Appends a server's frame.
pub fn append(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    header(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a client's frame. Its mask is four zeroes, which leave the payload as it is.
pub fn append_masked(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    header(out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Of text messages.
pub const TEXT: OpCode = OpCode::Data(Data::Text);
/// Of answers to pings.
pub const PONG: OpCode = OpCode::Control(Control::Pong);

fn header(out: &mut Vec<u8>, opcode: OpCode, length: usize, mask: u8) {
    out.push(FIN | u8::from(opcode));
    if length < usize::from(TWO_BYTES) {
        out.push(mask | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(mask | TWO_BYTES);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(mask | EIGHT_BYTES);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_cannot_be_is_never_complete() {
        assert_eq!(first(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255, b'x']), None);
    }

    #[test]
    fn what_was_appended_is_read_again_and_never_too_early() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for appended in [append, append_masked] {
                let (mut wire, payload) = (Vec::new(), vec![b'x'; length]);
                appended(&mut wire, TEXT, &payload);
                assert_eq!(first(&wire), Some((Frame { opcode: TEXT, payload: &payload }, wire.len())));
                assert_eq!(first(&wire[..wire.len() - 1]), None);
            }
        }
    }
}
