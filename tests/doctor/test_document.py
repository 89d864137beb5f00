"""docs/doctor.md says what the rules say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hangup._doctor.document import document
from hangup._doctor.registry import SERIES, rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"


@pytest.mark.skipif(not PAGE.exists(), reason="needs the source tree")
def test_the_page_is_what_the_rules_give() -> None:
    """`make docs` writes it."""
    assert PAGE.read_text() == document()


def test_every_rule_says_all_there_is_to_say() -> None:
    """Each in sentences; names are unique."""
    every = rules().values()
    assert len({rule.name for rule in every}) == len(every)
    for rule in every:
        assert re.fullmatch(r"HUP[1-7]\d\d", rule.code)
        assert re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)+", rule.name)
        assert rule.code[3] in SERIES
        assert rule.severity in ("error", "warning", "info")
        assert rule.wrong.endswith(".")
        assert rule.seen
        assert rule.mend
        assert rule.hangup
        assert rule.source
