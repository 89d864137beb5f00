"""The counters of a family: in memory that its processes share, read from any of them and from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hangup
import pytest
from hangup import SafeSocket, metrics
from hangup._demo.server import wait_until

#: A process that makes a family, and does what it is told, a line each; so do the children that it forks.
FAMILY = """
import json, os, socket, sys
import hangup, hangup.metrics
from hangup import _hangup

sockets, children = [], {}

def adopt(count):
    for _ in range(count):
        ours, theirs = socket.socketpair()
        theirs.close()
        sockets.append(hangup.SafeSocket(ours))

def serve(commands, answers):
    for line in commands:
        name, *arguments = json.loads(line)
        answers.write(json.dumps(globals()[name](*arguments)) + "\\n")
        answers.flush()

def fork(name):
    down, up = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.close(down[1]), os.close(up[0])
        serve(os.fdopen(down[0]), os.fdopen(up[1], "w"))
        os._exit(0)
    os.close(down[0]), os.close(up[1])
    children[name] = os.fdopen(down[1], "w"), os.fdopen(up[0])
    return pid

def tell(name, *command):
    commands, answers = children[name]
    commands.write(json.dumps(command) + "\\n")
    commands.flush()
    return json.loads(answers.readline())

def reap(pid):
    os.waitpid(pid, 0)
    return _hangup.retire(pid)

def own():
    return hangup.stats()["adopted"]

def read(word):
    family = hangup.metrics.read()
    workers = {pid: counted[word] for pid, counted in family.workers.items()}
    return family.total[word], workers, family.dead.get(word, 0)

def close():
    while sockets:
        sockets.pop().close()

_hangup.found_family()
serve(sys.stdin, sys.stdout)
"""


class Family:
    """What :data:`FAMILY` runs in."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def tell(self, *command: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def read(self, word: str = "adopted") -> tuple[int, dict[int, int], int]:
        """From outside: total, workers, dead."""
        family = metrics.read(self.pid)
        return (
            family.total[word],
            {pid: counted[word] for pid, counted in family.workers.items()},
            family.dead.get(word, 0),
        )


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family()
    with made.process:
        yield made
        made.process.communicate(timeout=10)


def test_each_process_counts_for_itself_and_all_of_them_for_the_family(family: Family) -> None:
    """stats() is the process's own; the family is read from inside and from outside alike."""
    first, second = family.tell("fork", "first"), family.tell("fork", "second")
    family.tell("tell", "first", "adopt", 3)
    family.tell("tell", "second", "adopt", 4)
    family.tell("adopt", 2)
    expected = (9, {family.pid: 2, first: 3, second: 4}, 0)
    assert family.read() == expected
    inside = family.tell("tell", "second", "read", "adopted")
    assert (inside[0], {int(pid): count for pid, count in inside[1].items()}, inside[2]) == expected
    assert family.tell("tell", "first", "own") == 3
    assert family.read("open")[:2] == (9, expected[1])


@pytest.mark.parametrize("reaped", [True, False])
def test_kill_9_loses_nothing_and_counts_nothing_twice(family: Family, reaped: bool) -> None:
    """What the dead counted stays in the totals, whether or not anybody looks after their slots."""
    first = family.tell("fork", "first")
    family.tell("tell", "first", "adopt", 5)
    os.kill(first, signal.SIGKILL)
    if reaped:
        assert family.tell("reap", first)
    assert wait_until(lambda: family.read() == (5, {}, 5), 10), family.read()
    second = family.tell("fork", "second")
    family.tell("tell", "second", "adopt", 2)
    assert family.read() == (7, {second: 2}, 5)
    assert family.read("open")[0] == 2


def test_slots_are_used_again_and_their_dead_are_kept_apart(family: Family) -> None:
    """A hundred workers, one after the other, need one slot; the totals are those of all."""
    for number in range(1, 101):
        name = f"child {number}"
        pid = family.tell("fork", name)
        family.tell("tell", name, "adopt", number % 3 + 1)
        total = sum(n % 3 + 1 for n in range(1, number + 1))
        assert family.read() == (total, {pid: number % 3 + 1}, total - (number % 3 + 1))
        os.kill(pid, signal.SIGKILL)
        family.tell("reap", pid)


def test_a_child_that_owns_nothing_takes_no_slot(family: Family) -> None:
    """What is forked to run another program is no worker."""
    family.tell("fork", "idle")
    family.tell("adopt", 1)
    assert family.read() == (1, {family.pid: 1}, 0)


def test_inherited_descriptors_are_counted_as_before(family: Family) -> None:
    """A child begins with what it inherited open."""
    family.tell("adopt", 3)
    child = family.tell("fork", "child")
    family.tell("tell", "child", "adopt", 1)
    assert family.read("open") == (7, {family.pid: 3, child: 4}, 0)
    family.tell("tell", "child", "close")
    assert family.read("open")[1] == {family.pid: 3, child: 0}


def test_the_memory_is_its_owner_s_and_cannot_be_cut_off(family: Family) -> None:
    """Mode 0600, sealed: a reader never meets memory that is gone. Programs that are executed do not inherit it."""
    family.tell("adopt", 1)
    directory = f"/proc/{family.pid}/fd"
    [name] = [n for n in os.listdir(directory) if "hangup-metrics" in os.readlink(f"{directory}/{n}")]
    assert stat.S_IMODE(os.stat(f"{directory}/{name}").st_mode) == 0o600
    with open(f"{directory}/{name}", "r+b") as memory, pytest.raises(PermissionError):
        memory.truncate(0)
    with open(f"/proc/{family.pid}/fdinfo/{name}") as info:
        flags = next(line for line in info if line.startswith("flags")).split()[1]
    assert int(flags, 8) & os.O_CLOEXEC


def runs_sleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"


def test_what_cannot_be_read_is_said() -> None:
    """A process without counters, one that is not there, one whose memory is somebody else's."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        assert wait_until(lambda: runs_sleep(stranger.pid), 10)
        with pytest.raises(LookupError, match=str(stranger.pid)):
            metrics.read(stranger.pid)
        stranger.kill()
    with pytest.raises(ProcessLookupError):
        metrics.read(stranger.pid)
    impostor = os.memfd_create("hangup-metrics")
    try:
        pid = os.getpid()
        # Not sealed: it could be cut off while it is read.
        child = subprocess.Popen(["sleep", "60"], pass_fds=[impostor])
        with child:
            assert wait_until(lambda: runs_sleep(child.pid), 10)
            with pytest.raises(NotImplementedError):
                metrics.read(child.pid)
            child.kill()
        assert pid in metrics.read(pid).workers
    finally:
        os.close(impostor)


def test_stats_agree_with_the_family_s_entry_of_this_process(pair: tuple[SafeSocket, socket.socket]) -> None:
    """One set of numbers, two ways to read it."""
    counted = metrics.read().workers[os.getpid()]
    stats = hangup.stats()
    assert {name: counted[name] for name in stats if name in counted} == {
        name: value for name, value in stats.items() if name in counted
    }
    assert counted["adopted"] > 0


def test_hang_ups_are_told_by_stack_and_cause(pair: tuple[SafeSocket, socket.socket]) -> None:
    """The labels add up to the counter of their name."""
    ours, theirs = pair
    before = metrics.read().total
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    theirs.close()
    with pytest.raises(hangup.PeerGone):
        ours.recv(1)
    for _ in range(2):
        with pytest.raises(hangup.PeerGone):
            ours.sendall(b"x")
    after = metrics.read().total
    grown = {
        name: after[name] - before[name]
        for name in after
        if name.startswith("peer_gone") and after[name] > before[name]
    }
    assert grown == {
        "peer_gone": 3,
        'peer_gone{stack="socket",cause="reset"}': 1,
        'peer_gone{stack="socket",cause="pipe"}': 2,
    }


def test_a_connection_s_life_is_in_the_histogram(pair: tuple[SafeSocket, socket.socket]) -> None:
    """Recorded once, at its close."""
    name = 'connection_duration_seconds{stack="socket"}'
    before = metrics.read().histograms[name]
    pair[0].close()
    after = metrics.read().histograms[name]
    assert after.number == before.number + 1
    assert before.sum < after.sum < before.sum + 10
    assert len(after.counts) == len(after.bounds) + 1
