"""Logs as they are: compressed, cut off, of one endless line, changed while they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
from pathlib import Path

import pytest
from hangup._explain.families import Families, Kind
from hangup._explain.heads import moment
from hangup._explain.modules import module_of
from hangup._explain.reading import Log
from hangup._explain.tracebacks import parse
from hangup._hangup import Words
from hypothesis import assume, given
from hypothesis import strategies as st

BUG = (
    b"[2026-11-22 07:31:24 +0000] [42] [ERROR] Error handling request /rooms\n"
    b"Traceback (most recent call last):\n"
    b'  File "/srv/app/rooms.py", line 88, in join\n'
    b"KeyError: 'player'\n"
)
FILLER = b'127.0.0.1 - - [22/Nov/2026:07:31:24 +0000] "GET / HTTP/1.1" 200 12 "-" "curl"\n'


def read(*streams: io.BytesIO) -> tuple[Families, Log]:
    families = Families()
    log = Log(families.add)
    for stream in streams:
        log.read(stream, "a log")
    return families, log


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_log_is_read_by_what_it_is_not_by_its_name(compress: object) -> None:
    """gzip, bzip2, xz; and several after another."""
    stream = io.BytesIO(compress((FILLER + BUG) * 50))  # type: ignore[operator]
    families, log = read(stream, io.BytesIO(BUG))
    assert [family.count for family in families.sorted()] == [51]
    assert log.lines == 50 * 5 + 4
    assert not log.damages


@pytest.mark.parametrize("cut", [3, 20, 200, -5])
def test_a_compressed_log_that_is_cut_off_is_read_as_far_as_it_goes(cut: int) -> None:
    """And that is said."""
    whole = gzip.compress(b"".join(BUG.replace(b"88", b"%d" % number) for number in range(500)))
    _, log = read(io.BytesIO(whole[:cut]))
    assert len(log.damages) == 1


def test_what_is_compressed_wrongly_is_said() -> None:
    """Bytes in the middle are others."""
    whole = bytearray(gzip.compress(b"".join(BUG.replace(b"88", b"%d" % number) for number in range(500))))
    whole[len(whole) // 2] ^= 255
    _, log = read(io.BytesIO(bytes(whole)))
    assert len(log.damages) == 1


def test_memory_does_not_grow_with_the_log_nor_with_its_longest_line() -> None:
    """30 MB of one line, and as much of others that all tell something."""

    class Endless(io.RawIOBase):
        def __init__(self, piece: bytes, count: int, last: bytes) -> None:
            self.pieces = iter([*[piece] * count, last])

        def read(self, _size: int = -1) -> bytes:
            return next(self.pieces, b"")

    families = Families()
    log = Log(families.add)
    different = b"".join(b"ERROR:app:%d Error %s\n" % (number, b"x" * 500) for number in range(1000))
    tracemalloc.start()
    try:
        log.read(Endless(b"Traceback Error " * 6000, 300, b"\n" + BUG), "one line")  # type: ignore[arg-type]
        log.read(Endless(different, 20, BUG), "others")  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert log.size > 30_000_000
    assert peak < 12_000_000
    assert [family.count for family in families.sorted(Kind.BUG) if family.place] == [2]


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_nothing_breaks_it(junk: bytes, block: int) -> None:
    """Any bytes, in any blocks; a bug after them is found."""
    assume(not junk.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")))
    stream = io.BytesIO(junk + b"\n" + FILLER + BUG)
    stream.read1 = lambda _size=-1: stream.read(block)  # type: ignore[method-assign]
    families, _ = read(stream)
    found = [family.place for family in families.sorted(Kind.BUG)]
    assert any(place is not None and place.line == 88 for place in found)


@given(st.lists(st.text(max_size=60) | st.sampled_from(BUG.decode().splitlines()), max_size=40))
def test_no_text_breaks_the_parser(lines: list[str]) -> None:
    """It leaves out what it does not understand."""
    parse(lines)
    parse(["  + Exception Group Traceback (most recent call last):", *lines])


@given(
    st.lists(st.sampled_from([b"Error", b"a", b"", b"Traceback", b"x Error Error", b"Erro"])), st.booleans()
)
def test_lines_with_a_word_are_found_natively(lines: list[bytes], ended: bool) -> None:
    """Each once, by where it begins."""
    block = b"\n".join(lines) + b"\n" * ended
    begins = [sum(map(len, lines[:index])) + index for index in range(len(lines))]
    wanted = [at for at, line in zip(begins, lines) if b"Error" in line or b"Traceback" in line]
    assert Words([b"Error", b"Traceback"]).lines(block) == wanted


def test_a_log_that_is_truncated_while_it_is_read_ends_there(tmp_path: Path) -> None:
    """logrotate's copytruncate."""
    path = tmp_path / "log"
    path.write_bytes((FILLER * 3000 + BUG) * 5)
    families = Families()

    def emit(event: object) -> None:
        path.write_bytes(b"")
        families.add(event)  # type: ignore[arg-type]

    with path.open("rb") as stream:
        Log(emit).read(stream, "log")
    assert 1 <= sum(family.count for family in families.sorted()) <= 5


@pytest.mark.parametrize(
    ("printed", "iso"),
    [
        ("2026-11-22 07:31:24 +0000", "2026-11-22T07:31:24+00:00"),
        ("22/Nov/2026:07:31:24 +0100", "2026-11-22T07:31:24+01:00"),
        ("2026-11-22T07:31:24.123456789Z", "2026-11-22T07:31:24.123456+00:00"),
        ("2026-11-22T07:31:24+0000", "2026-11-22T07:31:24+00:00"),
        ("1795332684", "2026-11-22T07:31:24+00:00"),
        ("1795332684000000", "2026-11-22T07:31:24+00:00"),
    ],
)
def test_time_stamps_of_every_kind_are_understood(printed: str, iso: str) -> None:
    """With their zone; those without one are this machine's."""
    found = moment(printed)
    assert found is not None
    assert found.isoformat() == iso
    for local in ("2026/11/22 07:31:24", "2026-11-22 07:31:24,123", "22/Nov/2026 07:31:24"):
        assert moment(local) is not None
        assert moment(local).strftime("%m-%d %H:%M:%S") == "11-22 07:31:24"  # type: ignore[union-attr]
    assert moment("Nov 22 07:31:24") is not None
    assert moment("when it was") is None


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("/srv/venv/lib/python3.11/site-packages/gunicorn/workers/gthread.py", "gunicorn.workers.gthread"),
        ("/usr/lib/python3/dist-packages/gunicorn/util.py", "gunicorn.util"),
        ("/usr/lib/python3.11/http/server.py", "http.server"),
        ("C:\\Python311\\Lib\\socket.py", "socket"),
        ("C:\\srv\\venv\\Lib\\site-packages\\engineio\\socket.py", "engineio.socket"),
        ("/srv/venv/lib/python3.11/site-packages/flask_sock/__init__.py", "flask_sock"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
        ("src/gevent/greenlet.py", "gevent.greenlet"),
        ("uvloop/loop.pyx", "uvloop.loop"),
        ("/opt/deps/gunicorn/workers/sync.py", "gunicorn.workers.sync"),
        ("/srv/app/gunicorn/helpers.py", ""),
        ("/srv/app/lib/socket.py", ""),
        ("C:\\srv\\app\\lib\\socket.py", ""),
        ("<string>", ""),
        ("rooms.py", ""),
    ],
)
def test_a_file_is_a_librarys_only_where_libraries_are(path: str, module: str) -> None:
    """Else it is the user's."""
    assert module_of(path) == module
