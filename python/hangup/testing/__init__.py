"""Helpers for the tests of an application that runs under hangup.

Promised: standard library only, Linux only where the kernel's own books are read, and nothing here changes
how the process under test behaves. `fd_census` says which descriptors a process holds; the fault clients
leave a connection in each of the ways real clients do (reset, half-close, stall, vanish).

Not promised: these are clients and books for tests, not for production code.
"""

from __future__ import annotations

from hangup.testing.census import Census, CensusDifference, fd_census
from hangup.testing.clients import StalledReader, connect, half_close, reset, vanish

__all__ = [
    "Census",
    "CensusDifference",
    "StalledReader",
    "connect",
    "fd_census",
    "half_close",
    "reset",
    "vanish",
]
