"""A whole log: every bug is found, none is lost, whatever is between them."""

from __future__ import annotations

import io
import itertools

import pytest
from hangup._explain.families import Families, Kind
from hangup._explain.reading import Log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text import SAMPLES, code_of

#: What stands in its own line, ends its line, and does not begin with what a traceback could go on with.
TEXTS = [sample.read_text().rstrip("\n").split("\n") for sample in SAMPLES]
CODES = [code_of(sample) for sample in SAMPLES]
BETWEEN = [
    ["[2026-11-22 07:31:24 +0000] [42] [INFO] Booting worker with pid: 42"],
    ['127.0.0.1 - - [22/Nov/2026:07:31:24 +0000] "GET /Error?x=Traceback HTTP/1.1" 200 12 "-" "curl"'],
    ["2026-11-22 07:31:24,123 INFO app.views no Error here"],
]


def bug(number: int, how: int) -> list[str]:
    """A traceback of the user's, each at a line of its own."""
    trace = [
        "Traceback (most recent call last):",
        '  File "/srv/venv/lib/python3.11/site-packages/gunicorn/workers/gthread.py", line 559, in handle',
        "    keepalive = self.handle_request(req, conn)",
        f'  File "/srv/app/rooms.py", line {number}, in join',
        "    return players[name]",
        "           ~~~~~~~^^^^^^",
        f"KeyError: 'player {number}'",
    ]
    heads = [
        "[2026-11-22 07:31:24 +0000] [42] [ERROR] Error handling request /rooms",
        "2026-11-22 07:31:24,123 ERROR app.rooms it went wrong",
        "ERROR:app:it went wrong",
        "Internal Server Error: /rooms",
    ]
    return [heads[how % len(heads)], *trace] if how else trace


def sort(text: bytes, block: int = 0) -> Families:
    families = Families()
    log = Log(families.add)
    stream = io.BytesIO(text)
    if block:
        stream.read1 = lambda _size=-1: stream.read(block)  # type: ignore[method-assign]
    log.read(stream, "a test")
    assert log.size == len(text)
    return families


def bugs(families: Families) -> dict[int, int]:
    """How often the bug of each line was found."""
    found = {}
    for family in families.sorted(Kind.BUG):
        place = family.place
        assert place is not None, family.example
        assert place.path == "/srv/app/rooms.py", family.example
        found[place.line] = family.count
    return found


PIECES = st.one_of(
    st.tuples(st.just("sample"), st.integers(0, len(TEXTS) - 1), st.just(0)),
    st.tuples(st.just("bug"), st.integers(1, 5), st.integers(0, 4)),
    st.tuples(st.just("between"), st.integers(0, len(BETWEEN) - 1), st.just(0)),
)


def lines_of(piece: tuple[str, int, int]) -> list[str]:
    kind, number, how = piece
    return {"sample": TEXTS, "between": BETWEEN}[kind][number] if kind != "bug" else bug(number, how)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=25), st.integers(1, 300))
def test_all_bugs_are_told_apart_from_all_failures(pieces: list[tuple[str, int, int]], block: int) -> None:
    """In any order, read in blocks of any size."""
    text = "".join(f"{line}\n" for piece in pieces for line in lines_of(piece)).encode()
    families = sort(text, block)
    planted = [number for kind, number, _ in pieces if kind == "bug"]
    assert bugs(families) == {number: planted.count(number) for number in planted}
    codes = {CODES[number] for kind, number, _ in pieces if kind == "sample"}
    assert {family.code for family in families.sorted(Kind.TROUBLE, Kind.NOISE)} == codes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(PIECES, max_size=6), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_lines_of_several_processes_are_told_apart_by_what_journald_says(
    logs: list[list[tuple[str, int, int]]], random: object
) -> None:
    """Line by line, in any order that keeps those of each process."""
    queues = [[line for piece in log for line in lines_of(piece)] for log in logs]
    text = []
    while any(queues):
        pid = random.choice([pid for pid, queue in enumerate(queues) if queue])  # type: ignore[attr-defined]
        text.append(f"Nov 22 07:31:24 web1 gunicorn[{100 + pid}]: {queues[pid].pop(0)}\n")
    families = sort("".join(text).encode())
    planted = [number for kind, number, _ in itertools.chain(*logs) if kind == "bug"]
    assert bugs(families) == {number: planted.count(number) for number in planted}


def test_one_file_with_everything() -> None:
    """Each sample twice between planted bugs: counts are exact, and times are found."""
    pieces = [piece for lines in TEXTS for piece in (lines, bug(88, 1), lines, BETWEEN[1])]
    families = sort("".join(f"{line}\n" for piece in pieces for line in piece).encode())
    assert bugs(families) == {88: len(TEXTS)}
    counted: dict[str, int] = {}
    for family in families.sorted(Kind.TROUBLE, Kind.NOISE):
        counted[family.code] = counted.get(family.code, 0) + family.count
    assert counted == {code: 2 * CODES.count(code) for code in CODES}
    [first] = families.sorted(Kind.BUG)
    assert first.since is not None
    assert first.since.isoformat(timespec="seconds") == "2026-11-22T07:31:24+00:00"


def test_errors_without_a_traceback_are_kept() -> None:
    """By what they say, without their figures."""
    text = "".join(
        f"2026-11-22 07:31:24,123 ERROR app.pay order {number} was not paid\n" for number in range(9)
    )
    families = sort((text + "2026-11-22 07:31:24,123 ERROR app.mail no answer\n").encode())
    assert [(family.kind, family.count) for family in families.sorted()] == [(Kind.BUG, 9), (Kind.BUG, 1)]


def test_no_more_families_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is counted together, bugs apart from the others."""
    monkeypatch.setattr("hangup._explain.families._FAMILIES_AT_MOST", 5)
    text = "".join(f"{line}\n" for number in range(1, 50) for line in bug(number, 0))
    found = sort(text.encode()).sorted()
    assert len(found) <= 6
    assert sum(family.count for family in found) == 49
    assert {family.kind for family in found} == {Kind.BUG}
