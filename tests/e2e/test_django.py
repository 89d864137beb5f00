"""Django on real servers, and clients that leave: the status, the log level and the counter of each.

The matrix is one table: what a client does, and what the server says of it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import leaving
import pytest
import servers
from hangup._demo.server import wait_until
from hangup.testing import connect, reset

WSGI = tuple(f"gunicorn-27.0.1-{worker}" for worker in ("sync", "gthread", "gevent"))
ASGI = ("uvicorn-httptools-websockets", "daphne")
#: Versions and stacks beside those.
MORE = (
    *(f"gunicorn-{version}-gthread" for version in ("21.2.0", "23.0.0", "25.3.0")),
    "gunicorn-23.0.0-eventlet",
    "uvicorn-h11-wsproto",
)
DJANGOS = servers.ROOT / ".django"


class Site:
    """A running project.

    Attributes:
        stack: which server.
        port: where it listens.
        log: what it wrote.
    """

    def __init__(self, stack: str, port: int, log: Path) -> None:
        self.stack = stack
        self.port = port
        self.log = log

    @property
    def is_wsgi(self) -> bool:
        return self.stack.startswith("gunicorn")

    def facts(self) -> dict[str, Any]:
        """What the process says of itself."""
        answer = leaving.get(self.port, "/facts")
        said: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return said

    def abandoned(self) -> int:
        return int(self.facts()["counted"]["requests_abandoned"])

    def wait_for(self, event: str, within: float = 10.0, start: int = 0) -> float:
        """When the application said that it happened, on the monotonic clock.

        Args:
            event: the path of a request, and what happened.
            within: seconds to wait for it.
            start: where in the log to look from.
        """
        pattern = re.compile(rf"EVENT {event} ([\d.]+)\n")
        wait_until(lambda: pattern.search(self.log.read_text(), start) is not None, within)
        found = pattern.search(self.log.read_text(), start)
        assert found is not None, f"no {event!r} in:\n{self.log.read_text()[start:]}"
        return float(found[1])

    def wait_to_say(self, text: str, within: float = 10.0) -> None:
        """Waits until it is in the log."""
        assert wait_until(lambda: text in self.log.read_text(), within), self.log.read_text()


@contextlib.contextmanager
def site(
    stack: str, folder: Path, monkeypatch: pytest.MonkeyPatch, django: str = "", **environment: str
) -> Iterator[Site]:
    """The project, on the server that ``stack`` names."""
    lacks = servers.missing(stack)
    if not lacks and django and not (DJANGOS / django / "ready").exists():
        lacks = f"Django {django}"
    if lacks:
        pytest.skip(f"{lacks} is not installed")
    path = [str(Path(__file__).parent), *([str(DJANGOS / django)] if django else [])]
    monkeypatch.setenv("PYTHONPATH", ":".join(path))
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--access-logfile - --access-logformat 'ACCESS %(s)s %(U)s'")
    with servers.serving(
        stack, "django_site", folder / "log", guarded=stack.startswith("gunicorn"), **environment
    ) as port:
        yield Site(stack, port, folder / "log")


# ---- what clients do


def while_it_computes(site: Site) -> None:
    start = site.log.stat().st_size
    with connect(("127.0.0.1", site.port)) as client:
        client.sendall(b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
        site.wait_for("/plain began", start=start)
        reset(client)


def in_a_stream(path: str) -> Callable[[Site], None]:
    def leave(site: Site) -> None:
        with connect(("127.0.0.1", site.port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            read = b""
            while not read.partition(b"\r\n\r\n")[2]:  # nothing of its body
                more = client.recv(4096)
                assert more, read
                read += more
            reset(client)

    return leave


def in_an_upload(path: str, kind: str, *, abruptly: bool) -> Callable[[Site], None]:
    def leave(site: Site) -> None:
        leaving.abort_upload(site.port, path, abruptly=abruptly, kind=kind)

    return leave


def reads_it_all(path: str) -> Callable[[Site], None]:
    def leave(site: Site) -> None:
        assert leaving.get(site.port, path).startswith(b"HTTP/1.1 500 ")

    return leave


class Cell(NamedTuple):
    """What a client does, and what is to become of it.

    Attributes:
        leave: the client.
        path: of its request.
        status: in the access log of a WSGI server. An ASGI server has nobody to answer, and logs nothing, or
            the status of a response that had begun.
        level: of what is logged about it.
        counted: whether its client left.
        closes: whether something of the view's is to be closed.
    """

    leave: Callable[[Site], None]
    path: str
    status: Optional[int]
    level: str
    counted: bool
    closes: bool = False

    def on(self, site: Site) -> Cell:
        """daphne takes the whole request in before the application hears of it."""
        unheard = site.stack == "daphne" and self.path in ("/upload", "/form")
        return self._replace(counted=False) if unheard else self


OCTETS, MULTIPART = "application/octet-stream", "multipart/form-data; boundary=x"
TABLE = {
    "plain": Cell(while_it_computes, "/plain", 499, "DEBUG", True),
    "streaming": Cell(in_a_stream("/stream"), "/stream", 200, "DEBUG", True, True),
    "sse": Cell(in_a_stream("/sse"), "/sse", 200, "DEBUG", True, True),
    "file": Cell(in_a_stream("/file"), "/file", 200, "DEBUG", True, True),
    "upload": Cell(in_an_upload("/upload", OCTETS, abruptly=True), "/upload", 499, "DEBUG", True),
    "upload, fin": Cell(in_an_upload("/upload", OCTETS, abruptly=False), "/upload", 499, "DEBUG", True),
    "form": Cell(in_an_upload("/form", MULTIPART, abruptly=True), "/form", 499, "DEBUG", True),
    "database": Cell(reads_it_all("/database"), "/database", 500, "ERROR", False),
}


def hold(site: Site, name: str, cell: Cell) -> list[str]:
    """What is not as in the table."""
    cell = cell.on(site)
    before = site.abandoned()
    start = site.log.stat().st_size
    cell.leave(site)
    wanted = before + cell.counted
    wait_until(lambda: site.abandoned() == wanted, 5.0, every=0.05)
    said = site.log.read_text()[start:]
    wrong = []
    if (counted := site.abandoned()) != wanted:
        wrong.append(f"counted {counted - before}")
    if cell.closes:
        site.wait_for(f"{cell.path} closed", 2.0, start)
    statuses = {int(status) for status in re.findall(rf"ACCESS (\d+) {cell.path}", said)}
    if site.is_wsgi and statuses != {cell.status}:
        wrong.append(f"status {statuses}")
    loud = set(re.findall(r"^LOG (WARNING|ERROR|CRITICAL) ", said, re.MULTILINE))
    loud |= set(re.findall(r"\[(WARNING|ERROR|CRITICAL)\]", said))
    if loud != ({cell.level} - {"DEBUG"}):
        wrong.append(f"logged at {loud or 'DEBUG'}")
    if cell.level == "DEBUG" and "Traceback" in said and not re.search(r"LOG DEBUG .*\nTraceback", said):
        wrong.append("a traceback")
    return [f"{name}: {what}" for what in wrong] + ([said] if wrong else [])


@pytest.mark.parametrize("stack", [*WSGI, *ASGI])
def test_the_matrix(stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, log level and counter of each way to leave."""
    with site(stack, tmp_path, monkeypatch) as running:
        wrong = [what for name, cell in TABLE.items() for what in hold(running, name, cell)]
        assert not wrong, "\n".join(wrong)


# ---- views that are told


def most_are_slow(stacks: tuple[str, ...], fast: tuple[str, ...]) -> list[Any]:
    """Parameters: all of them, of which only ``fast`` are in every run."""
    return [pytest.param(stack, marks=[] if stack in fast else [pytest.mark.slow]) for stack in stacks]


@pytest.mark.parametrize("stack", most_are_slow((*WSGI, *ASGI), (WSGI[1], ASGI[0])))
def test_a_view_knows_within_a_tenth_of_a_second(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that polls ``request.hangup.gone``, and one that awaits ``request.hangup.wait_gone()``."""
    views = (
        ("/plain",) if "gevent" in stack else ("/plain", "/waits")
    )  # asyncio does not run under its patches
    with site(stack, tmp_path, monkeypatch) as running:
        for view, leave in itertools.product(views, (reset, socket.socket.close)):
            start = running.log.stat().st_size
            with connect(("127.0.0.1", running.port)) as client:
                client.sendall(f"GET {view} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                running.wait_for(f"{view} began", start=start)
                left = time.monotonic()
                leave(client)
                assert running.wait_for(f"{view} gone", start=start) - left < 0.1


@pytest.mark.parametrize("stack", most_are_slow((*WSGI, *ASGI), (WSGI[1], ASGI[0])))
def test_a_client_that_stays_has_its_answer(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads, files and streams arrive whole, and nothing is counted."""
    with site(stack, tmp_path, monkeypatch) as running:
        with connect(("127.0.0.1", running.port)) as client:
            head = "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
            client.sendall(head.encode() + bytes(150_000))
            client.sendall(bytes(150_000))
            answer = b""
            while more := client.recv(65536):
                answer += more
        assert answer.endswith(b'{"received": 300000}')
        assert leaving.get(running.port, "/source").endswith(
            (Path(__file__).parent / "django_site.py").read_bytes()
        )
        body = leaving.get(running.port, "/pieces").partition(b"\r\n\r\n")[2]
        assert bytes(re.findall(rb"\n([a-z])\r", b"\n" + body)[-1]) == b"z"
        assert running.abandoned() == 0


@pytest.mark.parametrize("stack", most_are_slow((*WSGI, *ASGI), (WSGI[1], ASGI[0])))
def test_a_client_that_leaves_with_all_of_it_has_its_answer(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that ``Content-Length`` said: whether the server has more to do is nothing to it."""
    with site(stack, tmp_path, monkeypatch) as running:
        for path in ("/source", "/sized-pieces") * 20:
            with connect(("127.0.0.1", running.port)) as client:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                with client.makefile("rb") as answer:
                    length = int(
                        re.search(rb"(?i)content-length: (\d+)", b"".join(iter(answer.readline, b"\r\n")))[1]
                    )
                    assert len(answer.read(length)) == length
                reset(client)
        assert running.abandoned() == 0


@pytest.mark.parametrize("stack", [WSGI[1], ASGI[0]])
def test_middleware_outside_may_wrap_what_is_streamed(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synchronous middleware finds the view's synchronous iterator, under ASGI too."""
    with site(stack, tmp_path, monkeypatch, SITE_MIDDLEWARE="django_site.Shouting") as running:
        answer = leaving.get(running.port, "/pieces")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert re.findall(rb"\n([A-Z])\r", answer)[-1] == b"Z"
        in_a_stream("/stream")(running)
        running.wait_for("/stream closed", 2.0)


@pytest.mark.parametrize("stack", most_are_slow(ASGI, ASGI[:1]))
def test_a_generator_that_waits_is_woken_under_asgi(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An asynchronous one; its ``finally`` runs."""
    with site(stack, tmp_path, monkeypatch) as running:
        in_a_stream("/asynchronous-sse")(running)
        left = time.monotonic()
        assert running.wait_for("/asynchronous-sse closed") - left < 0.5
        wait_until(lambda: running.abandoned() == 1, 5.0)
        assert running.abandoned() == 1


def test_an_error_of_the_applications_own_guarded_socket_is_not_its_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``PeerGone``, of an upstream: the type is that of a client's departure, the socket is not."""
    with site(WSGI[1], tmp_path, monkeypatch) as running:
        assert leaving.get(running.port, "/upstream").startswith(b"HTTP/1.1 500 ")
        assert running.abandoned() == 0


# ---- handshakes


GOOD_KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
HANDSHAKES = (
    ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400, "16 bytes"),
    ("Sec-WebSocket-Version: 13\r\n", 400, "16 bytes"),
    (f"Sec-WebSocket-Version: 8\r\n{GOOD_KEY}", 426, "version 13"),
    (f"Sec-WebSocket-Version: 13\r\n{GOOD_KEY}", 200, ""),
)


def test_a_malformed_handshake_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6455 sections 4.2.1 and 4.4; a good one is the view's."""
    with site(WSGI[1], tmp_path, monkeypatch) as running:
        for fields, status, says in HANDSHAKES:
            head = "GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            with connect(("127.0.0.1", running.port)) as client:
                client.sendall(f"{head}{fields}\r\n".encode())
                answer = b""
                while says.encode() not in answer or not answer.partition(b"\r\n\r\n")[2]:
                    more = client.recv(65536)
                    assert more, answer
                    answer += more
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert (b"Sec-WebSocket-Version: 13" in answer) == (status == 426)


# ---- the setting, and the switch


def test_the_setting_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another status; handshakes are the view's."""
    chosen = json.dumps({"STATUS": 444, "HANDSHAKES": False})
    with site(WSGI[1], tmp_path, monkeypatch, SITE_HANGUP=chosen) as running:
        in_an_upload("/upload", OCTETS, abruptly=True)(running)
        running.wait_to_say("ACCESS 444 /upload")
        with connect(("127.0.0.1", running.port)) as client:
            client.sendall(
                b"GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            assert client.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_switched_off_nothing_is_changed(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views may still ask; ``observe`` counts."""
    with site(WSGI[1], tmp_path, monkeypatch, HANGUP=mode) as running:
        in_an_upload("/upload", OCTETS, abruptly=True)(running)
        wait_until(lambda: "ACCESS 500 /upload" in running.log.read_text(), 5.0)
        assert "ACCESS 500 /upload" in running.log.read_text()
        assert running.abandoned() == (mode == "observe")


# ---- more stacks, more Djangos


@pytest.mark.slow
@pytest.mark.parametrize("stack", MORE)
def test_the_matrix_of_more_stacks(stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same table."""
    test_the_matrix(stack, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [*WSGI, *ASGI])
@pytest.mark.parametrize("django", ["4.2", "6.0"])
def test_the_matrix_of_more_djangos(
    stack: str, django: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same table."""
    with site(stack, tmp_path, monkeypatch, django) as running:
        wrong = [what for name, cell in TABLE.items() for what in hold(running, name, cell)]
        assert not wrong, "\n".join(wrong)
