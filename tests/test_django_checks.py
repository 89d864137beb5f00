"""Django's system checks, the setting, ``manage.py hangup`` and the health check: in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

pytest.importorskip("django")

ROOT = Path(__file__).resolve().parents[1]
HEALTH = ROOT / ".health" / "4"
LAST = "hangup.django.DisconnectMiddleware"
PLAIN = "django.middleware.common.CommonMiddleware"
MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

HASTY = """
class Hasty:
    def process_exception(self, request, exception):
        return None
"""
MANAGE = """
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["hangup.django"], ROOT_URLCONF="urls", SECRET_KEY="x", **{settings!r})
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""


def manage(
    folder: Path, *arguments: str, settings: Optional[dict[str, Any]] = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What ``manage.py`` says."""
    (folder / "urls.py").write_text("urlpatterns = []\n")
    (folder / "site_middleware.py").write_text(HASTY)
    (folder / "manage.py").write_text(
        MANAGE.format(settings={"MIDDLEWARE": [PLAIN, LAST], **(settings or {})})
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("HANGUP", "WEB_CONCURRENCY")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=folder, env={**kept, **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "environment", "ids"),
    [
        ({}, {}, []),
        ({"MIDDLEWARE": [PLAIN]}, {}, ["W001"]),
        ({"MIDDLEWARE": [LAST, PLAIN]}, {}, []),  # that one does not answer for exceptions
        ({"MIDDLEWARE": [LAST, "site_middleware.Hasty"]}, {}, ["E001"]),
        ({"MIDDLEWARE": [LAST, LAST]}, {}, ["E001"]),
        ({"HANGUP": {"STATUS": 499, "LOG": "drop"}}, {}, []),
        ({"HANGUP": {"STATUS": "many", "LOUD": True, "LOG": []}}, {}, ["E002", "E002", "E002"]),
        ({"HANGUP": "on"}, {}, ["E002"]),
        ({}, {"GUNICORN_CMD_ARGS": "-k eventlet -w 2"}, ["E003"]),
        ({}, {"GUNICORN_CMD_ARGS": "-k gevent -w 2"}, []),
        ({"CHANNEL_LAYERS": MEMORY}, {"WEB_CONCURRENCY": "1"}, []),
        ({"CHANNEL_LAYERS": MEMORY}, {"WEB_CONCURRENCY": "4"}, ["W002"]),
        ({"CHANNEL_LAYERS": MEMORY}, {"GUNICORN_CMD_ARGS": "--workers=3"}, ["W002"]),
        ({"CHANNEL_LAYERS": MEMORY, "SILENCED_SYSTEM_CHECKS": ["hangup.W002"]}, {"WEB_CONCURRENCY": "4"}, []),
        ({}, {"HANGUP": "off"}, ["I001"]),
    ],
)
def test_the_checks(
    settings: dict[str, Any], environment: dict[str, str], ids: list[str], tmp_path: Path
) -> None:
    """Each by its id; errors end ``manage.py check``."""
    done = manage(tmp_path, "check", settings=settings, **environment)
    said = done.stdout + done.stderr
    assert re.findall(r"\(hangup\.(\w+)\)", said) == ids, said
    assert (done.returncode != 0) == any(each.startswith("E") for each in ids)
    assert "Traceback" not in said


def test_the_doctor_says_what_is_guarded_and_what_to_mend(tmp_path: Path) -> None:
    """In plain text, with an exit status."""
    well = manage(tmp_path, "hangup", "doctor")
    assert well.returncode == 0, well.stderr
    assert re.search(r"^hangup \S+, HANGUP=on$", well.stdout, re.MULTILINE)
    assert re.search(r"^django: on \(version ", well.stdout, re.MULTILINE)
    ill = manage(tmp_path, "hangup", "doctor", settings={"HANGUP": {"LOG": "shout"}})
    assert ill.returncode == 1
    assert "hangup.E002: HANGUP['LOG'] is one of demote, drop, count, not 'shout'" in ill.stdout


def test_descriptors_and_counters_of_a_process(tmp_path: Path) -> None:
    """Of this one; of one that does not exist there is nothing to say."""
    seen = manage(tmp_path, "hangup", "fds", "--pid", str(os.getpid()))
    assert seen.returncode == 0, seen.stderr
    assert re.search(r"^\d+ open, .*\d+ file", seen.stdout, re.MULTILINE)
    counted = manage(tmp_path, "hangup", "top", "--pid", str(os.getpid()), "--times", "2", "--every", "0.01")
    assert counted.returncode == 0, counted.stderr
    assert re.search(r"^ +\d+  adopted +[\d.]+/s$", counted.stdout, re.MULTILINE)
    for what in ("fds", "top"):
        nobody = manage(tmp_path, "hangup", what, "--pid", "999999999")
        assert nobody.returncode == 1
        assert "Traceback" not in nobody.stderr


HEALTHY = """
from django.conf import settings
settings.configure(INSTALLED_APPS=["hangup.django"])
import django; django.setup()
from hangup.django.health import Descriptors
from health_check.exceptions import ServiceUnavailable
Descriptors().run()
try:
    Descriptors(most=0.0).run()
except ServiceUnavailable as error:
    print(error)
"""


def test_the_health_check() -> None:
    """Needs the package django-health-check."""
    if not (HEALTH / "ready").exists():
        pytest.skip("django-health-check is not installed")
    environment = {**os.environ, "PYTHONPATH": str(HEALTH)}
    done = subprocess.run(
        [sys.executable, "-c", HEALTHY],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.search(r"\d+ of \d+ descriptors are open", done.stdout)
