"""Two machines, each with two workers, and one Redis: network namespaces, and cables that are pulled out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from emit_app import GEVENT, GTHREAD, OLD_GTHREAD, STOCK, Client, Service, ids, serve
from hangup import metrics
from hangup._demo.server import wait_until
from namespaces import Network, network

CHANNEL = "flask-socketio"


class Redis:
    """At the switch, where it is reached by whoever is plugged in."""

    def __init__(self, net: Network, directory: Path) -> None:
        self._library = pytest.importorskip("redis")
        self._program = shutil.which("redis-server") or pytest.skip("redis-server is not installed")
        self._net, self._directory = net, directory
        self.url = f"redis://{net.address}:6379/0"
        self.start()

    def start(self) -> None:
        options = ["--protected-mode", "no", "--save", "", "--appendonly", "no"]
        with self._net.inside("switch"):
            self._process = subprocess.Popen(
                [self._program, *options],
                cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        assert wait_until(lambda: self.subscribers() is not None, 10)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def subscribers(self) -> Optional[int]:
        """None while it does not answer."""
        return self._ask(lambda client: client.pubsub_numsub(CHANNEL)[0][1])

    def publish(self, message: dict[str, Any]) -> None:
        """As a process does that has no hangup."""
        self._ask(lambda client: client.publish(CHANNEL, json.dumps(message)))

    def _ask(self, question: Any) -> Any:
        with self._net.inside("switch"), contextlib.closing(self._library.Redis.from_url(self.url)) as client:
            try:
                return question(client)
            except self._library.ConnectionError:
                return None


class Machine:
    """A service, and its clients."""

    def __init__(self, net: Network, name: str, service: Service) -> None:
        self.net, self.name, self.service = net, name, service
        self.workers = 2 if service.is_native else 1
        self.clients: list[Client] = []

    def run(self, code: str, **values: Any) -> Any:
        with self.net.inside(self.name):
            return self.service.run(code, **values)

    def join(self, count: int) -> None:
        """Has that many clients come, until each worker has some."""
        with self.net.inside(self.name):
            self.clients += [self.service.client() for _ in range(count)]
            there = {client.call("run", "result = os.getpid()") for client in self.clients}
            assert len(there) == self.workers

    @property
    def pids(self) -> set[int]:
        """Of its workers; unknown without hangup."""
        if not self.service.is_native:
            return {0}
        return set(metrics.read(self.service.server.process.pid).serving)

    def is_complete(self) -> bool:
        """Whether all its workers serve."""
        return len(self.pids) == self.workers

    def lost(self) -> int:
        """Messages."""
        if not self.service.is_native:
            return 0
        total = metrics.read(self.service.server.process.pid).total
        return total["sibling_messages_lost"] + total["queue_messages_lost"]


@contextlib.contextmanager
def two_machines(
    directory: Path, *stacks: Any, clients: int = 4, **env: str
) -> Iterator[tuple[Network, Redis, Machine, Machine]]:
    """Each hears Redis by one of its workers."""
    with contextlib.ExitStack() as kept:
        net = kept.enter_context(network("left", "right"))
        redis = Redis(net, directory)
        kept.callback(redis.kill)
        options = json.dumps({"message_queue": redis.url})
        machines = []
        for name, stack in zip(("left", "right"), stacks):
            own = directory / name
            own.mkdir()
            with net.inside(name):
                service = kept.enter_context(
                    serve(own, stack, "-w", "1" if stack == STOCK else "2", OPTIONS=options, **env)
                )
            machine = Machine(net, name, service)
            machines.append(machine)
            assert wait_until(machine.is_complete, 20), service.server.log
        for machine in machines:
            machine.join(clients)  # a stock one listens from its first client on
        assert wait_until(lambda: redis.subscribers() == 2, 20), [one.service.server.log for one in machines]
        crosses(*machines)
        yield net, redis, machines[0], machines[1]
        for machine in machines:
            assert "Traceback" not in machine.service.server.log


def crosses(*machines: Machine, seconds: float = 20) -> float:
    """Has each machine emit until everybody hears it of all machines. Returns how long that took."""
    began = time.monotonic()
    for machine in machines:
        word = f"from {machine.name} {began}"
        everybody = [client for one in machines for client in one.clients]

        def heard(machine: Machine = machine, word: str = word, everybody: list[Client] = everybody) -> bool:
            machine.run("socketio.emit('probe', word)", word=word)
            return wait_until(lambda: all(word in client.values("probe") for client in everybody), 0.5)

        assert wait_until(heard, seconds), [client.values("probe") for client in everybody]
    return time.monotonic() - began


def have(clients: list[Client], event: str, wanted: list[Any], seconds: float = 20) -> None:
    """They hear this and nothing else, in order."""
    assert wait_until(lambda: all(len(client.values(event)) >= len(wanted) for client in clients), seconds), [
        len(client.values(event)) for client in clients
    ]
    for client in clients:
        assert client.values(event) == wanted


@pytest.mark.parametrize(
    "stacks",
    [
        (GTHREAD, GTHREAD),
        pytest.param((GEVENT, GTHREAD), marks=pytest.mark.slow),
        pytest.param((STOCK, GTHREAD), marks=pytest.mark.slow),
        pytest.param((OLD_GTHREAD, OLD_GTHREAD), marks=pytest.mark.slow),
    ],
    ids=lambda pair: "+".join(map(ids, pair)),
)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # a client that reads packets where they come cannot end itself
def test_emits_cross_and_each_enters_a_machine_once(tmp_path: Path, stacks: Any) -> None:
    """Broadcasts, rooms, binary, one client, calls that are answered, and disconnects; both ways."""
    with two_machines(tmp_path, *stacks) as (_, redis, left, right):
        assert redis.subscribers() == 2  # of four workers
        everybody = left.clients + right.clients
        for here, there in ((left, right), (right, left)):
            for client in everybody:
                client.heard.clear()
            sids = [client.sid for client in there.clients]
            code = """
for number in range(100):
    socketio.emit('news', number)
    socketio.emit('binary', {'number': number, 'data': [b'1', b'2']}, to=sids[0])
for sid in sids[:3]:
    server.enter_room(sid, 'red')
socketio.emit('red', 1, to='red')
server.leave_room(sids[2], 'red')
socketio.emit('red', 2, to='red', skip_sid=sids[1])
result = [socketio.call('question', sid, to=sid, timeout=10) for sid in sids]
socketio.close_room('red')
socketio.emit('red', 3, to='red')
"""
            assert here.run(code, sids=sids) == [f"{sid}?" for sid in sids]
            have(everybody, "news", list(range(100)))
            binary = [{"number": number, "data": [b"1", b"2"]} for number in range(100)]
            here.run("socketio.emit('end')")
            have(everybody, "end", [()])
            for number, client in enumerate(there.clients):
                assert client.values("binary") == (binary if number == 0 else [])
                assert client.values("red") == [[1, 2], [1], [1], []][number]
        awaited = """
result = [one for known in server.manager.callbacks.values() for number, one in known.items() if number]
result = list(map(str, result))
"""
        natives = [client for one in (left, right) if one.service.is_native for client in one.clients]
        assert not any(client.call("run", awaited) for client in natives), "somebody answered already"
        left.run("server.disconnect(sid)", sid=right.clients[0].sid)
        assert right.clients[0].left.wait(10)
        assert not any(client.left.is_set() for client in everybody if client is not right.clients[0])
        if OLD_GTHREAD not in stacks:
            everybody = everybody[:4] + everybody[5:]
            message = {"method": "emit", "event": "foreign", "data": [1], "namespace": "/", "host_id": "x"}
            redis.publish(message)
            have(everybody, "foreign", [1])
        for machine in (left, right):
            assert not machine.lost()


def test_a_partition_heals(tmp_path: Path) -> None:
    """Of ten seconds: local clients notice nothing, and others hear what was said meanwhile when it is over."""
    with two_machines(tmp_path, GTHREAD, GTHREAD) as (net, redis, left, right):
        pids = left.pids, right.pids
        began = time.monotonic()
        net.pull_out("right")
        said: dict[str, dict[int, list[int]]] = {"left": {}, "right": {}}
        number, slowest = 0, 0.0
        while time.monotonic() < began + 10:
            for machine in (left, right):
                asked = time.monotonic()
                code = f"socketio.emit({machine.name!r}, {number}); result = os.getpid()"
                said[machine.name].setdefault(machine.run(code), []).append(number)
                assert machine.service.everybody_has(machine.clients, machine.name, number + 1)
                slowest = max(slowest, time.monotonic() - asked)
            number += 1
            time.sleep(0.02)
        assert not right.clients[0].values("left")
        net.plug_in("right")
        healed = crosses(left, right)
        assert slowest < 2
        assert healed < 15
        have(left.clients, "left", list(range(number)))
        have(right.clients, "right", list(range(number)))
        for client in left.clients:  # for whom it waited, in each worker
            assert wait_until(lambda client=client: len(client.values("right")) >= number, 20)
            assert sorted(client.values("right")) == list(range(number))
            assert by_worker(client.values("right"), said["right"]) == said["right"]
        for client in right.clients:
            heard = client.values("left")
            assert len(set(heard)) == len(heard)
            for worker, numbers in by_worker(heard, said["left"]).items():
                assert numbers == [one for one in said["left"][worker] if one in heard]
        assert (left.pids, right.pids) == pids
        assert wait_until(lambda: redis.subscribers() == 2, 10)
        for machine in (left, right):
            assert not machine.lost()


def by_worker(heard: list[int], said: dict[int, list[int]]) -> dict[int, list[int]]:
    """What was heard of each; nobody promises an order among several."""
    return {worker: [one for one in heard if one in set(numbers)] for worker, numbers in said.items()}


def subscriber(machine: Machine) -> int:
    """The pid of the worker that hears Redis."""
    code = "result = server.manager.subscription.passes_on and os.getpid()"
    found = {client.call("run", code) for client in machine.clients} - {False}
    assert len(found) == 1
    return int(found.pop())


@pytest.mark.slow
def test_the_worker_that_hears_redis_is_killed(tmp_path: Path) -> None:
    """Another one takes over."""
    with two_machines(tmp_path, GTHREAD, GTHREAD) as (_, redis, left, right):
        victim = subscriber(right)
        there = {client: client.call("run", "result = os.getpid()") != victim for client in right.clients}
        os.kill(victim, signal.SIGKILL)
        right.clients = [client for client in right.clients if there[client]]
        assert crosses(left, right) < 10
        assert subscriber(right) != victim
        assert wait_until(lambda: redis.subscribers() == 2, 10)


@pytest.mark.slow
def test_nothing_is_lost_while_workers_come_and_go(tmp_path: Path) -> None:
    """The one that leaves hears Redis until another one does: its clients move, and hear each emit once."""
    with two_machines(tmp_path, GTHREAD, GTHREAD) as (_, redis, left, right):
        before = right.pids
        code = """
def emit():
    for number in range(400):
        socketio.emit('news', number)
        time.sleep(0.01)
socketio.start_background_task(emit)
"""
        left.run(code)
        os.kill(right.service.server.process.pid, signal.SIGHUP)
        have(left.clients, "news", list(range(400)), 30)
        have(right.clients, "news", list(range(400)), 30)
        assert wait_until(lambda: len(right.pids) == 2 and not right.pids & before, 20)
        assert not any(client.left.is_set() for client in right.clients)
        assert wait_until(lambda: redis.subscribers() == 2, 10)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=ids)
def test_what_a_worker_says_last_is_said(tmp_path: Path, stack: Any) -> None:
    """It does not end before Redis has it."""
    with two_machines(tmp_path, stack, GTHREAD) as (_, _, left, right):
        code = """
import atexit, signal
def say():
    for number in range(2000):
        socketio.emit('last', number)
atexit.register(say)
os.kill(os.getpid(), signal.SIGTERM)
"""
        left.run(code)
        have(right.clients, "last", list(range(2000)))


@pytest.mark.slow
@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=ids)
def test_redis_ends_and_comes_back(tmp_path: Path, stack: Any) -> None:
    """What was said meanwhile is heard late; nobody is restarted."""
    with two_machines(tmp_path, stack, stack) as (_, redis, left, right):
        pids = left.pids, right.pids
        redis.kill()
        left.run("for number in range(50): socketio.emit('news', number)")
        have(left.clients, "news", list(range(50)), 5)
        redis.start()
        crosses(left, right)
        have(right.clients, "news", list(range(50)))
        assert (left.pids, right.pids) == pids


@pytest.mark.slow
def test_a_connection_that_nobody_answers_is_made_anew(tmp_path: Path) -> None:
    """Though it is not broken, as far as its machine knows."""
    with two_machines(tmp_path, GTHREAD, GTHREAD) as (net, _, left, right):
        net.renumber("right")
        right.run("for number in range(50): socketio.emit('news', number)")
        have(right.clients, "news", list(range(50)), 5)
        crosses(left, right, seconds=40)
        have(left.clients, "news", list(range(50)))
        assert right.service.server.log.count("the message queue is heard again") == 1


@pytest.mark.slow
def test_redis_hangs(tmp_path: Path) -> None:
    """Nobody who emits waits for it."""
    with two_machines(tmp_path, GEVENT, GTHREAD) as (_, redis, left, right):
        redis._process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        for machine in (left, right):
            machine.run(f"for number in range(50): socketio.emit({machine.name!r}, number)")
            have(machine.clients, machine.name, list(range(50)), 5)
        assert time.monotonic() - began < 10
        redis._process.send_signal(signal.SIGCONT)
        crosses(left, right)
        have(left.clients, "right", list(range(50)))
        have(right.clients, "left", list(range(50)))
