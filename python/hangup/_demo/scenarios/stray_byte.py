"""Row 7: a request outlives its worker's grace period, and the application then opens files.

From gunicorn 24 the gthread worker closes a pipe when it leaves, and the finished request then writes its
wake-up byte to that pipe's number, which by then is one of the application's files.
"""

from __future__ import annotations

from collections import Counter

from hangup._demo.scenarios._clients import request_bytes
from hangup._demo.scenarios._measure import Clock, Measurement
from hangup._demo.server import Server, Stack, wait_until
from hangup.testing import connect, reset

_GRACE_SECONDS = "1"
_LEAVES_WITHIN_SECONDS = 8.0
_ENDS_WITHIN_SECONDS = 5.0
_EXPECTED = b"DATA"


def measure(stack: Stack, rounds: int = 1) -> Measurement:
    """Run ``rounds`` servers, each with one request that is still running when its worker leaves.

    The worker leaves because it has reached ``--max-requests``. stray_bytes counts what is in the
    application's files beyond what it wrote. ``extra`` has "files" (how many it wrote), "left" (rounds in
    which the worker had left before the files were opened) and "ended" (rounds in which its process then
    ended by itself).
    """
    clock = Clock("stray-byte", stack, rounds)
    # The question whether the server is up is the first request, the late one the second and last.
    leaving = stack.with_("--graceful-timeout", _GRACE_SECONDS, "--max-requests", "2", "--timeout", "60")
    tally = Counter[str]()
    for index in range(rounds):
        with Server(leaving, "app_late_file") as server:
            _outlive(server, tally)
            if index == rounds - 1:
                # The worker was told to leave: that is no death.
                return clock.read(
                    server,
                    stray_bytes=tally["stray"],
                    worker_deaths=0,
                    extra={name: tally[name] for name in ("files", "left", "ended")},
                )
    raise ValueError("rounds must be at least 1")


def _outlive(server: Server, tally: Counter[str]) -> None:
    """Keep a request running until its worker has left, then let the application write files."""
    worker = server.worker_pids()[0]
    client = connect(server.address)
    client.sendall(request_bytes("/late"))
    tally["left"] += server.wait_log(rf"Worker exiting \(pid: {worker}\)", _LEAVES_WITHIN_SECONDS)
    (server.directory / "go").touch()
    tally["ended"] += wait_until(lambda: worker not in server.worker_pids(), _ENDS_WITHIN_SECONDS)
    reset(client)
    for path in server.directory.glob("report-*"):
        content = path.read_bytes()
        tally["files"] += 1
        tally["stray"] += len(content.replace(_EXPECTED, b"", 1))
