"""One message to many WebSockets.

Promised
    A message is framed once. Nobody waits for a client that is slow, and one that left is a number in the result.
    Members that are over leave by themselves.

How
    Each native WebSocket has a mailbox; a broadcaster is a native group of them
    (``crates/hangup-core/src/ws/group.rs``).

Not promised
    WebSockets that are served stock cannot be members: TLS connections, servers without hangup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Optional, Union

from .. import _hangup
from ..emit import EmitResult
from .emission import Emission
from .member import EXTENSION, Member

#: So many members are not looked through when one is added.
FEW = 64


class Broadcaster:
    """A set of WebSockets that are sent the same messages. All methods may be called from any thread.

    A WebSocket is a :class:`hangup.WebSocket`, the one that flask-sock gives to its handlers, or under
    ``uvicorn --ws hangup.uvicorn:WebSocketProtocol`` an ASGI scope, or what has one as ``scope``: Starlette's
    ``WebSocket``, a consumer of Channels.

    Args:
        websockets: the first members.
        policy: what to do with a message for a client whose queue has no room: ``close`` its connection with 1013,
            ``drop_oldest`` or ``drop_newest`` of the messages that were broadcast, or ``block`` until there is room
            (not in an event loop). None: what the connection's server says, which is ``close``.

    Raises:
        ValueError: there is no such policy.
        TypeError: a member is not a native WebSocket.
    """

    def __init__(self, websockets: Iterable[Any] = (), *, policy: Optional[str] = None) -> None:
        self._policy = Emission(policy).policy
        self._group = _hangup.Group()
        self._members: dict[int, Member] = {}
        self._sweep_at = FEW
        for websocket in websockets:
            self.add(websocket)

    def add(self, websocket: Any) -> None:
        """Adds a member; nothing happens if it is one.

        Raises:
            TypeError: it is not a native WebSocket.
        """
        member = _member(websocket)
        if member is None:
            raise TypeError(f"{type(websocket).__name__} is not a WebSocket of hangup")
        if len(self._members) >= self._sweep_at:  # those who left while nothing is sent
            self._sweep()
            self._sweep_at = max(FEW, 2 * len(self._members))
        self._members[member.mailbox.id] = member
        self._group.add(member.mailbox)

    def discard(self, websocket: Any) -> None:
        """Removes a member; nothing happens if it is none."""
        member = _member(websocket)
        if member is not None:
            self._remove(member)

    def __contains__(self, websocket: Any) -> bool:
        member = _member(websocket)
        return member is not None and not member.is_over and member.mailbox.id in self._members

    def __len__(self) -> int:
        self._sweep()
        return len(self._members)

    def send(
        self,
        data: Union[str, bytes, bytearray, memoryview],
        *,
        exclude: Iterable[Any] = (),
        policy: Optional[str] = None,
        coalesce: Optional[str] = None,
    ) -> EmitResult:
        """Sends a message to all members. Never waits, except under ``block``.

        Args:
            data: str for a text message, bytes-like for a binary one.
            exclude: members that do not get it.
            policy: instead of the broadcaster's.
            coalesce: only the newest message of this key waits for a client that is slow.

        Returns:
            What became of it. A member that has not accepted its WebSocket yet counts as ``dropped``.

        Raises:
            TypeError: ``data`` is neither str nor bytes-like.
            ValueError: there is no such policy.
            RuntimeError: ``block`` in an event loop.
        """
        how = Emission(policy or self._policy, coalesce)
        if how.policy == "block" and _is_in_event_loop():
            raise RuntimeError("policy 'block' would stop the event loop")
        excluded = [member.mailbox.id for member in map(_member, exclude) if member is not None]
        message = _hangup.Message([data])
        *fates, early, refused = message.broadcast([self._group], excluded, how.policy, coalesce)
        how.add(*fates)
        for number in early:
            member = self._members.get(number)
            how.count("gone" if member is None or member.is_over else "dropped")
        for number in refused:
            member = self._members.get(number)
            how.count("gone" if member is None else self._offer_again(message, member, how))
        if how.fates["gone"]:
            self._sweep()
        return EmitResult(**how.fates)

    def _offer_again(self, message: Any, member: Member, how: Emission) -> str:
        outcome: Optional[str] = "refused"
        while outcome == "refused":
            member.wait_for_room()
            outcome = message.send(member.mailbox, how.policy, how.coalesce)
        return outcome or "gone"

    def _sweep(self) -> None:
        for member in list(self._members.values()):
            if member.is_over:
                self._remove(member)

    def _remove(self, member: Member) -> None:
        self._members.pop(member.mailbox.id, None)
        self._group.discard(member.mailbox)


def _member(websocket: Any) -> Optional[Member]:
    """What a WebSocket is to a broadcaster; None if it is not native."""
    scope = websocket if isinstance(websocket, dict) else getattr(websocket, "scope", None)
    if isinstance(scope, dict):
        member = scope.get("extensions", {}).get(EXTENSION)
    else:
        member = getattr(getattr(websocket, "_websocket", websocket), "_member", None)
    return member if isinstance(member, Member) else None


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
