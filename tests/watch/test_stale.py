"""Files that a dead gunicorn left behind: removed when that can be proven, and only then."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hangup._watch import processes, stale
from hangup._watch.stale import clean, judge_pid_file, judge_socket


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is neither a Python nor a gunicorn."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_socket_that_nobody_has_is_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "gunicorn.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    verdict = clean(path, judge_socket)
    assert verdict is not None
    assert verdict.is_stale
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("listens", [True, False])
def test_a_socket_that_somebody_has_stays(tmp_path: Path, listens: bool) -> None:
    """Also before it listens, when it refuses."""
    path = str(tmp_path / "gunicorn.sock")
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(path)
        if listens:
            held.listen()
        verdict = clean(path, judge_socket)
        assert verdict is not None
        assert not verdict.is_stale
        assert os.path.exists(path)


def test_what_is_no_socket_stays_and_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        verdict = clean(str(tmp_path / name), judge_socket)
        assert verdict is not None
        assert not verdict.is_stale
    assert clean(str(tmp_path / "nothing"), judge_socket) is None
    assert clean(str(tmp_path / "no" / "folder"), judge_socket) is None


def test_a_pid_file_of_nobody_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    path = tmp_path / "gunicorn.pid"
    path.write_text(f"{ended.pid}\n")
    verdict = clean(str(path), partial(judge_pid_file, known={}))
    assert verdict is not None
    assert verdict.is_stale
    assert not path.exists()


def test_a_number_that_was_given_again_is_told_by_when_its_process_began(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "gunicorn.pid"
    path.write_text(str(sleeper.pid))
    found = processes.process(sleeper.pid)
    assert found is not None
    for known, is_stale in (
        ({sleeper.pid: found.started}, False),
        ({sleeper.pid: found.started - 100}, True),
    ):
        verdict = judge_pid_file(str(path), known)
        assert verdict is not None
        assert verdict.is_stale is is_stale, verdict


def test_a_stranger_that_began_after_the_file_was_written_did_not_write_it(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "gunicorn.pid"
    path.write_text(str(sleeper.pid))
    verdict = judge_pid_file(str(path), {})
    assert verdict is not None
    assert not verdict.is_stale  # written while it ran
    os.utime(path, (1e9, 1e9))
    verdict = judge_pid_file(str(path), {})
    assert verdict is not None
    assert verdict.is_stale
    path.write_text(str(os.getpid()))
    os.utime(path, (1e9, 1e9))
    verdict = judge_pid_file(str(path), {})
    assert verdict is not None
    assert not verdict.is_stale  # a Python: it may be what wrote it, if the clock was set


@pytest.mark.parametrize("text", ["", "0", "-1", "1 2", "\x00", "abc", "99999999999999999999", "9" * 200])
def test_a_pid_file_without_a_number_stays_unless_nobody_can_have_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gunicorn.pid"
    path.write_text(text)
    verdict = judge_pid_file(str(path), {})
    assert verdict is not None
    assert verdict.is_stale is (text.startswith("9999999999"))


def test_a_file_that_came_in_its_place_meanwhile_is_put_back(tmp_path: Path) -> None:
    path = str(tmp_path / "gunicorn.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with socket.socket(socket.AF_UNIX) as fresh:

        def judge_and_be_overtaken(asked: str) -> stale.Verdict:
            verdict = judge_socket(asked)
            os.rename(path, tmp_path / "old")  # keeps its inode, so that it is not given again
            fresh.bind(path)
            fresh.listen()
            assert verdict is not None
            return verdict

        verdict = clean(path, judge_and_be_overtaken)
        assert verdict is not None
        assert not verdict.is_stale
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    assert sorted(os.listdir(tmp_path)) == ["gunicorn.sock", "old"]
