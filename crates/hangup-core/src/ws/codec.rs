//! RFC 6455 frames of a server: bytes in, messages out, and the other way round.
//!
//! # Promised
//! * What was complete before a violation is delivered before it.
//! * A message is refused by its announced length, before memory is taken for it; memory grows with the
//!   bytes that arrive.
//! * Text is checked as it arrives: a bad octet ends the connection without waiting for its message.
//! * A message of more than [`MAX_FRAGMENTS`] fragments is refused: empty ones would never reach its limit.
//! * Between messages nothing is kept but an incomplete header.
//!
//! # How
//! Headers are tungstenite's ([`FrameHeader`]); payloads are unmasked straight into their message.
//!
//! # Not promised
//! Extensions: a reserved bit is a violation, as none was negotiated (section 5.2).

use std::io::Cursor;

use bytes::{BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::FrameHeader;

/// Section 5.5: the most that a control frame carries.
const MAX_CONTROL: u64 = 125;
/// The most fragments of one message: a message of 16 MiB in pieces of 256 bytes.
pub const MAX_FRAGMENTS: u32 = 65_536;
/// Two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// What a peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping, whose payload the pong repeats.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// The close frame: its code, 1005 if it had none (section 7.1.5), and reason.
    Close(u16, String),
}

/// Why the connection must be failed (section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The code for the close frame (section 7.4.1).
    pub code: u16,
    /// What was wrong, for the close frame and the log.
    pub reason: &'static str,
}

impl Violation {
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }
}

const NOT_UTF8: Violation = Violation { code: 1007, reason: "text is not UTF-8" };

/// The frame whose payload is arriving.
#[derive(Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    length: usize,
    received: usize,
}

/// Cuts a client's byte stream into messages.
#[derive(Debug)]
pub struct Decoder {
    max_message: usize,
    /// The start of a header.
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The kind of the message whose fragments are arriving.
    fragmented: Option<Data>,
    /// How many there were.
    fragments: u32,
    message: Vec<u8>,
    /// How much of a text message is known to be UTF-8.
    checked: usize,
    control: Vec<u8>,
}

impl Decoder {
    /// Refuses messages of more than `max_message` bytes with 1009.
    pub fn new(max_message: usize) -> Self {
        Self {
            max_message,
            header: Vec::new(),
            frame: None,
            fragmented: None,
            fragments: 0,
            message: Vec::new(),
            checked: 0,
            control: Vec::new(),
        }
    }

    /// Memory held for what is not complete, in bytes.
    pub fn held(&self) -> usize {
        self.header.capacity() + self.message.capacity() + self.control.capacity()
    }

    /// Frames that bring another decoder to where this one is: what came of a message that is not complete.
    pub fn unfinished(&self) -> Vec<u8> {
        let mut frames = Vec::new();
        let begins = |frame: &Frame| matches!(frame.opcode, OpCode::Data(Data::Text | Data::Binary));
        let is_data = |frame: &&Frame| matches!(frame.opcode, OpCode::Data(_));
        let of_frame = self.frame.as_ref().filter(is_data).map_or(0, |frame| frame.received);
        let (before, part) = self.message.split_at(self.message.len() - of_frame);
        if let Some(kind) = self.fragmented.filter(|_| !self.frame.as_ref().is_some_and(begins)) {
            write_masked(&mut frames, (OpCode::Data(kind), false), NO_MASK, before.len(), before);
        }
        if let Some(Frame { opcode, is_final, mask, length, .. }) = self.frame {
            let part = if matches!(opcode, OpCode::Control(_)) { &self.control } else { part };
            write_masked(&mut frames, (opcode, is_final), mask, length, part);
        }
        frames.extend(&self.header);
        frames
    }

    /// Takes all of `input`, and hands over what it completes. Not to be called again after an error.
    pub fn feed(&mut self, mut input: &[u8], deliver: &mut dyn FnMut(Incoming)) -> Result<(), Violation> {
        loop {
            if self.frame.is_none() && !self.read_header(&mut input)? {
                return Ok(());
            }
            let Some(frame) = &mut self.frame else { return Ok(()) };
            let part = input.len().min(frame.length - frame.received);
            let is_control = matches!(frame.opcode, OpCode::Control(_));
            let target = if is_control { &mut self.control } else { &mut self.message };
            let start = target.len();
            target.extend_from_slice(&input[..part]);
            unmask(&mut target[start..], frame.mask, frame.received);
            frame.received += part;
            input = &input[part..];
            let complete = frame.received == frame.length;
            if !(is_control || complete && frame.is_final && self.checked == 0) {
                self.check_text()?;
            }
            if !complete {
                return Ok(());
            }
            if let Some(frame) = self.frame.take() {
                self.finish(&frame, deliver)?;
            }
        }
    }

    /// False if the header is not complete yet.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, Violation> {
        if input.is_empty() {
            return Ok(false);
        }
        let kept = self.header.len();
        let parsed = if kept == 0 {
            parse(input)?
        } else {
            let more = input.len().min(MAX_HEADER - kept);
            self.header.extend_from_slice(&input[..more]);
            parse(&self.header)?
        };
        let Some((header, length, size)) = parsed else {
            if kept == 0 {
                self.header.extend_from_slice(input);
            }
            *input = &[];
            return Ok(false);
        };
        *input = &input[size - kept..];
        self.header = Vec::new();
        let frame = self.judge(&header, length)?;
        self.frame = Some(frame);
        Ok(true)
    }

    /// Sections 5.2, 5.4 and 5.5.
    fn judge(&mut self, header: &FrameHeader, length: u64) -> Result<Frame, Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::protocol("reserved bit without an extension"));
        }
        let Some(mask) = header.mask else {
            return Err(Violation::protocol("a client must mask its frames"));
        };
        match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(Violation::protocol("a control frame must not be fragmented"));
            }
            OpCode::Control(_) if length > MAX_CONTROL => {
                return Err(Violation::protocol("a control frame must not exceed 125 bytes"));
            }
            OpCode::Control(_) => {}
            OpCode::Data(Data::Continue) if self.fragmented.is_none() => {
                return Err(Violation::protocol("nothing to continue"));
            }
            OpCode::Data(Data::Continue) => {
                self.limit(length)?;
                self.fragments += 1;
                if self.fragments >= MAX_FRAGMENTS {
                    return Err(Violation { code: 1008, reason: "too many fragments" });
                }
            }
            OpCode::Data(_) if self.fragmented.is_some() => {
                return Err(Violation::protocol("expected a continuation"));
            }
            OpCode::Data(kind) => {
                self.limit(length)?;
                self.fragmented = Some(kind);
                self.fragments = 0;
            }
        }
        Ok(Frame {
            opcode: header.opcode,
            is_final: header.is_final,
            mask,
            length: length as usize,
            received: 0,
        })
    }

    fn limit(&self, length: u64) -> Result<(), Violation> {
        if length > (self.max_message - self.message.len()) as u64 {
            return Err(Violation { code: 1009, reason: "message too big" });
        }
        Ok(())
    }

    fn check_text(&mut self) -> Result<(), Violation> {
        if self.fragmented != Some(Data::Text) {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(error) if error.error_len().is_some() => return Err(NOT_UTF8),
            Err(error) => self.checked += error.valid_up_to(), // the rest may become a character yet
        }
        Ok(())
    }

    fn finish(&mut self, frame: &Frame, deliver: &mut dyn FnMut(Incoming)) -> Result<(), Violation> {
        match frame.opcode {
            OpCode::Control(Control::Ping) => deliver(Incoming::Ping(std::mem::take(&mut self.control))),
            OpCode::Control(Control::Close) => deliver(close_frame(&std::mem::take(&mut self.control))?),
            OpCode::Control(_) => {
                self.control = Vec::new();
                deliver(Incoming::Pong);
            }
            OpCode::Data(_) if frame.is_final => {
                let message = std::mem::take(&mut self.message);
                self.checked = 0;
                deliver(match self.fragmented.take() {
                    Some(Data::Text) => Incoming::Text(String::from_utf8(message).map_err(|_| NOT_UTF8)?),
                    _ => Incoming::Binary(message),
                });
            }
            OpCode::Data(_) => {}
        }
        Ok(())
    }
}

/// The header at the start of `input`, the length of its payload, and its own.
fn parse(input: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, Violation> {
    let mut cursor = Cursor::new(input);
    match FrameHeader::parse(&mut cursor) {
        Ok(parsed) => Ok(parsed.map(|(header, length)| (header, length, cursor.position() as usize))),
        Err(_) => Err(Violation::protocol("reserved opcode")), // the one error of a header that is complete
    }
}

/// Section 5.3; `offset` is the position of `part` in its payload.
fn unmask(part: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().unwrap_or_default());
    let mut words = part.chunks_exact_mut(8);
    for word in &mut words {
        let bytes: &mut [u8; 8] = word.try_into().unwrap_or_else(|_| unreachable!("chunks of eight"));
        *bytes = (u64::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Section 5.5.1.
fn close_frame(payload: &[u8]) -> Result<Incoming, Violation> {
    match payload {
        [] => Ok(Incoming::Close(1005, String::new())),
        [_] => Err(Violation::protocol("a close code has two bytes")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::from(code).is_allowed() {
                return Err(Violation::protocol("not a close code for the wire"));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Ok(Incoming::Close(code, reason.to_owned()))
        }
    }
}

/// A client's frame of which `part` has come, which is not masked here.
fn write_masked(
    frames: &mut Vec<u8>,
    (opcode, is_final): (OpCode, bool),
    mask: [u8; 4],
    length: usize,
    part: &[u8],
) {
    let header = FrameHeader { is_final, rsv1: false, rsv2: false, rsv3: false, opcode, mask: Some(mask) };
    if header.format(length as u64, frames).is_err() {
        unreachable!("writing to memory does not fail");
    }
    let start = frames.len();
    frames.extend(part);
    unmask(&mut frames[start..], mask, 0); // which masks as well
}

/// The mask that changes nothing.
const NO_MASK: [u8; 4] = [0; 4];

/// A client's message, as it could have come.
pub(super) fn write_message(frames: &mut Vec<u8>, kind: Data, payload: &[u8]) {
    write_masked(frames, (OpCode::Data(kind), true), NO_MASK, payload.len(), payload);
}

/// A whole, unmasked frame.
pub fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let header = FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask: None };
    let length = payload.len() as u64;
    let mut frame = BytesMut::with_capacity(header.len(length) + payload.len()).writer();
    if header.format(length, &mut frame).is_err() {
        unreachable!("writing to memory does not fail");
    }
    let mut frame = frame.into_inner();
    frame.extend_from_slice(payload);
    frame.freeze()
}

/// A close frame; 1005 and 1006 stand for the absence of a code and are not sent (section 7.4.1).
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = Vec::new();
    if !matches!(code, 1005 | 1006) {
        let room = MAX_CONTROL as usize - 2;
        let end = (0..=reason.len().min(room)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        payload.extend(code.to_be_bytes());
        payload.extend(&reason.as_bytes()[..end]);
    }
    frame(OpCode::Control(Control::Close), &payload)
}
