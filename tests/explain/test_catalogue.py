"""The catalogue: complete, on its page, and with a sample of everything that leaves a line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hangup import logfilter
from hangup._explain.catalogue import FAILURES
from hangup._explain.document import document
from hangup._logs import judge
from text import SAMPLES, code_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def test_there_is_an_entry_for_each_of_the_failure_modes_and_no_code_twice() -> None:
    """HUP001 to HUP037 are the catalogue of the design; what is above is of proxies and workers."""
    codes = [failure.code for failure in FAILURES]
    assert [f"HUP{number:03}" for number in range(1, 38)] == codes[:37]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"HUP0\d\d", code) for code in codes)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.code)
def test_every_entry_says_everything(failure: object) -> None:
    """Why, what to do, what not to do; and a sign for each that is in logs."""
    told = failure._asdict()  # type: ignore[attr-defined]
    for name in ("title", "why", "do", "avoid", "versions", "source"):
        assert told[name], name
    knows = any(told[name] for name in ("signs", "endings", "texts", "departures"))
    assert knows or not told["logged"]
    for sign in told["signs"]:
        assert bool(sign.line) != bool(sign.raises), sign
        assert bool(sign.line) == bool(sign.needle), sign


def test_what_the_log_filter_knows_belongs_to_one_failure_each() -> None:
    """No ending, text or cause of the filter is without an entry, and none is in two."""
    endings = Counter(name for failure in FAILURES for name in failure.endings)
    assert set(endings) == {ending.type for ending in logfilter.ENDINGS}
    texts = Counter(text for failure in FAILURES for text in failure.texts)
    assert set(texts) == {text.begins for row in logfilter.TABLE.values() for text in row.texts}
    labels = Counter(label for failure in FAILURES for label in failure.departures)
    known = {*judge.DISCONNECTS.values(), *judge.WITHOUT_ERRNO.values(), judge.LEFT, "tls_end"}
    assert set(labels) >= known
    assert max((endings | texts | labels).values()) == 1


def test_everything_that_leaves_a_line_has_a_sample() -> None:
    """What real servers printed, or, named so, what was composed after their source."""
    sampled = {code_of(sample) for sample in SAMPLES}
    assert {failure.code for failure in FAILURES if failure.logged} - sampled == set()


@pytest.mark.skipif(not PAGE.exists(), reason="needs the source tree")
def test_the_page_is_what_the_catalogue_gives() -> None:
    """`make docs` writes it."""
    assert PAGE.read_text() == document()
