"""The examples that come with hangup are in order: a doctor that complains of them is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor.test_planted import found_in

pytest.importorskip("crossplane")
pytest.importorskip("yaml")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def fixed() -> list[Path]:
    """Each example; of those that show a complaint too, the folder in which it is mended."""
    found = []
    for example in sorted(path for path in EXAMPLES.glob("*") if path.is_dir()):
        mended = example / "hangup"
        if mended.is_dir():
            found.append(mended)
        elif not (example / "stock").exists():
            found.append(example)
    return found


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs the source tree")
@pytest.mark.parametrize("example", fixed(), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_nothing_is_found(example: Path) -> None:
    """On a machine with enough descriptors."""
    assert found_in(example) == []
