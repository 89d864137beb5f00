//! A client that behaves, of any protocol.

use std::future::Future;
use std::rc::Rc;

use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::http::{request, Http};
use crate::message::Message;
use crate::plan::Protocol;
use crate::socketio::Session;
use crate::websocket::WebSocket;

/// Connected.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Rc<Endpoint>,
    speaks: Speaks,
}

#[derive(Debug)]
enum Speaks {
    Http(Box<Http>),
    WebSocket(Box<WebSocket>),
    SocketIo(Box<Session>),
}

impl Client {
    /// Connects, up to the point where messages can be sent.
    pub(crate) async fn connect(endpoint: &Rc<Endpoint>) -> Result<Self, Failure> {
        let connecting = async {
            Ok(match endpoint.target.protocol {
                Protocol::Http => {
                    let mut http = Http::default();
                    http.open(endpoint).await?;
                    Speaks::Http(Box::new(http))
                }
                Protocol::WebSocket => {
                    let websocket = WebSocket::connect(endpoint, &endpoint.target.path).await?;
                    Speaks::WebSocket(Box::new(websocket))
                }
                Protocol::SocketIo => Speaks::SocketIo(Box::new(Session::connect(endpoint).await?)),
            })
        };
        let speaks = patiently(endpoint, "the end of the handshake", connecting).await?;
        Ok(Self { endpoint: Rc::clone(endpoint), speaks })
    }

    /// Sends a message, or requests a page, and waits for its answer. Returns how many messages have arrived.
    pub(crate) async fn exchange(&mut self, message: &Message) -> Result<u64, Failure> {
        let endpoint = Rc::clone(&self.endpoint);
        let exchanging = async {
            if let Speaks::Http(http) = &mut self.speaks {
                let request = request(&self.endpoint, &self.endpoint.target.path, "", None);
                http.request(&self.endpoint, &request).await?.or_failure()?;
                return Ok(1);
            }
            self.send(&message.said).await?;
            let mut arrived = 1;
            while !self.receive().await?.contains(&message.answer) {
                arrived += 1;
            }
            Ok(arrived)
        };
        patiently(&endpoint, "the answer to a message", exchanging).await
    }

    /// The least that shows that the server is there.
    pub(crate) async fn show_of_life(&mut self) -> Result<(), Failure> {
        let endpoint = Rc::clone(&self.endpoint);
        let showing = async {
            match &mut self.speaks {
                Speaks::Http(http) => {
                    let request = request(&endpoint, &endpoint.target.path, "", None);
                    http.request(&endpoint, &request).await?.or_failure().map(drop)
                }
                Speaks::WebSocket(websocket) => websocket.ping().await,
                Speaks::SocketIo(_) => Ok(()), // it has answered a request for the namespace
            }
        };
        patiently(&endpoint, "a sign of life", showing).await
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.speaks {
            Speaks::Http(_) => Ok(()),
            Speaks::WebSocket(websocket) => websocket.send(text).await,
            Speaks::SocketIo(session) => session.send(text).await,
        }
    }

    /// The next message; pings are answered meanwhile. May be dropped meanwhile. HTTP has none.
    pub(crate) async fn receive(&mut self) -> Result<String, Failure> {
        match &mut self.speaks {
            Speaks::Http(_) => std::future::pending().await,
            Speaks::WebSocket(websocket) => websocket.receive().await,
            Speaks::SocketIo(session) => session.receive().await,
        }
    }

    pub(crate) async fn leave(self) {
        match self.speaks {
            Speaks::Http(_) => {}
            Speaks::WebSocket(websocket) => websocket.leave().await,
            Speaks::SocketIo(session) => session.leave().await,
        }
    }
}

async fn patiently<T>(
    endpoint: &Endpoint,
    what: &'static str,
    does: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(endpoint.target.patience(), does).await.unwrap_or(Err(Failure::Silent(what)))
}
