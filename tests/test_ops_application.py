"""`/metrics`, `/livez` and `/readyz` inside an application, WSGI and ASGI."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from hangup import _ops_server, metrics, ops


def wsgi(method: str, path: str) -> tuple[str, dict[str, str], bytes]:
    told: list[Any] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
    }
    setup_testing_defaults(environ)

    def start_response(*answer: Any) -> Any:
        told.extend(answer)
        return lambda _data: None

    body = validator(ops.application)(environ, start_response)
    try:
        return told[0], dict(told[1]), b"".join(body)
    finally:
        body.close()


def asgi(method: str, path: str, **scope: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(
        ops.asgi_application({"type": "http", "method": method, "path": path, **scope}, receive, send)
    )
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_metrics_are_prometheus_s_text() -> None:
    """With the content type that says so, and the right length; HEAD has no body."""
    status, headers, body = wsgi("GET", "/metrics")
    assert status == "200 OK"
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(headers["Content-Length"]) == len(body)
    assert f"hangup_closed_total {metrics.read().total['closed']}\n".encode() in body
    assert wsgi("HEAD", "/metrics")[2] == b""
    assert asgi("GET", "/metrics")[0] == 200
    assert b"# TYPE hangup_closed_total counter\n" in asgi("GET", "/admin/metrics", root_path="/admin")[2]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/livez", 200), ("GET", "/readyz", 503), ("GET", "/", 404), ("POST", "/metrics", 405)],
)
def test_the_status_says_it(method: str, path: str, status: int) -> None:
    """This process answers, and no worker serves."""
    assert wsgi(method, path)[0].startswith(str(status))
    assert asgi(method, path)[0] == status


def test_another_protocol_is_refused() -> None:
    """WebSockets and lifespan are not for it: as ASGI says, by an exception."""
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(ops.asgi_application({"type": "websocket"}, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("9117", ("127.0.0.1", 9117)),
        ("0.0.0.0:9117", ("0.0.0.0", 9117)),
        ("[::1]:9117", ("::1", 9117)),
        ("unix:/run/hangup.sock", "/run/hangup.sock"),
    ],
)
def test_a_port_alone_is_of_the_loopback_interface(address: str, place: Any) -> None:
    """Whoever wants more says so."""
    assert ops.parsed(address)[1] == place


@pytest.mark.parametrize("address", ["a port", "65536", "127.0.0.1:-1"])
def test_what_is_no_port_is_refused_where_it_is_seen(address: str) -> None:
    """Not in the process beside the master."""
    with pytest.raises(ValueError, match="port"):
        ops.Beside(address)


def test_only_a_socket_gives_way_to_a_socket(tmp_path: Path) -> None:
    """A stale one is replaced; a file that somebody named by mistake is left alone."""
    stale, file = tmp_path / "stale.sock", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))
    file.write_text("precious")
    _ops_server._remove_stale(str(stale))
    _ops_server._remove_stale(str(file))
    assert not stale.exists()
    assert file.read_text() == "precious"
