"""What the service manager is told: by a watch as the main process, on a socket that stands in for systemd's."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from drill import config, get, service, strike
from hangup._demo.server import wait_until
from hangup._watch import attached, systemd
from hangup._watch.attached import Attached
from hangup._watch.systemd import Notifier

_CREDENTIALS = struct.Struct("=iII")


class Manager(threading.Thread):
    """Listens as systemd does, and takes note of who speaks."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.messages: list[tuple[float, int, dict[str, str]]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            except socket.timeout:
                continue
            pid = _CREDENTIALS.unpack(ancillary[0][2])[0]
            told = dict(line.partition("=")[::2] for line in data.decode().splitlines())
            self.messages.append((time.monotonic(), pid, told))

    def said(self, name: str) -> list[str]:
        return [told[name] for _, _, told in list(self.messages) if name in told]

    def wait(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        assert wait_until(condition, seconds), self.messages

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """One, at either kind of address."""
    found = Manager(str(tmp_path / "notify") if request.param == "file" else f"@hangup-test-{os.getpid()}")
    yield found
    found.end()


def test_a_service_is_ready_when_it_answers_and_is_petted_until_it_stops(
    manager: Manager, tmp_path: Path
) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
    with service(tmp_path, "--workers", "1", **environment) as (watched, port):
        manager.wait(lambda: bool(manager.said("READY")))
        assert get(port) is not None
        manager.wait(lambda: len(manager.said("WATCHDOG")) >= 5)
        manager.wait(lambda: any("1 workers" in text for text in manager.said("STATUS")))
        os.kill(watched.process.pid, signal.SIGHUP)
        manager.wait(lambda: bool(manager.said("RELOADING")))
        manager.wait(lambda: len(manager.said("READY")) == 2)
        assert watched.end() == 0
    assert manager.said("STOPPING") == ["1"]
    assert manager.said("EXTEND_TIMEOUT_USEC")
    (reloading,) = (told for _, _, told in manager.messages if "RELOADING" in told)
    assert abs(int(reloading["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 60
    # NotifyAccess=main: whoever else speaks is not heard; gunicorn, which would say READY too early, is silent.
    assert {pid for _, pid, _ in manager.messages} == {watched.process.pid}


@pytest.mark.slow
def test_a_service_that_does_not_answer_is_not_petted(tmp_path: Path) -> None:
    manager = Manager(f"@hangup-hung-{os.getpid()}")
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    options = ("--hung-after", "30", "--restarts", "0", "--config", str(config(tmp_path, timeout=0.5)))
    try:
        with service(tmp_path, "--workers", "1", options=options, **environment) as (watched, port):
            manager.wait(lambda: bool(manager.said("READY")) and bool(manager.said("WATCHDOG")))
            strike(port, "/hang?", 0, lambda answer: answer is None)
            watched.wait("suspect")
            manager.wait(lambda: _petted_late(manager), 15)
            os.kill(watched.process.pid, signal.SIGQUIT)
    finally:
        manager.end()


def _petted_late(manager: Manager) -> bool:
    """Whether the last pet is older than five periods."""
    pets = [at for at, _, told in manager.messages if "WATCHDOG" in told]
    return time.monotonic() - pets[-1] > 1.0


@pytest.mark.slow
def test_a_port_that_is_taken_is_waited_for_and_the_start_gets_more_time(tmp_path: Path) -> None:
    manager = Manager(f"@hangup-port-{os.getpid()}")
    try:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            port = stranger.getsockname()[1]
            with service(tmp_path, "--workers", "1", port=port, NOTIFY_SOCKET=manager.address):
                manager.wait(lambda: bool(manager.said("EXTEND_TIMEOUT_USEC")))
                assert not manager.said("READY")
    finally:
        manager.end()


def test_without_a_manager_nothing_is_sent() -> None:
    assert not Notifier({}).send("READY=1")
    assert not Notifier({"NOTIFY_SOCKET": "/nowhere/at/all"}).send("READY=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "much"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_petted_if_it_waits_for_this_process(environ: dict[str, str], seconds: float) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/nowhere", **environ}).watchdog == seconds


def test_a_status_is_one_line_and_sent_when_it_changes(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    try:
        notifier = Notifier({"NOTIFY_SOCKET": manager.address})
        for text in ("one\ntwo", "one two", "three" * 1000):
            notifier.status(text)
        manager.wait(lambda: len(manager.said("STATUS")) == 2)
        assert manager.said("STATUS")[0] == "one two"
        assert len(manager.said("STATUS")[1]) <= 400
    finally:
        manager.end()


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what a stand-in for systemctl says of the unit."""
    script = tmp_path / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" = restart ] || cat {tmp_path}/told\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "has_systemctl", lambda: True)

    def tell(**told: str) -> None:
        (tmp_path / "told").write_text("".join(f"{name}={value}\n" for name, value in told.items()))

    return tell


def test_the_main_process_of_a_unit_is_watched_and_the_unit_restarted(
    unit: Callable[..., None], tmp_path: Path
) -> None:
    unit(MainPID=str(os.getpid()), ActiveState="active", SubState="running", Result="success")
    found = Attached(unit="app.service")
    master = found.master()
    assert master is not None
    assert master.pid == os.getpid()
    found.restart(lambda _text: None)
    assert "restart -- app.service" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("active", "sub", "result", "is_its_business"),
    [
        ("failed", "failed", "exit-code", False),
        ("inactive", "dead", "success", True),
        ("activating", "auto-restart", "exit-code", True),
        ("deactivating", "stop-sigterm", "success", True),
    ],
)
def test_what_systemd_does_itself_and_what_an_operator_stopped_is_left_alone(
    unit: Callable[..., None], active: str, sub: str, result: str, is_its_business: bool
) -> None:
    unit(MainPID="0", ActiveState=active, SubState=sub, Result=result)
    found = Attached(unit="app.service")
    assert found.master() is None
    assert found.is_starting is is_its_business
    assert active in found.ended


def test_a_process_in_somebody_elses_unit_does_not_restart_that(
    unit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gunicorn that cron or a supervisor started."""
    monkeypatch.setattr(attached.processes, "read", lambda _path: "0::/system.slice/cron.service\n")
    unit(MainPID="1", ActiveState="active", SubState="running", Result="success")
    assert attached.unit_of(os.getpid()) is None
    unit(MainPID=str(os.getpid()), ActiveState="active", SubState="running", Result="success")
    assert attached.unit_of(os.getpid()) == "cron.service"
