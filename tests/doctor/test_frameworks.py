"""The rules inside Django and Flask: the same findings, by their way of saying it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from doctor.projects import APP, CHANNELS, REQUIREMENTS
from doctor.test_command import RUN
from doctor.test_planted import write

MANAGE = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["hangup.django"], ROOT_URLCONF="urls", SECRET_KEY="x", SILENCED_SYSTEM_CHECKS={silenced!r},
    MIDDLEWARE=["hangup.django.DisconnectMiddleware"], DEBUG=False, ALLOWED_HOSTS=["a"],
)
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
FOLDER = {
    "urls.py": "urlpatterns = []\n",
    "requirements.txt": REQUIREMENTS,
    "gunicorn.conf.py": "reload = True\n",
    "app.py": APP,
}
SITE = "import hangup.flask\nfrom flask import Flask\napp = Flask(__name__)\nhangup.flask.Hangup(app)\n"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python, in a folder."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def ids(said: subprocess.CompletedProcess[str]) -> list[str]:
    """The checks that Django named, of the series that do not depend on the machine."""
    return [
        each
        for each in re.findall(r"hangup\.(\w+)\b(?=[):])", said.stdout + said.stderr)
        if "HUP3" not in each
    ]


def test_manage_py_check_asks_the_rules(tmp_path: Path) -> None:
    """About the deployment; with --deploy about the sources as well. None of these ends another command."""
    pytest.importorskip("django")
    write({**FOLDER, "manage.py": MANAGE.format(silenced=[])}, tmp_path)
    said = run(tmp_path, "manage.py", "check")
    assert said.returncode == 0
    assert ids(said) == ["HUP102"]
    assert "gunicorn.conf.py:1: reload is on" in said.stderr
    deployed = run(tmp_path, "manage.py", "check", "--deploy", "--tag", "hangup")
    assert deployed.returncode == 0
    assert sorted(ids(deployed)) == ["HUP101", "HUP102"]


def test_the_deployment_is_that_of_the_base_dir(tmp_path: Path) -> None:
    """If the settings have one: a service may run anywhere."""
    pytest.importorskip("django")
    source = MANAGE.format(silenced=[]).replace(
        "DEBUG=False", f"DEBUG=False, BASE_DIR={str(tmp_path / 'site')!r}"
    )
    write({"urls.py": "urlpatterns = []\n", "manage.py": source}, tmp_path)
    write(FOLDER, tmp_path / "site")
    assert ids(run(tmp_path, "manage.py", "check")) == ["HUP102"]


def test_manage_py_hangup_doctor_fails_if_something_is_found(tmp_path: Path) -> None:
    """And what is silenced is not."""
    pytest.importorskip("django")
    write({**FOLDER, "manage.py": MANAGE.format(silenced=[])}, tmp_path)
    said = run(tmp_path, "manage.py", "hangup", "doctor")
    assert said.returncode == 1
    assert "hangup.HUP101: gunicorn.conf.py: the worker is sync" in said.stdout
    assert "Traceback" not in said.stderr
    write(
        {"manage.py": MANAGE.format(silenced=["hangup.HUP101", "hangup.HUP102", "hangup.HUP302"])}, tmp_path
    )
    silenced = run(tmp_path, "manage.py", "hangup", "doctor")
    assert silenced.returncode == 0, silenced.stdout
    assert "nothing to mend" in silenced.stdout


def test_a_live_setting_and_the_one_in_the_file_are_judged_by_one_rule(tmp_path: Path) -> None:
    """``manage.py check`` says hangup.E002 of what the command line calls HUP607."""
    pytest.importorskip("django")
    live = MANAGE.format(silenced=[]).replace("DEBUG=False", "DEBUG=False, HANGUP={'LOG': 'shout'}")
    write({"urls.py": "urlpatterns = []\n", "manage.py": live}, tmp_path)
    said = run(tmp_path, "manage.py", "check")
    what = "HANGUP['LOG'] is one of demote, drop, count, not 'shout'"
    assert (said.returncode, ids(said)) == (1, ["E002"])
    assert what in said.stderr
    still = tmp_path / "still"
    write(
        {**CHANNELS, "board/settings.py": CHANNELS["board/settings.py"] + "HANGUP = {'LOG': 'shout'}\n"},
        still,
    )
    told = run(still, "-c", RUN, "doctor")
    assert f"HUP607 board/settings.py:9: {what}" in told.stdout


def test_flask_hangup_doctor(tmp_path: Path) -> None:
    """What is guarded, then what is wrong; status 1 if anything is."""
    pytest.importorskip("flask")
    write({"site_app.py": SITE, "requirements.txt": REQUIREMENTS}, tmp_path)
    well = run(tmp_path, "-m", "flask", "--app", "site_app", "hangup", "doctor")
    assert well.returncode == 0, well.stderr
    assert re.search(r"^hangup \S+, HANGUP=on$", well.stdout, re.MULTILINE)
    assert "nothing found" in well.stdout
    write({"Procfile": "web: flask run\n"}, tmp_path)
    ill = run(tmp_path, "-m", "flask", "--app", "site_app", "hangup", "doctor")
    assert ill.returncode == 1
    assert "HUP117 Procfile:1: flask run is started by procfile" in ill.stdout
