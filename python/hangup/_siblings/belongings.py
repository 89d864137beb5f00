"""What a session of python-socketio has, taken out of one process and brought into another.

Promised
    The client keeps its ids, namespaces, rooms, session and environ, the attachments of an event that is under way, and
    the acknowledgements that are awaited of it: those go to the process that awaits them. No handler runs.

How
    (Names used: socketio/server.py, socketio/base_manager.py, 5.10.0 to 5.18.1; engineio/socket.py, 4.8.0 to 4.15.1.)

Not promised
    A session that cannot be pickled does not move (:class:`Unmovable`). What else of an environ cannot is left out.
"""

from __future__ import annotations

import functools
import gc
import io
import itertools
import logging
import os
import pickle
import sys
from typing import Any, Callable, NamedTuple, Optional

from .._logs.text import escape
from .._websocket import takeover
from . import send

logger = logging.getLogger("hangup")

#: Of an environ, what belongs to the request, or to its process.
NOT_MOVED = {*takeover.NOT_KEPT, "wsgi.errors", "wsgi.file_wrapper", "werkzeug.request"}
#: Flask-SocketIO's session of a client.
SESSION = "saved_session"
PLAIN = (str, int, float, bool, bytes, type(None))


class Unmovable(Exception):
    """A session cannot leave its process; the message says why."""


class Books(NamedTuple):
    """What a manager knows of a client.

    Attributes:
        namespaces: its sid in each, and the rooms that it is in besides its own.
        callbacks: by sid, the number of the next acknowledgement, and who awaits those before.
        guests: of its own rooms, those that clients of other workers are in.
    """

    namespaces: dict[str, tuple[str, list[Any]]]
    callbacks: dict[str, tuple[int, dict[int, Callable[..., Any]]]]
    guests: list[tuple[str, str]]


def described(server: Any, session: Any, began: Any) -> bytes:
    """Everything but the manager's books, of a session that is quiet.

    Raises:
        Unmovable: it has something in it that no other process can be given.
    """
    environ = server.environ.get(session.sid, {})
    application = environ.get("flask.app")
    packet = server._binary_packet.get(session.sid)
    try:
        return _pickled(
            (
                dict(_movable(environ, application)),
                session.session,
                None if packet is None else vars(packet),
                began,
            ),
            application,
        )
    except Exception as error:  # whatever a class of the application's raises when it is pickled
        raise Unmovable(f"{type(error).__name__}: {error}") from None


def _movable(environ: dict[str, Any], application: Any) -> Any:
    for key, value in environ.items():
        if key in NOT_MOVED or key.startswith("hangup."):
            continue
        if not isinstance(value, PLAIN) and value is not application and key != SESSION:
            try:
                _pickled(value, application)
            except Exception as error:  # as above
                logger.debug("hangup: %s does not move with its session: %s", escape(key), escape(error))
                continue
        yield key, value


def _pickled(value: Any, application: Any) -> bytes:
    written = io.BytesIO()
    _Pickler(written, application).dump(value)
    return written.getvalue()


class _Pickler(pickle.Pickler):
    """Leaves the application out: the other process has its own."""

    def __init__(self, file: io.BytesIO, application: Any) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._application = application

    def persistent_id(self, value: Any) -> Optional[str]:
        return "application" if value is self._application and value is not None else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, application: Any) -> None:
        super().__init__(file)
        self._application = application

    def persistent_load(self, _name: str) -> Any:
        return self._application


def read(server: Any, description: bytes) -> tuple[dict[str, Any], dict[str, Any], Any, Any]:
    """Environ, session, packet and beginning, as :func:`described`.

    Raises:
        Unmovable: this process has other code than the one that wrote it.
    """
    try:
        environ, session, attributes, began = _Unpickler(
            io.BytesIO(description), application_of(server)
        ).load()
    except Exception as error:  # as in described()
        raise Unmovable(f"{type(error).__name__}: {error}") from None
    environ["wsgi.input"], environ["wsgi.errors"] = io.BytesIO(), sys.stderr
    packet = None
    if attributes is not None:
        packet = server.packet_class.__new__(server.packet_class)
        vars(packet).update(attributes)
    return environ, session, packet, began


_applications: dict[int, Any] = {}


def application_of(server: Any) -> Any:
    """The Flask application of Flask-SocketIO's server; None if it is another one's."""
    if id(server) not in _applications:
        flask_socketio = sys.modules.get("flask_socketio")
        kind = getattr(flask_socketio, "_SocketIOMiddleware", ())
        found = [one for one in gc.get_objects() if issubclass(type(one), kind)] if kind else []
        _applications[id(server)] = next((one.flask_app for one in found if one.engineio_app is server), None)
    return _applications[id(server)]


def books_of(manager: Any, eio_sid: str) -> Books:
    """Reads them, of a session whose client is neither connecting nor disconnecting.

    Raises:
        Unmovable: it is.
    """
    namespaces, callbacks = {}, {}
    for namespace in list(manager.get_namespaces()):
        sid = manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is None:
            continue
        if not manager.is_connected(sid, namespace):
            raise Unmovable("it is connecting or disconnecting")
        there = manager._rooms_of.get((namespace, sid), ())
        namespaces[namespace] = sid, [room for room in there if room not in (None, sid)]
        known = manager.callbacks.get(sid)
        if known:
            awaiting = {
                number: callback
                if getattr(callback, "func", None) in (answer, answer_machine)
                else functools.partial(answer, manager.kind, os.getpid(), sid, number)
                for number, callback in known.items()
                if number
            }
            callbacks[sid] = next(known[0]), awaiting
    guests = [known for known in manager.guests if known[1] in {sid for sid, _ in namespaces.values()}]
    return Books(namespaces, callbacks, guests)


def answer(kind: bytes, pid: int, room: Any, number: int, *arguments: Any) -> None:
    """Tells another worker what a client of this one acknowledged."""
    from .bus import pack

    send(pid, kind, pack(None, "answer", room, number, arguments))


def answer_machine(kind: bytes, host: str, room: Any, namespace: str, number: int, *arguments: Any) -> None:
    """Has this process's manager pass on what a client of it acknowledged, to whoever asked over a message queue."""
    from .bus import pack

    send(os.getpid(), kind, pack(None, "answer_machine", host, room, namespace, number, arguments))


def take_out(server: Any, session: Any, books: Books) -> None:
    """The session is not here any more. Those who await acknowledgements of its client still do."""
    manager = server.manager
    for namespace, (sid, _) in books.namespaces.items():
        awaiting = manager.callbacks.get(sid)
        manager.basic_disconnect(sid, namespace)
        if awaiting:
            manager.callbacks[sid] = awaiting
    server._binary_packet.pop(session.sid, None)
    session.closed = True
    server.eio.sockets.pop(session.sid, None)
    server.environ.pop(session.sid, None)


def bring_in(server: Any, session: Any, environ: dict[str, Any], packet: Any, books: Books) -> None:
    """The session is here from now on."""
    manager, eio_sid = server.manager, session.sid
    server.eio.sockets[eio_sid] = session
    server.environ[eio_sid] = environ
    if packet is not None:
        server._binary_packet[eio_sid] = packet
    manager.guests.update(books.guests)
    for namespace, (sid, rooms) in books.namespaces.items():
        for room in (None, sid):
            manager.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        for room in rooms:
            try:
                manager.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
            except ValueError as refused:  # since 5.18, where it is the own room of a client that is here
                logger.debug("hangup: a room was not entered: %s", refused)
    for sid, (number, awaiting) in books.callbacks.items():
        here = manager.callbacks.get(sid, {})  # of one that comes back
        known = {one: here.get(one, callback) for one, callback in awaiting.items()}
        manager.callbacks[sid] = {0: itertools.count(number), **known}
