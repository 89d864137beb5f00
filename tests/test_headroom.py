"""A watch on the descriptors that are left, in processes that run out of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PREAMBLE = """
import logging, os, resource, sys, threading, time
import hangup
from hangup import fds
def limit(soft):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "time is up"
        time.sleep(0.005)
"""


def passes(code: str) -> str:
    """Runs it in a process of its own. Its standard error."""
    script = PREAMBLE + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_a_steady_leak_is_forecast_within_a_fifth_from_half_on() -> None:
    """Each forecast from 50 % usage on, against when descriptors really ran out."""
    passes(
        """
        limit(256)
        forecasts, hoard = [], []
        with fds.watch(at=0.99, on_breach=print, interval=0.02) as watch:
            begin = time.monotonic()
            while True:
                wanted = begin + len(hoard) * 0.01
                time.sleep(max(0.0, wanted - time.monotonic()))
                try:
                    hoard.append(os.dup(0))
                except OSError:
                    exhausted = time.monotonic()
                    break
                now = watch.now()
                if now.open >= 128:
                    forecasts.append((time.monotonic(), now.seconds_left))
        assert len(forecasts) > 100
        for at, left in forecasts:
            real = exhausted - at
            # the last samples' own distance is no error of the forecast
            assert left is not None and abs(left - real) <= 0.2 * real + 0.05, (left, real)
        """
    )


def test_a_breach_is_told_once_until_it_is_over() -> None:
    """Again after enough returned; a limit that is changed counts at once; a callback that fails ends nothing."""
    passes(
        """
        limit(200)
        told = []
        def on_breach(breach):
            told.append(breach)
            raise RuntimeError("theirs")
        logging.disable()
        watch = fds.watch(at=0.5, on_breach=on_breach, interval=0.01)
        hoard = [os.dup(0) for _ in range(120)]
        wait_until(lambda: len(told) == 1)
        while len(hoard) > 85: os.close(hoard.pop())
        while len(hoard) < 130: hoard.append(os.dup(0))
        time.sleep(0.05)
        assert len(told) == 1, told
        while len(hoard) > 10: os.close(hoard.pop())
        wait_until(lambda: not watch._breached)
        limit(24)
        wait_until(lambda: len(told) == 2)
        assert told[0].limit == 200 and told[1].limit == 24 and told[0].open > 100
        watch.stop(), watch.stop()
        assert not watch.is_running and threading.active_count() == 1
        """
    )


def test_without_a_callback_a_breach_is_logged() -> None:
    """One WARNING, with the forecast if there is one."""
    errors = passes(
        """
        limit(64)
        logging.basicConfig()
        hoard = [os.dup(0) for _ in range(56)]
        with fds.watch(interval=0.01) as watch:
            wait_until(lambda: watch._breached)
        """
    )
    assert errors.count("descriptors are open") == 1


def test_a_forked_child_has_no_watch() -> None:
    """It says so, and its stop does nothing; the parent's goes on."""
    passes(
        """
        with fds.watch(on_breach=print, interval=0.01) as watch:
            pid = os.fork()
            if not pid:
                assert not watch.is_running and threading.active_count() == 1
                watch.stop()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert watch.is_running
        """
    )


@pytest.mark.parametrize("wrong", ["at=0", "at=1.1", "interval=0"])
def test_senseless_arguments_are_refused(wrong: str) -> None:
    passes(
        f"""
        try:
            fds.watch({wrong})
        except ValueError:
            sys.exit(0)
        sys.exit(1)
        """
    )


def test_a_watch_where_descriptors_must_be_listed_outlives_their_end() -> None:
    """Before Linux 6.2: to list them takes one."""
    passes(
        """
        from hangup import _headroom, _hangup
        class Older:
            def __getattr__(self, name):
                return getattr(_hangup, name)
            def count(self):
                return (-1, *_hangup.count()[1:])
        _headroom._hangup = Older()
        limit(64)
        breaches, hoard = [], []
        with fds.watch(at=0.99, on_breach=breaches.append, interval=0.01):
            def is_breached():
                try:
                    hoard.append(os.dup(0))
                except OSError:  # the watch may have had the last one for a moment
                    return breaches
            wait_until(is_breached)
            while hoard:
                os.close(hoard.pop())
        assert [breach.open for breach in breaches] == [64]
        """
    )
