"""WebSockets that leave other servers than gunicorn's, with ``hangup.install()`` in the application."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from hangup._demo.server import wait_until

socketio = pytest.importorskip("socketio")
pytest.importorskip("websocket")

OLD = Path(__file__).resolve().parents[2] / ".socketio" / "5.10.0"

SERVICE = """
import os, sys
import socketio
import hangup
hangup.install()
name = sys.argv[1]
server = socketio.Server(async_mode={"pywsgi": "gevent", "eventlet": "eventlet"}.get(name, "threading"))

@server.event
def echo(sid, data):
    return data

def other(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [str(len(list(server.eio.sockets))).rjust(2).encode()]

app = socketio.WSGIApp(server, other)

def listening(port):
    print("port", port, flush=True)

if name == "wsgiref":
    from socketserver import ThreadingMixIn
    from wsgiref import simple_server
    class Server(ThreadingMixIn, simple_server.WSGIServer):
        pass
    class Handler(simple_server.WSGIRequestHandler):
        def get_environ(self):
            return dict(super().get_environ(), **{"gunicorn.socket": self.connection})
    httpd = simple_server.make_server("127.0.0.1", 0, app, Server, Handler)
    listening(httpd.server_port)
    httpd.serve_forever()
elif name == "werkzeug":
    from werkzeug.serving import make_server
    httpd = make_server("127.0.0.1", 0, app, threaded=True)
    listening(httpd.port)
    httpd.serve_forever()
elif name == "pywsgi":
    from gevent.pywsgi import WSGIServer
    httpd = WSGIServer(("127.0.0.1", 0), app)
    httpd.start()
    listening(httpd.server_port)
    httpd.serve_forever()
else:
    import eventlet.wsgi
    listener = eventlet.listen(("127.0.0.1", 0))
    listening(listener.getsockname()[1])
    eventlet.wsgi.server(listener, app)
"""


@pytest.mark.parametrize("old", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize(
    ("name", "needs"),
    [("wsgiref", ""), ("werkzeug", "werkzeug"), ("pywsgi", "gevent"), ("eventlet", "eventlet")],
)
def test_the_server_ends_the_request_and_goes_on(tmp_path: Path, name: str, needs: str, old: bool) -> None:
    """A client on each transport is answered, the server logs one quiet 101 and answers others meanwhile."""
    if needs:
        pytest.importorskip(needs)
    if old and not (OLD / "ready").exists():
        pytest.skip("python-socketio 5.10.0 is not installed (make setup)")
    (tmp_path / "service.py").write_text(SERVICE)
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-W", "ignore", "service.py", name],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(OLD) if old else ""},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        assert wait_until(lambda: "port " in log_file.read_text(), 20), log_file.read_text()
        url = f"http://127.0.0.1:{log_file.read_text().partition('port ')[2].split()[0]}"
        for transports in (["websocket"], ["polling", "websocket"]):
            talk(url, transports)
        assert wait_until(lambda: sessions(url) == 0, 10)
    finally:
        service.terminate()
        service.wait(10)
    said = log_file.read_text()
    assert said.count(" 101 ") == 2, said
    assert "Traceback" not in said


def talk(url: str, transports: list[str]) -> None:
    """One client's conversation, and another one's request during it."""
    client = socketio.Client(reconnection=False)
    client.connect(url, transports=transports, wait_timeout=10)
    try:
        assert client.transport() == "websocket"
        assert client.call("echo", "x" * 1000, timeout=10) == "x" * 1000
        assert sessions(url) == 1
    finally:
        client.disconnect()
        client.eio.http and client.eio.http.close()


def sessions(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.read())
