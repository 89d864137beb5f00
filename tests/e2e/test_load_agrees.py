"""``bench`` and ``storm`` count what independent clients count, and what the server and its metrics count."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import Gunicorn
from hangup import metrics
from javascript import require_node
from journal_app import JS
from load import load, rested, serve, since

CLIENTS, MESSAGES = 20, 25
#: Of what a client at a pace sends; whole numbers of messages must be equal.
TOLERANCE = 0.05

K6 = """
import ws from "k6/ws";
export const options = { vus: %(clients)d, iterations: %(clients)d };
export default function () {
  ws.connect("%(url)s", {}, (socket) => {
    let left = %(messages)d;
    const pause = %(pause)d;
    const say = () => socket.send("x".repeat(64));
    socket.on("open", () => pause ? socket.setInterval(say, pause) : say());
    if (pause) socket.setTimeout(() => socket.close(), %(lasts)d);
    socket.on("message", () => {
      if (pause) return;
      left -= 1;
      if (left) say(); else socket.close();
    });
  });
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with serve(tmp_path_factory.mktemp("load")) as server:
        yield server


def k6(directory: Path, url: str, pause: int = 0, lasts: int = 0) -> dict[str, Any]:
    """What k6 counted of its own."""
    if shutil.which("k6") is None:
        pytest.skip("k6 is not installed")
    script = K6 % {"clients": CLIENTS, "messages": MESSAGES, "url": url, "pause": pause, "lasts": lasts}
    (directory / "script.js").write_text(script)
    command = ["k6", "run", "--quiet", "--no-usage-report", "--summary-export", "summary.json", "script.js"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    metrics: dict[str, Any] = json.loads((directory / "summary.json").read_text())["metrics"]
    names = {"connects": "ws_sessions", "sent": "ws_msgs_sent", "received": "ws_msgs_received"}
    return {name: int(metrics[theirs]["count"]) for name, theirs in names.items()}


def websockets(server: Gunicorn) -> int:
    """How many WebSockets the server's metrics have seen."""
    return metrics.read(server.process.pid).total["websockets"]


def test_bench_counts_as_k6_does(server: Gunicorn, tmp_path: Path) -> None:
    """Connects, messages both ways and closes of plain WebSockets; the server's own counts are the third witness."""
    url = f"ws://127.0.0.1:{server.port}/echo"
    begin, native = rested(server), websockets(server)
    theirs = k6(tmp_path, url)
    between = rested(server)
    assert theirs == {"connects": CLIENTS, "sent": CLIENTS * MESSAGES, "received": CLIENTS * MESSAGES}
    ours = load("bench", url, "-m", "concurrent", "-c", str(CLIENTS), "-n", str(MESSAGES))["total"]
    end = rested(server)
    assert {"connects": ours["connected"], "sent": ours["sent"], "received": ours["received"]} == theirs
    for counted in (since(begin, between), since(between, end)):
        assert (counted["connects"], counted["closes"]) == (CLIENTS, CLIENTS)
        assert (counted["received"], counted["sent"]) == (CLIENTS * MESSAGES, CLIENTS * MESSAGES)
    assert websockets(server) - native == 2 * CLIENTS


def test_bench_keeps_a_pace_as_k6_does(server: Gunicorn, tmp_path: Path) -> None:
    """Every client a message each tenth of a second, for two seconds."""
    url = f"ws://127.0.0.1:{server.port}/echo"
    theirs = k6(tmp_path, url, pause=100, lasts=2050)
    begin = rested(server)
    ours = load("bench", url, "-m", "ramp", "--steps", str(CLIENTS), "-s", "2", "--interval", "0.1")["total"]
    counted = since(begin, rested(server))
    assert ours["sent"] == pytest.approx(theirs["sent"], rel=TOLERANCE)
    assert ours["received"] == pytest.approx(theirs["received"], rel=TOLERANCE)
    assert (counted["received"], counted["connects"]) == (ours["sent"], ours["connected"])


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_bench_counts_as_the_javascript_client_does(server: Gunicorn, transport: str) -> None:
    """Of Socket.IO."""
    require_node()
    url = f"http://127.0.0.1:{server.port}"
    begin = rested(server, socketio=True)
    command = ["node", "load.js", url, str(CLIENTS), str(MESSAGES)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=60, check=True)
    theirs = json.loads(done.stdout)
    between = rested(server, socketio=True)
    more = ("--protocol", "socketio", "--transport", transport)
    ours = load("bench", url, "-m", "concurrent", "-c", str(CLIENTS), "-n", str(MESSAGES), *more)["total"]
    end = rested(server, socketio=True)
    assert theirs == {
        "connects": CLIENTS,
        "sent": CLIENTS * MESSAGES,
        "received": CLIENTS * MESSAGES,
        "disconnects": CLIENTS,
    }
    assert (ours["connected"], ours["sent"], ours["answered"]) == (
        theirs["connects"],
        theirs["sent"],
        theirs["received"],
    )
    for counted in (since(begin, between), since(between, end)):
        assert (counted["sio_connects"], counted["sio_closes"]) == (CLIENTS, CLIENTS)
        assert counted["sio_received"] == CLIENTS * MESSAGES


def test_storm_counts_as_websocat_does(server: Gunicorn) -> None:
    """Clients that leave an open WebSocket: as many as the server and its metrics have seen come and go."""
    if shutil.which("websocat") is None:
        pytest.skip("websocat is not installed")
    url = f"ws://127.0.0.1:{server.port}/echo"
    begin = rested(server)
    clients = [
        subprocess.Popen(["websocat", "-E", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(CLIENTS)
    ]
    for client in clients:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"hello\n"
        client.kill()
        client.communicate()
    between, native = rested(server), websockets(server)
    theirs = since(begin, between)
    assert (theirs["connects"], theirs["closes"], theirs["received"]) == (CLIENTS, CLIENTS, CLIENTS)
    mix = ("--mix", "rst,fin,burst", "--when", "after-upgrade", "--rate", "40", "-c", "20")
    report = load("storm", url, *mix, "-s", "2", "--no-probe")
    ours = sum(kind["connected"] for kind in report["kinds"].values())
    counted = since(between, rested(server))
    assert ours == sum(kind["attempted"] for kind in report["kinds"].values()) > 60
    # Those that were connecting when the storm ended may be known to one side alone.
    assert counted["connects"] == pytest.approx(ours, rel=TOLERANCE)
    assert counted["closes"] == counted["connects"] == websockets(server) - native
