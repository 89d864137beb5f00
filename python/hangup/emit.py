"""Emit to Socket.IO clients without caring who has just left.

``safe_emit`` follows ``flask_socketio.SocketIO.emit``: without ``to`` it addresses every client of the
namespace. It differs in five points:

* it returns an :class:`EmitResult`, and nothing that a client does or did is raised to the caller or keeps
  the message from the other clients;
* several positional arguments reach the client as several arguments;
* inside an event handler of the same Flask-SocketIO server the namespace defaults to that event's, as in
  ``flask_socketio.emit``; elsewhere to "/";
* ``include_self=False`` leaves the sender out even when ``skip_sid`` names others;
* an empty ``to`` or ``room`` ("", [], ...) addresses nobody, where python-socketio takes it for everybody.

How: one ordinary ``emit`` of the server, through whatever client manager it has, so a message queue gets the
message once. A native manager (:mod:`hangup.flask_socketio`) counts by itself. Another one asks the skip list it
is given about each client, right before sending to it: that tells which client an error belongs to, and a second
``emit`` takes over behind it.

Promised further: what is not about a client is raised as it is: a payload that cannot be serialised (before
anybody got it), an unreachable message queue, a wrong argument. Nothing is patched, and neither flask nor
socketio is imported before it is used.

Not: counts of clients of other processes behind a message queue; without a native manager, a limit on what waits
for a slow client; knowing when a queued message reaches the wire. With an AsyncServer python-socketio sends to each
client in a task of its own; one that fails is not raised, but asyncio reports it on its own logger.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

from ._websocket import culprit
from ._websocket.emission import Emission, under

__all__ = ["EmitResult", "safe_emit"]

_log = logging.getLogger("hangup.emit")

# A room that empties between two look-ups of python-socketio fails once; this often in a row is a defect.
_RACES = 8


class EmitResult(NamedTuple):
    """What became of one emit, in clients of this process that it addressed when it was called.

    Attributes:
        sent: handed over completely; with python-socketio's own transports only to a test client.
        queued: accepted into the client's queue; how far it gets from there is not known yet.
        gone: the client had left, or left before it was its turn.
        dropped: the client is there, but its queue refused the message.
    """

    sent: int = 0
    queued: int = 0
    gone: int = 0
    dropped: int = 0


@overload
def safe_emit(
    event: str,
    *args: Any,
    to: Any = None,
    room: Any = None,
    namespace: str | None = None,
    include_self: bool = True,
    skip_sid: str | Iterable[str] | None = None,
    callback: Callable[..., Any] | None = None,
    ignore_queue: bool = False,
    policy: str | None = None,
    coalesce: str | None = None,
    server: None = None,
) -> EmitResult: ...


@overload
def safe_emit(
    event: str,
    *args: Any,
    to: Any = None,
    room: Any = None,
    namespace: str | None = None,
    include_self: bool = True,
    skip_sid: str | Iterable[str] | None = None,
    callback: Callable[..., Any] | None = None,
    ignore_queue: bool = False,
    policy: str | None = None,
    coalesce: str | None = None,
    server: Any,
) -> Any: ...


def safe_emit(
    event: str,
    *args: Any,
    to: Any = None,
    room: Any = None,
    namespace: str | None = None,
    include_self: bool = True,
    skip_sid: str | Iterable[str] | None = None,
    callback: Callable[..., Any] | None = None,
    ignore_queue: bool = False,
    policy: str | None = None,
    coalesce: str | None = None,
    server: Any = None,
) -> Any:
    """Emits an event; a client that left is a number in the result, never an exception.

    Args:
        event: name of the event.
        args: payload; as for ``SocketIO.emit`` a single tuple stands for its items.
        to: session id or room, or a list of rooms; None for every client of the namespace.
        room: another name for ``to``.
        namespace: defaults to that of the event being handled, else to "/".
        include_self: False to leave out the client whose event is being handled.
        skip_sid: session id or several, to be left out.
        callback: called when the addressed client acknowledges.
        ignore_queue: True to leave out a message queue, as for ``SocketIO.emit``.
        policy: what to do with the event for a client whose queue has no room: ``close`` its connection with
            1013, ``drop_oldest`` or ``drop_newest`` of its events, or ``block`` until there is room; by
            default what its server's manager says. Only for clients on native connections.
        coalesce: only the newest event of this key waits for a client that is slow: for values of which the
            latest counts. Only for clients on native connections.
        server: a ``flask_socketio.SocketIO``, ``socketio.Server`` or ``socketio.AsyncServer``; by default
            the Flask-SocketIO object of the current Flask application.

    Returns:
        An :class:`EmitResult`; for an AsyncServer an awaitable that gives one.

    Raises:
        RuntimeError: no server was passed and none can be found, it is not initialised, or
            ``include_self=False`` outside an event handler.
        ValueError: there is no such policy.
        TypeError: ``server`` is something else; or the payload cannot be serialised, in which case it is
            the error of the serialiser, whatever its type.
    """
    emitter, core = _find_server(server)
    sender, events_namespace = _current_event(core)
    skipped = [skip_sid] if isinstance(skip_sid, str) else list(skip_sid or ())
    if not include_self:
        if sender is None:
            raise RuntimeError(
                "include_self=False is for handlers of Socket.IO events: pass skip_sid instead"
            )
        skipped.append(sender)
    target = to or room
    if isinstance(target, (tuple, set, frozenset)):
        target = list(target)
    asynchronous = core.is_asyncio_based()
    if not target and not (to is None and room is None):
        return _nobody() if asynchronous else EmitResult()
    namespace = namespace or events_namespace or "/"
    how = Emission(policy, coalesce)
    options: dict[str, Any] = {"to": target, "namespace": namespace, "callback": callback}
    if ignore_queue:
        options["ignore_queue"] = True
    payload = args if len(args) < 2 else (args,)
    if callback is None and hasattr(core.manager, "keep_books"):
        with under(how):
            emitter.emit(event, *payload, skip_sid=skipped, **options)
        return EmitResult(**how.fates)
    delivery = _Delivery(core, namespace, target, skipped, "_send_packet" if callback else "_send_eio_packet")

    def attempt() -> Any:
        return emitter.emit(event, *payload, skip_sid=delivery.skip, **options)

    return _deliver_async(attempt, delivery) if asynchronous else _deliver(attempt, delivery)


def _deliver(attempt: Callable[[], Any], delivery: _Delivery) -> EmitResult:
    errors = culprit.possible()
    while True:
        try:
            attempt()
        except errors as error:
            if delivery.goes_on_after(error):
                continue
        return delivery.result()


async def _deliver_async(attempt: Callable[[], Awaitable[Any]], delivery: _Delivery) -> EmitResult:
    errors = culprit.possible()
    while True:
        try:
            await attempt()
        except errors as error:
            if delivery.goes_on_after(error):
                continue
        return delivery.result()


async def _nobody() -> EmitResult:
    return EmitResult()


class _SkipList(list[str]):
    """The caller's skip list, which also notes whose turn it is and hides who need not be tried (again).

    As a list, and so for a message queue, it has the caller's items only.
    """

    def __init__(self, skipped: Iterable[str]) -> None:
        super().__init__(skipped)
        self.hidden: set[object] = set(skipped)
        self.served: set[object] = set()
        self.turn: str | None = None

    def __contains__(self, sid: object) -> bool:
        if sid in self.hidden or sid in self.served:
            return True
        self.served.add(sid)
        self.turn = str(sid)
        return False

    def __reduce__(self) -> tuple[type[list[str]], tuple[list[str]]]:
        # processes behind a pickling message queue need not have hangup
        return list, (list(self),)


class _Delivery:
    """One emit: whom it addresses, who is lost on the way, and what to do about an error."""

    def __init__(self, server: Any, namespace: str, target: Any, skipped: list[str], sender: str) -> None:
        self._sockets = server.eio.sockets
        # a test client replaces the server's sender; one that does not (Flask-SocketIO < 5.3.6) gets nothing
        self._test_clients = _test_clients() if sender in vars(server) else {}
        self._address = (server.manager, namespace, target)
        self._lost: dict[str, str] = {}
        self._races = 0
        self._cut_short = False
        self._recipients = {
            sid: eio_sid for sid, eio_sid in _participants(*self._address).items() if sid not in skipped
        }
        self.skip = _SkipList(skipped)
        self.skip.hidden.update(sid for sid, eio_sid in self._recipients.items() if self._is_gone(eio_sid))

    def goes_on_after(self, error: BaseException) -> bool:
        """Judges an error of the emit: True to emit again for the rest, False if that is not possible.

        Raises:
            BaseException: ``error`` itself, if it is not about a client.
        """
        where = culprit.origin(error)
        if where == "room" and self._races < _RACES:
            self._races += 1
            return True
        if where != "transport":
            raise error
        client, self.skip.turn = self.skip.turn, None
        if client is None:
            # a manager that does not ask the skip list: who got it is not known
            _log.debug("emit cut short by a client that left: %r", error)
            self._cut_short = True
            return False
        self._lost[client] = culprit.fate(error)
        _log.debug("client %s is left out of an emit: %r", client, error)
        return True

    def result(self) -> EmitResult:
        """Counts the recipients by what became of each."""
        unasked = self._recipients.keys() - self.skip.hidden - self.skip.served
        if unasked:
            # they have left the room meanwhile, unless it is a manager that asks about nobody
            now = _participants(*self._address)
            self._lost.update((sid, "gone") for sid in unasked if sid not in now)
        fates = {"sent": 0, "queued": 0, "gone": 0, "dropped": 0}
        for sid, eio_sid in self._recipients.items():
            fates[self._lost.get(sid) or self._fate(eio_sid)] += 1
        return EmitResult(**fates)

    def _fate(self, eio_sid: str) -> str:
        if self._is_gone(eio_sid):
            return "gone"
        if self._cut_short:
            return "dropped"
        return "sent" if eio_sid in self._test_clients else "queued"

    def _is_gone(self, eio_sid: str) -> bool:
        if eio_sid in self._test_clients:
            return False
        socket = self._sockets.get(eio_sid)
        return socket is None or bool(socket.closed)


def _find_server(server: Any) -> tuple[Any, Any]:
    """The object to call ``emit`` on, and the python-socketio server behind it."""
    if server is None:
        flask = sys.modules.get("flask")
        if flask is not None and flask.has_app_context():
            server = flask.current_app.extensions.get("socketio")
        if server is None:
            raise RuntimeError(
                "safe_emit() found no Socket.IO server: pass server= (the flask_socketio.SocketIO, "
                "socketio.Server or socketio.AsyncServer object), or call it in the context of a Flask "
                "application that has one"
            )
    core = server if hasattr(server, "eio") else getattr(server, "server", server)
    if core is None:
        raise RuntimeError(
            f"{type(server).__name__} is not initialised yet: call init_app() before safe_emit()"
        )
    if not (hasattr(core, "eio") and hasattr(core, "manager")):
        raise TypeError(
            "server= must be a flask_socketio.SocketIO, socketio.Server or socketio.AsyncServer, "
            f"not {type(server).__name__}"
        )
    return server, core


def _current_event(core: Any) -> tuple[str | None, str | None]:
    """Session id and namespace of the event that this server is handling in this context."""
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_request_context():
        return None, None
    extension = flask.current_app.extensions.get("socketio")
    if getattr(extension, "server", None) is not core:
        return None, None
    return getattr(flask.request, "sid", None), getattr(flask.request, "namespace", None)


def _participants(manager: Any, namespace: str, target: Any) -> dict[str, str]:
    for _ in range(_RACES):
        try:
            return dict(manager.get_participants(namespace, target))
        except KeyError as error:
            if culprit.origin(error) != "room":
                raise
    return {}


def _test_clients() -> Any:
    """Flask-SocketIO's test clients by engine.io session id: they have no engine.io socket."""
    flask_socketio = sys.modules.get("flask_socketio")
    return {} if flask_socketio is None else flask_socketio.SocketIOTestClient.clients
