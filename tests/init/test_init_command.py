"""``hangup init`` as a command: what it finds, what it writes and what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hangup._init.project import look
from init_files import flask_project, hangup

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")\n'


def django_project(folder: Path, settings: str = "", **files: str) -> Path:
    """A project named ``site_``."""
    package = folder / "site_"
    package.mkdir(parents=True)
    (folder / "manage.py").write_text(MANAGE)
    (package / "__init__.py").write_text("")
    (package / "settings.py").write_text(settings)
    (package / "wsgi.py").write_text("")
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    return folder


def test_without_a_target_it_says_what_can_be_written_and_what_it_found(tmp_path: Path) -> None:
    """Exit 0; nothing is written; the same in JSON."""
    flask_project(tmp_path)
    said = hangup(tmp_path, "init")
    assert said.returncode == 0
    assert "app:app (flask)" in said.stdout
    assert "logrotate" in said.stdout
    document = json.loads(hangup(tmp_path, "init", "-f", "json").stdout)
    assert document["project"]["app"] == "app:app"
    assert document["project"]["socketio"] is True
    assert set(document["versions"]) == {"gunicorn", "nginx", "systemd"}
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_in_an_empty_folder_it_asks_for_the_application(tmp_path: Path) -> None:
    """Exit 2 for what needs one; the alerts need none."""
    assert "none found" in hangup(tmp_path, "init").stdout
    said = hangup(tmp_path, "init", "gunicorn")
    assert (said.returncode, said.stdout) == (2, "")
    assert "--app" in said.stderr
    assert hangup(tmp_path, "init", "alerts").returncode == 0
    assert hangup(tmp_path, "init", "gunicorn", "--app", "x:y").returncode == 0


def test_a_file_that_differs_is_shown_and_kept_until_force(tmp_path: Path) -> None:
    """Exit 1 and a diff; then it is replaced, with its mode, and then there is nothing to do."""
    flask_project(tmp_path)
    path = tmp_path / "gunicorn.conf.py"
    path.write_text("threads = 3\n")
    path.chmod(0o640)
    said = hangup(tmp_path, "init", "gunicorn")
    assert said.returncode == 1
    assert "-threads = 3" in said.stdout
    assert "--force" in said.stdout
    assert path.read_text() == "threads = 3\n"
    assert hangup(tmp_path, "init", "gunicorn", "--force", "--diff").returncode == 1
    assert path.read_text() == "threads = 3\n"
    forced = json.loads(hangup(tmp_path, "init", "gunicorn", "--force", "-f", "json").stdout)
    assert [one["state"] for one in forced["files"]] == ["replaced"]
    assert path.stat().st_mode & 0o777 == 0o640
    again = json.loads(hangup(tmp_path, "init", "gunicorn", "-f", "json").stdout)
    assert [one["state"] for one in again["files"]] == ["unchanged"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app.py", "gunicorn.conf.py"]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    """What it names is replaced."""
    flask_project(tmp_path / "app")
    (tmp_path / "real.py").write_text("threads = 3\n")
    (tmp_path / "app" / "gunicorn.conf.py").symlink_to(tmp_path / "real.py")
    assert hangup(tmp_path / "app", "init", "gunicorn", "--force").returncode == 0
    assert (tmp_path / "app" / "gunicorn.conf.py").is_symlink()
    assert "gthread" in (tmp_path / "real.py").read_text()


def test_to_standard_output_nothing_is_written(tmp_path: Path) -> None:
    """Alone, a file is itself."""
    flask_project(tmp_path)
    said = hangup(tmp_path, "init", "gunicorn", "-o", "-")
    compile(said.stdout, "conf", "exec")
    both = hangup(tmp_path, "init", "docker", "-o", "-")
    assert both.stdout.startswith("# Dockerfile\n")
    assert "# .dockerignore\n" in both.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_nothing_is_written_if_one_file_cannot_be(tmp_path: Path) -> None:
    """A folder where a file should be: exit 2, and the others are not there either."""
    flask_project(tmp_path)
    (tmp_path / "Dockerfile").mkdir()
    said = hangup(tmp_path, "init", "gunicorn", "docker")
    assert said.returncode == 2
    assert "Is a directory" in said.stderr
    assert not (tmp_path / "gunicorn.conf.py").exists()


def test_the_application_is_not_imported(tmp_path: Path) -> None:
    """Nor is a settings module, or anything else of the folder."""
    flask_project(tmp_path, "import os\nos.mkdir('imported')\nfrom flask import Flask\napp = Flask('x')\n")
    assert hangup(tmp_path, "init", "gunicorn", "flask", "--diff").returncode == 1
    assert not (tmp_path / "imported").exists()


def test_what_is_hostile_in_a_folder_is_left_out(tmp_path: Path) -> None:
    """Not Python, not text, too deep, a pipe, a loop of links, escapes in a name."""
    flask_project(tmp_path)
    (tmp_path / "a.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.py").write_text("(" * 5000)
    (tmp_path / "c.py").write_text("x = " + "-" * 100_000 + "1")
    (tmp_path / "d.py").write_bytes(b"app = Flask('x')\0")
    (tmp_path / "e.py").symlink_to("e.py")
    os.mkfifo(tmp_path / "f.py")
    (tmp_path / "\x1b[31mg.py").write_text(
        "import flask_socketio\nfrom flask import Flask\napp = Flask('x')\n"
    )
    (tmp_path / "loop").symlink_to(tmp_path)
    said = hangup(tmp_path, "init")
    assert said.returncode == 0
    assert "app:app" in said.stdout
    assert "\x1b[31m" not in said.stdout


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"wsgi.py": "import app\napp = app.create_app()\n", "app.py": "import flask\ndef create_app(): ...\n"},
            ("wsgi:app", "flask"),
        ),
        ({"app.py": "import flask\ndef create_app(): ...\n"}, ("app:create_app()", "flask")),
        ({"app.py": "import flask\ndef create_app(config): ...\n"}, ("", "")),
        ({"shop/__init__.py": "from flask import Flask\napplication = Flask('x')\n"}, ("shop:application", "flask")),
        ({"main.py": "from fastapi import FastAPI\napi = FastAPI()\n"}, ("main:api", "asgi")),
        ({"main.py": "import socketio\nsio = socketio.Server()\napp = socketio.WSGIApp(sio)\n"}, ("main:app", "wsgi")),
        (
            {"Procfile": "a: x\nweb: gunicorn shop.entry:api\n", "app.py": "import flask\napp = flask.Flask('x')\n"},
            ("shop.entry:api", "wsgi"),
        ),
        ({"Procfile": "web: uvicorn shop:api --port $PORT\n"}, ("shop:api", "asgi")),
        ({"Procfile": "web: 'unclosed\n"}, ("", "")),
        ({"tests/app.py": "from flask import Flask\napp = Flask('x')\n"}, ("", "")),
        ({".venv/app.py": "from flask import Flask\napp = Flask('x')\n"}, ("", "")),
    ],
)  # fmt: skip
def test_the_application_is_found(files: dict[str, str], expected: tuple[str, str], tmp_path: Path) -> None:
    """As people lay out their projects."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = look(tmp_path)
    assert (found.app, found.framework) == expected


def test_django_is_found_with_its_settings_and_channels(tmp_path: Path) -> None:
    """ASGI if there is Channels."""
    plain = look(django_project(tmp_path / "plain"))
    assert (plain.app, plain.settings, plain.is_asgi) == ("site_.wsgi:application", "site_.settings", False)
    settings = 'INSTALLED_APPS = ["channels"]\nASGI_APPLICATION = "site_.routing.application"\n'
    channels = look(django_project(tmp_path / "channels", settings))
    assert (channels.app, channels.channels) == ("site_.routing:application", True)
    said = hangup(tmp_path / "channels", "init", "systemd", "-o", "-").stdout
    assert "uvicorn --ws hangup.uvicorn:WebSocketProtocol --host 127.0.0.1" in said
    assert hangup(tmp_path / "channels", "init", "gunicorn").returncode == 2
    gunicorn = hangup(tmp_path / "channels", "init", "gunicorn", "--server", "gunicorn", "-o", "-")
    assert '"site_.wsgi:application"' in gunicorn.stdout
    assert "need uvicorn" in gunicorn.stderr


def test_settings_in_pieces_are_read_together(tmp_path: Path) -> None:
    """A module for production, and one that it is based on."""
    django_project(tmp_path, asgi="")
    (tmp_path / "manage.py").write_text(MANAGE.replace("site_.settings", "site_.settings.live"))
    (tmp_path / "site_" / "settings.py").unlink()
    pieces = tmp_path / "site_" / "settings"
    pieces.mkdir()
    (pieces / "live.py").write_text("from .base import *\n")
    (pieces / "base.py").write_text('INSTALLED_APPS = ["channels"]\n')
    found = look(tmp_path)
    assert (found.settings, found.app) == ("site_.settings.live", "site_.asgi:application")
    assert hangup(tmp_path, "init", "django", "--force").returncode == 0
    assert "hangup.django" in (pieces / "live.py").read_text()


SETTINGS = [
    'INSTALLED_APPS = [\n    "django.contrib.auth",\n    "django.contrib.contenttypes",  # last\n]\n'
    'MIDDLEWARE = [\n    "django.middleware.common.CommonMiddleware"\n]\n',
    'INSTALLED_APPS = ["django.contrib.contenttypes"]\nMIDDLEWARE = ("django.middleware.common.CommonMiddleware",)',
    'INSTALLED_APPS = []\nMIDDLEWARE = list(())\nMIDDLEWARE += [\n    "django.middleware.common.CommonMiddleware"]\n',
    "INSTALLED_APPS = []\r\n",
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_django_settings_gain_what_they_need(settings: str, tmp_path: Path) -> None:
    """A diff first; with --force they have it, `manage.py check` has nothing against them, and it is not done twice."""
    pytest.importorskip("django")
    more = 'SECRET_KEY = "x"\nDATABASES = {}\nUSE_TZ = True\n'
    django_project(tmp_path, settings.rstrip("\r\n") + "\n" + more)
    (tmp_path / "manage.py").write_text(
        f"{MANAGE}import sys\nfrom django.core import management\nmanagement.execute_from_command_line(sys.argv)\n"
    )
    first = hangup(tmp_path, "init", "django")
    assert first.returncode == 1
    assert "--- a/site_/settings.py" in first.stdout
    assert hangup(tmp_path, "init", "django", "--force").returncode == 0
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--tag", "hangup"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no issues" in done.stdout, done.stderr + (tmp_path / "site_" / "settings.py").read_text()
    code = "from site_ import settings as s; print(list(s.INSTALLED_APPS)[-1], list(s.MIDDLEWARE)[-1])"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["hangup.django", "hangup.django.DisconnectMiddleware"]
    assert hangup(tmp_path, "init", "django").returncode == 0


@pytest.mark.parametrize(
    "text",
    ['"""Doc."""\nfrom __future__ import annotations\nfrom flask import Flask\napp = Flask(\n    "x",\n)\n',
     'from flask import Flask\n\ndef create_app():\n    "Makes one."\n    made = Flask("x")\n    return made\n'],
)  # fmt: skip
def test_a_flask_application_gains_its_line(text: str, tmp_path: Path) -> None:
    """At the end of the statement that makes it, where it is made."""
    pytest.importorskip("flask")
    flask_project(tmp_path, text)
    assert hangup(tmp_path, "init", "flask").returncode == 1
    assert hangup(tmp_path, "init", "flask", "--force").returncode == 0
    code = "import app; print(type(getattr(app, 'app', None) or app.create_app()).__name__)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "app.py").read_text().count("hangup.flask.Hangup(") == 1
    assert hangup(tmp_path, "init", "flask").returncode == 0


@pytest.mark.parametrize(
    "line", [("init", "nothing"), ("init", "django"), ("init", "gunicorn", "--port", "1", "--socket", "/x")]
)
def test_what_cannot_be_is_status_two(line: tuple[str, ...], tmp_path: Path) -> None:
    """With a reason, on standard error."""
    said = hangup(flask_project(tmp_path), *line)
    assert said.returncode == 2
    assert said.stderr
    assert not said.stdout
