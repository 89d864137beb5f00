//! The TCP sockets of this network namespace, from the kernel in one go (sock_diag(7)).
//!
//! # Not promised
//! Sockets that are neither connected nor listening, and those with link-local addresses, whose scope is not told.

use std::collections::HashMap;
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
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) inode: u64,
    pub(crate) state: &'static str,
    pub(crate) local: Address,
    pub(crate) remote: Address,
}

/// Where the kernel is asked.
pub(crate) fn open() -> Option<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG)).ok()
}

/// By cookie (`SO_COOKIE`): at most `limit`. Empty if the kernel does not tell.
pub(crate) fn tcp_sockets(socket: &OwnedFd, limit: usize) -> HashMap<u64, Told> {
    let mut told = HashMap::with_capacity(limit.min(1 << 16));
    dump(socket, limit, &mut told);
    told
}

/// Until the end, an error, or the limit.
fn dump(socket: &OwnedFd, limit: usize, told: &mut HashMap<u64, Told>) -> Option<()> {
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
            if let Some((cookie, socket)) = parse(&rest[HEADER..HEADER + MESSAGE]) {
                told.insert(cookie, socket);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            seen += 1;
        }
        if seen > limit || buffer.is_empty() {
            return None;
        }
    }
}

fn parse(message: &[u8]) -> Option<(u64, Told)> {
    let cookie = u64::from(word(message, 44)) | u64::from(word(message, 48)) << 32;
    let inode = u64::from(word(message, 68));
    let ports = [4, 6].map(|at| u16::from_be_bytes([message[at], message[at + 1]]));
    let addresses = [8, 24].map(|at| &message[at..at + 16]);
    let end = |number: usize| {
        let (port, octets) = (ports[number], addresses[number]);
        if port == 0 {
            return Some(Address::None);
        }
        if i32::from(message[0]) == i32::from(AddressFamily::INET.as_raw()) {
            let octets: [u8; 4] = octets[..4].try_into().ok()?;
            return Some(Address::V4(SocketAddrV4::new(Ipv4Addr::from(octets), port)));
        }
        let address = Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?);
        let is_scoped = address.is_unicast_link_local();
        (!is_scoped).then(|| Address::V6(SocketAddrV6::new(address, port, 0, 0)))
    };
    let told = Told { inode, state: tcp::state_name(message[1]), local: end(0)?, remote: end(1)? };
    (inode != 0).then_some((cookie, told))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
