//! A Socket.IO client without a task of its own: connects while its thread waits, then is read when it is readable.

use std::io::{ErrorKind, Read, Write};
use std::mem::take;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::client::{Failure, Target};
use crate::sequence::Sequence;
use hangup_load::frames;

/// Of a client that stalls: what the kernels keep for it is some 100 KB then, as between two machines, and not the
/// megabytes that loopback is good for.
const STALLED_BUFFER: usize = 4096;
const STALLED_SEGMENT: u32 = 1400;
const STALLED_ECHO: usize = 16 * 1024;
const STALLED_ECHOES: usize = 16;

/// A client whose handshake is under way.
#[derive(Debug)]
pub(crate) struct Connecting {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connecting {
    /// Sends the upgrade request.
    pub(crate) fn begin(target: &Target, stalled: bool) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, None)?;
        if stalled {
            socket.set_recv_buffer_size(STALLED_BUFFER)?;
            socket.set_tcp_mss(STALLED_SEGMENT)?;
        }
        socket.connect_timeout(&target.address.into(), target.patience)?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(target.patience))?;
        stream.set_write_timeout(Some(target.patience))?;
        stream.write_all(request(target.address, &target.url).as_bytes())?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Asks for the namespace as soon as the session is open.
    pub(crate) fn open(&mut self) -> Result<(), Failure> {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive()?;
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(unexpected(&head));
        }
        self.expect(b"0{")?;
        self.send(b"40")
    }

    /// Waits until events can be sent.
    pub(crate) fn finish(mut self) -> Result<Connection, Failure> {
        self.expect(b"40")?;
        self.stream.set_nonblocking(true)?;
        Ok(Connection {
            stream: mio::net::TcpStream::from_std(self.stream),
            received: self.received,
            outgoing: Vec::new(),
            sequence: Sequence::default(),
        })
    }

    /// Waits as well, and then reads no more of anything: asks for more than there is room for.
    pub(crate) fn stall(mut self) -> Result<TcpStream, Failure> {
        self.expect(b"40")?;
        self.stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        let echo = format!("42[\"echo\",\"{}\"]", "x".repeat(STALLED_ECHO));
        for _ in 0..STALLED_ECHOES {
            match self.send(echo.as_bytes()) {
                Err(Failure::Io(error)) if error.kind() == ErrorKind::WouldBlock => break, // so it is not read either
                sent => sent?,
            }
        }
        Ok(self.stream)
    }

    fn send(&mut self, text: &[u8]) -> Result<(), Failure> {
        let mut frame = Vec::new();
        frames::append_masked(&mut frame, frames::TEXT, text);
        Ok(self.stream.write_all(&frame)?)
    }

    fn expect(&mut self, beginning: &[u8]) -> Result<(), Failure> {
        loop {
            let Some((frame, length)) = frames::first(&self.received) else {
                self.receive()?;
                continue;
            };
            let (expected, heartbeat) = (frame.payload.starts_with(beginning), frame.payload == b"2");
            if !expected && !heartbeat {
                return Err(unexpected(frame.payload));
            }
            self.received.drain(..length);
            if expected {
                return Ok(());
            }
            self.send(b"3")?;
        }
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut chunk = [0; 2048];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Failure::Closed),
            Ok(length) => {
                self.received.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Failure::Silent),
            Err(error) => Err(error.into()),
        }
    }
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: mio::net::TcpStream,
    /// The beginning of a frame.
    received: Vec<u8>,
    outgoing: Vec<u8>,
    pub(crate) sequence: Sequence,
}

impl Connection {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> Result<(), Failure> {
        Ok(registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)?)
    }

    /// Reads what there is, through a buffer that all clients share, and to the very end if `closed`. `on_event` is given
    /// Socket.IO's packets; heartbeats are answered here.
    pub(crate) fn read(
        &mut self,
        shared: &mut [u8],
        closed: bool,
        mut on_event: impl FnMut(&mut Sequence, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let kept = self.received.len();
            shared[..kept].copy_from_slice(&self.received);
            let length = match self.stream.read(&mut shared[kept..]) {
                Ok(0) => return Err(Failure::Closed),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let (drained, mut rest) = (!closed && kept + length < shared.len(), &shared[..kept + length]);
            while let Some((frame, length)) = frames::first(rest) {
                match frame.opcode {
                    _ if frame.is_text() && frame.payload.starts_with(b"4") => {
                        on_event(&mut self.sequence, frame.payload)?;
                    }
                    _ if frame.is_text() && frame.payload == b"2" => {
                        frames::append_masked(&mut self.outgoing, frames::TEXT, b"3");
                    }
                    OpCode::Control(Control::Ping) => {
                        frames::append_masked(&mut self.outgoing, frames::PONG, frame.payload);
                    }
                    OpCode::Control(Control::Close) => return Err(Failure::Closed),
                    _ => return Err(unexpected(frame.payload)),
                }
                rest = &rest[length..];
            }
            self.received.clear();
            self.received.extend_from_slice(rest);
            self.flush()?;
            if drained {
                return Ok(()); // epoll(7): the next byte is an event of its own
            }
        }
    }

    /// An event to be sent with the next [`Self::flush`].
    pub(crate) fn queue(&mut self, event: &[u8]) {
        frames::append_masked(&mut self.outgoing, frames::TEXT, event);
    }

    /// Sends as much as the kernel takes.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let mut waiting = take(&mut self.outgoing);
        while !waiting.is_empty() {
            match self.stream.write(&waiting) {
                Ok(length) => waiting.drain(..length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
        }
        self.outgoing = waiting;
        Ok(())
    }
}

pub(crate) fn unexpected(said: &[u8]) -> Failure {
    Failure::Unexpected(String::from_utf8_lossy(&said[..said.len().min(100)]).into_owned())
}

fn request(address: SocketAddr, url: &str) -> String {
    let path = url.split_once(&address.to_string()).map_or("/", |(_, path)| path);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
