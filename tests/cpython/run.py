"""Runs CPython's ``test.test_socket`` with the adapter for ``socket.socket``; prints one line of JSON.

It needs a process of its own, and ends it, with a traceback of all threads, when the time is over.

usage: run.py SECONDS [CLASS ...]    without classes: all of them
"""

from __future__ import annotations

import faulthandler
import json
import socket  # noqa: F401  # what follows derives from its class while that is still the stock one
import ssl  # noqa: F401
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import adapter
from expected import HANGS


class Report(unittest.TestResult):
    """What became of each test, by ``Class.method``, and which of them asked for a stream socket."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}  # the traceback
        self.left_out: dict[str, str] = {}  # the reason
        self.with_streams: list[str] = []
        self._asked = 0

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._asked = adapter.count.asked

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        if adapter.count.asked > self._asked:
            self.with_streams.append(name_of(test))

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.passed.append(name_of(test))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.left_out[name_of(test)] = reason

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.failed[name_of(test)] = self.failures[-1][1]

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.failed[name_of(test)] = self.errors[-1][1]

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed[name_of(test)] = (self.failures + self.errors)[-1][1]


def name_of(test: Any) -> str:
    """``Class.method``; for a class or module that could not be set up, what unittest calls it."""
    name = str(test.id())
    return name.partition("test_socket.")[2] or name


def cases(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for item in suite:
        found += cases(item) if isinstance(item, unittest.TestSuite) else [item]
    return found


def main(seconds: float, classes: list[str]) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True)
    answer, sys.stdout = sys.stdout, sys.stderr  # tests print
    import test.support

    test.support.use_resources = ["cpu", "walltime", "largefile"]  # no network
    adapter.install()
    import test.test_socket as module

    wanted = [
        test
        for test in cases(unittest.defaultTestLoader.loadTestsFromModule(module))
        if (not classes or type(test).__name__ in classes) and not any(name in test.id() for name in HANGS)
    ]
    report = Report()
    unittest.TestSuite(wanted).run(report)
    faulthandler.cancel_dump_traceback_later()
    outcome = {
        "classes": sorted({type(test).__name__ for test in wanted}),
        "passed": report.passed,
        "failed": report.failed,
        "skipped": report.left_out,
        "with_streams": report.with_streams,
        "made": adapter.count.made,
    }
    print(json.dumps(outcome), file=answer)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
