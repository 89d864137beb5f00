"""Somebody on the server's side closed, or uses, what is not theirs."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

_EBADF = r"^\[Errno 9\]"
_REQUESTS = (
    *("gunicorn.http", "gunicorn.util", "gunicorn.workers", "gunicorn.asgi"),
    *("gevent.pywsgi", "eventlet.wsgi", "werkzeug.serving", "socketserver", "http.server", "wsgiref"),
)

FAILURES = (
    Failure(
        code="HUP001",
        title="Socket error processing request. OSError: [Errno 9] Bad file descriptor",
        blame=Blame.SERVER,
        why="The application, or the WebSocket library under it, took `environ['gunicorn.socket']`, closed "
        "it and returned. gunicorn then writes the response to the same object, or reads the next request "
        "from it. It is silent about EPIPE, ECONNRESET and ENOTCONN only.",
        do="Give the client's socket one owner: `gunicorn -c python:hangup.gunicorn app:app`. If your own "
        "code closes the socket of a request, let gunicorn close it.",
        avoid="Do not filter the line away: when the number has been given to the next client by then, it "
        "is all that tells of HUP024. Catching OSError in handlers does nothing, it is raised outside of "
        "them.",
        versions="gunicorn, all versions; workers sync, gthread, gevent, eventlet. Other WSGI servers say "
        "the same in words of their own",
        help=Help.PREVENTS,
        helped="the socket can be closed by anybody at any time; the place that does is named once and "
        "counted as `ownership_violations`",
        source="benoitc/gunicorn#1877, #3013; miguelgrinberg/Flask-SocketIO#160; "
        "miguelgrinberg/simple-websocket#37",
        signs=(Sign("OSError", _EBADF, raised_in=_REQUESTS, alone=True),),
    ),
    Failure(
        code="HUP005",
        title="socket shutdown error: [Errno 9] Bad file descriptor",
        blame=Blame.SERVER,
        why="eventlet's WebSocket is closed twice, by python-engineio's writer and by the end of the "
        "handler, and only ENOTCONN is expected. It is written to the error stream, without a line end, "
        "past every logging filter.",
        do="Move off eventlet (`hangup migrate eventlet`): gunicorn 26 has no such worker any more. Until "
        "then: hangup, with which the WebSockets of python-socketio are not eventlet's.",
        avoid="Do not look for the fault in your handlers.",
        versions="eventlet, all versions; under gunicorn until 25",
        help=Help.PREVENTS,
        helped="by taking the WebSockets over after their handshake",
        source="eventlet/websocket.py, `close`",
        signs=(Sign(line=r"socket shutdown error: \[Errno 9\]", needle="socket shutdown error: "),),
    ),
    Failure(
        code="HUP013",
        title="Socket error processing request. OSError: [Errno 9] Bad file descriptor "
        "(listener.getsockname())",
        blame=Blame.SERVER,
        why="The worker is told to stop and closes its listener while a request that was just accepted "
        "asks the listener for its address. The accepted connection is thrown away: this client was there.",
        do="Use gthread, which asks once; or drain before you reload. A proxy that tries the next server "
        "hides it for idempotent requests.",
        avoid="Do not count it as a client that left.",
        versions="gunicorn, all versions: seen on reloads with eventlet; gevent has the same code",
        help=Help.NOTHING,
        helped="",
        source="benoitc/gunicorn#712, #1725; gunicorn/workers/base_async.py, `handle`",
        signs=(
            Sign("OSError", _EBADF, passes=("gunicorn.workers.base_async:handle",), source=r"getsockname\("),
        ),
    ),
    Failure(
        code="HUP019",
        title="Exception in thread Thread-7 (writer): OSError: [Errno 9] Bad file descriptor",
        blame=Blame.SERVER,
        why="python-engineio's writer thread closes a WebSocket while simple-websocket's own thread, which "
        "has read the client's end, closes the socket. Only BrokenPipeError is caught. It reaches "
        "`threading.excepthook`, not logging.",
        do="Turn hangup on; or live with it: the session was over.",
        avoid="Do not install a `threading.excepthook` that is silent about EBADF.",
        versions="python-engineio in threading mode with simple-websocket, all versions",
        help=Help.PREVENTS,
        helped="one writer for each connection, closed once",
        source="engineio/socket.py, `writer`; simple_websocket/ws.py, `close`",
        signs=(
            Sign(
                "OSError",
                _EBADF,
                raised_in=("engineio.socket", "engineio.base_socket"),
                passes=("simple_websocket",),
            ),
            Sign(
                "OSError",
                _EBADF,
                raised_in=("engineio.async_drivers", "flask_sock"),
                passes=("simple_websocket",),
            ),
        ),
    ),
    Failure(
        code="HUP022",
        title="gevent.exceptions.ConcurrentObjectUseError: This socket is already used by another greenlet",
        blame=Blame.SERVER,
        why="Two greenlets wait for one socket in the same direction, or one closes what another waits for "
        "(`cancel_wait_ex: [Errno 9] File descriptor was closed in another greenlet`). With WebSockets "
        "these are the library's reader and your sender.",
        do="Have one greenlet read and one write, with a queue between; or let hangup carry the WebSockets.",
        avoid="Do not put `gevent.sleep()` before a send, and do not share a database connection between "
        "greenlets.",
        versions="gevent, all versions",
        help=Help.PREVENTS,
        helped="for sockets of clients: senders take turns, a close wakes who waits",
        source="miguelgrinberg/simple-websocket#24; miguelgrinberg/flask-sock#57; gevent/_hub_primitives.py",
        signs=(
            Sign("ConcurrentObjectUseError", alone=True),
            Sign("cancel_wait_ex", alone=True),
        ),
    ),
    Failure(
        code="HUP023",
        title="RuntimeError: Second simultaneous read on fileno 12 detected",
        blame=Blame.YOURS,
        why="Two green threads wait for one descriptor; or the number was closed behind eventlet's back "
        "and given to another connection, while the hub still has the first one's listener.",
        do="Find who shares the connection: mostly a database or queue client that several green threads "
        "use. Give each its own, or a pool.",
        avoid="Do not follow the message's advice, `hub_prevent_multiple_readers(False)`: then the wrong "
        "one is woken.",
        versions="eventlet, all versions",
        help=Help.NOTHING,
        helped="",
        source="eventlet/eventlet#94, #405; eventlet/hubs/hub.py, `add`",
        signs=(Sign("RuntimeError", r"^Second simultaneous (?:read|write) on fileno", alone=True),),
    ),
    Failure(
        code="HUP024",
        title="OSError: [Errno 9] Bad file descriptor in socket.sendfile: one client's file sent to "
        "another client",
        blame=Blame.YOURS,
        why="`socket.sendfile()` looks the descriptor's number up once. While it waits for a slow client, "
        "another thread closes the socket, the next client is accepted under the same number, and the loop "
        "goes on: into the other client's connection. The error comes after that, if at all.",
        do="Treat it as a leak of data until you know better. Find who closes `gunicorn.socket` from "
        "outside the request (a watchdog, a timeout), and use `shutdown()` there, or hangup.",
        avoid="Do not filter EBADF out of your log.",
        versions="CPython, all; gunicorn 21.2 to 27.0.1 with `wsgi.file_wrapper` and a timeout on the socket",
        help=Help.PREVENTS,
        helped="a number cannot be given to another client while anybody in the process still uses it",
        source="`hangup demo --only wrong-client`; python/cpython#121544",
        signs=(
            Sign(
                "OSError",
                _EBADF,
                passes=("socket:sendfile", "socket:_sendfile_use_sendfile", "socket:_sendfile_use_send"),
            ),
        ),
    ),
    Failure(
        code="HUP025",
        title="A thread closes a socket while another one is inside send() or recv()",
        blame=Blame.YOURS,
        why="CPython reads the number, releases the interpreter, and calls the kernel with what may be "
        "another connection by then. It is nanoseconds wide for plain sends (none in 137,706 tries), and "
        "wide open for whatever keeps a number.",
        do="Use `shutdown()` to end a connection that another thread uses, and close it where it is used.",
        avoid="Do not keep `fileno()`.",
        versions="CPython, all versions; CPython's developers have said that it stays",
        help=Help.PREVENTS,
        helped="closing waits for who is inside a call",
        source="python/cpython#121544",
        logged=False,
    ),
    Failure(
        code="HUP026",
        title="RuntimeError: File descriptor 12 is used by transport <_SelectorSocketTransport fd=12 …>",
        blame=Blame.YOURS,
        why="An event loop knows connections by number. A descriptor was closed without the loop's being "
        "told, its number belongs to the next connection, and the loop mixes the two up.",
        do="Remove a descriptor from the loop before it is closed; close a transport with its own `close()`.",
        avoid="Do not close or duplicate the socket under a transport.",
        versions="asyncio, all versions",
        help=Help.NOTHING,
        helped="",
        source="python/cpython#130141, #88968",
        signs=(Sign("RuntimeError", r"^File descriptor .* is used by transport", alone=True),),
    ),
    Failure(
        code="HUP027",
        title="OSError: [Errno 9] Bad file descriptor in gevent's accept: two owners of the listener",
        blame=Blame.SERVER,
        why="gunicorn's gevent worker made a second socket object of the listener's number. When one is "
        "collected, it closes the other's, or whatever has the number by then.",
        do="Upgrade gunicorn to 24 or newer.",
        avoid="Do not make sockets by `socket.socket(fileno=other.fileno())` yourself.",
        versions="gunicorn's gevent workers until 23.0",
        help=Help.NOTHING,
        helped="",
        source="gunicorn/workers/ggevent.py, `run`",
        signs=(
            Sign(
                "OSError",
                _EBADF,
                raised_in=("gevent.baseserver", "gevent.server"),
                passes=("gevent.baseserver:do_read", "gevent.server:do_read", "gevent.baseserver:_do_read"),
            ),
        ),
    ),
    Failure(
        code="HUP037",
        title="Error while closing socket [Errno 9] Bad file descriptor",
        blame=Blame.SERVER,
        why="Master and worker both close the listener at the end; in the master, the heartbeat file of a "
        "worker that closed more than its own ends the whole service.",
        do="Nothing for the line at the end. If a traceback passes `workertmp`: something in the worker "
        "closes descriptors by number; find it.",
        avoid="Do not use `os.closerange()` in an application.",
        versions="uvicorn's worker under gunicorn; all versions",
        help=Help.NOTHING,
        helped="",
        source="benoitc/gunicorn#1877, #381, #1552",
        signs=(
            Sign("OSError", _EBADF, passes=("gunicorn.workers.workertmp",)),
            Sign(
                line=r"Error while closing socket \[Errno 9\]",
                needle="Error while closing socket",
            ),
        ),
    ),
)
