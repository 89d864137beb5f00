"""HUP7xx: versions that are known to be bad, alone or together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..._gunicorn.support import NEWEST_TESTED, OLDEST
from ..facts import Facts, Package
from ..registry import ERROR, WARNING, rule

#: The first gunicorn without an eventlet worker.
WITHOUT_EVENTLET = 26
_COMPATIBILITY = "flask-socketio.readthedocs.io/en/latest/intro.html#version-compatibility"


def _said(package: Package) -> str:
    return f"{package.name} {package.text}{'' if package.origin == 'pinned' else ' (installed here)'}"


@rule(
    "HUP701", "eventlet-worker-is-gone", ERROR,
    wrong="`-k eventlet`, and this gunicorn has no such worker: it went with 26.0.",
    seen="\"Error: class uri 'eventlet' invalid or not found\", and gunicorn ends.",
    mend="gthread with threads and `async_mode=\"threading\"`, or gevent; `hangup migrate eventlet` says what "
    "to change.",
    hangup="no difference; gthread with it carries as many clients.",
    source="gunicorn#3623, news of 26.0.0",
    django="E003",
)  # fmt: skip
def eventlet(facts: Facts) -> Iterator[Any]:
    version = facts.version("gunicorn")
    for service in facts.gunicorns:
        if service.worker == "eventlet" and version and version[0] >= WITHOUT_EVENTLET:
            text = f"gunicorn {version[0]} has no eventlet worker any more"
            yield service.where("worker_class"), text, facts.packages["gunicorn"].text


@rule(
    "HUP702", "truncated-frames", ERROR,
    wrong="simple-websocket up to 1.1.0 under gevent: what the kernel does not take at once is lost.",
    seen="Large messages to slow clients are cut off, and the next one is read as their rest: \"Invalid frame "
    "header\".",
    mend="gevent-websocket, gthread, or `gunicorn -c python:hangup.gunicorn`.",
    hangup="silent: frames are whole, whoever sends.",
    source="simple-websocket#45; 3 of 3 runs with messages of 3 MB, on gunicorn 27",
)  # fmt: skip
def truncated(facts: Facts) -> Iterator[Any]:
    package = facts.packages.get("simple-websocket")
    plain = [route for route in facts.application.routes if route.by == "flask_sock"]
    for service in facts.gunicorns:
        uses = bool(plain) or (bool(facts.application.servers) and "gevent-websocket" not in facts.required)
        if not package or package.version > (1, 1, 0) or service.worker != "gevent" or not uses:
            continue
        if (
            facts.requirements
            and not {"simple-websocket", "flask-sock", "flask-socketio", "python-socketio"} & facts.required
        ):
            continue
        if facts.is_native(service) is False:
            yield (
                package.place if package.origin == "pinned" else service.where("worker_class"),
                (f"{_said(package)} under gevent"),
                package.text,
            )


@rule(
    "HUP703", "close-waits-on-the-main-thread", WARNING,
    wrong="gunicorn 26 and 27, gthread: the main thread waits up to 2 s for each client that does not hang up.",
    seen="With 20 such clients the next user waits 31 s; `nr_conns` goes wrong with each WebSocket, so that "
    "`worker_connections` does not limit any more.",
    mend="gunicorn 25.3, `-k gevent`, or `gunicorn -c python:hangup.gunicorn`.",
    hangup="silent: closing waits on a thread of its own.",
    source="gunicorn#3590; gunicorn 27.0.1, workers/gthread.py finish_request",
)  # fmt: skip
def linger(facts: Facts) -> Iterator[Any]:
    package = facts.packages.get("gunicorn")
    for service in facts.gunicorns:
        guarded = service.is_guarded(facts.version("gunicorn"))
        if package and (26,) <= package.version < (28,) and service.worker == "gthread" and guarded is False:
            place = package.place if package.origin == "pinned" else service.where("worker_class")
            yield place, f"{_said(package)} with gthread", package.text


@rule(
    "HUP704", "gevent-too-old", ERROR,
    wrong="gunicorn from 24 on asks for gevent 24.10.1 or newer.",
    seen="\"RuntimeError: gevent worker requires gevent 24.10.1 or higher\", and gunicorn ends.",
    mend="`pip install 'gevent>=24.10.1'`.",
    hangup="no difference.",
    source="gunicorn 25.3.0, workers/ggevent.py",
)  # fmt: skip
def old_gevent(facts: Facts) -> Iterator[Any]:
    gunicorn, gevent = facts.packages.get("gunicorn"), facts.packages.get("gevent")
    if not gunicorn or not gevent or gunicorn.version < (24,) or gevent.version >= (24, 10, 1):
        return
    for service in facts.gunicorns:
        if service.worker == "gevent":
            yield gevent.place, f"{_said(gevent)} with {_said(gunicorn)}", gevent.text
            return


@rule(
    "HUP705", "socketio-versions-do-not-match", ERROR,
    wrong="Flask-SocketIO, python-socketio and python-engineio of different generations.",
    seen="`ImportError` or `TypeError` at the start, or 400 \"unsupported version of the Socket.IO or Engine.IO "
    "protocols\".",
    mend="Flask-SocketIO 5 with python-socketio 5 and python-engineio 4; Flask-SocketIO 4 with 4 and 3.",
    hangup="no difference.",
    source=_COMPATIBILITY,
)  # fmt: skip
def mismatch(facts: Facts) -> Iterator[Any]:
    flask, socketio, engineio = (
        facts.packages.get(name) for name in ("flask-socketio", "python-socketio", "python-engineio")
    )
    for upper, lower, difference in ((flask, socketio, 0), (socketio, engineio, 1)):
        if not upper or not lower or not upper.version or not lower.version:
            continue
        if upper.origin != lower.origin or not facts.application.servers:
            continue  # what is installed here with what is pinned there was never together
        if min(upper.version[0], 5) - difference != min(lower.version[0], 5 - difference):
            yield lower.place, f"{_said(upper)} with {_said(lower)}", lower.text


@rule(
    "HUP706", "request-smuggling", ERROR,
    wrong="gunicorn before 22 behind a proxy: both may see different ends of a request (CVE-2024-1135, "
    "CVE-2024-6827).",
    seen="Nothing; an attacker reaches what the proxy forbids.",
    mend="gunicorn ≥ 22, better ≥ 23.",
    hangup="no difference: the parser is gunicorn's.",
    source="GHSA-w3h3-4rj7-4ph4; CVE-2024-6827; RFC 9112 §11.2",
)  # fmt: skip
def smuggling(facts: Facts) -> Iterator[Any]:
    package = facts.packages.get("gunicorn")
    if package and package.version and package.version < (22,) and facts.gunicorns and facts.locations:
        yield package.place, f"{_said(package)} behind nginx ({facts.locations[0].place.file})", package.text


@rule(
    "HUP707", "version-that-hangup-refuses", WARNING,
    wrong="hangup is in the configuration, and does not know this version: it leaves everything stock.",
    seen="One WARNING at the start; `hangup.status()` says why.",
    mend=f"gunicorn {OLDEST[0]} to {NEWEST_TESTED}, python-socketio ≥ 5.10, uvicorn ≥ 0.36.",
    hangup="this is about turning it on.",
    source="hangup/_gunicorn/support.py; docs/websocket.md",
)  # fmt: skip
def refused(facts: Facts) -> Iterator[Any]:
    gunicorn, socketio = facts.packages.get("gunicorn"), facts.packages.get("python-socketio")
    for service in facts.gunicorns:
        if not service.hangup or service.is_switched_off:
            continue
        if gunicorn and gunicorn.version and not OLDEST <= gunicorn.version[:2] < (NEWEST_TESTED + 1,):
            yield gunicorn.place, _said(gunicorn), gunicorn.text
        if socketio and facts.application.servers and socketio.version < (5, 10):
            yield socketio.place, f"{_said(socketio)}: its WebSockets stay stock", socketio.text
    uvicorn = facts.packages.get("uvicorn")
    for service in facts.services:
        native = "hangup" in str(service.setting("ws").value) and not service.is_switched_off
        if service.server == "uvicorn" and native and uvicorn and uvicorn.version < (0, 36):
            yield uvicorn.place, f"{_said(uvicorn)}: its WebSockets stay stock", uvicorn.text


@rule(
    "HUP708", "thread-for-each-pong", ERROR,
    wrong="python-engineio before 4.13.3: each PONG of a client may start another thread.",
    seen="One client with a flood of PONGs takes all threads of the worker: \"can't start new thread\".",
    mend="python-engineio ≥ 4.13.3.",
    hangup="silent: pings are timers, and a flood is closed with 1008.",
    source="CVE-2026-48802, CVE-2026-48809",
)  # fmt: skip
def pong_threads(facts: Facts) -> Iterator[Any]:
    package = facts.packages.get("python-engineio")
    if not package or not (4,) <= package.version < (4, 13, 3) or not facts.application.servers:
        return
    for service in facts.services:
        if service.server != "python" and facts.is_native(service) is False:
            yield package.place, _said(package), package.text
            return


@rule(
    "HUP709", "tls-handshake-ends-the-worker", ERROR,
    wrong="gunicorn before 24, gthread, with TLS of its own: a client that resets before its handshake ends the "
    "worker.",
    seen="\"Exception in worker process\", and all its clients are gone; a port scan is enough.",
    mend="gunicorn ≥ 24, or TLS in nginx.",
    hangup="no difference: TLS listeners are served stock.",
    source="gunicorn 21.2 to 23.0, workers/gthread.py enqueue_req; 17 ends in 30 attempts",
)  # fmt: skip
def tls_reset(facts: Facts) -> Iterator[Any]:
    package = facts.packages.get("gunicorn")
    for service in facts.gunicorns:
        if package and package.version and package.version < (24,) and service.worker == "gthread":
            value = service.setting("certfile")
            if value.is_known and value.value:
                yield value.place, f"{_said(package)} with certfile", package.text
