"""What the tests of misuse share: programs run by an interpreter of their own, because they may hang or crash."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

# A program has these names. Nothing in it may wait for ever.
PRELUDE = '''
import os, signal, socket, struct, sys, threading, time, hangup
from hangup import SafeSocket, ClosedHere, PeerGone, Busy

def pair():
    """A guarded end and a stock end."""
    ours, theirs = socket.socketpair()
    return SafeSocket(ours), theirs

def until(condition, seconds=20.0):
    """Asks again and again; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True

def asleep(thread):
    """Whether a thread waits in the kernel, in poll(2) or in recvmsg(2)."""
    with open(f"/proc/self/task/{thread.native_id}/wchan") as wchan:
        if "poll" in wchan.read():
            return True
    with open(f"/proc/self/task/{thread.native_id}/syscall") as syscall:
        return syscall.read().split()[0] in ("7", "271", "47", "73", "212")  # x86-64, then arm64

def start(function, *args):
    """A daemon thread that waits in the kernel now."""
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    assert until(lambda: asleep(thread)), "it does not wait"
    return thread

def reap(pid, seconds=20.0):
    """The exit code of a child, negative for a signal; a child that hangs is killed, and is None."""
    status = []
    def ended():
        found, code = os.waitpid(pid, os.WNOHANG)
        if found:
            status.append(os.waitstatus_to_exitcode(code))
        return bool(found)
    if until(ended, seconds):
        return status[0]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None

def forked(function):
    """Runs ``function`` in a child, whose exit code is what it returns; an exception is 99 and is printed."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        code = function() or 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
'''

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def program() -> Program:
    """Runs a program after the prelude, at most 60 seconds: ``program(source, *interpreter_options)``; ``before`` runs
    ahead of the import of hangup.
    """

    def run(
        source: str, *options: str, limit: float = 60.0, before: str = ""
    ) -> subprocess.CompletedProcess[str]:
        source = textwrap.dedent(before) + PRELUDE + textwrap.dedent(source)
        command = [sys.executable, "-W", "ignore::DeprecationWarning", *options, "-c", source]
        return subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)

    return run


@pytest.fixture
def passes(program: Program) -> Callable[..., str]:
    """As ``program``; fails unless it exits with 0 and is silent on stderr. What it wrote to stdout."""

    def run(source: str, *options: str, limit: float = 60.0, before: str = "") -> str:
        done = program(source, *options, limit=limit, before=before)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    return run
