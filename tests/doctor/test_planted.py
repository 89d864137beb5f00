"""Each rule finds what it is for, where it is, and nothing else; and nothing in the sound twin."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor.planted import PLANTED
from doctor.planting import Planted
from hangup._doctor import Asked, Finding, examine, gather
from hangup._doctor.facts import Machine
from hangup._doctor.registry import rules

pytest.importorskip("crossplane")
pytest.importorskip("yaml")


def write(files: dict[str, str], folder: Path) -> None:
    """Real files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def found_in(folder: Path, limits: tuple[int, int] = (65536, 4096)) -> list[Finding]:
    """What the doctor says of a folder, on a machine with these limits and an empty environment."""
    facts = gather(Asked((str(folder),), environment={}))
    facts.machine = Machine(*limits)
    return examine(facts)


IDS = [f"{each.code}-{number}" for number, each in enumerate(PLANTED)]


@pytest.mark.parametrize("planted", PLANTED, ids=IDS)
def test_a_planted_fault_is_found_where_it_is(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its rule alone."""
    monkeypatch.chdir(tmp_path)
    write(planted.files, tmp_path)
    found = found_in(tmp_path, planted.limits)
    assert {(each.code, f"{each.place.file}:{each.place.line}") for each in found} == {
        (planted.code, planted.place)
    }


@pytest.mark.parametrize("planted", PLANTED, ids=IDS)
def test_the_sound_twin_has_no_findings(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no rule."""
    monkeypatch.chdir(tmp_path)
    write(planted.sound, tmp_path)
    assert found_in(tmp_path, planted.limits) == []


def test_every_rule_has_a_planted_fault() -> None:
    """And so a sound twin; there are forty and more."""
    assert {planted.code for planted in PLANTED} == set(rules())
    assert len(PLANTED) >= 40
