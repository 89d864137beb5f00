"""docs/logging.md says what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hangup import logfilter
from hangup._logs.document import document

PAGE = Path(__file__).resolve().parents[1] / "docs" / "logging.md"


@pytest.mark.skipif(not PAGE.exists(), reason="needs the source tree")
def test_the_page_is_what_the_table_gives() -> None:
    """`make docs` writes it."""
    assert PAGE.read_text() == document()


def test_every_row_and_every_ending_is_on_it() -> None:
    """With what is matched by text."""
    page = " ".join(document().split())
    for name, row in logfilter.TABLE.items():
        assert f"### `{name}`" in page
        assert row.means
        assert not row.looks_like or all(text.why in page for text in row.texts)
    assert all(ending.why in page for ending in logfilter.ENDINGS)
