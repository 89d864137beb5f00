//! The way of a client up to the moment at which it stops behaving.

use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use super::{Common, Errand};
use crate::failure::{first_line, Failure};
use crate::frames;
use crate::http::{read_more, request, Http};
use crate::plan::{Moment, Protocol, Transport};
use crate::socketio::{engine_io_path, opening, packets};
use crate::stream::Stream;
use crate::websocket::{upgrade_request, upgraded};

/// A frame that is cut.
const CUT_TEXT: &[u8] = b"42[\"echo\",\"a frame of which the end is never sent\"]";

const LONGEST_FRAME: usize = 16 << 20;

/// A client that has come to its moment: its connection, and what it has read and not used.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) stream: Stream,
    pub(super) received: Vec<u8>,
    /// What comes next are frames.
    pub(super) speaks_frames: bool,
}

/// What a client sends first, and what the answer to an upgrade has to have.
pub(super) fn first_request(common: &Common) -> (Vec<u8>, String) {
    let (endpoint, target) = (&common.endpoint, &common.endpoint.target);
    match (target.protocol, target.transport) {
        (Protocol::Http, _) => {
            let body = vec![b'x'; common.storm.body];
            let body = (!body.is_empty()).then_some(body.as_slice());
            (request(endpoint, &target.path, "", body), String::new())
        }
        (Protocol::WebSocket, _) => upgrade_request(endpoint, &target.path),
        (Protocol::SocketIo, Transport::WebSocket) => {
            upgrade_request(endpoint, &engine_io_path(endpoint, "websocket", None))
        }
        (Protocol::SocketIo, Transport::Polling) => {
            (request(endpoint, &engine_io_path(endpoint, "polling", None), "", None), String::new())
        }
    }
}

/// Goes there.
pub(super) async fn walk(common: &Common, errand: &mut Errand, stream: Stream) -> Result<Walked, Failure> {
    let mut walked = Walked { stream, received: Vec::new(), speaks_frames: false };
    if errand.moment == Moment::BeforeRequest {
        return Ok(walked);
    }
    let (first, accept) = first_request(common);
    let head = first.windows(4).position(|four| four == b"\r\n\r\n").map_or(first.len(), |at| at + 4);
    let target = &common.endpoint.target;
    let until = match (errand.moment, target.protocol) {
        (Moment::InHead, _) => errand.rng.usize(1..head),
        (Moment::InBody, Protocol::Http) => head + errand.rng.usize(0..first.len() - head),
        _ => first.len(),
    };
    walked.stream.write_all(&first[..until]).await?;
    if until < first.len() || errand.moment == Moment::BeforeResponse {
        return Ok(walked);
    }
    match (target.protocol, target.transport) {
        (Protocol::Http, _) => read_more(&mut walked.stream, &mut walked.received).await?,
        (Protocol::SocketIo, Transport::Polling) => return poll(common, errand, walked.stream).await,
        (protocol, _) => {
            upgraded(&mut walked.stream, &mut walked.received, &accept).await?;
            walked.speaks_frames = true;
            if protocol == Protocol::SocketIo {
                walked.join(common).await?;
            }
            if errand.moment == Moment::MidFrame {
                let mut frame = Vec::new();
                frames::append_masked(&mut frame, frames::TEXT, CUT_TEXT);
                let until = errand.rng.usize(1..frame.len());
                walked.stream.write_all(&frame[..until]).await?;
            }
        }
    }
    Ok(walked)
}

/// What joins the namespace, and with what its answer begins.
fn joining(common: &Common) -> (String, String) {
    let target = &common.endpoint.target;
    let auth = target.auth.as_ref().map(ToString::to_string).unwrap_or_default();
    match target.namespace.as_str() {
        "/" => (format!("40{auth}"), "40".to_owned()),
        other => (format!("40{other},{auth}"), format!("40{other}")),
    }
}

/// Opens a session, and leaves a poll waiting, or a packet half sent.
async fn poll(common: &Common, errand: &mut Errand, stream: Stream) -> Result<Walked, Failure> {
    let (endpoint, engine_io) = (&common.endpoint, common.endpoint.target.engine_io);
    let mut http = Http::waiting_on(stream);
    let packets = packets(&http.answer().await?.or_failure()?, engine_io)?;
    let (sid, _) = opening(packets.first().map_or("", String::as_str))?;
    let path = engine_io_path(endpoint, "polling", Some(&sid));
    let (join, _) = joining(common);
    let body = if engine_io >= 4 { join } else { format!("{}:{join}", join.len()) };
    let post = request(endpoint, &path, "", Some(body.as_bytes()));
    if errand.moment == Moment::InBody {
        let until = post.len() - errand.rng.usize(1..=body.len());
        http.send(endpoint, &post[..until]).await?;
    } else {
        http.request(endpoint, &post).await?.or_failure()?;
        let get = request(endpoint, &path, "", None);
        http.request(endpoint, &get).await?.or_failure()?; // the answer to the joining
        http.send(endpoint, &get).await?;
    }
    let (stream, received) = http.into_parts().ok_or(Failure::Closed)?;
    Ok(Walked { stream, received, speaks_frames: false })
}

impl Walked {
    async fn join(&mut self, common: &Common) -> Result<(), Failure> {
        let (join, joined) = joining(common);
        self.expect(b"0{").await?;
        let mut frame = Vec::new();
        frames::append_masked(&mut frame, frames::TEXT, join.as_bytes());
        self.stream.write_all(&frame).await?;
        self.expect(joined.as_bytes()).await
    }

    async fn expect(&mut self, beginning: &[u8]) -> Result<(), Failure> {
        loop {
            if let Some((frame, length)) = frames::first(&self.received) {
                let failure = match frame.opcode {
                    OpCode::Control(Control::Close) => Some(closed_with(frame.payload)),
                    _ if frame.payload.starts_with(beginning) => None,
                    OpCode::Data(_) => Some(Failure::unexpected(frame.payload)),
                    OpCode::Control(_) => {
                        self.received.drain(..length);
                        continue;
                    }
                };
                self.received.drain(..length);
                return failure.map_or(Ok(()), Err);
            }
            self.read().await?;
        }
    }

    /// Reads more; a frame that does not end is no frame.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        if self.received.len() > LONGEST_FRAME {
            return Err(Failure::Unexpected("a frame that does not end".to_owned()));
        }
        read_more(&mut self.stream, &mut self.received).await
    }
}

/// What a close frame says.
pub(super) fn closed_with(payload: &[u8]) -> Failure {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            Failure::ClosedWith(format!("{code} {}", first_line(reason)).trim().to_owned())
        }
        _ => Failure::ClosedWith("no code".to_owned()),
    }
}
