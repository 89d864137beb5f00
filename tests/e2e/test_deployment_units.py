"""The files beside the applications of the deployments, judged by the programs that read them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deployments.environment import Missing
from deployments.machine import unit
from deployments.site import HANGUP, STOCK, Site

pytestmark = pytest.mark.deployments


@pytest.fixture(params=[STOCK, HANGUP])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """The folder, as it was or with hangup; nothing runs."""
    try:
        return Site("currency-exchange", request.param, tmp_path)
    except Missing as missing:
        pytest.skip(str(missing))


def test_systemd_finds_nothing_wrong_with_the_units(exchange: Site) -> None:
    """With programs in the place of those that are installed there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    units = sorted((exchange.folder / "systemd").iterdir())
    for path in units:
        path.write_text(
            path.read_text().replace("/srv/currency-exchange/venv/bin", str(Path(sys.executable).parent))
        )
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    timers = [path.name for path in units if path.suffix == ".timer"]
    assert bool(timers) == (exchange.variant == STOCK)


def test_logrotate_understands_the_configuration(exchange: Site) -> None:
    """Without rotating anything."""
    if shutil.which("logrotate") is None:
        pytest.skip("logrotate is not installed")
    configuration = exchange.folder / "logrotate.conf"
    configuration.chmod(0o644)
    state = exchange.directory / "state"
    done = subprocess.run(
        ["logrotate", "--debug", "--state", state, configuration], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert "error" not in done.stderr


@pytest.mark.parametrize("name", ["currency-exchange", "pg2"])
def test_gunicorn_accepts_the_configuration(name: str, tmp_path: Path) -> None:
    """And loads the application with it."""
    try:
        site = Site(name, HANGUP, tmp_path)
    except Missing as missing:
        pytest.skip(str(missing))
    done = subprocess.run(
        ["gunicorn", "--check-config", "--config", "gunicorn.conf.py", "app:app"],
        cwd=site.folder, env=site.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_unit_is_read_as_it_is_written() -> None:
    """With other places, the longer one first."""
    text = "[Service]\nExecStart=/srv/x/venv/bin/gunicorn --config /srv/x/g.py\nEnvironment=A=1\nEnvironment=B=%h"
    described = unit(text, {"/srv/x": "/here", "/srv/x/venv/bin/": ""})["Service"]
    assert described["ExecStart"] == "gunicorn --config /here/g.py"
    assert described["Environment"] == "B=%h"
