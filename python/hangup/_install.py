"""The one module that sets attributes of other people's objects. Idempotent, reversible, and it says why not."""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterable
from typing import Any

from . import _mode, _reports, _sessions, _siblings, _status, logfilter
from ._logs import channels


def install() -> dict[str, Any]:
    """Attaches the log filter, and gives the WebSockets of python-socketio and flask-sock, as far as they are imported,
    to the native transport, as ``HANGUP`` says. In a gunicorn worker :mod:`hangup.gunicorn` does this, for
    whatever is installed.

    Returns:
        :func:`hangup.status`.

    Raises:
        ValueError: ``HANGUP_CONNECTION_LIMIT`` or ``HANGUP_TRUSTED_PROXIES`` is wrong.
    """
    from . import _connection_limit

    _connection_limit.configure()
    return attach()


def attach() -> dict[str, Any]:
    """All of :func:`install` but the connection limit, which gunicorn's master makes when it starts."""
    mode = _mode.mode()
    if mode == _mode.OFF:
        uninstall()
    else:
        logfilter.install("demote" if mode == _mode.ON else "count")
        listen()
    if mode == _mode.ON:
        take_over_websockets(("socketio", "flask_sock"), imported=True)
    return _status.status()


def uninstall() -> None:
    """Takes back what :func:`install` did; servers that were made in between keep their transport."""
    logfilter.uninstall()
    wrapped = []
    while _replaced:
        owner, name, stock, ours = _replaced.pop()
        if _is_judged(owner) and getattr(owner, name) is not ours:
            # somebody's hook goes on to ours, which is quiet now
            wrapped.append((owner, name, stock, ours))
        else:
            setattr(owner, name, stock)
    _replaced.extend(wrapped)


def _is_judged(owner: Any) -> bool:
    """Whether what :func:`listen` put there asks the filter, which :func:`uninstall` takes away."""
    return owner is threading or getattr(owner, "__module__", "").partition(".")[0] in ("gevent", "eventlet")


def listen() -> None:
    """Has what servers print about clients that left judged like their log lines: those of hubs that are imported."""
    _replace(threading, "excepthook", channels.excepthook(threading.excepthook))
    if hub := sys.modules.get("gevent.hub"):
        _replace(hub.Hub, "handle_error", channels.handle_error(hub.Hub.handle_error))
    if pywsgi := sys.modules.get("gevent.pywsgi"):
        stock = pywsgi.WSGIHandler._handle_client_error
        _replace(pywsgi.WSGIHandler, "_handle_client_error", channels.handle_client_error(stock))
    if hub := sys.modules.get("eventlet.hubs.hub"):
        for name in ("squelch_generic_exception", "squelch_timer_exception"):
            _replace(hub.BaseHub, name, channels.squelch(getattr(hub.BaseHub, name)))
        _replace(hub.BaseHub, "squelch_exception", channels.squelch_exception(hub.BaseHub.squelch_exception))
    if wsgi := sys.modules.get("eventlet.wsgi"):
        _replace(wsgi.LoggerFileWrapper, "write", channels.write(wsgi.LoggerFileWrapper.write))
    if websocket := sys.modules.get("eventlet.websocket"):
        _replace(websocket.WebSocket, "__init__", _hearing_its_errors(websocket.WebSocket.__init__))


def _hearing_its_errors(stock: Any) -> Any:
    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        self.log = channels.Errors(self.log)

    return __init__


def take_over_socketio(server: Any) -> None:
    """Gives the WebSockets of a ``socketio.Server`` to the native transport, if it is one that hangup knows. Those of a
    ``socketio.AsyncServer`` are its ASGI server's: its sessions are mended.

    Args:
        server: without clients. Nothing is done the second time.
    """
    from importlib.metadata import version

    from ._siblings import bus, machines
    from ._websocket import emission, engineio, gate, manager, packets, sessions, tasks

    facts = {name: version(f"python-{name}") for name in ("socketio", "engineio")}
    mode = _mode.mode()
    is_native = isinstance(getattr(server, "manager", None), manager.native_manager())
    if is_native and "emit" not in vars(server):  # whatever follows: its application may name a policy
        server.emit = emission.accepting(server.emit)
    if mode != _mode.ON:
        _status.record("socketio", state="off", reason=f"HANGUP={mode}", **facts)
        return
    reason = engineio.judge(server)
    if reason:
        _status.record("socketio", state="stock", reason=reason, **facts)
        return
    eio = server.eio
    if isinstance(eio.sockets, sessions.Sessions):
        return
    eio.sockets = sessions.Sessions(eio.sockets)
    _sessions.know(server)
    if engineio.is_async(eio):
        eio._async = {**eio._async, "websocket": _sessions.noting(eio._async["websocket"])}
        reason = "its WebSockets are the ASGI server's"
        _status.record("socketio", state="on", reason=reason, async_mode=eio.async_mode, **facts)
        return
    if manager.judge(server.manager):
        stock: Any = type(server.manager)
        server.manager.__class__ = manager.native(stock)
        server.manager.keep_books()
        server.emit = emission.accepting(server.emit)
    asks_for_no_queue = type(server.manager) is manager.native_manager()
    if asks_for_no_queue and _siblings.secret() is not None:
        server.manager.__class__ = manager.native(bus.sibling_manager())
        server.manager.join_siblings()
    elif _siblings.secret() is not None and machines.judge(server.manager):
        server.manager.__class__ = machines.with_siblings(type(server.manager))
        server.manager.join_siblings()
    slow = getattr(server.manager, "slow_clients", engineio.SlowClients())
    eio._async = engineio.parts(eio._async, eio.async_mode, remember_request, slow)
    eio.start_background_task = tasks.starter(eio.start_background_task, eio, eio.async_mode)
    eio.send_packet = engineio.sender(eio)
    server._send_packet = engineio.packet_sender(server)
    eio.handle_request = gate.gate(eio)
    eio.generate_id = sessions.id_maker(eio)
    if issubclass(server.packet_class, sys.modules["socketio.packet"].Packet):
        server.packet_class = packets.checked(
            packets.searching(server.packet_class), int(eio.max_http_buffer_size)
        )
        eio.on("message", packets.refusing(server, eio.handlers["message"]))
        eio.on("disconnect", packets.forgetting(server, eio.handlers["disconnect"]))
    _status.record("socketio", state="on", reason="", async_mode=eio.async_mode, **facts)


def start_siblings(host: Any) -> None:
    """Has python-socketio's servers listen to siblings from now on, not only from their first client on: what a
    worker has open does not depend on whether it had one.

    Args:
        host: a :class:`._siblings.moves.Host`.
    """
    from ._siblings import bus

    for server in _sessions.servers():
        if isinstance(server.manager, bus.sibling_manager()) and not server.manager_initialized:
            server.manager_initialized = True
            server.manager.initialize()
            server.manager.moves.host = host


def remember_request(environ: dict[str, Any]) -> None:
    """Has its Flask application, if it is one (of Flask-SocketIO), remember what it makes of a connection's request."""
    from ._websocket import contexts, routes

    app = environ.get("flask.app")
    if app is None or "request_context" in vars(app) or not contexts.judge(app):
        return
    flask = sys.modules["flask"]
    if (
        "create_url_adapter" not in vars(app)
        and type(app).create_url_adapter is flask.Flask.create_url_adapter
    ):
        _replace(app, "create_url_adapter", routes.remembering(app.create_url_adapter))
    _replace(app, "request_context", contexts.remembering(app.request_context, app))


def take_over_websockets(frameworks: Iterable[str], *, imported: bool) -> None:
    """Has the WebSockets of these frameworks served natively: those of servers there are, and of those to come.

    Args:
        frameworks: of ``socketio`` and ``flask_sock``.
        imported: only if they are imported already; else they are, if they are installed.
    """
    hooks = {"socketio": _take_over_every_socketio, "flask_sock": _take_over_flask_sock}
    for name in frameworks:
        if name in sys.modules or (not imported and importlib.util.find_spec(name) is not None):
            hooks[name](importlib.import_module(name))
    listen()  # to what came with them


#: Of Django; the handler's ``__call__`` is ASGI's own in all of them.
_DJANGO = ((4, 2), (7, 0))


def tell_django_of_clients() -> None:
    """Has Django's requests under ASGI know whether their client is there (:mod:`hangup.django`)."""
    import django
    from django.core.handlers.asgi import ASGIHandler
    from django.http import StreamingHttpResponse

    facts = {"version": django.get_version()}
    oldest, unknown = _DJANGO
    if not oldest <= django.VERSION[:2] < unknown:
        reason = f"Django {facts['version']} is not one of 4.2 to 6"
        _status.record("django", state="stock", reason=reason, **facts)
        return
    _replace(ASGIHandler, "__call__", _with_client(ASGIHandler.__call__))
    _replace(StreamingHttpResponse, "__aiter__", _piece_by_piece(StreamingHttpResponse.__aiter__))
    _status.record("django", state="on", reason="", **facts)


def _with_client(stock: Any) -> Any:
    from . import _client

    @functools.wraps(stock)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http":
            return await stock(self, scope, receive, send)
        client = _client.AsgiClient(receive, send)
        try:
            return await stock(self, {**scope, _client.KEY: client}, client.receive, client.send)
        finally:
            await client.close()

    return __call__


def _piece_by_piece(stock: Any) -> Any:
    from .django.pieces import one_by_one

    @functools.wraps(stock)
    def __aiter__(self: Any) -> Any:
        client = getattr(self, "hangup", None)
        if client is None or self.is_async:
            return stock(self)
        return one_by_one(iter(self.streaming_content), client)

    return __aiter__


def _take_over_every_socketio(socketio: Any) -> None:
    from ._websocket import gate

    classes = (socketio.Server, socketio.AsyncServer)
    if not all(_replace(kind, "__init__", _taking_over(kind.__init__)) for kind in classes):
        return
    middleware = sys.modules["engineio"].WSGIApp
    _replace(middleware, "__call__", gate.middleware(middleware.__call__))
    for server in gc.get_objects():
        if issubclass(type(server), classes):  # isinstance() would ask proxies
            take_over_socketio(server)


def _taking_over(stock: Any) -> Any:
    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        take_over_socketio(self)

    return __init__


def _take_over_flask_sock(flask_sock: Any) -> None:
    from ._websocket.flask_sock import server

    if _replace(flask_sock, "Server", server(flask_sock.Server)):
        _status.record("flask_sock", state="on", reason="")


#: What was replaced, for :func:`uninstall`: the object, the name of its attribute, the stock value, and ours.
_replaced: list[tuple[Any, str, Any, Any]] = []


def _replace(owner: Any, name: str, ours: Any) -> bool:
    """False if it was replaced already."""
    if any(known is owner and its == name for known, its, _, _ in _replaced):
        return False
    _replaced.append((owner, name, getattr(owner, name), ours))
    setattr(owner, name, ours)
    return True


def guard_gunicorn(server: Any) -> None:
    """Makes gunicorn's arbiter start guarded workers, if its version and worker class are known.

    Args:
        server: the ``Arbiter``, in its ``on_starting`` or ``on_reload`` hook, before workers are forked.
    """
    import gunicorn

    from ._gunicorn.support import judge
    from ._gunicorn.worker import GuardedWorker, guarded_class

    mode = _mode.mode()
    if mode != _mode.OFF:
        listen()  # its worker's hub is imported by now
        _reports.forward_to(server.log.error_log)  # for workers that are served stock, too
    worker = server.worker_class
    facts = {"version": gunicorn.__version__, "worker": f"{worker.__module__}.{worker.__qualname__}"}
    if mode != _mode.ON:
        _status.record("gunicorn", state="off", reason=f"HANGUP={mode}", **facts)
        return
    if issubclass(worker, GuardedWorker):
        return
    verdict = judge(gunicorn.__version__, worker)
    if not verdict.guarded:
        _status.record("gunicorn", state="stock", reason=verdict.reason, **facts)
        say = server.log.info if verdict.known else server.log.warning
        say("hangup: workers are served stock: %s", verdict.reason)
        return
    server.worker_class = guarded_class(worker, verdict.base)
    tls = "stock: TLS connections are not guarded" if server.cfg.is_ssl else "not in use"
    _status.record("gunicorn", state="on", reason="", tls=tls, **facts)
    server.log.info("hangup: guarding the connections of %s", facts["worker"])
    if server.cfg.is_ssl:
        server.log.warning("hangup: TLS listeners: connections are served stock")


def tell_workers_of_the_end(server: Any) -> None:
    """Has workers know whether gunicorn's arbiter ends, or replaces them.

    Args:
        server: the ``Arbiter``, in its ``on_starting`` hook.
    """
    from ._gunicorn import websockets

    stop = server.stop

    @functools.wraps(stop)
    def stopping(*args: Any, **kwargs: Any) -> Any:
        websockets.stops()
        return stop(*args, **kwargs)

    websockets.started()
    server.stop = stopping


def keep_beside(server: Any, beside: Any) -> None:
    """Has gunicorn's arbiter look after the process beside it, where it looks after its workers.

    Args:
        server: the ``Arbiter``, in its ``when_ready`` hook.
        beside: a :class:`hangup.ops.Beside`.
    """
    reap, manage = server.reap_workers, server.manage_workers

    @functools.wraps(reap)
    def reap_workers() -> None:
        beside.has_ended()  # reaped here, it is not taken for a worker that was killed
        reap()

    @functools.wraps(manage)
    def manage_workers() -> None:
        manage()
        try:
            if beside.revive():
                server.log.warning("hangup: what served %s had ended: started again", beside.address)
        except OSError as error:
            server.log.warning("hangup: %s is not served: %s", beside.address, error)

    server.reap_workers, server.manage_workers = reap_workers, manage_workers
