"""Machines of a network: namespaces, with a switch between them whose cables can be pulled."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


class Network:
    """Of machines, which have addresses and loopback. The switch is a machine too, which is always reached."""

    def __init__(self, machines: list[str]) -> None:
        self._ip = shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin") or pytest.skip(
            "ip (iproute2) is not installed"
        )
        self._prefix = f"hangup-{os.getpid()}-{next(_numbers)}-"
        #: Of the switch.
        self.address = "198.18.0.1"
        self._machines = ["switch", *machines]

    def begin(self) -> None:
        for name in self._machines:
            made = subprocess.run(
                [self._ip, "netns", "add", self._prefix + name], capture_output=True, text=True
            )
            if made.returncode:
                pytest.skip(f"no network namespace can be made: {made.stderr.strip()}")
            self._run(name, "link set lo up")
        self._run("switch", "link add bridge type bridge")
        self._run("switch", f"addr add {self.address}/24 dev bridge")
        self._run("switch", "link set bridge up")
        for number, name in enumerate(self._machines[1:], 2):
            self._run("switch", f"link add {name} type veth peer name cable netns {self._prefix}{name}")
            self._run(name, f"addr add 198.18.0.{number}/24 dev cable")
            self._run(name, "link set cable up")
            self._run("switch", f"link set {name} up")
            self.plug_in(name)

    def end(self) -> None:
        for name in self._machines:
            subprocess.run([self._ip, "netns", "delete", self._prefix + name], capture_output=True)

    def pull_out(self, name: str) -> None:
        """Whatever the machine sends is lost, and so is what is sent to it. Nobody is told."""
        self._run("switch", f"link set {name} nomaster")

    def plug_in(self, name: str) -> None:
        self._run("switch", f"link set {name} master bridge")

    def renumber(self, name: str) -> None:
        """Gives the machine another address: its connections are not answered any more, but new ones are."""
        number = self._machines.index(name) + 1
        self._run(name, "addr flush dev cable")
        self._run(name, f"addr add 198.18.0.{100 + number}/24 dev cable")

    def _run(self, name: str, command: str) -> None:
        subprocess.run([self._ip, "-n", self._prefix + name, *command.split()], check=True)

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """What this thread opens or starts is on that machine; threads that others start are not."""
        with Path("/proc/thread-self/ns/net").open("rb") as here:
            with Path(f"/var/run/netns/{self._prefix}{name}").open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def network(*machines: str) -> Iterator[Network]:
    built = Network(list(machines))
    try:
        built.begin()
        yield built
    finally:
        built.end()
