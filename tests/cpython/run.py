"""Runs CPython's ``test.test_socket`` with the adapter for ``socket.socket``; prints JSON. Its own process.

usage: run.py [CLASS ...]    without classes: everything but VSOCK, which hangs on machines without it
"""

from __future__ import annotations

import faulthandler
import json
import socket
import ssl  # noqa: F401  # derives from socket.socket while that is still the stock one
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
faulthandler.dump_traceback_later(200, exit=True)

import adapter  # noqa: E402

socket.socket = adapter.Adapter  # type: ignore[misc, assignment]

import test.test_socket as cases  # noqa: E402


def flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for item in suite:
        found += flat(item) if isinstance(item, unittest.TestSuite) else [item]
    return found


def main(classes: list[str]) -> None:
    tests = flat(unittest.defaultTestLoader.loadTestsFromModule(cases))
    wanted = (
        [t for t in tests if type(t).__name__ in classes]
        if classes
        else [t for t in tests if "VSOCK" not in t.id().upper()]
    )
    if hasattr(cases, "setUpModule"):
        cases.setUpModule()
    result = unittest.TextTestRunner(verbosity=0, stream=sys.stderr).run(unittest.TestSuite(wanted))

    def ids(rows: list[tuple[Any, str]]) -> dict[str, str]:
        return {short(str(row[0].id())): row[1].strip().splitlines()[-1] for row in rows}

    report = {
        "ran": result.testsRun,
        "streams": adapter.made,
        "skipped": len(result.skipped),
        "failed": {**ids(result.failures), **ids(result.errors)},
    }
    print(json.dumps(report))


def short(name: str) -> str:
    return name.partition("test_socket.")[2] or name


if __name__ == "__main__":
    main(sys.argv[1:])
