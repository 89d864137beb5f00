"""Socket.IO packets as clients send them: whole, or refused.

Promised
    A packet that the protocol does not know (socket.io/docs/v4/socket-io-protocol) reaches neither a handler nor the
    log, and ends its client's connection. Attachments are as many as the packet has places for, and with it no
    larger than :data:`BUFFERS` times ``max_http_buffer_size``; what a client leaves incomplete goes with it.

How
    A subclass of the server's packet class looks at what was decoded. python-socketio prints a traceback for a bad
    packet, waits for as many attachments as the client announces, keeps them for good, and calls the ``disconnect``
    handler for an event of that name. (Names used: socketio/packet.py, socketio/server.py, 5.10.0 to 5.18.1.)

Not promised
    Arguments that do not fit a handler are the handler's to check: its ``TypeError`` is reported as any of its errors.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from inspect import getattr_static
from typing import Any, Callable

from .. import _hangup
from .._logs.text import escape
from .engineio import leave

logger = logging.getLogger("hangup")

#: How many times ``max_http_buffer_size`` the attachments of an event may have.
BUFFERS = 16

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
#: Events that the server calls by itself.
RESERVED = ("connect", "disconnect")
NOT_A_PACKET = "not a Socket.IO packet"
#: What tells whether a payload has binary parts: today's name, and that of python-socketio 5.10.
LOOKS = ("data_is_binary", "_data_is_binary")
#: How packets are written.
COMPACT: dict[str, Any] = {"separators": (",", ":")}


@functools.cache
def searching(stock: Any) -> Any:
    """A packet class that looks natively for bytes in what is emitted, and keeps its encoder: most of what stock spends
    on a small event. A class that has its own way of looking is left alone.
    """
    from socketio import packet

    names = [name for name in LOOKS if hasattr(packet.Packet, name)]
    if any(getattr_static(stock, name) is not getattr_static(packet.Packet, name) for name in names):
        return stock
    ours: dict[str, Any] = {name: staticmethod(_hangup.contains_bytes) for name in names}
    if stock.json is sys.modules["engineio.json"] and hasattr(stock.json, "_safe_int"):
        ours["json"] = Json(stock)
    return type(stock.__name__, (stock,), ours)


class Json:
    """engineio's ``json``, which makes an encoder and a decoder for each packet: here they are made once.

    Args:
        stock: the packet class. Whoever gives it another ``json`` gets that one.
    """

    def __init__(self, stock: Any) -> None:
        self._stock = stock
        self._module = stock.json
        self._decode = json.JSONDecoder(parse_int=self._module._safe_int).decode
        self._encode = json.JSONEncoder(**COMPACT).encode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock.json, name)

    def loads(self, text: Any, **options: Any) -> Any:
        """As ``json.loads``."""
        if options or not isinstance(text, str) or self._stock.json is not self._module:
            return self._stock.json.loads(text, **options)
        return self._decode(text)

    def dumps(self, data: Any, **options: Any) -> Any:
        """As ``json.dumps``."""
        if options != COMPACT or self._stock.json is not self._module:
            return self._stock.json.dumps(data, **options)
        return self._encode(data)


class Malformed(ValueError):
    """What a client sent is no packet of Socket.IO."""


def checked(stock: Any, max_buffer: int) -> Any:
    """A packet class that decodes what ``stock`` does, as far as a client may send it.

    Args:
        stock: ``socketio.Server.packet_class``.
        max_buffer: ``engineio.Server.max_http_buffer_size``.
    """

    class Packet(stock):  # type: ignore[misc]
        """What ``socketio.Server`` makes of a message."""

        def decode(self, encoded_packet: Any) -> Any:
            self._received = 0
            try:
                count = super().decode(encoded_packet)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                raise Malformed(type(error).__name__) from None
            if not may_be_sent(self, count or 0):
                raise Malformed(self.packet_type)
            return count

        def add_attachment(self, attachment: Any) -> Any:
            if not isinstance(attachment, bytes):
                raise Malformed("attachment")
            self._received += len(attachment)
            if self._received > BUFFERS * max_buffer:
                raise Malformed("attachment")
            try:
                return super().add_attachment(attachment)
            except (ValueError, TypeError, LookupError) as error:  # a place with a number that there is not
                raise Malformed(type(error).__name__) from None

    return Packet


def may_be_sent(packet: Any, attachments: int) -> bool:
    """Whether a client may send a packet that announces this many attachments."""
    kind, data = packet.packet_type, packet.data
    if kind in (BINARY_EVENT, BINARY_ACK):
        if not 0 < attachments == places(data):
            return False
    elif attachments:
        return False
    if kind in (EVENT, BINARY_EVENT):
        return isinstance(data, (list, tuple)) and len(data) > 0 and is_name(data[0])
    if kind in (ACK, BINARY_ACK):
        return isinstance(data, (list, tuple)) and packet.id is not None
    return kind in (CONNECT, DISCONNECT)


def is_name(event: Any) -> bool:
    """Whether a client may call an event so: as socket.io-parser has it, which takes numbers too."""
    if isinstance(event, str):
        return event not in RESERVED
    return isinstance(event, (int, float)) and not isinstance(event, bool)


def places(data: Any) -> int:
    """For how many attachments there is a place."""
    found, left = 0, [data]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left.extend(one)
        elif isinstance(one, dict):
            if one.get("_placeholder") and "num" in one:
                found += 1
            else:
                left.extend(one.values())
    return found


def refusing(server: Any, stock: Callable[[str, Any], Any]) -> Callable[[str, Any], None]:
    """Stands in for ``socketio.Server._handle_eio_message``."""

    eio, attached = server.eio, server._binary_packet

    @functools.wraps(stock)
    def message(eio_sid: str, data: Any) -> None:
        try:
            if not data and not (data == b"" and eio_sid in attached):
                raise Malformed("empty")
            stock(eio_sid, data)
        except Malformed as error:  # a handler's ValueError is not ours
            logger.debug("hangup: %s sent no packet of Socket.IO: %s", escape(eio_sid), escape(error))
            socket = eio.sockets.get(eio_sid)
            if socket is not None and not socket.queue.refuse(NOT_A_PACKET):
                leave(socket, "TRANSPORT_ERROR")

    return message


def forgetting(server: Any, stock: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in for ``socketio.Server._handle_eio_disconnect``."""

    @functools.wraps(stock)
    def disconnect(eio_sid: str, *reason: Any) -> Any:
        try:
            return stock(eio_sid, *reason)
        finally:
            server._binary_packet.pop(eio_sid, None)

    return disconnect
