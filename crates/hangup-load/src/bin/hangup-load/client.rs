//! One client: connects, and asks for echoes.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{client_async, WebSocketStream};

use crate::Speaks;

/// Where clients connect to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) speaks: Speaks,
    /// For how long a client waits for anything.
    pub(crate) patience: Duration,
}

/// Why a client failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(std::io::Error),
    WebSocket(Error),
    /// The server said something else than what was expected.
    Unexpected(String),
    Closed,
    Silent,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(error) => error.fmt(formatter),
            Failure::WebSocket(error) => error.fmt(formatter),
            Failure::Unexpected(said) => write!(formatter, "the server said {said:?}"),
            Failure::Closed => formatter.write_str("the server closed the connection"),
            Failure::Silent => formatter.write_str("the server said nothing"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Io(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::WebSocket(error)
    }
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    stream: WebSocketStream<TcpStream>,
    speaks: Speaks,
    patience: Duration,
}

impl Client {
    /// Connects, up to the point where events can be sent.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Failure> {
        let opened = async {
            let connection = TcpStream::connect(target.address).await?;
            connection.set_nodelay(true)?;
            let (stream, _) = client_async(target.url.as_str(), connection).await?;
            Ok::<_, Failure>(stream)
        };
        let stream = timeout(target.patience, opened).await.map_err(|_| Failure::Silent)??;
        let mut client = Self { stream, speaks: target.speaks, patience: target.patience };
        if let Speaks::SocketIo = target.speaks {
            client.expect("0{").await?;
            client.stream.send(Message::text("40")).await?;
            client.expect("40").await?;
        }
        Ok(client)
    }

    /// What [`Client::echo`] sends.
    pub(crate) fn event(&self, payload: usize) -> Utf8Bytes {
        let text = "x".repeat(payload);
        match self.speaks {
            Speaks::SocketIo => format!("42[\"echo\",\"{text}\"]").into(),
            Speaks::Plain => text.into(),
        }
    }

    /// Sends an event, and waits for its answer.
    pub(crate) async fn echo(&mut self, event: &Utf8Bytes) -> Result<(), Failure> {
        self.stream.send(Message::Text(event.clone())).await?;
        match self.speaks {
            Speaks::SocketIo => self.expect("42[\"echo\"").await,
            Speaks::Plain => self.expect("").await,
        }
    }

    /// Reads the next message, which begins so. Answers pings meanwhile.
    async fn expect(&mut self, beginning: &str) -> Result<(), Failure> {
        loop {
            let read = timeout(self.patience, self.stream.next()).await.map_err(|_| Failure::Silent)?;
            let Message::Text(text) = read.ok_or(Failure::Closed)?? else { continue };
            match self.speaks {
                Speaks::SocketIo if text == "2" => self.stream.send(Message::text("3")).await?,
                _ if text.starts_with(beginning) => return Ok(()),
                _ => return Err(Failure::Unexpected(text.to_string())),
            }
        }
    }
}
