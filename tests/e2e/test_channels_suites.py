"""The suites of Channels and daphne, each once stock and once with hangup in what they test: every outcome is the same.

They are in ``.suites``, where ``make setup`` clones the versions that its Makefile names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SUITES = ROOT / ".suites"
#: Seconds.
PLAY = 240


class Suite(NamedTuple):
    """A checkout, which is also the package that its tests import."""

    name: str
    #: What is first on the path, besides.
    beside: tuple[str, ...]
    options: tuple[str, ...]
    #: Tests that pass, at least: fewer would compare nothing.
    least: int
    #: What hangup has to be part of: of so many, at least.
    met: dict[str, int]

    def __str__(self) -> str:
        return self.name


class Run(NamedTuple):
    """What became of the tests."""

    outcomes: dict[str, str]
    failures: dict[str, str]
    met: Counter[str]


#: Their browser tests need Selenium.
CHANNELS = ("-o", "asyncio_mode=auto", "--ignore", "tests/sample_project/tests")
DAPHNE = ("-p", "no:django")
NEW_CHANNELS = Suite(
    "channels-4.3.2", (".daphne/4",), CHANNELS, 75, {"site": 1, "application": 45, "consumer": 30}
)
NEW_DAPHNE = Suite("daphne-4.2.2", (".daphne/4",), DAPHNE, 60, {"site": 1, "application": 60})
ALL = [
    NEW_CHANNELS,
    # The newest Django that it knows.
    Suite(
        "channels-4.0.0",
        (".django/4.2", ".daphne/4"),
        CHANNELS,
        55,
        {"site": 1, "application": 35, "consumer": 25},
    ),
    NEW_DAPHNE,
    NEW_DAPHNE._replace(name="daphne-4.0.0", least=55),
]

CONSUMERS = ("tests/test_generic_websocket.py", "-k", "not block")
WEBSOCKETS = ("tests/test_websocket.py", "-k", "test_accept or test_reject or frames or subprotocols")


def play(suite: Suite, directory: Path, mode: str, *only: str) -> Run:
    """Runs the tests in a process of their own, with ``HANGUP=mode``."""
    directory.mkdir()
    checkout = SUITES / suite.name
    path = [checkout, HERE, SUITES / "needs", *(ROOT / part for part in suite.beside)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(directory),  # where daphne's tests keep what their servers met
        "HANGUP": mode,
        "SUITE": suite.name.partition("-")[0],
        "SUITE_OUTCOMES": str(directory / "outcomes.json"),
        "SUITE_MET": str(directory / "met"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "suite_with_hangup", "-p", "no:randomly", "-p", "no:cacheprovider",
         "-W", "ignore", "--hypothesis-seed", "1", "--timeout", "60", *suite.options, *(only or ("tests",))],
        cwd=checkout, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PLAY,
        check=False,
    )  # fmt: skip
    assert (directory / "outcomes.json").exists(), done.stdout[-4000:] + done.stderr[-4000:]
    met = directory / "met"
    return Run(
        **json.loads((directory / "outcomes.json").read_text()),
        met=Counter(met.read_text().splitlines() if met.exists() else ()),
    )


def difference(stock: Run, ours: Run) -> dict[str, str]:
    """Of each test that ended in another way, how, and why it failed."""
    ends = {
        test: (stock.outcomes.get(test), ours.outcomes.get(test)) for test in stock.outcomes | ours.outcomes
    }
    return {
        test: f"{was} stock, {now} with hangup\n{ours.failures.get(test) or stock.failures.get(test, '')}"
        for test, (was, now) in ends.items()
        if was != now
    }


def compare(suite: Suite, directory: Path, *only: str) -> tuple[Run, Run]:
    """Fails with the difference. What differs gets a second chance: they have deadlines of a second or less."""
    needed = [SUITES / suite.name, SUITES / "needs", *(ROOT / part for part in suite.beside)]
    if missing := [str(part.relative_to(ROOT)) for part in needed if not (part / "ready").exists()]:
        pytest.skip(f"{' and '.join(missing)} cannot be found: make setup")
    for package in ("channels", "hypothesis"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    stock = play(suite, directory / "stock", "off", *only)
    ours = play(suite, directory / "hangup", "on", *only)
    if doubtful := difference(stock, ours):
        again = [play(suite, directory / f"again-{mode}", mode, *doubtful) for mode in ("off", "on")]
        assert difference(*again) == {}, "\n\n".join(difference(*again).values())
    return stock, ours


def passed(run: Run) -> int:
    return Counter(run.outcomes.values())["passed"]


@pytest.mark.parametrize(
    ("suite", "only", "least"),
    [(NEW_CHANNELS, CONSUMERS, 15), (NEW_DAPHNE, WEBSOCKETS, 4)],
    ids=["channels", "daphne"],
)
def test_websockets_pass_as_they_do_stock(
    tmp_path: Path, suite: Suite, only: tuple[str, ...], least: int
) -> None:
    """A sample of what follows."""
    stock, ours = compare(suite, tmp_path, *only)
    assert passed(stock) >= least, stock.failures
    assert not stock.met
    assert ours.met["application"] >= least
    assert bool(ours.met["consumer"]) == (suite is NEW_CHANNELS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", ALL, ids=str)
def test_every_test_ends_as_it_does_stock(tmp_path: Path, suite: Suite) -> None:
    """And hangup was part of what they tested."""
    stock, ours = compare(suite, tmp_path)
    assert passed(stock) >= suite.least, stock.failures
    assert not stock.met
    assert {what: ours.met[what] >= least for what, least in suite.met.items()} == dict.fromkeys(
        suite.met, True
    ), ours.met
