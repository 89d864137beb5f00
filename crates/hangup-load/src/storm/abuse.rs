//! What clients do at their moment, and what the server does to them.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use super::tally::End;
use super::walk::{closed_with, first_request, walk, Walked};
use super::{Common, Errand};
use crate::failure::Failure;
use crate::frames;
use crate::http::{read_more, Head};
use crate::plan::{Kind, Protocol};

/// A slow reader takes so much at a time, and then rests.
const SIP: usize = 256;
const REST: Duration = Duration::from_millis(100);
/// What it asks to be echoed before, so that there is something to read.
const ASKED_FOR: usize = 16;
const ASKED_SIZE: usize = 16 * 1024;
/// Of what a server says to a client that only looks whether it is closed, so much is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// A client that acts by itself. False if no connection came about.
pub(super) async fn run(common: &Common, errand: Errand) -> bool {
    let Some((errand, walked)) = arrive(common, errand).await else { return true };
    let kind = errand.kind;
    let end = match walked {
        Err(failure) if failure.is_refusal() => return false,
        Err(failure) => failure.into(),
        Ok(walked) => act(common, kind, walked).await,
    };
    common.tallies.ended(kind, end);
    true
}

/// A client that leaves with others.
pub(super) async fn in_step(common: &Common, errand: Errand, others: impl Future<Output = ()>) {
    let arrived = arrive(common, errand).await;
    others.await;
    let Some((mut errand, walked)) = arrived else { return };
    let end = match walked {
        Err(failure) if failure.is_refusal() => return,
        Err(failure) => failure.into(),
        Ok(walked) if errand.kind == Kind::Reconnect && errand.rng.bool() => {
            walked.stream.end().await;
            End::Left
        }
        Ok(walked) => {
            walked.stream.reset();
            End::Left
        }
    };
    common.tallies.ended(errand.kind, end);
}

/// Connects, and goes to its moment. A refusal is counted here.
async fn arrive(common: &Common, mut errand: Errand) -> Option<(Errand, Result<Walked, Failure>)> {
    let kind = errand.kind;
    common.tallies.attempted(kind);
    let began = Instant::now();
    let stream = match common.endpoint.connect_with(kind == Kind::Slow).await {
        Ok(stream) => stream,
        Err(failure) => {
            common.tallies.refused(kind, &failure);
            return Some((errand, Err(as_refusal(failure))));
        }
    };
    common.tallies.connected(kind, began.elapsed());
    if kind == Kind::Slowloris {
        let walked = Walked { stream, received: Vec::new(), speaks_frames: false };
        return Some((errand, Ok(walked)));
    }
    let patience = common.endpoint.target.patience();
    let walked = timeout(patience, walk(common, &mut errand, stream)).await;
    Some((errand, walked.unwrap_or(Err(Failure::Silent("the next step")))))
}

/// Also a reset while it is being connected is one.
fn as_refusal(failure: Failure) -> Failure {
    if failure.is_refusal() {
        failure
    } else {
        Failure::Unreachable(failure.kind().to_owned())
    }
}

async fn act(common: &Common, kind: Kind, mut walked: Walked) -> End {
    match kind {
        Kind::Fin => {
            walked.stream.end().await;
            End::Left
        }
        Kind::Half => match walked.stream.shutdown().await {
            Ok(()) => watch(walked).await,
            Err(error) => Failure::from(error).into(),
        },
        Kind::Silent => watch(walked).await,
        Kind::Slow => sip(common, walked).await,
        Kind::Slowloris => drip(common, walked).await,
        Kind::Rst | Kind::Burst | Kind::Reconnect => {
            walked.stream.reset();
            End::Left
        }
    }
}

/// Reads, and answers nothing, until the server ends it.
async fn watch(mut walked: Walked) -> End {
    loop {
        if let Some(failure) = closing(&mut walked) {
            return failure.into();
        }
        if let Err(failure) = walked.read().await {
            return ended(&walked, failure);
        }
        if walked.received.len() > LOOKED_AT && !walked.speaks_frames {
            walked.received.truncate(LOOKED_AT);
        }
    }
}

/// Reads, little by little.
async fn sip(common: &Common, mut walked: Walked) -> End {
    if walked.speaks_frames {
        // Who is not read does not take more: then there is enough.
        let _ = timeout(Duration::from_secs(1), walked.stream.write_all(&questions(common))).await;
    }
    let mut sip = [0; SIP];
    loop {
        match walked.stream.read(&mut sip).await {
            Ok(0) => return ended(&walked, Failure::Closed),
            Ok(length) if walked.received.len() < LOOKED_AT => {
                walked.received.extend_from_slice(&sip[..length]);
            }
            Ok(_) => {}
            Err(error) => return ended(&walked, error.into()),
        }
        if let Some(failure) = closing(&mut walked) {
            return failure.into();
        }
        sleep(REST).await;
    }
}

fn questions(common: &Common) -> Vec<u8> {
    let text = "x".repeat(ASKED_SIZE);
    let question = match common.endpoint.target.protocol {
        Protocol::SocketIo => format!("42[\"echo\",\"{text}\"]"),
        _ => text,
    };
    let mut frames = Vec::new();
    for _ in 0..ASKED_FOR {
        frames::append_masked(&mut frames, frames::TEXT, question.as_bytes());
    }
    frames
}

/// Sends its request byte by byte, then reads.
async fn drip(common: &Common, mut walked: Walked) -> End {
    let (request, _) = first_request(common);
    let pause = Duration::from_secs_f64(common.storm.drip);
    for byte in request.chunks(1) {
        if let Err(error) = walked.stream.write_all(byte).await {
            return said_meanwhile(walked, error.into()).await;
        }
        let more = read_more(&mut walked.stream, &mut walked.received);
        match timeout(pause, more).await {
            Ok(Err(failure)) => return ended(&walked, failure),
            Ok(Ok(())) => sleep(pause).await, // an answer before the request is complete
            Err(_) => {}
        }
    }
    walked.speaks_frames = false;
    watch(walked).await
}

/// A server may have answered before it closed.
async fn said_meanwhile(mut walked: Walked, failure: Failure) -> End {
    let _ = read_more(&mut walked.stream, &mut walked.received).await; // what there is
    ended(&walked, failure)
}

/// Why the server closes, if a close frame is among what was received. Whole frames are used up.
fn closing(walked: &mut Walked) -> Option<Failure> {
    if !walked.speaks_frames {
        return None;
    }
    let mut used = 0;
    let mut found = None;
    while let Some((frame, length)) = frames::first(&walked.received[used..]) {
        used += length;
        if frame.opcode == OpCode::Control(Control::Close) {
            found = Some(closed_with(frame.payload));
            break;
        }
    }
    walked.received.drain(..used);
    found
}

/// The connection is over: what was there before says how.
fn ended(walked: &Walked, failure: Failure) -> End {
    match Head::parse(&walked.received) {
        Ok(Some((head, _))) if !walked.speaks_frames => End::Answered(head.status),
        _ => failure.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    fn pair() -> (Walked, Stream) {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let walked = Walked { stream: Stream::Unix(ours), received: Vec::new(), speaks_frames: true };
        (walked, Stream::Unix(theirs))
    }

    #[tokio::test]
    async fn a_close_frame_says_why_a_connection_ended() {
        let (walked, mut server) = pair();
        let mut frames = Vec::new();
        frames::append(&mut frames, frames::TEXT, b"2");
        frames::append(&mut frames, OpCode::Control(Control::Close), b"\x03\xe9going away");
        server.write_all(&frames).await.unwrap();
        assert_eq!(watch(walked).await, End::Closed("1001 going away".to_owned()));
    }

    #[tokio::test]
    async fn an_answer_is_told_also_if_a_close_follows() {
        let (mut walked, mut server) = pair();
        walked.speaks_frames = false;
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        drop(server);
        assert_eq!(watch(walked).await, End::Answered(408));
    }

    #[tokio::test]
    async fn an_end_without_a_word_is_told_as_that() {
        let (walked, server) = pair();
        drop(server);
        assert_eq!(watch(walked).await, End::Closed("without a word".to_owned()));
    }
}
