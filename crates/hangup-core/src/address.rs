//! Socket addresses, taken apart for the languages above.

use std::ffi::OsString;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStringExt;

use rustix::net::{SocketAddrAny, SocketAddrUnix};

/// An address in the families that servers accept from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// AF_INET
    V4(SocketAddrV4),
    /// AF_INET6
    V6(SocketAddrV6),
    /// AF_UNIX, bound to a path
    Path(OsString),
    /// AF_UNIX, abstract; with its leading NUL
    Abstract(Vec<u8>),
    /// AF_UNIX, not bound; or no address at all
    None,
}

/// Takes `address` apart.
pub fn parse(address: Option<SocketAddrAny>) -> Address {
    let Some(address) = address else { return Address::None };
    if let Ok(v4) = SocketAddrV4::try_from(address.clone()) {
        return Address::V4(v4);
    }
    if let Ok(v6) = SocketAddrV6::try_from(address.clone()) {
        return Address::V6(v6);
    }
    let Ok(unix) = SocketAddrUnix::try_from(address) else { return Address::None };
    match (unix.path(), unix.abstract_name()) {
        (Some(path), _) => Address::Path(OsString::from_vec(path.to_bytes().to_vec())),
        // getsockname(2) of what is not bound has come through as an empty name.
        (None, Some(name)) if !name.is_empty() => Address::Abstract([b"\0", name].concat()),
        _ => Address::None,
    }
}
