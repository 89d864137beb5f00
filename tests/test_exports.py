"""The public names, and what costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import hangup
import pytest


@pytest.mark.parametrize("name", hangup.__all__)
def test_each_public_name_exists(name: str) -> None:
    """`__all__` promises nothing that is not there."""
    assert getattr(hangup, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hangup.nonsense  # type: ignore[attr-defined]


def test_stats_is_flat_and_whole() -> None:
    """{name: int}, with the native totals and the log filter's."""
    stats = hangup.stats()
    assert all(type(value) is int for value in stats.values())
    assert {"open", "adopted", "closed", "ownership_violations", "writes_prevented"} <= stats.keys()
    assert any(name.startswith("log_") for name in stats)


def test_status_names_version_and_mode() -> None:
    """A process without a server has no integrations to speak of."""
    status = hangup.status()
    assert status["version"] == hangup.__version__
    assert status["mode"] in ("on", "observe", "off")


@pytest.mark.parametrize(
    ("value", "mode"),
    [("", "on"), ("ON", "on"), ("observe", "observe"), ("off", "off"), ("0", "off"), ("nonsense", "off")],
)
def test_the_switch_is_read_from_the_environment(value: str, mode: str) -> None:
    """An unknown value is the safe one, with a warning."""
    done = subprocess.run(
        [sys.executable, "-c", "import hangup; print(hangup.status()['mode'])"],
        env={"HANGUP": value}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == mode
    assert ("is none of on, observe, off" in done.stderr) == (value == "nonsense")


def test_install_is_idempotent_and_reversible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice is once; uninstall leaves gunicorn's logger as it was."""
    import logging

    monkeypatch.delenv("HANGUP", raising=False)
    logger = logging.getLogger("gunicorn.error")
    before = list(logger.filters)
    hangup.install()
    hangup.install()
    assert len(logger.filters) == len(before) + 1
    hangup.uninstall()
    assert logger.filters == before
