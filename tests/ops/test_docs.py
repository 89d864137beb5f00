"""docs/metrics.md has the table of what is counted: ``UPDATE_DOCS=1 pytest tests/ops/test_docs.py`` writes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hangup import _exposition

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the source tree")
def test_the_table_is_current() -> None:
    """Each metric, its kind, labels and text, as they are exported."""
    text = PAGE.read_text()
    before, _, rest = text.partition("<!-- metrics -->\n")
    table, marker, after = rest.partition("<!-- /metrics -->")
    assert marker
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(f"{before}<!-- metrics -->\n{_exposition.markdown()}{marker}{after}")
    else:
        assert table == _exposition.markdown()


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the source tree")
def test_the_page_names_files_that_exist() -> None:
    """Links, and what they point to."""
    for link in re.findall(r"\]\((ops/[\w.]+)\)", PAGE.read_text()):
        assert (PAGE.parent / link).is_file()
