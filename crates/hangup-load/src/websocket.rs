//! WebSockets: the upgrade, and whole messages.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::WebSocketStream;

use crate::endpoint::Endpoint;
use crate::failure::{first_line, Failure};
use crate::http::{read_more, request, Head};
use crate::stream::Stream;

/// For each client one of them is kept.
const READ_BUFFER: usize = 4096;
/// For the server's half of a closing handshake.
const FAREWELL: Duration = Duration::from_millis(500);
/// For the rest of what a server says about an upgrade that it refuses.
const EXPLANATION: Duration = Duration::from_millis(200);

/// The request for an upgrade, and what its answer has to have.
pub(crate) fn upgrade_request(endpoint: &Endpoint, path: &str) -> (Vec<u8>, String) {
    let key = generate_key();
    let more = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    (request(endpoint, path, &more, None), derive_accept_key(key.as_bytes()))
}

/// Reads the answer to an upgrade; what is left in `received` is the beginning of frames.
pub(crate) async fn upgraded(
    stream: &mut Stream,
    received: &mut Vec<u8>,
    accept: &str,
) -> Result<(), Failure> {
    let (head, size) = loop {
        if let Some(parsed) = Head::parse(received)? {
            break parsed;
        }
        read_more(stream, received).await?;
    };
    received.drain(..size);
    if head.status != 101 {
        let more =
            async { while received.len() < READ_BUFFER && read_more(stream, received).await.is_ok() {} };
        let _ = timeout(EXPLANATION, more).await; // what there is has been read
        return Err(Failure::Status(head.status, head.first_line_of(received)));
    }
    match head.accept {
        Some(found) if found == accept => Ok(()),
        Some(_) => Err(Failure::NotWebSocket("its Sec-WebSocket-Accept is of another key".to_owned())),
        None => Err(Failure::NotWebSocket("101 without Sec-WebSocket-Accept".to_owned())),
    }
}

/// A connected WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket(WebSocketStream<Stream>);

impl WebSocket {
    pub(crate) async fn connect(endpoint: &Endpoint, path: &str) -> Result<Self, Failure> {
        let mut stream = endpoint.connect().await?;
        let (request, accept) = upgrade_request(endpoint, path);
        stream.write_all(&request).await?;
        let mut received = Vec::new();
        upgraded(&mut stream, &mut received, &accept).await?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        Ok(Self(WebSocketStream::from_partially_read(stream, received, Role::Client, Some(config)).await))
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.0.send(Message::text(text)).await?)
    }

    /// Waits until a ping has been answered.
    pub(crate) async fn ping(&mut self) -> Result<(), Failure> {
        self.0.send(Message::Ping(b"hangup"[..].into())).await?;
        while !matches!(self.next().await?, Message::Pong(_)) {}
        Ok(())
    }

    /// The next message, binary ones as if they were text. May be dropped meanwhile. Pings are answered.
    pub(crate) async fn receive(&mut self) -> Result<String, Failure> {
        loop {
            match self.next().await? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Binary(bytes) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Message, Failure> {
        match self.0.next().await {
            Some(Ok(Message::Close(Some(frame)))) => {
                let reason = frame.reason.as_str();
                let code = u16::from(frame.code);
                Err(Failure::ClosedWith(
                    format!("{code} {}", first_line(reason.as_bytes())).trim().to_owned(),
                ))
            }
            Some(Ok(Message::Close(None))) => Err(Failure::ClosedWith("no code".to_owned())),
            Some(message) => Ok(message?),
            None => Err(Failure::Closed),
        }
    }

    /// The closing handshake.
    pub(crate) async fn leave(mut self) {
        let handshake = async {
            if self.0.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.0.next().await {}
            }
        };
        let _ = timeout(FAREWELL, handshake).await; // it has been told
    }
}
