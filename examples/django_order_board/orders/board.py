"""Who is told what: everybody, and the tabs of one user."""

from __future__ import annotations

import hashlib

from channels.layers import get_channel_layer

EVERYBODY = "board"

#: Who is connected to this process, by channel. Several processes need a store that they share, and that forgets those
#: of a process that was killed.
members: dict[str, str] = {}


def group_of(name: str) -> str:
    """Names may be written in any letters, those of groups may not."""
    return "user." + hashlib.sha256(name.encode()).hexdigest()


async def tell(group: str, **message: object) -> None:
    """Sends each page of a group a message; see ``BoardConsumer.board_message``."""
    await get_channel_layer().group_send(group, {"type": "board.message", "message": message})
