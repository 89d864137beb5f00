"""Whose requests leave descriptors behind: leaks are named, and nothing else is, however it opens and closes."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from hangup import _endpoints, _routes, _suspects

#: What a service opens without leaking. Each is called with the number of the request.
Habit = Callable[[int], None]


class Service:
    """Requests, and what they open. Everything is closed in the end."""

    def __init__(self) -> None:
        self.tracker = _endpoints.Tracker()
        self.stack = contextlib.ExitStack()
        self.numbers = itertools.count()
        self.names = ["GET /a", "GET /b", "POST /a", "GET /c"]

    def request(self, name: str, *habits: Habit) -> None:
        number = next(self.numbers)
        self.tracker.begin(number)
        for habit in habits:
            habit(number)
        self.tracker.end(number, name)

    def named(self) -> list[str]:
        return [endpoint.name for endpoint in self.tracker.figures() if endpoint.is_leaking]

    def open_file(self) -> Any:
        return self.stack.enter_context(open("/dev/null"))

    # What services do.

    def waits_for_its_database(self, _number: int) -> None:
        time.sleep(0.001)

    def uses_a_file(self, _number: int) -> None:
        with open("/proc/self/status") as file:
            file.read(10)

    def rotates_its_log(self) -> Habit:
        logs: list[Any] = []

        def habit(number: int) -> None:
            if number % 500 == 0:
                file = tempfile.TemporaryFile()  # noqa: SIM115
                logs.append(self.stack.enter_context(file))
                if len(logs) > 1:
                    logs.pop(0).close()

        return habit

    def warms_a_pool_up(self, size: int, every: int) -> Habit:
        server = self.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=size))
        pool: collections.deque[Any] = collections.deque()
        places = iter(range(size))

        def habit(number: int) -> None:
            if number % every == 0 and next(places, None) is not None:
                pool.append(self.stack.enter_context(socket.create_connection(server.getsockname())))
            with contextlib.suppress(IndexError):
                connection = pool.popleft()
                connection.send(b"?")
                pool.append(connection)

        return habit

    def keeps_one_for_each_thread(self) -> Habit:
        local = threading.local()

        def habit(_number: int) -> None:
            if not hasattr(local, "file"):
                local.file = self.open_file()

        return habit

    def caches_files(self, size: int) -> Habit:
        cache: collections.OrderedDict[int, Any] = collections.OrderedDict()

        def habit(_number: int) -> None:
            key = random.randrange(50)
            if key not in cache:
                cache[key] = self.open_file()
                if len(cache) > size:
                    cache.popitem(last=False)[1].close()

        return habit

    def leaves_cycles(self) -> Habit:
        class Node:
            me: Any
            number: int

            def __del__(self) -> None:
                os.close(self.number)

        def habit(number: int) -> None:
            if number % 100 == 0:
                node = Node()
                node.me, node.number = node, os.open("/dev/null", os.O_RDONLY)

        return habit

    def leaks(self, every: int) -> Habit:
        count = itertools.count(1)

        def habit(_number: int) -> None:
            if next(count) % every == 0:
                self.open_file()

        return habit


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    with service.stack:
        yield service


def has_passed_alone(request: pytest.FixtureRequest) -> bool:
    """In a process of its own: threads and descriptors that other tests have left count as this application's."""
    if "ALONE" in os.environ:
        return False
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
    environment = {**os.environ, "ALONE": "1"}
    done = subprocess.run(
        command, env=environment, cwd=request.config.rootpath, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return True


def test_one_in_a_hundred_is_named(
    service: Service, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    """Once, and the endpoint beside it is not. Two that take turns within microseconds are told apart later than in a
    thousand requests if the censuses, which are rationed, come late (a real server: e2e/test_descriptors.py).
    """
    if has_passed_alone(request):
        return
    leaks, requests = service.leaks(100), 0
    while not service.named() and requests < 6000:
        requests += 1
        service.request("GET /leaks", leaks, service.uses_a_file)
        service.request("GET /fine", service.uses_a_file)
    assert service.named() == ["GET /leaks"]
    assert caplog.text.count("leave descriptors behind") == 1
    assert "GET /leaks" in caplog.text
    assert "device /dev/null" in caplog.text
    worst = service.tracker.figures()[0]
    assert (worst.name, worst.requests) == ("GET /leaks", requests)
    assert worst.left_behind >= 6


@pytest.mark.parametrize(
    ("calm", "every", "within"), [(25_000, 100, 1_500), (0, 2_000, 30_000)], ids=["late", "rare"]
)
def test_a_leak_that_comes_late_or_is_rare_is_named(
    service: Service, calm: int, every: int, within: int, request: pytest.FixtureRequest
) -> None:
    """Of one endpoint of four, when nothing has appeared for long: most requests are not looked at then."""
    if has_passed_alone(request):
        return
    chance, asked = random.Random(1), 0
    for _ in range(calm):
        service.request(chance.choice(service.names), service.uses_a_file)
    leaks = service.leaks(every)
    while not service.named() and asked < within:
        name = chance.choice(service.names)
        if name != "GET /a":
            service.request(name, service.uses_a_file)
            continue
        asked += 1
        service.request(name, lambda _, number=asked: leaks(number))  # type: ignore[misc]
    assert service.named() == ["GET /a"]


def test_a_request_that_ends_during_the_census_is_not_forgotten(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it can beside other threads: it has left what was found, though it does not run any more."""
    tracker, is_client = service.tracker, _endpoints.is_client

    def while_it_ends(description: Any) -> bool:
        monkeypatch.setattr(_endpoints, "is_client", is_client)
        tracker.end("leaks", "GET /leaks")
        return is_client(description)

    service.request("GET /fine")
    tracker.begin("leaks")
    service.open_file()
    monkeypatch.setattr(_endpoints, "is_client", while_it_ends)
    until = time.monotonic() + 10
    while not tracker._suspects and time.monotonic() < until:  # censuses are rationed
        service.request("GET /fine")
    assert [one.window.names.get("GET /leaks") for one in tracker._suspects.values()] == [1]


def concurrently(service: Service, requests: int, threads: int, one: Callable[[random.Random], None]) -> None:
    """So many in all."""

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(requests // threads):
            one(chance)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def test_a_leak_among_threads_is_named(service: Service, request: pytest.FixtureRequest) -> None:
    """Four threads, one endpoint."""
    if has_passed_alone(request):
        return
    habits = [service.leaks(100), service.uses_a_file, service.waits_for_its_database]
    for _ in range(6):
        if not service.named():
            concurrently(service, 1400, 4, lambda _: service.request("GET /leaks", *habits))
    assert service.named() == ["GET /leaks"]


def innocent(service: Service, requests: int) -> None:
    """Threads whose requests do all that services do."""
    habits = [
        service.uses_a_file,
        service.rotates_its_log(),
        service.warms_a_pool_up(12, 40),
        service.keeps_one_for_each_thread(),
        service.caches_files(20),
        service.leaves_cycles(),
    ]
    concurrently(service, requests, 6, lambda chance: service.request(chance.choice(service.names), *habits))
    assert service.named() == []


def test_a_service_without_a_leak_is_not_named(service: Service) -> None:
    """A sample of the million."""
    innocent(service, 12_000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_service_without_a_leak_is_never_named(service: Service) -> None:
    """A million requests."""
    innocent(service, 1_000_000)


@pytest.mark.parametrize("habit", ["rotates_its_log", "keeps_one_for_each_thread", "leaves_cycles"])
def test_a_habit_alone_is_not_named(service: Service, habit: str) -> None:
    """One endpoint, one request at a time: there is nobody else to blame."""
    does = getattr(service, habit)()
    for _ in range(6000):
        service.request("GET /a", does)
    assert service.named() == []


def test_a_pool_that_grows_all_along_and_is_used_is_not_named(service: Service) -> None:
    """Its connections look like a leak, but for that they are used."""
    does = service.warms_a_pool_up(40, 60)
    for _ in range(3000):
        service.request("GET /a", does)
    assert service.named() == []


def test_what_a_background_thread_leaks_is_not_a_request_s(service: Service) -> None:
    """It appears between requests."""
    for number in range(3000):
        service.request("GET /a", service.uses_a_file)
        if number % 100 == 0:
            service.open_file()
    assert service.named() == []


def test_a_request_that_runs_for_hours_hides_no_leak(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream beside all others: whose requests leave something behind is told by when it appears."""
    monkeypatch.setattr(_endpoints, "LONG", 0.0)
    service.tracker.begin("a stream")
    leaks, chance = service.leaks(10), random.Random(1)
    for _ in range(2000):
        name = chance.choice(service.names)
        service.request(name, *([leaks] if name == "GET /a" else []), service.waits_for_its_database)
    assert service.named() == ["GET /a"]


def test_one_that_leaks_does_not_hide_another(service: Service) -> None:
    """That leaks less."""
    habits, chance = {"GET /more": service.leaks(20), "GET /less": service.leaks(40)}, random.Random(1)
    for _ in range(4000):
        name = chance.choice(list(habits))
        service.request(name, habits[name], service.waits_for_its_database)
    assert set(service.named()) == set(habits)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_clients_of_a_server_are_nobodys(service: Service, host: str) -> None:
    """Where it is not hangup that accepts: also of a server that listens at all addresses."""
    listener = service.stack.enter_context(socket.create_server((host, 0)))
    client = service.stack.enter_context(socket.create_connection(("127.0.0.1", listener.getsockname()[1])))
    accepted = service.stack.enter_context(listener.accept()[0])

    def survives(sock: socket.socket) -> bool:
        suspect = _suspects.Suspect(sock.fileno(), 0, _suspects.Window({}), 0.0)
        return _suspects.survivor_of(suspect) is not None

    assert survives(client)
    assert not survives(accepted)


def test_flask_without_signals_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.3 they need a library that may not be there; then to connect to one raises RuntimeError."""
    flask = pytest.importorskip("flask")

    class Signal:
        def connect(self, _receiver: object) -> None:
            raise RuntimeError("Signalling support is unavailable")

    monkeypatch.setattr(flask, "request_started", Signal())
    _routes.follow_flask()


def test_names_are_bounded_and_plain() -> None:
    """Whatever clients ask for."""
    tracker = _endpoints.Tracker()
    for number in range(600):
        tracker.begin(number)
        tracker.end(number, f"GET /{number}")
    assert len(tracker.figures()) == _endpoints.NAMES + 1
    for path, name in {
        "/users/42/posts": "GET /users/*/posts",
        "/a\nb": "GET /*",
        "/" + "x" * 5000: "GET /*",
        "/static/app.css": "GET /static/app.css",
    }.items():
        assert _routes.name_of({"REQUEST_METHOD": "GET", "PATH_INFO": path}) == name
    assert _routes.name_of({"REQUEST_METHOD": "EVIL\n", "PATH_INFO": "/"}) == "? /"


def test_a_child_begins_anew() -> None:
    """What its parent's requests left is not its own's."""
    _endpoints.tracker().end(1, "GET /")
    pid = os.fork()
    if not pid:
        os._exit(len(_endpoints.figures()))
    _endpoints.forget()
    assert os.waitpid(pid, 0)[1] == 0
