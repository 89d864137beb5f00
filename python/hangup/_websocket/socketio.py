"""Socket.IO packets, where python-socketio spends most of an emit."""

from __future__ import annotations

import functools
from inspect import getattr_static

from .. import _hangup

#: What tells whether a payload has binary parts: today's name, and that of python-socketio 5.10.
_NAMES = ("data_is_binary", "_data_is_binary")


@functools.cache
def packet_class(base: type) -> type:
    """``socketio.packet.Packet``, or a class derived from it, that looks for bytes in a payload natively. One that has
    its own way of looking is left alone.
    """
    from socketio import packet

    names = [name for name in _NAMES if hasattr(packet.Packet, name)]
    if any(getattr_static(base, name) is not getattr_static(packet.Packet, name) for name in names):
        return base
    return type(base.__name__, (base,), {name: staticmethod(_hangup.contains_bytes) for name in names})
