"""The line that says how many peers left."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import hangup
import pytest
from gunicorn_process import gunicorn
from hangup import DisconnectFilter, logfilter
from hangup._logs import summary
from hangup.exceptions import PeerGone
from hangup.testing import StalledReader
from raising import record_of

SHAPE = re.compile(r"hung up: (\d+) peers left \((\d+ \w+(?:, \d+ \w+)*)\), (\d+) ours")


@pytest.fixture(autouse=True)
def nothing_left_to_say() -> Iterator[None]:
    """Neither before nor after."""
    summary.every(0)
    summary.forget()
    summary._violations_said = summary._violations()  # other tests provoke some
    yield
    summary.forget()
    summary.every(None)


def leave(quiet: DisconnectFilter, number: int, times: int) -> None:
    for _ in range(times):
        quiet.filter(record_of(PeerGone(number, "x")))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "hangup"]


def test_it_has_the_documented_shape(caplog: pytest.LogCaptureFixture) -> None:
    """The most frequent cause first; then nothing is left to say."""
    caplog.set_level(logging.INFO, "hangup")
    summary.every(3600)
    leave(DisconnectFilter("drop"), errno.EPIPE, 16)
    leave(DisconnectFilter("demote"), errno.ECONNRESET, 198)
    summary.say()
    summary.say()
    assert said(caplog) == ["hung up: 214 peers left (198 reset, 16 pipe), 0 ours"]
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_what_is_only_counted_is_not_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """Its lines are all there."""
    caplog.set_level(logging.INFO, "hangup")
    summary.every(3600)
    leave(DisconnectFilter("count"), errno.EPIPE, 3)
    summary.say()
    assert said(caplog) == []


def test_it_comes_by_itself_after_the_interval(caplog: pytest.LogCaptureFixture) -> None:
    """Also if no other record does; and again, for what left since."""
    caplog.set_level(logging.INFO, "hangup")
    summary.every(0.05)
    for times in (2, 3):
        leave(DisconnectFilter("drop"), errno.EPIPE, times)
        deadline = time.monotonic() + 10
        while not any(f"{times} pipe" in line for line in said(caplog)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert said(caplog) == [f"hung up: {times} peers left ({times} pipe), 0 ours" for times in (2, 3)]


def test_ours_are_the_violations_since_the_last_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the native core counts them."""
    caplog.set_level(logging.INFO, "hangup")
    summary.every(3600)
    before = summary._violations()
    for more, ours in ((2, 2), (2, 0), (5, 3)):
        monkeypatch.setattr(summary, "_violations", lambda more=more: before + more)
        leave(DisconnectFilter("drop"), errno.EPIPE, 1)
        summary.say()
        assert said(caplog)[-1].endswith(f", {ours} ours")


@pytest.mark.parametrize("seconds", ["a minute", "-1", "nan", "inf"])
def test_an_interval_that_is_none_is_said(
    seconds: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An argument is refused; a variable leaves the default."""
    monkeypatch.setenv("HANGUP_LOG_SUMMARY", seconds)
    logfilter.install()
    logfilter.uninstall()
    assert f"HANGUP_LOG_SUMMARY='{seconds}' is no number of seconds: it stays at 60" in caplog.text
    if seconds != "a minute":
        with pytest.raises(ValueError, match="is no number of seconds"):
            logfilter.install(summary_every=float(seconds))


def run(code: str) -> str:
    home = str(Path(hangup.__file__).parents[1])
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout + done.stderr


BEGIN = """
    import errno, logging, os, sys
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(process)d %(message)s")
    from hangup import DisconnectFilter
    from hangup.exceptions import PeerGone
    error = PeerGone(errno.EPIPE, "x")
    def leave():
        record = logging.LogRecord("gunicorn.error", 40, "f", 1, "m", (), (PeerGone, error, None))
        DisconnectFilter().filter(record)
    leave()
    """


def test_it_is_said_at_exit_and_keeps_nobody_from_it() -> None:
    """The thread that would say it in a minute is not waited for."""
    began = time.monotonic()
    assert "hung up: 1 peers left (1 pipe), 0 ours" in run(BEGIN)
    assert time.monotonic() - began < 20


def test_a_forked_child_sums_up_its_own() -> None:
    """And the thread that is gone is started again."""
    lines = run(
        BEGIN
        + """
    import time
    from hangup._logs import summary
    child = os.fork()
    if not child:
        summary.every(0.05)
        leave(); leave()
        deadline = time.monotonic() + 10
        while summary._left and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    """
    )
    found = SHAPE.findall(lines)
    assert sorted(found) == [("1", "1 pipe", "0"), ("2", "2 pipe", "0")], lines


@pytest.mark.parametrize(
    "patch", ["from gevent import monkey; monkey.patch_all()", "import eventlet; eventlet.monkey_patch()"]
)
def test_under_a_hub_it_is_a_greenlet_that_says_it(patch: str) -> None:
    """Started from the hub itself, which must not wait."""
    pytest.importorskip(patch.split()[1].strip(";"))
    lines = run(
        f"""
    {patch}
    import threading, time
    """
        + BEGIN.replace("    leave()\n    ", "")
        + """
    from hangup._logs import summary
    summary.every(0.05)
    if "gevent" in sys.modules:
        import gevent
        gevent.get_hub().loop.run_callback(leave)
    else:
        import eventlet.hubs
        eventlet.hubs.get_hub().schedule_call_global(0, leave)
    time.sleep(0.02)
    deadline = time.monotonic() + 10
    while summary._left and time.monotonic() < deadline:
        time.sleep(0.02)
    """
    )
    assert len(SHAPE.findall(lines)) == 1, lines
    assert "summary.py" not in lines  # in a traceback; eventlet's patching prints one of its own


def test_under_gevent_it_keeps_nobody_from_the_end() -> None:
    """``gevent.wait()`` returns when only the summary is due, and it is said at exit."""
    pytest.importorskip("gevent")
    lines = run(
        """
    from gevent import monkey
    monkey.patch_all()
    import gevent, time
    """
        + BEGIN
        + """
    began = time.monotonic()
    assert gevent.wait(timeout=15) and time.monotonic() - began < 10
    """
    )
    assert len(SHAPE.findall(lines)) == 1, lines


CONF = """
    from hangup.gunicorn import *
"""


@pytest.mark.parametrize("interval", ["0.3", "3600"], ids=["after the interval", "at the worker's exit"])
def test_under_gunicorn_it_stands_in_its_log(
    tmp_path: Path, interval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At gunicorn's level, with its format; and what was demoted is not there as an error."""
    monkeypatch.setenv("HANGUP_LOG_SUMMARY", interval)
    with gunicorn(tmp_path, CONF) as server:
        with StalledReader(server.address) as client:
            client.sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for(r"\[DEBUG\] Socket error processing request")
        if interval == "0.3":
            server.wait_for(r"\[INFO\] hung up: 1 peers left \(1 \w+\), 0 ours")
    assert len(SHAPE.findall(server.log())) == 1
    assert server.errors() == []
