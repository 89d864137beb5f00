"""The cases of the Autobahn test suite, played by kosoku to a plain WebSocket under gunicorn.

Strict: a case has to end OK, and with an OK close; NON-STRICT is a failure. INFORMATIONAL is what the suite says of
cases without a right answer. Left out are 12.* and 13.*, which are about permessage-deflate.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e_gunicorn import gunicorn

APP = """
import json, os
import hangup

def app(environ, start_response):
    if "HTTP_UPGRADE" in environ:
        return echo(hangup.WebSocket(environ))
    body = json.dumps({"pid": os.getpid(), **hangup.stats()}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def echo(ws):
    try:
        while True:
            ws.send(ws.receive())
    except hangup.HangupError:
        return ()
"""

COMPRESSION = ("12.*", "13.*")
#: Messages of megabytes and by the thousand.
LIMITS = "9.*"
PARALLEL = "4"

KOSOKU = shutil.which("kosoku", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(KOSOKU is None, reason="kosoku is not installed")


def play(port: int, reports: Path, *left_out: str, seconds: float) -> dict[str, dict[str, Any]]:
    """What became of each case. kosoku has been seen to hang: it has ``seconds``."""
    excluded = [word for pattern in left_out for word in ("--exclude", pattern)]
    subprocess.run(
        [str(KOSOKU), "--mode", "fuzzingclient", "--parallelism", PARALLEL, "--outdir", str(reports), *excluded,
         f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,  # its code counts NON-STRICT as OK
    )  # fmt: skip
    index = json.loads((reports / "index.json").read_text())
    (cases,) = index.values()
    assert isinstance(cases, dict)
    return cases


def not_ok(cases: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Those that do not end as the RFC says, and how they end."""
    ends = {name: (case["behavior"], case["behaviorClose"]) for name, case in cases.items()}
    return {name: end for name, end in ends.items() if not set(end) <= {"OK", "INFORMATIONAL"}}


def check(directory: Path, version: str, worker: str, *left_out: str, least: int, seconds: float) -> None:
    threads = ["--threads", "8"] if worker == "gthread" else []
    args = ["-c", "python:hangup.gunicorn", "-k", worker, *threads]
    with gunicorn(directory, *args, app=APP, version=version) as server:
        before = server.ask()
        cases = play(server.port, directory / "reports", *COMPRESSION, *left_out, seconds=seconds)
        assert not_ok(cases) == {}
        assert len(cases) >= least
        last: dict[str, Any] = {}

        def all_returned() -> bool:
            last.update(server.ask())
            return bool(last["open"] <= before["open"])

        assert server.wait_until(all_returned, 15), last
        assert last["websockets"] >= len(cases)
        assert "Traceback" not in server.log


def test_every_case_but_those_about_limits(tmp_path: Path) -> None:
    """Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, close codes."""
    check(tmp_path, "27.0.1", "gthread", LIMITS, least=247, seconds=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "worker", "needs"),
    [("27.0.1", "gthread", ""), ("27.0.1", "gevent", "gevent"), ("25.3.0", "eventlet", "eventlet")],
)
def test_every_case(tmp_path: Path, version: str, worker: str, needs: str) -> None:
    """The limits as well, in threads and under hubs."""
    if needs:
        pytest.importorskip(needs)
    check(tmp_path, version, worker, least=301, seconds=110)
