"""What the native core says reaches logging, also from native threads while Python is busy."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emit_app import GEVENT, GTHREAD, ids, serve
from hangup import _diagnostics, _hangup
from hangup._demo.server import wait_until

HELD = 1.0


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Everything that the loggers of hangup are asked for."""
    logger, kept = logging.getLogger("hangup"), Kept()
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    _diagnostics.listen()
    yield kept
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)
    _diagnostics.refresh()


def said(kept: Kept) -> list[Any]:
    return [record for record in kept.records if record.name == "hangup.test"]


def test_native_threads_do_not_wait_for_the_interpreter(kept: Kept) -> None:
    """Eight of them speak while it is held for a second."""
    threads, count = 8, 50
    usleep = ctypes.PyDLL(None).usleep  # PyDLL: the interpreter is not let go of
    began = time.time()
    _hangup.say_from_threads(threads, count)
    usleep(int(HELD * 1e6))
    ended = time.time()
    assert ended - began >= HELD
    assert wait_until(lambda: len(said(kept)) == threads * count, 10)
    assert all(began <= record.created < ended - HELD / 2 for record in said(kept))
    assert {record.levelname for record in said(kept)} == {"INFO"}
    for thread in range(threads):
        own = [record for record in said(kept) if record.threadName == f"native-{thread}"]
        assert [record.fields for record in own] == [
            {"thread": str(thread), "number": str(number)} for number in range(count)
        ]
        assert own[0].getMessage() == f"said thread={thread} number=0"


def test_what_nobody_asks_for_is_not_said(kept: Kept) -> None:
    logging.getLogger("hangup").setLevel(logging.WARNING)
    _diagnostics.refresh()
    _hangup.say_from_threads(1, 10)
    logging.getLogger("hangup").setLevel(logging.INFO)
    _diagnostics.refresh()
    _hangup.say_from_threads(1, 1)
    assert wait_until(lambda: len(said(kept)) >= 1, 10)
    assert len(said(kept)) <= 11  # a thread may have begun late


def test_what_comes_too_fast_is_counted(kept: Kept) -> None:
    _hangup.say_from_threads(4, 5000)
    ctypes.PyDLL(None).usleep(500_000)
    pattern = re.compile(r"(\d+) native log lines were lost")

    def lost() -> int:
        found = [pattern.search(record.getMessage()) for record in kept.records]
        return sum(int(one[1]) for one in found if one)

    assert wait_until(lambda: len(said(kept)) + lost() == 20_000, 20), (len(said(kept)), lost())
    assert lost() > 0


def test_a_handler_that_raises_ends_nothing(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told on stderr, as logging does; the lines behind the one that it failed at are said."""
    failing, logger = [True], logging.getLogger("hangup.test")

    def fails_once(_record: logging.LogRecord) -> bool:
        if failing:
            raise RuntimeError(f"a handler's own bug: {failing.pop()}")
        return True

    logger.addFilter(fails_once)
    _hangup.say_from_threads(1, 10)
    assert wait_until(lambda: len(said(kept)) == 9, 10)
    _hangup.say_from_threads(1, 10)
    assert wait_until(lambda: len(said(kept)) == 19, 10)
    logger.removeFilter(fails_once)
    assert "a handler's own bug: True" in capsys.readouterr().err


def test_a_forked_child_says_its_own_things(kept: Kept) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _diagnostics.listen()
        kept.records.clear()
        _hangup.say_from_threads(2, 3)
        wait_until(lambda: len(said(kept)) == 6, 10)
        os.write(writer, str(len(said(kept))).encode())
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 10) == b"6"
    os.close(reader)
    assert os.waitpid(pid, 0)[1] == 0
    assert said(kept) == []


@pytest.mark.parametrize("stack", [GTHREAD, GEVENT], ids=ids)
def test_the_life_of_a_websocket(tmp_path: Path, stack: Any) -> None:
    """In a worker, with the number of its connection; and nothing at the level that everybody has."""
    with serve(tmp_path, stack) as service:
        client = service.client()
        client.socket.disconnect()
        code = "import logging; logging.getLogger('hangup').setLevel(logging.DEBUG)"
        assert wait_until(lambda: not service.server.ask()["sockets"], 10)
        assert "hangup.websocket" not in service.server.log
        assert "taken over" not in service.server.log
        service.run(code)
        client = service.client()
        client.socket.disconnect()
        pattern = r" over connection=(\d+) code=\d+ reason=.* cause=(\w+) received=\d+ sent=\d+"

        def ends() -> list[tuple[str, str]]:
            return re.findall(pattern, service.server.log)

        assert wait_until(lambda: len(ends()) == 1, 10), service.server.log
        (taken,) = re.findall(r"taken over connection=(\d+) fd=\d+", service.server.log)
        (over,) = ends()
        assert over in [(taken, "left"), (taken, "peer"), (taken, "transport")]
        assert "Traceback" not in service.server.log
