"""How long, and for how much, a client is waited for; and with which codes its WebSocket is closed."""

from __future__ import annotations

from typing import NamedTuple, Optional

#: Seconds that the server has to deliver the disconnect, and its code, of a client that a send found gone.
GRACE = 0.5
#: Seconds between a receive that is cancelled and the application's end: granian would never close the descriptor.
LET_GO = 0.1
#: So many sends to a client that is gone are let pass. Somebody who never asks would go on for ever.
PATIENCE = 1_000
#: So many sends in a row, and the server is asked whether its client is there: not every one says so in ``send``.
MANY = 2
#: RFC 6455 section 7.4.1.
NO_CLOSE_FRAME = 1006
TRY_AGAIN_LATER = 1013
#: IANA's; daphne sends none of those that RFC 6455 keeps for itself.
TIMEOUT = 3008


class Limits(NamedTuple):
    """What :class:`hangup.asgi.Hangup` was asked for."""

    raise_gone: bool = False
    heartbeat: Optional[float] = None
    heartbeat_timeout: float = 20.0
    idle_timeout: Optional[float] = None
    send_timeout: Optional[float] = None
    max_queued: Optional[int] = None
