//! Whatever a client sends, however it is split: no panic, bounded memory, and the same outcome.

use std::time::Duration;

use hangup_core::ws::codec::{Decoder, Incoming, Violation, MAX_FRAGMENTS};
use hangup_core::ws::engine_io::{EngineIo, Step};
use hangup_core::ws::{Heartbeat, Origin};
use proptest::prelude::*;

const LIMIT: usize = 2_000;

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    incoming: Vec<Incoming>,
    steps: Vec<Step>,
    violation: Option<Violation>,
}

fn origin(upgrade: bool) -> Origin {
    if upgrade {
        Origin::Upgraded
    } else {
        Origin::Begun
    }
}

/// Feeds `stream` in pieces of the given sizes, repeated, and gives the messages to Engine.IO. `moves`: each piece goes to
/// another decoder, behind what the one before had not finished.
fn outcome(stream: &[u8], pieces: &[usize], upgrade: bool, moves: bool) -> Outcome {
    let second = Duration::from_secs(1);
    let mut machine = EngineIo::new(Heartbeat { interval: second, timeout: second }, origin(upgrade));
    let mut decoder = Decoder::new(LIMIT);
    let mut outcome = Outcome { incoming: Vec::new(), steps: Vec::new(), violation: None };
    let mut sizes = pieces.iter().cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*sizes.next().expect("a size")).clamp(1, rest.len()));
        rest = after;
        let fed = decoder.feed(piece, &mut |one| outcome.incoming.push(one));
        assert!(decoder.held() <= 2 * LIMIT + 512, "{} bytes held", decoder.held());
        if let Err(violation) = fed {
            outcome.violation = Some(violation);
            break;
        }
        if moves {
            let unfinished = decoder.unfinished();
            decoder = Decoder::new(LIMIT);
            decoder
                .feed(&unfinished, &mut |one| panic!("{one:?} was complete"))
                .expect("what was taken before");
        }
    }
    for incoming in &outcome.incoming {
        outcome.steps.push(match incoming {
            Incoming::Text(text) => machine.text(text),
            Incoming::Binary(_) => machine.binary(),
            _ => continue,
        });
    }
    outcome
}

/// A frame that is nearly right: the bits of its first byte, its length as announced, and some payload.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let masked = prop::bool::weighted(0.95);
    let announced = prop_oneof![20 => Just(None), 1 => any::<u64>().prop_map(Some)];
    (first, masked, announced, any::<[u8; 4]>(), payload()).prop_map(
        |(first, masked, announced, mask, payload)| {
            let mut frame = vec![first];
            let bit = u8::from(masked) << 7;
            match (announced, payload.len()) {
                (Some(length), _) => {
                    frame.push(bit | 0x7f);
                    frame.extend(length.to_be_bytes());
                }
                (None, length @ 0..=125) => frame.push(bit | length as u8),
                (None, length) => {
                    frame.push(bit | 0x7e);
                    frame.extend((length as u16).to_be_bytes());
                }
            }
            if masked {
                frame.extend(mask);
            }
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            frame
        },
    )
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let packets = ["", "0", "1", "2", "3", "4", "5", "6", "7", "2probe", "3probe", "40", "42[\"x\"]", "b"];
    prop_oneof![
        6 => prop::sample::select(packets.to_vec()).prop_map(|packet| packet.as_bytes().to_vec()),
        2 => ".{0,60}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..1_200),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600),
        4 => (prop::collection::vec(frame(), 0..12), 0_usize..40).prop_map(|(frames, missing)| {
            let mut stream = frames.concat();
            stream.truncate(stream.len().saturating_sub(missing));
            stream
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_outcome_does_not_depend_on_the_pieces(
        stream in stream(),
        pieces in prop::collection::vec(1_usize..60, 1..8),
        upgrade in any::<bool>(),
    ) {
        let whole = outcome(&stream, &[usize::MAX], upgrade, false);
        prop_assert_eq!(&outcome(&stream, &pieces, upgrade, false), &whole);
        prop_assert_eq!(&outcome(&stream, &pieces, upgrade, true), &whole);
        prop_assert_eq!(&outcome(&stream, &[1], upgrade, false), &whole);
    }

    #[test]
    fn engine_io_takes_anything_at_any_time(
        messages in prop::collection::vec(prop_oneof![
            6 => prop::sample::select(vec!["1", "2", "3", "4", "5", "6", "2probe", ""])
                .prop_map(|packet| Some(packet.to_owned())),
            2 => ".{0,30}".prop_map(Some),
            1 => Just(None),
        ], 0..40),
        upgrade in any::<bool>(),
        deaf in any::<bool>(),
    ) {
        let mut machine = EngineIo::new(
            Heartbeat { interval: Duration::ZERO, timeout: Duration::ZERO }, origin(upgrade),
        );
        let mut is_open = !upgrade;
        for message in messages {
            let step = match message {
                Some(message) => machine.text(&message),
                None => machine.pass(deaf),
            };
            prop_assert!(is_open || !matches!(step, Step::Deliver | Step::Send(_) | Step::Left));
            is_open |= step == Step::Upgraded;
        }
    }
}

#[test]
fn a_message_of_endless_fragments_is_refused() {
    let empty = [0x00, 0x80, 0, 0, 0, 0];
    let mut decoder = Decoder::new(LIMIT);
    let mut feed = |bytes: &[u8]| decoder.feed(bytes, &mut |_| unreachable!("nothing is complete"));
    assert_eq!(feed(&[0x01, 0x80, 0, 0, 0, 0]), Ok(()));
    for _ in 1..MAX_FRAGMENTS {
        assert_eq!(feed(&empty), Ok(()));
    }
    assert_eq!(feed(&empty).expect_err("too many").code, 1008);
    assert!(decoder.held() < 64);
}

#[test]
fn fragments_of_one_byte_end_at_the_limit_of_a_message() {
    let mut decoder = Decoder::new(LIMIT);
    let mut feed = |bytes: &[u8]| decoder.feed(bytes, &mut |_| unreachable!("nothing is complete"));
    assert_eq!(feed(&[0x02, 0x81, 0, 0, 0, 0, b'x']), Ok(()));
    for _ in 1..LIMIT {
        assert_eq!(feed(&[0x00, 0x81, 0, 0, 0, 0, b'x']), Ok(()));
    }
    assert_eq!(feed(&[0x00, 0x81, 0, 0, 0, 0, b'x']).expect_err("too big").code, 1009);
    assert!(decoder.held() <= 2 * LIMIT + 512);
}
