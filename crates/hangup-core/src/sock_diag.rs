//! The TCP sockets of this network namespace, from the kernel in one go (sock_diag(7)).
//!
//! # Not promised
//! Sockets that are neither connected nor listening, and those with link-local addresses, whose scope is not told.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;

use rustix::net::{netlink, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::address::Address;
use crate::tcp;

/// The older question, which is for both families at once.
const TCPDIAG_GETSOCK: u16 = 18;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
const HEADER: usize = 16;
/// `struct inet_diag_req`, and where its mask of states is.
const REQUEST: usize = 60;
const STATES: usize = 52;
/// All but SYN_RECV, TIME_WAIT and NEW_SYN_RECV, which nobody holds a descriptor of.
const HELD: u32 = !(1 << 3 | 1 << 6 | 1 << 12);
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// What the kernel fills at most.
const BUFFER: usize = 32 * 1024;

/// A socket.
pub(crate) struct Told {
    pub(crate) inode: u64,
    pub(crate) state: &'static str,
    pub(crate) local: Address,
    pub(crate) remote: Address,
}

/// What the kernel said, as it said it: most of it is never looked at.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    messages: Vec<[u8; MESSAGE]>,
    /// Where in the messages an inode's is.
    places: HashMap<u64, u32, BuildHasherDefault<Inodes>>,
}

impl Dump {
    /// Which message is of the socket with this inode, which the kernel gives to no other.
    pub(crate) fn place(&self, inode: u64) -> Option<u32> {
        self.places.get(&inode).copied()
    }

    /// What message number `place` says. `None` if there is no such message.
    pub(crate) fn told(&self, place: u32) -> Option<Told> {
        let message = self.messages.get(place as usize)?;
        let end = |number| address(message, number).unwrap_or(Address::None);
        Some(Told {
            inode: inode(message),
            state: tcp::state_name(message[1]),
            local: end(0),
            remote: end(1),
        })
    }

    /// The state alone.
    pub(crate) fn state(&self, place: u32) -> Option<&'static str> {
        self.messages.get(place as usize).map(|message| tcp::state_name(message[1]))
    }

    fn add(&mut self, message: &[u8; MESSAGE]) {
        if inode(message) == 0 || address(message, 0).is_none() || address(message, 1).is_none() {
            return;
        }
        self.places.insert(inode(message), self.messages.len() as u32);
        self.messages.push(*message);
    }
}

/// The kernel counts inodes up: multiplied, their bits reach those that a table looks at.
#[derive(Default)]
pub(crate) struct Inodes(u64);

impl Hasher for Inodes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(*byte));
        }
    }

    fn write_u64(&mut self, inode: u64) {
        self.0 = inode.wrapping_mul(0x9E37_79B9_7F4A_7C15); // 2^64 by the golden ratio (Knuth, volume 3, 6.4)
    }
}

/// Where the kernel is asked.
pub(crate) fn open() -> Option<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG)).ok()
}

/// At most `limit` of them. Empty if the kernel does not tell.
pub(crate) fn tcp_sockets(socket: &OwnedFd, limit: usize) -> Dump {
    let mut told = Dump::default();
    let expected = limit.min(1 << 14);
    told.messages.reserve(expected);
    told.places.reserve(expected);
    dump(socket, limit, &mut told);
    told
}

/// Until the end, an error, or the limit.
fn dump(socket: &OwnedFd, limit: usize, told: &mut Dump) -> Option<()> {
    let mut request = [0; HEADER + REQUEST];
    request[..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&TCPDIAG_GETSOCK.to_ne_bytes());
    request[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    request[HEADER + STATES..HEADER + STATES + 4].copy_from_slice(&HELD.to_ne_bytes());
    rustix::net::send(socket, &request, SendFlags::empty()).ok()?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut seen = 0;
    loop {
        buffer.clear();
        rustix::net::recv(socket, rustix::buffer::spare_capacity(&mut buffer), RecvFlags::empty()).ok()?;
        let mut rest = buffer.as_slice();
        while rest.len() >= HEADER {
            let length = word(rest, 0) as usize;
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            if kind == NLMSG_DONE {
                return Some(());
            }
            if kind != TCPDIAG_GETSOCK || length > rest.len() || length < HEADER + MESSAGE {
                return None; // an error, or nothing that we know
            }
            told.add(rest[HEADER..].first_chunk()?);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            seen += 1;
        }
        if seen > limit || buffer.is_empty() {
            return None;
        }
    }
}

fn inode(message: &[u8; MESSAGE]) -> u64 {
    u64::from(word(message, 68))
}

/// Of the socket (0) or its peer (1); `None` if the kernel does not tell all of it.
fn address(message: &[u8; MESSAGE], number: usize) -> Option<Address> {
    let (port, octets) = ([4, 6][number], [8, 24][number]);
    let port = u16::from_be_bytes([message[port], message[port + 1]]);
    let octets: [u8; 16] = *message[octets..].first_chunk()?;
    if port == 0 {
        return Some(Address::None);
    }
    if i32::from(message[0]) == i32::from(AddressFamily::INET.as_raw()) {
        let address = Ipv4Addr::from(*octets.first_chunk()?);
        return Some(Address::V4(SocketAddrV4::new(address, port)));
    }
    let address = Ipv6Addr::from(octets);
    let is_scoped = address.is_unicast_link_local();
    (!is_scoped).then(|| Address::V6(SocketAddrV6::new(address, port, 0, 0)))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
