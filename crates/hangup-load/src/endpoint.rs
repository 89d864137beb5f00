//! A target, the address that answers, and the address to come from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use tokio::net::{TcpSocket, UnixStream};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::plan::Target;
use crate::stream::Stream;

/// What a client that reads slowly has room for: what the kernels keep for it is some 100 KB then, as between two machines,
/// and not the megabytes that loopback is good for.
const SLOW_READER_BUFFER: u32 = 4096;

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    address: AtomicUsize,
    /// 127.0.0.N is connected from: each has its own 28,000 ports. 0: whatever the kernel takes.
    source: AtomicU8,
}

impl Endpoint {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, address: AtomicUsize::new(0), source: AtomicU8::new(0) }
    }

    /// Finds which of several addresses answers. With one only, nobody is asked.
    pub(crate) async fn settle(&self) {
        let addresses = &self.target.addresses;
        for place in 0..addresses.len() {
            self.address.store(place, Relaxed);
            if addresses.len() == 1 || self.connect().await.is_ok() {
                return;
            }
        }
        self.address.store(0, Relaxed);
    }

    pub(crate) async fn connect(&self) -> Result<Stream, Failure> {
        self.connect_with(false).await
    }

    /// Connects, within patience.
    pub(crate) async fn connect_with(&self, slow_reader: bool) -> Result<Stream, Failure> {
        if let Some(reason) = &self.target.unresolved {
            return Err(Failure::Unresolved(reason.clone()));
        }
        let connecting = async {
            if let Some(path) = &self.target.unix {
                let connected = UnixStream::connect(path).await;
                return connected.map(Stream::Unix).map_err(|error| Failure::of_connect(&error));
            }
            let address = self.target.addresses.get(self.address.load(Relaxed));
            let address = *address.ok_or_else(|| Failure::Unresolved(String::new()))?;
            self.connect_tcp(address, slow_reader).await
        };
        let patience = timeout(self.target.patience(), connecting);
        patience.await.unwrap_or_else(|_| Err(Failure::Unreachable("connecting took too long".to_owned())))
    }

    async fn connect_tcp(&self, address: SocketAddr, slow_reader: bool) -> Result<Stream, Failure> {
        loop {
            let source = self.source.load(Relaxed);
            let connected = connect_from(source, address, slow_reader).await;
            match connected.map_err(|error| Failure::of_connect(&error)) {
                Err(Failure::NoPorts) if self.has_other_source(source, address.ip()) => {}
                connected => return connected,
            }
        }
    }

    /// Whether there is one; then it is used from now on.
    fn has_other_source(&self, exhausted: u8, peer: IpAddr) -> bool {
        let IpAddr::V4(peer) = peer else { return false };
        if !peer.is_loopback() || exhausted >= 254 {
            return false;
        }
        let next = exhausted.max(1) + 1;
        let _ = self.source.compare_exchange(exhausted, next, Relaxed, Relaxed); // or another client was first
        true
    }
}

async fn connect_from(source: u8, address: SocketAddr, slow_reader: bool) -> std::io::Result<Stream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if source > 0 {
        socket.bind((Ipv4Addr::new(127, 0, 0, source), 0).into())?;
    }
    if slow_reader {
        socket.set_recv_buffer_size(SLOW_READER_BUFFER)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_ports_left_comes_from_another_loopback_address() {
        let target = serde_json::json!({ "host": "x", "path": "/", "protocol": "http", "patience": 1.0 });
        let endpoint = Endpoint::new(serde_json::from_value(target).unwrap());
        let loopback = "127.0.0.1".parse().unwrap();
        assert!(endpoint.has_other_source(0, loopback) && endpoint.has_other_source(0, loopback));
        assert_eq!(endpoint.source.load(Relaxed), 2); // once, though two clients met the end
        assert!(endpoint.has_other_source(2, loopback));
        assert_eq!(endpoint.source.load(Relaxed), 3);
        assert!(!endpoint.has_other_source(254, loopback));
        assert!(!endpoint.has_other_source(3, "192.0.2.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn another_source_is_bound() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _stream = connect_from(7, listener.local_addr().unwrap(), true).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 7));
    }
}
