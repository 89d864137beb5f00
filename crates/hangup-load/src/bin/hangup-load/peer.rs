//! The least that a broadcast can cost: one send(2) for each recipient.
//!
//! # Promised
//! Speaks as much of Engine.IO and Socket.IO as [`crate::fanout`] needs. An event `broadcast` is framed once, and sent to
//! everybody by one send(2) each; with `--coalesce`, all those that were asked for in one read are sent by one.
//!
//! # Not promised
//! Heartbeats, namespaces, anything for a client that does not read: it is waited for.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Result, Write};

use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use hangup_load::frames;

const LISTENER: Token = Token(0);
const OPEN: &str =
    "0{\"sid\":\"peer\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}";
const ASKED: &[u8] = b"42[\"broadcast\",";
const ANSWERED: &[u8] = b"42[\"news\",";

/// How it sends.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Broadcasts that arrive together leave together.
    #[arg(long)]
    coalesce: bool,
}

/// Serves until it is ended.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("Listening at: http://{}", listener.local_addr()?);
    let (mut recipients, mut newest) = (BTreeMap::new(), LISTENER);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    newest = Token(newest.0 + 1);
                    poll.registry().register(&mut stream, newest, Interest::READABLE)?;
                    recipients.insert(newest, Recipient { stream, received: Vec::new(), upgraded: false });
                }
                continue;
            }
            let Some(recipient) = recipients.get_mut(&event.token()) else { continue };
            match recipient.read() {
                Ok(broadcasts) => broadcast(&mut recipients, &broadcasts, arguments.coalesce),
                Err(_) => drop(recipients.remove(&event.token())),
            }
        }
    }
}

fn broadcast(recipients: &mut BTreeMap<Token, Recipient>, frames: &[Vec<u8>], coalesce: bool) {
    let joined = [frames.concat()];
    for frames in if coalesce { &joined } else { frames } {
        recipients.retain(|_, recipient| !recipient.upgraded || recipient.send(frames).is_ok());
    }
}

#[derive(Debug)]
struct Recipient {
    stream: TcpStream,
    received: Vec<u8>,
    upgraded: bool,
}

impl Recipient {
    /// Answers what there is to answer. Returns the frames of the broadcasts that were asked for.
    fn read(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if !self.upgraded && self.received.ends_with(b"\r\n\r\n") {
            self.upgrade()?;
        }
        let (mut broadcasts, mut start) = (Vec::new(), 0);
        while self.upgraded {
            let Some((frame, length)) = frames::first(&self.received[start..]) else { break };
            if let Some(data) = frame.payload.strip_prefix(ASKED) {
                let mut news = Vec::with_capacity(length);
                frames::append(&mut news, frames::TEXT, &[ANSWERED, data].concat());
                broadcasts.push(news);
            } else if frame.payload == b"40" {
                let mut welcome = Vec::new();
                frames::append(&mut welcome, frames::TEXT, b"40{\"sid\":\"peer\"}");
                self.send(&welcome)?;
            }
            start += length;
        }
        self.received.drain(..start);
        Ok(broadcasts)
    }

    fn upgrade(&mut self) -> Result<()> {
        let request = String::from_utf8_lossy(&self.received).into_owned();
        let key =
            request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
        let mut response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        )
        .into_bytes();
        frames::append(&mut response, frames::TEXT, OPEN.as_bytes());
        self.received.clear();
        self.upgraded = true;
        self.send(&response)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
