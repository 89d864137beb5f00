"""Whose connection it is: the address of the client behind proxies that are trusted.

Promised
    The address is the peer's. If the peer is a trusted proxy, it is the one that the proxy names: of the header's
    addresses, the last one that is not a trusted proxy's as well. What a peer says that is not trusted is
    not looked at. Where a proxy names something that is no address, its own is taken.

Source of the headers: ``X-Forwarded-For`` (a convention), ``Forwarded`` (RFC 7239). One of them is believed, as
configured: a proxy that sets one of them passes the other one on, as the client wrote it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple, Optional, Union

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

#: A peer at a Unix socket has no address.
UNIX = "unix"
#: What is trusted unless it is said otherwise: what gunicorn's ``forwarded_allow_ips`` does.
ON_THIS_MACHINE = "127.0.0.0/8,::1,unix"
#: The header that is believed unless it is said otherwise.
HEADER = "X-Forwarded-For"
#: RFC 4291 section 2.5.4: what one customer is given, at least.
SUBSCRIBER = 64

_ADDRESS_AND_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")
_FOR = re.compile(r"\s*for\s*=\s*(.*?)\s*", re.IGNORECASE)


class Proxies(NamedTuple):
    """The proxies that are believed.

    Attributes:
        networks: of their addresses.
        unix: whether who comes by a Unix socket is one.
        header: in which they name their clients.
    """

    networks: tuple[Union[ipaddress.IPv4Network, ipaddress.IPv6Network], ...]
    unix: bool
    header: str

    def trusts(self, address: Optional[Address]) -> bool:
        """None is a Unix socket's peer."""
        if address is None:
            return self.unix
        return any(address in network for network in self.networks if network.version == address.version)

    def client(self, peer: Optional[str], named: str) -> Optional[Address]:
        """The client's address.

        Args:
            peer: its text; None or empty for a Unix socket.
            named: the values of the header, separated by commas; empty if there is none.

        Returns:
            None for a peer at a Unix socket that names nobody.
        """
        client = address_of(peer or "")
        if not named or not self.trusts(client):
            return client
        for text in reversed(list(self._texts(named))):
            named_by_proxy = address_of(text)
            if named_by_proxy is None:
                break
            client = named_by_proxy
            if not self.trusts(client):
                break
        return client

    def _texts(self, named: str) -> Iterable[str]:
        if self.header.lower() != "forwarded":
            return named.split(",")
        from urllib.request import parse_http_list  # knows about quoted strings

        return (_for(element) for element in parse_http_list(named))


def parse(proxies: str, header: str = HEADER) -> Proxies:
    """Reads ``"10.0.0.0/8, ::1, unix"``.

    Raises:
        ValueError: an item is neither an address, nor a network, nor ``unix``.
    """
    items = [item.strip() for item in proxies.split(",") if item.strip()]
    networks = tuple(ipaddress.ip_network(item, strict=False) for item in items if item.lower() != UNIX)
    return Proxies(networks, any(item.lower() == UNIX for item in items), header.strip() or HEADER)


def address_of(text: str) -> Optional[Address]:
    """``192.0.2.1``, ``192.0.2.1:4711``, ``2001:db8::1``, ``[2001:db8::1]:4711``; None if it is nothing of this."""
    text = text.strip().strip('"')
    with_port = _ADDRESS_AND_PORT.fullmatch(text)
    if with_port:
        text = with_port[1] or with_port[2] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def bucket_of(client: Optional[Address]) -> bytes:
    """What a client is known by: an IPv4 address, or the network that an IPv6 address is chosen from."""
    if client is None:
        return b""
    return client.packed if client.version == 4 else client.packed[: SUBSCRIBER // 8]


def _for(element: str) -> str:
    found = (_FOR.fullmatch(pair) for pair in element.split(";"))
    return next((match[1] for match in found if match), "")
