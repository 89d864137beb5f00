//! Socket.IO sessions on Engine.IO 4 or 3, over a WebSocket or by long polling.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep_until, timeout, Instant};

use crate::endpoint::Endpoint;
use crate::failure::{first_line, Failure};
use crate::http::{request, Http};
use crate::plan::Transport;
use crate::websocket::WebSocket;

/// Between the packets of an Engine.IO 4 payload.
const SEPARATOR: char = '\u{1e}';
/// Milliseconds, of a server that does not say.
const PING_INTERVAL: u64 = 25_000;
const A_DAY: u64 = 86_400_000;
const FAREWELL: Duration = Duration::from_millis(500);

/// A session that is connected to its namespace.
#[derive(Debug)]
pub(crate) struct Session {
    carrier: Carrier,
    engine_io: u8,
    /// Of Engine.IO 3, whose clients ping.
    ping_every: Duration,
    ping_at: Instant,
}

#[derive(Debug)]
enum Carrier {
    WebSocket(Box<WebSocket>),
    Polling(Box<Polling>),
}

impl Session {
    pub(crate) async fn connect(endpoint: &Rc<Endpoint>) -> Result<Self, Failure> {
        let target = &endpoint.target;
        let carrier = match target.transport {
            Transport::WebSocket => {
                let path = engine_io_path(endpoint, "websocket", None);
                Carrier::WebSocket(Box::new(WebSocket::connect(endpoint, &path).await?))
            }
            Transport::Polling => Carrier::Polling(Box::new(Polling::new(Rc::clone(endpoint)))),
        };
        let (ping_every, ping_at) = (Duration::from_millis(PING_INTERVAL), Instant::now());
        let mut session = Self { carrier, engine_io: target.engine_io, ping_every, ping_at };
        session.open().await?;
        session.join(&target.namespace, target.auth.as_ref()).await?;
        Ok(session)
    }

    async fn open(&mut self) -> Result<(), Failure> {
        let first = self.carrier.receive().await?;
        let (sid, ping_every) = opening(&first)?;
        if let Carrier::Polling(polling) = &mut self.carrier {
            polling.sid = Some(sid);
        }
        self.ping_every = ping_every;
        self.ping_at = Instant::now() + self.ping_every;
        Ok(())
    }

    async fn join(&mut self, namespace: &str, auth: Option<&Value>) -> Result<(), Failure> {
        let (place, joined) = match namespace {
            "/" => (String::new(), "40".to_owned()),
            other => (format!("{other},"), format!("40{other}")),
        };
        let auth = auth.map(ToString::to_string).unwrap_or_default();
        if self.engine_io >= 4 || namespace != "/" {
            self.send(&format!("40{place}{auth}")).await?; // Socket.IO 2 servers begin with the main namespace
        }
        loop {
            let said = self.receive().await?;
            if said.starts_with(&joined) {
                return Ok(());
            }
            if said.starts_with("44") {
                return Err(Failure::ClosedWith(format!(
                    "connection refused: {}",
                    first_line(&said.as_bytes()[2..])
                )));
            }
            if !said.starts_with('4') {
                return Err(Failure::unexpected(said.as_bytes()));
            }
        }
    }

    /// Sends a packet.
    pub(crate) async fn send(&mut self, packet: &str) -> Result<(), Failure> {
        match &mut self.carrier {
            Carrier::WebSocket(websocket) => websocket.send(packet).await,
            Carrier::Polling(polling) => polling.send(packet).await,
        }
    }

    /// The next packet that is not about staying connected. May be dropped meanwhile.
    pub(crate) async fn receive(&mut self) -> Result<String, Failure> {
        loop {
            let said = tokio::select! {
                said = self.carrier.receive() => said?,
                () = sleep_until(self.ping_at), if self.engine_io < 4 => {
                    self.ping_at = Instant::now() + self.ping_every;
                    self.send("2").await?;
                    continue;
                }
            };
            match said.as_bytes() {
                [b'2', ..] => self.send(&said.replacen('2', "3", 1)).await?,
                [b'3' | b'6', ..] => {}
                [b'1', ..] => return Err(Failure::ClosedWith("Engine.IO close".to_owned())),
                [b'4', b'1', ..] => return Err(Failure::ClosedWith("Socket.IO disconnect".to_owned())),
                _ => return Ok(said),
            }
        }
    }

    /// As clients do: the namespace, then the connection.
    pub(crate) async fn leave(mut self) {
        match self.carrier {
            Carrier::WebSocket(mut websocket) => {
                if websocket.send("41").await.is_ok() {
                    websocket.leave().await;
                }
            }
            Carrier::Polling(ref mut polling) => {
                let _ = timeout(FAREWELL, polling.send("1")).await; // it has been told
            }
        }
    }
}

impl Carrier {
    async fn receive(&mut self) -> Result<String, Failure> {
        match self {
            Carrier::WebSocket(websocket) => websocket.receive().await,
            Carrier::Polling(polling) => polling.receive().await,
        }
    }
}

/// Two connections, as browsers have them: one whose request waits for packets, one that brings them.
#[derive(Debug)]
struct Polling {
    endpoint: Rc<Endpoint>,
    sid: Option<String>,
    waiting: Http,
    bringing: Http,
    arrived: VecDeque<String>,
}

impl Polling {
    fn new(endpoint: Rc<Endpoint>) -> Self {
        let (waiting, bringing) = (Http::default(), Http::default());
        Self { endpoint, sid: None, waiting, bringing, arrived: VecDeque::new() }
    }

    async fn send(&mut self, packet: &str) -> Result<(), Failure> {
        let path = engine_io_path(&self.endpoint, "polling", self.sid.as_deref());
        let body = match self.endpoint.target.engine_io {
            4.. => packet.to_owned(),
            _ => format!("{}:{packet}", packet.encode_utf16().count()),
        };
        let request = request(&self.endpoint, &path, "", Some(body.as_bytes()));
        let answer = self.bringing.request(&self.endpoint, &request).await?;
        answer.or_failure().map(drop)
    }

    async fn receive(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(packet) = self.arrived.pop_front() {
                return Ok(packet);
            }
            let answer = if self.waiting.is_waiting() {
                self.waiting.answer().await?
            } else {
                let path = engine_io_path(&self.endpoint, "polling", self.sid.as_deref());
                let request = request(&self.endpoint, &path, "", None);
                self.waiting.request(&self.endpoint, &request).await?
            };
            let payload = answer.or_failure()?;
            self.arrived.extend(packets(&payload, self.endpoint.target.engine_io)?);
        }
    }
}

/// The session's id and for how long nobody pings, of the first packet.
pub(crate) fn opening(packet: &str) -> Result<(String, Duration), Failure> {
    let fields = packet.strip_prefix('0').and_then(|json| serde_json::from_str::<Value>(json).ok());
    let fields = fields.ok_or_else(|| Failure::unexpected(packet.as_bytes()))?;
    let is_sound = |sid: &&str| sid.bytes().all(|byte| byte.is_ascii_graphic()); // it becomes a part of a request
    let sid = fields["sid"].as_str().filter(is_sound);
    let sid = sid.ok_or_else(|| Failure::unexpected(packet.as_bytes()))?;
    let pings = fields["pingInterval"].as_u64().unwrap_or(PING_INTERVAL);
    Ok((sid.to_owned(), Duration::from_millis(pings.clamp(1, A_DAY))))
}

/// The path of a request of Engine.IO; what the target's own query says stays.
pub(crate) fn engine_io_path(endpoint: &Endpoint, transport: &str, sid: Option<&str>) -> String {
    let target = &endpoint.target;
    let (path, query) = target.path.split_once('?').unwrap_or((&target.path, ""));
    let query = if query.is_empty() { String::new() } else { format!("{query}&") };
    let form = if target.engine_io < 4 { "&b64=1" } else { "" }; // payloads as text: there are two forms
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("{path}?{query}EIO={}&transport={transport}{form}{sid}", target.engine_io)
}

/// The packets of a payload.
pub(crate) fn packets(payload: &[u8], engine_io: u8) -> Result<Vec<String>, Failure> {
    let text = std::str::from_utf8(payload).map_err(|_| Failure::unexpected(payload))?;
    if engine_io >= 4 {
        return Ok(text.split(SEPARATOR).map(ToOwned::to_owned).collect());
    }
    let (mut packets, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let parted =
            rest.split_once(':').and_then(|(length, rest)| Some((length.parse::<usize>().ok()?, rest)));
        let (length, behind) = parted.ok_or_else(|| Failure::unexpected(payload))?;
        let end = end_of_utf16(behind, length).ok_or_else(|| Failure::unexpected(payload))?;
        packets.push(behind[..end].to_owned());
        rest = &behind[end..];
    }
    Ok(packets)
}

/// Where so many units of UTF-16 end, in which Engine.IO 3 counts.
fn end_of_utf16(text: &str, length: usize) -> Option<usize> {
    let mut counted = 0;
    for (place, letter) in text.char_indices() {
        if counted == length {
            return Some(place);
        }
        counted += letter.len_utf16();
    }
    (counted == length).then_some(text.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_that_would_end_a_request_is_none() {
        let (sid, pings) = opening("0{\"sid\":\"a-b_c\",\"pingInterval\":18446744073709551615}").unwrap();
        assert_eq!((sid.as_str(), pings.as_secs()), ("a-b_c", 86_400));
        for packet in ["0{\"sid\":\"a\\r\\nX: y\"}", "0{}", "0", "40", ""] {
            assert_eq!(opening(packet).unwrap_err().kind(), "unexpected answer");
        }
    }

    #[test]
    fn payloads_of_both_versions_are_parted() {
        assert_eq!(packets("2\u{1e}42[\"é\"]".as_bytes(), 4).unwrap(), ["2", "42[\"é\"]"]);
        assert_eq!(packets("2:406:42[\"é\"]".as_bytes(), 3).unwrap_err().kind(), "unexpected answer");
        assert_eq!(packets("2:407:42[\"é\"]".as_bytes(), 3).unwrap(), ["40", "42[\"é\"]"]);
        assert_eq!(packets("8:42[\"😀\"]".as_bytes(), 3).unwrap(), ["42[\"😀\"]"]);
        assert!(packets(b"99:40", 3).is_err());
        assert!(packets(b"\xff", 4).is_err());
    }
}
