//! RFC 6455 frames: whatever pieces they arrive in, and whatever is wrong with them.

use bytes::Bytes;
use hangup_core::ws::codec::{self, Decoder, Incoming, Violation};
use hangup_core::ws::{Control, Data, OpCode};
use proptest::prelude::*;
use tungstenite::protocol::frame::FrameHeader;

const LIMIT: usize = 100_000;

/// A client's frame, masked.
fn client_frame(opcode: OpCode, is_final: bool, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, rsv1: false, rsv2: false, rsv3: false, opcode, mask: Some(mask) };
    let mut frame = Vec::new();
    header.format(payload.len() as u64, &mut frame).expect("writing to memory");
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Feeds `stream` in pieces of the given sizes, repeated.
fn decode(stream: &[u8], pieces: &[usize], limit: usize) -> (Vec<Incoming>, Result<(), Violation>) {
    let mut decoder = Decoder::new(limit);
    let mut incoming = Vec::new();
    let mut rest = stream;
    let mut sizes = pieces.iter().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*sizes.next().expect("a size")).clamp(1, rest.len()));
        rest = after;
        if let Err(violation) = decoder.feed(piece, &mut |one| incoming.push(one)) {
            return (incoming, Err(violation));
        }
    }
    (incoming, Ok(()))
}

fn code_of(stream: &[u8]) -> u16 {
    decode(stream, &[1], LIMIT).1.expect_err("a violation").code
}

fn text() -> OpCode {
    OpCode::Data(Data::Text)
}

#[derive(Clone, Debug)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        ".{0,300}".prop_map(Message::Text),
        prop::collection::vec(any::<u8>(), 0..70_000).prop_map(Message::Binary),
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(Message::Ping),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_come_out_as_they_went_in(
        messages in prop::collection::vec((message(), 1_usize..5_000), 1..6),
        mask in any::<[u8; 4]>(),
        pieces in prop::collection::vec(1_usize..3_000, 1..5),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (message, fragment) in messages {
            let (opcode, payload) = match &message {
                Message::Text(words) => (text(), words.as_bytes().to_vec()),
                Message::Binary(bytes) => (OpCode::Data(Data::Binary), bytes.clone()),
                Message::Ping(bytes) => {
                    stream.extend(client_frame(OpCode::Control(Control::Ping), true, mask, bytes));
                    expected.push(Incoming::Ping(bytes.clone()));
                    continue;
                }
            };
            let count = payload.chunks(fragment).count().max(1);
            let mut chunks = payload.chunks(fragment);
            for index in 0..count {
                let opcode = if index == 0 { opcode } else { OpCode::Data(Data::Continue) };
                let chunk = chunks.next().unwrap_or_default();
                stream.extend(client_frame(opcode, index + 1 == count, mask, chunk));
            }
            expected.push(match message {
                Message::Text(text) => Incoming::Text(text),
                Message::Binary(bytes) => Incoming::Binary(bytes),
                Message::Ping(_) => unreachable!(),
            });
        }
        let (incoming, outcome) = decode(&stream, &pieces, LIMIT);
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(incoming, expected);
    }

    #[test]
    fn no_bytes_make_it_panic(stream in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        let _ = decode(&stream, &[piece], 1000);
    }

    #[test]
    fn what_we_send_is_what_tungstenite_reads(payload in prop::collection::vec(any::<u8>(), 0..70_000)) {
        let frame = codec::frame(OpCode::Data(Data::Binary), &payload);
        let mut reader = tungstenite::protocol::frame::FrameSocket::new(std::io::Cursor::new(frame.to_vec()));
        let read = reader.read(None).expect("a frame").expect("a whole frame");
        prop_assert!(read.header().is_final && read.header().mask.is_none());
        prop_assert_eq!(read.into_payload(), Bytes::from(payload));
    }
}

#[test]
fn each_violation_has_its_code() {
    let frame = |opcode, is_final, payload: &[u8]| client_frame(opcode, is_final, [1, 2, 3, 4], payload);
    let with_first_byte = |byte: u8| {
        let mut frame = frame(text(), true, b"");
        frame[0] = byte;
        frame
    };
    let close = OpCode::Control(Control::Close);
    for (what, stream, code) in [
        ("reserved bit 1", with_first_byte(0xc1), 1002),
        ("reserved bit 2", with_first_byte(0xa1), 1002),
        ("reserved bit 3", with_first_byte(0x91), 1002),
        ("reserved opcode", with_first_byte(0x83), 1002),
        ("reserved control opcode", with_first_byte(0x8b), 1002),
        ("not masked", vec![0x81, 0x00], 1002),
        ("fragmented ping", frame(OpCode::Control(Control::Ping), false, b""), 1002),
        ("long ping", frame(OpCode::Control(Control::Ping), true, &[0; 126]), 1002),
        ("nothing to continue", frame(OpCode::Data(Data::Continue), true, b""), 1002),
        ("text inside text", [frame(text(), false, b"a"), frame(text(), true, b"b")].concat(), 1002),
        ("not UTF-8", frame(text(), true, b"\xff"), 1007),
        ("UTF-8 cut short", frame(text(), true, b"\xe2\x82"), 1007),
        ("a surrogate", frame(text(), false, b"\xed\xa0"), 1007),
        ("close code of one byte", frame(close, true, b"\x03"), 1002),
        ("close code 1005", frame(close, true, &1005_u16.to_be_bytes()), 1002),
        ("close code 2999", frame(close, true, &2999_u16.to_be_bytes()), 1002),
        ("close reason not UTF-8", frame(close, true, b"\x03\xe8\xff"), 1007),
        ("too big", client_frame(text(), true, [0; 4], &vec![b'x'; LIMIT + 1]), 1009),
    ] {
        assert_eq!(code_of(&stream), code, "{what}");
    }
}

#[test]
fn a_size_is_refused_by_its_announcement() {
    let header = FrameHeader {
        is_final: true,
        rsv1: false,
        rsv2: false,
        rsv3: false,
        opcode: text(),
        mask: Some([0; 4]),
    };
    let mut announced = Vec::new();
    header.format(u64::MAX, &mut announced).expect("writing to memory");
    assert_eq!(code_of(&announced), 1009);
    // Across fragments: each fits, their sum does not.
    let half = vec![b'x'; LIMIT / 2 + 1];
    let stream = [
        client_frame(text(), false, [0; 4], &half),
        client_frame(OpCode::Data(Data::Continue), true, [0; 4], &half),
    ];
    assert_eq!(code_of(&stream.concat()), 1009);
}

#[test]
fn what_was_complete_comes_before_the_violation() {
    let stream = [client_frame(text(), true, [9; 4], b"first"), vec![0xff]].concat();
    let (incoming, outcome) = decode(&stream, &[1000], LIMIT);
    assert_eq!(incoming, [Incoming::Text("first".to_owned())]);
    assert_eq!(outcome, Ok(())); // one byte of a header is not a violation yet
    let stream = [stream, vec![0x00]].concat();
    let (incoming, outcome) = decode(&stream, &[1000], LIMIT);
    assert_eq!(incoming.len(), 1);
    assert_eq!(outcome.expect_err("reserved bits").code, 1002);
}

#[test]
fn a_bad_octet_is_noticed_before_its_message_ends() {
    let mut frame =
        client_frame(text(), true, [0; 4], &[b"fine ".as_slice(), b"\xf4\x90", &[b'x'; 500]].concat());
    frame.truncate(8 + 7); // header of 8 bytes, and no more than the bad octet
    assert_eq!(code_of(&frame), 1007);
}

#[test]
fn a_close_frame_never_exceeds_a_control_frame() {
    let frame = codec::close(1000, &"é".repeat(100));
    assert!(frame.len() <= 2 + 125);
    assert!(std::str::from_utf8(&frame[4..]).is_ok());
    assert_eq!(codec::close(1005, "never said").len(), 2);
}
